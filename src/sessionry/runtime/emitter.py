"""The one pen of an attempt: everything that a run appends goes through its emitter, in order, under its lease.

Pieces of text are merged for a moment before they are written; everything else is written at once, together with whatever
has gathered meanwhile. At most one write is under way, so the compare-and-set on the last `seq` is always right, and a
write that may or may not have been committed is simply repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.events import EventData
from sessionry.ports import Appending, Operation, Store
from sessionry.runtime.offload import Offload

T = TypeVar("T")

#: Seconds for which pieces of text are gathered before they are written.
MERGE_WINDOW = 0.05
#: Events that may wait for the store before the agent has to.
MOST_WAITING = 512
#: Seconds for which a failing store is asked again before the run gives up.
STORE_PATIENCE = 10.0

_PIECES = (ev.MessageStreamed, ev.ReasoningStreamed, ev.ToolOutputStreamed)


class Emitter:
    """Appends the events of one attempt. `after` is the `seq` of the last one that is durable.

    Once a write has failed for good, every later call raises the same error, and `failed` is called once.
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
        #: `time.monotonic()` of the last event that the agent gave
        self.last_put = time.monotonic()
        self._store = store
        self._offload = offload
        self._window = window
        self._on_failure = failed
        self._waiting: list[EventData] = []
        self._error: SessionryError | None = None
        self._writing = asyncio.Lock()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._task = asyncio.create_task(self._pump(), name=f"emitter {run_id}")

    async def put(self, data: EventData) -> None:
        """Take an event; it is durable soon. Waits when the store is far behind."""
        self._check()
        self.last_put = time.monotonic()
        for item in await self._offload.slimmed(data):
            self._waiting.append(item)
        self._emptied.clear()
        self._filled.set()
        while len(self._waiting) >= MOST_WAITING and self._error is None:
            self._emptied.clear()
            await self._emptied.wait()
        self._check()

    async def slimmed(self, data: EventData) -> EventData:
        """An event that is written by other means, after what is too big in it was moved to the blob store."""
        *moved, slim = await self._offload.slimmed(data)
        for artifact in moved:
            await self.put(artifact)
        await self.flush()
        return slim

    async def flush(self) -> None:
        """Return when everything that was put is durable."""
        async with self._writing:
            await self._write_waiting()
        self._check()

    async def write(self, operation: Operation[T], seqs: Callable[[T], list[int]]) -> T:
        """Run a leased operation in its place among the events; `seqs` finds what it appended in its result."""
        async with self._writing:
            await self._write_waiting()
            self._check()
            result = await self._patiently(partial(self._store.execute, operation))
            self.after = max([self.after, *seqs(result)])
            return result

    async def close(self) -> None:
        """Stop writing. What was not flushed is dropped."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _pump(self) -> None:
        while self._error is None:
            await self._filled.wait()
            if self._waiting and all(isinstance(data, _PIECES) for data in self._waiting):
                await asyncio.sleep(self._window)
            async with self._writing:
                await self._write_waiting()

    async def _write_waiting(self) -> None:
        """Write what has gathered. A failure is kept for whoever comes next."""
        while self._waiting and self._error is None:
            batch, self._waiting = self._waiting, []
            self._filled.clear()
            appending = Appending(self.run_id, self.fence, self.after, merged(batch))
            try:
                seqs = await self._patiently(partial(self._store.append, appending))
            except SessionryError as error:
                self._fail(error)
            else:
                self.after = seqs[-1]
        self._emptied.set()

    def _fail(self, error: SessionryError) -> None:
        self._error = error
        self._waiting.clear()
        self._on_failure(error)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Ask again while the store fails in a way that may pass. The repeat of a committed write changes nothing."""
        give_up = time.monotonic() + STORE_PATIENCE
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
    """The batch with neighbouring pieces of the same text joined."""
    result: list[EventData] = []
    texts: list[str] = []
    for data in batch:
        if texts and _continues(result[-1], data):
            texts.append(data.text)  # type: ignore[attr-defined]  # every piece has a text
            continue
        _join(result, texts)
        result.append(data)
        texts = [data.text] if isinstance(data, _PIECES) else []
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
