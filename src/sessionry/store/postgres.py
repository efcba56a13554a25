"""The PostgreSQL driver: operations as transactions on a pool of connections, appends of a whole process in one statement.

Nothing is kept in a connection between two transactions, so a pooler in transaction mode may stand in between. A lost
connection, a deadlock or a failover costs time, for up to `PATIENCE` seconds, and is otherwise not noticed: when it is
unknown whether a transaction was committed, the database is asked about it by its number, so nothing is done twice. A
database that takes no writes may be in a failover, and is waited for too, unless it took none when it was opened.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sessionry.domain.errors import Exhausted, InvalidInput, SessionryError, StoreFailed
from sessionry.domain.fold import STATE_EVENTS
from sessionry.ports import Appending, Many, Now, Operation, Rest, Touched, Wake
from sessionry.store import jobs
from sessionry.store.address import without_password
from sessionry.store.flusher import Flusher, Request
from sessionry.store.migrations import migrate_postgres, postgres_version
from sessionry.store.operations import leases
from sessionry.store.rows import INSERT_EVENT
from sessionry.store.transaction import LOCK, OWN_KEYS, PAGE, SETTLED

try:
    import psycopg
    from psycopg import errors as pg
    from psycopg_pool import AsyncConnectionPool, PoolTimeout
except ImportError as error:
    raise StoreFailed(
        "dependency_not_available", "PostgreSQL needs psycopg; run: pip install 'sessionry[postgres]'"
    ) from error

T = TypeVar("T")
Listener = Callable[[Sequence[str], Sequence[Wake]], None]
Connection = psycopg.AsyncConnection[tuple[Any, ...]]

#: Seconds for which a request is tried again while the database cannot be reached.
PATIENCE = 15.0
#: Connections that one store opens at most.
CONNECTIONS = 4
#: Unsettled events that a change token counts one by one.
COUNTED = 1000

#: Seconds after which a process that froze in a transaction, with a session locked, is thrown out: so many at most, and
#: that part of the lease.
FROZEN, FROZEN_PART = 5.0, 0.5
_WRITING = "begin isolation level read committed; set local idle_in_transaction_session_timeout = "
_READING = "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = "
_WRITABLE = "select not current_setting('transaction_read_only')::bool"
_CLOCK = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
_CLOCK_AND_NUMBER = f"{_CLOCK}, pg_current_xact_id()::text"
_CHANGE = (
    "select (select max(position) from sessionry_event),"
    " (select max(position) from sessionry_event where position < settled),"
    f" (select count(*) from (select 1 from sessionry_event where position >= settled limit {COUNTED}) as unsettled),"
    " pg_current_snapshot()::text from (select sessionry_settled() as settled) as now"
)

# The limit makes each log one look into an index, whatever the planner believes.
_PAGE = (
    "left join lateral (select * from sessionry_event e where e.session = s.key and e.seq > w.after"
    " order by e.seq limit ? + 1) as e on true"
)

#: The name of the channel of the schema in which the tables are, as an expression.
CHANNEL = "'sessionry_' || (select relnamespace from pg_class where oid = 'sessionry_event'::regclass)"

#: What libpq is asked for unless the URL says otherwise: a dead network shows within seconds, not hours.
_CONNECTING = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "sessionry",
    "client_encoding": "utf8",
}


class PostgresStore:
    """A store in a PostgreSQL database, shared by any number of processes and machines. See `ports.Store`."""

    def __init__(self, url: str, pool: AsyncConnectionPool[Connection], lease: float, *, writable: bool) -> None:
        self._url = without_password(url)
        self._known = Known(writable)
        self._frozen = max(int(min(FROZEN, lease * FROZEN_PART) * 1000), 1)
        self._pool = pool
        self._listeners: list[Listener] = []
        self._under_way: set[asyncio.Task[Any]] = set()
        self._flusher = Flusher(self._append_many, self._append_one)
        self._closed = False

    @classmethod
    async def open(cls, url: str, lease: float = 15.0) -> PostgresStore:
        """Connect, and make or migrate the tables. `lease` is that of the workers, in seconds.

        Raises `store_unavailable` at once when there is no connection.
        """
        conninfo = connecting(url)
        shown = without_password(url)
        try:
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
                await migrate_postgres(connection, shown)
                writable = (await (await connection.execute(_WRITABLE)).fetchall())[0][0]
        except psycopg.Error as error:
            raise translated(error, shown) from error
        pool = AsyncConnectionPool(
            conninfo,
            connection_class=psycopg.AsyncConnection,
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            reconnect_timeout=1.0,
        )
        await pool.open()
        return cls(url, pool, lease, writable=writable)

    @classmethod
    async def is_made(cls, url: str) -> bool:
        """Whether the tables are there; none is made. Raises `store_unavailable`."""
        try:
            async with await psycopg.AsyncConnection.connect(connecting(url), autocommit=True) as connection:
                return await postgres_version(connection) > 0
        except psycopg.Error as error:
            raise translated(error, without_password(url)) from error

    @property
    def url(self) -> str:
        return self._url

    @property
    def pool(self) -> AsyncConnectionPool[Connection]:
        """The connections, each of which commits what it does at once."""
        return self._pool

    @property
    def shared_machine(self) -> bool:
        return False

    async def execute(self, operation: Operation[T]) -> T:
        self._check_open()
        return await asyncio.shield(self._spawn(self._write(operation)))

    async def append(self, appending: Appending) -> list[int]:
        self._check_open()
        if not appending.events:
            return []
        request = Request(appending, [leases.payload(data) for data in appending.events])
        if any(type(data) in STATE_EVENTS for data in appending.events) or not request.plain:
            return await self.execute(leases.append(appending))
        return await self._flusher.put(request)

    async def change_token(self) -> int:
        """Made of the newest event, the newest settled one and how many are above it: each commit changes one of these."""
        self._check_open()
        return await asyncio.shield(self._spawn(self._change_token()))

    async def _change_token(self) -> int:
        try:
            async with self._pool.connection(timeout=2.0) as connection:
                cursor = await connection.execute(_CHANGE)
                newest, settled, unsettled, snapshot = (await cursor.fetchall())[0]
        except psycopg.Error as error:
            raise translated(error, self._url) from error
        return hash((newest, settled, unsettled, snapshot if unsettled == COUNTED else ""))

    async def notify(self, payload: str) -> None:
        """Tell whoever listens on `CHANNEL`. Not a part of any transaction that writes."""
        self._check_open()
        try:
            async with self._pool.connection(timeout=2.0) as connection:
                await connection.execute(f"select pg_notify({CHANNEL}, %s)", (payload,))
        except psycopg.Error as error:
            raise translated(error, self._url) from error

    def on_commit(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._flusher.drain()
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._pool.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("store_failed", f"{self._url} is closed; open it again")

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that goes on when whoever waits for it is cancelled.

        A read too: a pool that hands out a connection as its caller is cancelled may forget about the cancellation.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it, or nobody wants it any more

    # --- operations ---

    async def _write(self, operation: Operation[T]) -> T:
        done = await self._transact(operation)
        self._tell([word.session_id for word in done.touched], done.wakes)
        return done.value

    def _tell(self, session_ids: Sequence[str], wakes: Sequence[Wake]) -> None:
        if session_ids or wakes:
            loop = asyncio.get_running_loop()
            for listener in self._listeners:
                loop.call_soon(listener, list(dict.fromkeys(session_ids)), wakes)

    async def _transact(self, operation: Operation[T]) -> _Transaction[T]:
        """The operation as one transaction, committed. It is begun again after a failure that may pass."""
        patience = Patience(self._url, self._known)
        in_doubt: _Transaction[T] | None = None
        while True:
            try:
                async with self._pool.connection(timeout=patience.next_try) as connection:
                    if in_doubt is not None and await _was_committed(connection, in_doubt.number):
                        return in_doubt
                    in_doubt = None
                    transaction = _Transaction(operation, self._frozen)
                    await transaction.run(connection)
                    in_doubt = transaction if transaction.number else None
                    await connection.commit()
                    self._known.answered(wrote=bool(transaction.touched))
                    return transaction
            except (psycopg.Error, UnicodeEncodeError) as error:
                await patience.after(error, in_doubt=in_doubt is not None)

    # --- appends ---

    async def _append_many(self, parameters: Sequence[Any]) -> list[tuple[int, int]]:
        """One call of `sessionry_append`: (request, first `seq`) of those that were written."""
        patience = Patience(self._url, self._known)
        while True:
            try:
                async with self._pool.connection(timeout=patience.next_try) as connection:
                    cursor = await connection.execute(Flusher.STATEMENT, parameters)
                    found = await cursor.fetchall()
                self._known.answered(wrote=bool(found))
                break
            except psycopg.Error as error:
                # After an unknown outcome too: what was written is not written again, see `leases.repeated`.
                await patience.after(error)
        self._tell([row[1] for row in found], [])
        return [(row[0], row[2]) for row in found]

    async def _append_one(self, appending: Appending) -> list[int]:
        return await self._write(leases.append(appending))


class _Transaction(Generic[T]):
    """One try at an operation: what it gave, and whom to tell of it once it is committed."""

    def __init__(self, operation: Operation[T], frozen: int) -> None:
        self._operation = operation
        self._frozen = frozen
        self.value: T
        self.touched: list[Touched] = []
        self.wakes: list[Wake] = []
        #: run -> its last wake, None when it rests
        self._heads: dict[str, Wake | None] = {}
        #: what the database calls this transaction; None while it has written nothing that could be done twice
        self.number: str | None = None

    async def run(self, connection: Connection) -> None:
        """All but the commit."""
        await connection.execute(f"{_WRITING if self._operation.writes else _READING}{self._frozen}")
        steps = self._operation.steps()
        answer: Any = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as stop:
                self.value = stop.value
                await self._deliver(connection)
                return
            answer = await self._answer(connection, request)

    async def _answer(self, connection: Connection, request: Any) -> Any:
        match request:
            case Touched():
                self.touched.append(request)
            case Wake():
                self.wakes.append(request)
                self._heads[request.run_id] = request
            case Rest(run_id):
                self._heads[run_id] = None
            case Now():
                return await self._clock(connection)
            case Many(sql, rows):
                await connection.cursor().executemany(translated_sql(sql), rows)
            case (sql, values):
                cursor = await connection.execute(translated_sql(sql), values)
                return await cursor.fetchall() if cursor.description else []
        return None

    async def _deliver(self, connection: Connection) -> None:
        """The jobs of what became a head, or ceased to be one: in this very transaction."""
        if resting := [run_id for run_id, wake in self._heads.items() if wake is None]:
            await jobs.forget(connection, resting)
        if waking := [wake for wake in self._heads.values() if wake is not None]:
            await jobs.defer(connection, waking)

    async def _clock(self, connection: Connection) -> int:
        cursor = await connection.execute(_CLOCK_AND_NUMBER if self._operation.writes else _CLOCK)
        micros, *number = (await cursor.fetchall())[0]
        self.number = number[0] if number else None
        return int(micros)


class Known:
    """What all the requests of a store have seen of its database."""

    def __init__(self, writable: bool) -> None:
        #: whether it took a write, or said that it would
        self.writable = writable
        #: how many requests it has answered
        self.answers = 0
        #: whether it failed since it answered the last one
        self.away = False

    def answered(self, *, wrote: bool) -> None:
        self.answers += 1
        self.away = False
        self.writable |= wrote


class Patience:
    """How long one request is tried again, and what is raised when that was not enough.

    It ends when the database is away, not when it is busy: as long as others are answered, our turn will come.
    """

    def __init__(self, url: str, known: Known) -> None:
        self._url = url
        self._known = known
        self._pause = 0.005
        self._begin()

    def _begin(self) -> None:
        self._give_up = time.monotonic() + PATIENCE
        self._answers = self._known.answers

    @property
    def next_try(self) -> float:
        """Seconds to wait for a connection. Short: the pool stops connecting for those who wait when it had to give up."""
        return min(max(self._give_up - time.monotonic(), 0.1), 0.5 if self._known.away else 2.0)

    async def after(self, error: BaseException, *, in_doubt: bool = False) -> None:
        """Wait a little before another try; raise when that would be of no use."""
        if isinstance(error, PoolTimeout) and self._known.answers != self._answers:
            self._begin()
        else:
            self._known.away = True
        if not self._may_pass(error) or time.monotonic() > self._give_up:
            raise translated(error, self._url, in_doubt=in_doubt) from error
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 2, 0.5)

    def _may_pass(self, error: BaseException) -> bool:
        """A database that took no writes from the beginning is no primary that fails over."""
        return passing(error) and (self._known.writable or not isinstance(error, pg.ReadOnlySqlTransaction))


async def _was_committed(connection: Connection, number: str | None) -> bool:
    """What became of a transaction whose connection was lost in its commit."""
    try:
        cursor = await connection.execute("select pg_xact_status(%s::text::xid8)", (number,))
    except psycopg.DataError:
        return False  # a number of the future: this database, another one after a failover, never saw it
    status = (await cursor.fetchall())[0][0]
    if status == "in progress":
        raise psycopg.OperationalError("a commit is still under way")
    return bool(status == "committed")


@lru_cache(maxsize=4096)
def translated_sql(sql: str) -> str:
    """A statement of an operation in the words of psycopg and PostgreSQL."""
    if sql == INSERT_EVENT:
        return f"select sessionry_insert({', '.join(['%s'] * sql.count('?'))})"
    sql = sql.replace(PAGE, _PAGE).replace("%", "%%").replace("?", "%s").replace(LOCK, "for no key update")
    sql = sql.replace(OWN_KEYS, "overriding system value")
    return sql.replace(SETTLED, "and e.position < (select sessionry_settled())")


# --- errors -----------------------------------------------------------------------------------------------------------

_CODES: tuple[tuple[type[psycopg.Error], str, str], ...] = (
    (pg.DiskFull, "store_full", "the disk of the database is full; free some space and try again"),
    (
        pg.ReadOnlySqlTransaction,
        "store_read_only",
        "the store can only be read; connect to the primary, as a role that may write",
    ),
    (pg.InsufficientPrivilege, "store_failed", "the role may not do this; make it the owner of its schema"),
    (
        pg.DuplicateTable,
        "store_failed",
        "it is somebody else's; give the store a schema of its own: create schema sessionry, and add"
        " ?options=-csearch_path%3Dsessionry to its URL",
    ),
    (
        pg.InvalidSchemaName,
        "store_failed",
        "the search_path names no schema that is there; make it, or name another one",
    ),
    (pg.DataCorrupted, "store_corrupt", "run `sessionry doctor`, then restore a back-up"),
    (pg.IndexCorrupted, "store_corrupt", "run `sessionry doctor`, then reindex or restore a back-up"),
    (psycopg.OperationalError, "store_unavailable", "is the server up, and the store's URL right?"),
    (psycopg.InterfaceError, "store_unavailable", "the connection was lost; try again"),
)
_FINAL = (pg.DiskFull, pg.ProgramLimitExceeded)


def passing(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    if isinstance(error, _FINAL):
        return False
    return isinstance(
        error,
        psycopg.OperationalError
        | psycopg.InterfaceError
        | pg.IdleInTransactionSessionTimeout
        | pg.ReadOnlySqlTransaction,
    )


def translated(error: BaseException, url: str, *, in_doubt: bool = False) -> SessionryError:
    """What a failure of PostgreSQL means for the caller."""
    reason = " ".join(str(error).split())
    if isinstance(error, UnicodeEncodeError | psycopg.DataError):
        return InvalidInput("validation_error", f"a value cannot be stored: {reason}")
    if isinstance(error, pg.ProgramLimitExceeded):
        return Exhausted("payload_too_large", f"{reason}; do it in smaller parts")
    details = {"sqlstate": getattr(error, "sqlstate", None)} | ({"outcome": "unknown"} if in_doubt else {})
    for kind, code, remedy in _CODES:
        if isinstance(error, kind):
            return StoreFailed(code, f"{url}: {reason}; {remedy}", details=details)
    return StoreFailed("store_failed", f"{url}: {reason}; run `sessionry doctor`", details=details)


# --- the URL ----------------------------------------------------------------------------------------------------------


def connecting(url: str, setting: str = "store") -> str:
    """The URL as libpq wants it, with our defaults. Raises `invalid_configuration`."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise _no_url(url, str(error), setting) from None
    if not re.fullmatch(r"[\d,]*", str(given.get("port", ""))):
        raise _no_url(url, "its port is no number; in a password write / as %2F, and @ as %40", setting)
    return make_conninfo(**{**_CONNECTING, **{name: str(value) for name, value in given.items()}})


def _no_url(url: str, problem: str, setting: str) -> InvalidInput:
    """What is quoted in the problem is told only where it is no part of a password."""
    shown = without_password(url)
    problem = re.sub('"(.*)"', lambda quoted: quoted[0] if quoted[1] in shown else '"..."', problem)
    return InvalidInput(
        "invalid_configuration", f"{shown!r} is no PostgreSQL URL: {problem}", details={"setting": setting}
    )
