"""Transactions on sessions: create, move through the life cycle, change, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.deed import DeedType
from sessionry.domain.errors import Conflict, InvalidInput, NotFound
from sessionry.domain.events import EventData, event_data
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.queries import Appended
from sessionry.domain.records import from_microseconds, invalid, to_microseconds, whole_number
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Many, Now, Steps, Touched
from sessionry.store import rows
from sessionry.store.log import (
    IN_SCOPE,
    SessionLog,
    expire_approvals,
    idempotently,
    open_log,
    open_log_by_key,
    remember_gone,
    scope_values,
    session_not_found,
)
from sessionry.store.operations.deeds import did
from sessionry.store.transaction import LOCK, marks, reads, writes


@writes
def create(
    scope: Scope, session: Session, *, parent: str | None = None, idempotency_key: str | None = None
) -> Steps[Appended]:
    """Append `session_created`. Raises `already_exists`; `session_not_found` for a parent that is not in scope."""
    request = {"create": session.to_dict() | {"created_at": None, "updated_at": None, "id": None}, "parent": parent}
    return (yield from idempotently(scope, idempotency_key, request, _create(scope, session, parent)))


def _create(scope: Scope, session: Session, parent: str | None) -> Steps[Appended]:
    parent_key = None
    if parent is not None:
        found = yield (
            f"select s.key, s.deleted_at from sessionry_session s where s.id = ? and {IN_SCOPE} {LOCK}",
            (parent, *scope_values(scope)),
        )
        if not found or found[0][1] is not None:
            raise session_not_found(parent)
        parent_key = found[0][0]
    now = yield Now()
    log = SessionLog(session.id, None, None, 1, from_microseconds(now), scope)
    log.add(_created(session, parent))
    key = yield from _insert(scope, log.session, parent_key)
    log.inserted(key)
    yield from _write_tags(key, log.session.tags)
    yield from log.flush()
    return log.appended()


@writes
def fork(
    scope: Scope,
    session_id: str,
    *,
    seq: int | None = None,
    title: str | None = None,
    id: str | None = None,
    idempotency_key: str | None = None,
) -> Steps[Appended]:
    """A new session that goes on from this one as it was after its event `seq` (default: the newest one).

    The new log points at the old one and copies nothing of it. Agent, directory, tags, metadata, context and limits are
    those of today, and the old session is the parent. Raises `session_not_found`, `validation_error` for a `seq` that is
    not there, `already_exists`.
    """
    request = {"fork": session_id, "seq": seq, "title": title}
    return (yield from idempotently(scope, idempotency_key, request, _fork(scope, session_id, seq, title, id)))


def _fork(scope: Scope, session_id: str, seq: int | None, title: str | None, id: str | None) -> Steps[Appended]:
    source = yield from open_log(scope, session_id)
    last = source.next_seq - 1
    at = last if seq is None else whole_number(seq, "seq", 1)
    if at > last:
        raise invalid("seq", f"must be an event of the session, at most {last}, not {at}")
    old = source.session
    new = Session.new(
        id=id,
        agent_id=old.agent_id,
        title=old.title if title is None else title,
        cwd=old.cwd,
        tags=old.tags,
        metadata=old.metadata,
        context=old.context,
        slots=old.slots,
        queue_limit=old.queue_limit,
    )
    log = SessionLog(new.id, None, None, 1, source.now, scope)
    log.add(_created(new, session_id))
    log.add(ev.SessionForked(source_session_id=session_id, source_seq=at))
    log.inserted((yield from _insert(scope, log.session, source.key)))
    yield from _write_tags_of(log)
    yield from log.flush()
    return log.appended()


def _write_tags_of(log: SessionLog) -> Steps[None]:
    assert log.key is not None
    yield from _write_tags(log.key, log.session.tags)


def _created(session: Session, parent: str | None) -> ev.SessionCreated:
    return ev.SessionCreated(
        agent_id=session.agent_id,
        parent_session_id=parent,
        title=session.title,
        cwd=session.cwd,
        metadata=session.metadata,
        context=session.context,
        tags=session.tags,
        slots=session.slots,
        queue_limit=session.queue_limit,
    )


def _insert(scope: Scope, session: Session, parent_key: int | None) -> Steps[int]:
    values = rows.session_values(session) | {
        "id": session.id,
        "tenant": scope.tenant,
        "owner": scope.user,
        "agent_id": session.agent_id,
        "parent": parent_key,
        "parent_id": session.parent_session_id,
        "created_at": to_microseconds(session.created_at),
    }
    found = yield (
        f"insert into sessionry_session ({', '.join(values)}) values ({marks(list(values))})"
        " on conflict (id) do nothing returning key",
        tuple(values.values()),
    )
    if not found:
        raise Conflict("already_exists", f"there is a session {session.id} already", details={"session_id": session.id})
    key: int = found[0][0]
    return key


def _write_tags(key: int, tags: list[str]) -> Steps[None]:
    yield "delete from sessionry_tag where session = ?", (key,)
    if tags:
        yield Many("insert into sessionry_tag (tag, session) values (?, ?)", [(tag, key) for tag in tags])


@writes
def change_status(
    scope: Scope, session_id: str, data: EventData, *, idempotency_key: str | None = None
) -> Steps[Appended]:
    """Append `session_started`, `_paused`, `_resumed` or `_completed`. Raises `invalid_transition`.

    A session with unfinished runs cannot be completed (`invalid_operation`): cancel them or wait for them.
    """
    request = {data.type: session_id, "data": data}
    return (yield from idempotently(scope, idempotency_key, request, _change_status(scope, session_id, data)))


def _change_status(scope: Scope, session_id: str, data: EventData) -> Steps[Appended]:
    log = yield from open_log(scope, session_id)
    log.add(data)
    if isinstance(data, ev.SessionCompleted):
        yield from _refuse_unfinished(log, "completed")
    yield from log.flush()
    yield from log.promote()
    return log.appended()


def _refuse_unfinished(log: SessionLog, what: str) -> Steps[None]:
    unfinished = yield from log.load_unfinished_runs()
    if unfinished:
        raise Conflict(
            "invalid_operation",
            f"session {log.session_id} has {len(unfinished)} unfinished runs and cannot be {what};"
            " cancel them or wait for them",
            details={"runs": [run.id for run in unfinished]},
        )


@writes
def end(
    scope: Scope, session_id: str, data: EventData, *, cascade: bool = False, idempotency_key: str | None = None
) -> Steps[Appended]:
    """Cancel or fail the session: its queued runs are cancelled now, its live ones are asked to stop.

    With `cascade`, the same happens to all its descendants that have not ended. The events given back are the session's.
    """
    request = {data.type: session_id, "data": data, "cascade": cascade}
    return (yield from idempotently(scope, idempotency_key, request, _end(scope, session_id, data, cascade)))


def _end(scope: Scope, session_id: str, data: EventData, cascade: bool) -> Steps[Appended]:
    log = yield from open_log(scope, session_id)
    yield from _end_one(log, data)
    reached: set[int] = set()
    # Again until there is no new one: a child may have been created under a descendant before that was locked.
    while cascade and (keys := {*(yield from _descendants(scope, session_id))} - reached):
        for key in sorted(keys):
            child = yield from open_log_by_key(key, scope)
            if not child.session.ended:
                yield from _end_one(child, ev.SessionCancelled(reason=f"its parent {session_id} ended"))
        reached |= keys
    return log.appended()


def _end_one(log: SessionLog, data: EventData) -> Steps[None]:
    for run in (yield from log.load_unfinished_runs()):
        yield from cancel_unfinished(log, run.id, ev.RunCancelRequested(reason=f"the session {data.type[8:]}"))
    log.add(data)
    yield from log.flush()
    yield from log.promote()


def cancel_unfinished(log: SessionLog, run_id: str, request: ev.RunCancelRequested) -> Steps[None]:
    """Cancel a run that nobody works on now; ask the worker of any other. The caller flushes and promotes."""
    run = log.run(run_id)
    log.add(request, run_id=run_id)
    if run.status is RunStatus.PENDING or run.worker_id is None:
        yield from expire_approvals(log, run_id)
        log.add(ev.RunCancelled(reason=request.reason), run_id=run_id)


def _descendants(scope: Scope, session_id: str) -> Steps[list[int]]:
    found = yield (
        "with recursive tree (key) as ("
        f" select s.key from sessionry_session s where s.id = ? and {IN_SCOPE}"
        f" union select s.key from sessionry_session s join tree t on s.parent = t.key where {IN_SCOPE})"
        " select key from tree where key not in (select key from sessionry_session where id = ?)",
        (session_id, *scope_values(scope), *scope_values(scope), session_id),
    )
    return [row[0] for row in found]


@writes
def update(
    scope: Scope,
    session_id: str,
    changes: dict[str, Any],
    *,
    if_version: int | None = None,
    idempotency_key: str | None = None,
) -> Steps[Appended]:
    """Append `session_updated` with the given fields. Raises `stale_version` when `if_version` is not the newest."""
    request = {"update": session_id, "changes": changes, "if_version": if_version}
    return (yield from idempotently(scope, idempotency_key, request, _update(scope, session_id, changes, if_version)))


def _update(scope: Scope, session_id: str, changes: dict[str, Any], if_version: int | None) -> Steps[Appended]:
    log = yield from open_log(scope, session_id)
    if if_version is not None and log.session.version != if_version:
        raise Conflict(
            "stale_version",
            f"session {session_id} is at version {log.session.version}, not {if_version}; read it again",
            details={"version": log.session.version, "if_version": if_version},
        )
    log.add(event_data(ev.SessionUpdated.type, changes))
    yield from log.flush()
    if "tags" in changes:
        assert log.key is not None
        yield from _write_tags(log.key, log.session.tags)
    if "slots" in changes:
        yield from log.promote()
    return log.appended()


@writes
def delete(
    scope: Scope, session_id: str, *, reason: str | None = None, idempotency_key: str | None = None
) -> Steps[Appended]:
    """Hide the session until it is restored or purged. Raises `invalid_operation` while runs are unfinished."""
    request = {"delete": session_id, "reason": reason}
    return (yield from idempotently(scope, idempotency_key, request, _delete(scope, session_id, reason)))


def _delete(scope: Scope, session_id: str, reason: str | None) -> Steps[Appended]:
    log = yield from open_log(scope, session_id)
    yield from _refuse_unfinished(log, "deleted")
    log.add(ev.SessionDeleted(reason=reason))
    yield from log.flush()
    return log.appended()


@writes
def restore(scope: Scope, session_id: str, *, idempotency_key: str | None = None) -> Steps[Appended]:
    """Bring a deleted session back. Raises `invalid_operation` when it is not deleted."""
    return (yield from idempotently(scope, idempotency_key, {"restore": session_id}, _restore(scope, session_id)))


def _restore(scope: Scope, session_id: str) -> Steps[Appended]:
    log = yield from open_log(scope, session_id, deleted=True)
    if log.session.deleted_at is None:
        raise Conflict("invalid_operation", f"session {session_id} is not deleted; there is nothing to restore")
    log.add(ev.SessionRestored())
    yield from log.flush()
    return log.appended()


@writes
def purge(scope: Scope, session_id: str) -> Steps[int]:
    """Remove a deleted session for ever, with its runs, events and approvals; the number of events removed.

    Raises `invalid_operation` unless it was deleted before: nothing goes for ever in one step.
    """
    log = yield from open_log(scope, session_id, deleted=True)
    if log.session.deleted_at is None:
        raise Conflict("invalid_operation", f"session {session_id} is not deleted; delete it first (`sessionry rm`)")
    gone = yield "select count(*), max(position) from sessionry_event where session = ?", (log.key,)
    yield from remember_gone(log.key, gone[0][1])
    yield from did(scope, DeedType.SESSION_PURGED, session_id)
    for table in ("event", "approval", "run", "tag"):
        yield f"delete from sessionry_{table} where session = ?", (log.key,)
    yield "update sessionry_session set parent = null where parent = ?", (log.key,)
    yield "delete from sessionry_session where key = ?", (log.key,)
    assert log.key is not None
    yield Touched(session_id, log.key)
    count: int = gone[0][0]
    return count


@reads
def get(scope: Scope, session_id: str, *, deleted: bool = False) -> Steps[Session]:
    """The session as it is now. Raises `session_not_found`, also for a deleted one unless `deleted`."""
    found = yield (
        f"select {rows.SESSION_COLUMNS} from sessionry_session s where s.id = ? and {IN_SCOPE}",
        (session_id, *scope_values(scope)),
    )
    if not found or (found[0][-2] is not None and not deleted):
        raise session_not_found(session_id)
    return rows.session_from_row(found[0])


@reads
def tree(scope: Scope, session_id: str) -> Steps[list[Session]]:
    """The session and all its descendants that are not deleted, parents before children."""
    found = yield (
        "with recursive tree (key, depth) as ("
        f" select s.key, 0 from sessionry_session s where s.id = ? and {IN_SCOPE}"
        f" union all select s.key, t.depth + 1 from sessionry_session s join tree t on s.parent = t.key where {IN_SCOPE})"
        f" select {rows.SESSION_COLUMNS} from tree t join sessionry_session s on s.key = t.key"
        " where s.deleted_at is null order by t.depth, s.key",
        (session_id, *scope_values(scope), *scope_values(scope)),
    )
    if not found:
        raise session_not_found(session_id)
    return [rows.session_from_row(row) for row in found]


#: Sorts behind every other character.
_LAST = "\U0010ffff"
_PREFIXES = {ids.SESSION: "session", ids.RUN: "run", ids.APPROVAL: "approval"}


@reads
def find(scope: Scope, prefix: str) -> Steps[str]:
    """The one id of a session, run or approval that begins with `prefix`, with or without its `ses_`, `run_`, `apr_`.

    Raises `ambiguous_id` when there are several and `session_not_found` (or `run_`, `approval_`) when there is none.
    """
    kinds = [_PREFIXES[prefix[:4]]] if prefix[:4] in _PREFIXES else list(_PREFIXES.values())
    exact: list[str] = []
    starting: list[str] = []
    for kind in kinds:
        for (found,) in (yield from _find_kind(scope, kind, prefix)):
            (exact if found == prefix else starting).append(found)
    matches = exact or starting
    if not matches:
        what = kinds[0] if len(kinds) == 1 else "session"
        raise NotFound(
            f"{what}_not_found", f"no {' or '.join(kinds)} id begins with {prefix!r}", details={"id": prefix}
        )
    if len(matches) > 1:
        some = ", ".join(matches[:5])
        raise InvalidInput("ambiguous_id", f"{prefix!r} may mean {some} ...; give more of it", details={"ids": matches})
    return matches[0]


def _find_kind(scope: Scope, kind: str, prefix: str) -> Steps[list[tuple[str]]]:
    stem = {name: start for start, name in _PREFIXES.items()}[kind]
    start = prefix if prefix.startswith(stem) else stem + prefix
    alias, source = {
        "session": ("s", "sessionry_session s"),
        "run": ("r", "sessionry_run r join sessionry_session s on s.key = r.session"),
        "approval": ("a", "sessionry_approval a join sessionry_session s on s.key = a.session"),
    }[kind]
    found: list[tuple[str]] = yield (
        f"select {alias}.id from {source} where (({alias}.id >= ? and {alias}.id < ?) or {alias}.id = ?) and {IN_SCOPE}"
        f" order by {alias}.id limit 6",
        (start, start + _LAST, prefix, *scope_values(scope)),
    )
    return found


@writes
def record(scope: Scope, session_id: str, events: Sequence[ev.CustomRecorded | ev.ArtifactAdded]) -> Steps[Appended]:
    """Append events of the caller's own to the session, outside of its runs, in one go."""
    log = yield from open_log(scope, session_id)
    for data in events:
        log.add(data)
    yield from log.flush()
    return log.appended()
