"""`sessionry migrate`: from a file to PostgreSQL, killed on the way and run again."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from sessionry.domain import events as ev
from sessionry.ports import Appending
from sessionry.store.sqlite import SqliteStore
from tests.store.work import at_work

from .program import Cli

EVENTS = 10_000


async def write_long_log(cli: Cli) -> None:
    store = await SqliteStore.open(str(cli.store))
    work = await at_work(store, worker="wrk_done")
    for start in range(0, EVENTS, 500):
        said = [ev.MessageReceived(text=f"message {number}") for number in range(start, start + 500)]
        await work.append(Appending(work.run_id, work.fence, work.after, said))
    await work.finish()
    await store.close()


@pytest.fixture
def furnished(cli: Cli) -> str:
    """Sessions of three tenants, one with a long log; a blob, a question, and a run that waits; the id of that."""
    asyncio.run(write_long_log(cli))
    for tenant in ("acme", "globex"):
        cli.ok("--tenant", tenant, "run", "--agent", "echo", f"for {tenant}")
    cli.ok("run", "--agent", "shell", "--", "python3", "-c", "print('x' * 100_000)")
    cli.script("asks", {"approve": {"tool": "delete"}}, {"exit": "deleted"})
    cli.queued("asks", "x")
    worker = cli.start("worker")
    cli.until(lambda: cli.ok("--json", "approvals").out)
    worker.signal(signal.SIGKILL)
    worker.wait()
    return cli.queued("echo", "after the move")


@contextmanager
def standing_in_the_way(url: str, position: int) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who has written an event at that position and does not commit."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into sessionry_event (position, session, seq, fence, type, at, id, schema, data)"
            " values (%s, 0, 0, 0, 'x', 0, '', 1, '{}')",
            (position,),
        )
        yield connection
        connection.rollback()


def state(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("select value from sessionry_setting where name = 'moving'").fetchone()
    return str(found[0]) if found else ""


def count(url: str, table: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(f"select count(*) from sessionry_{table}".encode()).fetchone()
    assert found
    return int(found[0])


def test_a_killed_move_goes_on_and_a_worker_goes_on_after_it(cli: Cli, furnished: str, postgres_url: str) -> None:
    source = cli.env["SESSIONRY_STORE"]
    blobs = str(cli.folder / "new-blobs")
    words = ["--json", "migrate", "--from", source, "--to", postgres_url, "--to-blobs", blobs]
    with standing_in_the_way(postgres_url, 5_500):
        moving = cli.terminal(*words[1:])
        moving.until("copied   events           [##")
        cli.until(lambda: '"table":3' in state(postgres_url) and '"after":[5000]' in state(postgres_url))
        moving.kill()
    assert count(postgres_url, "event") == 5_000
    moved = cli.ok(*words).jsons[-1]
    assert moved["moved"]
    assert moved["problems"] == []
    assert moved["rows"]["events"] == count(postgres_url, "event") > EVENTS

    cli.env |= {"SESSIONRY_STORE": postgres_url, "SESSIONRY_BLOBS": blobs}
    assert cli.ok("--json", "show", furnished).json["status"] == "pending"
    approval = cli.ok("--json", "approvals").json
    cli.ok("approve", approval["id"])
    cli.ok("worker", "--once")
    for run in (furnished, approval["run_id"]):
        assert cli.ok("--json", "show", run).json["status"] == "completed"
    assert [len(cli.ok("--json", "--tenant", tenant, "ls").jsons) for tenant in ("acme", "globex")] == [1, 1]
    assert cli.ok("doctor").code == 0


def test_a_person_sees_how_far_it_is(cli: Cli) -> None:
    cli.echo("hello")
    terminal = cli.terminal("migrate", "--to", f"sqlite:///{cli.folder}/target.db")
    assert terminal.end() == 0
    assert "events copied" in terminal.text
    assert "and the same in both: 1 sessions, 1 runs" in terminal.text
    assert f"now set SESSIONRY_STORE to sqlite:///{cli.folder}/target.db" in terminal.text


def test_lines_tell_the_same_where_nobody_looks(cli: Cli) -> None:
    cli.echo("hello")
    done = cli.ok("migrate", "--to", f"sqlite:///{cli.folder}/target.db")
    assert done.out.startswith("moved in ")
    assert "1 sessions copied\n" in done.err
    assert "\x1b" not in done.err


def test_a_store_that_a_worker_holds_is_not_moved(cli: Cli) -> None:
    cli.echo("hello")
    worker = cli.start("worker")
    cli.until(lambda: cli.ok("--json", "workers").out)
    done = cli("--json", "migrate", "--to", f"sqlite:///{cli.folder}/target.db")
    assert (done.code, done.error["code"]) == (6, "invalid_operation")
    assert f"(pid {worker.process.pid})" in done.error["message"]
    worker.signal(signal.SIGTERM)
    assert worker.wait().code == 0
    cli.ok("migrate", "--to", f"sqlite:///{cli.folder}/target.db")


def test_a_worker_that_was_killed_is_not_in_the_way(cli: Cli) -> None:
    cli.script("slow", {"say": "x"}, {"sleep": 100})
    run = cli.queued("slow", "x")
    worker = cli.start("worker")
    worker.until(f"started    {run}")
    worker.signal(signal.SIGKILL)
    worker.wait()
    cli.ok("migrate", "--to", f"sqlite:///{cli.folder}/target.db")
    cli.env["SESSIONRY_STORE"] = f"sqlite:///{cli.folder}/target.db"
    assert cli.ok("--json", "show", run).json["status"] in ("pending", "failed")


def test_a_store_that_is_not_there_is_not_moved(cli: Cli) -> None:
    for source in (f"sqlite:///{cli.folder}/nowhere.db", ""):
        done = cli("--json", "migrate", "--from", source, "--to", f"sqlite:///{cli.folder}/target.db")
        assert (done.code, done.error["code"]) == (2, "invalid_configuration")
    assert not (cli.folder / "nowhere.db").exists()
    assert not (cli.folder / "target.db").exists()


def test_a_database_without_a_store_is_not_moved_and_stays_empty(cli: Cli, empty_postgres_url: str) -> None:
    done = cli("--json", "migrate", "--from", empty_postgres_url, "--to", f"sqlite:///{cli.folder}/target.db")
    assert (done.code, done.error["code"]) == (2, "invalid_configuration")
    assert "there is no store at postgres" in done.error["message"]
    with psycopg.connect(empty_postgres_url) as connection:
        found = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    assert found == (0,)
    assert not (cli.folder / "target.db").exists()


def test_a_store_is_not_moved_into_itself(cli: Cli) -> None:
    cli.echo("hello")
    done = cli("--json", "migrate", "--to", f"sqlite:///{cli.folder}/../{cli.folder.name}/{cli.store.name}")
    assert (done.code, done.error["code"]) == (6, "invalid_operation")
    assert "the same store" in done.error["message"]


@pytest.mark.parametrize("url", ["memory://", "nonsense://x"])
def test_what_is_no_store_to_move_into_is_refused(cli: Cli, url: str) -> None:
    done = cli("--json", "migrate", "--to", url)
    assert (done.code, done.error["code"]) == (2, "invalid_configuration")


def test_a_tampered_row_is_found_and_the_exit_code_says_so(cli: Cli) -> None:
    """A row changes in the target between the copy and the comparison."""
    session = cli.echo("hello")
    target = f"sqlite:///{cli.folder}/target.db"
    cli.ok("--store", target, "ls")
    with sqlite3.connect(cli.folder / "target.db") as connection:
        connection.execute(
            "create trigger tamper after insert on sessionry_event when new.type = 'run_completed'"
            " begin update sessionry_event set fence = 99 where position = new.position; end"
        )
    done = cli("migrate", "--to", target)
    assert done.code == 1
    assert f"the events of session {session} are not the same" in done.out
    assert "begin again with --restart" in done.err
    with sqlite3.connect(cli.folder / "target.db") as connection:
        connection.execute("drop trigger tamper")
    assert cli("migrate", "--to", target).code == 1
    cli.ok("migrate", "--restart", "--to", target)
