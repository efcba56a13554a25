"""Dispatch without an engine: the store's own queue, looked at whenever there may be something in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from sessionry.domain.errors import StoreFailed
from sessionry.ports import Bus, Delivery, Wake

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
        self._at_work: dict[str, asyncio.Task[None]] = {}
        #: the sessions of those: what they write is told too, and is nothing to look for
        self._busy: Counter[str] = Counter()

    def wake(self, wakes: Sequence[Wake]) -> None:
        if wakes:
            self.look()

    def look(self) -> None:
        """There may be more to do than before."""
        self._news.set()

    async def work(self, handler: Callable[[Delivery], Awaitable[None]], slots: int) -> None:
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
        return run_id in self._at_work

    async def idle(self) -> None:
        """Return when no handler is at work."""
        while self._at_work:
            await asyncio.wait(list(self._at_work.values()))

    def abandon(self) -> None:
        """Cancel the handlers that are at work."""
        for task in self._at_work.values():
            task.cancel()

    def _poked(self, session_ids: Sequence[str] | None) -> None:
        """Another process may have written. What this one woke comes by `wake`."""
        if session_ids is None or any(not self._busy[session_id] for session_id in session_ids):
            self._news.set()

    async def _fill(self, handler: Callable[[Delivery], Awaitable[None]], slots: int) -> None:
        free = slots - len(self._at_work)
        if free <= 0:
            return
        try:
            deliveries = await self._ready(free + len(self._at_work))
        except StoreFailed:
            return  # the next look will tell
        for delivery in deliveries:
            if len(self._at_work) < slots and delivery.run_id not in self._at_work:
                self._start(handler, delivery)

    def _start(self, handler: Callable[[Delivery], Awaitable[None]], delivery: Delivery) -> None:
        async def handle() -> None:
            await handler(delivery)

        task = asyncio.create_task(handle(), name=f"run {delivery.run_id}")
        self._at_work[delivery.run_id] = task
        self._busy[delivery.session_id] += 1
        task.add_done_callback(lambda done: self._ended(delivery, done))

    def _ended(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        run_id = delivery.run_id
        del self._at_work[run_id]
        self._busy -= Counter([delivery.session_id])
        self._news.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            problem = {"message": f"run {run_id} could not be handled", "exception": error, "task": task}
            task.get_loop().call_exception_handler(problem)
