"""Dispatch without an engine: the store's own queue, looked at whenever there may be something in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from sessionry.dispatch.hands import Hands
from sessionry.domain.errors import StoreFailed
from sessionry.ports import Bus, Delivery, Handler, Wake

#: `limit` -> the runs that can begin now, first things first.
Ready = Callable[[int], Awaitable[list[Delivery]]]

#: Seconds between two looks when no poke comes, and between two looks at least.
POLL = 1.0
SHORTEST_PAUSE = 0.02


class LocalDispatch:
    """Hands this process's slots the runs that are ready, its own and those that other processes submitted."""

    def __init__(self, ready: Ready, bus: Bus, *, poll: float = POLL) -> None:
        self._ready = ready
        self._bus = bus
        self._poll = poll
        self._news = asyncio.Event()
        self._hands = Hands(self.look)
        #: the sessions of the runs at work: what they write is told too, and is nothing to look for
        self._busy: Counter[str] = Counter()

    def wake(self, wakes: Sequence[Wake]) -> None:
        if wakes:
            self.look()

    def look(self) -> None:
        """There may be more to do than before."""
        self._news.set()

    async def work(self, handler: Handler, slots: int) -> None:
        """Until cancelled; the handlers that are at work then go on, and `idle` waits for them."""
        unwatch = self._bus.watch(self._poked)
        try:
            while True:
                self._news.clear()
                await self._fill(handler, slots)
                await asyncio.sleep(SHORTEST_PAUSE)
                try:
                    async with asyncio.timeout(self._poll):
                        await self._news.wait()
                except TimeoutError:
                    continue
        finally:
            unwatch()

    def is_at_work(self, run_id: str) -> bool:
        return run_id in self._hands

    async def idle(self) -> None:
        await self._hands.idle()

    def abandon(self) -> None:
        self._hands.abandon()

    def _poked(self, session_ids: Sequence[str] | None) -> None:
        """Another process may have written. What this one woke comes by `wake`."""
        if session_ids is None or any(not self._busy[session_id] for session_id in session_ids):
            self._news.set()

    async def _fill(self, handler: Handler, slots: int) -> None:
        free = slots - len(self._hands)
        if free <= 0:
            return
        try:
            deliveries = await self._ready(free + len(self._hands))
        except StoreFailed:
            return  # the next look will tell
        for delivery in deliveries:
            if len(self._hands) < slots and delivery.run_id not in self._hands:
                self._start(handler, delivery)

    def _start(self, handler: Handler, delivery: Delivery) -> None:
        async def handle() -> None:
            try:
                await handler(delivery)  # what was left or refused is found again, as long as it is ready
            finally:
                self._busy -= Counter([delivery.session_id])

        self._busy[delivery.session_id] += 1
        self._hands.start(delivery.run_id, handle)
