"""The schema's history: today's code opens every released version, and an upgrade happens whole or not at all."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import StoreFailed
from sessionry.domain.fold import fold
from sessionry.ports import Delivery
from sessionry.store import migrations
from sessionry.store.migrations import statements
from sessionry.store.operations import leases, reading, runs, sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.processes import open_after_migrating, started
from tests.store.sample import GOLDEN, account, at_work_again, pinned, pins
from tests.store.work import LISTENS, SCOPE, at_work, log_of, new_session, open_files

RELEASED = sorted(int(file.stem.removeprefix("schema_v")) for file in GOLDEN.glob("schema_v*.sql"))
NEWEST = max(migrations.migrations("sqlite"))

Migrations = Mapping[int, tuple[str, str]]


def sample(file: Path, version: int) -> dict[str, Any]:
    """Make the file that a program of that version has left; what was said about it then."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((GOLDEN / f"schema_v{version}.sql").read_text(encoding="utf-8"))
    said: dict[str, Any] = json.loads((GOLDEN / f"schema_v{version}.json").read_text(encoding="utf-8"))
    return said


@pytest.fixture
def upcoming(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Adds a version to the history of the schema."""
    known = dict(migrations.migrations("sqlite"))

    def add(sql: str) -> None:
        known[max(known) + 1] = ("test", sql)
        monkeypatch.setattr(migrations, "migrations", lambda dialect: known)

    return add


def version_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("select max(version) from sessionry_schema").fetchone()[0])


def tables_of(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}


# --- what was released ------------------------------------------------------------------------------------------------


def test_released_schema_files_are_never_edited() -> None:
    now = pins()
    for name, digest in pinned().items():
        assert now.get(name) == digest, (
            f"{name} was changed: stores out there were made by the old one; add another file instead"
            " (before the first release: python -m tests.store.sample --pin)"
        )


def test_every_version_of_the_schema_is_pinned_and_has_a_sample() -> None:
    remedy = "run python -m tests.store.sample, and keep what it writes for ever"
    assert set(pins()) == set(pinned()), remedy
    assert sorted(migrations.migrations("sqlite")) == RELEASED, remedy
    assert sorted(migrations.migrations("postgres")) == RELEASED


@pytest.mark.parametrize("version", RELEASED)
async def test_what_was_in_a_released_store_is_in_it_today(file: Path, version: int) -> None:
    expected = sample(file, version)["account"]
    store = await SqliteStore.open(str(file))
    found = await account(store)
    assert_covers(found, expected)
    await store.close()
    assert version_of(file) == NEWEST


def assert_covers(found: Any, expected: Any, path: str = "") -> None:
    """All that was said then is said now. More may be said now."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, value in expected.items():
            assert name in found, f"{path}.{name} is gone"
            assert_covers(found[name], value, f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        assert len(found) == len(expected), path
        for index, value in enumerate(expected):
            assert_covers(found[index], value, f"{path}[{index}]")
    else:
        assert found == expected, path


@pytest.mark.parametrize("version", RELEASED)
async def test_rows_of_a_released_store_are_what_its_log_says(file: Path, version: int) -> None:
    sessions_then = sample(file, version)["account"]["sessions"]
    store = await SqliteStore.open(str(file))
    for then in sessions_then:
        session, folded = fold(await log_of(store, then["id"]))
        assert session == await store.execute(sessions.get(SCOPE, then["id"], deleted=True))
        for run_id, run in folded.items():
            assert run == await store.execute(runs.get(SCOPE, run_id))
    await store.close()


@pytest.mark.parametrize("version", RELEASED)
async def test_work_goes_on_in_a_released_store(file: Path, version: int) -> None:
    go_on = sample(file, version)["go_on"]
    store = await SqliteStore.open(str(file))

    live = at_work_again(store, go_on["lease"])
    await live.say("and on")
    await live.finish()

    first, second = go_on["queued"]["run_ids"]
    session_id = go_on["queued"]["session_id"]
    for run_id in (first, second):
        lease = await store.execute(leases.begin(Delivery(session_id, run_id, 1), "wrk_new", LISTENS))
        assert lease is not None
        await store.execute(leases.finish(run_id, lease.fence, ev.RunCompleted(text="done")))

    again = go_on["repeated"]
    operation = sessions.update(
        SCOPE, again["session_id"], {"title": again["title"]}, idempotency_key=again["idempotency_key"]
    )
    assert [event.seq for event in (await store.execute(operation)).events] == [2]
    assert len(await log_of(store, again["session_id"])) == 2

    everywhere = await store.execute(reading.all_events(SCOPE, limit=1000))
    assert [event.position for event in everywhere] == sorted({event.position for event in everywhere})
    await store.close()


# --- upgrades ---------------------------------------------------------------------------------------------------------


async def test_an_upgrade_keeps_a_copy_of_the_store_as_it_was(file: Path, upcoming: Callable[[str], None]) -> None:
    sample(file, NEWEST)
    upcoming("create table added (x);\ninsert into added values (';');\n")
    store = await SqliteStore.open(str(file))
    await store.close()
    assert (version_of(file), "added" in tables_of(file)) == (NEWEST + 1, True)
    copy = Path(f"{file}.v{NEWEST}.backup")
    assert (version_of(copy), "added" in tables_of(copy)) == (NEWEST, False)
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(file)) as new, closing(sqlite3.connect(copy)) as old:
        count = "select count(*), sum(position) from sessionry_event"
        assert old.execute(count).fetchone() == new.execute(count).fetchone()


async def test_a_new_store_needs_no_copy(file: Path, upcoming: Callable[[str], None]) -> None:
    upcoming("create table added (x);")
    store = await SqliteStore.open(str(file))
    await store.close()
    assert [name.name for name in file.parent.iterdir()] == [file.name]


async def test_an_upgrade_that_fails_leaves_the_store_as_it_was(file: Path, upcoming: Callable[[str], None]) -> None:
    expected = sample(file, NEWEST)["account"]
    before = open_files()
    upcoming("create table added (x);\ninsert into added values (1);\ninsert into no_such_table values (1);\n")
    with pytest.raises(StoreFailed, match="no such table: no_such_table"):
        await SqliteStore.open(str(file))
    assert open_files() == before
    assert (version_of(file), "added" in tables_of(file)) == (NEWEST, False)

    migrations.migrations("sqlite").pop(NEWEST + 1)  # type: ignore[attr-defined]  # the dict of `upcoming`
    store = await SqliteStore.open(str(file))
    assert_covers(await account(store), expected)
    await store.close()


@pytest.mark.parametrize("moment", ["before the copy", "before a statement", "before the commit"])
async def test_an_upgrade_that_is_killed_leaves_the_store_as_it_was(file: Path, moment: str) -> None:
    expected = sample(file, NEWEST)["account"]
    with started(open_after_migrating, str(file), moment) as (process, pipe):
        assert pipe.poll(60)
        assert pipe.recv() == moment
        process.kill()
    assert version_of(file) == NEWEST
    assert "added" not in tables_of(file)
    store = await SqliteStore.open(str(file))
    assert_covers(await account(store), expected)
    await store.close()


async def test_of_many_that_upgrade_at_once_one_does_it(file: Path, upcoming: Callable[[str], None]) -> None:
    sample(file, NEWEST)
    upcoming("create table added (x);\ninsert into added values (1);\n")
    stores = await asyncio.gather(*(SqliteStore.open(str(file)) for _ in range(8)))
    for store in stores:
        await new_session(store)
        await store.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select count(*) from added").fetchone() == (1,)
    assert version_of(Path(f"{file}.v{NEWEST}.backup")) == NEWEST


async def test_an_upgrade_without_room_for_the_copy_changes_nothing(
    disk: Callable[[str], Path], upcoming: Callable[[str], None]
) -> None:
    folder = disk("2m")
    file = folder / "sessions.db"
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    await work.say("x" * 900_000)
    await store.close()
    upcoming("create table added (x);")
    with pytest.raises(StoreFailed, match="free some space") as caught:
        await SqliteStore.open(str(file))
    assert caught.value.code == "store_full"
    assert (version_of(file), "added" in tables_of(file)) == (NEWEST, False)
    assert not list(folder.glob("*backup*")) + list(folder.glob("*unfinished*"))


async def test_one_who_has_the_store_open_goes_on_after_another_has_upgraded_it(
    file: Path, store: SqliteStore, upcoming: Callable[[str], None]
) -> None:
    work = await at_work(store)
    await work.say("before")
    upcoming("alter table sessionry_session add column colour text;\ncreate table added (x);\n")
    newer = await SqliteStore.open(str(file))
    await work.say("after")
    await new_session(newer)
    await new_session(store)
    assert await work.said() == ["before", "after"]
    await newer.close()


async def test_a_store_of_a_later_version_is_refused_and_left_alone(file: Path) -> None:
    sample(file, NEWEST)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("insert into sessionry_schema values (?, 'future', 0)", (NEWEST + 1,))
    with pytest.raises(StoreFailed, match="upgrade Sessionry") as caught:
        await SqliteStore.open(str(file))
    assert caught.value.code == "store_too_new"
    assert caught.value.details == {"version": NEWEST + 1, "newest": NEWEST}
    assert version_of(file) == NEWEST + 1


@pytest.mark.parametrize("number", migrations.migrations("sqlite"))
def test_a_migration_is_cut_into_whole_statements(number: int) -> None:
    _, sql = migrations.migrations("sqlite")[number]
    for statement in statements(sql):
        assert sqlite3.complete_statement(statement)
    assert "".join("".join(statements(sql)).split()) == "".join(sql.split())


def test_what_is_left_of_a_file_without_its_last_semicolon_is_a_statement_too() -> None:
    assert statements("select 1;\nselect 2") == ["select 1;", "select 2"]
    trigger = "create trigger t after insert on x begin\n  select 1;\n  select 2;\nend;"
    assert statements(trigger) == [trigger]
