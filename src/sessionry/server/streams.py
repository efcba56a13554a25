"""Live answers: server-sent events and newline-delimited JSON, in few large chunks, with nothing kept for slow readers.

A reader that does not read stops us at the socket, so its own cursor in the feed waits with it and nothing piles up. One
that takes nothing for `SLOWEST` seconds is closed: it comes again with the last id that it has seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
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
#: And when the server ends, which has only a few seconds for it.
LAST = 1.0
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

_QUIET = b": nothing new\n\n"

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
        #: by number and id: in a fork an event has another number
        self._kept: dict[tuple[int, str], bytes] = {}
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
        key = event.seq, event.id
        piece = self._kept.get(key)
        if piece is None:
            piece = self._kept[key] = self._encode(event)
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
        self._sending = False
        #: when what is being sent was begun, or what was sent last
        self._since = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        media_type = EVENT_STREAM if self._sse else NDJSON
        headers = [
            (b"content-type", f"{media_type}; charset=utf-8".encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._since = time.monotonic()
        events, watch = asyncio.create_task(self._send_all(send)), asyncio.create_task(self._watch(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait([events, watch, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (events, watch, leaving):
                task.cancel()
            await asyncio.wait([events, watch, leaving])
        if not leaving.cancelled():
            return
        if not events.cancelled():
            events.result()
        taken = watch.cancelled() or watch.result()
        if not (taken and await self._in_time(b"", send, more=False)) and ABORT in scope:
            scope[ABORT]()  # type: ignore[literal-required]

    async def _send_all(self, send: Send) -> None:
        """Until the events end. A chunk costs what sending it does: all else that may happen is waited for by `_watch`."""
        head = b"retry: %d\n" % RETRY if self._sse else b""  # on top of the first event: it is none of its own
        async with aclosing(self._batches) as batches:
            async for batch in batches:
                for piece in self._pieces.chunks(batch):
                    await self._send(head + piece if head else piece, send)
                    head = b""
        if self._sse and not self._cut():
            await self._send(b"event: end\ndata: {}\n\n", send)

    async def _watch(self, send: Send) -> bool:
        """Keeps a quiet stream alive until its reader may read no more; or, and then it is false, takes nothing."""
        # nothing tells of a token that another process revokes
        while self._allowed is None or await self._allowed():
            await asyncio.sleep(min(LOOK, self._heartbeat, self._slowest))
            silence = time.monotonic() - self._since
            if self._sending:
                if silence >= (min(LAST, self._slowest) if self._cut() else self._slowest):
                    return False
            elif silence >= self._heartbeat and not await self._in_time(_QUIET if self._sse else b"\n", send):
                return False
        return True

    async def _in_time(self, body: bytes, send: Send, *, more: bool = True) -> bool:
        try:
            async with asyncio.timeout(self._slowest):
                await self._send(body, send, more=more)
        except TimeoutError:
            return False
        return True

    async def _send(self, body: bytes, send: Send, *, more: bool = True) -> None:
        self._sending, self._since = True, time.monotonic()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending = False


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
