"""Rows as they are, from one store into another: read in pages, written as they were read, compared by digests.

The rest of the store means something by a row; here it is values under column names. Keys, `seq`s, fences and positions
keep their numbers, so everything that refers to one of them, a cursor of a client too, goes on meaning the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sessionry.domain.codec import encode_json
from sessionry.domain.errors import Conflict, StoreFailed
from sessionry.ports import Many, Now, Steps
from sessionry.store.jobs import MENDED
from sessionry.store.operations.leases import GLOBAL_SLOTS
from sessionry.store.rows import Row
from sessionry.store.transaction import OWN_KEYS, marks, reads, writes

#: Settings that tell how far a store has been filled from another one, and that it was.
MOVING, MOVED, MARK = "moving", "moved", "mark"
#: A page has at most so many rows, and so many characters of what may be long.
PAGE_ROWS, PAGE_CHARACTERS = 1000, 4 << 20


class Table(NamedTuple):
    """`key`: the order in which it is copied. `by`: that in which it is compared; first the session, where there is one.

    `wide`: the columns that may be long. `but`: which rows are not of the content. `anew`: columns that begin anew.
    """

    name: str
    key: tuple[str, ...]
    by: tuple[str, ...]
    wide: tuple[str, ...] = ()
    but: str = ""
    anew: tuple[str, ...] = ()
    of_session: bool = True

    @property
    def noun(self) -> str:
        """What its rows are called."""
        return {"idempotency": "idempotency keys"}.get(name := self.name.removeprefix("sessionry_"), f"{name}s")


#: What is moved, in an order in which each row finds what it refers to. Workers are not: they register themselves.
TABLES = (
    Table("sessionry_session", ("key",), ("key",), ("metadata", "context")),
    Table("sessionry_tag", ("tag", "session"), ("session", "tag")),
    # deliveries are counted by whoever delivers, and the target has its own
    Table("sessionry_run", ("key",), ("session", "key"), ("input", "output", "metadata"), anew=("delivery",)),
    Table("sessionry_event", ("position",), ("session", "seq"), ("data",)),
    Table("sessionry_approval", ("key",), ("session", "key"), ("tool_input",)),
    Table("sessionry_token", ("key",), ("key",), of_session=False),
    Table("sessionry_webhook", ("key",), ("key",), of_session=False),
    Table("sessionry_notice", ("key",), ("session", "key")),
    Table("sessionry_deed", ("key",), ("key",), of_session=False),
    Table("sessionry_gone", ("tenant", "owner"), ("tenant", "owner"), of_session=False),
    Table("sessionry_idempotency", ("tenant", "owner", "key"), ("tenant", "owner", "key"), of_session=False),
    Table(
        "sessionry_setting",
        ("name",),
        ("name",),
        but=f"name in ('{MOVING}', '{MOVED}', '{MARK}', '{GLOBAL_SLOTS}', '{MENDED}', 'position_base')",
        of_session=False,
    ),
)
_WITH_KEYS = (
    *("sessionry_session", "sessionry_run", "sessionry_approval", "sessionry_token"),
    *("sessionry_webhook", "sessionry_notice", "sessionry_deed"),
)


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """How far a store has been filled: `table` of `TABLES`, after the row with this key; past the last one all is there.

    `source` is what the source looked like when it began, `slots` how many runs may be live in it at once.
    """

    source: dict[str, int]
    slots: int | None
    table: int = 0
    after: list[Any] = []


# --- what there is ----------------------------------------------------------------------------------------------------


@reads
def columns(table: Table, *, sqlite: bool) -> Steps[set[str]]:
    """The names of a table's columns in this store, without those that begin anew."""
    asking = (
        "select name from pragma_table_info(?)"
        if sqlite
        else "select column_name from information_schema.columns where table_schema = current_schema() and table_name = ?"
    )
    found = yield asking, (table.name,)
    return {row[0] for row in found} - set(table.anew)


@reads
def count(table: Table) -> Steps[int]:
    """How many rows of content the table has."""
    return (yield from _count(table))


def _count(table: Table) -> Steps[int]:
    found = yield f"select count(*) from {table.name}{_where(table)}", ()
    number: int = found[0][0]
    return number


@reads
def census() -> Steps[dict[str, int]]:
    """How many rows each table has, and what else changes when a store does."""
    found = {}
    for table in TABLES:
        found[table.noun] = yield from _count(table)
    newest = yield (
        "select coalesce((select max(position) from sessionry_event), 0),"
        " coalesce((select max(updated_at) from sessionry_session), 0),"
        " coalesce((select max(updated_at) from sessionry_run), 0)",
        (),
    )
    return found | dict(zip(("position", "session_updated", "run_updated"), newest[0], strict=True))


@reads
def page(table: Table, names: Sequence[str], order: Sequence[str], after: Sequence[Any]) -> Steps[list[Row]]:
    """The rows after that one: as many as `PAGE_ROWS` and `PAGE_CHARACTERS` allow, but one at least, if there is one."""
    bounds = f"({', '.join(order)}) > ({marks(order)})" if after else ""
    rest = f"from {table.name}{_where(table, bounds)} order by {', '.join(order)} limit ?"
    limit = PAGE_ROWS
    if table.wide:
        lengths = " + ".join(f"coalesce(length({name}), 0)" for name in table.wide)
        found = yield f"select {lengths} {rest}", (*after, PAGE_ROWS)
        limit = _fitting([row[0] for row in found])
    rows: list[Row] = yield f"select {', '.join(names)} {rest}", (*after, limit)
    return rows


def _fitting(lengths: Sequence[int]) -> int:
    """How many of them make no more than a page, one after the other."""
    total = 0
    for number, length in enumerate(lengths):
        total += length
        if total > PAGE_CHARACTERS:
            return max(number, 1)
    return len(lengths)


def _where(table: Table, bounds: str = "") -> str:
    conditions = [condition for condition in (bounds, f"not ({table.but})" if table.but else "") if condition]
    return f" where {' and '.join(conditions)}" if conditions else ""


@reads
def ids(keys: Sequence[int]) -> Steps[dict[int, str]]:
    """The ids of sessions, by their keys."""
    found = yield f"select key, id from sessionry_session where key in ({marks(keys)})", tuple(keys)
    return {row[0]: row[1] for row in found}


@reads
def held() -> Steps[list[str]]:
    """Runs that are in the hands of a worker."""
    found = yield "select id from sessionry_run where worker is not null order by key limit 100", ()
    return [row[0] for row in found]


@reads
def slots() -> Steps[int | None]:
    """How many runs may be live in the whole store."""
    found = yield "select value from sessionry_setting where name = ?", (GLOBAL_SLOTS,)
    return int(found[0][0]) if found else None


@reads
def highest(*, sqlite: bool) -> Steps[dict[str, int]]:
    """By table, the highest number that was ever given, also to what is gone: none of them is given again."""
    if sqlite:
        found = yield "select name, seq from sqlite_sequence", ()
        return {row[0]: row[1] for row in found}
    given = {}
    for name in _WITH_KEYS:
        found = yield f"select pg_sequence_last_value(pg_get_serial_sequence('{name}', 'key')::regclass)", ()
        given[name] = found[0][0] or 0
    newest = yield "select coalesce(max(position), 0) from sessionry_event", ()
    settled = yield "select sessionry_settled()", ()
    return given | {"sessionry_event": max(newest[0][0], settled[0][0])}


# --- filling a store --------------------------------------------------------------------------------------------------


@writes
def put_mark(text: str | None) -> Steps[None]:
    """Leave a mark in this store, by which it is known again; None takes it away."""
    yield Now()
    yield "delete from sessionry_setting where name = ?", (MARK,)
    if text is not None:
        yield "insert into sessionry_setting (name, value) values (?, ?)", (MARK, text)


@reads
def mark() -> Steps[str | None]:
    """The mark that was left here."""
    found = yield "select value from sessionry_setting where name = ?", (MARK,)
    return found[0][0] if found else None


@reads
def state() -> Steps[Moving | None]:
    """How far this store has been filled; None when nothing is under way."""
    return (yield from _state())


def _state() -> Steps[Moving | None]:
    found = yield "select value from sessionry_setting where name = ?", (MOVING,)
    return msgspec.json.decode(found[0][0], type=Moving) if found else None


@writes
def begin(moving: Moving) -> Steps[None]:
    """Begin to fill this store; no run may begin in it until it is full. Raises `invalid_operation` if it has content."""
    yield Now()
    moved = yield "select 1 from sessionry_setting where name = ?", (MOVED,)
    content = [] if not moved else ["what was moved here before"]
    for table in TABLES:
        found = yield f"select 1 from {table.name}{_where(table)} limit 1", ()
        content += [table.noun] if found else []
    if content:
        raise Conflict(
            "invalid_operation",
            f"there is something in the target already: {', '.join(content)}; name an empty one, it is made if need be",
            details={"content": content},
        )
    yield "delete from sessionry_setting where name = ?", (GLOBAL_SLOTS,)
    for name, value in ((MOVING, encode_json(moving)), (GLOBAL_SLOTS, "0")):
        yield "insert into sessionry_setting (name, value) values (?, ?)", (name, value)


@writes
def empty() -> Steps[None]:
    """Forget all that was moved into this store so far. Raises `invalid_operation` when that is not unfinished."""
    yield Now()
    if (yield from _state()) is None:
        raise Conflict("invalid_operation", "nothing is being moved into the target; there is nothing to begin again")
    for table in reversed(TABLES):
        yield f"delete from {table.name}{_where(table)}", ()
    yield f"delete from sessionry_setting where name in ('{MOVING}', '{GLOBAL_SLOTS}')", ()


@writes
def fill(before: Moving, after: Moving, names: Sequence[str], rows: Sequence[Row]) -> Steps[None]:
    """Write a page, and how far that is. Raises `invalid_operation` when somebody else has gone on from `before`."""
    yield Now()  # so that the driver can tell what became of it when the connection is lost
    mine = yield (
        "update sessionry_setting set value = ? where name = ? and value = ? returning 1",
        (encode_json(after), MOVING, encode_json(before)),
    )
    if not mine:
        raise Conflict("invalid_operation", "somebody else is moving into the same target; wait until that has ended")
    if rows:
        table = TABLES[before.table].name
        yield Many(f"insert into {table} ({', '.join(names)}) {OWN_KEYS} values ({marks(names)})", rows)


@writes
def settle(given: dict[str, int], *, sqlite: bool) -> Steps[None]:
    """See to it that none of the numbers that were ever given is given again."""
    yield Now()
    for name in () if sqlite else _WITH_KEYS:
        highest = f"greatest((select coalesce(max(key), 0) from {name}), ?)"
        reset = f"select setval(pg_get_serial_sequence('{name}', 'key'), greatest({highest}, 1), {highest} > 0)"
        yield reset, (given.get(name, 0), given.get(name, 0))
    for name, number in given.items() if sqlite else ():
        yield (
            "insert into sqlite_sequence (name, seq) select ?, 0 where ? not in (select name from sqlite_sequence)",
            (
                name,
                name,
            ),
        )
        yield "update sqlite_sequence set seq = max(seq, ?) where name = ?", (number, name)
    if not sqlite:
        yield (
            "update sessionry_setting"
            " set value = (((?::bigint >> 16) + 1 - pg_current_xact_id()::text::bigint) << 16)::text"
            " where name = 'position_base' and sessionry_position(pg_current_xact_id()) <= ?",
            (given.get("sessionry_event", 0), given.get("sessionry_event", 0)),
        )
        yield "select sessionry_rebase()", ()


@writes
def finish(moving: Moving, told: dict[str, Any]) -> Steps[None]:
    """All is there: from now on runs may begin here."""
    now = yield Now()
    done = yield (
        "delete from sessionry_setting where name = ? and value = ? returning 1",
        (MOVING, encode_json(moving)),
    )
    if not done:
        raise StoreFailed("store_failed", "the state of the move is not what it was; run it again")
    yield f"delete from sessionry_setting where name in ('{MOVED}', '{GLOBAL_SLOTS}')", ()
    kept = {MOVED: encode_json(told | {"at": now})} | (
        {} if moving.slots is None else {GLOBAL_SLOTS: str(moving.slots)}
    )
    for name, value in kept.items():
        yield "insert into sessionry_setting (name, value) values (?, ?)", (name, value)
