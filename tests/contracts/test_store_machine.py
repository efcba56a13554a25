"""Random commands by several callers and workers: every log stays whole, and what is refused changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sessionry.domain import events as ev
from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import EventData, event_data
from sessionry.domain.run import ErrorInfo
from sessionry.ports import Appending, Delivery, Operation
from sessionry.store.open import open_store
from sessionry.store.operations import approvals, leases, recovery, runs, sessions
from sessionry.testing.store_contract import Claim, Scenario
from sessionry.testing.store_contract.scenario import FACTS, LOCAL

T = TypeVar("T")

WORKERS = ("wrk_one", "wrk_two")
PAST = datetime(2020, 1, 1, tzinfo=UTC)
picks = st.integers(0, 1000)
policies = st.sampled_from([None, "resume", "restart", "stop"])
pieces: st.SearchStrategy[EventData] = st.one_of(
    st.builds(ev.MessageStreamed, text=st.text(max_size=5)),
    st.builds(ev.ToolCallStarted, tool_call_id=st.sampled_from("abc"), tool_name=st.just("bash")),
    st.builds(ev.ToolCallCompleted, tool_call_id=st.sampled_from("abc"), tool_name=st.just("bash")),
    st.just(ev.TurnCompleted()),
)
submissions = st.fixed_dictionaries(
    {
        "priority": st.integers(-1, 1),
        "takeover": policies,
        "takeover_waiting": policies,
        "deadline": st.sampled_from([None, None, None, PAST]),
    }
)
managing = st.sampled_from(["started", "paused", "resumed", "completed", "slots", "end", "delete", "restore"])
endings: st.SearchStrategy[EventData] = st.sampled_from(
    [
        ev.RunCompleted(text="done"),
        ev.RunFailed(error=ErrorInfo(code="agent_failed", message="boom")),
        ev.RunCancelled(),
        ev.RunTimeout(limit="timeout"),
    ]
)


def pick(items: Sequence[T], index: int) -> T:
    """One of the items, the newest ones more often."""
    return items[-1 - index % 97 % min(len(items), 1 + index % 7)]


class StoreMachine(RuleBasedStateMachine):
    """One store, driven at random. What a command must answer is worked out from the rows that were there before."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.scenario = Scenario(self.run(open_store(url)))
        self.queued: list[str] = []
        self.claims: list[Claim] = []
        self.asked: list[str] = []
        self.deliveries: list[Delivery] = []
        self.appended: list[tuple[Appending, list[int]]] = []
        self.seen: list[Any] = []

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def do(self, operation: Operation[T]) -> T:
        return self.run(self.scenario.do(operation))

    def attempt(self, work: Awaitable[T]) -> T | SessionryError:
        """What came of it. A refusal must have changed nothing."""
        result: T | SessionryError
        try:
            result = self.run(work)
        except SessionryError as error:
            result = error
        if isinstance(result, SessionryError):
            self.nothing_changed()
        return result

    def nothing_changed(self) -> None:
        assert self.run(self.scenario.everything()) == self.seen

    def holds(self, claim: Claim) -> bool:
        run = self.run(self.scenario.run(claim.run_id))
        return run.live and run.fence == claim.fence

    def claim(self, index: int) -> Claim:
        """One whose lease is not over, begun now if there is none; once in a while one whose lease is over."""
        if index % 5 == 0:
            return pick(self.claims, index)
        if not any(self.holds(claim) for claim in self.claims):
            self.work(index, WORKERS[index % 2])
            self.seen = self.run(self.scenario.everything())
        return pick([claim for claim in self.claims if self.holds(claim)] or self.claims, index)

    @initialize(slots=st.integers(1, 2), fields=submissions)
    def begin_with_something(self, slots: int, fields: dict[str, Any]) -> None:
        self.run(self.scenario.create(slots=slots, queue_limit=3))
        self.seen = self.run(self.scenario.everything())
        self.submit(0, fields)
        self.work(0, WORKERS[0])

    @invariant()
    def every_log_is_whole(self) -> None:
        self.run(self.scenario.check())
        self.seen = self.run(self.scenario.everything())

    def teardown(self) -> None:
        self.run(self.scenario.store.close())
        self.runner.close()

    # --- callers ---

    @property
    def made(self) -> list[str]:
        return list(self.scenario.made)

    @rule(slots=st.integers(1, 2), parent=st.none() | picks)
    @precondition(lambda self: len(self.made) < 3)
    def create(self, slots: int, parent: int | None) -> None:
        above = None if parent is None else pick(self.made, parent)
        self.attempt(self.scenario.create(slots=slots, queue_limit=3, parent=above))

    @rule(index=picks, fields=submissions)
    def submit(self, index: int, fields: dict[str, Any]) -> None:
        queued = self.attempt(self.scenario.submit(pick(self.made, index), max_attempts=2, **fields))
        if isinstance(queued, str):
            self.queued.append(queued)

    @rule(index=picks, what=managing)
    def manage(self, index: int, what: str) -> None:
        session_id = pick(self.made, index)
        match what:
            case "delete":
                self.attempt(self.scenario.do(sessions.delete(LOCAL, session_id)))
            case "restore":
                self.attempt(self.scenario.do(sessions.restore(LOCAL, session_id)))
            case "end":
                self.attempt(self.scenario.end(session_id, cascade=index % 2 == 0))
            case "slots":
                slots = index % 4
                done = self.attempt(self.scenario.do(sessions.update(LOCAL, session_id, {"slots": slots})))
                assert slots or isinstance(done, SessionryError)
            case _:
                self.attempt(self.scenario.change(session_id, event_data(f"session_{what}", {})))

    @rule(index=picks)
    @precondition(lambda self: self.queued)
    def cancel(self, index: int) -> None:
        run_id = pick(self.queued, index)
        over = self.run(self.scenario.run(run_id)).ended
        assert isinstance(self.attempt(self.scenario.cancel(run_id)), SessionryError) == over

    @rule(index=picks)
    @precondition(lambda self: self.queued)
    def steer(self, index: int) -> None:
        run_id = pick(self.queued, index)
        live = self.run(self.scenario.run(run_id)).live
        done = self.attempt(self.scenario.do(runs.steer(LOCAL, run_id, "left")))
        assert isinstance(done, SessionryError) != live

    @rule(index=picks, approved=st.booleans())
    @precondition(lambda self: self.asked)
    def decide(self, index: int, approved: bool) -> None:
        approval = self.run(self.scenario.approval(pick(self.asked, index)))
        done = self.attempt(self.scenario.decide(approval.id, approved))
        is_open = approval.status is ApprovalStatus.PENDING and approval.expires_at is None
        assert isinstance(done, SessionryError) != is_open

    # --- workers ---

    @rule(index=picks, worker=st.sampled_from(WORKERS))
    def work(self, index: int, worker: str) -> None:
        """Begin what is offered."""
        heads = [run_id for session_id in self.made for run_id in self.run(self.scenario.ready(session_id))]
        if heads:
            self._begin(pick(heads, index), worker, 0)

    @rule(index=picks, worker=st.sampled_from(WORKERS), stale=st.integers(0, 3))
    @precondition(lambda self: self.queued)
    def begin(self, index: int, worker: str, stale: int) -> None:
        """Begin anything: the next delivery of a run, or an old one."""
        self._begin(pick(self.queued, index), worker, stale)

    def _begin(self, run_id: str, worker: str, stale: int) -> None:
        run = self.run(self.scenario.run(run_id))
        newest = max((each.number for each in self.deliveries if each.run_id == run.id), default=0)
        delivery = Delivery(run.session_id, run.id, newest + 1 - stale)
        is_head = run.id in self.run(self.scenario.ready(run.session_id))
        lease = self.do(leases.begin(delivery, worker, FACTS))
        again = bool(stale == 1 and newest and run.live and run.worker_id == worker)
        assert (lease is not None) == ((stale == 0 and is_head) or again)
        if lease is None or again:
            self.nothing_changed()
        if lease is not None:
            self.claims.append(Claim(run.id, run.session_id, lease.fence, lease.seq))
            self.deliveries += [] if again else [delivery]

    @rule(index=picks, data=st.lists(pieces, min_size=1, max_size=3))
    @precondition(lambda self: self.claims)
    def append(self, index: int, data: list[EventData]) -> None:
        """By whoever has the run, or by somebody who had it once."""
        claim = self.claim(index)
        holds = self.holds(claim)
        request = claim.appending(*data)
        seqs = self.attempt(self.scenario.store.append(request))
        if isinstance(seqs, SessionryError):
            assert seqs.code == ("stale_sequence" if holds else "fenced")
            return
        assert holds
        claim.after = seqs[-1]
        self.appended.append((request, seqs))

    @rule(index=picks)
    @precondition(lambda self: self.appended)
    def repeat(self, index: int) -> None:
        """An append whose answer was lost, perhaps long ago."""
        request, seqs = pick(self.appended, index)
        answer = self.attempt(self.scenario.store.append(request))
        self.nothing_changed()
        assert isinstance(answer, SessionryError) or answer == seqs

    @rule(index=picks, key=st.sampled_from("12"), timeout=st.sampled_from([None, None, 0]))
    @precondition(lambda self: self.claims)
    def ask(self, index: int, key: str, timeout: float | None) -> None:
        claim = self.claim(index)
        holds = self.holds(claim)
        approval = self.attempt(self.scenario.ask(claim, key, timeout=timeout))
        if isinstance(approval, SessionryError):
            assert (approval.code, holds) == ("fenced", False)
        elif approval.id not in self.asked:
            self.asked.append(approval.id)

    @rule(index=picks, question=picks)
    @precondition(lambda self: self.asked)
    def go_on(self, index: int, question: int) -> None:
        claim = self.claim(index)
        holds = self.holds(claim)
        approval = self.run(self.scenario.approval(pick(self.asked, question)))
        assert isinstance(self.attempt(self.scenario.go_on(claim, approval)), SessionryError) != holds

    @rule(index=picks, ending=endings)
    @precondition(lambda self: self.claims)
    def finish(self, index: int, ending: EventData) -> None:
        claim = self.claim(index)
        holds = self.holds(claim)
        done = self.attempt(self.scenario.finish(claim, ending))
        if isinstance(done, SessionryError):
            assert (done.code, holds) == ("fenced", False)
        elif not holds:
            self.nothing_changed()  # it was a repeat

    @rule(index=picks, worker=st.sampled_from(WORKERS))
    @precondition(lambda self: self.claims)
    def take_over(self, index: int, worker: str) -> None:
        run = self.run(self.scenario.run(self.claim(index).run_id))
        action = self.do(recovery.take_over(run.id, worker, "lease_expired"))
        assert (action is not None) == (run.live and run.worker_id == worker)

    @rule(index=picks)
    @precondition(lambda self: self.claims)
    def give_back(self, index: int) -> None:
        claim = self.claim(index)
        holds = self.holds(claim)
        done = self.attempt(self.scenario.do(recovery.give_back(claim.run_id, claim.fence)))
        assert isinstance(done, SessionryError) != holds

    @rule(index=picks)
    @precondition(lambda self: self.asked)
    def expire(self, index: int) -> None:
        approval = self.run(self.scenario.approval(pick(self.asked, index)))
        over = approval.status is ApprovalStatus.PENDING and approval.expires_at is not None
        assert self.do(approvals.expire(approval.id)) == over

    @rule(index=picks)
    @precondition(lambda self: self.queued)
    def end_overdue(self, index: int) -> None:
        run = self.run(self.scenario.run(pick(self.queued, index)))
        late = run.options.deadline is not None and not run.ended and run.worker_id is None
        assert self.do(recovery.end_overdue(run.id)) == late

    @rule(index=picks, data=st.lists(pieces, min_size=1, max_size=2), ending=endings)
    @precondition(lambda self: self.claims)
    def race(self, index: int, data: list[EventData], ending: EventData) -> None:
        """Everything at once to one run."""
        claim = self.claim(index)
        rivals: list[Awaitable[Any]] = [
            self.scenario.store.append(claim.appending(*data)),
            self.scenario.store.append(claim.appending(*data)),
            self.scenario.finish(claim, ending),
            self.scenario.cancel(claim.run_id),
            self.scenario.lose(claim, worker=WORKERS[index % 2]),
            self.scenario.submit(claim.session_id),
        ]
        rivals = rivals[index % 6 :] + rivals[: index % 6]

        async def together() -> list[Any]:
            return await asyncio.gather(*rivals, return_exceptions=True)

        done = self.run(together())
        assert all(isinstance(each, SessionryError) for each in done if isinstance(each, BaseException)), done
        self.queued += [each for each in done if isinstance(each, str) and each.startswith("run_")]


def machine(url: str, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(url),  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_commands_keep_every_log_whole_in_memory() -> None:
    machine("memory://", 60, 50)


def test_random_commands_keep_every_log_whole_in_postgresql(postgres_url: str) -> None:
    machine(postgres_url, 6, 30)
