"""The log is the truth: whatever list of events comes, it folds as the tables allow or is refused whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sessionry.domain import events as ev
from sessionry.domain.errors import Conflict, InvalidInput, InvalidTransition, SessionryError
from sessionry.domain.events import Event, EventData
from sessionry.domain.fold import STATE_EVENTS, fold, fold_run, fold_session
from sessionry.domain.lifecycle import RUN_ENDED, RUN_TRANSITIONS, SESSION_TRANSITIONS, RunStatus, SessionStatus
from sessionry.domain.run import AgentFacts, CancelMode, CancelRequest, ErrorInfo, Run, RunOptions
from sessionry.domain.session import Session
from sessionry.domain.usage import Usage

from .strategies import payloads

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ERROR = ErrorInfo(code="agent_failed", message="no")
USED = ev.TokenUsageUpdated(usage=Usage(input_tokens=3, output_tokens=1), cost=Decimal("0.1"))

SESSION_MOVES: dict[str, tuple[EventData, SessionStatus, set[SessionStatus]]] = {
    data.type: (data, new, {SessionStatus(old) for old in sources})
    for data, new, sources in (
        (ev.SessionStarted(), SessionStatus.ACTIVE, ["pending"]),
        (ev.SessionResumed(), SessionStatus.ACTIVE, ["paused"]),
        (ev.SessionPaused(), SessionStatus.PAUSED, ["active"]),
        (ev.SessionCompleted(), SessionStatus.COMPLETED, ["active"]),
        (ev.SessionFailed(error=ERROR), SessionStatus.FAILED, ["pending", "active", "paused"]),
        (ev.SessionCancelled(), SessionStatus.CANCELLED, ["pending", "active", "paused"]),
    )
}
RUN_MOVES: dict[str, tuple[EventData, RunStatus, set[RunStatus]]] = {
    data.type: (data, new, {RunStatus(old) for old in sources})
    for data, new, sources in (
        (ev.RunStarted(attempt=1, worker_id="wrk_1"), RunStatus.RUNNING, ["pending"]),
        (ev.RunResumed(), RunStatus.RUNNING, ["waiting"]),
        (ev.RunWaiting(), RunStatus.WAITING, ["running"]),
        (ev.RunRequeued(reason="worker_lost"), RunStatus.PENDING, ["running", "waiting"]),
        (ev.RunCompleted(text="done"), RunStatus.COMPLETED, ["running"]),
        (ev.RunFailed(error=ERROR), RunStatus.FAILED, ["pending", "running", "waiting"]),
        (ev.RunCancelled(), RunStatus.CANCELLED, ["pending", "running", "waiting"]),
        (ev.RunTimeout(limit="timeout"), RunStatus.TIMEOUT, ["pending", "running", "waiting"]),
    )
}
MOVES = [data for data, _, _ in (*SESSION_MOVES.values(), *RUN_MOVES.values())]
NEWS: list[EventData] = [
    ev.SessionUpdated(title="t"),
    ev.SessionDeleted(),
    ev.SessionRestored(),
    ev.RunQueued(agent_id="a"),
    ev.RunCancelRequested(),
    ev.TurnCompleted(),
    ev.WorkerLost(worker_id="wrk_1", action="requeued"),
    USED,
    ev.MessageReceived(text="hi"),
]


def event(data: EventData, run: str | None = None, *, at: datetime = NOON, **fields: Any) -> Event:
    return msgspec.structs.replace(Event.new(session_id="ses_1", run_id=run, data=data, now=at), **fields)


def a_log(*data: EventData) -> list[Event]:
    """A session that has begun and a run in it, then what happened to the run."""
    begun = [event(ev.SessionCreated(agent_id="a")), event(ev.SessionStarted())]
    return [*begun, event(ev.RunQueued(agent_id="a", input="hi"), "run_1"), *(event(each, "run_1") for each in data)]


def the_run(*data: EventData) -> Run:
    return fold(a_log(*data))[1]["run_1"]


def a_session(status: SessionStatus) -> Session:
    return msgspec.structs.replace(Session.new(id="ses_1", agent_id="a", now=NOON), status=status)


def a_run(status: RunStatus) -> Run:
    return msgspec.structs.replace(Run.new(id="run_1", session_id="ses_1", now=NOON), status=status)


# --- the tables -------------------------------------------------------------------------------------------------------


def test_the_moves_of_this_file_are_the_tables() -> None:
    for moves, table in ((SESSION_MOVES, SESSION_TRANSITIONS), (RUN_MOVES, RUN_TRANSITIONS)):
        pairs = {(old, new) for _, new, sources in moves.values() for old in sources}
        assert pairs == {(old, new) for old, ways in table.items() for new in ways}


@pytest.mark.parametrize("status", SessionStatus)
@pytest.mark.parametrize("type", SESSION_MOVES)
def test_a_session_moves_as_the_table_says(type: str, status: SessionStatus) -> None:
    data, new, sources = SESSION_MOVES[type]
    check_move(a_session(status), status in sources, new, lambda session: fold_session(session, event(data)))


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("type", RUN_MOVES)
def test_a_run_moves_as_the_table_says(type: str, status: RunStatus) -> None:
    data, new, sources = RUN_MOVES[type]
    check_move(a_run(status), status in sources, new, lambda run: fold_run(run, event(data, "run_1")))


def check_move(record: Any, allowed: bool, new: str, move: Callable[[Any], Any]) -> None:
    before = record.to_dict()
    if allowed:
        moved = move(record)
        assert moved.status == new
        assert moved.updated_at > record.updated_at
    else:
        with pytest.raises(Conflict) as caught:
            move(record)
        assert caught.value.code in ("invalid_transition", "invalid_operation")
        assert caught.value.details["from"] == record.status
    assert record.to_dict() == before


def test_started_and_resumed_both_lead_to_active_but_not_from_the_same_place() -> None:
    with pytest.raises(Conflict, match="a paused session cannot be started; only a pending one can"):
        fold_session(a_session(SessionStatus.PAUSED), event(ev.SessionStarted()))
    with pytest.raises(Conflict, match="a pending run cannot be resumed; only a waiting one can"):
        fold_run(a_run(RunStatus.PENDING), event(ev.RunResumed(), "run_1"))


# --- any list of events -----------------------------------------------------------------------------------------------

log_events = st.builds(
    lambda data, run, fence, minutes: event(data, run, fence=fence, at=NOON + timedelta(minutes=minutes)),
    data=st.sampled_from([*MOVES, *NEWS, ev.SessionCreated(agent_id="a")]),
    run=st.sampled_from([None, "run_1", "run_2"]),
    fence=st.integers(0, 9),
    minutes=st.integers(-60, 60),
)


@given(st.sampled_from([0, 1, 3]), st.lists(log_events, max_size=8))
@settings(max_examples=300)
def test_any_list_folds_or_is_refused_whole(head: int, tail: list[Event]) -> None:
    log = a_log()[:head] + tail
    try:
        session, runs = fold(log)
    except (Conflict, InvalidInput):
        return
    check_against_model(log, session, runs)


@given(st.lists(log_events, max_size=12))
def test_what_a_log_means_does_not_depend_on_what_is_refused_after_it(log: list[Event]) -> None:
    """Folding one event at a time and keeping the old state when one is refused gives what the accepted ones give."""
    log = [event(ev.SessionCreated(agent_id="a")), *log]
    accepted: list[Event] = []
    state = None
    for each in log:
        try:
            state = fold([*accepted, each])
        except SessionryError:
            continue
        accepted.append(each)
    assert state == fold(accepted)


def check_against_model(log: list[Event], session: Session, runs: dict[str, Run]) -> None:
    """The tables, told once more and in the plainest way."""
    status: dict[str | None, str] = {None: "pending"}
    for each in log[1:]:
        if each.type in SESSION_MOVES:
            status[None] = SESSION_MOVES[each.type][1]
        elif each.type == "run_queued":
            status[each.run_id] = "pending"
        elif each.type in RUN_MOVES:
            status[each.run_id] = RUN_MOVES[each.type][1]
    assert status == {None: session.status} | {id: run.status for id, run in runs.items()}
    assert session.updated_at >= session.created_at
    for run in runs.values():
        assert (run.ended_at is not None) == (run.status in RUN_ENDED)
        ways = [RUN_MOVES[each.type][1] for each in log if each.run_id == run.id and each.type in RUN_MOVES]
        assert sum(status in RUN_ENDED for status in ways) == run.ended


@given(st.lists(payloads, max_size=6))
def test_payloads_of_any_content_fold_or_are_refused(data: list[EventData]) -> None:
    with contextlib.suppress(Conflict, InvalidInput):
        fold(a_log(*data))


@given(payloads)
def test_only_state_events_change_anything(data: EventData) -> None:
    session, run = a_session(SessionStatus.ACTIVE), a_run(RunStatus.RUNNING)
    if type(data) not in STATE_EVENTS:
        assert fold_session(session, event(data, "run_1")) is session
        assert fold_run(run, event(data, "run_1")) is run


class Commands(RuleBasedStateMachine):
    """Commands in any order against one session: each moves it as the tables allow, or is refused and moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session.new(id="ses_1", agent_id="a", now=NOON)
        self.runs: dict[str, Run] = {}
        self.log = [event(ev.SessionCreated(agent_id="a"))]

    @rule(data=st.sampled_from([*MOVES, *NEWS]), run=st.sampled_from(["run_1", "run_2"]), minutes=st.integers(-9, 9))
    def command(self, data: EventData, run: str, minutes: int) -> None:
        each = event(data, None if data.type.startswith("session_") else run, at=NOON + timedelta(minutes=minutes))
        expected = self.allowed(each)
        try:
            session = fold_session(self.session, each)
            runs = self.runs if each.run_id is None else {**self.runs, run: fold_run(self.runs.get(run), each)}
        except SessionryError:
            assert not expected
            return
        assert expected
        self.session, self.runs = session, runs
        self.log.append(each)

    def allowed(self, each: Event) -> bool:
        if each.type in SESSION_MOVES:
            return self.session.status in SESSION_MOVES[each.type][2]
        run = self.runs.get(each.run_id or "")
        if each.type in RUN_MOVES:
            return run is not None and run.status in RUN_MOVES[each.type][2]
        return each.run_id is None or (run is None) == (each.type == "run_queued")

    @invariant()
    def the_log_gives_the_same_again(self) -> None:
        assert fold(self.log) == (self.session, self.runs)


TestCommands = Commands.TestCase
TestCommands.settings = settings(max_examples=60, stateful_step_count=25)


# --- what is no log ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "log",
    [
        pytest.param([], id="empty"),
        pytest.param([event(ev.SessionStarted())], id="no beginning"),
        pytest.param([event(ev.RunQueued(agent_id="a"), "run_1")], id="a run first"),
        pytest.param([*a_log(), event(ev.SessionCreated(agent_id="a"))], id="created twice"),
        pytest.param(a_log(ev.RunQueued(agent_id="a")), id="queued twice"),
        pytest.param([*a_log(), event(ev.RunStarted(attempt=1, worker_id="w"), "run_2")], id="a run out of nowhere"),
        pytest.param([*a_log(), event(ev.RunQueued(agent_id="a"))], id="a run without an id"),
        pytest.param([*a_log(), event(ev.RunCancelled())], id="an end of no run"),
        pytest.param([*a_log(), event(ev.MessageReceived(text="hi"), "run_2")], id="words of no run"),
        pytest.param([*a_log(), event(ev.SessionPaused(), session_id="ses_2")], id="another session"),
    ],
)
def test_what_is_no_log_is_refused(log: list[Event]) -> None:
    with pytest.raises((Conflict, InvalidInput)):
        fold(log)


def test_an_event_of_another_run_is_refused() -> None:
    with pytest.raises(InvalidInput, match="run_2"):
        fold_run(a_run(RunStatus.RUNNING), event(ev.TurnCompleted(), "run_2"))


@pytest.mark.parametrize(
    "data", [ev.SessionUpdated(slots=0), ev.SessionUpdated(title=" "), ev.SessionUpdated(tags=[""])]
)
def test_an_update_with_a_bad_value_is_refused(data: EventData) -> None:
    with pytest.raises(InvalidInput):
        fold_session(a_session(SessionStatus.ACTIVE), event(data))


def test_an_unknown_event_changes_nothing() -> None:
    session, runs = fold([*a_log(), event(ev.Unknown(name="of_the_future"), "run_1")])
    assert (session, runs) == fold(a_log())


# --- the session ------------------------------------------------------------------------------------------------------


def test_the_first_event_makes_the_session() -> None:
    asked: dict[str, Any] = {"agent_id": "a", "parent_session_id": "p", "title": "t", "cwd": "/", "slots": 2}
    asked |= {"metadata": {"m": 1}, "context": {"c": 2}, "tags": ["x"], "queue_limit": 3}
    session, runs = fold([event(ev.SessionCreated(**asked))])
    assert session == Session.new(id="ses_1", now=NOON, **asked)
    assert runs == {}


def test_an_update_replaces_what_it_names_and_nothing_else() -> None:
    session = Session.new(id="ses_1", agent_id="a", title="old", metadata={"a": 1}, tags=["x"])
    changed = fold_session(session, event(ev.SessionUpdated(title=None, metadata={"b": 2})))
    assert (changed.title, changed.metadata, changed.tags) == (None, {"b": 2}, ["x"])
    assert changed.version == session.version + 1


def test_a_deleted_session_can_be_restored() -> None:
    deleted = fold_session(a_session(SessionStatus.ACTIVE), event(ev.SessionDeleted()))
    assert deleted.deleted_at == NOON
    assert fold_session(deleted, event(ev.SessionRestored())).deleted_at is None


def test_the_work_of_runs_shows_in_updated_at_and_leaves_the_version() -> None:
    session = a_session(SessionStatus.ACTIVE)
    moved = fold_session(session, event(ev.RunQueued(agent_id="a"), "run_1", at=NOON + timedelta(seconds=5)))
    assert (moved.updated_at, moved.version) == (NOON + timedelta(seconds=5), session.version)


# --- the fields of a run ----------------------------------------------------------------------------------------------

STARTED = ev.RunStarted(attempt=1, worker_id="wrk_1", agent=AgentFacts(type="shell"))


def test_queueing_sets_what_was_asked() -> None:
    options = RunOptions(timeout=5)
    queued = ev.RunQueued(agent_id="a", input={"prompt": "hi"}, metadata={"m": 1}, options=options, priority=3)
    run = fold_run(None, event(queued, "run_1"))
    assert (run.id, run.session_id, run.agent_id, run.created_at) == ("run_1", "ses_1", "a", NOON)
    assert (run.input, run.metadata, run.options, run.priority) == ({"prompt": "hi"}, {"m": 1}, options, 3)


def test_a_start_names_the_attempt_the_worker_and_the_lease() -> None:
    run = fold_run(a_run(RunStatus.PENDING), event(STARTED, "run_1", fence=7))
    assert (run.attempt, run.worker_id, run.fence, run.agent) == (1, "wrk_1", 7, AgentFacts(type="shell"))
    assert run.started_at is not None


@pytest.mark.parametrize("data", [data for data, new, _ in RUN_MOVES.values() if new not in ("running", "waiting")])
def test_a_run_that_nobody_works_on_has_no_worker(data: EventData) -> None:
    assert the_run(STARTED, data).worker_id is None


def test_a_waiting_run_keeps_its_worker() -> None:
    assert the_run(STARTED, ev.RunWaiting()).worker_id == "wrk_1"


def test_usage_and_cost_add_up_exactly() -> None:
    dear = msgspec.structs.replace(USED, cost=Decimal("0.2"))
    free = msgspec.structs.replace(USED, cost=None)
    run = the_run(STARTED, USED, dear, free)
    assert run.usage == Usage(input_tokens=9, output_tokens=3)
    assert run.cost == Decimal("0.3")
    assert the_run(STARTED, free).cost is None


def test_turns_are_counted() -> None:
    assert the_run(STARTED, ev.TurnCompleted(), ev.TurnCompleted()).turn_count == 2


def test_completion_keeps_the_words_and_the_output() -> None:
    assert the_run(STARTED, ev.RunCompleted(text="done", output=[1], stop_reason="end")).output == {
        "text": "done",
        "output": [1],
        "stop_reason": "end",
    }
    assert the_run(STARTED, ev.RunCompleted()).output == {}


def test_failure_keeps_the_error() -> None:
    run = the_run(STARTED, ev.RunFailed(error=ERROR, output={"partial": True}))
    assert (run.error, run.output) == (ERROR, {"partial": True})


def test_a_cancel_request_is_kept_with_who_asked_and_changes_no_status() -> None:
    asked = event(ev.RunCancelRequested(mode=CancelMode.AFTER_TURN, reason="r"), "run_1", actor="ann")
    run = fold_run(a_run(RunStatus.RUNNING), asked)
    assert run.cancel_request == CancelRequest(mode=CancelMode.AFTER_TURN, reason="r", by="ann")
    assert run.status is RunStatus.RUNNING


def test_the_agents_own_session_outlives_an_attempt() -> None:
    linked = ev.AgentSessionLinked(native_session_id="n-1", model="m")
    again = ev.RunStarted(attempt=2, worker_id="wrk_2", agent=AgentFacts(type="shell", version="2"))
    assert the_run(STARTED, linked).agent == AgentFacts(type="shell", native_session_id="n-1", model="m")
    run = the_run(STARTED, linked, ev.RunRequeued(reason="worker_lost"), again)
    assert run.agent == AgentFacts(type="shell", version="2", native_session_id="n-1")
    assert (run.attempt, run.worker_id) == (2, "wrk_2")


def test_a_second_end_is_refused_whatever_it_is() -> None:
    for first, second in ((a, b) for a in RUN_MOVES.values() for b in RUN_MOVES.values() if a[1] in RUN_ENDED):
        with pytest.raises(InvalidTransition):
            the_run(STARTED, first[0], second[0])
