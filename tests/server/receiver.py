"""Somebody who is told of events: a small HTTP server that keeps what it gets, and answers as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook


class Got(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    def verified(self, secret: str) -> Any:
        """What the independent library makes of it; it raises when the signature is none of ours."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """`answers` gives the status line and headers for each message that comes; None: it says nothing at all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[Got] = []
        self.at_once = self.most_at_once = 0
        self.answers: Callable[[Got], str | None] = lambda _: "204 No Content"

    def types(self) -> list[str]:
        return [each.message["type"] for each in self.got]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            got = Got(headers, await reader.readexactly(int(headers["content-length"])))
            self.got.append(got)
            answer = self.answers(got)
            if answer is None:
                await reader.read()  # until the other side gives up
            else:
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        finally:
            self.at_once -= 1
            writer.close()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on a port of this machine."""
    receiver = Receiver("")
    async with await asyncio.start_server(receiver._serve, "127.0.0.1", port) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield receiver
