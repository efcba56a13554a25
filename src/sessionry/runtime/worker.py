"""A worker: this process, as far as it works on runs. One lease for all of them, renewed by a heartbeat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from sessionry.agents.catalog import Catalog
from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.run import DEFAULT_QUEUE, AgentFacts, Run
from sessionry.ports import Agent, Bus, Delivery, Dispatch, Taken, Taker, Wanted
from sessionry.runtime.execution import Execution, Tools, error_info
from sessionry.runtime.processes import this_process
from sessionry.runtime.watchdog import Stop
from sessionry.store.operations import leases, recovery

log = logging.getLogger("sessionry.worker")

#: Of its lease, the part after which a worker that could not renew it stops its own runs.
LAST_MOMENT = 0.8
#: Seconds until a run is tried again whose claim or end the store did not take, or a lease that it did not renew.
PAUSE = 0.5


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`slots`: runs at once. `lease` and `heartbeat` in seconds. `only`: work on these sessions alone; None: on all.

    `queues`: the named queues that it serves. `agents`: of the catalog, those that it works with; None: all.
    """

    slots: int = 8
    lease: float = 15.0
    heartbeat: float = 5.0
    only: frozenset[str] | None = None
    queues: Sequence[str] = (DEFAULT_QUEUE,)
    agents: frozenset[str] | None = None


class Worker:
    """Claims runs that its agents can do, works on them, and lets go of them when it must.

    `start`, then `drain` or `close`. After `close` no run of this worker is live: each has ended or was given back.
    """

    def __init__(
        self,
        tools: Tools,
        bus: Bus,
        catalog: Catalog,
        options: WorkerOptions,
        dispatch: Callable[[Taker], Dispatch],
    ) -> None:
        self.id = ids.new_id(ids.WORKER)
        self.options = options
        self._tools = tools
        self._store = tools.store
        self._bus = bus
        self._catalog = catalog
        self._dispatch = dispatch(self)
        self._executions: dict[str, Execution] = {}
        #: the runs that it tries to begin at this moment
        self._beginning: set[str] = set()
        self._only = None if options.only is None else set(options.only)
        self._draining = False
        self._closing = False
        #: set once somebody else has asked it to drain: whoever runs it should let it go
        self.told_to_drain = asyncio.Event()
        #: attempts that it has begun
        self.begun = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._renewed = time.monotonic()
        self._registered: Sequence[str] = ()

    @property
    def at_work(self) -> int:
        return len(self._executions)

    @property
    def draining(self) -> bool:
        """Whether it takes no more runs."""
        return self._draining

    @property
    def since_renewal(self) -> float:
        """Seconds since its lease was last renewed."""
        return time.monotonic() - self._renewed

    @property
    def wanted(self) -> Wanted:
        """The runs that it could begin."""
        return Wanted(agents=self._agents(), queues=tuple(self.options.queues), sessions=sorted(self._only or ()))

    def takes(self, run: Run) -> bool:
        """Whether the run is one that it may begin, as far as its agent and its named queue go."""
        return run.agent_id in self._agents() and run.options.queue in self.options.queues

    async def start(self) -> None:
        await self._register()
        self._store.on_commit(lambda _, wakes: self._dispatch.wake(wakes))
        self._unwatch = self._bus.watch(self._poked)
        self._tasks = [
            asyncio.create_task(self._keep_lease(), name="worker heartbeat"),
            asyncio.create_task(self._work(), name="worker"),
        ]

    async def _work(self) -> None:
        while True:
            try:
                await self._dispatch.work(self._handle, self.options.slots)
            except Exception:  # a worker that renews its lease and takes no runs would be missed by nobody
                log.exception("the search for runs failed and begins again")
                await asyncio.sleep(PAUSE)

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
                if self._executions:
                    await self._tell_that_it_drains()
                await self._dispatch.idle()
        except TimeoutError:
            return False
        return True

    async def _tell_that_it_drains(self) -> None:
        """So that everybody sees it who looks at the workers."""
        try:
            await self._store.execute(leases.drain(self.id))
        except StoreFailed as error:
            log.info("nobody was told that the worker drains: %s", error)

    async def close(self) -> None:
        """Give back what is still at work, and leave. `drain` first to let it end. Cancelled, it leaves all as it is."""
        if not self._tasks:
            return
        self._draining = self._closing = True
        self._stop_all(Stop.SHUTDOWN)
        try:
            await self._dispatch.idle()
        finally:
            self._dispatch.abandon()
            for task in self._tasks:
                task.cancel()
            self._unwatch()
        await asyncio.wait(self._tasks)
        await self._dispatch.idle()
        self._tasks = []
        try:
            await self._store.execute(leases.leave(self.id))
        except StoreFailed as error:
            log.warning("the worker could not say good-bye: %s", error)

    async def _register(self) -> None:
        asked = time.monotonic()
        registration = self._registration()
        await self._store.execute(leases.register(registration, self.options.lease))
        self._registered = registration.agents
        self._renewed = asked

    def _registration(self) -> leases.Registration:
        process = this_process()
        return leases.Registration(
            worker_id=self.id,
            host=process.host,
            pid=process.pid,
            process_start=process.start,
            boot_id=process.boot_id,
            slots=self.options.slots,
            agents=self._agents(),
            queues=self.options.queues,
        )

    def _agents(self) -> Sequence[str]:
        """Those of the catalog, which may grow, that this worker works with."""
        chosen = self.options.agents
        return [id for id in self._catalog.ids() if chosen is None or id in chosen]

    async def room(self) -> int:
        """See `ports.Taker`."""
        if self._draining or self._only == set() or self._overdue():
            return 0
        beginning = len(self._beginning)  # before the store is asked: it may not count them yet
        room = await self._store.execute(leases.room())
        return self.options.slots if room is None else max(room - beginning, 0)

    async def ready(self, limit: int) -> list[Delivery]:
        """See `ports.Taker`."""
        if self._draining or self._only == set() or self._overdue():
            return []
        return await self._store.execute(leases.claimable(self.wanted, limit))

    def _poked(self, session_ids: Sequence[str] | None) -> None:
        for execution in self._executions.values():
            if session_ids is None or execution.lease.session.id in session_ids:
                execution.poke()

    async def _handle(self, delivery: Delivery) -> Taken:
        """One delivery: claim the run, work on it. Nothing to do is no error, and a lost store is the sweeper's."""
        if self._draining:
            return Taken.LEFT
        if self._overdue():  # it would have to stop what it begins, and each time is an attempt
            await asyncio.sleep(PAUSE)
            return Taken.LEFT
        self._beginning.add(delivery.run_id)
        try:
            agent_id = await self._store.execute(leases.agent_of(delivery.run_id))
            return Taken.REFUSED if agent_id is None else await self._claim(delivery, agent_id)
        except StoreFailed as error:
            log.error("run %s: %s", delivery.run_id, error)
            await asyncio.sleep(PAUSE)
            return Taken.LEFT
        except SessionryError as error:
            log.info("run %s: %s", delivery.run_id, error)  # it was purged, or taken over
            return Taken.REFUSED
        finally:
            self._beginning.discard(delivery.run_id)

    async def _claim(self, delivery: Delivery, agent_id: str) -> Taken:
        try:
            agent = self._catalog.agent(agent_id)
            facts = _facts(agent)
        except Exception as error:  # an agent may be of anybody's making
            failed = ev.RunFailed(error=error_info(error))
            return await self._refuse(delivery, AgentFacts(type=agent_id), failed)
        lease = await self._begin(delivery, facts)
        if lease is None:
            return await self._not_begun()
        await self._execute(lease, agent)
        return Taken.BEGUN

    async def _refuse(self, delivery: Delivery, facts: AgentFacts, failed: ev.RunFailed) -> Taken:
        """Fail a run that no agent can be made for."""
        lease = await self._begin(delivery, facts)
        if lease is None:
            return await self._not_begun()
        await self._store.execute(leases.finish(lease.run.id, lease.fence, failed))
        return Taken.BEGUN

    async def _begin(self, delivery: Delivery, facts: AgentFacts) -> leases.Lease | None:
        try:
            return await self._store.execute(leases.begin(delivery, self.id, facts))
        finally:
            self._beginning.discard(delivery.run_id)

    async def _not_begun(self) -> Taken:
        """There was nothing to begin, or no room for it in the whole store: then it will be tried again."""
        if await self.room():
            return Taken.REFUSED
        await asyncio.sleep(PAUSE)
        return Taken.LEFT

    async def _execute(self, lease: leases.Lease, agent: Agent) -> None:
        execution = self._executions[lease.run.id] = Execution(self._tools, lease, agent)
        self.begun += 1
        if self._closing:
            execution.stop(Stop.SHUTDOWN)
        elif self._overdue():
            execution.stop(Stop.LOST)
        try:
            await execution.execute()
        finally:
            del self._executions[lease.run.id]

    async def _keep_lease(self) -> None:
        heartbeat = pause = min(self.options.heartbeat, self.options.lease / 3)
        while True:
            await asyncio.sleep(pause)
            pause = heartbeat
            try:
                async with asyncio.timeout(self.options.lease / 3):
                    await self.renew()
            except Exception as error:  # whatever it is, a worker whose heart stands still loses all its runs
                log.warning("the lease was not renewed: %s", str(error) or "the store did not answer in time")
                pause = min(PAUSE, heartbeat)
                if self._overdue():
                    self._stop_all(Stop.LOST)

    async def renew(self) -> None:
        """The heartbeat: renew the lease, and see to it that what runs here and what the store says is the same."""
        if not self._tasks:
            return
        asked, before = time.monotonic(), dict(self._executions)
        renewal = await self._store.execute(leases.renew(self.id, self.options.lease))
        if renewal.draining:
            self._draining = True
            self.told_to_drain.set()
        feared, self._renewed = self._overdue(), asked
        for run_id, execution in before.items():
            if run_id not in renewal.runs:
                execution.stop(Stop.LOST)
        if not renewal.known or self._agents() != self._registered:
            await self._register()
            feared = True
        if feared:
            self._dispatch.look()
        for run_id in renewal.runs:
            if not self._dispatch.is_at_work(run_id):
                await self._store.execute(recovery.take_over(run_id, self.id, "abandoned"))

    def _overdue(self) -> bool:
        return self.since_renewal > self.options.lease * LAST_MOMENT

    def _stop_all(self, why: Stop) -> None:
        for execution in tuple(self._executions.values()):
            execution.stop(why)


def _facts(agent: Agent) -> AgentFacts:
    """What the log keeps of the agent, with what becomes of its run when this worker is lost."""
    facts = msgspec.structs.replace(agent.facts, takeover=agent.takeover, takeover_waiting=agent.takeover_waiting)
    return msgspec.convert(msgspec.to_builtins(facts), AgentFacts)  # nobody else has looked at it
