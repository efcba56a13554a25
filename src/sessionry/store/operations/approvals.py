"""Transactions on approvals: an agent asks, one decision counts, silence is a no."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import Any

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.approval import Approval, ApprovalStatus
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.errors import Conflict, NotFound
from sessionry.domain.json_values import Json, json_value, text_value
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.queries import Appended, Page
from sessionry.domain.records import invalid, required_text, to_microseconds
from sessionry.domain.run import LONGEST
from sessionry.domain.scope import Scope
from sessionry.ports import Now, Steps
from sessionry.store import rows
from sessionry.store.log import IN_SCOPE, SessionLog, idempotently, open_log_by_key, scope_values
from sessionry.store.operations.leases import leased
from sessionry.store.operations.listing import next_cursor, place
from sessionry.store.transaction import marks, reads, writes

#: Order -> direction. A leading minus means the newest question first.
ORDERS = {"requested": "asc", "-requested": "desc"}
#: What a question and its end append under the lease.
_ASKING = (ev.ToolApprovalRequested.type, ev.RunWaiting.type)
_GOING_ON = (ev.RunResumed.type,)
_SOURCE = "sessionry_approval a join sessionry_session s on s.key = a.session join sessionry_run r on r.key = a.run"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent asks. `key` is the same for the same question in the same place of another attempt."""

    key: str
    tool_name: str
    tool_input: Json = None
    tool_call_id: str | None = None
    reason: str | None = None
    timeout: float | None = None


@writes
def ask(run_id: str, fence: int, question: Question) -> Steps[tuple[Approval, list[int]]]:
    """Enter the question and let the run wait; the `seq`s appended. A question that is there already is given back.

    The same request again, after a lost answer, gives the same. Raises `Fenced`.
    """
    _check(question)
    log = yield from leased(run_id, fence)
    approval = yield from _asked(log, run_id, question.key)
    if approval is None:
        approval = yield from _enter(log, run_id, fence, question)
    if approval.status is ApprovalStatus.PENDING and log.run(run_id).status is RunStatus.RUNNING:
        log.add(ev.RunWaiting(approval_id=approval.id), run_id=run_id, fence=fence)
    yield from log.flush()
    return approval, (yield from _seqs(log, fence, approval.id, _ASKING))


def _check(question: Question) -> None:
    required_text(question.key, "key")
    required_text(question.tool_name, "tool_name")
    _words(question.tool_call_id, "tool_call_id")
    _words(question.reason, "reason")
    if question.timeout is not None and not 0 <= question.timeout <= LONGEST:
        raise invalid("timeout", f"must be a number of seconds up to {LONGEST}, not {question.timeout!r}")


def _words(value: str | None, path: str) -> None:
    """Any text that every database can hold."""
    if value is not None and "\0" in text_value(value, path):
        raise invalid(path, "cannot hold a NUL character")


def _seqs(log: SessionLog, fence: int, approval_id: str, types: tuple[str, ...]) -> Steps[list[int]]:
    """What was appended now; when that is nothing, the newest events under the fence if this request had appended them.

    So one who repeats a request whose answer was lost learns which `seq` is the newest of its own.
    """
    if log.events:
        return [event.seq for event in log.events]
    newest = yield (
        "select seq, type, data from sessionry_event where session = ? and fence = ? order by seq desc limit 2",
        (log.key, fence),
    )
    mine = takewhile(lambda row: row[1] in types and decode_json(row[2])["approval_id"] == approval_id, newest)
    return [row[0] for row in mine][::-1]


def _asked(log: SessionLog, run_id: str, key: str) -> Steps[Approval | None]:
    found = yield (
        f"select {rows.APPROVAL_COLUMNS} from {_SOURCE} where a.run = ? and a.question = ?",
        (log.run_keys[run_id], key),
    )
    return rows.approval_from_row(found[0]) if found else None


def _enter(log: SessionLog, run_id: str, fence: int, question: Question) -> Steps[Approval]:
    expires_at = log.now + timedelta(seconds=question.timeout) if question.timeout is not None else None
    approval = Approval(
        id=ids.new_id(ids.APPROVAL),
        session_id=log.session_id,
        run_id=run_id,
        tool_name=question.tool_name,
        tool_input=json_value(question.tool_input, "tool_input"),
        tool_call_id=question.tool_call_id,
        reason=question.reason,
        requested_at=log.now,
        expires_at=expires_at,
    )
    yield (
        "insert into sessionry_approval (id, session, run, question, status, tool_name, tool_input, tool_call_id, reason,"
        " requested_at, expires_at) values (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?)",
        (
            approval.id,
            log.key,
            log.run_keys[run_id],
            question.key,
            approval.tool_name,
            encode_json(approval.tool_input),
            approval.tool_call_id,
            approval.reason,
            to_microseconds(log.now),
            rows.micros_or_none(expires_at),
        ),
    )
    log.add(
        ev.ToolApprovalRequested(
            approval_id=approval.id,
            tool_name=approval.tool_name,
            tool_input=approval.tool_input,
            tool_call_id=approval.tool_call_id,
            reason=approval.reason,
            expires_at=expires_at,
        ),
        run_id=run_id,
        fence=fence,
    )
    return approval


@writes
def go_on(run_id: str, fence: int, approval_id: str) -> Steps[list[int]]:
    """The run has its answer and is running again; the `seq`s appended. Nothing happens when it runs already."""
    log = yield from leased(run_id, fence)
    if log.run(run_id).status is RunStatus.WAITING:
        log.add(ev.RunResumed(approval_id=approval_id), run_id=run_id, fence=fence)
        yield from log.flush()
    return (yield from _seqs(log, fence, approval_id, _GOING_ON))


@writes
def decide(
    scope: Scope,
    approval_id: str,
    *,
    approved: bool,
    by: str | None = None,
    note: str | None = None,
    idempotency_key: str | None = None,
) -> Steps[Appended]:
    """The decision. Raises `already_decided`, also when the question has expired; `approval_not_found`."""
    _words(by, "by")
    _words(note, "note")
    request = {"decide": approval_id, "approved": approved, "by": by, "note": note}
    work = _decide(scope, approval_id, approved, by or scope.user, note)
    return (yield from idempotently(scope, idempotency_key, request, work))


def _decide(scope: Scope, approval_id: str, approved: bool, by: str | None, note: str | None) -> Steps[Appended]:
    log, approval = yield from _open(approval_id, scope)
    if approval.status is not ApprovalStatus.PENDING:
        raise _already_decided(approval)
    if approval.expires_at is not None and approval.expires_at <= log.now:
        raise _already_decided(msgspec.structs.replace(approval, status=ApprovalStatus.EXPIRED))
    kind = ev.ToolApprovalGranted if approved else ev.ToolApprovalDenied
    status = ApprovalStatus.GRANTED if approved else ApprovalStatus.DENIED
    yield from _close(log, approval, status, by, note)
    data = kind(approval_id=approval_id, tool_name=approval.tool_name, by=by, note=note)
    yield from _answered(log, approval, data, by)
    return log.appended(run_id=approval.run_id, approval_id=approval_id)


@writes
def expire(approval_id: str) -> Steps[bool]:
    """Close a question whose time is over; false when it is decided, or not over yet."""
    log, approval = yield from _open(approval_id, None)
    over = approval.expires_at is not None and approval.expires_at <= log.now
    if approval.status is not ApprovalStatus.PENDING or not over:
        return False
    yield from _close(log, approval, ApprovalStatus.EXPIRED, None, None)
    yield from _answered(log, approval, ev.ApprovalExpired(approval_id=approval_id, tool_name=approval.tool_name), None)
    return True


def _open(approval_id: str, scope: Scope | None) -> Steps[tuple[SessionLog, Approval]]:
    """Lock the approval's session, then read the approval under that lock."""
    condition, values = (f" and {IN_SCOPE}", scope_values(scope)) if scope else ("", ())
    found = yield f"select s.key from {_SOURCE} where a.id = ?{condition}", (approval_id, *values)
    if not found:
        raise approval_not_found(approval_id)
    log = yield from open_log_by_key(found[0][0], scope)
    found = yield f"select {rows.APPROVAL_COLUMNS} from {_SOURCE} where a.id = ?", (approval_id,)
    approval = rows.approval_from_row(found[0])
    yield from log.load_run(approval.run_id)
    return log, approval


def _close(
    log: SessionLog, approval: Approval, status: ApprovalStatus, by: str | None, note: str | None
) -> Steps[None]:
    yield (
        "update sessionry_approval set status = ?, decided_at = ?, decided_by = ?, note = ? where id = ?",
        (status.value, to_microseconds(log.now), by, note, approval.id),
    )


def _answered(log: SessionLog, approval: Approval, data: ev.EventData, by: str | None) -> Steps[None]:
    """Append the answer; a parked run that has no other question goes back to the queue."""
    log.add(data, run_id=approval.run_id, actor=by)
    run = log.run(approval.run_id)
    if run.status is RunStatus.WAITING and run.worker_id is None:
        others = yield (
            "select 1 from sessionry_approval where run = ? and status = 'pending'",
            (log.run_keys[run.id],),
        )
        if not others:
            log.add(ev.RunRequeued(reason=data.type), run_id=run.id)
    yield from log.flush()
    yield from log.promote()


@reads
def overdue() -> Steps[list[str]]:
    """Open questions whose time is over."""
    now = yield Now()
    found = yield (
        "select id from sessionry_approval where status = 'pending' and expires_at is not null and expires_at <= ?"
        " order by key limit 1000",
        (now,),
    )
    return [row[0] for row in found]


@reads
def get(scope: Scope, approval_id: str) -> Steps[Approval]:
    """The approval as it is now. Raises `approval_not_found`."""
    found = yield (
        f"select {rows.APPROVAL_COLUMNS} from {_SOURCE} where a.id = ? and {IN_SCOPE}",
        (approval_id, *scope_values(scope)),
    )
    if not found:
        raise approval_not_found(approval_id)
    return rows.approval_from_row(found[0])


@reads
def list_approvals(
    scope: Scope,
    *,
    status: list[ApprovalStatus],
    session_id: str | None = None,
    run_id: str | None = None,
    order: str = "requested",
    limit: int = 50,
    cursor: str | None = None,
    after: str | None = None,
) -> Steps[Page[Approval]]:
    """Approvals, the oldest question first unless `order` says otherwise; after the approval `after`, if one is given.

    Raises `validation_error` for an unknown order, `invalid_cursor`; `approval_not_found` for `after`.
    """
    if order not in ORDERS:
        raise invalid("order", f"must be one of {', '.join(ORDERS)}, not {order!r}")
    beyond = "<" if ORDERS[order] == "desc" else ">"
    conditions = [IN_SCOPE, "s.deleted_at is null"]
    values: list[Any] = list(scope_values(scope))
    if status:
        conditions.append(f"a.status in ({marks(status)})")
        values += [item.value for item in status]
    if session_id is not None:
        conditions.append("s.id = ?")
        values.append(session_id)
    if run_id is not None:
        conditions.append("r.id = ?")
        values.append(run_id)
    if cursor is not None:
        conditions.append(f"a.key {beyond} ?")
        values.append(place(cursor, order)[-1])
    if after is not None:
        conditions.append(f"a.key {beyond} ?")
        values.append((yield from _key(scope, after)))
    found = yield (
        f"select {rows.APPROVAL_COLUMNS}, a.requested_at, a.key from {_SOURCE} where {' and '.join(conditions)}"
        f" order by a.key {ORDERS[order]} limit ?",
        (*values, limit + 1),
    )
    return Page([rows.approval_from_row(row) for row in found[:limit]], next_cursor(found, limit, order))


def _key(scope: Scope, approval_id: str) -> Steps[int]:
    found = yield f"select a.key from {_SOURCE} where a.id = ? and {IN_SCOPE}", (approval_id, *scope_values(scope))
    if not found:
        raise approval_not_found(approval_id)
    key: int = found[0][0]
    return key


def _already_decided(approval: Approval) -> Conflict:
    return Conflict(
        "already_decided",
        f"approval {approval.id} is {approval.status} already",
        details={"status": approval.status.value, "by": approval.decided_by},
    )


def approval_not_found(approval_id: str) -> NotFound:
    return NotFound("approval_not_found", f"there is no approval {approval_id}", details={"approval_id": approval_id})
