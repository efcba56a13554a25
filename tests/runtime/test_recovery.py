"""What is left after kill -9, SIGSTOP and a shutdown, told by the processes that come after."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sessionry
from sessionry import RunStatus, Scope, SessionStatus
from sessionry.agents.function import FunctionAgent
from sessionry.domain.fold import fold
from sessionry.settings import load_settings
from sessionry.store.operations import leases

from .conftest import until
from .program import AGENTS

ROOT = Path(__file__).parents[2]
#: Somebody who soon gives up a worker that is late.
IMPATIENT = msgspec.structs.replace(load_settings(), lease=0.6, heartbeat=0.1)


class Program:
    """A started `program.py`."""

    def __init__(self, url: str, *arguments: str, lease: float = 15.0) -> None:
        environment = os.environ | {"SESSIONRY_LEASE": str(lease), "SESSIONRY_HEARTBEAT": str(lease / 5)}
        command = [sys.executable, "-m", "tests.runtime.program", url, *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        assert text, "the program ended early"
        found: dict[str, Any] = json.loads(text)
        return found

    def until(self, key: str) -> Any:
        while key not in (line := self.line()):
            pass
        return line[key]

    def freeze(self, url: str) -> None:
        """Stop it between two of its writes: whoever holds the file stops everybody."""
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=1, isolation_level=None)) as other:
            while True:
                self.process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
                try:
                    other.execute("begin immediate")
                except sqlite3.OperationalError:
                    self.process.send_signal(signal.SIGCONT)
                else:
                    return

    def kill(self) -> list[dict[str, Any]]:
        """Kill -9; the lines that it had still printed."""
        self.process.send_signal(signal.SIGKILL)
        rest, _ = self.process.communicate()
        return [json.loads(line) for line in rest.splitlines() if line.endswith("}")]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        if program.process.poll() is None:
            program.kill()
        assert program.process.stdout is not None
        program.process.stdout.close()


async def check_log(sessions: sessionry.Sessions, session_id: str) -> None:
    """The log is gapless, means what the rows say, and each ended run has one end."""
    events = [event async for event in sessions.session(session_id).events()]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    session, runs = fold(events)
    assert session == await sessions.session(session_id).get()
    for run in runs.values():
        assert run == await sessions.run(run.id).get()


def numbers_of(events: list[sessionry.Event]) -> list[int]:
    return [event.data.value for event in events if event.type == "custom_recorded"]  # type: ignore[attr-defined]


async def test_a_killed_run_that_can_resume_is_finished_by_the_next_process(url: str, programs: list[Program]) -> None:
    first = Program(url, "submit", "counts_in_two", "400")
    programs.append(first)
    run_id = first.until("run")
    while first.until("number") < 50:
        pass
    first.kill()
    async with sessionry.open(url, agents=AGENTS) as sessions:
        result = await sessions.run(run_id).result(timeout=60)
        assert result.text == "attempt 2"
        events = [event async for event in sessions.run(run_id).events()]
        taken_over = next(event for event in events if event.type == "worker_lost")
        await check_log(sessions, result.session_id)
    assert numbers_of(events) == list(range(400))
    assert taken_over.data.reason == "process_gone"  # type: ignore[attr-defined]


async def test_a_killed_run_that_must_not_be_repeated_fails_as_lost(url: str, programs: list[Program]) -> None:
    first = Program(url, "submit", "counts_once", "100000")
    programs.append(first)
    run_id = first.until("run")
    first.until("number")
    first.kill()
    async with sessionry.open(url, worker=False) as sessions:
        run = await sessions.run(run_id).get()
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error.code == "worker_lost"
        await check_log(sessions, run.session_id)


async def test_a_tool_call_does_not_dangle_after_a_kill(url: str, programs: list[Program]) -> None:
    first = Program(url, "submit", "calls_a_tool", "x")
    programs.append(first)
    run_id = first.until("run")
    first.until("tool")
    first.kill()
    async with sessionry.open(url, worker=False) as sessions:
        types = [event.type async for event in sessions.run(run_id).events(follow=False)]
    assert types[-3:] == ["worker_lost", "tool_call_interrupted", "run_failed"]


async def test_a_waiting_approval_survives_a_kill_and_is_answered_later(url: str, programs: list[Program]) -> None:
    first = Program(url, "submit", "asks", "production")
    programs.append(first)
    run_id = first.until("run")
    first.until("asking")
    async with sessionry.open(url, worker=False) as sessions:
        await until(sessions.approvals)
    first.kill()
    async with sessionry.open(url, worker=False) as sessions:
        assert (await sessions.run(run_id).get()).status is RunStatus.WAITING
        (approval,) = await sessions.approvals()
        await approval.approve(by="ann", note="go")
        assert (await sessions.run(run_id).get()).status is RunStatus.PENDING
    async with sessionry.open(url, agents=AGENTS) as sessions:
        result = await sessions.run(run_id).result(timeout=60)
        assert result.text == "True by ann in attempt 2"
        await check_log(sessions, result.session_id)


async def test_another_process_submits_watches_and_cancels(url: str, programs: list[Program]) -> None:
    worker = Program(url, "work")
    programs.append(worker)
    worker.until("worker")
    async with sessionry.open(url, worker=False) as sessions:
        session = await sessions.create("counts")
        run = await session.run("1000000")
        seen = 0
        async with asyncio.timeout(60):  # it would count for half an hour
            async for event in run.events():
                seen += event.type == "custom_recorded"
                if seen == 20:
                    await run.cancel(reason="enough")
        assert (await run.get()).status is RunStatus.CANCELLED
        await check_log(sessions, session.id)


async def test_another_process_answers_what_the_first_one_asks(url: str, programs: list[Program]) -> None:
    worker = Program(url, "work")
    programs.append(worker)
    worker.until("worker")
    async with sessionry.open(url, worker=False) as sessions:
        run = await (await sessions.create("asks")).run("staging")
        (approval,) = await until(sessions.approvals)
        await approval.deny(by="bob")
        assert (await run.result(timeout=60)).text == "False by bob in attempt 1"


async def test_a_frozen_worker_loses_its_run_and_is_fenced_when_it_wakes(url: str, programs: list[Program]) -> None:
    frozen = Program(url, "submit", "counts_in_two", "400")
    programs.append(frozen)
    run_id = frozen.until("run")
    frozen.until("number")
    frozen.freeze(url)
    programs.append(Program(url, "work"))
    async with sessionry.open(url, worker=False, settings=IMPATIENT) as sessions:
        run = sessions.run(run_id)
        await sessions.execute(leases.renew((await run.get()).worker_id or "", -60.0))

        async def begun_elsewhere() -> bool:
            await sessions.recover()
            return await _attempt(run, 2)

        await until(begun_elsewhere)
        frozen.process.send_signal(signal.SIGCONT)
        result = await run.result(timeout=60)
        assert result.text == "attempt 2"
        events = [event async for event in run.events()]
        assert numbers_of(events) == list(range(400))
        await check_log(sessions, result.session_id)


async def _attempt(run: sessionry.RunHandle, number: int) -> bool:
    return (await run.get()).attempt == number


async def test_leaving_gives_a_run_back_that_can_go_on_elsewhere(url: str) -> None:
    run_id = await _leave_at_once(url, AGENTS, "counts", "2000")
    async with sessionry.open(url, worker=False) as sessions:
        assert (await sessions.run(run_id).get()).status is RunStatus.PENDING
        assert await sessions.workers() == []
    async with sessionry.open(url, agents=AGENTS) as sessions:
        assert (await sessions.run(run_id).result(timeout=60)).text == "attempt 2"


async def _leave_at_once(url: str, agents: dict[str, Any], agent: str, message: str, run_id: str = "") -> str:
    """Leave the store by an exception while it works on the run, which is submitted when there is none."""
    try:
        async with sessionry.open(url, agents=agents) as sessions:
            if run_id:
                run = sessions.run(run_id)
            else:
                run = await (await sessions.create(agent)).run(message, max_attempts=2)
            await until(lambda: _running(run))
            raise InterruptedError
    except InterruptedError:
        return run.id


async def _running(run: sessionry.RunHandle) -> bool:
    return (await run.get()).status is RunStatus.RUNNING


async def test_leaving_waits_for_runs_at_work(url: str) -> None:
    async with sessionry.open(url, agents=AGENTS) as sessions:
        run = await (await sessions.create("counts_once")).run("100")
        await until(lambda: _attempt(run, 1))
    async with sessionry.open(url, worker=False) as sessions:
        assert (await sessions.run(run.id).get()).status is RunStatus.COMPLETED


async def test_an_agent_that_ignores_its_cancellation_is_left_behind(url: str) -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async with sessionry.open(url, agents={"stubborn": stubborn}, cancel_grace=0.2) as sessions:
        run = await (await sessions.create("stubborn")).run("x")
        await until(lambda: _attempt(run, 1))
        await run.cancel()
        result = await run.result(timeout=60)
        assert result.status is RunStatus.CANCELLED
        released.set()


async def test_a_run_is_not_restarted_for_ever(url: str) -> None:
    agents = {"counts": FunctionAgent("counts", _endless, takeover=sessionry.Takeover.RESTART)}
    run_id = await _leave_at_once(url, agents, "counts", "x")
    await _leave_at_once(url, agents, "counts", "x", run_id)
    async with sessionry.open(url, worker=False) as sessions:
        run = await sessions.run(run_id).get()
        assert run.status is RunStatus.FAILED
        session = await sessions.session(run.session_id).get()
        assert session.status is SessionStatus.ACTIVE


async def _endless() -> None:
    await asyncio.Event().wait()


async def test_the_tenant_of_a_run_is_kept_by_whoever_works_on_it(url: str) -> None:
    async with (
        sessionry.open(url, scope=Scope("a"), worker=False) as mine,
        sessionry.open(url, scope=Scope("b"), agents=AGENTS) as others,
    ):
        run = await (await mine.create("counts")).run("5")
        assert (await run.result(timeout=60)).text == "attempt 1"
        with pytest.raises(sessionry.NotFound):
            await others.run(run.id).get()
