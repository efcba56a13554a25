"""A store moves into another one: everything comes along, numbers and all, and what does not is noticed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import Conflict, SessionryError
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.domain.token import Permission, secret_hash
from sessionry.ports import Appending, Store, Wanted
from sessionry.runtime.sweeper import Sweeper
from sessionry.store import migrations
from sessionry.store.blobs import FileBlobs
from sessionry.store.freezing import frozen
from sessionry.store.integrity import check
from sessionry.store.moving import Moved, Mover, Progress, copy_blobs
from sessionry.store.open import open_store
from sessionry.store.operations import leases, moving, pruning, reading, sessions, tokens
from sessionry.testing.store_contract.scenario import Scenario
from tests.store.sample import account, fill
from tests.store.work import SCOPE, at_work, log_of, new_session

ECHO = Wanted(agents=["echo"])
TENANTS = (Scope("acme"), Scope("globex"), Scope("initech", "ann"))


@asynccontextmanager
async def opened(*urls: str) -> AsyncIterator[list[Store]]:
    stores = [await open_store(url) for url in urls]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


async def let_go(store: Store) -> None:
    """The workers of the sample leave, and what they worked on is put back."""
    for worker, _ in await store.execute(leases.workers()):
        await store.execute(leases.leave(worker.id))
    await Sweeper(store, 1000, 1000).open()


async def furnish(store: Store) -> None:
    """A bit of everything, for several tenants, with gaps where things were removed."""
    await fill(store)
    await let_go(store)
    for scope in TENANTS:
        parent = await store.execute(sessions.create(scope, Session.new(agent_id="echo", tags=["a", "Ä"])))
        await store.execute(
            sessions.create(scope, Session.new(agent_id="echo"), parent=parent.session_id, idempotency_key="fork")
        )
        secret = secret_hash(f"sry_{scope.tenant}")
        await store.execute(tokens.create(scope, "ci", [Permission.READ], secret))
    streamed = await at_work(store)
    said = [ev.MessageStreamed(text=piece) for piece in "whole"] + [ev.MessageReceived(text="whole")]
    await streamed.append(Appending(streamed.run_id, streamed.fence, streamed.after, said))
    await streamed.finish()
    assert await store.execute(pruning.prune(streamed.run_id)) == 5
    gone = await new_session(store)
    await store.execute(sessions.delete(SCOPE, gone))
    await store.execute(sessions.purge(SCOPE, gone))


async def move(source: Store, target: Store, told: list[Progress] | None = None) -> Moved:
    mover = Mover(source, target, (told if told is not None else []).append)
    state = await mover.copy(await mover.begin())
    moved = Moved(rows=state.source, differences=await mover.compare(state), problems=await mover.check())
    await mover.finish(state)
    return moved


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


@pytest.fixture(params=["to PostgreSQL", "from PostgreSQL", "to SQLite"])
def urls(request: pytest.FixtureRequest, file: Path) -> tuple[str, str]:
    if request.param == "to SQLite":
        return f"sqlite:///{file}", f"sqlite:///{file.with_name('target.db')}"
    other: str = request.getfixturevalue("postgres_url")
    return (f"sqlite:///{file}", other) if request.param == "to PostgreSQL" else (other, f"sqlite:///{file}")


async def everything(store: Store) -> dict[str, Any]:
    """What the store says of every tenant."""
    await Scenario(store).settled()
    said = await account(store)
    said["all"] = [event.to_dict() for event in await store.execute(reading.all_events(SCOPE, limit=1000))]
    for scope in TENANTS:
        events = await store.execute(reading.all_events(scope, limit=1000))
        said[scope.tenant] = [event.to_dict() for event in events]
        said[f"{scope.tenant}'s tokens"] = [token.id for token in await store.execute(tokens.of_scope(scope))]
    return said


async def test_everything_comes_along(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await furnish(source)
        told: list[Progress] = []
        moved = await move(source, target, told)
        assert moved.good, moved
        assert await everything(target) == await everything(source)
        assert await source.execute(moving.slots()) == await target.execute(moving.slots()) == 100
        assert {(progress.step, progress.what) for progress in told if progress.complete} >= {
            ("copy", "events"),
            ("compare", "events"),
            ("check", "sessions"),
        }


async def test_numbers_go_on_where_they_were(urls: tuple[str, str]) -> None:
    """Also those of what was the newest and is gone: whoever remembers its position sees all that comes after."""
    async with opened(*urls) as (source, target):
        await furnish(source)
        gone = await new_session(source)
        await source.execute(sessions.delete(SCOPE, gone))
        newest = (await log_of(source, gone))[-1].position
        await source.execute(sessions.purge(SCOPE, gone))
        highest = await source.execute(moving.highest(sqlite=source.url.startswith("sqlite")))
        await move(source, target)
        session = await new_session(target)
        (created,) = await log_of(target, session)
        assert created.position > newest
        await Scenario(target).settled()
        assert [event.session_id for event in await target.execute(reading.all_events(SCOPE, after=newest))] == [
            session
        ]
        after = await target.execute(moving.highest(sqlite=target.url.startswith("sqlite")))
        assert after["sessionry_session"] == highest["sessionry_session"] + 1


async def test_an_idempotent_request_is_known_after_the_move(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        session = Session.new(agent_id="echo")
        first = await source.execute(sessions.create(SCOPE, session, idempotency_key="once"))
        await move(source, target)
        again = await target.execute(sessions.create(SCOPE, session, idempotency_key="once"))
        assert (again.session_id, again.events) == (first.session_id, first.events)


async def test_no_run_begins_in_the_target_before_all_is_there(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await furnish(source)
        mover = Mover(source, target, lambda _: None)
        state = await mover.copy(await mover.begin())
        assert await target.execute(leases.ready(Wanted(agents=["echo"]), 10)) != []
        assert await target.execute(leases.claimable(Wanted(agents=["echo"]), 10)) == []
        await mover.finish(state)
        assert await target.execute(leases.claimable(Wanted(agents=["echo"]), 10)) != []


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_a_target_with_content_is_refused(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await new_session(source)
        await new_session(target)
        before = await everything(target)
        with pytest.raises(Conflict, match="there is something in the target already: sessions, events"):
            await Mover(source, target, lambda _: None).begin()
        assert await everything(target) == before


async def test_a_store_is_not_moved_twice_into_the_same_target(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await move(source, target)
        with pytest.raises(Conflict, match="what was moved here before"):
            await move(source, target)


async def test_a_source_that_is_worked_on_is_refused(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await fill(source)
        with pytest.raises(Conflict, match=r"worked on by wrk_sample on h \(pid 1\); end that process"):
            await Mover(source, target, lambda _: None).begin()
        await let_go(source)
        assert (await move(source, target)).good


async def test_a_store_is_not_moved_into_itself(urls: tuple[str, str]) -> None:
    async with opened(urls[0], urls[0]) as (source, target):
        with pytest.raises(Conflict, match="the same store"):
            await Mover(source, target, lambda _: None).apart()
        assert await source.execute(moving.mark()) is None
    async with opened(*urls) as (source, target):
        await Mover(source, target, lambda _: None).apart()


async def test_a_source_that_changed_since_is_refused_until_the_move_begins_again(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await furnish(source)
        mover = Mover(source, target, lambda _: None)
        await mover.copy(await mover.begin())
        await new_session(source)
        with pytest.raises(Conflict, match="the source is not what it was"):
            await mover.begin()
        state = await mover.copy(await mover.begin(anew=True))
        assert await mover.compare(state) == ()
        await mover.finish(state)
        with pytest.raises(Conflict, match="nothing is being moved"):
            await mover.begin(anew=True)
        assert await everything(target) == await everything(source)


async def test_of_two_who_move_into_one_target_one_is_sent_away(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await furnish(source)
        one, other = Mover(source, target, lambda _: None), Mover(source, target, lambda _: None)
        state = await one.begin()
        assert await other.begin() == state
        state = await other.copy(state)
        with pytest.raises(Conflict, match="somebody else is moving into the same target"):
            await one.copy(moving.Moving(source=state.source, slots=state.slots))
        assert await one.compare(state) == ()


# --- what is noticed --------------------------------------------------------------------------------------------------

TAMPERING = {
    "update sessionry_event set data = replace(data, 'you said', 'he said') where type = 'message_received'": "events",
    "update sessionry_event set fence = fence + 1 where type = 'run_completed'": "events",
    "delete from sessionry_event where type = 'turn_completed'": "events",
    "update sessionry_run set cost = '1.5' where cost is not null": "runs",
    "update sessionry_session set owner = 'eve' where owner = 'ann' and tenant = 'initech'": "sessions",
    "delete from sessionry_tag where tag = 'Ä'": "tags",
    "update sessionry_approval set note = 'sure' where note = 'ok'": "approvals",
    "update sessionry_token set revoked_at = 1": "tokens",
    "delete from sessionry_idempotency where key = 'fork'": "idempotency keys",
}


async def test_a_row_that_is_not_the_same_is_found(file: Path) -> None:
    good, bad = file.with_name("target.db"), file.with_name("tampered.db")
    async with opened(f"sqlite:///{file}") as (source,):
        await furnish(source)
        async with opened(f"sqlite:///{good}") as (target,):
            mover = Mover(source, target, lambda _: None)
            state = await mover.copy(await mover.begin())
        for statement, noun in TAMPERING.items():
            shutil.copy(good, bad)
            with closing(sqlite3.connect(bad)) as connection:
                assert connection.execute(statement).rowcount > 0
                connection.commit()
            async with opened(f"sqlite:///{bad}") as (target,):
                mover = Mover(source, target, lambda _: None)
                differences = await mover.compare(await mover.begin())
            assert {difference.what for difference in differences} == {noun}, statement
            of_session = noun not in ("tokens", "idempotency keys")
            assert all((difference.session_id is not None) == of_session for difference in differences)
    assert state.table == len(moving.TABLES)


async def test_a_row_that_is_not_the_same_is_found_in_postgresql(file: Path, postgres_url: str) -> None:
    async with opened(f"sqlite:///{file}", postgres_url) as (source, target):
        await furnish(source)
        mover = Mover(source, target, lambda _: None)
        state = await mover.copy(await mover.begin())
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("delete from sessionry_event where type = 'turn_completed'")
        (difference,) = await mover.compare(state)
        assert str(difference).startswith(f"events of session {difference.session_id}: ")
        assert difference.in_target == difference.in_source - 1
        assert "missing_events" in {problem.kind for problem in await mover.check()}


async def test_a_session_that_only_the_target_has_is_found(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await furnish(source)
        mover = Mover(source, target, lambda _: None)
        state = await mover.copy(await mover.begin())
        foreign = await new_session(target)
        differences = await mover.compare(state)
        assert [(each.what, each.session_id, each.in_source, each.in_target) for each in differences] == [
            ("sessions", foreign, 0, 1),
            ("events", foreign, 0, 1),
        ]


# --- pages, blobs, freezing, the schema -------------------------------------------------------------------------------


async def test_a_page_holds_no_more_than_fits_into_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "PAGE_CHARACTERS", 10_000)
    async with opened(f"sqlite:///{file}") as (store,):
        work = await at_work(store)
        for size in (10, 8_000, 20_000, 10):
            await work.say("x" * size)
        (table,) = [table for table in moving.TABLES if table.noun == "events"]
        lengths, after = [], [0]
        while page := await store.execute(moving.page(table, ["position", "data"], ("position",), after)):
            lengths.append([len(row[1]) > 5_000 for row in page])
            after = [page[-1][0]]
        assert lengths == [[False] * 5 + [True], [True], [False]]


async def test_blobs_come_along_and_damaged_ones_do_not(tmp_path: Path) -> None:
    source, target = FileBlobs(tmp_path / "source"), FileBlobs(tmp_path / "target")
    refs = [await source.put(content) for content in (b"", b"small", b"x" * 300_000)]
    told: list[Progress] = []
    assert await copy_blobs(source, target, told.append) == []
    assert sorted(refs, key=lambda ref: ref.hash) == [ref async for ref in target.all()]
    assert told[-1].complete
    assert await copy_blobs(source, source, told.append) == []
    damaged = await source.put(b"good")
    (source.directory / damaged.hash[:2] / damaged.hash[2:]).write_bytes(b"evil")
    assert await copy_blobs(source, target, told.append) == [damaged.hash]
    assert await target.size(damaged.hash) is None


async def test_nobody_writes_to_a_frozen_store(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessionry.store.sqlite_connection.BUSY_TIMEOUT", 0.2)
    monkeypatch.setattr("sessionry.store.postgres.PATIENCE", 0.2)
    async with opened(urls[0]) as (store,):
        session = await new_session(store)
        async with frozen(urls[0]):
            if urls[0].startswith("sqlite"):
                with pytest.raises(SessionryError, match="busy"):
                    await store.execute(sessions.update(SCOPE, session, {"title": "new"}))
            else:
                with psycopg.connect(urls[0], autocommit=True) as other:
                    other.execute("set lock_timeout = 100")
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        other.execute("update sessionry_session set title = 'new'")
            assert len(await log_of(store, session)) == 1
        await store.execute(sessions.update(SCOPE, session, {"title": "new"}))
        assert len(await log_of(store, session)) == 2


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_table_is_moved_or_left_for_a_reason(dialect: str) -> None:
    left = {
        "sessionry_worker": "workers register themselves",
        "sessionry_leader": "who leads is whose process lives",
    }
    made = {
        line.split()[2]
        for _, sql in migrations.migrations(dialect).values()
        for line in sql.splitlines()
        if line.startswith("create table")
    }
    assert made - {*left} == {table.name for table in moving.TABLES}


async def test_a_moved_store_is_a_sound_one(urls: tuple[str, str]) -> None:
    async with opened(*urls) as (source, target):
        await furnish(source)
        await move(source, target)
        work = await at_work(target)
        await work.say("after the move")
        await work.finish()
        assert {problem.kind for problem in await check(target)} == set()
