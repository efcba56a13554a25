"""The feed: live and replay are one thing.

A reader owns its cursor. It reads the log from there until the log is empty, then waits until the log may have grown,
then reads again. The log is the only truth: a poke merely says "look", so a lost one costs the slow poll and nothing
else, and it does not matter who wrote, in which process, or how often a poke was doubled.

Readers that have come to the end of the same log share a *tail*, so that many readers do not mean many queries:

    log ......................|<-- the newest events, in memory -->|
                            floor                                 head
        ^ reads pages itself        ^ takes slices                 ^ waits

One task per tail, the pump, reads what is new once and wakes the readers that wait, once per page. Every event of the log
with `floor < cursor <= head` is in the list; where that is not sure, the list is emptied and the pump starts again. A
reader below the floor reads pages from the log until it is above it. So memory depends neither on the speed of a reader
nor on the length of the log, and each reader gets each event once, in order, whatever happens to the tail meanwhile.

Cursors ascend, but have holes (deltas that were pruned): nothing here counts on the next number.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from sessionry.domain.codec import encode_payload
from sessionry.domain.errors import Conflict
from sessionry.domain.events import Event
from sessionry.ports import Bus

#: `(after, limit)` -> the first events beyond the cursor `after`, ascending, at most `limit`; empty at the end of the log.
#: Only a page that holds `Bounds.page_bytes` may be shorter than `limit` before the end.
ReadAll = Callable[[int, int], Awaitable[list[Event]]]
#: `(session_id, after, limit)` -> the same for one session.
ReadPage = Callable[[str, int, int], Awaitable[list[Event]]]

#: About what an event takes besides its payload, in bytes.
_ENVELOPE = 400


class Bounds(NamedTuple):
    """What a tail may hold in memory, and how much is read at once. A single event may be larger than `keep_bytes`."""

    page: int = 256
    page_bytes: int = 1 << 20
    keep: int = 1024
    keep_bytes: int = 8 << 20


_BOUNDS = Bounds()


class Feed:
    """Follows sessions, and all sessions at once, in one event loop. Holds no task while nobody follows anything.

    `poll`: after so many seconds without a poke the log is read anyway. `read_all` reads the log of all sessions, by
    position; without it only sessions can be followed.
    """

    def __init__(
        self,
        read_page: ReadPage,
        bus: Bus,
        poll: float = 1.0,
        *,
        read_all: ReadAll | None = None,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._read_page = read_page
        self._read_all = read_all
        self._bus = bus
        self._poll = poll
        self._bounds = bounds
        self._tails: dict[str | None, _Tail] = {}
        self._unwatch: Callable[[], None] | None = None
        self._closed = False

    async def follow(self, session_id: str | None, after: int = 0) -> AsyncGenerator[Event, None]:
        """Every event after the cursor, then every new one, without end. See `batches`."""
        async with aclosing(self.batches(session_id, after)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def batches(self, session_id: str | None, after: int = 0) -> AsyncGenerator[list[Event], None]:
        """The same, in lists of whatever is there at once: never empty, and the reader's own.

        The cursor is `event.seq`; for all sessions (None) it is `event.position`. An error of the log ends the iterator:
        follow again from the last cursor. `Feed.close` ends it without an error.
        """
        tail = self._join(session_id)
        cursor = after
        try:
            while not tail.closed:
                if tail.floor <= cursor < tail.head:
                    batch = tail.newer(cursor)
                elif cursor < tail.floor:
                    batch = await tail.page(cursor)
                else:
                    await tail.grown()
                    continue
                if batch:
                    cursor = tail.cursor_of(batch[-1])
                    yield batch
        finally:
            await self._leave(session_id, tail)

    async def close(self) -> None:
        """End every reader, wherever it waits, and leave no task."""
        self._closed = True
        tails = list(self._tails.values())
        self._tails.clear()
        self._rest()
        for tail in tails:
            await tail.close()

    def _join(self, key: str | None) -> _Tail:
        if self._closed:
            raise Conflict("invalid_operation", "the feed is closed")
        tail = self._tails.get(key) or self._tail(key)
        self._tails[key] = tail
        if self._unwatch is None:
            self._unwatch = self._bus.watch(self._poked)
        tail.readers += 1
        return tail

    async def _leave(self, key: str | None, tail: _Tail) -> None:
        tail.readers -= 1
        if tail.readers:
            return
        if self._tails.get(key) is tail:
            del self._tails[key]
            self._rest()
        await tail.close()

    def _tail(self, key: str | None) -> _Tail:
        if key is not None:
            return _Tail(partial(self._read_page, key), attrgetter("seq"), self._poll, self._bounds)
        if self._read_all is None:
            raise Conflict("invalid_operation", "this feed follows single sessions only")
        return _Tail(self._read_all, attrgetter("position"), self._poll, self._bounds)

    def _rest(self) -> None:
        if not self._tails and self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _poked(self, session_ids: Sequence[str] | None) -> None:
        for key in self._tails if session_ids is None else (*session_ids, None):
            if tail := self._tails.get(key):
                tail.poke()


class _Tail:
    """The newest events of one log, read once for everybody who follows it."""

    def __init__(self, read: ReadAll, cursor_of: Callable[[Event], int], poll: float, bounds: Bounds) -> None:
        self.cursor_of = cursor_of
        self.readers = 0
        self.closed = False
        self._read = read
        self._poll = poll
        self._bounds = bounds
        self.floor: float = math.inf  # no cursor is above it until a reader has come to the end of the log
        self.head = 0
        self._events: list[Event] = []
        self._cursors: list[int] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()
        self._pages: dict[int, asyncio.Task[list[Event]]] = {}
        self._pump: asyncio.Task[None] | None = None
        self._poked = asyncio.Event()

    # --- what a reader does -------------------------------------------------------------------------------------------

    def newer(self, cursor: int) -> list[Event]:
        """What the list holds after `cursor`, which must not be below the floor."""
        return self._events[bisect_right(self._cursors, cursor) :]

    async def page(self, cursor: int) -> list[Event]:
        """The next page of the log. When there is none, the pump goes on from `cursor`."""
        page = await self._read_once(cursor)
        if not page and cursor < self.floor and not self.closed:
            self._settle(cursor)
        return page

    def grown(self) -> asyncio.Future[None]:
        """Done when the list has grown or the tail was closed; fails with what the pump could not help."""
        if len(self._waiting) > 2 * self.readers:  # most of those that waited have left
            self._waiting = [future for future in self._waiting if not future.done()]
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        return future

    def poke(self) -> None:
        self._poked.set()

    async def close(self) -> None:
        """Let go of the readers that wait, and end the tasks."""
        self.closed = True
        self._wake()
        tasks = [*self._pages.values()] if self._pump is None else [*self._pages.values(), self._pump]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _read_once(self, cursor: int) -> list[Event]:
        """One query for all the readers that want the same page at the same time, as after a restart of a server."""
        task = self._pages.get(cursor)
        if task is None:
            task = self._pages[cursor] = asyncio.ensure_future(self._read(cursor, self._bounds.page))
            task.add_done_callback(partial(self._forget, cursor))
        await asyncio.wait([task])  # unlike awaiting it, a reader that is cancelled does not take the others with it
        return [] if self.closed else task.result()[:]

    def _forget(self, cursor: int, task: asyncio.Task[list[Event]]) -> None:
        del self._pages[cursor]
        if not task.cancelled():
            task.exception()  # nobody may be left to see it

    def _settle(self, cursor: int) -> None:
        """The log was empty after `cursor`: from here on the pump reads. It looks at once, for what came meanwhile."""
        self._drop(len(self._events))
        self.floor = self.head = cursor
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name="feed")
        self.poke()

    # --- what the pump does -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._poke_or_poll()
            try:
                while await self._pull():
                    pass
            except Exception as error:
                self._wake(error)

    async def _poke_or_poll(self) -> None:
        timer = asyncio.get_running_loop().call_later(self._poll, self._poked.set)
        try:
            await self._poked.wait()
        finally:
            timer.cancel()
        self._poked.clear()

    async def _pull(self) -> bool:
        """Read the next page into the list. True when there may be more."""
        head = self.head
        page = await self._read(head, self._bounds.page)
        if head != self.head:
            return True  # a reader has settled elsewhere meanwhile
        if not page:
            return False
        sizes = [_ENVELOPE + len(encode_payload(event.data)) for event in page]
        self._add(page, sizes)
        self._wake()
        return len(page) >= self._bounds.page or sum(sizes) >= self._bounds.page_bytes

    def _add(self, page: list[Event], sizes: list[int]) -> None:
        self._events += page
        self._cursors += map(self.cursor_of, page)
        self._sizes += sizes
        self._bytes += sum(sizes)
        self.head = self._cursors[-1]
        self._trim()

    def _trim(self) -> None:
        """Drop the oldest until the list is within its bounds. The newest stays, so that not everybody must read it."""
        left, size, drop = len(self._events), self._bytes, 0
        while left - drop > 1 and (left - drop > self._bounds.keep or size > self._bounds.keep_bytes):
            size -= self._sizes[drop]
            drop += 1
        if drop:
            self.floor = self._cursors[drop - 1]
            self._drop(drop)

    def _drop(self, count: int) -> None:
        self._bytes -= sum(self._sizes[:count])
        del self._events[:count], self._cursors[:count], self._sizes[:count]

    def _wake(self, error: Exception | None = None) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # its reader may be cancelled before it sees it
