"""One connection to a SQLite file, and how operations run on it: plain, blocking, and quick to load.

The store (`sqlite.py`) drives it from its threads; the command line reads with it directly, without an event loop.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sessionry.domain.errors import InvalidInput, StoreFailed
from sessionry.ports import Many, Now, Operation, Rest, Touched, Wake

T = TypeVar("T")

#: Seconds that a writer waits for its turn at the file before it gives up.
BUSY_TIMEOUT = 30.0
#: With fewer bytes left than this a disk is full, by whatever name SQLite reports it.
_NO_SPACE = 1 << 16

_BUSY = ("store_unavailable", "other processes kept the file busy for too long; try again")
_CODES = {
    sqlite3.SQLITE_FULL: ("store_full", "the disk is full; free some space and try again"),
    sqlite3.SQLITE_READONLY: ("store_read_only", "the file or its folder cannot be written; check its permissions"),
    sqlite3.SQLITE_CORRUPT: ("store_corrupt", "the file is damaged; run `sessionry doctor`, then restore a back-up"),
    sqlite3.SQLITE_NOTADB: ("store_corrupt", "the file is no SQLite database; check the store's URL"),
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_PROTOCOL: _BUSY,
    sqlite3.SQLITE_CANTOPEN: ("store_failed", "the file cannot be opened; check the store's URL and its folder"),
    sqlite3.SQLITE_IOERR: ("store_failed", "the disk cannot be read or written; check it, its quota and its limits"),
}


#: What Python's sqlite3 raises for a parameter that SQLite cannot hold: a lone surrogate, more than 64 bits.
UNSTORABLE = (UnicodeEncodeError, OverflowError)


def refused(error: Exception) -> InvalidInput:
    """What one of `UNSTORABLE` means for the caller."""
    return InvalidInput("validation_error", f"a value cannot be stored: {error}")


def translated(error: sqlite3.Error, path: str) -> StoreFailed:
    """What a failure of SQLite means for the caller."""
    name, remedy = _CODES.get(_meaning(error, path), ("store_failed", "run `sessionry doctor`"))
    return StoreFailed(name, f"{path}: {error}; {remedy}", details={"sqlite": getattr(error, "sqlite_errorname", None)})


_READ_ONLY = ("store_read_only", "check the permissions of its folder")
_FULL = ("store_full", "free some space and try again")
_CANNOT_MAKE = {
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}


def unmade(error: OSError, path: str) -> StoreFailed:
    """What it means for the caller that a file cannot be made."""
    code, remedy = _CANNOT_MAKE.get(error.errno or 0, ("store_failed", "check the store's URL"))
    return StoreFailed(code, f"{path} cannot be made: {error.strerror}; {remedy}")


def _meaning(error: sqlite3.Error, path: str) -> int:
    """The primary result code, put right where SQLite reports only that a system call failed."""
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR and _disk_is_full(path):
        return sqlite3.SQLITE_FULL
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and Path(path).is_file() and not writable(path):
        return sqlite3.SQLITE_READONLY
    if code == 0 and "decode to UTF-8" in str(error):  # raised by Python, for text that SQLite does not look at
        return sqlite3.SQLITE_CORRUPT
    return code


def ends_transaction(error: sqlite3.Error) -> bool:
    """Whether nothing more can be written in this transaction: the disk is full or fails."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _disk_is_full(path: str) -> bool:
    try:
        disk = os.statvfs(Path(path).parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _NO_SPACE


def writable(path: str) -> bool:
    """Whether the file can be written, and its folder, where SQLite keeps what has not reached the file yet."""
    return os.access(path, os.W_OK) and os.access(Path(path).parent, os.W_OK)


def pause(waited: float) -> None:
    """Let others go first for a moment: about 3 ms, and less the longer they have been let."""
    from random import uniform  # not for those who only read

    time.sleep(uniform(0.5, 1.5) * max(0.00015, 0.00003 / (0.01 + waited)))


class Connection:
    """One connection to the file, and how operations run on it. Not for two threads at once."""

    def __init__(self, path: str, *, synchronous: str = "full", read_only: bool = False) -> None:
        self.path = path
        self.clock: Callable[[], int] = lambda: time.time_ns() // 1000
        self._waits = True
        try:
            self._raw = self._connect(read_only)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        try:
            self._configure(synchronous, read_only)
        except sqlite3.Error as error:
            self._raw.close()
            raise translated(error, path) from error

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if self.path == ":memory:":
            return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        options = "mode=ro" if read_only and not os.access(self.path, os.W_OK) else "mode=rw"
        if _cannot_change(self.path):
            options = "mode=ro&immutable=1"
        uri = f"{Path(self.path).absolute().as_uri()}?{options}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)

    def _configure(self, synchronous: str, read_only: bool) -> None:
        self._raw.execute("pragma foreign_keys = on")
        if read_only:
            self._raw.execute("pragma query_only = on")
            return
        if self.path != ":memory:" and writable(self.path):
            self._patiently("pragma journal_mode = wal", pause)
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

    def begin(self, pause: Callable[[float], None] = pause) -> None:
        """`BEGIN IMMEDIATE`, as soon as it is this connection's turn. `pause` is told how long it has waited so far."""
        self._patiently("begin immediate", pause)

    def wait_only_to_begin(self) -> None:
        """From now on every other statement fails at once where it would wait: in WAL mode none needs to, once begun."""
        if self.query("pragma journal_mode") == [("wal",)]:
            self._waits = False
            self._raw.execute("pragma busy_timeout = 0")

    def _patiently(self, statement: str, pause: Callable[[float], None]) -> None:
        """Run a statement that needs the file for itself. Raises `SQLITE_BUSY` after `BUSY_TIMEOUT`.

        The waits are short, of random length, and get shorter: who has waited longest asks most often, and so is next.
        SQLite's own waits get longer, and starve one process among many.
        """
        if self._waits:
            self._raw.execute("pragma busy_timeout = 0")
        began = time.monotonic()
        try:
            while not self._try(statement):
                waited = time.monotonic() - began
                if waited > BUSY_TIMEOUT:
                    self._raw.execute(statement)
                    return
                pause(waited)
        finally:
            if self._waits:
                self._raw.execute(f"pragma busy_timeout = {int(BUSY_TIMEOUT * 1000)}")

    def _try(self, statement: str) -> bool:
        """False when another connection was in the way."""
        try:
            self._raw.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def data_version(self) -> int | None:
        """Another number after every commit of another connection; None when that cannot be told now."""
        try:
            version: int = self._raw.execute("pragma data_version").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return None
        return version

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
                case Rest():
                    pass  # who looks for heads finds it no more
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
                self.roll_back()
                raise
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        except UNSTORABLE as error:
            raise refused(error) from error
        return result

    def copy_to(self, copy: sqlite3.Connection, pages: int, tell: Callable[[int, int], None]) -> None:
        """Copy the file as it is now, whatever others write meanwhile. `tell` hears of so many `pages` at a time."""
        self._raw.execute("begin")
        try:
            self.query("select 1 from sqlite_master limit 1")  # from here on only this one moment is seen
            self._raw.backup(copy, pages=pages, progress=lambda _, left, total: tell(total - left, total))
        finally:
            self.roll_back()

    def roll_back(self) -> None:
        """End the transaction, if SQLite has not already. What failed is what its cause will be told."""
        if self._raw.in_transaction:
            with suppress(sqlite3.Error):
                self._raw.execute("rollback")

    def close(self) -> None:
        self._raw.close()


def _cannot_change(path: str) -> bool:
    """True on a read-only disk, unless a writer left something in the write-ahead log there.

    SQLite could not make the files that readers share with writers. Without a log it can do without them.
    """
    try:
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError:
        return False
    return bool(read_only) and not Path(f"{path}-wal").exists()
