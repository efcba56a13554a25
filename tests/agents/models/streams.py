"""Answers as model servers write them: the bytes of a stream, and a server that says such bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from sessionry.agents.models.asking import events_of
from sessionry.agents.models.talk import Answer, Piece
from sessionry.agents.models.wire import Reader


def sse(*events: Any, end: str = "\n") -> bytes:
    """The events; a text is data as it is, a pair has a name as well."""
    told = []
    for event in events:
        name, data = event if isinstance(event, tuple) else (None, event)
        lines = [f"event: {name}"] if name else []
        lines.append(f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}")
        told.append(end.join([*lines, "", ""]))
    return "".join(told).encode()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """An event of the chat protocol."""
    return {"choices": [{"delta": delta or {}, "finish_reason": finish}], **more}


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for one in self._chunks:
            yield one


async def read(reader: Reader, *chunks: bytes) -> tuple[list[Piece], Answer]:
    """What a reader makes of a stream that comes in those chunks."""
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    response = httpx.Response(200, headers=headers, stream=_Chunks(chunks))
    pieces: list[Piece] = []
    async for event, data in events_of(response):
        pieces += reader.feed(event, data)
        if reader.ended:
            break
    return pieces, reader.answer("call")


class Said:
    """What a raw server was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[Any] = []
        self.headers: list[str] = []


@asynccontextmanager
async def raw_server(*answers: bytes, content_type: str = "text/event-stream") -> AsyncIterator[Said]:
    """Says the answers one after the other, each on a connection of its own, which it then closes."""
    said, left = Said(), list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:"))
        said.bodies.append(json.loads(await reader.readexactly(length)))
        said.headers.append(head)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n".encode())
        writer.write(left.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    said.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield said
