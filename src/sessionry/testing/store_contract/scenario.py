"""A short language for the tests of stores: a caller and its workers, who remember what they did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from sessionry.domain import events as ev
from sessionry.domain.approval import Approval
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import Event, EventData
from sessionry.domain.queries import Appended
from sessionry.domain.run import AgentFacts, Run, RunOptions
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Appending, Delivery, Operation, Store, Wanted
from sessionry.store.operations import approvals, leases, reading, recovery, runs, sessions
from sessionry.testing.store_contract.invariants import check_log, read_log

T = TypeVar("T")

LOCAL = Scope()
AGENT = "agent"
WORKER = "wrk_one"
FACTS = AgentFacts(type="test", capabilities=["steer"])


@dataclass
class Claim:
    """A run in a worker's hands. `after` is the `seq` of the newest event under its fence."""

    run_id: str
    session_id: str
    fence: int
    after: int

    def appending(self, *data: EventData) -> Appending:
        return Appending(self.run_id, self.fence, self.after, data)


class Scenario:
    """Callers and workers of one store. `check` asserts what `check_log` promises of every session that was made."""

    def __init__(self, store: Store, scope: Scope = LOCAL, made: dict[str, Scope] | None = None) -> None:
        self.store = store
        self.scope = scope
        #: session id -> the scope that it was made in; shared with the callers made by `to`
        self.made = {} if made is None else made

    def to(self, scope: Scope) -> Scenario:
        """Another caller, of another scope."""
        return Scenario(self.store, scope, self.made)

    async def do(self, operation: Operation[T]) -> T:
        return await self.store.execute(operation)

    # --- callers ---

    async def create(self, agent_id: str = AGENT, *, parent: str | None = None, **fields: Any) -> str:
        session = Session.new(agent_id=agent_id, parent_session_id=parent, **fields)
        created = await self.do(sessions.create(self.scope, session, parent=parent))
        self.made[created.session_id] = self.scope
        return created.session_id

    async def submit(
        self, session_id: str, input: Any = "hello", *, priority: int = 0, agent_id: str | None = None, **options: Any
    ) -> str:
        submission = runs.Submission(input=input, priority=priority, agent_id=agent_id, options=RunOptions(**options))
        submitted = await self.do(runs.submit(self.scope, session_id, submission))
        assert submitted.run_id is not None
        return submitted.run_id

    async def cancel(self, run_id: str, **fields: Any) -> Appended:
        return await self.do(runs.cancel(self.scope, run_id, ev.RunCancelRequested(**fields)))

    async def change(self, session_id: str, data: EventData) -> Appended:
        return await self.do(sessions.change_status(self.scope, session_id, data))

    async def end(self, session_id: str, data: EventData | None = None, *, cascade: bool = False) -> Appended:
        return await self.do(sessions.end(self.scope, session_id, data or ev.SessionCancelled(), cascade=cascade))

    async def decide(self, approval_id: str, approved: bool = True, by: str | None = "ann") -> Appended:
        return await self.do(approvals.decide(self.scope, approval_id, approved=approved, by=by))

    async def session(self, session_id: str) -> Session:
        return await self.do(sessions.get(self.scope, session_id, deleted=True))

    async def run(self, run_id: str) -> Run:
        return await self.do(runs.get(self.scope, run_id))

    async def approval(self, approval_id: str) -> Approval:
        return await self.do(approvals.get(self.scope, approval_id))

    async def log(self, session_id: str) -> list[Event]:
        return await read_log(self.store, self.scope, session_id)

    async def types(self, session_id: str, run_id: str | None = None) -> list[str]:
        """The types of the events, of that run only if one is given."""
        return [event.type for event in await self.log(session_id) if run_id in (None, event.run_id)]

    # --- workers ---

    async def ready(self, session_id: str, agents: Sequence[str] = (AGENT,), queues: Sequence[str] = ()) -> list[str]:
        return [
            delivery.run_id
            for delivery in await self.do(
                leases.ready(Wanted(agents=agents, queues=queues, sessions=[session_id]), 100)
            )
        ]

    async def begin(self, run_id: str, *, worker: str = WORKER, number: int | None = None) -> leases.Lease | None:
        """Try to begin a delivery of the run: of that number, or the next one."""
        session_id = (await self.run(run_id)).session_id
        if number is None:
            deliveries = await self.do(leases.ready(Wanted(agents=[AGENT], sessions=[session_id]), 100))
            number = next((each.number for each in deliveries if each.run_id == run_id), 1)
        return await self.do(leases.begin(Delivery(session_id, run_id, number), worker, FACTS))

    async def claim(self, run_id: str, *, worker: str = WORKER, number: int | None = None) -> Claim:
        lease = await self.begin(run_id, worker=worker, number=number)
        assert lease is not None, "the run could not be begun"
        return Claim(run_id, lease.session.id, lease.fence, lease.seq)

    async def work(self, **fields: Any) -> Claim:
        """A new session with one run, begun."""
        return await self.claim(await self.submit(await self.create(), **fields))

    async def append(self, claim: Claim, *data: EventData) -> list[int]:
        seqs = await self.store.append(claim.appending(*data))
        claim.after = seqs[-1]
        return seqs

    async def ask(self, claim: Claim, key: str = "1", **fields: Any) -> Approval:
        question = approvals.Question(**({"key": key, "tool_name": "delete", "tool_input": {"path": "x"}} | fields))
        approval, seqs = await self.do(approvals.ask(claim.run_id, claim.fence, question))
        claim.after = max([claim.after, *seqs])
        return approval

    async def go_on(self, claim: Claim, approval: Approval) -> None:
        seqs = await self.do(approvals.go_on(claim.run_id, claim.fence, approval.id))
        claim.after = max([claim.after, *seqs])

    async def finish(self, claim: Claim, data: EventData | None = None) -> Event:
        return await self.do(leases.finish(claim.run_id, claim.fence, data or ev.RunCompleted(text="done")))

    async def lose(self, claim: Claim, *, worker: str = WORKER) -> str | None:
        """The worker of the claim is gone, and a sweeper takes its run over."""
        return await self.do(recovery.take_over(claim.run_id, worker, "lease_expired"))

    async def finished(self, session_id: str) -> str:
        """A run of the session that was submitted, begun and completed."""
        run_id = await self.submit(session_id)
        await self.finish(await self.claim(run_id))
        return run_id

    # --- what must hold ---

    async def settled(self) -> None:
        """Wait until readers of all sessions are given all that was written.

        A transaction of anybody on the same PostgreSQL server delays that, also one in another database.
        """
        async with asyncio.timeout(60):
            while await self.do(reading.unsettled()):  # noqa: ASYNC110  only the database can tell
                await asyncio.sleep(0.01)

    async def check(self) -> None:
        for session_id, scope in self.made.items():
            await check_log(self.store, scope, session_id)

    async def everything(self) -> list[Any]:
        """All there is to see of the sessions that were made: logs, rows and questions."""
        seen: list[Any] = []
        for session_id, scope in self.made.items():
            caller = self.to(scope)
            log = await caller.log(session_id)
            asked = [event.data.approval_id for event in log if isinstance(event.data, ev.ToolApprovalRequested)]
            begun = [event.run_id for event in log if isinstance(event.data, ev.RunQueued) and event.run_id]
            seen += [await caller.session(session_id), log, await self.ready(session_id)]
            seen += [await caller.run(run_id) for run_id in begun]
            seen += [await caller.approval(approval_id) for approval_id in asked]
        return seen

    @asynccontextmanager
    async def refused(self, *codes: str) -> AsyncIterator[pytest.ExceptionInfo[SessionryError]]:
        """What is done in here is refused with one of the codes, and has changed nothing."""
        before = await self.everything()
        with pytest.raises(SessionryError) as caught:
            yield caught
        assert caught.value.code in codes
        assert await self.everything() == before


class Contract:
    """What every class of the suite has: a `scenario` on the `store`, whose logs are checked when the test is over."""

    pytestmark = pytest.mark.asyncio

    @pytest_asyncio.fixture
    async def scenario(self, store: Store) -> AsyncIterator[Scenario]:
        scenario = Scenario(store)
        yield scenario
        await scenario.check()
