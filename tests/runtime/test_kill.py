"""kill -9 at random moments, again and again on one store: what was acknowledged is there, once, and nothing hangs."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path

import pytest

import sessionry
from sessionry import RunStatus
from sessionry.domain.fold import fold
from sessionry.domain.lifecycle import RUN_ENDED

from .test_recovery import Program, numbers_of


class Told:
    """What the killed processes had said: these things must be found."""

    def __init__(self) -> None:
        self.submitted: dict[str, str] = {}
        self.numbers: dict[str, list[int]] = defaultdict(list)

    def take(self, lines: list[dict[str, object]]) -> None:
        for line in lines:
            if "submitted" in line:
                self.submitted[str(line["submitted"])] = str(line["agent"])
            elif "number" in line:
                self.numbers[str(line["run"])].append(int(str(line["number"])))


async def _rounds(url: str, rounds: int, seed: int) -> None:
    generator = random.Random(seed)
    told = Told()
    for number in range(rounds):
        program = Program(url, "crowd" if number % 3 == 0 else "work")
        try:
            lines = [program.line()]
            await asyncio.sleep(generator.random() * 0.5)
        finally:
            rest = program.kill()
        told.take(lines + rest)
        async with sessionry.open(url, worker=False) as sessions:
            await _check(sessions, told, every=number == rounds - 1)


async def _check(sessions: sessionry.Sessions, told: Told, *, every: bool) -> None:
    """After the sweep: nothing runs, what was told is there. `every`: all logs are read and folded."""
    counts = await sessions.counts()
    assert "running" not in counts.runs
    waiting = [await handle.get() for handle in await sessions.approvals(limit=1000)]
    assert len({approval.run_id for approval in waiting}) == counts.runs.get("waiting", 0)
    recent = told.submitted if every else dict(list(told.submitted.items())[-8:])
    for run_id in recent:
        run = await sessions.run(run_id).get()
        numbers = numbers_of([event async for event in sessions.run(run_id).events(follow=False)])
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= len(set(told.numbers[run_id]))
        if told.submitted[run_id] == "asks" and run.status is RunStatus.WAITING:
            assert run_id in {approval.run_id for approval in waiting}
    if every:
        await _check_all(sessions)


async def _check_all(sessions: sessionry.Sessions) -> None:
    cursor = None
    while True:
        page = await sessions.list(order="created", limit=100, cursor=cursor)
        for item in page.items:
            await _check_session(sessions, item.session.id)
        if (cursor := page.cursor) is None:
            return


async def _check_session(sessions: sessionry.Sessions, session_id: str) -> None:
    events = [event async for event in sessions.session(session_id).events()]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    session, runs = fold(events)
    assert session == await sessions.session(session_id).get()
    for run_id, run in runs.items():
        own = [event for event in events if event.run_id == run_id]
        ends = [event for event in own if event.type in {"run_completed", "run_failed", "run_cancelled", "run_timeout"}]
        assert len(ends) == (1 if run.status in RUN_ENDED else 0)
        started = sum(event.type == "tool_call_started" for event in own)
        interrupted = sum(event.type == "tool_call_interrupted" for event in own)
        assert started == interrupted


async def test_six_kills(tmp_path: Path) -> None:
    await _rounds(f"sqlite:///{tmp_path / 'store.db'}", 6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_two_hundred_kills(tmp_path: Path) -> None:
    await _rounds(f"sqlite:///{tmp_path / 'store.db'}", 200, seed=2)
