"""Work for many workers on PostgreSQL: each head is delivered until it is begun, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from tests.runtime.test_recovery import Program, check_log
from tests.store.jobs import ask, assert_heads_have_jobs, jobs_of

import sessionry
from sessionry import AgentContext, RunHandle, Sessions
from sessionry.dispatch.procrastinate import ProcrastinateDispatch
from sessionry.ports import Delivery, Taken, Wake, Wanted
from sessionry.settings import load_settings
from sessionry.store import jobs
from sessionry.store.open import open_store
from sessionry.store.postgres import CONNECTIONS, PostgresStore, connecting
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import AGENT

#: A worker with a short lease, though not so short that a busy machine loses it, and an eager sweeper.
BRISK = msgspec.structs.replace(load_settings(), lease=5.0, heartbeat=0.5, sweep=0.2)

#: Ends all connections of others to the database.
OTHERS = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
)


async def echo(context: AgentContext, message: str) -> str:
    return f"you said {message}"


class Gate:
    """An agent that waits until it is let through."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, context: AgentContext, message: str) -> str:
        await self.open.wait()
        return f"attempt {context.run.attempt}"


async def until(condition: Any, seconds: float = 60.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (answer := condition()):
            await asyncio.sleep(0.01)
    return answer


async def is_running(run: RunHandle) -> None:
    async with asyncio.timeout(60):
        while (await run.get()).status != "running":
            await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(url: str, count: int = 1, **given: Any) -> AsyncIterator[list[Sessions]]:
    """So many workers, each as in a process of its own."""
    options: dict[str, Any] = {"agents": {"echo": echo}, "settings": BRISK, "grace": 0, **given}
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(sessionry.open(url, **options)) for _ in range(count)]
        for sessions in opened:
            async with asyncio.timeout(60):
                await dispatch_of(sessions).listens.wait()
        yield opened


def dispatch_of(sessions: Sessions) -> ProcrastinateDispatch:
    assert sessions.worker is not None
    dispatch = sessions.worker._dispatch
    assert isinstance(dispatch, ProcrastinateDispatch)
    return dispatch


async def submitted(url: str, agent: str = "echo", count: int = 1, **options: Any) -> list[str]:
    """Runs of as many sessions, by a process that does no work."""
    async with sessionry.open(url, worker=False, agents={"echo": echo}) as sessions:
        made = [await sessions.create(agent) for _ in range(count)]
        return [(await session.run("x", **options)).id for session in made]


# --- many workers -------------------------------------------------------------------------------------------------------


async def test_many_workers_share_the_work_and_do_nothing_twice(postgres_url: str) -> None:
    async with at_work(postgres_url, 3, slots=2) as workers:
        made = [await workers[0].create("echo") for _ in range(10)]
        runs = [await session.run(f"{number}") for number in range(4) for session in made]
        texts = Counter([(await run.result(timeout=60)).text for run in runs])
        assert texts == {f"you said {number}": 10 for number in range(4)}
        for session in made:
            types = [event.type async for event in session.events()]
            assert (types.count("run_started"), types.count("run_completed"), types.count("run_requeued")) == (4, 4, 0)
            await check_log(workers[0], session.id)
        await until(lambda: ask(postgres_url, "select count(*) from procrastinate_jobs") == [(0,)])
    assert ask(postgres_url, "select count(*) from procrastinate_workers") == [(0,)]
    assert ask(postgres_url, "select count(*) from procrastinate_events") == [(0,)]


async def test_a_run_goes_to_the_worker_that_has_its_agent_and_serves_its_queue(postgres_url: str) -> None:
    agents = {"echo": echo, "other": echo}
    async with (
        at_work(postgres_url, agents=agents, queues=["gpu"]) as (graphics,),
        at_work(postgres_url, agents=agents, work_with=["other"]) as (other,),
    ):
        session = await graphics.create("echo", slots=9)
        wanted = [await session.run("x", queue="gpu"), await session.run("x", agent="other")]
        nobody = await session.run("x")
        done = [await run.result(timeout=60) for run in wanted]
        assert [result.status for result in done] == ["completed"] * 2
        started = [event.data async for event in session.events(types="run_started")]
        ids = [sessions.worker.id for sessions in (graphics, other) if sessions.worker]
        assert sorted(data.worker_id for data in started) == sorted(ids)  # type: ignore[attr-defined]
        assert jobs_of(postgres_url) == [nobody.id]


async def test_an_agent_that_comes_later_is_worked_with(postgres_url: str) -> None:
    (run_id,) = await _foreign(postgres_url)
    async with at_work(postgres_url) as (sessions,):
        sessions.catalog.add("late", echo)
        assert (await sessions.run(run_id).result(timeout=60)).text == "you said x"


async def _foreign(url: str) -> list[str]:
    async with sessionry.open(url, worker=False, agents={"late": echo}) as sessions:
        return [(await (await sessions.create("late")).run("x")).id]


async def test_a_run_that_is_submitted_elsewhere_begins_at_once(postgres_url: str) -> None:
    """It is heard of by a notification: the look that comes anyway would take longer than this test waits."""
    async with at_work(postgres_url) as (sessions,):
        dispatch_of(sessions)._poll = 3600.0
        await asyncio.sleep(1.2)  # the wait that had begun before
        (run_id,) = await submitted(postgres_url)
        assert (await sessions.run(run_id).result(timeout=60)).text == "you said x"


async def test_no_more_is_fetched_than_the_store_has_room_for(postgres_url: str) -> None:
    gate = Gate()
    async with at_work(postgres_url, agents={"gate": gate}, slots=8) as (sessions,):
        await sessions.limit_slots(2)
        runs = [await (await sessions.create("gate")).run("x") for _ in range(5)]
        await is_running(runs[0])
        await is_running(runs[1])
        assert jobs_of(postgres_url) == [run.id for run in runs[2:]]
        gate.open.set()
        assert [(await run.result(timeout=60)).text for run in runs] == ["attempt 1"] * 5


async def test_whoever_drains_fetches_nothing_more(postgres_url: str) -> None:
    gate = Gate()
    async with at_work(postgres_url, agents={"gate": gate}) as (sessions,):
        first = await (await sessions.create("gate")).run("x")
        await is_running(first)
        draining = asyncio.create_task(sessions.drain())
        second = await (await sessions.create("gate")).run("x")
        gate.open.set()
        assert await draining
        assert ((await first.get()).status, (await second.get()).status) == ("completed", "pending")
        assert_heads_have_jobs(postgres_url)


async def test_a_worker_of_one_session_leaves_no_job_behind(postgres_url: str) -> None:
    agents = {"echo": echo}
    async with sessionry.open(postgres_url, agents=agents, only=frozenset(), settings=BRISK) as sessions:
        assert sessions.worker is not None
        session = await sessions.create("echo")
        run = await session.run("x")
        assert jobs_of(postgres_url) == [run.id]
        sessions.worker.admit(session.id)
        assert (await run.result(timeout=60)).text == "you said x"
        assert jobs_of(postgres_url) == []


async def test_a_worker_needs_few_connections(postgres_url: str) -> None:
    """Those of its store, one that hears of events, and one that hears of jobs."""
    run_ids = await submitted(postgres_url, count=20)
    with psycopg.connect(postgres_url, autocommit=True) as looking:  # one that was closed is there for another moment

        def connected() -> set[int]:
            return {row[0] for row in looking.execute(OTHERS.replace("pg_terminate_backend(pid)", "pid").encode())}

        used, earlier, before = 0, connected(), set[int]()
        async with at_work(postgres_url) as (sessions,):
            done = asyncio.gather(*(sessions.run(run_id).result(timeout=60) for run_id in run_ids))
            while not done.done():
                await asyncio.sleep(0.01)
                now = connected() - earlier
                used, before = max(used, len(now & before)), now
            assert {result.text for result in await done} == {"you said x"}
            print(f"{used} connections at most")
            assert 0 < used <= CONNECTIONS + 2


# --- what is lost on the way --------------------------------------------------------------------------------------------


async def test_a_wake_that_was_lost_is_found_by_the_sweeper(postgres_url: str) -> None:
    run_ids = await submitted(postgres_url, count=3)
    ask(postgres_url, "delete from procrastinate_jobs")
    async with at_work(postgres_url) as (sessions,):
        assert [(await sessions.run(run_id).result(timeout=60)).status for run_id in run_ids] == ["completed"] * 3
    async with sessionry.open(postgres_url, worker=False) as sessions:
        await submitted(postgres_url)
        ask(postgres_url, "delete from procrastinate_jobs")
        assert (await sessions.recover()).found_heads == 1


async def test_deliveries_that_are_stale_or_doubled_are_refused_and_forgotten(postgres_url: str) -> None:
    async with at_work(postgres_url) as (sessions,):
        session = await sessions.create("echo")
        run = await session.run("x")
        await run.result(timeout=60)
        for number in (1, 2, 99):
            wake = jobs._job(Wake(session.id, run.id, "echo", "default", 0, number))
            manager = await jobs.manager(sessions_store(sessions).pool)
            await manager.defer_job_async(wake.evolve(queueing_lock=f"{run.id} {number}"))
        await until(lambda: ask(postgres_url, "select count(*) from procrastinate_jobs") == [(0,)])
        types = [event.type async for event in run.events()]
        assert types.count("run_started") == 1


def sessions_store(sessions: Sessions) -> PostgresStore:
    store = getattr(sessions.store, "_store", sessions.store)
    assert isinstance(store, PostgresStore)
    return store


async def test_what_a_worker_had_fetched_when_it_was_killed_is_begun_by_another_one(postgres_url: str) -> None:
    (run_id,) = await submitted(postgres_url)
    store = await open_store(postgres_url)
    assert isinstance(store, PostgresStore)
    manager = await jobs.manager(store.pool)
    job = await manager.fetch_job(queues=["default/echo"], worker_id=await manager.register_worker())
    await store.close()
    assert job is not None
    async with at_work(postgres_url) as (sessions,):
        assert (await sessions.run(run_id).result(timeout=60)).text == "you said x"
        assert [event.type async for event in sessions.run(run_id).events()].count("run_started") == 1


async def test_a_worker_survives_the_loss_of_all_its_connections(postgres_url: str) -> None:
    """At work and idle: what it works on goes on, and what comes later is begun."""
    gate = Gate()
    async with at_work(postgres_url, agents={"gate": gate, "echo": echo}) as (sessions,):
        running = await (await sessions.create("gate")).run("x")
        await is_running(running)
        for number in range(3):
            ask(postgres_url, OTHERS)
            run = await (await sessions.create("echo")).run(str(number))
            assert (await run.result(timeout=60)).text == f"you said {number}"
        gate.open.set()
        assert (await running.result(timeout=60)).text == "attempt 1"
        await until(lambda: ask(postgres_url, "select count(*) from procrastinate_jobs") == [(0,)])


async def test_a_worker_that_was_given_up_gets_another_name(postgres_url: str) -> None:
    async with at_work(postgres_url) as (sessions,):
        ask(postgres_url, "delete from procrastinate_workers")
        run = await (await sessions.create("echo")).run("x")
        assert (await run.result(timeout=60)).text == "you said x"


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        if program.process.poll() is None:
            program.kill()
        assert program.process.stdout is not None
        program.process.stdout.close()


async def test_what_a_killed_worker_had_begun_is_taken_over_by_another_one(
    postgres_url: str, programs: list[Program]
) -> None:
    programs.append(first := Program(postgres_url, "submit", "counts_in_two", "60", lease=3.0))
    run_id = first.until("run")
    while first.until("number") < 10:
        pass
    first.kill()
    programs.append(second := Program(postgres_url, "work"))
    second.until("worker")
    async with sessionry.open(postgres_url, worker=False) as sessions:
        result = await sessions.run(run_id).result(timeout=60)
        assert result.text == "attempt 2"
        await check_log(sessions, result.session_id)
    await until(lambda: ask(postgres_url, "select count(*) from procrastinate_jobs") == [(0,)])


# --- the dispatch alone -------------------------------------------------------------------------------------------------


class Deaf:
    """A taker that takes whatever is for `AGENT`."""

    def __init__(self, room: int = 8) -> None:
        self.left = room

    @property
    def wanted(self) -> Wanted:
        return Wanted(agents=[AGENT], queues=["default"])

    async def ready(self, limit: int) -> list[Delivery]:
        raise NotImplementedError

    async def room(self) -> int:
        return self.left


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    opened = await open_store(postgres_url)
    assert isinstance(opened, PostgresStore)
    yield opened
    await opened.close()


@asynccontextmanager
async def dispatching(store: PostgresStore, url: str, taker: Deaf, handler: Any, slots: int = 8) -> AsyncIterator[Any]:
    dispatch = ProcrastinateDispatch(store, connecting(url), taker, heartbeat=0.2, poll=0.05)
    working = asyncio.create_task(dispatch.work(handler, slots))
    try:
        yield dispatch
    except BaseException:
        dispatch.abandon()
        raise
    finally:
        working.cancel()
        await asyncio.wait([working])
        await dispatch.idle()


async def test_a_delivery_that_is_left_goes_to_somebody_else(store: PostgresStore, postgres_url: str) -> None:
    scenario, refuser, taken = Scenario(store), Deaf(), list[Delivery]()

    async def leaves(delivery: Delivery) -> Taken:
        refuser.left = 0
        return Taken.LEFT

    async def takes(delivery: Delivery) -> Taken:
        taken.append(delivery)
        await scenario.claim(delivery.run_id, number=delivery.number)
        return Taken.BEGUN

    session_id = await scenario.create()
    run_id = await scenario.submit(session_id)
    async with dispatching(store, postgres_url, refuser, leaves):
        await until(lambda: refuser.left == 0)
        async with dispatching(store, postgres_url, Deaf(), takes):
            await until(lambda: taken)
    assert taken == [Delivery(session_id, run_id, 1)]
    assert_heads_have_jobs(postgres_url)


async def test_a_worker_tells_that_it_lives_so_nobody_takes_what_it_has_fetched(
    store: PostgresStore, postgres_url: str
) -> None:
    """It is busy with a run that it does not come to begin, for longer than a silent worker has."""
    scenario, given, begins = Scenario(store), list[Delivery](), asyncio.Event()

    async def comes_to_it(delivery: Delivery) -> Taken:
        given.append(delivery)
        await begins.wait()
        await scenario.claim(delivery.run_id, number=delivery.number)
        return Taken.BEGUN

    run_id = await scenario.submit(await scenario.create())
    async with dispatching(store, postgres_url, Deaf(), comes_to_it):
        await until(lambda: given)
        (fetched,) = ask(postgres_url, "select last_heartbeat from procrastinate_workers")
        later = "select 1 from procrastinate_workers where last_heartbeat > %s + interval '3 seconds'"
        await until(lambda: ask(postgres_url, later, *fetched))
        assert await scenario.do(jobs.mend(3.0)) == 0
        assert jobs_of(postgres_url, "doing") == [run_id]
        begins.set()
    assert [delivery.run_id for delivery in given] == [run_id]


async def test_no_more_than_there_are_slots(store: PostgresStore, postgres_url: str) -> None:
    scenario, begun, done = Scenario(store), list[str](), asyncio.Event()

    async def works(delivery: Delivery) -> Taken:
        claim = await scenario.claim(delivery.run_id, number=delivery.number)
        begun.append(delivery.run_id)
        await done.wait()
        await scenario.finish(claim)
        return Taken.BEGUN

    queued = [await scenario.submit(await scenario.create(), priority=number // 2) for number in range(6)]
    async with dispatching(store, postgres_url, Deaf(), works, slots=2) as dispatch:
        await until(lambda: len(begun) == 2)
        assert set(begun) == set(queued[4:])
        assert dispatch.is_at_work(queued[4])
        assert sorted(jobs_of(postgres_url)) == sorted(queued[:4])
        done.set()
        await until(lambda: len(begun) == 6)
        await dispatch.idle()
    assert sorted(begun) == queued
    assert set(begun[:3]) - set(queued[4:]) <= set(queued[2:4])


async def test_what_was_just_fetched_is_counted_before_more_is(store: PostgresStore, postgres_url: str) -> None:
    """Even when there is news at that moment, so that it looks again at once."""
    scenario, handled, done = Scenario(store), list[str](), asyncio.Event()

    class Narrow(Deaf):
        async def room(self) -> int:
            return 2 - len(handled)

    async def works(delivery: Delivery) -> Taken:
        handled.append(delivery.run_id)
        dispatch.look()
        await done.wait()
        await scenario.claim(delivery.run_id, number=delivery.number)
        return Taken.BEGUN

    queued = [await scenario.submit(await scenario.create()) for _ in range(3)]
    async with dispatching(store, postgres_url, Narrow(), works) as dispatch:
        await until(lambda: len(handled) >= 2)
        await asyncio.sleep(0.3)
        assert (handled, jobs_of(postgres_url)) == (queued[:2], queued[2:])
        done.set()


async def test_what_was_fetched_as_the_end_came_is_handed_on(store: PostgresStore, postgres_url: str) -> None:
    scenario, handled = Scenario(store), list[str]()

    async def works(delivery: Delivery) -> Taken:
        handled.append(delivery.run_id)
        return Taken.LEFT

    run_id = await scenario.submit(await scenario.create())
    for turns in range(0, 60, 3):
        dispatch = ProcrastinateDispatch(store, connecting(postgres_url), Deaf(), heartbeat=0.2)
        working = asyncio.create_task(dispatch.work(works, 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working])
        dispatch.abandon()
        await dispatch.idle()
        async with asyncio.timeout(60):  # what the server was asked for last may still be under way
            while await scenario.do(jobs.mend(0.0)) is None or jobs_of(postgres_url) != [run_id]:
                await asyncio.sleep(0.01)
        assert ask(postgres_url, "select count(*) from procrastinate_workers") == [(0,)]


async def test_a_handler_that_fails_is_told_and_its_run_is_delivered_again(
    store: PostgresStore, postgres_url: str
) -> None:
    scenario, tries, told = Scenario(store), list[str](), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: told.append(problem["exception"]))

    async def fails(delivery: Delivery) -> Taken:
        tries.append(delivery.run_id)
        if len(tries) == 1:
            raise RuntimeError("a bug")
        await scenario.claim(delivery.run_id, number=delivery.number)
        return Taken.BEGUN

    run_id = await scenario.submit(await scenario.create())
    async with dispatching(store, postgres_url, Deaf(), fails):
        await until(lambda: len(tries) == 2)
    assert tries == [run_id, run_id]
    assert [str(error) for error in told] == ["a bug"]


async def test_the_command_works_on_what_waits_and_leaves_when_nothing_does(postgres_url: str, tmp_path: Path) -> None:
    async with sessionry.open(postgres_url, worker=False) as sessions:
        made = [await sessions.create("echo", cwd=str(tmp_path)) for _ in range(3)]
        runs = [await session.run("x", queue=queue) for session in made for queue in ("gpu", "default")]
        command = [sys.executable, "-m", "sessionry", "worker", "--once", "--queue", "gpu", "--agents", "echo"]
        home = {"HOME": str(tmp_path), "SESSIONRY_STORE": postgres_url}
        process = await asyncio.create_subprocess_exec(*command, env=os.environ | home, stdout=asyncio.subprocess.PIPE)
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 100)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        assert out.count(b"completed") == 3
        assert [(await run.get()).status for run in runs] == ["completed", "pending"] * 3
    assert_heads_have_jobs(postgres_url)
