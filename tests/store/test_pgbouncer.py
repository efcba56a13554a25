"""Through PgBouncer in transaction mode everything is as it is without, but for the connection that listens."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import sessionry
from sessionry import RunStatus
from sessionry.ports import Store
from sessionry.settings import Settings
from sessionry.store.open import open_store
from sessionry.testing import store_contract as contract
from tests.dispatch.test_procrastinate import BRISK, at_work, dispatch_of, submitted
from tests.store.jobs import ask

pytestmark = pytest.mark.slow


def _program() -> str:
    """PgBouncer, installed where it is missing and that can be done."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if shutil.which("pgbouncer", path=path) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "pgbouncer"]):
            subprocess.run(command, capture_output=True, check=False, timeout=300)
    found = shutil.which("pgbouncer", path=path)
    if found is None:
        pytest.skip("PgBouncer is missing and could not be installed; on Debian and Ubuntu: apt-get install pgbouncer")
    return found


@pytest.fixture(scope="module")
def bouncer_port(postgres_server: str) -> Iterator[int]:
    program = _program()
    server = {name: str(value) for name, value in conninfo_to_dict(postgres_server).items()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "pgbouncer.ini").write_text(_configuration(server, port))
        command = [program, str(folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # it refuses to be root; the owner of the server's socket may go where that is
            command[1:1] = ["-u", _owner(Path(server["host"])) if server["host"].startswith("/") else "nobody"]
        told = folder / "told"  # a file: nobody reads meanwhile, and a full pipe would make it stand still
        with told.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                _until_it_answers(process, port, told)
                yield port
            finally:
                process.kill()


def _configuration(server: dict[str, str], port: int) -> str:
    database = " ".join(f"{name}={server[name]}" for name in ("host", "port", "user", "password") if server.get(name))
    return (
        f"[databases]\n* = {database}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "pool_mode = transaction\nauth_type = any\ndefault_pool_size = 4\nmax_client_conn = 200\nserver_login_retry = 1\n"
    )


def _owner(folder: Path) -> str:
    """Who may go into the folder, and is not root."""
    owner = pwd.getpwuid(next(path for path in folder.glob(".s.PGSQL.*")).stat().st_uid).pw_name
    return owner if owner != "root" else "nobody"


def _until_it_answers(process: subprocess.Popen[bytes], port: int, told: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"PgBouncer did not start: {told.read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("PgBouncer does not answer")


@pytest.fixture
def bouncer_url(bouncer_port: int, postgres_url: str) -> str:
    """The store's URL through the pooler."""
    given = conninfo_to_dict(postgres_url)
    return f"postgresql://{given.get('user', 'postgres')}@127.0.0.1:{bouncer_port}/{given['dbname']}"


@pytest.fixture
async def store(bouncer_url: str) -> AsyncIterator[Store]:
    opened = await open_store(bouncer_url)
    yield opened
    await opened.close()


class TestQueue(contract.QueueContract):
    pass


class TestBegin(contract.BeginContract):
    pass


class TestAppend(contract.AppendContract):
    pass


class TestFinish(contract.FinishContract):
    pass


class TestTakeover(contract.TakeoverContract):
    pass


class TestIdempotency(contract.IdempotencyContract):
    pass


class TestReading(contract.ReadingContract):
    pass


def test_it_really_is_in_transaction_mode(bouncer_url: str) -> None:
    """What is set in a session is lost, or somebody else's: two clients share connections of the server."""
    with psycopg.connect(bouncer_url, autocommit=True) as one, psycopg.connect(bouncer_url, autocommit=True) as other:
        found = {connection.execute("select pg_backend_pid()").fetchone() for connection in (one, other)}
    assert len(found) == 1


async def answers() -> AsyncIterator[str]:
    yield "one "
    yield "two"


@pytest.mark.parametrize("listen", ["past it", "nowhere"])
async def test_a_worker_and_a_reader_work_through_it(bouncer_url: str, postgres_url: str, listen: str) -> None:
    """Where LISTEN goes through the pooler too nothing is heard, and the slow poll does."""
    settings = Settings(store=bouncer_url, listen=postgres_url if listen == "past it" else None)
    async with (
        sessionry.open(bouncer_url, agents={"answers": answers}, settings=settings),
        sessionry.open(bouncer_url, worker=False, settings=settings) as reader,
    ):
        for _ in range(3):
            run = await (await reader.create("answers")).run("x")
            events = [event.type async for event in run.events()]
            assert events[-1] == "run_completed"
            assert (await run.get()).status is RunStatus.COMPLETED


async def test_a_worker_hears_past_it_of_the_jobs_that_come_through_it(bouncer_url: str, postgres_url: str) -> None:
    """By a notification: the look that comes anyway would take longer than this test waits."""
    settings = msgspec.structs.replace(BRISK, listen=postgres_url)
    async with at_work(bouncer_url, settings=settings) as (sessions,):
        dispatch_of(sessions)._poll = 3600.0
        await asyncio.sleep(1.2)  # the wait that had begun before
        (run_id,) = await submitted(bouncer_url)
        assert (await sessions.run(run_id).result(timeout=60)).text == "you said x"


async def test_many_workers_share_the_work_through_it(bouncer_url: str, postgres_url: str) -> None:
    settings = msgspec.structs.replace(BRISK, listen=postgres_url)
    async with at_work(bouncer_url, 3, slots=2, settings=settings) as workers:
        made = [await workers[0].create("echo") for _ in range(6)]
        runs = [await session.run(f"{number}") for number in range(3) for session in made]
        texts = [(await run.result(timeout=60)).text for run in runs]
        assert texts == [f"you said {number}" for number in range(3) for _ in made]
        for session in made:
            types = [event.type async for event in session.events()]
            assert (types.count("run_started"), types.count("run_requeued")) == (3, 0)
    assert ask(postgres_url, "select count(*) from procrastinate_jobs") == [(0,)]
    assert ask(postgres_url, "select count(*) from procrastinate_workers") == [(0,)]
