"""Lists of sessions and runs, page by page: the cursor is the place of the last row, so a page costs the same anywhere."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from sessionry.domain.errors import InvalidInput
from sessionry.domain.queries import Counts, Page, RunFilter, SessionFilter, SessionSummary
from sessionry.domain.records import invalid, to_microseconds
from sessionry.domain.run import Run
from sessionry.domain.scope import Scope
from sessionry.ports import Steps
from sessionry.store import rows
from sessionry.store.log import IN_SCOPE, scope_values
from sessionry.store.transaction import marks, reads

#: Order -> (column, direction). A leading minus means newest first.
SESSION_ORDERS = {
    "created": ("s.created_at", "asc"),
    "-created": ("s.created_at", "desc"),
    "updated": ("s.updated_at", "asc"),
    "-updated": ("s.updated_at", "desc"),
}
RUN_ORDERS = {"created": ("r.created_at", "asc"), "-created": ("r.created_at", "desc")}

_COUNTS = (
    "(select max(seq) from sessionry_event e where e.session = s.key),"
    " (select count(*) from sessionry_run r where r.session = s.key),"
    " (select count(*) from sessionry_run r where r.session = s.key and r.status = 'pending'),"
    " (select count(*) from sessionry_run r where r.session = s.key and r.slot is not null and r.status = 'running'),"
    " (select count(*) from sessionry_run r where r.session = s.key and r.slot is not null and r.status = 'waiting'),"
    " (select count(*) from sessionry_approval a where a.session = s.key and a.status = 'pending')"
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


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _summary(row: rows.Row) -> SessionSummary:
    last_seq, *counts = row[rows.SESSION_WIDTH : rows.SESSION_WIDTH + 6]
    names = ("runs", "pending_runs", "running_runs", "waiting_runs", "pending_approvals")
    return SessionSummary(
        session=rows.session_from_row(row), last_seq=last_seq or 0, **dict(zip(names, counts, strict=True))
    )


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
    return Page([rows.run_from_row(row) for row in found[:limit]], next_cursor(found, limit, order))


@reads
def counts(scope: Scope) -> Steps[Counts]:
    """How many sessions and runs there are, by status, and how many questions wait."""
    sessions = yield (
        f"select s.status, count(*) from sessionry_session s where {IN_SCOPE} and s.deleted_at is null group by s.status",
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
    return Counts(sessions=dict(sessions), runs=dict(runs), pending_approvals=approvals[0][0])


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
