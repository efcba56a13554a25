"""Transactions on webhooks: what their owners do with them, and what their notifier does.

A webhook's cursor goes through the log of all sessions. What is found there for it is entered as notices in the
transaction that moves the cursor, so nothing is lost or doubled on the way, whenever a process dies. A notice is removed
once it was taken, which a process may not live to do: it comes at least once, with the same `webhook-id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.deed import DeedType
from sessionry.domain.errors import Exhausted, NotFound
from sessionry.domain.events import Event
from sessionry.domain.queries import Page
from sessionry.domain.records import from_microseconds
from sessionry.domain.scope import Scope
from sessionry.domain.webhook import (
    PERSON_NEEDED,
    PIECES,
    Notice,
    NoticeStatus,
    Webhook,
    webhook_description,
    webhook_types,
    webhook_url,
)
from sessionry.ports import Many, Now, Steps
from sessionry.store import rows
from sessionry.store.log import IN_SCOPE, OWNED, scope_values
from sessionry.store.operations.deeds import did
from sessionry.store.operations.listing import next_cursor, place
from sessionry.store.transaction import SETTLED, marks, reads, writes

_COLUMNS = (
    "w.id, w.url, w.tenant, w.owner, w.types, w.description, w.cursor, w.created_at, w.updated_at, w.failing_since,"
    " w.disabled_at, w.disabled_because,"
    " (select count(*) from sessionry_notice d where d.webhook = w.key and d.status = 'pending'),"
    " (select count(*) from sessionry_notice d where d.webhook = w.key and d.status = 'dead')"
)
_NOTICE = "d.id, w.id, s.id, d.type, d.status, d.created_at, d.due_at, d.tries, d.problem, d.http_status"
_NOTICES = (
    "sessionry_notice d join sessionry_webhook w on w.key = d.webhook join sessionry_session s on s.key = d.session"
)
_ORDER = "webhook"
#: Webhooks that a tenant may have: each one looks at the log for itself.
MOST = 100
#: The event that a person is told of.
_ASKED = ev.ToolApprovalRequested.type


# --- what owners do ---------------------------------------------------------------------------------------------------


@writes
def create(
    scope: Scope, url: str, secret: str, *, types: Sequence[str] = (), description: str | None = None
) -> Steps[Webhook]:
    """A webhook for what happens in that scope from now on. Raises `validation_error`, `invalid_event_type`,
    `too_many_webhooks`."""
    now = yield Now()
    made = yield "select count(*) from sessionry_webhook where tenant = ?", (scope.tenant,)
    if made[0][0] >= MOST:
        raise Exhausted("too_many_webhooks", f"there are {MOST} webhooks already; remove one that is not needed")
    newest = yield f"select max(position) from sessionry_event e where true {SETTLED}", ()
    id = ids.new_id(ids.WEBHOOK)
    yield (
        "insert into sessionry_webhook"
        " (id, tenant, owner, url, types, description, secret, cursor, created_at, updated_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            scope.tenant,
            scope.user,
            webhook_url(url),
            encode_json(webhook_types(types)),
            webhook_description(description),
            secret,
            newest[0][0] or 0,
            now,
            now,
        ),
    )
    yield from did(scope, DeedType.WEBHOOK_CREATED, id)
    return (yield from _get(scope, id))


@reads
def get(scope: Scope, webhook_id: str) -> Steps[Webhook]:
    """The webhook as it is now. Raises `webhook_not_found`."""
    return (yield from _get(scope, webhook_id))


def _get(scope: Scope, webhook_id: str) -> Steps[Webhook]:
    found = yield (
        f"select {_COLUMNS} from sessionry_webhook w where w.id = ? and {OWNED}",
        (webhook_id, *scope_values(scope)),
    )
    if not found:
        raise _not_found(webhook_id)
    return _webhook(found[0])


@reads
def of_scope(scope: Scope) -> Steps[list[Webhook]]:
    """The webhooks of the scope, oldest first."""
    found = yield f"select {_COLUMNS} from sessionry_webhook w where {OWNED} order by w.key", scope_values(scope)
    return [_webhook(row) for row in found]


@writes
def update(scope: Scope, webhook_id: str, changes: dict[str, Any]) -> Steps[Webhook]:
    """Replace `url`, `types`, `description` or `enabled`. One that is enabled again goes on where it stopped.

    Raises `webhook_not_found`, `validation_error`, `invalid_event_type`.
    """
    key, now = (yield from _key(scope, webhook_id)), (yield Now())
    values: dict[str, Any] = {"updated_at": now}
    if "url" in changes:
        values["url"] = webhook_url(changes["url"])
    if "types" in changes:
        values["types"] = encode_json(webhook_types(changes["types"]))
    if "description" in changes:
        values["description"] = webhook_description(changes["description"])
    if "enabled" in changes:
        on = bool(changes["enabled"])
        values |= {"disabled_at": None if on else now, "disabled_because": None if on else "by its owner"}
        values |= {"failing_since": None}
    sets = ", ".join(f"{name} = ?" for name in values)
    yield f"update sessionry_webhook set {sets} where key = ?", (*values.values(), key)
    if changes.get("enabled"):
        yield "update sessionry_notice set due_at = ? where webhook = ? and status = 'pending'", (now, key)
    yield from did(scope, DeedType.WEBHOOK_UPDATED, webhook_id)
    return (yield from _get(scope, webhook_id))


@writes
def delete(scope: Scope, webhook_id: str) -> Steps[Webhook]:
    """Remove it with what it has not taken; as it was. Raises `webhook_not_found`."""
    webhook = yield from _get(scope, webhook_id)
    key = yield from _key(scope, webhook_id)
    yield "delete from sessionry_webhook where key = ?", (key,)
    yield from did(scope, DeedType.WEBHOOK_DELETED, webhook_id)
    return webhook


@reads
def notices(
    scope: Scope,
    webhook_id: str,
    *,
    status: NoticeStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Steps[Page[Notice]]:
    """What the webhook has not taken, oldest first. Raises `webhook_not_found`, `invalid_cursor`."""
    conditions = ["d.webhook = ?"]
    values: list[Any] = [(yield from _key(scope, webhook_id))]
    if status is not None:
        conditions.append("d.status = ?")
        values.append(status.value)
    if cursor is not None:
        conditions.append("d.key > ?")
        values.append(place(cursor, _ORDER)[-1])
    found = yield (
        f"select {_NOTICE}, d.created_at, d.key from {_NOTICES} where {' and '.join(conditions)}"
        " order by d.key limit ?",
        (*values, limit + 1),
    )
    return Page([_notice(row) for row in found[:limit]], next_cursor(found, limit, _ORDER))


@writes
def retry(scope: Scope, webhook_id: str, notice_id: str | None = None) -> Steps[int]:
    """Let what was given up be tried again from the beginning: one notice, or all; how many.

    Raises `webhook_not_found`, `notice_not_found`.
    """
    key, now = (yield from _key(scope, webhook_id)), (yield Now())
    one = "status = 'dead'" if notice_id is None else "id = ?"
    found = yield (
        "update sessionry_notice set status = 'pending', tries = 0, due_at = ?, problem = null, http_status = null"
        f" where webhook = ? and {one} returning 1",
        (now, key, *([] if notice_id is None else [notice_id])),
    )
    if notice_id is not None and not found:
        raise NotFound(
            "notice_not_found",
            f"there is no notice {notice_id} of webhook {webhook_id}",
            details={"notice_id": notice_id},
        )
    yield from did(scope, DeedType.NOTICES_RETRIED, webhook_id)
    return len(found)


@writes
def replay(scope: Scope, webhook_id: str, after: int) -> Steps[Webhook]:
    """Tell it again of all that is in the log after that position, or skip what is before it."""
    key = yield from _key(scope, webhook_id)
    yield "update sessionry_webhook set cursor = ?, updated_at = ? where key = ?", (after, (yield Now()), key)
    yield from did(scope, DeedType.WEBHOOK_REPLAYED, webhook_id)
    return (yield from _get(scope, webhook_id))


def _key(scope: Scope, webhook_id: str) -> Steps[int]:
    found = yield (
        f"select w.key from sessionry_webhook w where w.id = ? and {OWNED}",
        (webhook_id, *scope_values(scope)),
    )
    if not found:
        raise _not_found(webhook_id)
    key: int = found[0][0]
    return key


def _not_found(webhook_id: str) -> NotFound:
    return NotFound("webhook_not_found", f"there is no webhook {webhook_id}", details={"webhook_id": webhook_id})


def _webhook(row: rows.Row) -> Webhook:
    return Webhook(
        id=row[0],
        url=row[1],
        scope=Scope(row[2], row[3]),
        types=decode_json(row[4]),
        description=row[5],
        cursor=row[6],
        created_at=from_microseconds(row[7]),
        updated_at=from_microseconds(row[8]),
        failing_since=rows.time_or_none(row[9]),
        disabled_at=rows.time_or_none(row[10]),
        disabled_because=row[11],
        pending=row[12],
        dead=row[13],
    )


def _notice(row: rows.Row) -> Notice:
    return Notice(
        id=row[0],
        webhook_id=row[1],
        session_id=row[2],
        type=row[3],
        status=NoticeStatus(row[4]),
        created_at=from_microseconds(row[5]),
        due_at=from_microseconds(row[6]),
        tries=row[7],
        problem=row[8],
        http_status=row[9],
    )


# --- what the notifier does ------------------------------------------------------------------------------------------


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as its notifier needs it."""

    key: int
    id: str
    url: str
    secret: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds for a webhook: (position, session, type) of each, after `cursor` and up to `upto`."""

    cursor: int
    upto: int
    items: list[tuple[int, int, str]] = []


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that is due, with what it tells of. Without an event there is nothing to tell any more."""

    key: int
    type: str
    tries: int
    event: Event | None = None
    title: str | None = None
    agent_id: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a try went. Without a `problem` it was taken. `again`: seconds until the next try; None: it is given up.

    `gone`: the address wants nothing any more. `moot`: nothing was sent, since there is nothing to tell any more, so the
    address has not shown whether it works.
    """

    key: int
    problem: str | None = None
    http_status: int | None = None
    again: float | None = None
    gone: bool = False
    moot: bool = False


@writes
def lead(name: str, holder: str, seconds: float) -> Steps[bool]:
    """Whether `holder` is the one for so many seconds from now; it stays so by asking again in time."""
    now = yield Now()
    found = yield (
        "insert into sessionry_leader (name, holder, expires_at) values (?, ?, ?) on conflict (name) do update"
        " set holder = excluded.holder, expires_at = excluded.expires_at"
        " where sessionry_leader.holder = excluded.holder or sessionry_leader.expires_at < ? returning 1",
        (name, holder, now + int(seconds * 1_000_000), now),
    )
    return bool(found)


@writes
def resign(name: str, holder: str) -> Steps[None]:
    """Let another one lead at once."""
    yield "delete from sessionry_leader where name = ? and holder = ?", (name, holder)


@reads
def endpoints() -> Steps[list[Endpoint]]:
    """The webhooks of all scopes that are enabled."""
    found = yield "select key, id, url, secret from sessionry_webhook where disabled_at is null order by key", ()
    return [Endpoint(key=key, id=id, url=url, secret=secret) for key, id, url, secret in found]


@reads
def ahead(key: int, seen: Found, limit: int) -> Steps[Found]:
    """What the log holds beyond the webhook's cursor, and beyond what was `seen` of it without finding anything."""
    row = yield "select cursor, tenant, owner, types from sessionry_webhook where key = ?", (key,)
    if not row:
        return seen
    cursor, tenant, owner, types = row[0]
    after = seen.upto if seen.cursor == cursor else cursor
    newest = yield f"select max(position) from sessionry_event e where e.position > ? {SETTLED}", (after,)
    if newest[0][0] is None:
        return Found(cursor=cursor, upto=after)
    condition, values = _of_types(decode_json(types))
    found = yield (
        "select e.position, e.session, e.type from sessionry_event e join sessionry_session s on s.key = e.session"
        f" where {IN_SCOPE} and e.position > ? and e.position <= ? and {condition} order by e.position limit ?",
        (*scope_values(Scope(tenant, owner)), after, newest[0][0], *values, limit),
    )
    upto = newest[0][0] if len(found) < limit else found[-1][0]
    told = [(position, session, type) for position, session, name in found for type in _told(name, decode_json(types))]
    return Found(cursor=cursor, upto=upto, items=told)


def _of_types(types: list[str]) -> tuple[str, Sequence[str]]:
    if not types:
        return f"e.type not in ({marks(PIECES)})", PIECES
    wanted = sorted({_ASKED if name == PERSON_NEEDED else name for name in types})
    return f"e.type in ({marks(wanted)})", wanted


def _told(name: str, types: list[str]) -> list[str]:
    """What an event of that type is told as: itself, and that a person is needed."""
    itself = [name] if not types or name in types else []
    return [*itself, PERSON_NEEDED] if name == _ASKED and PERSON_NEEDED in types else itself


@writes
def enter(key: int, found: Found, most: int) -> Steps[bool]:
    """Owe the webhook what was found, and move its cursor; false when it was moved meanwhile, or owes `most` already."""
    now = yield Now()
    moved = yield (
        "update sessionry_webhook set cursor = ? where key = ? and cursor = ? and"
        " (select count(*) from sessionry_notice where webhook = ? and status = 'pending') < ? returning 1",
        (found.upto, key, found.cursor, key, most),
    )
    if not moved:
        return False
    yield Many(
        "insert into sessionry_notice (id, webhook, session, position, type, status, due_at, created_at)"
        " select ?, ?, s.key, ?, ?, 'pending', ?, ? from sessionry_session s where s.key = ?"
        " on conflict (webhook, position, type) do update"
        " set status = 'pending', tries = 0, due_at = excluded.due_at, problem = null, http_status = null",
        [(ids.new_id(ids.NOTICE), key, position, type, now, now, session) for position, session, type in found.items],
    )
    return True


@reads
def owed(key: int, limit: int) -> Steps[tuple[list[Owed], float | None]]:
    """What is due, the longest first, and the seconds until more is; None: nothing is owed."""
    now = yield Now()
    found = yield (
        "select d.key, d.type, d.tries, s.title, s.agent_id, d.due_at, d.position from sessionry_notice d"
        " join sessionry_session s on s.key = d.session"
        " where d.webhook = ? and d.status = 'pending' order by d.due_at, d.key limit ?",
        (key, limit + 1),
    )
    due = []
    for notice, type, tries, title, agent_id, due_at, position in found[:limit]:
        if due_at <= now:
            event = yield from _event(position)
            due.append(Owed(key=notice, type=type, tries=tries, title=title, agent_id=agent_id, event=event))
    later = [row[5] for row in found[len(due) :]]
    return due, max((later[0] - now) / 1_000_000, 0.0) if later else None


def _event(position: int) -> Steps[Event | None]:
    found = yield (
        f"select {rows.EVENT_COLUMNS} from sessionry_event e join sessionry_session s on s.key = e.session"
        " left join sessionry_run r on r.key = e.run where e.position = ?",
        (position,),
    )
    return rows.event_from_row(found[0]) if found else None


@writes
def settle(key: int, outcomes: Sequence[Outcome], patience: float) -> Steps[str | None]:
    """Keep how tries went. One that fails for more than `patience` seconds is disabled; why, if it was now."""
    now = yield Now()
    sent = [outcome for outcome in outcomes if not outcome.moot]
    if any(outcome.problem is None for outcome in sent):  # the webhook first, as whoever changes it does
        yield "update sessionry_webhook set failing_since = null where key = ?", (key,)
    elif sent:
        yield "update sessionry_webhook set failing_since = coalesce(failing_since, ?) where key = ?", (now, key)
    for outcome in outcomes:
        if outcome.problem is None:
            yield "delete from sessionry_notice where key = ?", (outcome.key,)
        else:
            yield from _failed(outcome, now)
    why = "it answered 410 Gone" if any(outcome.gone for outcome in outcomes) else "it took nothing for too long"
    disabled = yield (
        "update sessionry_webhook set disabled_at = ?, disabled_because = ?"
        " where key = ? and disabled_at is null and (failing_since < ? or ?) returning 1",
        (now, why, key, now - int(patience * 1_000_000), any(outcome.gone for outcome in outcomes)),
    )
    return why if disabled else None


def _failed(outcome: Outcome, now: int) -> Steps[None]:
    status = NoticeStatus.DEAD if outcome.again is None else NoticeStatus.PENDING
    yield (
        "update sessionry_notice set status = ?, tries = tries + 1, due_at = ?, problem = ?, http_status = ?"
        " where key = ?",
        (
            status.value,
            now + int((outcome.again or 0) * 1_000_000),
            outcome.problem,
            outcome.http_status,
            outcome.key,
        ),
    )
