"""What the log means: a session and its runs are what their events, in order, make of them.

`fold_session` and `fold_run` are the only places where a status changes. They raise `InvalidTransition` and change
nothing when an event does not fit; events that do not concern the record give it back as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.errors import Conflict, InvalidInput
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json
from sessionry.domain.lifecycle import RunStatus, SessionStatus, check_run_transition, check_session_transition
from sessionry.domain.run import AgentFacts, CancelRequest, Run
from sessionry.domain.session import Session

_SESSION_STATUS: dict[type[ev.EventData], SessionStatus] = {
    ev.SessionStarted: SessionStatus.ACTIVE,
    ev.SessionResumed: SessionStatus.ACTIVE,
    ev.SessionPaused: SessionStatus.PAUSED,
    ev.SessionCompleted: SessionStatus.COMPLETED,
    ev.SessionFailed: SessionStatus.FAILED,
    ev.SessionCancelled: SessionStatus.CANCELLED,
}

_RUN_STATUS: dict[type[ev.EventData], RunStatus] = {
    ev.RunStarted: RunStatus.RUNNING,
    ev.RunResumed: RunStatus.RUNNING,
    ev.RunWaiting: RunStatus.WAITING,
    ev.RunRequeued: RunStatus.PENDING,
    ev.RunCompleted: RunStatus.COMPLETED,
    ev.RunFailed: RunStatus.FAILED,
    ev.RunCancelled: RunStatus.CANCELLED,
    ev.RunTimeout: RunStatus.TIMEOUT,
}

#: Events that change a session or a run row; every other type only makes the log longer.
STATE_EVENTS: frozenset[type[ev.EventData]] = frozenset(
    {
        *_SESSION_STATUS,
        *_RUN_STATUS,
        ev.SessionCreated,
        ev.SessionUpdated,
        ev.SessionDeleted,
        ev.SessionRestored,
        ev.RunQueued,
        ev.RunCancelRequested,
        ev.WorkerLost,
        ev.TurnCompleted,
        ev.TokenUsageUpdated,
        ev.AgentSessionLinked,
    }
)


def fold_session(session: Session | None, event: Event) -> Session:
    """The session after `event`."""
    data = event.data
    if isinstance(data, ev.SessionCreated):
        if session is not None:
            raise Conflict("already_exists", f"session {session.id} was created twice")
        return Session.new(id=event.session_id, now=event.at, **_fields(data))
    if session is None:
        raise InvalidInput("invalid_operation", f"a log cannot begin with {event.type}")
    if (status := _SESSION_STATUS.get(type(data))) is not None:
        _check_resumed_or_started(session, data)
        check_session_transition(session.status, status)
        return session.changed(now=event.at, status=status)
    if isinstance(data, ev.SessionUpdated):
        return session.changed(now=event.at, **_fields(data))
    if isinstance(data, ev.SessionDeleted):
        return session.changed(now=event.at, deleted_at=event.at)
    if isinstance(data, ev.SessionRestored):
        return session.changed(now=event.at, deleted_at=None)
    return session


def fold_run(run: Run | None, event: Event) -> Run:
    """The run after `event`, which must be an event of this run."""
    data = event.data
    if isinstance(data, ev.RunQueued):
        if run is not None:
            raise Conflict("already_exists", f"run {run.id} was queued twice")
        return Run.new(id=event.run_id, session_id=event.session_id, now=event.at, **_fields(data))
    if run is None:
        raise InvalidInput("invalid_operation", f"a run cannot begin with {event.type}")
    status = _RUN_STATUS.get(type(data))
    if status is not None:
        check_run_transition(run.status, status)
        return run.changed(now=event.at, status=status, **_run_fields(run, event))
    fields = _run_fields(run, event)
    return run.changed(now=event.at, **fields) if fields else run


def fold(events: Iterable[Event]) -> tuple[Session, dict[str, Run]]:
    """The session and the runs, by id, that a whole log describes. Raises when it is no possible log."""
    session: Session | None = None
    runs: dict[str, Run] = {}
    for event in events:
        session = fold_session(session, event)
        if event.run_id is not None:
            runs[event.run_id] = fold_run(runs.get(event.run_id), event)
    if session is None:
        raise InvalidInput("invalid_operation", "an empty log describes no session")
    return session, runs


def _check_resumed_or_started(session: Session, data: ev.EventData) -> None:
    """`active` has two ways in, with an event each; the other one's event is refused."""
    expected = {ev.SessionStarted: SessionStatus.PENDING, ev.SessionResumed: SessionStatus.PAUSED}.get(type(data))
    if expected is not None and session.status is not expected:
        check_session_transition(session.status, SessionStatus.ACTIVE)
        raise Conflict(
            "invalid_operation", f"a {session.status} session cannot be {data.type.removeprefix('session_')}"
        )


def _run_fields(run: Run, event: Event) -> dict[str, Any]:
    """The fields of the run, besides its status, that an event changes."""
    match event.data:
        case ev.RunStarted(attempt=attempt, worker_id=worker_id, agent=agent):
            return {
                "attempt": attempt,
                "worker_id": worker_id,
                "fence": event.fence,
                "agent": _merged(run.agent, agent),
            }
        case ev.RunRequeued():
            return {"worker_id": None}
        case ev.WorkerLost():
            return {"worker_id": None}
        case ev.RunCancelRequested(mode=mode, reason=reason):
            return {"cancel_request": CancelRequest(mode=mode, reason=reason, by=event.actor)}
        case ev.RunCompleted() as data:
            return {"output": result_of(data), "worker_id": None}
        case ev.RunFailed(error=error, output=output):
            return {"error": error, "output": output, "worker_id": None}
        case ev.RunCancelled() | ev.RunTimeout():
            return {"worker_id": None}
        case ev.TurnCompleted():
            return {"turn_count": run.turn_count + 1}
        case ev.TokenUsageUpdated(usage=usage, cost=cost):
            total = run.cost if cost is None else (run.cost or 0) + cost
            return {"usage": run.usage + usage, "cost": total}
        case ev.AgentSessionLinked(native_session_id=native, model=model):
            facts = run.agent or AgentFacts(type=run.agent_id or "unknown")
            changes = {"native_session_id": native} | ({"model": model} if model else {})
            return {"agent": msgspec.structs.replace(facts, **changes)}
        case _:
            return {}


def result_of(data: ev.RunCompleted) -> Json:
    """A completed run's output as it is kept in the run: `{"text", "output", "stop_reason"}` without the empty ones."""
    return {name: value for name, value in _fields(data).items() if value is not None}


def _merged(old: AgentFacts | None, new: AgentFacts | None) -> AgentFacts | None:
    """A new attempt's facts, with the native session that an earlier attempt had linked."""
    if old is None or new is None:
        return new or old
    return msgspec.structs.replace(new, native_session_id=new.native_session_id or old.native_session_id)


def _fields(data: ev.EventData) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
