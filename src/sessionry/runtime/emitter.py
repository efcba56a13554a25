"""The one pen of an attempt: everything that a run appends goes through its emitter, in order, under its lease.

Pieces of text are merged for a moment before they are written; everything else is written at once, together with whatever
has gathered meanwhile. At most one write is under way, so the compare-and-set on the last `seq` is always right, and a
write that may or may not have been committed is simply repeated. Who waits for a write may be cancelled; the write is not.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.codec import encode_payload
from sessionry.domain.errors import Fenced, SessionryError, StoreFailed
from sessionry.domain.events import EventData
from sessionry.ports import Appending, Operation, Store
from sessionry.runtime.offload import SMALL, Offload
from sessionry.store.log import check_size

T = TypeVar("T")

#: Seconds for which pieces of text are gathered before they are written.
MERGE_WINDOW = 0.05
#: Characters that merged pieces have at most.
MOST_MERGED = 64 * 1024
#: Events, and characters of them, that may wait for the store before the agent has to.
MOST_WAITING = 512
MOST_CHARACTERS = 4 * 1024 * 1024
#: Seconds for which a failing store is asked again before the run gives up.
STORE_PATIENCE = 10.0

_PIECES = (ev.MessageStreamed, ev.ReasoningStreamed, ev.ToolOutputStreamed)
#: What comes so often that it is gathered for a moment.
_GATHERED = (*_PIECES, ev.FrameReceived)


class Emitter:
    """Appends the events of one attempt. `after` is the `seq` of the last one that is durable.

    Once a write has failed for good, every later call raises the same error, and `failed` is called once. After `close`
    every call raises `Fenced`.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        fence: int,
        after: int,
        offload: Offload,
        *,
        failed: Callable[[SessionryError], None],
        window: float = MERGE_WINDOW,
    ) -> None:
        self.run_id = run_id
        self.fence = fence
        self.after = after
        self._store = store
        self._offload = offload
        self._window = window
        self._on_failure = failed
        self._waiting: list[EventData] = []
        self._characters = 0
        self._error: SessionryError | None = None
        self._writing = asyncio.Lock()
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._emptied = asyncio.Event()
        #: those who wait until what was put is durable
        self._flushing: list[asyncio.Future[None]] = []
        self._writes: set[asyncio.Task[Any]] = set()
        self._task = asyncio.create_task(self._pump(), name=f"emitter {run_id}")

    async def put(self, data: EventData) -> None:
        """Take an event, which must be one that the log can hold; it is durable soon. Waits when the store is far behind.

        Raises `payload_too_large` for what is still too big when its texts and values are in the blob store.
        """
        self._check()
        items, size = await self._sized(data)
        self._waiting += items
        self._characters += size
        self._filled.set()
        while (len(self._waiting) >= MOST_WAITING or self._characters >= MOST_CHARACTERS) and self._error is None:
            self._emptied.clear()
            await self._emptied.wait()
        self._check()

    async def slimmed(self, data: EventData) -> EventData:
        """An event that is written by other means, after what is too big in it was moved to the blob store."""
        *moved, slim = await self._offload.slimmed(data)
        check_size(slim.type, encode_payload(slim))
        for artifact in moved:
            await self.put(artifact)
        await self.flush()
        return slim

    async def flush(self) -> None:
        """Return when everything that was put is durable."""
        self._check()
        if self._waiting or self._writing.locked():
            self._flushing.append(done := asyncio.get_running_loop().create_future())
            self._urgent.set()
            self._filled.set()
            await done
            self._check()

    async def write(self, operation: Operation[T], seqs: Callable[[T], list[int]]) -> T:
        """Run a leased operation in its place among the events; `seqs` finds what it appended in its result."""
        self._check()
        return await self._uncancelled(self._write(operation, seqs))

    async def close(self) -> None:
        """Stop writing. What was not flushed is dropped."""
        self._error = Fenced(f"the attempt at run {self.run_id} is over", run_id=self.run_id, fence=self.fence)
        self._waiting.clear()
        self._tell()
        tasks = [self._task, *self._writes]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def _check(self) -> None:
        if self._error is not None:
            raise copy.copy(self._error)  # not itself: its traceback would grow with every call

    async def _sized(self, data: EventData) -> tuple[list[EventData], int]:
        """The event as it will be written, after the artifacts that it gave rise to, and how long they are together."""
        size = len(encode_payload(data))
        if size <= SMALL:
            return [data], size
        items = await self._offload.slimmed(data)
        texts = [encode_payload(item) for item in items]
        for item, text in zip(items, texts, strict=True):
            check_size(item.type, text)
        return items, sum(map(len, texts))

    async def _uncancelled(self, writing: Coroutine[Any, Any, T]) -> T:
        """What comes of it. Cancelling the caller leaves it at work, or nobody would know the last `seq`."""
        task = asyncio.create_task(writing, name=f"emitter {self.run_id}")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self, operation: Operation[T], seqs: Callable[[T], list[int]]) -> T:
        async with self._writing:
            await self._write_waiting()
            self._check()
            result = await patiently(partial(self._store.execute, operation), STORE_PATIENCE)
            self.after = max([self.after, *seqs(result)])
            return result

    async def _pump(self) -> None:
        while self._error is None:
            await self._filled.wait()
            self._filled.clear()
            if self._waiting and all(isinstance(data, _GATHERED) for data in self._waiting):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._window):
                        await self._urgent.wait()
            async with self._writing:
                await self._write_waiting()

    async def _write_waiting(self) -> None:
        """Write what has gathered. A failure is kept for whoever comes next."""
        while self._waiting and self._error is None:
            batch, self._waiting, self._characters = self._waiting, [], 0
            appending = Appending(self.run_id, self.fence, self.after, merged(batch))
            try:
                seqs = await patiently(partial(self._store.append, appending), STORE_PATIENCE)
            except SessionryError as error:
                self._fail(error)
            except Exception as error:  # whatever it is, those who wait must hear of it
                failure = StoreFailed("store_failed", f"what run {self.run_id} said was not written: {error!r}")
                failure.__cause__ = error
                self._fail(failure)
            else:
                self.after = seqs[-1]
        self._tell()

    def _tell(self) -> None:
        """Nothing waits to be written any more."""
        self._emptied.set()
        self._urgent.clear()
        flushing, self._flushing = self._flushing, []
        for done in flushing:
            if not done.done():
                done.set_result(None)

    def _fail(self, error: SessionryError) -> None:
        self._error = error
        self._waiting.clear()
        self._tell()
        self._on_failure(error)


async def patiently(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """Ask again while the store fails in a way that may pass. For what changes nothing when it was committed already."""
    give_up = time.monotonic() + patience
    pause = 0.05
    while True:
        try:
            return await attempt()
        except StoreFailed as error:
            if not error.retryable or time.monotonic() > give_up:
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)


def merged(batch: list[EventData]) -> list[EventData]:
    """The batch with neighbouring pieces of the same text joined, as long as they stay handy."""
    result: list[EventData] = []
    texts: list[str] = []
    length = 0
    for data in batch:
        text = data.text if isinstance(data, _PIECES) else ""
        if texts and length + len(text) <= MOST_MERGED and _continues(result[-1], data):
            texts.append(text)
            length += len(text)
            continue
        _join(result, texts)
        result.append(data)
        texts, length = ([text] if isinstance(data, _PIECES) else []), len(text)
    _join(result, texts)
    return result


def _join(result: list[EventData], texts: list[str]) -> None:
    if len(texts) > 1:
        result[-1] = msgspec.structs.replace(result[-1], text="".join(texts))


def _continues(last: EventData, data: EventData) -> bool:
    if type(last) is not type(data):
        return False
    if isinstance(last, ev.ToolOutputStreamed) and isinstance(data, ev.ToolOutputStreamed):
        return (last.tool_call_id, last.stream) == (data.tool_call_id, data.stream)
    return getattr(last, "message_id", None) == getattr(data, "message_id", None)
