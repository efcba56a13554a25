"""The work that is spread over the workers, and what must be true of it in the end, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise

import sessionry
from sessionry import Event, RunStatus, Sessions
from sessionry.domain import events as ev
from sessionry.domain.lifecycle import RUN_ENDED
from sessionry.testing.store_contract.invariants import check_log
from tests.distributed.agents import CATALOG, NUMBERS


class Work:
    """Sessions with queues of runs of the agent `counting`."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        #: session -> its runs, in the order of the queue
        self.queues: dict[str, list[str]] = {}

    async def submit(self, sessions: int = 20, runs: int = 20, pause: float = 0.0) -> None:
        handles = [await self.sessions.create("counting", queue_limit=1000) for _ in range(sessions)]
        for handle in handles:
            self.queues[handle.id] = [(await handle.run(str(pause))).id for _ in range(runs)]

    async def ended(self) -> int:
        counts = await self.sessions.counts()
        return sum(counts.runs.get(str(status), 0) for status in RUN_ENDED)

    async def until_ended(self, runs: int | None = None, seconds: float = 300) -> None:
        """Until so many runs have ended; None: all."""
        wanted = runs if runs is not None else sum(map(len, self.queues.values()))
        async with asyncio.timeout(seconds):
            while await self.ended() < wanted:
                await asyncio.sleep(0.05)

    async def log(self, session_id: str) -> list[Event]:
        return [event async for event in self.sessions.session(session_id).events(follow=False)]

    async def check(self) -> Found:
        """Assert that nothing was lost, doubled or mixed up; what was found."""
        found = Found()
        for session_id, queue in self.queues.items():
            await check_log(self.sessions.store, self.sessions.scope, session_id)
            log = await self.log(session_id)
            assert await self._begun_in_turn(log) == queue
            for run_id in queue:
                await self._check_run(run_id, [event for event in log if event.run_id == run_id])
            found.take(log)
        return found

    async def _begun_in_turn(self, log: list[Event]) -> list[str | None]:
        """The runs in the order in which they began; none before the one before it had ended."""
        begun = [event.run_id for event in log if isinstance(event.data, ev.RunStarted) and event.data.attempt == 1]
        places = {event.run_id: event.seq for event in log if isinstance(event.data, ev.RUN_ENDINGS)}
        starts = {event.run_id: event.seq for event in log if isinstance(event.data, ev.RunStarted)}
        for before, after in pairwise(begun):
            assert places[before] < starts[after]
        return begun

    async def _check_run(self, run_id: str, log: list[Event]) -> None:
        assert (await self.sessions.run(run_id).get()).status is RunStatus.COMPLETED
        numbers = [event.data.value for event in log if isinstance(event.data, ev.CustomRecorded)]
        assert numbers == list(range(NUMBERS))
        assert sum(isinstance(event.data, ev.RUN_ENDINGS) for event in log) == 1


class Found:
    """What a check found in the logs besides what it asserts."""

    def __init__(self) -> None:
        self.lost: list[Event] = []
        self.starts: list[Event] = []

    def take(self, log: list[Event]) -> None:
        self.lost += [event for event in log if isinstance(event.data, ev.WorkerLost)]
        self.starts += [event for event in log if isinstance(event.data, ev.RunStarted)]

    def taken_over_after(self, moment: datetime, worker_id: str) -> list[float]:
        """For each run that this worker had lost by then or soon after: seconds from `moment` to its next attempt."""
        waits = []
        for lost in self.lost:
            if not isinstance(lost.data, ev.WorkerLost) or lost.data.worker_id != worker_id:
                continue
            again = [each.at for each in self.starts if each.run_id == lost.run_id and each.seq > lost.seq]
            if again:
                waits.append((min(again) - moment).total_seconds())
        return waits


@asynccontextmanager
async def work_on(url: str) -> AsyncIterator[Work]:
    async with sessionry.open(url, agents=CATALOG, worker=False) as sessions:
        yield Work(sessions)
