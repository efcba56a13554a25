"""Opening and closing: who may read the files, what is left behind, and what becomes of requests under way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionry.domain.errors import StoreFailed
from sessionry.ports import Operation, Rows, Steps
from sessionry.store.operations import reading, sessions
from sessionry.store.sqlite import SqliteStore
from sessionry.store.transaction import reads, writes
from tests.store.work import SCOPE, at_work, log_of, new_session, open_files


@pytest.fixture(params=[0, 0o022, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path | str) -> int:
    return Path(path).stat().st_mode & 0o777


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("sessionry")}


@reads
def look(statement: str) -> Steps[Rows]:
    found: Rows = yield statement, ()
    return found


@writes
def change(statement: str) -> Steps[Rows]:
    found: Rows = yield statement, ()
    return found


def endless() -> Operation[Rows]:
    """Something that a reader works on for a second or so."""
    return look(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 3000000) select max(i) from n"
    )


# --- files ------------------------------------------------------------------------------------------------------------


async def test_only_the_owner_can_read_what_is_stored(tmp_path: Path, umask: None) -> None:
    file = tmp_path / "deep" / "deeper" / "sessions.db"
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    await work.say("a secret")
    assert (mode(tmp_path / "deep"), mode(tmp_path / "deep" / "deeper")) == (0o700, 0o700)
    assert {name.name: mode(name) for name in file.parent.iterdir()} == dict.fromkeys(
        ["sessions.db", "sessions.db-wal", "sessions.db-shm"], 0o600
    )
    await store.close()
    assert [name.name for name in file.parent.iterdir()] == ["sessions.db"]


async def test_files_and_folders_that_are_there_keep_their_modes(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    file = tmp_path / "sessions.db"
    file.touch()
    file.chmod(0o640)
    store = await SqliteStore.open(str(file))
    assert (mode(tmp_path), mode(file), mode(f"{file}-wal")) == (0o750, 0o640, 0o640)
    await store.close()


async def test_the_file_is_as_durable_as_was_asked_for(file: Path) -> None:
    for synchronous, number in (("full", 2), ("normal", 1), ("extra", 3)):
        store = await SqliteStore.open(str(file), synchronous=synchronous)
        assert await store.execute(change("pragma synchronous")) == [(number,)]
        assert await store.execute(change("pragma journal_mode")) == [("wal",)]
        await store.close()


async def test_odd_characters_in_the_path_are_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "a%20b?mode=ro#c d'e\"ä" / "sessions?.db"
    store = await SqliteStore.open(str(file))
    await new_session(store)
    await store.execute(look("select 1"))
    assert file.exists()
    await store.close()


# --- closing ----------------------------------------------------------------------------------------------------------


async def test_closing_leaves_no_thread_and_no_open_file(file: Path) -> None:
    before = open_files()
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    await asyncio.gather(*(work.said() for _ in range(20)))
    await store.change_token()
    await store.close()
    assert threads() == set()
    assert open_files() == before


async def test_what_was_begun_before_closing_is_finished(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    saying = asyncio.create_task(work.say("last words"))
    looking = asyncio.create_task(store.execute(endless()))
    await asyncio.sleep(0)
    await store.close()
    assert await saying == [work.after]
    assert await looking == [(3_000_000,)]
    store = work.store = await SqliteStore.open(str(file))
    assert await work.said() == ["last words"]
    await store.close()


async def test_closing_twice_or_giving_up_on_it_is_harmless(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    await new_session(store)
    looking = asyncio.create_task(store.execute(endless()))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await asyncio.gather(store.close(), store.close())
    await looking
    assert threads() == set()


async def test_a_closed_store_says_so(store: SqliteStore) -> None:
    work = await at_work(store)
    await store.close()
    for call in (new_session(store), work.say("x"), work.said(), store.change_token()):
        with pytest.raises(StoreFailed, match="is closed; open it again"):
            await call


async def test_giving_up_on_opening_leaves_nothing_behind(file: Path) -> None:
    before = open_files()
    opening = asyncio.create_task(SqliteStore.open(str(file)))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with asyncio.timeout(60):
        while threads():
            await asyncio.sleep(0.001)
    assert open_files() == before


def test_a_loop_that_ends_with_requests_under_way_takes_nothing_with_it(file: Path) -> None:
    async def leave_early() -> SqliteStore:
        store = await SqliteStore.open(str(file))
        work = await at_work(store)
        in_the_way.execute("begin immediate")
        under_way.extend(asyncio.create_task(store.append(work.saying("once"))) for _ in range(100))
        await asyncio.sleep(0)
        return store

    under_way: list[asyncio.Task[list[int]]] = []
    with closing(sqlite3.connect(file, isolation_level=None)) as in_the_way:
        store = asyncio.run(leave_early())
        assert all(task.cancelled() for task in under_way)
        in_the_way.execute("rollback")
        store._writer.requests.put(None)
        store._thread.join()
        assert threads() == set()
        found = in_the_way.execute("select data from sessionry_event where type = 'message_received'").fetchall()
    assert found == [('{"text":"once"}',)]


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_a_file_can_be_opened_twice_in_one_process(file: Path) -> None:
    one, other = await SqliteStore.open(str(file)), await SqliteStore.open(str(file))
    work = await at_work(one)
    await work.say("said here")
    work.store = other
    await work.say("said there")
    assert await work.said() == ["said here", "said there"]
    await one.close()
    await work.say("said alone")
    assert await work.said() == ["said here", "said there", "said alone"]
    await other.close()


async def test_a_request_that_nobody_waits_for_is_done_and_breaks_nothing(store: SqliteStore) -> None:
    work = await at_work(store)
    abandoned = [asyncio.create_task(new_session(store, title=str(number))) for number in range(50)]
    await asyncio.sleep(0)
    for task in abandoned[::2]:
        task.cancel()
    done = await asyncio.gather(*abandoned, return_exceptions=True)
    assert sum(isinstance(answer, asyncio.CancelledError) for answer in done) == 25
    await work.say("and on")
    assert await store.execute(look("select count(*) from sessionry_session where title is not null")) == [(50,)]


async def test_an_append_that_was_given_up_can_be_asked_for_again(store: SqliteStore) -> None:
    work = await at_work(store)
    request = work.saying("once")
    attempt = asyncio.create_task(store.append(request))
    await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await work.append(request)
    assert await work.said() == ["once"]


async def test_hundreds_of_reads_at_once_are_all_answered_while_writes_go_on(store: SqliteStore) -> None:
    works = [await at_work(store) for _ in range(10)]
    readings = [asyncio.create_task(log_of(store, works[number % 10].session_id)) for number in range(500)]
    writings = [asyncio.create_task(work.say(*map(str, range(20)))) for work in works]
    logs = await asyncio.gather(*readings)
    await asyncio.gather(*writings)
    for log in logs:
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        assert len(log) in (4, 24)  # each page is of one moment, and an append is there whole or not at all


async def test_a_request_that_goes_wrong_inside_fails_alone(store: SqliteStore) -> None:
    @writes
    def broken() -> Steps[None]:
        yield "insert into sessionry_setting (name, value) values ('half', 'done')", ()
        raise ZeroDivisionError

    work = await at_work(store)
    answers = await asyncio.gather(
        work.say("before"),
        store.execute(broken()),
        store.execute(change("select * from no_such_table")),
        store.execute(change("insert into sessionry_setting (name, value) values (null, null)")),
        new_session(store),
        return_exceptions=True,
    )
    assert isinstance(answers[1], ZeroDivisionError)
    assert isinstance(answers[2], StoreFailed)
    assert isinstance(answers[3], StoreFailed)
    assert await work.said() == ["before"]
    assert await store.execute(look("select * from sessionry_setting")) == []
    assert len(await log_of(store, str(answers[4]))) == 1


async def test_a_clock_that_breaks_fails_the_request_and_not_the_store(file: Path) -> None:
    broken = False

    def clock() -> int:
        if broken:
            raise RuntimeError("no battery")
        return 1_700_000_000_000_000

    store = await SqliteStore.open(str(file), clock=clock)
    work = await at_work(store)
    broken = True
    with pytest.raises(StoreFailed, match="no battery"):
        await work.say("lost")
    broken = False
    await work.say("kept")
    assert await work.said() == ["kept"]
    await store.close()


async def test_a_store_in_memory_is_its_own(file: Path) -> None:
    one, other = await SqliteStore.open(":memory:"), await SqliteStore.open(":memory:")
    session_id = await new_session(one)
    page = await one.execute(reading.events(SCOPE, session_id))
    assert len(page) == 1
    with pytest.raises(Exception, match="there is no session"):
        await other.execute(sessions.get(SCOPE, session_id))
    assert await one.change_token() == await one.change_token()
    await one.close()
    await other.close()
