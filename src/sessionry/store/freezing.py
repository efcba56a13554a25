"""A store that stands still: as long as it is frozen everybody can read it, and nobody write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessionry.domain.errors import InvalidInput, StoreFailed
from sessionry.store.address import without_password
from sessionry.store.open import sqlite_location
from sessionry.store.sqlite_connection import Connection, translated

#: Seconds for which a transaction that is under way in PostgreSQL is waited for.
_PATIENCE = 15


@asynccontextmanager
async def frozen(url: str) -> AsyncIterator[None]:
    """Keep everybody from writing to the store at `url`, which is there; writers wait, and in the end give up.

    Raises `store_unavailable` when somebody else does not stop writing.
    """
    if url.startswith("sqlite:"):
        async with _frozen_sqlite(sqlite_location(url)[0]):
            yield
    elif url.startswith(("postgresql:", "postgres:")):
        async with _frozen_postgres(url):
            yield
    else:
        raise InvalidInput("invalid_configuration", "a store in memory has nobody else to keep from writing")


@asynccontextmanager
async def _frozen_sqlite(path: str) -> AsyncIterator[None]:
    """By being the one writer that SQLite lets be."""
    connection = await asyncio.to_thread(Connection, path)
    try:
        await asyncio.to_thread(connection.begin)
        yield
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.roll_back()
        connection.close()


@asynccontextmanager
async def _frozen_postgres(url: str) -> AsyncIterator[None]:
    """By a lock on the tables, which goes with whoever writes in no other way than with all who read."""
    import psycopg  # who has such a store open has it installed

    from sessionry.store.operations.moving import TABLES
    from sessionry.store.postgres import connecting
    from sessionry.store.postgres import translated as failure

    tables = ", ".join([*(table.name for table in TABLES), "sessionry_worker"])
    try:
        async with await psycopg.AsyncConnection.connect(connecting(url)) as connection:
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            await connection.execute(f"set local lock_timeout = '{_PATIENCE}s'".encode())
            try:
                await connection.execute(f"lock table {tables} in share mode".encode())
            except psycopg.errors.LockNotAvailable as error:
                problem = "others write to it and do not stop; end them and try again"
                raise StoreFailed("store_unavailable", f"{without_password(url)}: {problem}") from error
            yield
            await connection.rollback()
    except psycopg.Error as error:
        raise failure(error, without_password(url)) from error
