"""What really went over a wire: a relay before a model's server, and a wrapper around an agent's program."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11


class Relay:
    """Hands on bytes between a client and a server, and keeps what the server said."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self.url = ""
        self._answers: list[bytearray] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        answer = bytearray()
        self._answers.append(answer)
        there, to_server = await asyncio.open_connection(self._host, self._port)
        asking = asyncio.create_task(_pass_on(reader, to_server))
        try:
            await _pass_on(there, writer, answer)
        except asyncio.CancelledError:
            pass  # by `close`: the client keeps the connection, and nobody wants it any more
        finally:
            asking.cancel()
            for end in (to_server, writer):
                end.close()
                with suppress(ConnectionError):
                    await end.wait_closed()
            self._connections.discard(task)

    async def close(self) -> None:
        """Let go of all connections."""
        while self._connections:
            for task in self._connections:
                task.cancel()
            await asyncio.wait(self._connections)

    def bodies(self) -> list[str]:
        """The bodies of all answers, in the order in which they were asked for."""
        return [body for answer in self._answers for body in _bodies(bytes(answer))]

    def frames(self) -> list[Any]:
        """The data of all server-sent events, as JSON where it is."""
        lines = [line for body in self.bodies() for line in body.splitlines() if line.startswith("data:")]
        return [_json(line.removeprefix("data:").strip()) for line in lines]


@asynccontextmanager
async def relayed(server: str) -> AsyncIterator[Relay]:
    """A relay before that server."""
    relay = Relay(server)
    listening = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        try:
            yield relay
        finally:
            await relay.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None = None) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            if kept is not None:
                kept += data
            writer.write(data)
            await writer.drain()


def _bodies(said: bytes) -> list[str]:
    """Of the answers on one connection."""
    connection = h11.Connection(h11.CLIENT)
    connection.receive_data(said)
    bodies = [b""]
    _ask(connection)
    while not isinstance(event := connection.next_event(), type(h11.NEED_DATA) | h11.ConnectionClosed):
        if isinstance(event, h11.Data):
            bodies[-1] += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            bodies.append(b"")
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break  # it was the last one
            connection.start_next_cycle()
            _ask(connection)
    return [body.decode() for body in bodies if body]


def _ask(connection: h11.Connection) -> None:
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def wrapped(program: str, folder: Path) -> tuple[Path, Path]:
    """A program that does what the other one does and keeps what it prints; and the file where that is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    script, record = folder / Path(program).name, folder / "printed"
    script.write_text(f'#!/bin/sh\n"{program}" "$@" | tee -a "{record}"\n')
    script.chmod(0o755)
    return script, record


def printed(record: Path) -> list[Any]:
    """The lines of JSON in the record."""
    found = [_json(line) for line in record.read_text().splitlines() if line.strip()]
    return [line for line in found if isinstance(line, dict)]
