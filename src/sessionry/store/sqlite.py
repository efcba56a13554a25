"""The SQLite driver: one writer thread with group commit, readers apart, everything durable when it is answered.

All writes of a process go through one connection in one thread (`sqlite_writer`). It takes whatever has queued up, runs
each operation in a savepoint of its own, and commits them all with one fsync: a hundred producers cost little more than
one. Several processes work on one file; they take turns at `BEGIN IMMEDIATE`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sessionry.domain.errors import StoreFailed
from sessionry.domain.fold import STATE_EVENTS
from sessionry.ports import Appending, Operation
from sessionry.store.migrations import migrate_sqlite
from sessionry.store.operations import leases
from sessionry.store.sqlite_connection import Connection, unmade
from sessionry.store.sqlite_writer import Item, Listener, Writer

T = TypeVar("T")

READERS = 4
OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING


class SqliteStore:
    """A store in one SQLite file, or in memory. See `ports.Store`."""

    def __init__(self, path: str, connection: Connection, readers: ThreadPoolExecutor) -> None:
        self._url = "memory://" if path == ":memory:" else f"sqlite:///{path}"
        self._path = connection.path
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(connection, self._loop)
        self._thread = threading.Thread(target=self._work, name="sessionry-writer", daemon=True)
        self._readers = readers
        self._local = threading.local()
        self._connections = [connection]
        self._closed = False
        self._gone = asyncio.Event()

    @classmethod
    async def open(cls, path: str, *, synchronous: str = "full", clock: Callable[[], int] | None = None) -> SqliteStore:
        """Open the file, `:memory:` for none; make it, and the tables, when they are not there.

        A `clock` that is set back does no harm to what is stored: events stay in the order of their `seq`, and no
        `updated_at` goes back. But it also ends leases: set back, it ends a lost worker's later by that much; set forward,
        it may end those of a living worker, whose runs are then taken over, and which is fenced.
        """
        readers = ThreadPoolExecutor(READERS, thread_name_prefix="sessionry-reader")
        opening = readers.submit(_opened, path, synchronous, clock)
        try:
            connection = await asyncio.wrap_future(opening)
        except BaseException:
            opening.add_done_callback(_let_go)
            readers.shutdown(wait=False)
            raise
        store = cls(path, connection, readers)
        store._thread.start()
        return store

    @property
    def url(self) -> str:
        return self._url

    @property
    def shared_machine(self) -> bool:
        return True

    async def execute(self, operation: Operation[T]) -> T:
        self._check_open()
        if operation.writes or self._path == ":memory:":
            future: asyncio.Future[T] = self._loop.create_future()
            self._writer.requests.put(Item(future, operation=operation))
            return await future
        return await self._loop.run_in_executor(self._readers, self._read, operation)

    def _read(self, operation: Operation[T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(self._path, read_only=True)
            connection.clock = self._writer.connection.clock
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
        self._writer.requests.put(Item(future, appending=appending, payloads=payloads))
        return await future

    async def change_token(self) -> int:
        self._check_open()
        return self._writer.data_version()

    def on_commit(self, listener: Listener) -> None:
        self._writer.listeners.append(listener)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("store_failed", f"{self.url} is closed; open it again")

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._writer.requests.put(None)
        await self._gone.wait()
        self._thread.join()

    def _work(self) -> None:
        """The writer's thread. It outlives all others, so that the last connection tidies the file up."""
        try:
            self._writer.run()
        finally:
            self._readers.shutdown()
            for connection in reversed(self._connections):
                connection.close()
            with suppress(RuntimeError):  # the loop was closed before the store
                self._loop.call_soon_threadsafe(self._gone.set)


def _opened(path: str, synchronous: str, clock: Callable[[], int] | None) -> Connection:
    prepare(path)
    connection = Connection(path if path == ":memory:" else str(Path(path).absolute()), synchronous=synchronous)
    if clock is not None:
        connection.clock = clock
    try:
        migrate_sqlite(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _let_go(opening: Future[Connection]) -> None:
    """Nobody waits any more for the connection that was being opened."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def prepare(path: str) -> None:
    """Make the folders (0700) and the file (0600) that are not there, whatever the umask.

    Raises `store_failed`, `store_full` or `store_read_only` when that cannot be; `store_corrupt` for an emptied file.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreFailed(
            "dependency_not_available",
            f"SQLite {sqlite3.sqlite_version} is too old; Sessionry needs 3.35 or newer",
        )
    if path == ":memory:":
        return
    try:
        _make(Path(path))
    except OSError as error:
        raise unmade(error, path) from error
    _refuse_emptied(Path(path))


def _make(file: Path) -> None:
    for folder in reversed(file.parents):
        if not folder.exists():
            folder.mkdir(exist_ok=True, mode=0o700)
            folder.chmod(0o700)
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)


def _refuse_emptied(file: Path) -> None:
    """SQLite throws the log beside an empty file away, and with it what may be the last copy of the newest events."""
    log = Path(f"{file}-wal")
    if _size(log) > 0 and _size(file) == 0:
        raise StoreFailed(
            "store_corrupt",
            f"{file} is empty, but there are changes to it in {log}; restore a back-up, or move both files away",
        )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
