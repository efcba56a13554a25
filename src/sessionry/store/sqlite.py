"""The SQLite driver: one writer thread with group commit, readers apart, everything durable when it is answered.

All writes of a process go through one connection in one thread. It takes whatever has queued up, runs each operation in a
savepoint of its own, and commits them all with one fsync: a hundred producers cost little more than one. Several processes
work on one file; they take turns at `BEGIN IMMEDIATE`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.fold import STATE_EVENTS
from sessionry.ports import Appending, Operation, Touched, Wake
from sessionry.store import rows
from sessionry.store.lanes import Lanes
from sessionry.store.migrations import migrate_sqlite
from sessionry.store.operations import leases
from sessionry.store.sqlite_connection import UNSTORABLE, Connection, refused, translated

T = TypeVar("T")
Listener = Callable[[Sequence[str], Sequence[Wake]], None]

READERS = 4
OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING


class _Item:
    """One request to the writer: an operation, or an append with its encoded payloads."""

    __slots__ = ("appending", "future", "operation", "payloads")

    def __init__(
        self,
        future: asyncio.Future[Any],
        operation: Operation[Any] | None = None,
        appending: Appending | None = None,
        payloads: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.future = future
        self.operation = operation
        self.appending = appending
        self.payloads = payloads


_Outcome = tuple[_Item, Any, BaseException | None]


class _Writer(threading.Thread):
    """The one thread that writes. It answers requests in the loop that opened the store, a batch at a time."""

    def __init__(self, path: str, synchronous: str, loop: asyncio.AbstractEventLoop, clock: Callable[[], int] | None):
        super().__init__(name="sessionry-writer", daemon=True)
        self.requests: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self.listeners: list[Listener] = []
        self._loop = loop
        self._path = path
        self._connection = Connection(path, synchronous=synchronous)
        if clock is not None:
            self._connection.clock = clock
        self._lanes = Lanes(self._connection.query)
        self._data_version: int | None = None

    def run(self) -> None:
        while (first := self.requests.get()) is not None:
            batch = [first]
            stop = False
            while not self.requests.empty():
                item = self.requests.get()
                if item is None:
                    stop = True
                    break
                batch.append(item)
            self._answer(*self._commit(batch))
            if stop:
                break
        self._connection.close()

    def _answer(self, outcomes: list[_Outcome], touched: Sequence[str], wakes: Sequence[Wake]) -> None:
        def deliver() -> None:
            for item, value, error in outcomes:
                if item.future.done():
                    continue
                if error is not None:
                    item.future.set_exception(error)
                else:
                    item.future.set_result(value)
            if touched or wakes:
                for listener in self.listeners:
                    listener(touched, wakes)

        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            return  # the loop was closed with requests under way; what was committed stays committed

    def _commit(self, batch: list[_Item]) -> tuple[list[_Outcome], list[str], list[Wake]]:
        """Run the whole batch as one transaction. When that cannot be committed, every request of it fails alike."""
        touched: list[Touched] = []
        appended: set[str] = set()
        wakes: list[Wake] = []
        try:
            self._connection.begin()
            self._check_lanes()
            outcomes = [self._perform(item, touched, appended, wakes) for item in batch]
            self._write_staged()
            self._connection.query("commit")
        except sqlite3.Error as error:
            self._roll_back()
            failure = translated(error, self._path)
            failure.__cause__ = error
            return [(item, None, failure) for item in batch], [], []
        return outcomes, list(dict.fromkeys([*(word.session_id for word in touched), *appended])), wakes

    def _roll_back(self) -> None:
        self._lanes.clear()
        self._lanes.staged.clear()
        if self._connection.in_transaction:
            self._connection.query("rollback")

    def _check_lanes(self) -> None:
        version = self._connection.query("pragma data_version")[0][0]
        if version != self._data_version:
            self._lanes.clear()
            self._data_version = version

    def _write_staged(self) -> None:
        if self._lanes.staged:
            self._connection.many(rows.INSERT_EVENT, self._lanes.staged)
            self._lanes.staged.clear()

    def _perform(self, item: _Item, touched: list[Touched], appended: set[str], wakes: list[Wake]) -> _Outcome:
        if item.appending is None:
            return self._run_operation(item, touched, wakes)
        try:
            seqs, session_id = self._lanes.stage(item.appending, item.payloads, self._connection.clock())
        except SessionryError as error:
            return item, None, error
        except UNSTORABLE as error:
            return item, None, refused(error)
        if session_id is not None:
            appended.add(session_id)
        return item, seqs, None

    def _run_operation(self, item: _Item, touched: list[Touched], wakes: list[Wake]) -> _Outcome:
        """An operation in a savepoint: it alone fails when it raises."""
        assert item.operation is not None
        self._write_staged()
        mine: list[Touched] = []
        woken: list[Wake] = []
        self._connection.query("savepoint operation")
        try:
            value = self._connection.perform(item.operation, mine, woken)
        except sqlite3.Error as error:
            if not self._connection.in_transaction:
                raise  # SQLite rolled everything back: a full disk, a damaged page
            self._connection.query("rollback to operation")
            self._connection.query("release operation")
            return item, None, translated(error, self._path)
        except Exception as error:
            self._connection.query("rollback to operation")
            self._connection.query("release operation")
            return item, None, refused(error) if isinstance(error, UNSTORABLE) else error
        self._connection.query("release operation")
        for word in mine:
            self._lanes.forget(word.session_key)
        touched += mine
        wakes += woken
        return item, value, None


class SqliteStore:
    """A store in one SQLite file, or in memory. See `ports.Store`."""

    def __init__(self, path: str, writer: _Writer) -> None:
        self._path = path
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sessionry-reader")
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._watching: Connection | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: str, *, synchronous: str = "full", clock: Callable[[], int] | None = None) -> SqliteStore:
        """Open the file, `:memory:` for none; make it, and the tables, when they are not there."""
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(prepare, path)
        writer = await asyncio.to_thread(_Writer, path, synchronous, loop, clock)
        await asyncio.to_thread(migrate_sqlite, writer._connection)
        writer.start()
        return cls(path, writer)

    @property
    def url(self) -> str:
        return "memory://" if self._path == ":memory:" else f"sqlite:///{self._path}"

    @property
    def shared_machine(self) -> bool:
        return True

    async def execute(self, operation: Operation[T]) -> T:
        self._check_open()
        if operation.writes or self._path == ":memory:":
            future: asyncio.Future[T] = self._loop.create_future()
            self._writer.requests.put(_Item(future, operation=operation))
            return await future
        return await self._loop.run_in_executor(self._readers, self._read, operation)

    def _read(self, operation: Operation[T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(self._path, read_only=True)
            connection.clock = self._writer._connection.clock
            self._connections.append(connection)
        return connection.run(operation)

    async def append(self, appending: Appending) -> list[int]:
        self._check_open()
        if not appending.events:
            return []
        if any(type(data) in STATE_EVENTS for data in appending.events):
            return await self.execute(leases.append(appending))
        future: asyncio.Future[list[int]] = self._loop.create_future()
        payloads = [leases.payload(data) for data in appending.events]
        self._writer.requests.put(_Item(future, appending=appending, payloads=payloads))
        return await future

    async def change_token(self) -> int:
        if self._path == ":memory:":
            return 0
        self._check_open()
        if self._watching is None:
            self._watching = Connection(self._path, read_only=True)
        try:
            version: int = self._watching.query("pragma data_version")[0][0]
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        return version

    def on_commit(self, listener: Listener) -> None:
        self._writer.listeners.append(listener)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("store_failed", f"{self.url} is closed; open it again")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._writer.requests.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._connections:
            connection.close()
        if self._watching is not None:
            self._watching.close()


def prepare(path: str) -> None:
    """Make the folder (0700) and the file (0600) when they are not there. Raises `store_failed`."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreFailed(
            "dependency_not_available",
            f"SQLite {sqlite3.sqlite_version} is too old; Sessionry needs 3.35 or newer",
        )
    if path == ":memory:":
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not Path(path).exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreFailed("store_failed", f"{path} cannot be made: {error.strerror}; check the store's URL") from error
