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
from sessionry.domain.records import later_than
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

#: Where two events lead to the same status, the one that each of them must come from.
_WAYS_IN: dict[type[ev.EventData], SessionStatus | RunStatus] = {
    ev.SessionStarted: SessionStatus.PENDING,
    ev.SessionResumed: SessionStatus.PAUSED,
    ev.RunStarted: RunStatus.PENDING,
    ev.RunResumed: RunStatus.WAITING,
}

#: Events of a run that show in the session's `updated_at`. Its version is the caller's own and stays.
_ACTIVITY: tuple[type[ev.EventData], ...] = (ev.RunQueued, *_RUN_STATUS)

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
    if event.session_id != session.id:
        raise InvalidInput("invalid_operation", f"event {event.id} is of session {event.session_id}, not {session.id}")
    if (status := _SESSION_STATUS.get(type(data))) is not None:
        check_session_transition(session.status, status)
        _check_way_in("session", session.status, data)
        return session.changed(now=event.at, status=status)
    if isinstance(data, ev.SessionUpdated):
        return session.changed(now=event.at, **_fields(data))
    if isinstance(data, ev.SessionDeleted):
        return session.changed(now=event.at, deleted_at=event.at)
    if isinstance(data, ev.SessionRestored):
        return session.changed(now=event.at, deleted_at=None)
    if isinstance(data, _ACTIVITY):
        return msgspec.structs.replace(session, updated_at=later_than(session.updated_at, event.at))
    return session


def fold_run(run: Run | None, event: Event) -> Run:
    """The run after `event`, which must be an event of this run."""
    data = event.data
    if event.run_id is None or (run is not None and event.run_id != run.id):
        of = event.run_id or "no run"
        raise InvalidInput("invalid_operation", f"{event.type} event {event.id} is of {of}, not of this run")
    if isinstance(data, ev.RunQueued):
        if run is not None:
            raise Conflict("already_exists", f"run {run.id} was queued twice")
        return Run.new(id=event.run_id, session_id=event.session_id, now=event.at, **_fields(data))
    if run is None:
        raise InvalidInput("invalid_operation", f"a run cannot begin with {event.type}")
    status = _RUN_STATUS.get(type(data))
    if status is not None:
        check_run_transition(run.status, status)
        _check_way_in("run", run.status, data)
        return run.changed(now=event.at, status=status, **_run_fields(run, event))
    fields = _run_fields(run, event)
    return run.changed(now=event.at, **fields) if fields else run


def fold(events: Iterable[Event]) -> tuple[Session, dict[str, Run]]:
    """The session and the runs, by id, that a whole log describes. Raises when it is no possible log."""
    session: Session | None = None
    runs: dict[str, Run] = {}
    for event in events:
        session = fold_session(session, event)
        if event.run_id is not None or isinstance(event.data, _ACTIVITY):
            run_id = event.run_id or ""
            runs[run_id] = fold_run(runs.get(run_id), event)
    if session is None:
        raise InvalidInput("invalid_operation", "an empty log describes no session")
    return session, runs


def _check_way_in(entity: str, status: str, data: ev.EventData) -> None:
    """`active` and `running` have two ways in, with an event each; the other one's event is refused."""
    expected = _WAYS_IN.get(type(data))
    if expected is not None and status is not expected:
        verb = data.type.removeprefix(f"{entity}_")
        raise Conflict(
            "invalid_operation",
            f"a {status} {entity} cannot be {verb}; only a {expected} one can",
            details={"entity": entity, "from": status, "expected": expected},
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
            return {"worker_id": None, "fence": event.fence}
        case ev.RunCancelRequested(mode=mode, reason=reason):
            return {"cancel_request": CancelRequest(mode=mode, reason=reason, by=event.actor)}
        case ev.RunCompleted() as completed:
            return {"output": result_of(completed), "worker_id": None}
        case ev.RunFailed(error=error, output=output):
            return {"error": error, "output": output, "worker_id": None}
        case ev.RunCancelled() | ev.RunTimeout():
            return {"worker_id": None}
        case ev.TurnCompleted():
            return {"turn_count": run.turn_count + 1}
        case ev.TokenUsageUpdated(usage=usage, cost=cost):
            total = run.cost if cost is None else (run.cost or 0) + cost
            return {"usage": run.usage + usage, "cost": total}
        case ev.AgentSessionLinked() as link:
            return {"agent": _linked(run.agent or AgentFacts(type=run.agent_id or "unknown"), link)}
        case _:
            return {}


def result_of(data: ev.RunCompleted) -> Json:
    """A completed run's output as it is kept in the run: `{"text", "output", "stop_reason"}` without the empty ones."""
    return {name: value for name, value in _fields(data).items() if value is not None}


def _merged(old: AgentFacts | None, new: AgentFacts | None) -> AgentFacts | None:
    """A new attempt's facts, with the native session that an earlier attempt had linked."""
    if old is None or new is None:
        return new or old
    native = {name: getattr(new, name) or getattr(old, name) for name in ("native_session_id", "native_items")}
    return msgspec.structs.replace(new, **native)


def _linked(facts: AgentFacts, data: ev.AgentSessionLinked) -> AgentFacts:
    items = data.items
    if items is None and facts.native_session_id == data.native_session_id:
        items = facts.native_items
    return msgspec.structs.replace(
        facts, native_session_id=data.native_session_id, native_items=items, model=data.model or facts.model
    )


def _fields(data: ev.EventData) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
