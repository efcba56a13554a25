"""Lists of sessions and runs, page by page: the cursor is the place of the last row, so a page costs the same anywhere."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from sessionry.domain.errors import InvalidInput
from sessionry.domain.lifecycle import SESSION_ENDED, RunStatus
from sessionry.domain.queries import Activity, Counts, Page, RunFilter, SessionFilter, SessionSummary
from sessionry.domain.records import invalid, to_microseconds
from sessionry.domain.run import Run
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Steps
from sessionry.store import rows
from sessionry.store.log import IN_SCOPE, scope_values
from sessionry.store.operations.usage import dollars
from sessionry.store.transaction import marks, reads

#: Order -> (column, direction). A leading minus means newest first.
SESSION_ORDERS = {
    "created": ("s.created_at", "asc"),
    "-created": ("s.created_at", "desc"),
    "updated": ("s.updated_at", "asc"),
    "-updated": ("s.updated_at", "desc"),
}
RUN_ORDERS = {"created": ("r.created_at", "asc"), "-created": ("r.created_at", "desc")}

#: Sessions that wait for a person, that work, and that have runs in their queue.
_ASKED = "s.key in (select session from sessionry_approval where status = 'pending')"
_LIVE = "s.key in (select session from sessionry_run where slot is not null)"
_QUEUED = "s.key in (select session from sessionry_run where status = 'pending')"
_ENDED = f"s.status in ({', '.join(repr(status.value) for status in sorted(SESSION_ENDED))})"
#: Activity -> how it is found. One that comes first in the enumeration goes before the later ones.
_FOUND = {
    Activity.NEEDS_YOU: _ASKED,
    Activity.WORKING: _LIVE,
    Activity.ENDED: _ENDED,
    Activity.QUEUED: _QUEUED,
    Activity.IDLE: "1 = 1",
}
_ACTIVITY = "case " + " ".join(f"when {found} then '{activity}'" for activity, found in _FOUND.items()) + " end"

_OF_RUNS = "from sessionry_run r where r.session = s.key"
_LAST_EVENT = "from sessionry_event e where e.session = s.key order by e.seq desc limit 1"
_COUNTS = (
    f"(select max(seq) from sessionry_event e where e.session = s.key), (select count(*) {_OF_RUNS}),"
    f" (select count(*) {_OF_RUNS} and r.status = 'pending'),"
    f" (select count(*) {_OF_RUNS} and r.slot is not null and r.status = 'running'),"
    f" (select count(*) {_OF_RUNS} and r.slot is not null and r.status = 'waiting'),"
    " (select count(*) from sessionry_approval a where a.session = s.key and a.status = 'pending'),"
    f" (select r.status {_OF_RUNS} order by r.key desc limit 1), (select e.at {_LAST_EVENT}),"
    f" (select e.type {_LAST_EVENT}),"
    " (select cast(sum(u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens) as bigint)"
    " from sessionry_used u where u.session = s.key),"
    " (select cast(sum(u.billionths) as bigint) from sessionry_used u where u.session = s.key)"
)


class _Query:
    """Conditions and their values, in step."""

    def __init__(self, scope: Scope) -> None:
        self.conditions = [IN_SCOPE]
        self.values: list[Any] = list(scope_values(scope))

    def add(self, condition: str, *values: Any) -> None:
        self.conditions.append(condition)
        self.values += values

    def add_times(self, column: str, after: datetime | None, before: datetime | None) -> None:
        if after is not None:
            self.add(f"{column} > ?", to_microseconds(after))
        if before is not None:
            self.add(f"{column} < ?", to_microseconds(before))

    def add_page(self, column: str, direction: str, key: str, cursor: str | None, order: str) -> None:
        if cursor is not None:
            sign = "<" if direction == "desc" else ">"
            self.add(f"({column}, {key}) {sign} (?, ?)", *place(cursor, order))

    @property
    def where(self) -> str:
        return " and ".join(self.conditions)


@reads
def list_sessions(
    scope: Scope, filter: SessionFilter, *, order: str = "-updated", limit: int = 50, cursor: str | None = None
) -> Steps[Page[SessionSummary]]:
    """A page of sessions. Raises `validation_error` for an unknown order, `invalid_cursor` for one of another list."""
    column, direction = _order(order, SESSION_ORDERS)
    query = _session_query(scope, filter)
    query.add_page(column, direction, "s.key", cursor, order)
    found = yield (
        f"select {rows.SESSION_COLUMNS}, {_COUNTS}, {column}, s.key from sessionry_session s"
        f" where {query.where} order by {column} {direction}, s.key {direction} limit ?",
        (*query.values, limit + 1),
    )
    return Page([_summary(row) for row in found[:limit]], next_cursor(found, limit, order))


def _session_query(scope: Scope, filter: SessionFilter) -> _Query:
    query = _Query(scope)
    if not filter.include_deleted:
        query.add("s.deleted_at is null")
    if filter.status:
        query.add(f"s.status in ({marks(filter.status)})", *map(str, filter.status))
    if filter.activity:
        query.add(f"({' or '.join(_goes_on(Activity(activity)) for activity in filter.activity)})")
    if filter.agent is not None:
        query.add("s.agent_id = ?", filter.agent)
    for tag in filter.tags:
        query.add("exists (select 1 from sessionry_tag t where t.tag = ? and t.session = s.key)", tag)
    if filter.parent is not None:
        query.add("s.parent = (select p.key from sessionry_session p where p.id = ?)", filter.parent)
    if filter.text is not None:
        query.add("s.title_folded like ? escape '!'", f"%{_like(filter.text.casefold())}%")
    query.add_times("s.created_at", filter.created_after, filter.created_before)
    query.add_times("s.updated_at", filter.updated_after, filter.updated_before)
    return query


def _goes_on(activity: Activity) -> str:
    """The condition of sessions in which that goes on, and nothing before it in the enumeration."""
    before = [f"not {_FOUND[other]}" for other in Activity]
    return "(" + " and ".join([_FOUND[activity], *before[: list(Activity).index(activity)]]) + ")"


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _summary(row: rows.Row) -> SessionSummary:
    last_seq, runs, pending, running, waiting, asked, last_run, last_at, last_type, tokens, billionths = row[
        rows.SESSION_WIDTH : rows.SESSION_WIDTH + 11
    ]
    session = rows.session_from_row(row)
    return SessionSummary(
        session=session,
        activity=_activity(session, asked, running + waiting, pending),
        last_seq=last_seq or 0,
        last_event_at=rows.time_or_none(last_at),
        last_event_type=last_type,
        last_run_status=None if last_run is None else RunStatus(last_run),
        tokens=tokens or 0,
        cost=dollars(billionths),
        runs=runs,
        pending_runs=pending,
        running_runs=running,
        waiting_runs=waiting,
        pending_approvals=asked,
    )


def _activity(session: Session, asked: int, live: int, pending: int) -> Activity:
    """The same as `_ACTIVITY`, of what is read already."""
    if asked:
        return Activity.NEEDS_YOU
    if live:
        return Activity.WORKING
    if session.ended:
        return Activity.ENDED
    return Activity.QUEUED if pending else Activity.IDLE


@reads
def list_runs(
    scope: Scope, filter: RunFilter, *, order: str = "-created", limit: int = 50, cursor: str | None = None
) -> Steps[Page[Run]]:
    """A page of runs of the sessions that are not deleted."""
    column, direction = _order(order, RUN_ORDERS)
    query = _Query(scope)
    query.add("s.deleted_at is null")
    if filter.session is not None:
        query.add("s.id = ?", filter.session)
    if filter.status:
        query.add(f"r.status in ({marks(filter.status)})", *map(str, filter.status))
    if filter.agent is not None:
        query.add("r.agent_id = ?", filter.agent)
    query.add_times("r.created_at", filter.created_after, filter.created_before)
    query.add_page(column, direction, "r.key", cursor, order)
    found = yield (
        f"select {rows.RUN_COLUMNS}, {column}, r.key from sessionry_run r join sessionry_session s on s.key = r.session"
        f" where {query.where} order by {column} {direction}, r.key {direction} limit ?",
        (*query.values, limit + 1),
    )
    return Page([rows.run_to_show(row) for row in found[:limit]], next_cursor(found, limit, order))


@reads
def counts(scope: Scope) -> Steps[Counts]:
    """How many sessions and runs there are, by status and activity, and how many questions wait."""
    sessions = yield (
        f"select s.status, count(*) from sessionry_session s where {IN_SCOPE} and s.deleted_at is null group by s.status",
        scope_values(scope),
    )
    activity = yield (
        f"select {_ACTIVITY}, count(*) from sessionry_session s where {IN_SCOPE} and s.deleted_at is null group by 1",
        scope_values(scope),
    )
    runs = yield (
        "select r.status, count(*) from sessionry_run r join sessionry_session s on s.key = r.session"
        f" where {IN_SCOPE} and s.deleted_at is null group by r.status",
        scope_values(scope),
    )
    approvals = yield (
        "select count(*) from sessionry_approval a join sessionry_session s on s.key = a.session"
        f" where a.status = 'pending' and {IN_SCOPE} and s.deleted_at is null",
        scope_values(scope),
    )
    return Counts(sessions=dict(sessions), activity=dict(activity), runs=dict(runs), pending_approvals=approvals[0][0])


def _order(order: str, orders: dict[str, tuple[str, str]]) -> tuple[str, str]:
    if order not in orders:
        raise invalid("order", f"must be one of {', '.join(orders)}, not {order!r}")
    return orders[order]


def next_cursor(found: list[tuple[Any, ...]], limit: int, order: str) -> str | None:
    """A cursor for the page after this one: the order, and the place of the last row in it."""
    if len(found) <= limit:
        return None
    place = msgspec.json.encode([order, *found[limit - 1][-2:]])
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def place(cursor: str, order: str) -> tuple[int, int]:
    """What `next_cursor` put into the cursor. Raises `invalid_cursor`, also for one of another order."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, value, key = msgspec.json.decode(text, type=tuple[str, int, int])
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise InvalidInput("invalid_cursor", f"{cursor!r} is no cursor; take it from the last page") from error
    if made_for != order:
        raise InvalidInput("invalid_cursor", f"the cursor belongs to the order {made_for!r}, not {order!r}")
    return value, key
