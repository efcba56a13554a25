"""Damaged files, and paths that name none: a clear error with a remedy, and what is whole can still be read."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.events import RunCancelRequested
from sessionry.domain.queries import RunFilter, SessionFilter
from sessionry.ports import Operation
from sessionry.store.operations import approvals, listing, reading, runs, sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, at_work, log_of, new_session, open_files


async def filled(file: Path, events: int = 300) -> str:
    """A closed store with one session of so many messages."""
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    for _ in range(events // 50):
        await work.say(*["x" * 2000] * 50)
    await work.finish()
    await store.close()
    return work.session_id


async def failure_of_opening(path: Path) -> StoreFailed:
    before = open_files()
    with pytest.raises(StoreFailed) as caught:
        await SqliteStore.open(str(path))
    assert open_files() == before
    assert str(path) in caught.value.message
    return caught.value


def alter(file: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


# --- the file ---------------------------------------------------------------------------------------------------------


async def test_damaged_pages_are_reported_and_the_rest_is_read(file: Path) -> None:
    session_id = await filled(file)
    size = file.stat().st_size
    with file.open("r+b") as damaged:
        damaged.seek(size // 2)
        damaged.write(os.urandom(40_000))
    store = await SqliteStore.open(str(file))
    with pytest.raises(StoreFailed) as caught:
        await log_of(store, session_id)
    assert caught.value.code == "store_corrupt"
    assert "sessionry doctor" in caught.value.message
    assert (await store.execute(sessions.get(SCOPE, session_id))).id == session_id
    page = await store.execute(reading.events(SCOPE, session_id, limit=10))
    assert len(page) == 10
    await store.close()


async def test_a_damaged_page_fails_the_request_that_meets_it_and_no_other(file: Path) -> None:
    session_id = await filled(file)
    with closing(sqlite3.connect(file)) as connection:
        roots = connection.execute(
            "select rootpage from sqlite_master where tbl_name = 'sessionry_approval'"
        ).fetchall()
    with file.open("r+b") as damaged:
        for (root,) in roots:
            damaged.seek((root - 1) * 4096)
            damaged.write(os.urandom(4096))
    store = await SqliteStore.open(str(file))
    with pytest.raises(StoreFailed) as caught:
        await store.execute(listing.counts(SCOPE))
    assert caught.value.code == "store_corrupt"
    await new_session(store)
    assert len(await log_of(store, session_id)) > 300
    await store.close()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
async def test_a_truncated_file_is_corrupt(file: Path, share: float) -> None:
    await filled(file)
    os.truncate(file, int(file.stat().st_size * share))
    error = await failure_of_opening(file)
    assert error.code == "store_corrupt"
    assert "restore a back-up" in error.message


async def test_a_file_that_is_no_database_is_left_alone(file: Path) -> None:
    file.write_text("Dear diary, " * 1000)
    error = await failure_of_opening(file)
    assert error.code == "store_corrupt"
    assert "check the store's URL" in error.message
    assert file.read_text() == "Dear diary, " * 1000


async def test_an_empty_file_becomes_a_store(file: Path) -> None:
    file.touch()
    store = await SqliteStore.open(str(file))
    await new_session(store)
    await store.close()


async def test_an_emptied_file_does_not_take_its_log_with_it(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    await new_session(store)
    log = Path(f"{file}-wal").read_bytes()
    await store.close()
    os.truncate(file, 0)
    Path(f"{file}-wal").write_bytes(log)
    error = await failure_of_opening(file)
    assert error.code == "store_corrupt"
    assert "restore a back-up" in error.message
    assert Path(f"{file}-wal").read_bytes() == log


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    error = await failure_of_opening(tmp_path)
    assert (error.code, "it is a folder" in error.message) == ("store_failed", True)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    error = await failure_of_opening(tmp_path / "a file" / "sessions.db")
    assert error.code == "store_failed"
    assert "check the store's URL" in error.message


async def test_a_file_that_is_moved_away_while_it_is_open_is_not_written_any_more(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    await work.say("before")
    file.rename(file.with_name("elsewhere.db"))
    with pytest.raises(StoreFailed, match="moved, deleted or replaced"):
        await work.say("into nowhere")
    file.with_name("elsewhere.db").rename(file)
    await work.say("after")
    assert await work.said() == ["before", "after"]
    await store.close()


async def test_a_path_stays_the_same_file_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    store = await SqliteStore.open("sessions.db")
    monkeypatch.chdir(tmp_path / "there")
    session_id = await new_session(store)
    assert (await store.execute(sessions.get(SCOPE, session_id))).id == session_id
    await store.close()
    assert not list((tmp_path / "there").iterdir())


# --- a row ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "data = '{\"text\": '",
        "data = '[]'",
        "data = cast(x'ff00fe' as text)",
        "at = 9000000000000000000",
        "id = 'not even bytes'",
    ],
)
async def test_a_damaged_event_fails_alone_and_is_named(file: Path, change: str) -> None:
    store = await SqliteStore.open(str(file))
    work = await at_work(store)
    seqs = await work.say("before", "damaged", "after")
    alter(file, f"update sessionry_event set {change} where seq = ?", seqs[1])

    with pytest.raises(StoreFailed) as caught:
        await log_of(store, work.session_id)
    assert caught.value.code == "store_corrupt"
    if "cast" not in change:  # for text that is no UTF-8 nothing is known but the file
        assert caught.value.details == {"session_id": work.session_id, "seq": seqs[1], "position": seqs[1]}
        assert f"event {seqs[1]} of session {work.session_id}" in caught.value.message

    before = await store.execute(reading.events(SCOPE, work.session_id, before=seqs[1]))
    after = await store.execute(reading.events(SCOPE, work.session_id, after=seqs[1]))
    assert [event.seq for event in [*before, *after]] == [*range(1, seqs[1]), seqs[2]]
    await work.say("and on")
    await store.close()


@pytest.mark.parametrize("change", ["metadata = '{'", "status = 'asleep'", "slots = 'many'", "created_at = 1e300"])
async def test_a_damaged_session_fails_alone_and_is_named(file: Path, change: str) -> None:
    store = await SqliteStore.open(str(file))
    damaged, whole = await new_session(store), await new_session(store)
    alter(file, f"update sessionry_session set {change} where id = ?", damaged)
    looking: list[Operation[Any]] = [sessions.get(SCOPE, damaged), listing.list_sessions(SCOPE, SessionFilter())]
    for operation in looking:
        with pytest.raises(StoreFailed) as caught:
            await store.execute(operation)
        assert (caught.value.code, caught.value.details) == ("store_corrupt", {"session_id": damaged})
        assert "sessionry doctor" in caught.value.message
    assert (await store.execute(sessions.get(SCOPE, whole))).id == whole
    await store.close()


@pytest.mark.parametrize("change", ["options = '{'", "status = 'asleep'", "cost = 'cheap'", "usage = '7'"])
async def test_a_damaged_run_fails_alone_and_is_named(file: Path, change: str) -> None:
    store = await SqliteStore.open(str(file))
    damaged, whole = await at_work(store), await at_work(store)
    await damaged.finish()
    alter(file, f"update sessionry_run set {change} where id = ?", damaged.run_id)
    with pytest.raises(StoreFailed) as caught:
        await store.execute(runs.get(SCOPE, damaged.run_id))
    assert (caught.value.code, caught.value.details) == ("store_corrupt", {"run_id": damaged.run_id})
    assert (await store.execute(runs.get(SCOPE, whole.run_id))).id == whole.run_id
    await store.close()


@pytest.mark.parametrize(
    "operation",
    [
        sessions.get(SCOPE, "ses_\ud800"),
        approvals.list_approvals(SCOPE, status=[], limit=2**64),
        sessions.update(SCOPE, "ses_\ud800", {}),
    ],
    ids=["a lone surrogate", "more than 64 bits", "a lone surrogate to write"],
)
async def test_a_value_that_no_column_can_hold_is_the_callers_fault(store: SqliteStore, operation: Any) -> None:
    with pytest.raises(SessionryError) as caught:
        await store.execute(operation)
    assert caught.value.code == "validation_error"


@pytest.mark.parametrize("column", ["options", "usage", "agent"])
async def test_a_run_of_a_later_version_is_shown_as_far_as_it_is_known_and_not_changed(file: Path, column: str) -> None:
    store = await SqliteStore.open(str(file))
    later, whole = await at_work(store), await at_work(store)
    change = f"{column} = json_set({column}, '$.invented_later', json('{{\"a\": 1}}'))"
    alter(file, f"update sessionry_run set {change} where id = ?", later.run_id)
    page = await store.execute(listing.list_runs(SCOPE, RunFilter()))
    assert {run.id for run in page.items} == {later.run_id, whole.run_id}
    shown = await store.execute(runs.get(SCOPE, later.run_id))
    assert (shown.status, shown.session_id) == ("running", later.session_id)
    with pytest.raises(StoreFailed, match="invented_later"):
        await store.execute(runs.cancel(SCOPE, later.run_id, RunCancelRequested()))
    await store.close()
