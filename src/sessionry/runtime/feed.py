"""The feed: live and replay are one thing.

A reader owns its cursor. It reads the log from there until the log is empty, then waits until the log may have grown,
then reads again. The log is the only truth: a poke merely says "look", so a lost one costs the slow poll and nothing
else, and it does not matter who wrote, in which process, or how often a poke was doubled.

Readers that have come to the end of the same log share a *tail*, so that many readers do not mean many queries:

    log ......................|<-- the newest events, in memory -->|
                            floor                                 head
        ^ reads pages itself        ^ takes slices                 ^ waits

The hub reads what is new, once, for all tails that may have grown, and wakes the readers that wait, once per page. Every
event of the log with `floor < cursor <= head` is in the list; where that is not sure, the list is emptied and it starts
again. A reader below the floor reads pages from the log until it is above it. So memory depends neither on the speed of a
reader nor on the length of the log, and each reader gets each event once, in order, whatever happens to the tail meanwhile.

Cursors ascend, but have holes (deltas that were pruned): nothing here counts on the next number.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from operator import attrgetter

from sessionry.domain.errors import Conflict
from sessionry.domain.events import Event
from sessionry.domain.scope import Scope
from sessionry.ports import Bus
from sessionry.runtime.hub import Hub
from sessionry.runtime.tail import Bounds, ReadLog, Tail

#: `(session_id, after, limit)` -> what `ReadLog` promises, for one session.
ReadPage = Callable[[str, int, int], Awaitable[list[Event]]]

_BOUNDS = Bounds()


class Feed:
    """Follows sessions, and all sessions at once, in one event loop. Holds no task while nobody follows anything.

    `hub` reads the sessions, in the scope, and may be that of other feeds too; without it each is read by itself.
    `read_all` reads the log of all sessions, by position; without it only sessions can be followed. `unsettled` says of
    that what `Hub` wants to know. `poll`: where there is no hub, a log is read anyway every so many seconds.
    """

    def __init__(
        self,
        read_page: ReadPage,
        bus: Bus,
        poll: float = 1.0,
        *,
        read_all: ReadLog | None = None,
        unsettled: Callable[[], Awaitable[bool]] | None = None,
        hub: Hub | None = None,
        scope: Scope | None = None,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._read_page = read_page
        self._read_all = read_all
        self._unsettled = unsettled
        self._bus = bus
        self._hub = hub
        self._scope = scope or Scope()
        self._poll = poll
        self._bounds = bounds
        self._tails: dict[str | None, Tail] = {}
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

    def _join(self, key: str | None) -> Tail:
        if self._closed:
            raise Conflict("invalid_operation", "the feed is closed")
        tail = self._tails.get(key) or self._tail(key)
        self._tails[key] = tail
        if self._unwatch is None:
            self._unwatch = self._bus.watch(self._poked)
        tail.readers += 1
        return tail

    async def _leave(self, key: str | None, tail: Tail) -> None:
        tail.readers -= 1
        if tail.readers:
            return
        if self._tails.get(key) is tail:
            del self._tails[key]
            self._rest()
        await tail.close()

    def _tail(self, key: str | None) -> Tail:
        if key is not None:
            hub = self._hub or Hub(poll=self._poll, pause=0, page=self._bounds.page)
            return Tail((self._scope, key), partial(self._read_page, key), attrgetter("seq"), hub, self._bounds)
        if self._read_all is None:
            raise Conflict("invalid_operation", "this feed follows single sessions only")
        hub = Hub(poll=self._poll, pause=0, page=self._bounds.page, unsettled=self._unsettled)
        return Tail((self._scope, ""), self._read_all, attrgetter("position"), hub, self._bounds)

    def _rest(self) -> None:
        if not self._tails and self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _poked(self, session_ids: Sequence[str] | None) -> None:
        for key in self._tails if session_ids is None else (*session_ids, None):
            if tail := self._tails.get(key):
                tail.poke()
