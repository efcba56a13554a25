"""The hub: reads what is new in all the logs that are followed in this process, in one query, and hands it to their tails.

However many readers follow however many sessions, a burst in all of them is a handful of queries: while one is under way,
and for `PAUSE` after it, the logs that may have grown gather for the next one. A poke that comes alone is followed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from sessionry.domain.errors import StoreFailed
from sessionry.domain.events import Event
from sessionry.domain.scope import Scope
from sessionry.ports import Store
from sessionry.runtime.tail import Bounds, Tail
from sessionry.store.operations import reading

#: `([(scope, session_id, after)...], limit)` -> for each session its first events beyond the cursor, at most `limit`; None
#: for one that is gone.
ReadPages = Callable[[Sequence[tuple[Scope, str, int]], int], Awaitable[Sequence[list[Event] | None]]]

#: Seconds between two queries of a hub that has much to do.
PAUSE = 0.005
#: Logs and events of one query, at most; but a log is always asked for `FEWEST`.
MOST_LOGS, MOST_EVENTS, FEWEST = 256, 4096, 8
#: Seconds after which all logs are looked at, poked or not.
POLL = 1.0
#: Seconds until what was not settled is looked at again.
SOON = 0.02


class Hub:
    """The one reader of its tails. Holds no task while it has none. Lives in one event loop.

    Without `read` each tail is read by itself, for a store that cannot do better. `poll`: after so many seconds all logs
    are looked at, poked or not. `unsettled`: whether there is more than could be read, which will come without a poke.
    """

    def __init__(
        self,
        read: ReadPages | None = None,
        poll: float = POLL,
        *,
        pause: float = PAUSE,
        page: int = Bounds().page,
        unsettled: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._read = read
        self._poll = poll
        self._pause = pause
        self._page = page
        self._unsettled = unsettled
        self._tails: dict[Tail, None] = {}
        self._dirty: dict[Tail, None] = {}
        self._news = asyncio.Event()
        self._next_poll = 0.0
        self._task: asyncio.Task[None] | None = None

    def join(self, tail: Tail) -> None:
        """Read the log of the tail from its head on. It is looked at at once."""
        self._tails[tail] = None
        if self._task is None:
            self._next_poll = asyncio.get_running_loop().time() + self._poll
            self._task = asyncio.create_task(self._run(), name="hub")
        self.look(tail)

    def look(self, tail: Tail) -> None:
        """The log of the tail may have grown. Nothing happens before it has joined."""
        if tail in self._tails:
            self._dirty[tail] = None
            self._news.set()

    async def leave(self, tail: Tail) -> None:
        """Read it no more. The last one that leaves ends the task."""
        self._tails.pop(tail, None)
        self._dirty.pop(tail, None)
        if not self._tails and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            await self._something_to_do()
            more = await self._pull()
            if not self._dirty and self._unsettled is not None:
                await self._look_again(self._unsettled)
            if not more:
                await asyncio.sleep(self._pause)

    async def _something_to_do(self) -> None:
        timer = asyncio.get_running_loop().call_at(self._next_poll, self._look_at_all)
        try:
            await self._news.wait()
        finally:
            timer.cancel()
        self._news.clear()

    def _look_at_all(self) -> None:
        self._next_poll = asyncio.get_running_loop().time() + self._poll
        self._dirty |= self._tails
        self._news.set()

    async def _look_again(self, unsettled: Callable[[], Awaitable[bool]]) -> None:
        try:
            if await unsettled():
                asyncio.get_running_loop().call_later(SOON, self._look_at_all)
        except Exception:  # whatever it is, the poll is behind it, and readers would wait for a hub that has ended
            return

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _pull(self) -> bool:
        """Read what is new in the logs that may have grown. True when there may be more."""
        tails = list(islice(self._dirty, MOST_LOGS))
        if not tails:
            return False  # those that were poked have left
        for tail in tails:
            del self._dirty[tail]
        more = await (self._one_by_one(tails) if self._read is None else self._together(tails, self._read))
        for tail in more:
            self.look(tail)
        if self._dirty:
            self._news.set()
        return bool(more)

    async def _together(self, tails: Sequence[Tail], read: ReadPages) -> list[Tail]:
        """Those that may have more."""
        heads = [tail.head for tail in tails]
        limit = max(min(self._page, MOST_EVENTS // len(tails)), FEWEST)
        try:
            pages = await read([(*tail.place, head) for tail, head in zip(tails, heads, strict=True)], limit)
        except Exception as error:
            if isinstance(error, StoreFailed) and error.code == "store_corrupt":
                return await self._one_by_one(tails)  # the damage of one log is not the others'
            for tail in tails:
                tail.fail(error)
            return []
        found = list(zip(tails, heads, pages, strict=True))
        more = [tail for tail, head, page in found if page is not None and tail.take(head, page, limit)]
        return more + await self._one_by_one([tail for tail, _, page in found if page is None])

    async def _one_by_one(self, tails: Sequence[Tail]) -> list[Tail]:
        more = []
        for tail in tails:
            head = tail.head
            try:
                page = await tail.read(head, self._page)
            except Exception as error:
                tail.fail(error)
            else:
                if tail.take(head, page, self._page):
                    more.append(tail)
        return more


def hub_of(store: Store) -> Hub:
    """The hub of everybody who follows sessions of that store in this process."""

    async def read(wanted: Sequence[tuple[Scope, str, int]], limit: int) -> Sequence[list[Event] | None]:
        return await store.execute(reading.pages(wanted, limit))

    return Hub(read, POLL)
