"""Reads of the log: one session by `seq`, all sessions by `position`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from sessionry.domain.codec import decode_json
from sessionry.domain.errors import NotFound
from sessionry.domain.events import Event
from sessionry.domain.queries import sorted_out
from sessionry.domain.scope import Scope
from sessionry.ports import Steps
from sessionry.store import rows
from sessionry.store.log import IN_SCOPE, OWNED, scope_values, session_not_found
from sessionry.store.transaction import PAGE, SETTLED, marks, reads

#: No event has a higher number.
_LAST = (1 << 63) - 1


@reads
def events(
    scope: Scope,
    session_id: str,
    *,
    after: int = 0,
    before: int | None = None,
    types: Sequence[str] = (),
    run_id: str | None = None,
    limit: int = 100,
    newest: bool = False,
) -> Steps[list[Event]]:
    """Events with `after < seq < before` in order: the first `limit` ones, or with `newest` the last.

    A cursor below 0 leads into what the session was forked from: see `Inherited`. Raises `session_not_found`; the log of a
    deleted session can be read.
    """
    own = Inherited((yield from session_key(scope, session_id)), 0, None)
    logs = [*(yield from _inherited(scope, session_id))[0], own] if after < 0 else [own]
    found: list[Event] = []
    for log in reversed(logs) if newest else logs:
        conditions, values = yield from _part(log.session, run_id, after - log.shift, log.until(before))
        order = f"e.seq {'desc' if newest else 'asc'}"
        rows_ = yield from _select(conditions, values, types, order, limit - len(found))
        found += map(log.shown, map(rows.event_from_row, rows_))
        if len(found) == limit:
            break
    return found[::-1] if newest else found


class Inherited(NamedTuple):
    """A log that a session goes on from, up to its event `last`; `session` is its key.

    In the fork these events have numbers up to 0: the one it was forked after has 0. They follow from the pointers alone,
    so no event gets another one when some are pruned.
    """

    session: int
    shift: int
    last: int | None

    def until(self, before: int | None) -> int | None:
        """The number in the log itself below which the events are that come `before` that one in the fork."""
        bounds = [] if before is None else [before - self.shift]
        bounds += [] if self.last is None else [self.last + 1]
        return min(bounds, default=None)

    def shown(self, event: Event) -> Event:
        """The event with its number in the fork."""
        return msgspec.structs.replace(event, seq=event.seq + self.shift) if self.shift else event


def _inherited(scope: Scope, session_id: str) -> Steps[tuple[list[Inherited], int | None]]:
    """What the session began as a copy of, the oldest log first; and the number up to which all of it is gone, if any is.

    What was purged, or is not in scope, is left out, and so is what came before it.
    """
    found: list[Inherited] = []
    shift = 0
    while True:
        source = yield from _source(scope, session_id)
        if source is None:
            return found, None
        session_id, last = source
        there = yield (
            f"select s.key from sessionry_session s where s.id = ? and {IN_SCOPE}",
            (session_id, *scope_values(scope)),
        )
        if not there:
            return found, shift
        shift -= last
        found.insert(0, Inherited(there[0][0], shift, last))


def _source(scope: Scope, session_id: str) -> Steps[tuple[str, int] | None]:
    """The session and the event that it was forked from; None where it began by itself."""
    found = yield (
        "select e.data from sessionry_event e join sessionry_session s on s.key = e.session"
        f" where s.id = ? and {IN_SCOPE} and e.seq <= 2 and e.type = 'session_forked'",
        (session_id, *scope_values(scope)),
    )
    if not found:
        return None
    data = decode_json(found[0][0])
    return data["source_session_id"], data["source_seq"]


@reads
def commands(
    scope: Scope, session_id: str, run_id: str, types: Sequence[str], after: int
) -> Steps[tuple[list[Event], int]]:
    """The run's events of these types after the cursor, and the cursor for the next look: the end of the log."""
    key = yield from session_key(scope, session_id)
    newest = yield "select max(seq) from sessionry_event where session = ?", (key,)
    last: int = newest[0][0] or 0
    conditions, values = yield from _part(key, run_id, after, last + 1)
    found = yield from _select(conditions, values, types, "e.seq", max(last - after, 0))
    return [rows.event_from_row(row) for row in found], max(last, after)


@reads
def pages(wanted: Sequence[tuple[Scope, str, int]], limit: int) -> Steps[list[list[Event] | None]]:
    """For each (scope, session, cursor) the first events after the cursor, at most `limit`; None: there is no such session.

    One statement, however many there are.
    """
    if not wanted:
        return []
    values = [(number, id, scope.tenant, scope.user, after) for number, (scope, id, after) in enumerate(wanted)]
    first = "(cast(? as bigint), cast(? as text), cast(? as text), cast(? as text), cast(? as bigint))"
    others = ", (?, ?, ?, ?, ?)" * (len(values) - 1)
    found = yield (
        f"with w (number, id, tenant, owner, after) as (values {first}{others})"
        f" select w.number, {rows.EVENT_COLUMNS} from w join sessionry_session s on s.id = w.id and s.tenant = w.tenant"
        f" and (w.owner is null or s.owner = w.owner) {PAGE} left join sessionry_run r on r.key = e.run"
        " order by w.number, e.seq",
        (*chain.from_iterable(values), limit - 1),
    )
    pages: list[list[Event] | None] = [None] * len(values)
    for number, *row in found:
        page = pages[number] = pages[number] or []
        if row[3] is not None:  # a session with no such event has one row without any
            page.append(rows.event_from_row(row))
    return pages


def _part(key: int, run_id: str | None, after: int, before: int | None) -> Steps[tuple[list[str], list[Any]]]:
    """The conditions of a part of a session's log. A run is looked for only where it is: not before it began, or after."""
    conditions = ["e.session = ?"]
    values: list[Any] = [key]
    if run_id is not None:
        found = yield "select key, first_seq, last_seq from sessionry_run where id = ? and session = ?", (run_id, key)
        run, first, last = found[0] if found else (None, 1, 0)
        after = max(after, first - 1)
        if last is not None:
            before = min(before, last + 1) if before is not None else last + 1
        conditions.append("e.run = ?")
        values.append(run)
    conditions.append("e.seq > ?")
    values.append(after)
    if before is not None:
        conditions.append("e.seq < ?")
        values.append(before)
    return conditions, values


@reads
def all_events(scope: Scope, *, after: int = 0, types: Sequence[str] = (), limit: int = 100) -> Steps[list[Event]]:
    """Events of all sessions in scope with `position > after`, in the order of their commits."""
    conditions, values = [IN_SCOPE, "e.position > ?"], [*scope_values(scope), after]
    found = yield from _select(conditions, values, types, "e.position", limit, SETTLED)
    return [rows.event_from_row(row) for row in found]


def _select(
    conditions: list[str],
    values: list[Any],
    types: Sequence[str],
    order: str,
    limit: int,
    mark: str = "",
) -> Steps[list[tuple[Any, ...]]]:
    for names, how in zip(sorted_out(types), ("in", "not in"), strict=True):
        if names:
            conditions.append(f"e.type {how} ({marks(names)})")
            values += names
    found: list[tuple[Any, ...]] = yield (
        f"select {rows.EVENT_COLUMNS} from sessionry_event e join sessionry_session s on s.key = e.session"
        " left join sessionry_run r on r.key = e.run"
        f" where {' and '.join(conditions)} {mark} order by {order} limit ?",
        (*values, limit),
    )
    return found


@reads
def last_seq(scope: Scope, session_id: str) -> Steps[int]:
    """The `seq` of the newest event. Raises `session_not_found`."""
    key = yield from session_key(scope, session_id)
    found = yield "select max(seq) from sessionry_event where session = ?", (key,)
    return found[0][0] or 0


@reads
def gap(scope: Scope, session_id: str, after: int) -> Steps[int | None]:
    """The highest `seq` beyond the cursor that was pruned, so that whoever needs every event can go on behind it.

    Raises `session_not_found`; `gone` when the session was purged.
    """
    found = yield (
        f"select s.key from sessionry_session s where s.id = ? and {IN_SCOPE}",
        (session_id, *scope_values(scope)),
    )
    purged = yield (
        f"select 1 from sessionry_deed where subject = ? and type = 'session_purged' and {OWNED}",
        (session_id, *scope_values(scope)),
    )
    if not found:
        raise gone(f"session {session_id} was purged", None) if purged else session_not_found(session_id)
    highest = yield from _hole(Inherited(found[0][0], 0, None), max(after, 0))
    if highest is not None or after >= 0:
        return highest
    logs, lost = yield from _inherited(scope, session_id)
    for log in reversed(logs):
        highest = yield from _hole(log, after)
        if highest is not None:
            return highest
    return lost if lost is not None and lost > after else None


def _hole(log: Inherited, after: int) -> Steps[int | None]:
    """The highest number beyond the cursor that is missing in the log, as the fork numbers it."""
    if log.last is not None and log.last + log.shift > after:
        newest = yield "select 1 from sessionry_event where session = ? and seq = ?", (log.session, log.last)
        if not newest:
            return log.last + log.shift
    highest = yield (
        "select max(e.seq) from sessionry_event e where e.session = ? and e.seq > ? + 1 and e.seq <= ?"
        " and not exists (select 1 from sessionry_event b where b.session = e.session and b.seq = e.seq - 1)",
        (log.session, max(after - log.shift, 0), _LAST if log.last is None else log.last),
    )
    return None if highest[0][0] is None else highest[0][0] - 1 + log.shift


@reads
def store_gap(scope: Scope, after: int) -> Steps[int | None]:
    """The same by position, for the log of all sessions: the highest one beyond the cursor that was pruned or purged."""
    highest = yield (
        f"select max(position) from sessionry_gone where {OWNED}",
        scope_values(scope),
    )
    return highest[0][0] if (highest[0][0] or 0) > after else None


def gone(what: str, cursor: int | None) -> NotFound:
    """Events that are no more. `cursor`: behind it everything is there."""
    hint = "" if cursor is None else f"; everything after {cursor} is there"
    return NotFound("gone", f"{what}{hint}", details={} if cursor is None else {"cursor": cursor})


@reads
def is_over(scope: Scope, session_id: str, cursor: int) -> Steps[bool]:
    """Whether nothing comes after the cursor: the session and all its runs have ended, and the log is read. Seen at one
    moment, since a run that ends between two looks would leave its last events unread.

    Raises `session_not_found`.
    """
    key = yield from session_key(scope, session_id)
    found = yield (
        "select 1 from sessionry_session s where s.key = ? and s.status in ('completed', 'failed', 'cancelled')"
        " and not exists (select 1 from sessionry_run r"
        " where r.session = s.key and r.status in ('pending', 'running', 'waiting'))"
        " and (select max(e.seq) from sessionry_event e where e.session = s.key) <= ?",
        (key, cursor),
    )
    return bool(found)


@reads
def unsettled() -> Steps[bool]:
    """Whether there are events that no reader of all sessions is given yet, for transactions before them are in flight."""
    found = yield (
        "select (select max(position) from sessionry_event)"
        f" > coalesce((select max(e.position) from sessionry_event e where true {SETTLED}), 0)",
        (),
    )
    return bool(found[0][0])


@reads
def last_position() -> Steps[int]:
    """The position of the newest event of the store; 0 for an empty one."""
    found = yield f"select max(position) from sessionry_event e where true {SETTLED}", ()
    return found[0][0] or 0


def session_key(scope: Scope, session_id: str) -> Steps[int]:
    found = yield (
        f"select s.key from sessionry_session s where s.id = ? and {IN_SCOPE}",
        (session_id, *scope_values(scope)),
    )
    if not found:
        raise session_not_found(session_id)
    key: int = found[0][0]
    return key
