"""Jobs on PostgreSQL: one for each head, in the transaction that makes it one, and none for anybody else."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import StoreFailed
from sessionry.ports import Steps, Wake, Wanted
from sessionry.store import jobs
from sessionry.store.open import open_store
from sessionry.store.operations import leases, runs, sessions
from sessionry.store.postgres import PostgresStore
from sessionry.store.transaction import writes
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import AGENT, FACTS, LOCAL
from tests.store.jobs import ask, assert_heads_have_jobs, jobs_of


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    opened = await open_store(postgres_url)
    assert isinstance(opened, PostgresStore)
    yield opened
    await opened.close()


@pytest.fixture
async def scenario(store: PostgresStore) -> AsyncIterator[Scenario]:
    scenario = Scenario(store)
    yield scenario
    await scenario.check()


# --- who has a job ------------------------------------------------------------------------------------------------------


async def test_what_waits_behind_a_head_has_no_job(scenario: Scenario, postgres_url: str) -> None:
    heads = []
    for _ in range(3):
        session_id = await scenario.create()
        queued = [await scenario.submit(session_id) for _ in range(50)]
        heads.append(queued[0])
    assert jobs_of(postgres_url) == heads


async def test_a_job_says_all_that_a_worker_needs(scenario: Scenario, postgres_url: str) -> None:
    session_id = await scenario.create()
    run_id = await scenario.submit(session_id, queue="gpu", priority=7)
    rows = ask(postgres_url, "select queue_name, task_name, priority, lock, args from procrastinate_jobs")
    args = {"session_id": session_id, "run_id": run_id, "number": 1}
    assert rows == [("gpu/agent", "sessionry.run", 7, None, args)]


async def test_a_job_lives_exactly_as_long_as_its_head(scenario: Scenario, postgres_url: str) -> None:
    session_id = await scenario.create()
    first, second = [await scenario.submit(session_id, takeover="restart") for _ in range(2)]

    async def has(*run_ids: str) -> None:
        assert jobs_of(postgres_url) == [*run_ids]
        assert_heads_have_jobs(postgres_url)

    await has(first)
    urgent = await scenario.submit(session_id, priority=1)
    await has(urgent)
    await scenario.cancel(urgent)
    await has(first)
    await scenario.change(session_id, ev.SessionPaused())
    await has()
    await scenario.change(session_id, ev.SessionResumed())
    await has(first)
    claim = await scenario.claim(first)
    await has()
    await scenario.lose(claim)
    await has(first)
    await scenario.finish(await scenario.claim(first))
    await has(second)
    await scenario.do(sessions.update(LOCAL, session_id, {"slots": 3}))
    third = await scenario.submit(session_id)
    await has(second, third)
    await scenario.end(session_id)
    await has()


async def test_the_end_of_a_whole_tree_leaves_no_job(scenario: Scenario, postgres_url: str) -> None:
    parent = await scenario.create()
    for session_id in [parent, *[await scenario.create(parent=parent) for _ in range(5)]]:
        await scenario.submit(session_id)
    assert len(jobs_of(postgres_url)) == 6
    await scenario.end(parent, cascade=True)
    assert jobs_of(postgres_url) == []


# --- all or nothing -----------------------------------------------------------------------------------------------------


@writes
def _submit_and(session_id: str, then: str | None) -> Steps[str]:
    submitted = yield from runs.submit(LOCAL, session_id, runs.Submission()).steps()
    if then is None:
        raise LookupError
    yield then, ()
    return str(submitted.run_id)


async def test_a_transaction_that_is_rolled_back_leaves_no_job(scenario: Scenario, postgres_url: str) -> None:
    session_id = await scenario.create()
    with pytest.raises(LookupError):
        await scenario.do(_submit_and(session_id, None))
    assert (jobs_of(postgres_url), await scenario.ready(session_id)) == ([], [])


async def test_a_connection_that_is_lost_before_the_commit_leaves_neither_run_nor_job(
    scenario: Scenario, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes between the job and the commit; the second try makes both, once."""
    defer, deferred = jobs.defer, list[str]()

    async def defer_and_die(connection: jobs.Connection, wakes: list[Wake]) -> None:
        await defer(connection, wakes)
        deferred.extend(wake.run_id for wake in wakes)
        if len(deferred) == 1:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(jobs, "defer", defer_and_die)
    session_id = await scenario.create()
    run_id = await scenario.submit(session_id)
    assert len(set(deferred)) == 2
    assert jobs_of(postgres_url) == [run_id] == await scenario.ready(session_id) == deferred[1:]


# --- numbers ------------------------------------------------------------------------------------------------------------


def _numbers(url: str) -> list[int]:
    return [row[0]["number"] for row in ask(url, "select args from procrastinate_jobs order by id")]


async def test_a_delivery_has_one_number_by_whatever_way_it_comes(scenario: Scenario, postgres_url: str) -> None:
    """Of a job and a worker that looks for itself, one can begin the run; what is requeued can always be begun again."""
    session_id = await scenario.create()
    run_id = await scenario.submit(session_id, takeover="restart", max_attempts=20)
    for attempt in range(1, 6):
        (delivery,) = await scenario.do(leases.ready(Wanted(agents=[AGENT], sessions=[session_id]), 1))
        assert [delivery.number] == _numbers(postgres_url) == [attempt]
        claim = await scenario.claim(run_id, number=delivery.number)
        for other in (f"wrk_{attempt}", "wrk_two"):
            assert await scenario.begin(run_id, worker=other, number=delivery.number) is None
        await scenario.lose(claim)
        assert await scenario.do(leases.begin(delivery, "wrk_thawed", FACTS)) is None
    assert (await scenario.run(run_id)).attempt == 5


async def test_jobs_that_are_counted_anew_do_not_hold_a_run_back(scenario: Scenario, postgres_url: str) -> None:
    session_id = await scenario.create()
    run_id = await scenario.submit(session_id, takeover="restart")
    await scenario.lose(await scenario.claim(run_id))
    ask(postgres_url, "truncate procrastinate_jobs restart identity cascade")
    assert await scenario.do(jobs.mend(15)) == 1
    assert _numbers(postgres_url) == [2]
    assert await scenario.begin(run_id, number=2) is not None


# --- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "agent_id", ["a", "x" * 200, "Übersetzer für Prosa und manches mehr", "with spaces/and slashes"]
)
@pytest.mark.parametrize("queue", ["default", "q" * 64])
async def test_no_name_is_too_long_for_a_notification(
    scenario: Scenario, postgres_url: str, queue: str, agent_id: str
) -> None:
    name = jobs.job_queue(queue, agent_id)
    run_id = await scenario.submit(await scenario.create(agent_id), queue=queue)
    assert ask(postgres_url, "select queueing_lock, queue_name from procrastinate_jobs") == [(run_id, name)]
    assert len(f"procrastinate_queue_v1#{name}".encode()) < 64


def test_each_agent_in_each_queue_has_its_own_jobs() -> None:
    pairs = [(queue, agent) for queue in ("a", "a" * 64, "b" + "a" * 63) for agent in ("x", "x" * 99, "x" * 98 + "y")]
    assert len({jobs.job_queue(*pair) for pair in pairs}) == len(pairs)


# --- what was lost ------------------------------------------------------------------------------------------------------


async def test_a_head_without_a_job_gets_one(scenario: Scenario, postgres_url: str) -> None:
    queued = [await scenario.submit(await scenario.create()) for _ in range(3)]
    ask(postgres_url, "delete from procrastinate_jobs where queueing_lock = any(%s)", queued[:2])
    assert await scenario.do(jobs.mend(15)) == 2
    assert_heads_have_jobs(postgres_url)
    assert await scenario.do(jobs.mend(15)) == 0


async def _fetched(store: PostgresStore, silent: float = 0.0) -> None:
    """A job is in the hands of a worker that was heard of so many seconds ago."""
    manager = await jobs.manager(store.pool)
    job = await manager.fetch_job(queues=[f"default/{AGENT}"], worker_id=await manager.register_worker())
    assert job is not None
    async with store.pool.connection() as connection:
        await connection.execute(
            "update procrastinate_workers set last_heartbeat = now() - %s * interval '1 second'", (silent,)
        )


async def test_what_a_dead_worker_had_fetched_is_delivered_again(
    scenario: Scenario, store: PostgresStore, postgres_url: str
) -> None:
    run_id = await scenario.submit(await scenario.create())
    await _fetched(store, silent=1000)
    assert await scenario.do(jobs.mend(1500)) == 0
    assert jobs_of(postgres_url, "doing") == [run_id]
    assert await scenario.do(jobs.mend(900)) == 1
    assert_heads_have_jobs(postgres_url)
    assert ask(postgres_url, "select count(*) from procrastinate_workers") == [(0,)]


async def test_what_a_worker_had_fetched_when_its_run_was_begun_elsewhere_is_gone(
    scenario: Scenario, store: PostgresStore, postgres_url: str
) -> None:
    run_id = await scenario.submit(await scenario.create())
    await _fetched(store)
    await scenario.claim(run_id, worker="wrk_other")
    assert jobs_of(postgres_url, "doing") == []


async def test_jobs_of_no_head_are_removed(scenario: Scenario, postgres_url: str) -> None:
    queued = await scenario.submit(await scenario.create())
    over = await scenario.finished(await scenario.create())
    for run_id, status in ((over, "todo"), ("run_unheard_of", "todo"), (over, "failed"), (queued, "aborted")):
        ask(
            postgres_url,
            "insert into procrastinate_jobs (queue_name, task_name, args, queueing_lock, status) values"
            " ('default/agent', 'sessionry.run', '{\"number\": 9}', %s, %s::procrastinate_job_status)",
            run_id,
            status,
        )
    assert await scenario.do(jobs.mend(15)) == 0
    assert_heads_have_jobs(postgres_url)


async def test_a_job_that_is_handed_on_belongs_to_a_head_or_is_gone(
    scenario: Scenario, store: PostgresStore, postgres_url: str
) -> None:
    run_id = await scenario.submit(await scenario.create())
    await _fetched(store)
    ((job_id,),) = ask(postgres_url, "select id from procrastinate_jobs")
    await scenario.do(jobs.hand_on(job_id, run_id))
    assert_heads_have_jobs(postgres_url)
    assert ask(postgres_url, "select id from procrastinate_jobs") != [(job_id,)]
    await scenario.cancel(run_id)
    await scenario.do(jobs.hand_on(job_id, run_id))
    await scenario.do(jobs.hand_on(job_id, "run_purged"))
    assert_heads_have_jobs(postgres_url)


async def test_of_many_processes_one_mends_and_not_more_often_than_it_is_time(
    scenario: Scenario, postgres_url: str
) -> None:
    await scenario.submit(await scenario.create())
    ask(postgres_url, "delete from procrastinate_jobs")
    found = await asyncio.gather(*(scenario.do(jobs.mend(15, 60)) for _ in range(5)))
    assert sorted(found, key=str) == [1, None, None, None, None]
    ask(postgres_url, "delete from procrastinate_jobs")
    assert await scenario.do(jobs.mend(15, 60)) is None
    assert await scenario.do(jobs.mend(15)) == 1


async def test_who_finds_somebody_mending_leaves_it_to_him(scenario: Scenario, postgres_url: str) -> None:
    await scenario.submit(await scenario.create())
    ask(postgres_url, "delete from procrastinate_jobs")
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        lock = "select pg_advisory_xact_lock(%s + 'sessionry_run'::regclass::oid::bigint)"
        await other.execute(lock, (jobs._ADVISORY_LOCK,))
        assert await scenario.do(jobs.mend(15)) is None
    assert await scenario.do(jobs.mend(15)) == 1


async def test_who_mends_does_not_wait_for_a_session_that_is_locked(scenario: Scenario, postgres_url: str) -> None:
    locked, free = [await scenario.submit(await scenario.create()) for _ in range(2)]
    ask(postgres_url, "delete from procrastinate_jobs")
    session_id = (await scenario.run(locked)).session_id
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("select 1 from sessionry_session where id = %s for no key update", (session_id,))
        assert await scenario.do(jobs.mend(15)) == 1
        assert jobs_of(postgres_url) == [free]
    assert await scenario.do(jobs.mend(15)) == 1


# --- the tables of procrastinate ----------------------------------------------------------------------------------------


def apart(url: str, schema: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"


async def test_two_stores_in_two_schemas_have_their_own_jobs(empty_postgres_url: str) -> None:
    urls = []
    for name in ("one", "two"):
        ask(empty_postgres_url, f"create schema {name}")
        urls.append(apart(empty_postgres_url, name))
    for url in urls:
        store = await open_store(url)
        scenario = Scenario(store)
        run_id = await scenario.submit(await scenario.create())
        await store.close()
        assert jobs_of(url) == [run_id]
    assert ask(empty_postgres_url, "select to_regclass('public.procrastinate_jobs')") == [(None,)]


async def test_a_store_keeps_away_from_jobs_of_others(empty_postgres_url: str) -> None:
    ask(empty_postgres_url, (jobs.folder() / "sql" / "schema.sql").read_text())
    with pytest.raises(StoreFailed, match="belong to something else; give the store a schema of its own"):
        await open_store(empty_postgres_url)
    ask(empty_postgres_url, "create schema sessionry")
    store = await open_store(apart(empty_postgres_url, "sessionry"))
    await store.close()


async def test_a_newer_procrastinate_brings_its_tables_up_to_date(
    empty_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def columns() -> set[str]:
        await (await open_store(empty_postgres_url)).close()
        found = ask(
            empty_postgres_url,
            "select column_name from information_schema.columns where table_name = 'procrastinate_workers'",
        )
        return {row[0] for row in found}

    before, known = await columns(), dict(jobs.migrations())
    for name in ("98.00.00_01_pre_first", "98.00.00_50_post_second"):
        file = tmp_path / f"{name}.sql"
        file.write_text(f"alter table procrastinate_workers add column {name[-6:].strip('_')} text;")
        known[name] = file
    with monkeypatch.context() as newer:
        newer.setattr(jobs, "migrations", lambda: known)
        assert await columns() - before == {"first", "second"}
        assert await columns() - before == {"first", "second"}
    assert await columns() - before == {"first", "second"}  # the older one can still open it


async def test_without_procrastinate_there_is_no_store_on_postgresql(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "find_spec", lambda _: None)
    with pytest.raises(StoreFailed) as caught:
        await open_store(postgres_url)
    assert caught.value.code == "dependency_not_available"
    assert "pip install 'sessionry[postgres]'" in caught.value.message


async def test_procrastinate_is_not_loaded_by_who_only_looks(postgres_url: str) -> None:
    code = (
        "import asyncio, sys\nfrom sessionry.store.open import open_store\n"
        "async def look(): await (await open_store(sys.argv[1])).close()\n"
        "asyncio.run(look()); print('procrastinate' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, postgres_url, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0].strip() == b"False"


# --- how much is read ---------------------------------------------------------------------------------------------------

_WAITING = (
    "insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args) select"
    " %s, 'sessionry.run', 'run_' || %s || n, '{}' from generate_series(1, %s) n"
)
_READ = (
    "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables"
    " where relname = 'procrastinate_jobs'"
)


async def _rows_read_by_a_fetch(url: str, *queues: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("set local enable_seqscan = on")
        found = await connection.execute("select id from procrastinate_fetch_job_v2(%s, null)", ([*queues],))
        assert await found.fetchone() is not None
        row = await (await connection.execute(_READ)).fetchone()
        await connection.rollback()
    assert row is not None
    return int(row[0])


async def test_a_fetch_reads_no_more_when_more_is_waiting(empty_postgres_url: str) -> None:
    await (await open_store(empty_postgres_url)).close()
    url = empty_postgres_url
    ask(url, _WAITING, "default/a", "few", 100)
    ask(url, "analyze procrastinate_jobs")
    few = await _rows_read_by_a_fetch(url, "default/a", "default/b")
    ask(url, _WAITING, "default/a", "many", 20_000)
    ask(url, "analyze procrastinate_jobs")
    many = await _rows_read_by_a_fetch(url, "default/a", "default/b")
    print(f"rows read by a fetch: {few} of 100 that wait, {many} of 20,100")
    assert many <= few + 5
    ask(url, _WAITING, "gpu/a", "other", 5)
    print("behind 20,100 of another queue:", await _rows_read_by_a_fetch(url, "gpu/a"))
