"""Rows of the database and the domain's records: the one place that knows which column is which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from sessionry.domain.approval import Approval, ApprovalStatus
from sessionry.domain.codec import decode_json, decode_payload, encode_json, encode_payload
from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.events import Event
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.domain.records import from_microseconds, to_microseconds
from sessionry.domain.run import AgentFacts, CancelRequest, ErrorInfo, Run, RunOptions
from sessionry.domain.session import Session
from sessionry.domain.usage import Usage

Row = Sequence[Any]
Reader = Callable[[Row], Any]

#: What reading a damaged row raises: no JSON, no status, no time, no number.
_ILLEGIBLE = (SessionryError, msgspec.MsgspecError, ArithmeticError, TypeError, ValueError)

SESSION_COLUMNS = (
    "s.id, s.agent_id, s.status, s.parent_id, s.title, s.cwd, s.metadata, s.context, s.tags, s.slots, s.queue_limit,"
    " s.created_at, s.updated_at, s.deleted_at, s.version"
)
SESSION_WIDTH = 15

RUN_COLUMNS = (
    "r.id, s.id, r.agent_id, r.status, r.input, r.output, r.error, r.metadata, r.options, r.priority, r.attempt,"
    " r.fence, r.worker, r.usage, r.cost, r.turn_count, r.agent, r.cancel, r.created_at, r.updated_at, r.started_at,"
    " r.ended_at"
)

EVENT_COLUMNS = (
    "s.id, r.id, e.position, e.seq, e.fence, e.type, e.at, e.id, e.actor, e.correlation, e.causation, e.schema, e.data,"
    " e.origin"
)

APPROVAL_COLUMNS = (
    "a.id, s.id, r.id, a.status, a.tool_name, a.tool_input, a.tool_call_id, a.reason, a.requested_at, a.expires_at,"
    " a.decided_at, a.decided_by, a.note"
)

INSERT_EVENT = (
    "insert into sessionry_event (session, seq, run, fence, type, at, id, actor, correlation, causation, schema, data)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# What a lease holder appends has neither an actor nor a cause: a quarter fewer values to bind.
_STAGED_COLUMNS = "session, seq, run, fence, type, at, id, schema, data"
STAGED_WIDTH = 9

_error_decoder = msgspec.json.Decoder(ErrorInfo)
_options_decoder = msgspec.json.Decoder(RunOptions)
_agent_decoder = msgspec.json.Decoder(AgentFacts)
_cancel_decoder = msgspec.json.Decoder(CancelRequest)
_usage_decoder = msgspec.json.Decoder(Usage)


def _damaged(what: str, cause: Exception, **details: Any) -> StoreFailed:
    problem = cause.__cause__ if isinstance(cause, StoreFailed) else cause
    text = f"{what} is damaged and cannot be read: {problem}; run `sessionry doctor`"
    return StoreFailed("store_corrupt", text, details=details)


@cache
def insert_staged(count: int) -> str:
    """For so many events in one statement, each the `STAGED_WIDTH` values that `Lanes.stage` leaves.

    It fails as a whole transaction: to undo only itself, SQLite would have to copy each page that it changes, which with
    many sessions at once took three times as long as the inserts.
    """
    marks = f"({', '.join('?' * STAGED_WIDTH)})"
    return f"insert or rollback into sessionry_event ({_STAGED_COLUMNS}) values {', '.join([marks] * count)}"


def time_or_none(at: int | None) -> datetime | None:
    return None if at is None else from_microseconds(at)


def micros_or_none(at: datetime | None) -> int | None:
    return None if at is None else to_microseconds(at)


def session_from_row(row: Row) -> Session:
    """From `SESSION_COLUMNS`. Raises `store_corrupt` for a damaged row, naming it."""
    try:
        return Session(
            id=row[0],
            agent_id=row[1],
            status=SessionStatus(row[2]),
            parent_session_id=row[3],
            title=row[4],
            cwd=row[5],
            metadata=decode_json(row[6]),
            context=decode_json(row[7]),
            tags=decode_json(row[8]),
            slots=row[9],
            queue_limit=row[10],
            created_at=from_microseconds(row[11]),
            updated_at=from_microseconds(row[12]),
            deleted_at=time_or_none(row[13]),
            version=row[14],
        )
    except _ILLEGIBLE as error:
        raise _damaged(f"session {row[0]}", error, session_id=row[0]) from error


def session_values(session: Session) -> dict[str, Any]:
    """Column -> value of everything that a change of a session may change."""
    return {
        "status": session.status.value,
        "title": session.title,
        "title_folded": session.title.casefold() if session.title else None,
        "cwd": session.cwd,
        "metadata": encode_json(session.metadata),
        "context": encode_json(session.context),
        "tags": encode_json(session.tags),
        "slots": session.slots,
        "queue_limit": session.queue_limit,
        "updated_at": to_microseconds(session.updated_at),
        "deleted_at": micros_or_none(session.deleted_at),
        "version": session.version,
    }


def run_from_row(row: Row) -> Run:
    """From `RUN_COLUMNS`. Raises `store_corrupt` for a damaged row, naming it."""
    try:
        return Run(
            id=row[0],
            session_id=row[1],
            agent_id=row[2],
            status=RunStatus(row[3]),
            input=decode_json(row[4]),
            output=decode_json(row[5]),
            error=_error_decoder.decode(row[6]) if row[6] else None,
            metadata=decode_json(row[7]),
            options=_options_decoder.decode(row[8]),
            priority=row[9],
            attempt=row[10],
            fence=row[11],
            worker_id=row[12],
            usage=_usage_decoder.decode(row[13]),
            cost=Decimal(row[14]) if row[14] is not None else None,
            turn_count=row[15],
            agent=_agent_decoder.decode(row[16]) if row[16] else None,
            cancel_request=_cancel_decoder.decode(row[17]) if row[17] else None,
            created_at=from_microseconds(row[18]),
            updated_at=from_microseconds(row[19]),
            started_at=time_or_none(row[20]),
            ended_at=time_or_none(row[21]),
        )
    except _ILLEGIBLE as error:
        raise _damaged(f"run {row[0]}", error, run_id=row[0]) from error


#: Places in `RUN_COLUMNS` -> the structs that they hold.
_STRUCTS: Mapping[int, type[msgspec.Struct]] = {
    6: ErrorInfo,
    8: RunOptions,
    13: Usage,
    16: AgentFacts,
    17: CancelRequest,
}


def run_to_show(row: Row) -> Run:
    """The same without what a later version added to it, so that one such run hides no others while servers and workers are
    replaced one by one. It is for those who only look: who writes the row again, or works on the run, must know all of it.
    """
    try:
        return run_from_row(row)
    except StoreFailed as error:
        if not isinstance(error.__cause__, msgspec.ValidationError):
            raise
    return run_from_row([_known(value, _STRUCTS[i]) if i in _STRUCTS else value for i, value in enumerate(row)])


def _known(text: str | None, kind: type[msgspec.Struct]) -> str | None:
    """The JSON of a struct without the fields that it does not have here."""
    try:
        fields = decode_json(text) if text else None
    except msgspec.DecodeError:
        return text
    if not isinstance(fields, dict):
        return text
    return encode_json({name: value for name, value in fields.items() if name in kind.__struct_fields__})


def run_values(run: Run) -> dict[str, Any]:
    """Column -> value of everything of a run that its events determine."""
    return {
        "status": run.status.value,
        "agent_id": run.agent_id,
        "priority": run.priority,
        "queue": run.options.queue,
        "attempt": run.attempt,
        "fence": run.fence,
        "worker": run.worker_id,
        "input": encode_json(run.input),
        "output": encode_json(run.output),
        "error": encode_json(run.error) if run.error else None,
        "metadata": encode_json(run.metadata),
        "options": encode_json(run.options),
        "agent": encode_json(run.agent) if run.agent else None,
        "cancel": encode_json(run.cancel_request) if run.cancel_request else None,
        "usage": encode_json(run.usage),
        "cost": str(run.cost) if run.cost is not None else None,
        "turn_count": run.turn_count,
        "created_at": to_microseconds(run.created_at),
        "updated_at": to_microseconds(run.updated_at),
        "started_at": micros_or_none(run.started_at),
        "ended_at": micros_or_none(run.ended_at),
    }


def event_from_row(row: Row) -> Event:
    """From `EVENT_COLUMNS`. Raises `store_corrupt` for a damaged row, naming it."""
    try:
        return Event(
            session_id=row[0],
            run_id=row[1],
            position=row[2],
            seq=row[3],
            fence=row[4],
            at=from_microseconds(row[6]),
            id="evt_" + bytes(row[7]).hex(),
            actor=row[8],
            correlation_id=row[9],
            causation_id=row[10],
            schema_version=row[11],
            origin=row[13],
            data=decode_payload(row[5], row[12], row[11]),
        )
    except _ILLEGIBLE as error:
        where = {"session_id": row[0], "seq": row[3], "position": row[2]}
        raise _damaged(f"event {row[3]} of session {row[0]}", error, **where) from error


def event_values(event: Event, session_key: int, run_key: int | None) -> tuple[Any, ...]:
    """The parameters of `INSERT_EVENT`."""
    return (
        session_key,
        event.seq,
        run_key,
        event.fence,
        event.type,
        to_microseconds(event.at),
        bytes.fromhex(event.id[4:]),
        event.actor,
        event.correlation_id,
        event.causation_id,
        event.schema_version,
        encode_payload(event.data),
    )


def approval_from_row(row: Row) -> Approval:
    """From `APPROVAL_COLUMNS`."""
    try:
        return Approval(
            id=row[0],
            session_id=row[1],
            run_id=row[2],
            status=ApprovalStatus(row[3]),
            tool_name=row[4],
            tool_input=decode_json(row[5]),
            tool_call_id=row[6],
            reason=row[7],
            requested_at=from_microseconds(row[8]),
            expires_at=time_or_none(row[9]),
            decided_at=time_or_none(row[10]),
            decided_by=row[11],
            note=row[12],
        )
    except _ILLEGIBLE as error:
        raise _damaged(f"approval {row[0]}", error, approval_id=row[0]) from error
