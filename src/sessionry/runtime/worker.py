"""A worker: this process, as far as it works on runs. One lease for all of them, renewed by a heartbeat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec

from sessionry.agents.catalog import Catalog
from sessionry.dispatch.local import LocalDispatch
from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.run import AgentFacts
from sessionry.ports import Agent, Bus, Delivery
from sessionry.runtime.execution import Execution, Stop, Tools, error_info
from sessionry.runtime.processes import this_process
from sessionry.store.operations import leases

log = logging.getLogger("sessionry.worker")

#: Of its lease, the part after which a worker that could not renew it stops its own runs.
LAST_MOMENT = 0.8


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`slots`: runs at once. `lease` and `heartbeat` in seconds. `only`: work on these sessions alone; None: on all."""

    slots: int = 8
    lease: float = 15.0
    heartbeat: float = 5.0
    only: frozenset[str] | None = None


class Worker:
    """Claims runs that its agents can do, works on them, and lets go of them when it must.

    `start`, then `drain` or `close`. After `close` no run of this worker is live: each has ended or was given back.
    """

    def __init__(self, tools: Tools, bus: Bus, catalog: Catalog, options: WorkerOptions) -> None:
        self.id = ids.new_id(ids.WORKER)
        self.options = options
        self._tools = tools
        self._store = tools.store
        self._bus = bus
        self._catalog = catalog
        self._dispatch = LocalDispatch(self._ready, bus)
        self._executions: dict[str, Execution] = {}
        self._only = None if options.only is None else set(options.only)
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._renewed = time.monotonic()
        self._registered: Sequence[str] = ()

    @property
    def at_work(self) -> int:
        return len(self._executions)

    async def start(self) -> None:
        await self._register()
        self._store.on_commit(lambda _, wakes: self._dispatch.wake(wakes))
        self._unwatch = self._bus.watch(self._poked)
        self._tasks = [
            asyncio.create_task(self._keep_lease(), name="worker heartbeat"),
            asyncio.create_task(self._dispatch.work(self._handle, self.options.slots), name="worker"),
        ]

    def admit(self, session_id: str) -> None:
        """Work on this session too, for a worker that is bound to some."""
        if self._only is not None:
            self._only.add(session_id)
            self._dispatch.look()

    async def drain(self, timeout: float | None = None) -> bool:
        """Take no more runs and wait for those at work; false when `timeout` seconds were not enough."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout):
                await self._dispatch.idle()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Give back what is still at work, and leave. `drain` first to let it end."""
        if not self._tasks:
            return
        self._draining = True
        self._stop_all(Stop.SHUTDOWN)
        await self._dispatch.idle()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._tasks = []
        self._unwatch()
        try:
            await self._store.execute(leases.leave(self.id))
        except StoreFailed as error:
            log.warning("the worker could not say good-bye: %s", error)

    async def _register(self) -> None:
        registration = self._registration()
        await self._store.execute(leases.register(registration, self.options.lease))
        self._registered = registration.agents
        self._renewed = time.monotonic()

    def _registration(self) -> leases.Registration:
        process = this_process()
        return leases.Registration(
            worker_id=self.id,
            host=process.host,
            pid=process.pid,
            process_start=process.start,
            boot_id=process.boot_id,
            slots=self.options.slots,
            agents=self._catalog.ids(),
        )

    async def _ready(self, limit: int) -> list[Delivery]:
        if self._draining or self._only == set():
            return []
        return await self._store.execute(leases.ready(self._catalog.ids(), limit, sorted(self._only or ())))

    def _poked(self, session_ids: Sequence[str] | None) -> None:
        for execution in self._executions.values():
            if session_ids is None or execution.lease.session.id in session_ids:
                execution.poke()

    async def _handle(self, delivery: Delivery) -> None:
        """One delivery: claim the run, work on it. Nothing to do is no error, and a lost store is the sweeper's."""
        try:
            agent_id = await self._store.execute(leases.agent_of(delivery.run_id))
            if agent_id is None:
                return
            agent, problem = self._agent(agent_id)
            facts = _facts(agent) if agent else AgentFacts(type=agent_id)
            lease = await self._store.execute(leases.begin(delivery, self.id, facts))
            if lease is None:
                return
            if agent is None:
                assert problem is not None
                failed = ev.RunFailed(error=error_info(problem))
                await self._store.execute(leases.finish(lease.run.id, lease.fence, failed))
                return
            await self._execute(lease, agent)
        except StoreFailed as error:
            log.error("run %s: %s", delivery.run_id, error)

    def _agent(self, agent_id: str) -> tuple[Agent | None, SessionryError | None]:
        try:
            return self._catalog.agent(agent_id), None
        except SessionryError as error:
            return None, error

    async def _execute(self, lease: leases.Lease, agent: Agent) -> None:
        execution = self._executions[lease.run.id] = Execution(self._tools, lease, agent)
        if self._tasks and self._overdue():
            execution.stop(Stop.LOST)
        try:
            await execution.execute()
        finally:
            del self._executions[lease.run.id]

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(min(self.options.heartbeat, self.options.lease / 3))
            try:
                async with asyncio.timeout(self.options.lease / 3):
                    renewal = await self._store.execute(leases.renew(self.id, self.options.lease))
            except (StoreFailed, TimeoutError) as error:
                log.warning("the lease was not renewed: %s", error or "the store did not answer in time")
                if self._overdue():
                    self._stop_all(Stop.LOST)
                continue
            if not renewal.known:
                await self._come_back()
            elif self._catalog.ids() != self._registered:
                await self._register()
            self._draining = self._draining or renewal.draining
            self._renewed = time.monotonic()

    def _overdue(self) -> bool:
        return time.monotonic() - self._renewed > self.options.lease * LAST_MOMENT

    async def _come_back(self) -> None:
        """Others gave this worker up, so its runs are theirs: it stops them and enters again with empty hands."""
        self._stop_all(Stop.LOST)
        try:
            await self._register()
        except StoreFailed as error:
            log.warning("the worker could not register again: %s", error)

    def _stop_all(self, why: Stop) -> None:
        for execution in tuple(self._executions.values()):
            execution.stop(why)


def _facts(agent: Agent) -> AgentFacts:
    """What the log keeps of the agent, with what becomes of its run when this worker is lost."""
    return msgspec.structs.replace(agent.facts, takeover=agent.takeover, takeover_waiting=agent.takeover_waiting)
