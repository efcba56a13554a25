"""PostgreSQL fails in all the ways it can: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import StoreFailed
from sessionry.ports import Store
from sessionry.store import postgres
from sessionry.store.open import open_store
from sessionry.store.operations import approvals, sessions
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import LOCAL
from tests.conftest import POSTGRES
from tests.store.postgres_proxy import Proxy, proxied


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
async def network(postgres_url: str, folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    async with proxied(postgres_url, folder) as (proxy, url):
        yield proxy, url


@pytest.fixture
def proxy(network: tuple[Proxy, str]) -> Proxy:
    return network[0]


@pytest.fixture
async def store(network: tuple[Proxy, str]) -> AsyncIterator[Store]:
    opened = await open_store(network[1])
    yield opened
    await opened.close()


@pytest.fixture
async def scenario(store: Store) -> AsyncIterator[Scenario]:
    scenario = Scenario(store)
    yield scenario
    await scenario.check()


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_commit_that_is_lost_is_done_once(scenario: Scenario, proxy: Proxy, lost: str) -> None:
    session_id = await scenario.create()
    if lost == "request":
        proxy.lose = b"COMMIT"
    else:
        proxy.lose_answer_to = b"COMMIT"
    run_id = await scenario.submit(session_id)
    assert proxy.lost == 1
    assert await scenario.types(session_id) == ["session_created", "session_started", "run_queued"]
    assert await scenario.ready(session_id) == [run_id]


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_an_append_that_is_lost_is_done_once(scenario: Scenario, proxy: Proxy, lost: str) -> None:
    claims = [await scenario.work() for _ in range(3)]
    if lost == "request":
        proxy.lose = b"sessionry_append"
    else:
        proxy.lose_answer_to = b"sessionry_append"
    seqs = await asyncio.gather(*(scenario.append(claim, ev.MessageStreamed(text="once")) for claim in claims))
    assert proxy.lost == 1
    assert seqs == [[5], [5], [5]]


async def test_a_claim_whose_answer_was_lost_is_given(scenario: Scenario, proxy: Proxy) -> None:
    run_id = await scenario.submit(await scenario.create())
    proxy.lose_answer_to = b"COMMIT"
    claim = await scenario.claim(run_id)
    assert proxy.lost == 1
    await scenario.append(claim, ev.MessageStreamed(text="mine"))


async def test_listeners_hear_of_a_commit_whose_answer_was_lost(scenario: Scenario, proxy: Proxy) -> None:
    session_id = await scenario.create()
    heard: list[str] = []
    scenario.store.on_commit(lambda touched, wakes: heard.extend(touched))
    proxy.lose_answer_to = b"COMMIT"
    await scenario.submit(session_id)
    async with asyncio.timeout(60):
        while not heard:
            await asyncio.sleep(0)
    assert (proxy.lost, heard) == (1, [session_id])


async def test_a_read_whose_connection_is_lost_is_read_again(scenario: Scenario, proxy: Proxy) -> None:
    session_id = await scenario.create()
    proxy.lose = b"sessionry_event"
    assert await scenario.types(session_id) == ["session_created"]
    assert proxy.lost == 1


async def test_connections_that_break_all_the_time_are_not_noticed(scenario: Scenario, proxy: Proxy) -> None:
    written: list[str] = []
    scenario.store.on_commit(lambda touched, _: written.extend(touched))

    async def cut() -> None:
        while True:
            written.clear()
            await asyncio.sleep(random.uniform(0.1, 0.5))
            while not written:  # however slow everything is, something is done between two of them
                await asyncio.sleep(0.01)
            proxy.cut()

    cutting = asyncio.create_task(cut())
    await asyncio.gather(*(_work(scenario, number) for number in range(5)))
    cutting.cancel()
    await _everything_was_done_once(scenario)


@pytest.mark.slow
async def test_a_server_that_crashes_loses_nothing_that_was_answered(scenario: Scenario, postgres_url: str) -> None:
    """One backend is killed, so PostgreSQL ends all of them and recovers from its log."""
    if os.environ.get(POSTGRES):
        pytest.skip(f"the server of {POSTGRES} is not ours to crash")
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        await admin.execute(f'alter database "{admin.info.dbname}" set synchronous_commit = on'.encode())
        victim = admin.info.backend_pid
        store = await open_store(postgres_url)  # the setting is that of connections that are made from now on
        working = asyncio.gather(*(_work(Scenario(store, made=scenario.made), number) for number in range(10)))
        await asyncio.sleep(0.5)
        os.kill(victim, signal.SIGKILL)
        await working
        await store.close()
    await _everything_was_done_once(scenario)


async def _work(scenario: Scenario, number: int) -> None:
    session_id = await scenario.create()
    for turn in range(4):
        claim = await scenario.claim(await scenario.submit(session_id, turn), worker=f"wrk_{number}")
        for count in range(5):
            await scenario.append(claim, ev.CustomRecorded(name="n", value=count))
        approval = await scenario.ask(claim)
        await scenario.do(approvals.decide(LOCAL, approval.id, approved=True))
        await scenario.go_on(claim, approval)
        await scenario.finish(claim)


async def _everything_was_done_once(scenario: Scenario) -> None:
    for session_id in scenario.made:
        types = await scenario.types(session_id)
        assert (types.count("run_queued"), types.count("run_started"), types.count("run_completed")) == (4, 4, 4)
        assert (types.count("custom_recorded"), types.count("tool_approval_requested")) == (20, 4)


async def test_a_server_that_comes_back_in_time_is_waited_for(scenario: Scenario, proxy: Proxy) -> None:
    session_id = await scenario.create()
    proxy.refuse = True
    proxy.cut()
    waiting = asyncio.gather(scenario.submit(session_id), scenario.types(session_id))
    await asyncio.sleep(1.5)
    assert not waiting.done()
    proxy.refuse = False
    run_id, _ = await waiting
    assert await scenario.ready(session_id) == [run_id]


async def test_a_server_that_stays_away_is_unavailable(
    scenario: Scenario, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = await scenario.work()
    monkeypatch.setattr(postgres, "PATIENCE", 0.3)
    proxy.refuse = True
    proxy.cut()
    for attempt in (
        scenario.submit(claim.session_id),
        scenario.types(claim.session_id),
        scenario.append(claim, ev.MessageStreamed(text="a")),
        scenario.store.change_token(),
    ):
        with pytest.raises(StoreFailed) as caught:
            await attempt
        assert (caught.value.code, caught.value.retryable) == ("store_unavailable", True)
    proxy.refuse = False
    monkeypatch.undo()
    await scenario.submit(claim.session_id)


async def test_a_terminated_backend_is_replaced(scenario: Scenario, postgres_url: str) -> None:
    session_id = await scenario.create()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        for _ in range(5):
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            await scenario.submit(session_id)
    assert (await scenario.types(session_id)).count("run_queued") == 5


async def test_of_a_deadlock_the_store_is_not_the_victim_for_long(scenario: Scenario, postgres_url: str) -> None:
    parent = await scenario.create()
    child = await scenario.create(parent=parent)
    lock = "select from sessionry_session where id = %s for update"
    async with await psycopg.AsyncConnection.connect(postgres_url) as rival:
        await rival.execute("set deadlock_timeout = '10s'")  # so that it is the store whose transaction is ended
        await rival.execute(lock, (child,))
        ending = asyncio.create_task(scenario.end(parent, cascade=True))
        await _until_somebody_waits(postgres_url)
        await rival.execute(lock, (parent,))
        await rival.rollback()
    await ending
    assert (await scenario.session(child)).ended


async def test_a_session_that_is_locked_delays_nobody_else(scenario: Scenario, postgres_url: str) -> None:
    stuck, *others = [await scenario.work() for _ in range(5)]
    async with await psycopg.AsyncConnection.connect(postgres_url) as rival:
        await rival.execute("select from sessionry_session where id = %s for update", (stuck.session_id,))
        waiting = asyncio.create_task(scenario.append(stuck, ev.MessageStreamed(text="later")))
        async with asyncio.timeout(60):
            await asyncio.gather(*(scenario.append(claim, ev.MessageStreamed(text="now")) for claim in others))
        assert not waiting.done()
    await waiting


async def test_a_caller_that_is_cancelled_leaves_nothing_half_done(scenario: Scenario, postgres_url: str) -> None:
    session_id = await scenario.create()
    async with await psycopg.AsyncConnection.connect(postgres_url) as rival:
        await rival.execute("select from sessionry_session where id = %s for update", (session_id,))
        submitting = asyncio.create_task(scenario.submit(session_id))
        await _until_somebody_waits(postgres_url)
        submitting.cancel()
        await asyncio.wait([submitting])
    async with asyncio.timeout(60):
        while "run_queued" not in await scenario.types(session_id):  # it goes on, and nobody waits for it
            await asyncio.sleep(0.01)
    await scenario.do(sessions.update(LOCAL, session_id, {"title": "later"}))
    assert (await scenario.types(session_id))[1:] == ["session_started", "run_queued", "session_updated"]


async def test_closing_finishes_what_was_begun(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    scenario = Scenario(store)
    *claims, last = [await scenario.work() for _ in range(4)]
    begun = [asyncio.create_task(scenario.append(claim, ev.MessageStreamed(text="a"))) for claim in claims]
    begun.append(asyncio.create_task(scenario.append(last, ev.TurnCompleted())))
    await asyncio.sleep(0)
    await store.close()
    await asyncio.wait(begun)
    assert [task.result() for task in begun] == [[5]] * 4
    for attempt in (scenario.create(), store.change_token(), scenario.append(claims[0], ev.MessageStreamed(text="b"))):
        with pytest.raises(StoreFailed, match="closed"):
            await attempt
    await store.close()


async def _until_somebody_waits(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin, asyncio.timeout(60):
        while not await (
            await admin.execute(
                "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            )
        ).fetchall():
            await asyncio.sleep(0.005)
