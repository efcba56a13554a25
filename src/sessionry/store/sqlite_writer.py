"""The one thread of a process that writes to a SQLite file, many requests with each commit."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.ports import Appending, Operation, Touched, Wake
from sessionry.store import rows
from sessionry.store.lanes import Lanes
from sessionry.store.sqlite_connection import UNSTORABLE, Connection, ends_transaction, pause, refused, translated

Listener = Callable[[Sequence[str], Sequence[Wake]], None]


class Item:
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


#: Events in one statement; a batch is cut into these, the biggest first. Few sizes, so that all stay prepared.
_STATEMENT_SIZES = (64, 32, 16, 8, 4, 2, 1)

_Outcome = tuple[Item, Any, BaseException | None]


class Writer:
    """Takes whatever has queued up, commits it, and answers in the loop that opened the store."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.requests: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.listeners: list[Listener] = []
        self.connection = connection
        self._path = connection.path
        self._loop = loop
        self._file = Path(self._path)
        self._identity = self._identify()
        self._turn = threading.Lock()  # at the connection: the loop asks it for the data version
        connection.wait_only_to_begin()
        self._lanes = Lanes(connection.query)
        self._lanes_version: int | None = None
        self._data_version = 0

    def run(self) -> None:
        """Work until a None is among the requests. Everything before it is done."""
        while (first := self.requests.get()) is not None:
            batch, last = self._batch(first)
            with self._turn:
                answers = self._commit(batch)
            self._answer(*answers)
            if last:
                break

    def _batch(self, first: Item) -> tuple[list[Item], bool]:
        batch = [first]
        while not self.requests.empty():
            item = self.requests.get()
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

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

    def data_version(self) -> int:
        """Another number after commits of other processes, not of this one. Called by the loop; never waits.

        While a batch is at work nobody else can commit: the answer is that of the moment when it began.
        """
        if self._turn.acquire(blocking=False):
            try:
                self._data_version = self.connection.data_version() or self._data_version
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            finally:
                self._turn.release()
        return self._data_version

    def _commit(self, batch: list[Item]) -> tuple[list[_Outcome], list[str], list[Wake]]:
        """Run the whole batch as one transaction. When that cannot be committed, every request of it fails alike."""
        touched: list[Touched] = []
        appended: set[str] = set()
        wakes: list[Wake] = []
        try:
            self._check_file()
            self.connection.begin(self._pause)
            self._check_lanes()
            outcomes = [self._perform(item, touched, appended, wakes) for item in batch]
            self._write_staged()
            self.connection.query("commit")
        except Exception as error:
            self._lanes.clear()
            self._lanes.staged.clear()
            self.connection.roll_back()
            failure = self._failure(error)
            return [(item, None, failure) for item in batch], [], []
        return outcomes, list(dict.fromkeys([*(word.session_id for word in touched), *appended])), wakes

    def _pause(self, waited: float) -> None:
        """Others have the file, and commit: the loop may ask for the data version."""
        self._turn.release()
        try:
            pause(waited)
        finally:
            self._turn.acquire()

    def _failure(self, error: Exception) -> StoreFailed:
        if isinstance(error, StoreFailed):
            return error
        if isinstance(error, sqlite3.Error):
            failure = translated(error, self._path)
        else:
            failure = StoreFailed("store_failed", f"{self._path}: {error!r} while writing; nothing of it was kept")
        failure.__cause__ = error
        return failure

    def _check_file(self) -> None:
        """What is written to a file without a name is lost when it is closed."""
        if self._identify() != self._identity:
            raise StoreFailed(
                "store_failed", f"{self._path} was moved, deleted or replaced while it was open; open the store again"
            )

    def _identify(self) -> tuple[int, int] | None:
        """Which file the path names now; None for none, and in memory."""
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_lanes(self) -> None:
        version = self.connection.query("pragma data_version")[0][0]
        if version != self._lanes_version:
            self._lanes.clear()
            self._lanes_version = self._data_version = version

    def _write_staged(self) -> None:
        """In few statements: each one lets go of the interpreter, and gets it back only when the loop rests.

        When one fails, the transaction has been rolled back.
        """
        staged = self._lanes.staged
        begun = 0
        for size in _STATEMENT_SIZES:
            width = size * rows.STAGED_WIDTH
            while len(staged) - begun >= width:
                self.connection.query(rows.insert_staged(size), staged[begun : begun + width])
                begun += width
        staged.clear()

    def _perform(self, item: Item, touched: list[Touched], appended: set[str], wakes: list[Wake]) -> _Outcome:
        if item.appending is None:
            return self._run_operation(item, touched, wakes)
        try:
            seqs, session_id = self._lanes.stage(item.appending, item.payloads, self.connection.clock())
        except SessionryError as error:
            return item, None, error
        except UNSTORABLE as error:
            return item, None, refused(error)
        if session_id is not None:
            appended.add(session_id)
        return item, seqs, None

    def _run_operation(self, item: Item, touched: list[Touched], wakes: list[Wake]) -> _Outcome:
        """An operation in a savepoint: it alone fails when it raises."""
        assert item.operation is not None
        self._write_staged()
        mine: list[Touched] = []
        woken: list[Wake] = []
        self.connection.query("savepoint operation")
        try:
            value = self.connection.perform(item.operation, mine, woken)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and (not self.connection.in_transaction or ends_transaction(error)):
                raise
            self.connection.query("rollback to operation")
            self.connection.query("release operation")
            return item, None, self._refusal(error)
        self.connection.query("release operation")
        for word in mine:
            self._lanes.forget(word.session_key)
        touched += mine
        wakes += woken
        return item, value, None

    def _refusal(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return self._failure(error)
        return refused(error) if isinstance(error, UNSTORABLE) else error
