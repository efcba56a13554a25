"""A full disk: every request fails alike, nothing that was acknowledged is lost, and the store goes on afterwards."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sessionry.domain.errors import StoreFailed
from sessionry.store.operations import sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, AtWork, at_work, log_of, new_session

Disk = Callable[[str], Path]


async def fill(works: list[AtWork], size: int = 20_000) -> tuple[dict[str, list[str]], list[BaseException]]:
    """Append until something fails: what was acknowledged for each run, and the failures of the round."""
    acknowledged: dict[str, list[str]] = {work.run_id: [] for work in works}
    for number in range(10_000):
        texts = [f"{number} {work.run_id} ".ljust(size, "x") for work in works]
        saying = [work.say(text) for work, text in zip(works, texts, strict=True)]
        answers = await asyncio.gather(*saying, return_exceptions=True)
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        for work, text, answer in zip(works, texts, answers, strict=True):
            if not isinstance(answer, BaseException):
                acknowledged[work.run_id].append(text)
        if failures:
            return acknowledged, failures
    raise AssertionError("the disk was never full")


def assert_store_is_full(failures: list[BaseException]) -> None:
    for failure in failures:
        assert isinstance(failure, StoreFailed)
        assert (failure.code, failure.retryable) == ("store_full", True)
        assert "free some space" in failure.message


def integrity(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("pragma integrity_check").fetchone()[0])


@pytest.mark.parametrize("size", ["3m", "12m"], ids=["in the log", "at a checkpoint"])
async def test_what_was_acknowledged_survives_and_the_store_goes_on_when_there_is_space(disk: Disk, size: str) -> None:
    folder = disk(size)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(int(size[:-1]) * 1_000_000 // 3))
    store = await SqliteStore.open(str(folder / "sessions.db"))
    works = [await at_work(store) for _ in range(5)]

    acknowledged, failures = await fill(works)
    assert_store_is_full(failures)
    for work in works:
        assert await work.said() == acknowledged[work.run_id]

    ballast.unlink()
    for work in works:
        await work.say("and on")
        assert await work.said() == [*acknowledged[work.run_id], "and on"]
    await store.close()
    assert integrity(folder / "sessions.db") == "ok"


async def test_the_same_request_again_is_appended_once_when_there_is_space(disk: Disk) -> None:
    folder = disk("3m")
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = await SqliteStore.open(str(folder / "sessions.db"))
    work = await at_work(store)
    acknowledged, _ = await fill([work])

    ballast.unlink()
    again = work.saying("again")
    seqs = await work.append(again)
    assert await store.append(again) == seqs
    assert await work.said() == [*acknowledged[work.run_id], "again"]
    assert [event.seq for event in await log_of(store, work.session_id)] == list(range(1, seqs[-1] + 1))
    await store.close()


async def test_a_store_that_is_closed_while_the_disk_is_full_is_whole_when_it_is_opened_again(disk: Disk) -> None:
    folder = disk("8m")
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(2_500_000))
    store = await SqliteStore.open(str(folder / "sessions.db"))
    work = await at_work(store)
    acknowledged, _ = await fill([work])
    await store.close()

    store = await SqliteStore.open(str(folder / "sessions.db"))
    work.store = store
    assert await work.said() == acknowledged[work.run_id]
    await store.close()


async def test_a_store_cannot_be_made_on_a_full_disk(disk: Disk) -> None:
    folder = disk("1m")
    with pytest.raises(OSError, match="No space left"):
        (folder / "ballast").write_bytes(bytes(2_000_000))
    with pytest.raises(StoreFailed, match="free some space") as caught:
        await SqliteStore.open(str(folder / "sessions.db"))
    assert caught.value.code == "store_full"


async def test_every_request_of_a_commit_that_does_not_fit_fails_alike(store: SqliteStore, file: Path) -> None:
    work, other = await at_work(store), await at_work(store)
    pages = store._writer.connection.query("pragma page_count")[0][0]
    store._writer.connection.query(f"pragma max_page_count = {pages + 5}")
    with closing(sqlite3.connect(file, isolation_level=None)) as in_the_way:
        in_the_way.execute("begin immediate")  # so that what is asked meanwhile shares a commit
        asked = [
            asyncio.create_task(work.say("small")),
            asyncio.create_task(other.say("x" * 100_000)),
            asyncio.create_task(new_session(store, title="a small one")),
        ]
        await asyncio.sleep(0)
        in_the_way.execute("rollback")
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert_store_is_full([answer for answer in answers if isinstance(answer, BaseException)])
    assert isinstance(answers[1], StoreFailed)

    store._writer.connection.query("pragma max_page_count = 1000000")
    for worker, text in ((work, "small"), (other, "x" * 100_000)):
        if text not in await worker.said():
            await worker.say(text)
        assert await worker.said() == [text]


async def test_a_limit_that_is_no_full_disk_is_reported_and_the_store_goes_on_without_it(store: SqliteStore) -> None:
    work = await at_work(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        acknowledged, failures = await fill([work])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(failures[0], StoreFailed)
    assert failures[0].code == "store_failed"
    assert "check it, its quota and its limits" in failures[0].message
    await work.say("and on")
    assert await work.said() == [*acknowledged[work.run_id], "and on"]


async def test_an_operation_that_does_not_fit_leaves_nothing_behind(store: SqliteStore) -> None:
    session_id = await new_session(store)
    pages = store._writer.connection.query("pragma page_count")[0][0]
    store._writer.connection.query(f"pragma max_page_count = {pages}")
    with pytest.raises(StoreFailed) as caught:
        await store.execute(sessions.update(SCOPE, session_id, {"metadata": {"big": "x" * 500_000}}))
    assert caught.value.code == "store_full"
    assert [event.type for event in await log_of(store, session_id)] == ["session_created"]
    assert (await store.execute(sessions.get(SCOPE, session_id))).metadata == {}
