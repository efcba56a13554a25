"""Jobs: how a head gets to a worker on PostgreSQL. The tables and functions are those of procrastinate.

A head has a job exactly as long as it is one: the transaction that makes it a head defers its job, and the transaction in
which it is begun, cancelled or overtaken deletes it. So there is no moment at which one is kept and the other is not, and
what waits behind a head is never in these tables. A job that is lost all the same, with the worker that had fetched it,
is found by `mend`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionry.domain.errors import StoreFailed
from sessionry.ports import Delivery, Now, Steps, Wake
from sessionry.store.log import open_log_by_key
from sessionry.store.transaction import writes

if TYPE_CHECKING:
    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    Connection = AsyncConnection[tuple[Any, ...]]

TASK = "sessionry.run"
#: Bytes that the name of a queue of jobs may have: PostgreSQL refuses to notify a channel of more than 63, prefix included.
LONGEST_NAME = 40
#: Heads that one `mend` gives a job, at most.
MOST = 2000
#: When that was last done, among the settings of the store.
MENDED = "jobs_mended"

#: The mark on the table of jobs: that it is ours, and the newest migration of procrastinate that it has.
_OURS = "sessionry: "
#: What everybody locks who mends: an arbitrary number that is only ours, and the table, for there may be several stores.
_ADVISORY_LOCK = 7_305_808_869_231_651

_INSTALLED = (
    "select obj_description(c.oid, 'pg_class') from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = current_schema() and c.relname = 'procrastinate_jobs'"
)
_OF_RUN = "create index if not exists sessionry_job_run on procrastinate_jobs (queueing_lock)"


def job_queue(queue: str, agent_id: str) -> str:
    """The queue of the jobs for that agent in that named queue: each pair has its own, and its name is not too long."""
    name = f"{queue}/{agent_id}"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    import hashlib  # slow to load, and hardly ever wanted

    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{name.encode()[: LONGEST_NAME - 13].decode(errors='ignore')}~{digest}"


# --- the schema of procrastinate ----------------------------------------------------------------------------------------


def folder() -> Path:
    """Where procrastinate is. It is not loaded: that takes long, and who only looks needs none.

    Raises `dependency_not_available`.
    """
    spec = find_spec("procrastinate")
    if spec is None or not spec.submodule_search_locations:
        raise StoreFailed(
            "dependency_not_available",
            "PostgreSQL needs procrastinate; run: pip install 'sessionry[postgres]'",
            details={"package": "procrastinate"},
        )
    return Path(spec.submodule_search_locations[0])


def migrations() -> Mapping[str, Path]:
    """Procrastinate's own migrations by name, in order."""
    return {file.stem: file for file in sorted((folder() / "sql" / "migrations").glob("*.sql"))}


async def install(connection: Connection, url: str) -> None:
    """Make the tables of jobs, or bring them to the version of the procrastinate that is here.

    In the transaction of the caller, who sees to it that nobody else does it. Raises `store_failed` when there are such
    tables that are not ours: whoever works on their jobs would take ours for his.
    """
    known = migrations()
    newest = max(known)
    found = await (await connection.execute(_INSTALLED)).fetchall()
    if not found:
        await connection.execute((folder() / "sql" / "schema.sql").read_bytes())
        await connection.execute(_OF_RUN)
    elif not (mark := found[0][0] or "").startswith(_OURS):
        raise StoreFailed(
            "store_failed",
            f"{url} has tables of procrastinate in this schema that belong to something else; give the store a schema of"
            " its own: create schema sessionry, and add ?options=-csearch_path%3Dsessionry to its URL",
        )
    elif (applied := mark.removeprefix(_OURS)) >= newest:
        return  # or a later procrastinate was here, which the one of this process can work with
    else:
        for file in (file for name, file in known.items() if name > applied):
            await connection.execute(file.read_bytes())
    await connection.execute(f"comment on table procrastinate_jobs is '{_OURS}{newest}'".encode())


# --- with the transaction of an operation -------------------------------------------------------------------------------


async def forget(connection: Connection, run_ids: Sequence[str]) -> None:
    """These are no heads any more."""
    await connection.execute("delete from procrastinate_jobs where queueing_lock = any(%s)", (list(run_ids),))


async def defer(connection: Connection, wakes: Sequence[Wake]) -> None:
    """A job for each of these heads, unless there is one that nobody has fetched. Their sessions are locked."""
    cursor = await connection.execute(
        "select queueing_lock from procrastinate_jobs where status = 'todo' and queueing_lock = any(%s)",
        ([wake.run_id for wake in wakes],),
    )
    there = {row[0] for row in await cursor.fetchall()}
    if jobs := [_job(wake) for wake in wakes if wake.run_id not in there]:
        await _deferred(jobs, connection)


def _job(wake: Wake) -> Job:
    from procrastinate.jobs import Job

    return Job(
        queue=job_queue(wake.queue, wake.agent_id),
        priority=wake.priority,
        lock=None,  # it would be looked for among all jobs, by everyone who fetches one
        queueing_lock=wake.run_id,
        task_name=TASK,
        task_kwargs={"session_id": wake.session_id, "run_id": wake.run_id, "number": wake.number},
    )


async def _deferred(jobs: list[Job], connection: Connection) -> None:
    import psycopg
    from procrastinate.exceptions import ConnectorException
    from procrastinate.manager import JobManager
    from procrastinate.psycopg_connector import PsycopgConnector

    try:
        await JobManager(PsycopgConnector()).batch_defer_jobs_async(jobs, connection=connection)
    except ConnectorException as error:
        cause = error.__cause__ or error.__context__
        raise (cause if isinstance(cause, psycopg.Error) else psycopg.InternalError(str(error))) from error


async def manager(pool: AsyncConnectionPool[Any]) -> JobManager:
    """Procrastinate's way to its jobs, by connections of that pool, which is not closed with it."""
    from procrastinate.manager import JobManager
    from procrastinate.psycopg_connector import PsycopgConnector

    connector = PsycopgConnector()
    await connector.open_async(pool=pool)
    return JobManager(connector)


def delivery_of(job: Job) -> Delivery:
    """What the job asks for."""
    given = job.task_kwargs
    return Delivery(str(given["session_id"]), str(given["run_id"]), int(str(given["number"])))


# --- what was lost ------------------------------------------------------------------------------------------------------


@writes
def hand_on(job_id: int, run_id: str) -> Steps[None]:
    """Let go of a job that was fetched. When its run is still a head, it gets another one: somebody else may have it."""
    found = yield "select session from sessionry_run where id = ?", (run_id,)
    if found:
        yield from open_log_by_key(found[0][0])
    yield "delete from procrastinate_jobs where id = ?", (job_id,)
    for row in (yield f"{_HEADS} and r.id = ?", (run_id,)):
        yield Wake(*row)


@writes
def drop(job_id: int) -> Steps[None]:
    """Let go of a job that was refused."""
    yield "delete from procrastinate_jobs where id = ?", (job_id,)


_HEADS = (
    "select s.id, r.id, r.agent_id, r.queue, r.priority, r.delivery + 1"
    " from sessionry_run r join sessionry_session s on s.key = r.session where r.ready = 1"
)
#: A job is of use while its run is a head that was not begun since, and while the worker that fetched it lives.
_USELESS = (
    "select j.id from procrastinate_jobs j where j.task_name = ? and ("
    "j.status not in ('todo', 'doing') or (j.status = 'doing' and j.worker_id is null)"
    " or not exists (select 1 from sessionry_run r where r.id = j.queueing_lock and r.ready = 1"
    " and r.delivery < (j.args->>'number')::bigint)) for update of j skip locked"
)


@writes
def mend(lease: float, pause: float = 0.0) -> Steps[int | None]:
    """Delete the jobs of workers that are gone and of runs that are no heads; a job for each head that has none.

    How many got one. A worker is gone when it was silent for `lease` seconds. One process mends at a time, and none within
    `pause` seconds of the last one: to the others it is None.
    """
    now = yield Now()
    mine = yield "select pg_try_advisory_xact_lock(? + 'sessionry_run'::regclass::oid::bigint)", (_ADVISORY_LOCK,)
    if not mine[0][0] or not (yield from _is_time(now, int(pause * 1_000_000))):
        return None
    yield "delete from procrastinate_workers where last_heartbeat < now() - ? * interval '1 second'", (lease,)
    yield f"delete from procrastinate_jobs where id in ({_USELESS})", (TASK,)
    lost = yield (
        f"{_HEADS} and not exists (select 1 from procrastinate_jobs j where j.queueing_lock = r.id)"
        f" order by r.priority desc, r.key limit {MOST} for no key update of s skip locked",
        (),
    )
    for row in lost:
        yield Wake(*row)
    return len(lost)


def _is_time(now: int, pause: int) -> Steps[bool]:
    mine = yield (
        "insert into sessionry_setting as s (name, value) values (?, ?) on conflict (name)"
        " do update set value = excluded.value where s.value::bigint not between ? and ? returning 1",
        (MENDED, str(now), now - pause + 1, now),
    )
    return bool(mine)
