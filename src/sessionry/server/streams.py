"""Live answers: server-sent events and newline-delimited JSON, in few large chunks, with nothing kept for slow readers.

A reader that does not read stops us at the socket, so its own cursor in the feed waits with it and nothing piles up. One
that takes nothing for `SLOWEST` seconds is closed: it comes again with the last id that it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from litestar import Response
from litestar.types import Receive, Scope, Send

from sessionry.domain.events import Event

#: Seconds between two comments that keep proxies from closing a quiet stream.
HEARTBEAT = 15.0
#: Seconds that a chunk may wait for its reader.
SLOWEST = 30.0
#: Bytes after which a chunk is full: what is kept for a reader that does not read.
PIECE = 1 << 17
#: Bytes of events that are kept as they go over the wire.
KEPT = 8 << 20
#: And of the chunks that they were sent in.
KEPT_CHUNKS = 2 << 20
#: Seconds between two looks at whether the reader may still read.
LOOK = 3.0
#: Where a request's scope has what drops its connection at once: closing one waits for what its reader does not take.
ABORT = "sessionry.abort"
#: Milliseconds after which a browser that lost its stream comes again.
RETRY = 1000

EVENT_STREAM, NDJSON = "text/event-stream", "application/x-ndjson"
_encoder = msgspec.json.Encoder()


Encode = Callable[[Event], bytes]


def as_sse(event: dict[str, Any], id: int) -> bytes:
    """`id` is the cursor, `event` the type, `data` the event as JSON in one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (id, event["type"].encode(), _encoder.encode(event))


def as_ndjson(event: dict[str, Any], id: int) -> bytes:  # noqa: ARG001  like `as_sse`
    """One event a line."""
    return bytes(_encoder.encode(event)) + b"\n"


class Pieces:
    """The newest events as they go over the wire, made once for all who read them, up to `KEPT` bytes.

    So are chunks, up to `KEPT_CHUNKS` bytes: readers who keep up are given the same ones.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._kept: dict[str, bytes] = {}
        self._size = 0
        #: by the id of the first event
        self._chunks: dict[str, Chunk] = {}
        self._chunks_size = 0

    def chunks(self, batch: list[Event]) -> Iterator[bytes]:
        """The batch in chunks of about `PIECE`, each made only when the reader has taken the one before."""
        start = 0
        while start < len(batch):
            chunk = self._chunk(batch, start)
            yield chunk.content
            start += len(chunk.events)

    def _chunk(self, batch: list[Event], start: int) -> Chunk:
        """The one that is there, if all its events come next; else a new one."""
        first = batch[start].id
        chunk = self._chunks.get(first)
        if chunk is not None and batch[start : start + len(chunk.events)] == chunk.events:
            return chunk
        if chunk is not None:
            self._chunks_size -= len(self._chunks.pop(first).content)
        chunk = self._chunks[first] = self._joined(batch, start)
        self._chunks_size += len(chunk.content)
        while self._chunks_size > KEPT_CHUNKS and len(self._chunks) > 1:
            self._chunks_size -= len(self._chunks.pop(next(iter(self._chunks))).content)
        return chunk

    def _joined(self, batch: list[Event], start: int) -> Chunk:
        pieces: list[bytes] = []
        size = 0
        for event in islice(batch, start, None):
            pieces.append(self._piece(event))
            size += len(pieces[-1])
            if size >= PIECE:
                break
        return Chunk(batch[start : start + len(pieces)], b"".join(pieces))

    def _piece(self, event: Event) -> bytes:
        piece = self._kept.get(event.id)
        if piece is None:
            piece = self._kept[event.id] = self._encode(event)
            self._size += len(piece)
            while self._size > KEPT and len(self._kept) > 1:
                self._size -= len(self._kept.pop(next(iter(self._kept))))
        return piece


class Chunk(NamedTuple):
    """Events, and what goes over the wire for them."""

    events: list[Event]
    content: bytes


class Streaming:
    """An ASGI answer that goes on as long as its events do, or its reader.

    The last thing of a stream of server-sent events is an event `end`. Where that is missing, because `cut` says that the
    server ends, or because the reader was too slow, there is more to come.
    """

    def __init__(
        self,
        batches: AsyncGenerator[list[Event], None],
        pieces: Pieces,
        *,
        sse: bool,
        cut: Callable[[], bool] = lambda: False,
        allowed: Callable[[], Awaitable[bool]] | None = None,
        heartbeat: float = HEARTBEAT,
        slowest: float = SLOWEST,
    ) -> None:
        self._batches = batches
        self._pieces = pieces
        self._sse = sse
        self._cut = cut
        self._allowed = allowed
        self._heartbeat = heartbeat
        self._slowest = slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        media_type = EVENT_STREAM if self._sse else NDJSON
        headers = [
            (b"content-type", f"{media_type}; charset=utf-8".encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        leaving, forbidden = asyncio.create_task(_left(receive)), asyncio.create_task(self._forbidden())
        try:
            async with aclosing(self._chunks(leaving, forbidden)) as chunks:
                taken = await self._send_all(chunks, send)
            if taken and not leaving.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            if not taken and ABORT in scope:
                scope[ABORT]()  # type: ignore[literal-required]
        finally:
            leaving.cancel()
            forbidden.cancel()
            await asyncio.wait([leaving, forbidden])

    async def _forbidden(self) -> None:
        """Until the reader may read no more."""
        # nothing tells of a token that another process revokes
        while self._allowed is None or await self._allowed():  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    async def _send_all(self, chunks: AsyncIterator[bytes], send: Send) -> bool:
        """False: the reader was too slow."""
        async for chunk in chunks:
            if not await self._sent(chunk, send):
                return False
        return True

    async def _sent(self, chunk: bytes, send: Send) -> bool:
        try:
            async with asyncio.timeout(self._slowest):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            return False
        return True

    async def _chunks(
        self, leaving: asyncio.Future[None], forbidden: asyncio.Future[None]
    ) -> AsyncGenerator[bytes, None]:
        """What is to be sent, until the events end, or either of the two is done: then nothing says that they ended."""
        head = b"retry: %d\n" % RETRY if self._sse else b""  # on top of the first event: it is none of its own
        async with aclosing(self._batches):
            pending: asyncio.Future[Any] | None = None
            try:
                while True:
                    pending = pending or asyncio.ensure_future(anext(self._batches, None))
                    await asyncio.wait(
                        [pending, leaving, forbidden], timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED
                    )
                    if leaving.done() or forbidden.done():
                        return
                    if not pending.done():
                        yield b": nothing new\n\n" if self._sse else b"\n"
                        continue
                    batch, pending = pending.result(), None
                    if batch is None:
                        break
                    for piece in self._pieces.chunks(batch):
                        yield head + piece if head else piece
                        head = b""
                        if leaving.done() or forbidden.done():
                            return
            finally:
                if pending is not None:
                    pending.cancel()
                    await asyncio.wait([pending])
        if self._sse and not self._cut():
            yield b"event: end\ndata: {}\n\n"


class Live(Response[bytes]):
    """A stream, as the framework takes an answer."""

    def __init__(self, streaming: Streaming) -> None:
        super().__init__(b"")
        self._streaming = streaming

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._streaming


async def _left(receive: Receive) -> None:
    """Until the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
