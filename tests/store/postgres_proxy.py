"""A network that fails on purpose: what stands between a store and its PostgreSQL in the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

_PIECE = 1 << 16


class Proxy:
    """Passes everything on between clients and the server, until it is told to lose something."""

    def __init__(self) -> None:
        #: a request with this in it is passed on, and its answer is lost with the connection
        self.lose_answer_to: bytes | None = None
        #: a request with this in it is lost with the connection
        self.lose: bytes | None = None
        #: how often something was lost
        self.lost = 0
        self.refuse = False
        self._connections: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Lose all connections."""
        for writer in self._connections:
            writer.close()

    async def serve(self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: dict[str, str]) -> None:
        reader, writer = client
        if self.refuse:
            writer.close()
            return
        far_reader, far_writer = await _connect(server)
        if self.refuse:  # from now on: `cut` knew nothing of this one yet
            writer.close()
            far_writer.close()
            return
        self._connections |= {writer, far_writer}
        answers = asyncio.create_task(self._pass_on(far_reader, writer))
        try:
            while piece := await reader.read(_PIECE):
                if self.lose is not None and self.lose in piece:
                    self.lose = None
                    self.lost += 1
                    break
                if self.lose_answer_to is not None and self.lose_answer_to in piece:
                    self.lose_answer_to = None
                    self.lost += 1
                    answers.cancel()
                    await asyncio.wait([answers])
                    far_writer.write(piece)
                    await far_reader.read(_PIECE)  # it was done when this is here
                    break
                far_writer.write(piece)
        except (ConnectionError, OSError):
            pass
        finally:
            answers.cancel()
            for each in (writer, far_writer):
                self._connections.discard(each)
                each.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, OSError):
            while piece := await reader.read(_PIECE):
                writer.write(piece)
        writer.close()


async def _connect(server: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = server.get("port") or "5432"
    if server["host"].startswith("/"):
        return await asyncio.open_unix_connection(f"{server['host']}/.s.PGSQL.{port}")
    return await asyncio.open_connection(server["host"], int(port))


@asynccontextmanager
async def proxied(url: str, folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of the server of that URL, and the URL that leads through it. `folder` must have a short path."""
    server = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    proxy = Proxy()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy.serve((reader, writer), server)

    listener = await asyncio.start_unix_server(accept, folder / ".s.PGSQL.5432")
    try:
        yield proxy, f"postgresql://{server.get('user', '')}@/{server['dbname']}?host={folder}"
    finally:
        listener.close()
        proxy.cut()
