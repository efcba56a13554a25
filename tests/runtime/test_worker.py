"""A worker that is blocked, frozen, late or in a hurry: what it holds is what it works on, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

import sessionry
from sessionry import AgentContext, RunStatus, Sessions, StoreFailed, Takeover
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.run import AgentFacts
from sessionry.ports import Appending, Wanted
from sessionry.runtime import emitter, execution
from sessionry.runtime.health import Health
from sessionry.runtime.watchdog import Stop
from sessionry.runtime.worker import PAUSE, Worker
from sessionry.settings import load_settings
from sessionry.store.open import open_store
from sessionry.store.operations import leases, recovery

from .conftest import types_of, until
from .test_recovery import IMPATIENT, Program

#: A worker that looks after its runs all the time.
BRISK = msgspec.structs.replace(load_settings(), lease=30.0, heartbeat=0.1, sweep=0.1)
#: A worker that is not seen to be alive while a test lasts.
SILENT = msgspec.structs.replace(load_settings(), lease=3600.0, heartbeat=1200.0, sweep=1200.0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


async def _waits() -> None:
    await asyncio.Event().wait()


async def _is(run: sessionry.RunHandle, status: str) -> bool:
    return (await run.get()).status == status


async def _works_on(worker: Worker, runs: int) -> bool:
    return worker.at_work == runs


async def test_who_is_fenced_in_one_run_goes_on_with_the_others(url: str) -> None:
    """Of two runs of one worker another takes one over: that one is dropped, and the neighbour is not even slower."""
    going_on = asyncio.Event()

    async def works(context: AgentContext) -> str:
        await going_on.wait()
        for number in range(5):
            await context.emit(ev.CustomRecorded(name="n", value=number))
        return f"attempt {context.run.attempt}"

    async with sessionry.open(url, agents={"works": works}) as sessions:
        lost, kept = [await (await sessions.create("works")).run("x", takeover=Takeover.RESTART) for _ in range(2)]
        worker = sessions.worker
        assert worker is not None
        await until(lambda: _works_on(worker, 2))  # a moment after the store calls them running
        assert await sessions.execute(recovery.take_over(lost.id, worker.id, "lease_expired")) == "requeued"
        going_on.set()
        assert (await kept.result(timeout=60)).text == "attempt 1"
        assert (await lost.result(timeout=60)).text == "attempt 2"
        for run, attempts in ((lost, 2), (kept, 1)):
            types = await types_of(run)
            assert types.count("run_completed") == 1
            assert types.count("custom_recorded") == 5, "the fenced attempt has written nothing more"
            assert types.count("run_started") == attempts


async def test_a_worker_without_its_store_is_not_ready(url: str) -> None:
    async with sessionry.open(url) as sessions:
        assert sessions.worker is not None
        assert await Health(sessions.worker, sessions.store).unready() is None
        gone = await open_store(url)
        await gone.close()
        assert await Health(sessions.worker, gone).unready() == "the store does not answer"
        await sessions.worker.drain()
        assert await Health(sessions.worker, sessions.store).unready() == "draining"


# --- late -------------------------------------------------------------------------------------------------------------


async def test_a_worker_whose_search_for_runs_failed_searches_again(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    claimable, mistakes = leases.claimable, [RuntimeError("a mistake of ours")]

    def failing(wanted: Wanted, limit: int) -> Any:
        if mistakes:
            raise mistakes.pop()
        return claimable(wanted, limit)

    monkeypatch.setattr(leases, "claimable", failing)
    async with sessionry.open(url, settings=BRISK) as sessions:
        run = await (await sessions.create("echo")).run("hello")
        assert (await run.result(timeout=60)).status is RunStatus.COMPLETED
    assert not mistakes
    assert "a mistake of ours" in caplog.text


async def test_an_agent_that_blocks_the_event_loop_keeps_its_run(url: str) -> None:
    async def blocks() -> str:
        time.sleep(3.2)
        return "I was busy"

    settings = msgspec.structs.replace(BRISK, lease=3.0)
    async with sessionry.open(url, agents={"blocks": blocks}, settings=settings) as sessions:
        run = await (await sessions.create("blocks")).run("x")
        assert (await run.result(timeout=60)).text == "I was busy"


async def test_who_feared_for_its_lease_and_kept_it_gives_back_at_once_what_it_stopped(url: str) -> None:
    """The store was away for most of the lease. Nobody waits for a heartbeat that misses the run."""

    async def works(context: AgentContext) -> str:
        if context.run.attempt == 1:
            await asyncio.Event().wait()
        return f"attempt {context.run.attempt}"

    async with sessionry.open(url, agents={"works": works}, settings=SILENT) as sessions:
        worker = sessions.worker
        assert worker is not None
        run = await (await sessions.create("works")).run("x", takeover=Takeover.RESTART)
        await until(lambda: _works_on(worker, 1))
        worker._stop_all(Stop.LOST)
        assert (await run.result(timeout=60)).text == "attempt 2"
        (lost,) = [event.data async for event in run.events(types="worker_lost")]
        assert isinstance(lost, ev.WorkerLost)
        assert (lost.action, lost.reason) == ("requeued", "abandoned")


async def test_who_fears_for_its_lease_begins_nothing_until_it_is_renewed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have to give back at once what it began, and begin it again, until there are no attempts left."""
    asked = asyncio.Event()
    settings = msgspec.structs.replace(BRISK, sweep=3600.0)  # which renews the lease too
    async with sessionry.open(url, settings=settings) as sessions:
        worker = sessions.worker
        assert worker is not None

        async def renew() -> None:
            asked.set()
            raise StoreFailed("store_failed", "away")

        with monkeypatch.context() as away:
            away.setattr(worker, "renew", renew)
            await asked.wait()
            worker._renewed -= settings.lease
            assert worker._overdue()
            run = await (await sessions.create("echo")).run("x")
            await asyncio.sleep(2 * PAUSE)
            assert (await run.get()).attempt == 0
        assert (await run.result(timeout=60)).text == "x"
        assert (await run.get()).attempt == 1


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_takes_no_run_from_a_worker_that_lives(
    url: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def works(context: AgentContext) -> str:
        for number in range(8):
            await context.emit(ev.CustomRecorded(name="n", value=number))
            await asyncio.sleep(0.1)
        return f"attempt {context.run.attempt}"

    async with sessionry.open(url, agents={"works": works}, settings=BRISK) as sessions:
        run = await (await sessions.create("works")).run("x")
        await until(lambda: _is(run, "running"))
        now = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: now() + hours * 3_600_000_000_000)
        async with sessionry.open(url, worker=False) as others:
            await others.recover()
        assert (await run.result(timeout=60)).text == "attempt 1"
        assert "worker_lost" not in await types_of(run)


async def _let_the_lease_end(sessions: Sessions) -> None:
    assert sessions.worker is not None
    await sessions.execute(leases.renew(sessions.worker.id, -60.0))


async def test_a_process_that_lives_gets_time_to_renew_a_lease_that_ended_while_the_machine_slept(url: str) -> None:
    async with sessionry.open(url, agents={"waits": _waits}, grace=0) as sessions:
        run = await (await sessions.create("waits")).run("x")
        await until(lambda: _is(run, "running"))
        await _let_the_lease_end(sessions)
        async with sessionry.open(url, worker=False) as others:
            assert not await others.recover()
        assert await _is(run, "running")


async def test_a_process_that_lives_and_stays_late_loses_its_runs(url: str) -> None:
    async with sessionry.open(url, agents={"waits": _waits}, grace=0, settings=SILENT) as sessions:
        run = await (await sessions.create("waits")).run("x")
        await until(lambda: _is(run, "running"))
        await _let_the_lease_end(sessions)
        async with sessionry.open(url, worker=False, settings=IMPATIENT) as others:
            await asyncio.sleep(IMPATIENT.lease + 0.1)
            assert (await others.recover()).runs == {run.id: "stopped"}


async def test_a_run_that_was_taken_over_is_stopped_where_it_was(url: str) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with sessionry.open(url, agents={"waits": waits}, grace=0, settings=SILENT) as sessions:
        run = await (await sessions.create("waits")).run("x")
        await begun.wait()
        await _let_the_lease_end(sessions)
        async with sessionry.open(url, worker=False, settings=IMPATIENT) as others:
            await asyncio.sleep(IMPATIENT.lease + 0.1)
            assert (await others.recover()).runs == {run.id: "stopped"}
        async with asyncio.timeout(60):  # the next heartbeat, which would tell it too, comes later
            await stopped.wait()


# --- what it holds, it works on ---------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("patience", [10.0, 0.2], ids=["patient", "impatient"])
async def test_a_full_disk_loses_nothing_that_was_told_and_leaves_no_run_behind(
    disk: Path, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitter, "STORE_PATIENCE", patience)
    monkeypatch.setattr(execution, "FINISH_PATIENCE", patience)
    told: list[int] = []
    enough = asyncio.Event()

    async def fills(context: AgentContext) -> str:
        while not enough.is_set():
            await context.emit(ev.CustomRecorded(name="n", value=[len(told), "x" * 20_000]))
            told.append(len(told))
        return "enough"

    ballast = disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    async with sessionry.open(f"sqlite:///{disk / 'store.db'}", agents={"fills": fills}, settings=BRISK) as sessions:
        worker, append, full = sessions.worker, sessions.store.append, asyncio.Event()
        assert worker is not None

        async def appends(appending: Appending) -> list[int]:
            try:
                return await append(appending)
            except StoreFailed:
                full.set()
                raise

        monkeypatch.setattr(sessions.store, "append", appends)
        run = await (await sessions.create("fills")).run("x")
        await full.wait()
        enough.set()
        if patience > 1:
            await asyncio.sleep(0.8)
        else:
            await until(lambda: _works_on(worker, 0))
        ballast.unlink()
        result = await run.result(timeout=60)
        assert result.status is (RunStatus.COMPLETED if patience > 1 else RunStatus.FAILED)
        kept = [event.data.value[0] async for event in run.events() if isinstance(event.data, ev.CustomRecorded)]
        assert kept[: len(told)] == told
        assert len(kept) <= len(told) + 1


async def test_a_run_that_its_worker_lost_sight_of_is_given_back(url: str) -> None:
    async with sessionry.open(url, settings=BRISK) as sessions:
        assert sessions.worker is not None
        worker_id = sessions.worker.id
        async with sessionry.open(url, worker=False, agents={"again": _again}) as others:
            run = await (await others.create("again")).run("x", takeover="restart")
            (delivery,) = await others.execute(leases.ready(Wanted(agents=["again"]), 1))
            assert await others.execute(leases.begin(delivery, worker_id, AgentFacts(type="function")))
            await until(lambda: _is(run, "pending"))
        sessions.catalog.add("again", _again)
        run = sessions.run(run.id)
        assert (await run.result(timeout=60)).text == "attempt 2"
        assert "worker_lost" in await types_of(run)


async def _again(context: AgentContext) -> str:
    return f"attempt {context.run.attempt}"


async def test_what_cannot_begin_for_want_of_slots_in_the_store_is_not_tried_again_and_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sessionry.open(url, agents={"waits": _waits}, grace=0) as sessions:
        await sessions.limit_slots(2)
        done, execute = Counter[str](), sessions.store.execute

        async def counted(operation: Any) -> Any:
            done[operation.function.__name__] += 1
            return await execute(operation)

        monkeypatch.setattr(sessions.store, "execute", counted)
        runs = [await (await sessions.create("waits")).run("x") for _ in range(6)]
        await until(lambda: _counts(sessions, 2))
        await asyncio.sleep(0.3)
        assert done["begin"] <= len(runs), "each once at most"
        for run in runs[:2]:
            await run.cancel()
        await until(lambda: _is(runs[3], "running"))
        assert (await sessions.counts()).runs["running"] == 2


# --- in a hurry -------------------------------------------------------------------------------------------------------


async def test_leaving_at_any_moment_after_a_submission_does_not_wait_for_the_run(url: str) -> None:
    agents = {"waits": FunctionAgent("waits", _waits, takeover=Takeover.RESTART)}
    for turns in range(0, 120, 6):
        async with asyncio.timeout(60):
            run_id = await _submit_and_leave(url, agents, turns)
        async with sessionry.open(url, worker=False) as sessions:
            assert await _is(sessions.run(run_id), "pending")


async def _submit_and_leave(url: str, agents: dict[str, Any], turns: int) -> str:
    """Leave by an exception, which does not wait for what is at work."""
    try:
        async with sessionry.open(url, agents=agents, grace=None) as sessions:
            run = await (await sessions.create("waits")).run("x", max_attempts=99)
            for _ in range(turns):
                await asyncio.sleep(0)
            raise InterruptedError
    except InterruptedError:
        return run.id


async def test_leaving_that_is_cancelled_too_leaves_no_task_behind(url: str) -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async def works() -> None:
        async with sessionry.open(url, agents={"stubborn": stubborn}) as sessions:
            run = await (await sessions.create("stubborn")).run("x")
            await until(lambda: _is(run, "running"))
            began.set()
            await asyncio.Event().wait()

    began, before = asyncio.Event(), asyncio.all_tasks()
    working = asyncio.create_task(works())
    await began.wait()
    for _ in range(2):
        working.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await working
    released.set()
    async with asyncio.timeout(60):
        while asyncio.all_tasks() != before:
            await asyncio.sleep(0.01)


async def test_draining_takes_no_more_runs_and_leaves_them_in_the_queue(url: str) -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    async with sessionry.open(url, agents={"waits": waits}, slots=2) as sessions:
        runs = [await (await sessions.create("waits")).run("x") for _ in range(6)]
        await until(lambda: _counts(sessions, 2))
        draining = asyncio.create_task(sessions.drain())
        await asyncio.sleep(0.05)
        gate.set()
        assert await draining
        statuses = [(await run.get()).status for run in runs]
        assert statuses.count(RunStatus.COMPLETED) == 2
        assert statuses.count(RunStatus.PENDING) == 4


async def _counts(sessions: Sessions, running: int) -> bool:
    return (await sessions.counts()).runs.get("running") == running


# --- processes of the dead --------------------------------------------------------------------------------------------


async def _pid_in(file: Path) -> psutil.Process:
    async def read() -> str:
        return file.read_text() if file.exists() else ""

    return psutil.Process(int(await until(read)))


@pytest.mark.parametrize("takeover", ["stop", "restart"])
async def test_what_a_killed_worker_left_running_is_ended_before_the_run_is_tried_again(
    url: str, tmp_path: Path, takeover: str
) -> None:
    program = Program(url, "work")
    try:
        program.until("worker")
        async with sessionry.open(url, worker=False) as sessions:
            command = f"setsid sleep 300 & echo $! > {tmp_path}/pid; kill -0 $(cat {tmp_path}/pid); wait"
            session = await sessions.create("shell", cwd=str(tmp_path))
            run = await session.run(["sh", "-c", command], takeover=takeover, max_attempts=2)
            left = await _pid_in(tmp_path / "pid")
    finally:
        program.kill()
    assert left.is_running()
    (tmp_path / "pid").unlink()
    async with sessionry.open(url, grace=0) as sessions:
        assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
        if takeover == "restart":
            assert await _pid_in(tmp_path / "pid") != left
            await sessions.run(run.id).cancel()
        else:
            result = await sessions.run(run.id).result(timeout=60)
            assert result.error is not None
            assert result.error.code == "worker_lost"


async def test_a_process_that_has_nothing_to_do_with_the_lost_worker_is_left_alone(url: str) -> None:
    program = Program(url, "submit", "calls_a_tool", "x")
    bystander = subprocess.Popen(["sleep", "60"], env=os.environ | {"SESSIONRY_MARKS": "wrk_other run_other"})
    try:
        run_id = program.until("run")
        program.until("tool")
        program.kill()
        async with sessionry.open(url, worker=False) as sessions:
            assert await _is(sessions.run(run_id), "failed")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
