"""A copy of a SQLite store as it is at one moment, made while others write to it; the copy is a store itself."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sessionry.domain.errors import Conflict, StoreFailed
from sessionry.store.sqlite_connection import Connection, translated, unmade

#: Pages of the file that are copied before it is said how far that is.
_PAGES = 1024


@contextmanager
def backing_up(source: Path, target: Path, tell: Callable[[int, int], None]) -> Iterator[None]:
    """Copy the file, readable for its owner only, and checked; it is at its place when what is done inside has succeeded.

    Nobody waits for it. `tell` is called with how many pages are done, and of how many. In the copy no worker is
    registered: what they had begun is taken over when the copy is opened, while those of the source go on with theirs.
    Raises `already_exists`.
    """
    if target.exists():
        raise Conflict("already_exists", f"{target} is there already; name another file, or a folder")
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        _copy(source, unfinished, tell)
        yield
        with _translated(source, target):
            unfinished.replace(target)
            _make_durable(target.parent)
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{unfinished}{end}").unlink(missing_ok=True)


@contextmanager
def _translated(source: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unmade(error, str(target)) from error
    except sqlite3.Error as error:
        raise translated(error, str(source)) from error


def _copy(source: Path, target: Path, tell: Callable[[int, int], None]) -> None:
    with _translated(source, target):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.unlink(missing_ok=True)
        target.touch(mode=0o600)
        found = _copied(source, target, tell)
        _make_durable(target)
    if found != "ok":
        raise StoreFailed(
            "store_corrupt", f"{source} cannot be backed up, it is damaged: {found}; run `sessionry doctor`"
        )


def _copied(source: Path, target: Path, tell: Callable[[int, int], None]) -> str:
    """What SQLite finds wrong with the copy."""
    with closing(Connection(str(source), read_only=True)) as reading, closing(sqlite3.connect(target)) as copy:
        reading.copy_to(copy, _PAGES, tell)
        copy.execute("delete from sessionry_worker")
        copy.commit()
        copy.execute("pragma journal_mode = delete")  # one file, which needs no other; a store makes it WAL again
        return str(copy.execute("pragma quick_check(1)").fetchone()[0])


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
