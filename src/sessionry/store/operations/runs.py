"""Transactions on runs that anybody in scope may do: submit, cancel, steer, look."""

from __future__ import annotations

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.errors import Conflict, Exhausted, InvalidInput
from sessionry.domain.json_values import Json
from sessionry.domain.lifecycle import SessionStatus
from sessionry.domain.queries import Appended
from sessionry.domain.run import Run, RunOptions
from sessionry.domain.scope import Scope
from sessionry.ports import Capability, Steps
from sessionry.store import rows
from sessionry.store.log import IN_SCOPE, SessionLog, idempotently, open_log, run_not_found, scope_values
from sessionry.store.operations.sessions import cancel_unfinished
from sessionry.store.transaction import reads, writes


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is handed in. `agent_id` None takes the session's."""

    input: Json = None
    agent_id: str | None = None
    options: RunOptions = RunOptions()
    priority: int = 0
    metadata: dict[str, Json] = {}


@writes
def submit(
    scope: Scope, session_id: str, submission: Submission, *, idempotency_key: str | None = None
) -> Steps[Appended]:
    """Put a run into the session's queue, and start the session if it is pending.

    Raises `queue_full`; `invalid_transition` when the session has ended. A paused session takes runs and keeps them.
    """
    request = {"submit": session_id, "run": submission}
    return (yield from idempotently(scope, idempotency_key, request, _submit(scope, session_id, submission)))


def _submit(scope: Scope, session_id: str, submission: Submission) -> Steps[Appended]:
    log = yield from open_log(scope, session_id)
    if log.session.status is SessionStatus.PENDING:
        log.add(ev.SessionStarted())
    if log.session.ended:
        raise Conflict(
            "invalid_operation",
            f"session {session_id} is {log.session.status} and takes no more runs; fork it to go on",
            details={"status": log.session.status.value},
        )
    yield from _refuse_full_queue(log)
    run_id = ids.new_id(ids.RUN)
    log.add(_queued(log, submission), run_id=run_id)
    yield from log.flush()
    yield from log.promote()
    return log.appended(run_id=run_id)


def _queued(log: SessionLog, submission: Submission) -> ev.RunQueued:
    return ev.RunQueued(
        agent_id=submission.agent_id or log.session.agent_id,
        input=submission.input,
        metadata=submission.metadata,
        options=submission.options,
        priority=submission.priority,
    )


def _refuse_full_queue(log: SessionLog) -> Steps[None]:
    """The queue is full when as many runs wait as `queue_limit` says, those not counted that can begin at once."""
    found = yield (
        "select count(*) from sessionry_run where session = ? and status in ('pending', 'running', 'waiting')",
        (log.key,),
    )
    unfinished = found[0][0]
    if unfinished >= log.session.slots + log.session.queue_limit:
        raise Exhausted(
            "queue_full",
            f"session {log.session_id} has {unfinished} unfinished runs; wait for one or raise its queue_limit",
            details={"unfinished": unfinished, "slots": log.session.slots, "queue_limit": log.session.queue_limit},
        )


@writes
def cancel(
    scope: Scope, run_id: str, request: ev.RunCancelRequested, *, idempotency_key: str | None = None
) -> Steps[Appended]:
    """Cancel a run: at once when nobody works on it, else its worker is asked. Raises `invalid_transition` at its end."""
    body = {"cancel": run_id, "request": request}
    return (yield from idempotently(scope, idempotency_key, body, _cancel(scope, run_id, request)))


def _cancel(scope: Scope, run_id: str, request: ev.RunCancelRequested) -> Steps[Appended]:
    log = yield from open_run(scope, run_id)
    if log.run(run_id).ended:
        log.add(ev.RunCancelled(), run_id=run_id)
    yield from cancel_unfinished(log, run_id, request)
    yield from log.flush()
    yield from log.promote()
    return log.appended(run_id=run_id)


@writes
def steer(scope: Scope, run_id: str, text: str, *, idempotency_key: str | None = None) -> Steps[Appended]:
    """Say something to a run while it works. Raises `capability_not_supported` when its agent cannot listen."""
    return (
        yield from idempotently(scope, idempotency_key, {"steer": run_id, "text": text}, _steer(scope, run_id, text))
    )


def _steer(scope: Scope, run_id: str, text: str) -> Steps[Appended]:
    log = yield from open_run(scope, run_id)
    run = log.run(run_id)
    if not run.live:
        raise Conflict(
            "invalid_operation",
            f"run {run_id} is {run.status} and not at work; submit another run instead",
            details={"status": run.status.value},
        )
    if run.agent is not None and Capability.STEER not in run.agent.capabilities:
        raise InvalidInput(
            "capability_not_supported",
            f"the agent {run.agent_id} takes no input while it works; submit another run instead",
            details={"capability": "steer", "agent_id": run.agent_id},
        )
    log.add(ev.InputReceived(text=text), run_id=run_id)
    yield from log.flush()
    return log.appended(run_id=run_id)


def open_run(scope: Scope, run_id: str) -> Steps[SessionLog]:
    """Lock the session of a run in scope, the run loaded. Raises `run_not_found`."""
    found = yield (
        f"select s.id from sessionry_run r join sessionry_session s on s.key = r.session where r.id = ? and {IN_SCOPE}",
        (run_id, *scope_values(scope)),
    )
    if not found:
        raise run_not_found(run_id)
    log = yield from open_log(scope, found[0][0], deleted=True)
    yield from log.load_run(run_id)
    return log


@reads
def linked(scope: Scope, session_id: str, agent_id: str, limit: int = 1000) -> Steps[list[Run]]:
    """The session's runs of that agent that have a native session of their agent, newest first."""
    found = yield (
        f"select {rows.RUN_COLUMNS} from sessionry_run r join sessionry_session s on s.key = r.session"
        f" where s.id = ? and {IN_SCOPE} and r.agent_id = ? and r.agent like '%\"native_session_id\"%'"
        " order by r.key desc limit ?",
        (session_id, *scope_values(scope), agent_id, limit),
    )
    return [rows.run_from_row(row) for row in found]


@reads
def agents_before(scope: Scope, session_id: str, run_id: str) -> Steps[list[str]]:
    """The ids of the agents whose runs of the session began before this one, the other ones only, by name."""
    found = yield (
        "select distinct r.agent_id from sessionry_run r join sessionry_session s on s.key = r.session"
        f" where s.id = ? and {IN_SCOPE} and r.started_at is not null and r.id <> ?"
        " and r.agent_id <> (select agent_id from sessionry_run where id = ?) order by r.agent_id",
        (session_id, *scope_values(scope), run_id, run_id),
    )
    return [row[0] for row in found]


@reads
def get(scope: Scope, run_id: str) -> Steps[Run]:
    """The run as it is now. Raises `run_not_found`."""
    found = yield (
        f"select {rows.RUN_COLUMNS} from sessionry_run r join sessionry_session s on s.key = r.session"
        f" where r.id = ? and {IN_SCOPE}",
        (run_id, *scope_values(scope)),
    )
    if not found:
        raise run_not_found(run_id)
    return rows.run_to_show(found[0])
