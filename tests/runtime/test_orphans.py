"""kill -9 of a worker whose agents have programs with children everywhere: nobody survives the next look at the store."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import psutil
import pytest

import sessionry
from sessionry import RunStatus, Sessions
from sessionry.domain import events as ev

from .conftest import until
from .program import AGENTS
from .test_recovery import Program


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


async def killed(url: str, agent: str, mode: str) -> tuple[str, list[int]]:
    """A worker that was killed in the middle of a run whose agent's program runs: the run, and who was left."""
    worker = Program(url, "submit", agent, mode)
    try:
        run_id = str(worker.until("run"))
        pids = worker.until("pids")
    finally:
        worker.kill()
    assert isinstance(pids, list)
    return run_id, pids


@pytest.mark.parametrize("mode", ["parent", "deaf", "wiped"])
async def test_nobody_survives_the_next_look_at_the_store(url: str, mode: str) -> None:
    """Children that left the session, that ignore all signals, that wiped their environment."""
    run_id, pids = await killed(url, "has_a_program_once", mode)
    assert any(map(alive, pids))
    async with sessionry.open(url, worker=False) as sessions:
        run = await sessions.run(run_id).get()
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error.code == "worker_lost"
        assert not any(map(alive, pids))


async def test_the_next_attempt_has_the_place_to_itself(url: str) -> None:
    run_id, pids = await killed(url, "has_a_program", "parent")
    async with sessionry.open(url, agents=AGENTS) as sessions:
        result = await sessions.run(run_id).result(timeout=60)
        assert result.status is RunStatus.COMPLETED
        assert not any(map(alive, pids))
        started = await _started(sessions, run_id)
    assert [data.host for data in started] == [socket.gethostname()] * 2
    assert started[0].pid == pids[0]
    assert not any(alive(data.pid) for data in started)


async def test_a_worker_that_lives_keeps_its_programs(url: str) -> None:
    worker = Program(url, "submit", "has_a_program", "parent")
    try:
        pids = worker.until("pids")
        async with sessionry.open(url, worker=False):
            assert isinstance(pids, list)
            assert all(map(alive, pids))
    finally:
        worker.kill()
        async with sessionry.open(url, worker=False):
            pass


async def test_a_worker_starts_no_more_programs_than_it_may(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONRY_MAX_PROCESSES", "1")
    async with sessionry.open(url, agents=AGENTS, grace=0) as sessions:
        runs = [await (await sessions.create("has_a_program")).run("parent", stall_after=0.2) for _ in range(2)]

        async def one_has_begun() -> bool:
            return any([await _started(sessions, run.id) for run in runs])

        await until(one_has_begun)
        await asyncio.sleep(0.5)
        first, second = [await _started(sessions, run.id) for run in runs]
        assert sorted([len(first), len(second)]) == [0, 1]
        waiting, working = (runs[0], runs[1]) if not first else (runs[1], runs[0])
        assert not [event async for event in waiting.events(follow=False) if isinstance(event.data, ev.RunStalled)]
        await working.cancel()

        async def the_other_has_begun() -> bool:
            return bool(await _started(sessions, waiting.id))

        await until(the_other_has_begun)
        await waiting.cancel()
        assert (await waiting.result(timeout=60)).status is RunStatus.CANCELLED


async def _started(sessions: Sessions, run_id: str) -> list[ev.AgentProcessStarted]:
    events = [event.data async for event in sessions.run(run_id).events(follow=False)]
    return [data for data in events if isinstance(data, ev.AgentProcessStarted)]
