"""The schema and its history: numbered SQL files, applied in order, never edited after a release.

A store knows its version; a newer one than this program knows is refused (`store_too_new`). Migrations only add: a program
of the version before goes on working on the same store until everything is upgraded.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionry.domain.errors import StoreFailed
from sessionry.store.sqlite_connection import Connection, translated, unmade

if TYPE_CHECKING:
    from psycopg import AsyncConnection

VERSION_TABLE = (
    "create table if not exists sessionry_schema"
    " (version bigint primary key, name text not null, applied_at bigint not null)"
)
NEW_VERSION = "insert into sessionry_schema (version, name, applied_at) values (?, ?, ?)"
#: The oldest PostgreSQL that will do, as it tells its version.
OLDEST_SERVER = 140_000
#: What everybody who migrates a PostgreSQL database locks: an arbitrary number that is only ours.
_ADVISORY_LOCK = 7_305_808_869_231_650


def migrations(dialect: str) -> Mapping[int, tuple[str, str]]:
    """Version -> (name, SQL), in order. `dialect` is sqlite or postgres."""
    found = {}
    for file in sorted((Path(__file__).parent / "schema" / dialect).glob("*.sql")):
        number, _, name = file.stem.partition("_")
        found[int(number)] = (name, file.read_text(encoding="utf-8"))
    return found


def check_version(version: int, newest: int, url: str) -> None:
    """Raise `store_too_new` when the store was made by a later program."""
    if version > newest:
        raise StoreFailed(
            "store_too_new",
            f"{url} has schema version {version}, this Sessionry knows {newest}; upgrade Sessionry",
            details={"version": version, "newest": newest},
        )


def statements(sql: str) -> list[str]:
    """The statements of a migration file, one by one, so that they run inside one transaction."""
    found, statement = [], ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement.strip())
            statement = ""
    return [*found, statement] if statement.strip() else found


def migrate_sqlite(connection: Connection) -> None:
    """Bring the file to the newest version, in one transaction; an older one is copied beside itself before.

    The version is looked at again under the lock: of many processes one does it, the others wait and find it done.
    """
    known = migrations("sqlite")
    version = sqlite_version(connection)
    check_version(version, max(known), connection.path)
    if version == max(known):
        return
    try:
        connection.begin()
        try:
            version = sqlite_version(connection)
            check_version(version, max(known), connection.path)
            if 0 < version < max(known):
                back_up(connection, version)
            _apply(connection, {number: known[number] for number in known if number > version})
            connection.query("commit")
        finally:
            connection.roll_back()
    except sqlite3.Error as error:
        raise translated(error, connection.path) from error


def _apply(connection: Connection, missing: Mapping[int, tuple[str, str]]) -> None:
    connection.query(VERSION_TABLE)
    for number, (name, sql) in missing.items():
        for statement in statements(sql):
            connection.query(statement)
        connection.query(NEW_VERSION, (number, name, time.time_ns() // 1000))


def sqlite_version(connection: Connection) -> int:
    """The schema version of the file; 0 for an empty one. Raises `store_corrupt` for what is no database."""
    try:
        if not connection.query("select 1 from sqlite_master where name = 'sessionry_schema'"):
            return 0
        version: int | None = connection.query("select max(version) from sessionry_schema")[0][0]
    except sqlite3.Error as error:
        raise translated(error, connection.path) from error
    return version or 0


def back_up(connection: Connection, version: int) -> Path:
    """A copy of the file as it was at `version`, beside it: whole, or not there. The caller keeps writers away."""
    copy, unfinished = Path(f"{connection.path}.v{version}.backup"), Path(f"{connection.path}.v{version}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        with closing(sqlite3.connect(connection.path)) as source:
            source.execute("vacuum into ?", (str(unfinished),))
        with unfinished.open("rb+") as written:
            os.fsync(written.fileno())
        return unfinished.replace(copy)
    except OSError as error:
        raise unmade(error, str(copy)) from error
    finally:
        unfinished.unlink(missing_ok=True)


async def migrate_postgres(connection: AsyncConnection[tuple[Any, ...]], url: str) -> None:
    """Bring the database to the newest version, in one transaction; of many processes one does it, the others wait."""
    from sessionry.store import jobs  # only who is on PostgreSQL has any

    known = migrations("postgres")
    _check_server(connection.info.server_version, url)
    await _check_encoding(connection, url)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
        version = await postgres_version(connection)
        check_version(version, max(known), url)
        missing = {number: known[number] for number in known if number > version}
        if missing:
            await connection.execute(VERSION_TABLE)
        for number, (name, sql) in missing.items():
            await connection.execute(sql.encode())
            values = (number, name, time.time_ns() // 1000)
            await connection.execute(NEW_VERSION.replace("?", "%s").encode(), values)
        await jobs.install(connection, url)
        await connection.execute("select sessionry_rebase()")


async def postgres_version(connection: AsyncConnection[tuple[Any, ...]]) -> int:
    """The schema version of the database; 0 for an empty one."""
    cursor = await connection.execute("select to_regclass('sessionry_schema')")
    if (await cursor.fetchall())[0][0] is None:
        return 0
    cursor = await connection.execute("select max(version) from sessionry_schema")
    return (await cursor.fetchall())[0][0] or 0


def _check_server(version: int, url: str) -> None:
    if version < OLDEST_SERVER:
        raise StoreFailed(
            "store_failed",
            f"{url} is PostgreSQL {version // 10_000}; Sessionry needs {OLDEST_SERVER // 10_000} or newer",
            details={"version": version},
        )


async def _check_encoding(connection: AsyncConnection[tuple[Any, ...]], url: str) -> None:
    cursor = await connection.execute("show server_encoding")
    encoding = (await cursor.fetchall())[0][0]
    if encoding != "UTF8":
        raise StoreFailed(
            "store_failed",
            f"{url} keeps text as {encoding} and cannot hold every character; create the database with encoding UTF8",
            details={"encoding": encoding},
        )
