"""Dispatch by procrastinate: workers on any number of machines, one PostgreSQL database, a job for each head.

`sessionry.store.jobs` says when there is a job. Here a worker fetches them, tells procrastinate that it lives, and hears of
new ones by NOTIFY. Fetching and beginning are two steps: a job that is fetched is one that this worker tries to begin, and
the transaction in which it does so deletes the job. A worker that dies in between leaves one whose worker is silent; the
sweeper of any process finds it and has the head delivered again. What becomes of a run that was begun is for its lease.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import get_channel_for_queues
from psycopg import sql

from sessionry.dispatch.hands import Hands
from sessionry.domain.errors import SessionryError
from sessionry.ports import Delivery, Handler, Taken, Taker, Wake
from sessionry.store import jobs
from sessionry.store.postgres import PostgresStore

if TYPE_CHECKING:
    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager

log = logging.getLogger("sessionry.dispatch")

#: Seconds between two looks for jobs when no notification comes.
POLL = 1.0
#: Seconds until the database is asked again after it failed, at first and at most.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: Seconds that the end waits for procrastinate to hear of it.
LAST_WORDS = 2.0

_FAILURES = (psycopg.Error, ConnectorException, SessionryError, TimeoutError, OSError)


class ProcrastinateDispatch:
    """Hands the deliveries of the jobs that it fetches to the worker `taker`. See `ports.Dispatch`.

    Its questions go over the connections of the store; one connection to `conninfo` listens. It tells that it lives every
    `heartbeat` seconds.
    """

    def __init__(
        self, store: PostgresStore, conninfo: str, taker: Taker, *, heartbeat: float, poll: float = POLL
    ) -> None:
        self._store = store
        self._conninfo = conninfo
        self._taker = taker
        self._heartbeat = heartbeat
        self._poll = poll
        self._news = asyncio.Event()
        self._hands = Hands(self.look)
        self._worker_id: int | None = None
        self._fetching: asyncio.Task[Job | None] | None = None
        #: set while new jobs are heard of at once
        self.listens = asyncio.Event()

    def wake(self, wakes: Sequence[Wake]) -> None:
        """Their jobs are there already: the transaction that woke them has deferred them."""
        if wakes:
            self.look()

    def look(self) -> None:
        self._news.set()

    def is_at_work(self, run_id: str) -> bool:
        return run_id in self._hands

    async def idle(self) -> None:
        await self._hands.idle()

    def abandon(self) -> None:
        self._hands.abandon()

    @property
    def queues(self) -> list[str]:
        """The queues of jobs that it fetches from: one for each named queue and agent."""
        wanted = self._taker.wanted
        return [jobs.job_queue(queue, agent_id) for queue, agent_id in product(wanted.queues, wanted.agents)]

    async def work(self, handler: Handler, slots: int) -> None:
        """See `ports.Dispatch`."""
        manager = await jobs.manager(self._store.pool)
        beside = [
            asyncio.create_task(self._live(manager), name="dispatch: heartbeat"),
            asyncio.create_task(self._listen(), name="dispatch: listen"),
        ]
        try:
            await self._fetch_and_start(manager, handler, slots)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
            await self._leave(manager)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    async def _fetch_and_start(self, manager: JobManager, handler: Handler, slots: int) -> None:
        pause = SHORTEST_PAUSE
        while True:
            self._news.clear()
            try:
                await self._fill(manager, handler, slots)
                pause = SHORTEST_PAUSE
            except _FAILURES as error:
                log.warning("no jobs can be fetched now: %s", _reason(error))
                # What the lost answer said is not known. Under another name, what was fetched under this one is found.
                await self._leave(manager)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._news.wait()

    async def _fill(self, manager: JobManager, handler: Handler, slots: int) -> None:
        if len(self._hands) >= slots:
            return
        await asyncio.sleep(0)  # what was fetched a moment ago comes to the worker, which counts it
        room = await self._taker.room()
        while room > 0 and len(self._hands) < slots and (job := await self._fetch(manager)) is not None:
            room -= 1
            self._start(handler, job)

    async def _fetch(self, manager: JobManager) -> Job | None:
        """The next job, which is ours from then on. Whoever is cancelled meanwhile leaves it to `_leave`."""
        self._fetching = asyncio.create_task(self._fetched(manager))
        try:
            return await asyncio.shield(self._fetching)
        finally:
            if self._fetching.done():
                self._fetching = None

    async def _fetched(self, manager: JobManager) -> Job | None:
        queues = self.queues
        if not queues:
            return None
        if self._worker_id is None:
            self._worker_id = await manager.register_worker()
        return await manager.fetch_job(queues=queues, worker_id=self._worker_id)

    def _start(self, handler: Handler, job: Job) -> None:
        delivery = jobs.delivery_of(job)

        async def handle() -> None:
            await self._handle(handler, job, delivery)

        async def handle_later() -> None:
            while delivery.run_id in self._hands:
                await self._hands.ended(delivery.run_id)
            self._hands.start(delivery.run_id, handle)

        if delivery.run_id in self._hands:  # an attempt of ours that is over, but has not ended yet
            self._hands.start(f"{delivery.run_id} again, job {job.id}", handle_later)
        else:
            self._hands.start(delivery.run_id, handle)

    async def _handle(self, handler: Handler, job: Job, delivery: Delivery) -> None:
        taken = Taken.LEFT
        try:
            taken = await handler(delivery)
        finally:
            await self._let_go(job, taken)

    async def _let_go(self, job: Job, taken: Taken) -> None:
        assert job.id is not None
        if taken is Taken.BEGUN:
            return
        operation = jobs.drop(job.id) if taken is Taken.REFUSED else jobs.hand_on(job.id, str(job.queueing_lock))
        try:
            await self._store.execute(operation)
        except SessionryError as error:
            log.info("job %s is left to the sweeper: %s", job.id, error)

    # --- being there --------------------------------------------------------------------------------------------------

    async def _live(self, manager: JobManager) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            if self._worker_id is None:
                continue
            try:
                await manager.update_heartbeat(self._worker_id)
            except _FAILURES as error:
                log.debug("procrastinate did not hear that this worker lives: %s", _reason(error))

    async def _leave(self, manager: JobManager) -> None:
        """Be a worker no more. The jobs that were fetched and not begun belong to nobody from now on."""
        with suppress(*_FAILURES):
            async with asyncio.timeout(LAST_WORDS):
                if self._fetching is not None and (job := await self._fetching) is not None:
                    await self._let_go(job, Taken.LEFT)
                if self._worker_id is not None:
                    await manager.unregister_worker(self._worker_id)
        self._worker_id = self._fetching = None

    async def _listen(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            try:
                await self._hear()
                pause = SHORTEST_PAUSE
            except psycopg.Error as error:
                log.debug("the connection that listens for jobs was lost: %s", error)
            self.listens.clear()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _hear(self) -> None:
        """Until the connection is lost. Agents may come and go meanwhile."""
        heard: set[str] = set()
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            while True:
                for channel in set(get_channel_for_queues(self.queues)) - heard:
                    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                    heard.add(channel)
                    self.look()  # for what came while nobody listened
                self.listens.set()
                async for _ in connection.notifies(timeout=self._poll):
                    self.look()


def _reason(error: BaseException) -> str:
    """Procrastinate's errors say less than what they come from."""
    return " ".join(str(error.__cause__ or error).split()) or type(error).__name__
