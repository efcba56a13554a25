"""The work that is spread over the workers, and what must be true of it in the end, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise

import msgspec

import sessionry
from sessionry import Event, RunStatus, Sessions
from sessionry.domain import events as ev
from sessionry.domain.lifecycle import RUN_ENDED
from sessionry.testing.store_contract.invariants import check_log
from tests.distributed.agents import CATALOG, NUMBERS, numbers
from tests.distributed.fleet import LEASE, WorkerProcess


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
        assert numbers(log) == list(range(NUMBERS))
        assert sum(isinstance(event.data, ev.RUN_ENDINGS) for event in log) == 1


class Attempt(msgspec.Struct):
    """One attempt at a run, as the log tells it."""

    run_id: str
    number: int
    worker_id: str
    began: datetime
    #: numbers that it has said
    said: int = 0
    completed: bool = False
    #: when and why it was taken from its worker
    lost: datetime | None = None
    why: str = ""
    #: when the next attempt began
    again: datetime | None = None


def taken_over(attempts: list[Attempt], moment: datetime, away: float = 0.0) -> str:
    """Assert that each of them was begun anew within the lease and 2 s of the loss of its worker; the figures.

    `away`: seconds for which the database was away from that moment on. While it is, nothing can be written anywhere.
    """
    assert attempts
    lost = [(each.lost - moment).total_seconds() for each in attempts if each.lost]
    again = [(each.again - moment).total_seconds() for each in attempts if each.again]
    assert len(again) == len(attempts)
    told = f"{len(attempts)} runs given up after {max(lost):.1f} s and begun anew after {max(again):.1f} s at most"
    told += f", the database away for {away:.1f} s" if away else ""
    assert max(again) <= max(LEASE, away) + 2, told
    return told


def shut_out(worker: WorkerProcess, attempts: list[Attempt]) -> None:
    """Assert that the worker itself was refused in each of them that it was in the middle of."""
    at_it = {(each.run_id, each.number) for each in attempts if 0 < each.said < NUMBERS}
    assert at_it
    assert at_it <= worker.shut_out


class Found:
    """What a check found in the logs besides what it asserts."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def take(self, log: list[Event]) -> None:
        newest: dict[str | None, Attempt] = {}
        for event in log:
            self._take(event, newest)

    def _take(self, event: Event, newest: dict[str | None, Attempt]) -> None:
        match event.data:
            case ev.RunStarted(attempt=number, worker_id=worker_id):
                if before := newest.get(event.run_id):
                    before.again = event.at
                newest[event.run_id] = Attempt(str(event.run_id), number, worker_id, event.at)
                self.attempts.append(newest[event.run_id])
            case ev.CustomRecorded(name="n"):
                newest[event.run_id].said += 1
            case ev.WorkerLost(reason=why):
                newest[event.run_id].lost, newest[event.run_id].why = event.at, why
            case ev.RunCompleted():
                newest[event.run_id].completed = True

    @property
    def lost(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.lost is not None]

    def lost_at(self, moment: datetime, worker_id: str | None = None) -> list[Attempt]:
        """What this worker, or any, had in hand at that moment, and was taken from it."""
        return [each for each in self.lost if each.began < moment and worker_id in (None, each.worker_id)]

    def completed_by(self, worker_id: str, since: datetime) -> list[Attempt]:
        """What this worker has begun later than that, and brought to its end."""
        return [each for each in self.attempts if each.worker_id == worker_id and each.began > since and each.completed]


@asynccontextmanager
async def work_on(url: str) -> AsyncIterator[Work]:
    async with sessionry.open(url, agents=CATALOG, worker=False) as sessions:
        yield Work(sessions)
