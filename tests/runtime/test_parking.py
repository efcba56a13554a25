"""A run that waits for a person and has no worker: whatever happens to it then, it goes on or ends, and only once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext, RunStatus
from sessionry.domain import events as ev

from .conftest import types_of, until
from .test_recovery import Program, check_log


async def asks(context: AgentContext) -> str:
    """Asks two questions at once."""
    answers = await asyncio.gather(context.approve("delete", "a"), context.approve("delete", "b"))
    return f"{sum(map(bool, answers))} in attempt {context.run.attempt}"


AGENTS: dict[str, Any] = {"asks": asks}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


async def park(url: str, **options: Any) -> str:
    """The id of a run that waits for two answers when its worker leaves."""
    try:
        async with sessionry.open(url, agents=AGENTS) as sessions:
            run = await (await sessions.create("asks")).run("x", **options)
            await until(lambda: _asked(run))
            raise InterruptedError
    except InterruptedError:
        return run.id


async def _asked(run: sessionry.RunHandle) -> bool:
    return len(await run.approvals(status="pending")) == 2


async def test_it_waits_for_all_its_answers(url: str) -> None:
    run_id = await park(url)
    async with sessionry.open(url, agents=AGENTS) as sessions:
        run = sessions.run(run_id)
        first, second = await run.approvals()
        await first.approve()
        assert (await run.get()).status is RunStatus.WAITING
        await second.deny()
        assert (await run.result(timeout=60)).text == "1 in attempt 2"
        assert (await types_of(run)).count("tool_approval_requested") == 2
        await check_log(sessions, (await run.get()).session_id)


async def test_it_can_be_cancelled(url: str) -> None:
    run_id = await park(url)
    async with sessionry.open(url, worker=False) as sessions:
        run = sessions.run(run_id)
        await run.cancel(mode="after_turn", reason="enough")
        assert (await run.get()).status is RunStatus.CANCELLED
        assert (await types_of(run))[-3:] == ["approval_expired", "approval_expired", "run_cancelled"]
        assert await sessions.approvals() == []
        for approval in await run.approvals():
            with pytest.raises(sessionry.Conflict, match="expired"):
                await approval.approve()


async def test_its_session_can_be_cancelled(url: str) -> None:
    run_id = await park(url)
    async with sessionry.open(url, worker=False) as sessions:
        run = sessions.run(run_id)
        await (await run.session()).cancel()
        assert (await run.get()).status is RunStatus.CANCELLED


@pytest.mark.parametrize("limit", ["timeout", "deadline"])
async def test_its_time_can_be_over(url: str, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"timeout": 600.0} if limit == "timeout" else {"deadline": datetime.now(UTC) + timedelta(minutes=10)}
    run_id = await park(url, **options)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3_600_000_000_000)
    async with sessionry.open(url, worker=False) as sessions:
        run = sessions.run(run_id)
        assert (await run.get()).status is RunStatus.TIMEOUT
        last = [event async for event in run.events()][-1]
        assert isinstance(last.data, ev.RunTimeout)
        assert last.data.limit == limit


async def test_a_paused_session_keeps_it_even_when_the_answers_are_there(url: str) -> None:
    run_id = await park(url)
    async with sessionry.open(url, agents=AGENTS) as sessions:
        run = sessions.run(run_id)
        session = await run.session()
        await session.pause()
        for approval in await run.approvals():
            await approval.approve()
        await asyncio.sleep(0.1)
        assert (await run.get()).status is RunStatus.PENDING
        await session.resume()
        assert (await run.result(timeout=60)).text == "2 in attempt 2"


async def test_it_goes_before_those_that_were_queued_later(url: str) -> None:
    run_id = await park(url)
    async with sessionry.open(url, agents=AGENTS) as sessions:
        run = sessions.run(run_id)
        later = await (await run.session()).run("x", agent="echo")
        await asyncio.sleep(0.1)
        assert (await later.get()).status is RunStatus.PENDING
        for approval in await run.approvals():
            await approval.approve()
        assert (await later.result(timeout=60)).status is RunStatus.COMPLETED
        started, ended = (await later.get()).started_at, (await run.get()).ended_at
        assert started is not None
        assert ended is not None
        assert ended < started


async def test_a_worker_that_dies_between_the_answer_and_going_on_loses_neither(url: str) -> None:
    program = Program(url, "submit", "asks", "production")
    try:
        run_id = program.until("run")
        program.until("asking")
        async with sessionry.open(url, worker=False) as sessions:
            (approval,) = await until(sessions.approvals)
            await approval.approve(by="ann")
    finally:
        program.kill()
    async with sessionry.open(url, agents={"asks": _asks_again}) as sessions:
        run = sessions.run(run_id)
        result = await run.result(timeout=60)
        assert result.text is not None
        assert "by ann" in result.text
        types = await types_of(run)
        assert types.count("tool_approval_requested") == types.count("tool_approval_granted") == 1
        await check_log(sessions, result.session_id)


async def _asks_again(context: AgentContext, message: str) -> str:
    decision = await context.approve("deploy", {"to": message})
    return f"{decision.approved} by {decision.by}"
