"""One connection to a SQLite file, and how operations run on it: plain, blocking, and quick to load.

The store (`sqlite.py`) drives it from its threads; the command line reads with it directly, without an event loop.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sessionry.domain.errors import InvalidInput, StoreFailed
from sessionry.ports import Many, Now, Operation, Touched, Wake

T = TypeVar("T")

#: Seconds that a writer waits for its turn at the file before it gives up.
BUSY_TIMEOUT = 30.0

_CODES = {
    sqlite3.SQLITE_FULL: ("store_full", "the disk is full; free some space and try again"),
    sqlite3.SQLITE_READONLY: ("store_read_only", "the file or its folder cannot be written; check its permissions"),
    sqlite3.SQLITE_CORRUPT: ("store_corrupt", "the file is damaged; run `sessionry doctor`, then restore a back-up"),
    sqlite3.SQLITE_NOTADB: ("store_corrupt", "the file is no SQLite database; check the store's URL"),
    sqlite3.SQLITE_BUSY: ("store_unavailable", "other processes kept the file busy for too long; try again"),
    sqlite3.SQLITE_LOCKED: ("store_unavailable", "other processes kept the file busy for too long; try again"),
    sqlite3.SQLITE_CANTOPEN: ("store_failed", "the file cannot be opened; check the store's URL and its folder"),
}


#: What Python's sqlite3 raises for a parameter that SQLite cannot hold: a lone surrogate, more than 64 bits.
UNSTORABLE = (UnicodeEncodeError, OverflowError)


def refused(error: Exception) -> InvalidInput:
    """What one of `UNSTORABLE` means for the caller."""
    return InvalidInput("validation_error", f"a value cannot be stored: {error}")


def translated(error: sqlite3.Error, path: str) -> StoreFailed:
    """What a failure of SQLite means for the caller."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name, remedy = _CODES.get(code, ("store_failed", "run `sessionry doctor`"))
    return StoreFailed(name, f"{path}: {error}; {remedy}", details={"sqlite": getattr(error, "sqlite_errorname", None)})


class Connection:
    """One connection to the file, and how operations run on it. Not for two threads at once."""

    def __init__(self, path: str, *, synchronous: str = "full", read_only: bool = False) -> None:
        self.path = path
        self.clock: Callable[[], int] = lambda: time.time_ns() // 1000
        try:
            self._raw = self._connect(read_only)
            self._configure(synchronous, read_only)
        except sqlite3.Error as error:
            raise translated(error, path) from error

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if self.path == ":memory:":
            return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        mode = "ro" if read_only and not os.access(self.path, os.W_OK) else "rw"
        uri = f"{Path(self.path).absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)

    def _configure(self, synchronous: str, read_only: bool) -> None:
        self._raw.execute("pragma foreign_keys = on")
        if read_only:
            self._raw.execute("pragma query_only = on")
            return
        if os.access(self.path, os.W_OK):
            self._raw.execute("pragma journal_mode = wal")
        self._raw.execute(f"pragma synchronous = {synchronous}")
        self._raw.execute("pragma cache_size = -16000")
        self._raw.execute("pragma journal_size_limit = 67108864")

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._raw.execute(sql, values).fetchall()

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        self._raw.executemany(sql, values)

    @property
    def in_transaction(self) -> bool:
        return self._raw.in_transaction

    def begin(self) -> None:
        """`BEGIN IMMEDIATE`, with short waits of random length: SQLite's own get long and starve a process among many."""
        from random import uniform  # not for those who only read

        self._raw.execute("pragma busy_timeout = 0")
        give_up = time.monotonic() + BUSY_TIMEOUT
        try:
            while True:
                try:
                    self._raw.execute("begin immediate")
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                        raise
                    time.sleep(uniform(0.0002, 0.002))
        finally:
            self._raw.execute(f"pragma busy_timeout = {int(BUSY_TIMEOUT * 1000)}")

    def perform(self, operation: Operation[T], touched: list[Touched], wakes: list[Wake]) -> T:
        """Run the operation inside the transaction that is open."""
        steps = operation.steps()
        answer: Any = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer = None
            match request:
                case Many(sql, values):
                    self._raw.executemany(sql, values)
                case Now():
                    answer = self.clock()
                case Touched():
                    touched.append(request)
                case Wake():
                    wakes.append(request)
                case (sql, values):
                    answer = self._raw.execute(sql, values).fetchall()

    def run(self, operation: Operation[T]) -> T:
        """Run the operation as a transaction of its own, here and now."""
        try:
            if operation.writes:
                self.begin()
            else:
                self._raw.execute("begin")
            try:
                result = self.perform(operation, [], [])
                self._raw.execute("commit")
            except BaseException:
                if self._raw.in_transaction:
                    self._raw.execute("rollback")
                raise
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        except UNSTORABLE as error:
            raise refused(error) from error
        return result

    def close(self) -> None:
        self._raw.close()
