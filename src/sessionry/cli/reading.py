"""How a command that only looks asks the store: without an event loop where it can, since that starts much faster."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from sessionry.ports import Operation

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation
    from sessionry.store.sqlite_connection import Connection

T = TypeVar("T")


class Ask(Protocol):
    """Runs an operation of the store and gives its answer."""

    def __call__(self, operation: Operation[T]) -> T: ...


@contextmanager
def reading(invocation: Invocation) -> Iterator[Ask]:
    """The store, to ask it something. What a crash left behind is put right before."""
    connection = None if invocation.remote else _direct(invocation.settings.store)
    if connection is None:
        with invocation.open() as sessions:
            yield sessions.execute
        return
    try:
        if _left_behind(connection):
            with invocation.open():
                pass  # opening it sweeps
        yield connection.run
    finally:
        connection.close()


def _direct(url: str) -> Connection | None:
    """A connection to a SQLite file that is there and up to date. Raises `store_too_new`, `store_corrupt`."""
    if not url.startswith("sqlite:"):
        return None
    from sessionry.store.open import sqlite_location

    path, _ = sqlite_location(url)
    if not Path(path).is_file():
        return None
    from sessionry.store.migrations import migrations, sqlite_version
    from sessionry.store.sqlite_connection import Connection, translated

    connection = Connection(path, read_only=True)
    try:
        version = sqlite_version(connection)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    if version == max(migrations("sqlite")):
        return connection
    connection.close()
    return None  # whoever opens it migrates it, or refuses


def _left_behind(connection: Connection) -> bool:
    """Whether there is something for the sweeper."""
    from sessionry.store.operations.leftovers import leftovers

    found, at_work = connection.run(leftovers())
    if found or not at_work:
        return found
    from sessionry.runtime.processes import Process, is_gone

    return any(is_gone(Process(*process)) for process in at_work)
