"""Three workers, twenty sessions of twenty runs with fifty events each, and something dies in the middle.

Nothing is lost, nothing is doubled, each session keeps its order, each run ends once, and whoever was thought dead and was
not is shut out. The figures are printed.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.distributed.fleet import Server, WorkerProcess, fleet, until
from tests.distributed.work import Work, shut_out, taken_over, work_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = 400


async def busy(work: Work, workers: list[WorkerProcess], server: Server) -> None:
    """Submit all the work, and return when every worker has some of it and some of it is done."""
    await work.submit()
    await work.until_ended(10)
    pids = {worker.process.pid for worker in workers}
    until(lambda: pids <= server.at_work())


def report(name: str, began: float, takeovers: str = "no worker was lost") -> None:
    print(f"\n{name}: {RUNS} runs in {time.monotonic() - began:.1f} s, {takeovers}")


async def test_nothing_dies(server: Server, tmp_path: Path) -> None:
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, tmp_path) as workers:
            await busy(work, workers, server)
            await work.until_ended()
        found = await work.check()
    assert not found.lost
    report("nothing dies", began)


async def test_a_worker_is_killed(server: Server, tmp_path: Path) -> None:
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, tmp_path) as workers:
            await busy(work, workers, server)
            lost = server.id_of(workers[0])
            workers[0].signal(signal.SIGKILL)
            killed = datetime.now(UTC)
            await work.until_ended()
        found = await work.check()
    report("kill -9 of a worker", began, taken_over(found.lost_at(killed, lost), killed))


async def test_a_worker_is_told_to_leave(server: Server, tmp_path: Path) -> None:
    """What it does not finish in its grace it hands over: nobody waits for its lease to run out."""
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, tmp_path, "--grace", "0.1") as workers:
            await busy(work, workers, server)
            leaving = server.id_of(workers[0])
            workers[0].signal(signal.SIGTERM)
            told = datetime.now(UTC)
            until(lambda: not workers[0].alive)
            assert workers[0].process.returncode == 0
            await work.until_ended()
        found = await work.check()
    handed_over = found.lost_at(told, leaving)
    assert handed_over
    for each in handed_over:
        assert each.why == "shutdown"
    waits = [each.again - each.lost for each in handed_over if each.again and each.lost]
    assert max(waits) < timedelta(seconds=2)
    report("SIGTERM of a worker", began, f"{len(waits)} runs handed over, begun anew after {max(waits)} at most")


async def test_a_worker_freezes_for_longer_than_its_lease(server: Server, tmp_path: Path) -> None:
    """It is refused in each run that it lost, and no dead weight afterwards: it goes on with others."""
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, tmp_path) as workers:
            await busy(work, workers, server)
            frozen = workers[0]
            lost = server.id_of(frozen)
            frozen.signal(signal.SIGSTOP)
            stopped = datetime.now(UTC)
            until(lambda: frozen.process.pid not in server.at_work())
            thawed = datetime.now(UTC)
            frozen.signal(signal.SIGCONT)
            until(lambda: frozen.process.pid in server.at_work())
            await work.until_ended()
            assert frozen.alive
        found = await work.check()
    shut_out(frozen, found.lost_at(stopped, lost))
    assert found.completed_by(lost, thawed)
    report("SIGSTOP and SIGCONT of a worker", began, taken_over(found.lost_at(stopped, lost), stopped))


async def test_a_backend_of_the_database_is_killed(server: Server, tmp_path: Path) -> None:
    await check_a_fault_of("kill -9 of a PostgreSQL backend", server, server.kill_a_backend, tmp_path)


async def test_the_database_is_restarted(server: Server, tmp_path: Path) -> None:
    await check_a_fault_of("restart of PostgreSQL", server, server.restart, tmp_path)


async def check_a_fault_of(name: str, server: Server, break_it: Callable[[], float], folder: Path) -> None:
    """A fault of the database: all workers live on, and if one was lost for a while its runs are taken over in time.

    `break_it` says for how many seconds the database was away.
    """
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, folder) as workers:
            await busy(work, workers, server)
            broken = datetime.now(UTC)
            away = break_it()
            await work.until_ended()
            assert all(worker.alive for worker in workers)
        found = await work.check()
    lost = found.lost_at(broken)
    report(name, began, taken_over(lost, broken, away) if lost else f"no worker was lost in {away:.1f} s without it")


async def test_a_worker_is_killed_as_the_database_is_restarted(server: Server, tmp_path: Path) -> None:
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, tmp_path) as workers:
            await busy(work, workers, server)
            lost = server.id_of(workers[0])
            workers[0].signal(signal.SIGKILL)
            killed = datetime.now(UTC)
            away = server.restart()
            await work.until_ended()
        found = await work.check()
    report("restart and kill -9 of a worker", began, taken_over(found.lost_at(killed, lost), killed, away))


async def test_all_of_it_at_once(server: Server, tmp_path: Path) -> None:
    async with work_on(server.url) as work:
        began = time.monotonic()
        with fleet(server.url, tmp_path) as workers:
            await busy(work, workers, server)
            killed, frozen = server.id_of(workers[0]), server.id_of(workers[1])
            moment = datetime.now(UTC)
            workers[0].signal(signal.SIGKILL)
            workers[1].signal(signal.SIGSTOP)
            away = server.kill_a_backend()
            until(lambda: workers[1].process.pid not in server.at_work())
            workers[1].signal(signal.SIGCONT)
            await work.until_ended()
        found = await work.check()
    shut_out(workers[1], found.lost_at(moment, frozen))
    lost = found.lost_at(moment, killed) + found.lost_at(moment, frozen)
    report("all of it at once", began, taken_over(lost, moment, away))
