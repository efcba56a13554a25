"""Moving house: everything of one store into another, empty one, of whatever kind, and proof that it is all there.

How far it is, is kept in the target and changes in the same transactions as the rows: killed at any moment, the next try
goes on where the last one was. The source is only read; let nobody write to it meanwhile (`freezing.frozen`). Until all
is there and was compared, no run may begin in the target.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import msgspec

from sessionry.domain.errors import Conflict, NotFound, StoreFailed
from sessionry.ports import Store
from sessionry.store import integrity
from sessionry.store.blobs import FileBlobs
from sessionry.store.operations import leases, moving
from sessionry.store.operations.integrity import Problem
from sessionry.store.operations.moving import TABLES, Moving, Table
from sessionry.store.rows import Row


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """`step`: blobs, copy, compare or check. `what` is worked on, and `done` of `total` are done; None: nobody knows."""

    step: str
    what: str
    done: int
    total: int | None = None

    @property
    def complete(self) -> bool:
        return self.done == self.total


Tell = Callable[[Progress], None]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that are not the same in the two stores, of one session or of none."""

    what: str
    session_id: str | None
    in_source: int
    in_target: int

    def __str__(self) -> str:
        of = f" of session {self.session_id}" if self.session_id else ""
        if self.in_source == self.in_target:
            return f"the {self.what}{of} are not the same"
        return f"{self.what}{of}: {self.in_source} in the source, {self.in_target} in the target"


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: rows by kind, and everything that is wrong."""

    rows: dict[str, int]
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def good(self) -> bool:
        return not (self.differences or self.problems)


class Mover:
    """One move, from its first row to its proof; both stores are open, of the newest schema, and the caller's."""

    def __init__(self, source: Store, target: Store, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._tell = tell
        self._names: dict[str, list[str]] = {}

    async def apart(self) -> None:
        """Raises `invalid_operation` when the two are the same store. To be asked before the source is frozen."""
        mark = secrets.token_hex(8)
        await self._target.execute(moving.put_mark(mark))
        same = await self._source.execute(moving.mark()) == mark
        await self._target.execute(moving.put_mark(None))
        if same:
            raise Conflict("invalid_operation", "the source and the target are the same store")

    async def begin(self, *, anew: bool = False) -> Moving:
        """How far an earlier try has come; else nowhere. With `anew` forget it first.

        Raises `invalid_operation` when the source is being worked on or is not what it was then, or the target has content.
        """
        await self._check_source()
        if anew:
            await self._target.execute(moving.empty())
        census = await self._source.execute(moving.census())
        state = await self._target.execute(moving.state())
        if state is None:
            state = Moving(source=census, slots=await self._source.execute(moving.slots()))
            await self._target.execute(moving.begin(state))
        if state.source != census:
            raise Conflict(
                "invalid_operation",
                "the source is not what it was when the move began; begin again with --restart, which empties the target",
                details={"then": state.source, "now": census},
            )
        await self._learn_columns()
        return state

    async def copy(self, state: Moving) -> Moving:
        """All rows that are not there yet; in the end, how it looks when all are."""
        while state.table < len(TABLES):
            state = await self._copy_table(state, TABLES[state.table])
        highest = await self._source.execute(moving.highest(sqlite=_is_sqlite(self._source)))
        await self._target.execute(moving.settle(highest, sqlite=_is_sqlite(self._target)))
        return state

    async def compare(self, state: Moving) -> tuple[Difference, ...]:
        """What is not the same in both: each row counts, with every column."""
        differences = []
        for table in TABLES:
            total, done = state.source[table.noun], 0
            async with aclosing(self._compared(table)) as compared:
                async for key, here, there in compared:
                    done += here.rows
                    self._tell(Progress(step="compare", what=table.noun, done=done, total=total))
                    if here != there:
                        named = await self._source.execute(moving.ids([key])) if table.of_session else {}
                        named = named or (await self._target.execute(moving.ids([key])) if table.of_session else {})
                        difference = Difference(
                            what=table.noun, session_id=named.get(key), in_source=here.rows, in_target=there.rows
                        )
                        differences.append(difference)
        return tuple(differences)

    async def check(self) -> tuple[Problem, ...]:
        """What is wrong with the target in itself, each session's rows compared with its log."""
        self._tell(Progress(step="check", what="sessions", done=0))
        problems = await integrity.check(self._target)
        self._tell(Progress(step="check", what="sessions", done=1, total=1))
        return tuple(problems)

    async def finish(self, state: Moving) -> None:
        """Let runs begin in the target."""
        counts = {table.noun: state.source[table.noun] for table in TABLES}
        await self._target.execute(moving.finish(state, {"source": self._source.url, "rows": counts}))

    async def _check_source(self) -> None:
        if await self._source.execute(moving.state()) is not None:
            raise Conflict("invalid_operation", "the source is itself still being filled; finish that first")
        alive = [worker for worker, _ in await self._source.execute(leases.workers()) if worker.alive]
        held = await self._source.execute(moving.held())
        if alive or held:
            who = ", ".join(f"{worker.id} on {worker.host} (pid {worker.pid})" for worker in alive)
            raise Conflict(
                "invalid_operation",
                f"the source is being worked on by {who or 'a worker that may come back'}; end that process,"
                " or let it leave when its runs have ended: sessionry workers drain WORKER",
                details={"workers": [worker.id for worker in alive], "runs": held},
            )

    async def _learn_columns(self) -> None:
        for table in TABLES:
            here, there = [
                await store.execute(moving.columns(table, sqlite=_is_sqlite(store)))
                for store in (self._source, self._target)
            ]
            if here != there:
                missing = ", ".join(sorted(here ^ there))
                raise StoreFailed("migration_required", f"{table.name} is not the same in both stores: {missing}")
            self._names[table.name] = [*table.key, *sorted(here - {*table.key})]

    async def _copy_table(self, state: Moving, table: Table) -> Moving:
        names = self._names[table.name]
        total = state.source[table.noun]
        done = await self._target.execute(moving.count(table)) if state.after else 0
        while rows := await self._source.execute(moving.page(table, names, table.key, state.after)):
            after = msgspec.structs.replace(state, after=list(rows[-1][: len(table.key)]))
            await self._target.execute(moving.fill(state, after, names, rows))
            state, done = after, done + len(rows)
            self._tell(Progress(step="copy", what=table.noun, done=done, total=total))
        following = msgspec.structs.replace(state, table=state.table + 1, after=[])
        await self._target.execute(moving.fill(state, following, (), ()))
        if not total:
            self._tell(Progress(step="copy", what=table.noun, done=0, total=0))
        return following

    async def _compared(self, table: Table) -> AsyncGenerator[tuple[int, Account, Account], None]:
        """(session, or 0; what is here; what is there), for every session of either."""
        names = self._names[table.name]
        here, there = _accounts(self._source, table, names), _accounts(self._target, table, names)
        async with aclosing(here), aclosing(there):
            one, other = await asyncio.gather(_next(here), _next(there))
            while one is not None or other is not None:
                key = min(found.key for found in (one, other) if found is not None)
                mine, theirs = [found if found is not None and found.key == key else None for found in (one, other)]
                nothing = Account(key, 0, 0)
                yield key, mine or nothing, theirs or nothing
                one = await _next(here) if mine else one
                other = await _next(there) if theirs else other


class Account(NamedTuple):
    """How many rows of a session there are, and the sum of their digests: the same for the same rows in any order."""

    key: int
    rows: int
    digest: int


async def _accounts(store: Store, table: Table, names: Sequence[str]) -> AsyncGenerator[Account, None]:
    """One for each session, in the order of their keys; for what belongs to no session, one for all of it."""
    account: Account | None = None
    group = names.index(table.by[0])
    async for row in _rows(store, table, names):
        key = row[group] if table.of_session else 0
        if account is None or account.key != key:
            if account is not None:
                yield account
            account = Account(key, 0, 0)
        account = Account(key, account.rows + 1, (account.digest + _digest(row)) % (1 << 128))
    if account is not None:
        yield account


async def _rows(store: Store, table: Table, names: Sequence[str]) -> AsyncIterator[Row]:
    after: list[Any] = []
    places = [names.index(name) for name in table.by]
    while rows := await store.execute(moving.page(table, names, table.by, after)):
        for row in rows:
            yield row
        after = [rows[-1][place] for place in places]


def _digest(row: Row) -> int:
    return int.from_bytes(hashlib.blake2b(msgspec.msgpack.encode(tuple(row)), digest_size=16).digest())


async def _next(accounts: AsyncGenerator[Account, None]) -> Account | None:
    return await anext(accounts, None)


def _is_sqlite(store: Store) -> bool:
    return not store.url.startswith("postgres")


async def copy_blobs(source: FileBlobs, target: FileBlobs, tell: Tell) -> list[str]:
    """All blobs that are not there yet, but for those that are damaged, whose hashes are given.

    One that is removed meanwhile need not be among them.
    """
    if source.directory.resolve() == target.directory.resolve():
        return []
    total, _ = await source.usage()
    done, damaged = 0, []
    async for ref in source.all():
        try:
            if await target.size(ref.hash) != ref.size:
                await target.put(source.open(ref.hash))
        except NotFound:
            continue
        except StoreFailed as error:
            if error.code != "store_corrupt":
                raise
            damaged.append(ref.hash)
        done += 1
        tell(Progress(step="blobs", what="blobs", done=done, total=max(total, done)))
    return damaged
