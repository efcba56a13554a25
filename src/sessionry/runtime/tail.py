"""A tail: the newest events of one log, in memory, read once for everybody who follows it. See `feed`."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from sessionry.domain.codec import encode_payload
from sessionry.domain.events import Event
from sessionry.domain.scope import Scope
from sessionry.runtime.together import Together

if TYPE_CHECKING:
    from sessionry.runtime.hub import Hub

#: `(after, limit)` -> the first events beyond the cursor `after`, ascending, at most `limit`; empty at the end of the log.
#: Only a page that holds `Bounds.page_bytes` may be shorter than `limit` before the end.
ReadLog = Callable[[int, int], Awaitable[list[Event]]]

#: About what an event takes besides its payload, in bytes.
_ENVELOPE = 400


class Bounds(NamedTuple):
    """What a tail may hold in memory, and how much is read at once. A single event may be larger than `keep_bytes`."""

    page: int = 256
    page_bytes: int = 1 << 20
    keep: int = 1024
    keep_bytes: int = 8 << 20


class Tail:
    """The newest events of the log at `place`: a scope and a session. Readers take, and the hub puts in what is new."""

    def __init__(
        self, place: tuple[Scope, str], read: ReadLog, cursor_of: Callable[[Event], int], hub: Hub, bounds: Bounds
    ) -> None:
        self.place = place
        self.read = read
        self.cursor_of = cursor_of
        self.readers = 0
        self.closed = False
        self.floor: float = math.inf  # no cursor is above it until a reader has come to the end of the log
        self.head = 0
        self._hub = hub
        self._bounds = bounds
        self._events: list[Event] = []
        self._cursors: list[int] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()
        self._pages: Together[int, tuple[list[Event], bool]] = Together(self._read_page)

    # --- what a reader does -------------------------------------------------------------------------------------------

    def newer(self, cursor: int) -> list[Event]:
        """What the list holds after `cursor`, which must not be below the floor."""
        return self._events[bisect_right(self._cursors, cursor) :]

    async def page(self, cursor: int) -> list[Event]:
        """The next page of the log. When that is its last one, the hub goes on from there.

        One query for all the readers that want the same page at the same time, as after a restart of a server.
        """
        page, is_last = await self._pages.ask(cursor) or ([], False)
        if self.closed:
            return []
        end = self.cursor_of(page[-1]) if page else cursor
        if is_last and end < self.floor:
            self._settle(end)
        return page[:]

    def grown(self) -> asyncio.Future[None]:
        """Done when the list has grown or the tail was closed; fails with what the hub could not help."""
        if len(self._waiting) > 2 * self.readers:  # most of those that waited have left
            self._waiting = [future for future in self._waiting if not future.done()]
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        return future

    def poke(self) -> None:
        """The log may have grown."""
        self._hub.look(self)

    async def close(self) -> None:
        """Let go of the readers that wait, and of what is under way."""
        self.closed = True
        self._wake()
        await self._pages.close()
        await self._hub.leave(self)

    async def _read_page(self, cursor: int) -> tuple[list[Event], bool]:
        """And whether the log ended with it."""
        page = await self.read(cursor, self._bounds.page)
        return page, not self._has_more(page, sum(map(_size, page)), self._bounds.page)

    def _has_more(self, page: list[Event], size: int, limit: int) -> bool:
        """Whether the log may go on after a page of which `limit` events were asked for."""
        return len(page) >= limit or size >= self._bounds.page_bytes

    def _settle(self, cursor: int) -> None:
        """The log was empty after `cursor`: from here on the hub reads. It looks at once, for what came meanwhile."""
        self._drop(len(self._events))
        self.floor = self.head = cursor
        self._hub.join(self)

    # --- what the hub does --------------------------------------------------------------------------------------------

    def take(self, head: int, page: list[Event], limit: int) -> bool:
        """What was read after `head`, up to `limit` events. True when there may be more."""
        if head != self.head:
            return True  # a reader has settled elsewhere meanwhile
        if not page:
            return False
        sizes = [_size(event) for event in page]
        self._add(page, sizes)
        self._wake()
        return self._has_more(page, sum(sizes), limit)

    def fail(self, error: Exception) -> None:
        """The log could not be read."""
        self._wake(error)

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


def _size(event: Event) -> int:
    """About how many bytes it takes."""
    return _ENVELOPE + len(encode_payload(event.data))
