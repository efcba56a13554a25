"""Agents that say nothing: it is told, again when it has lasted twice as long, and may be the end of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext, Continuation, InvalidInput, OnStall, RunStatus, Sessions
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.run import AgentFacts

from .conftest import until


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    async with sessionry.open("memory://", cancel_grace=0.5, grace=0) as opened:
        yield opened


async def start(sessions: Sessions, agent: Any, **options: Any) -> sessionry.RunHandle:
    sessions.catalog.add("agent", agent)
    return await (await sessions.create("agent")).run("x", **options)


async def stalls_of(run: sessionry.RunHandle) -> list[ev.RunStalled]:
    return [event.data async for event in run.events(follow=False) if isinstance(event.data, ev.RunStalled)]


async def silent() -> None:
    await asyncio.Event().wait()


class Patient(FunctionAgent):
    """An agent that declares what silence of it means."""

    @property
    def facts(self) -> AgentFacts:
        return AgentFacts(type="function", stall_after=0.05, on_stall=OnStall.FAIL)


async def test_silence_is_told_again_and_again_after_twice_the_time(sessions: Sessions) -> None:
    run = await start(sessions, silent, stall_after=0.05)

    async def told() -> bool:
        return len(await stalls_of(run)) >= 3

    await until(told)
    await run.cancel()
    assert (await run.result(timeout=60)).status is RunStatus.CANCELLED
    seconds = [stall.seconds for stall in await stalls_of(run)][:3]
    assert all(least <= found for least, found in zip([0.05, 0.1, 0.2], seconds, strict=True))


async def test_without_the_option_silence_is_nobodys_business(sessions: Sessions) -> None:
    async def is_silent_for_a_moment() -> str:
        await asyncio.sleep(0.15)
        return "done"

    run = await start(sessions, is_silent_for_a_moment)
    assert (await run.result(timeout=60)).text == "done"
    assert await stalls_of(run) == []


async def test_a_run_may_fail_of_silence_and_the_agent_is_stopped(sessions: Sessions) -> None:
    stopped = asyncio.Event()

    async def is_stopped() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    run = await start(sessions, is_stopped, stall_after=0.05, on_stall="fail")
    result = await run.result(timeout=60)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("stalled", True)
    assert result.error.message == "nothing was heard of the agent for 0.05 s"
    assert stopped.is_set()
    assert len(await stalls_of(run)) == 1


async def test_an_agent_that_ignores_its_end_is_left_behind_and_the_log_says_so(sessions: Sessions) -> None:
    over = asyncio.Event()

    async def ignores() -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    run = await start(sessions, ignores, stall_after=0.05, on_stall="fail")
    result = await run.result(timeout=60)
    over.set()
    assert result.error is not None
    assert result.error.message.endswith("the agent did not stop in time and was left behind")


async def test_a_tool_at_work_is_silence_and_is_named(sessions: Sessions) -> None:
    async def calls() -> AsyncIterator[ev.EventData]:
        yield ev.ToolCallStarted(tool_call_id="t1", tool_name="read")
        yield ev.ToolCallStarted(tool_call_id="t2", tool_name="bash")
        yield ev.ToolCallCompleted(tool_call_id="t1", tool_name="read")
        await asyncio.Event().wait()

    run = await start(sessions, calls, stall_after=0.5, on_stall=OnStall.FAIL)
    result = await run.result(timeout=60)
    assert result.error is not None
    assert result.error.message == "nothing was heard of the agent for 0.5 s while bash was at work"
    assert result.error.details == {"stall_after": 0.5, "tool_name": "bash"}
    (stall,) = await stalls_of(run)
    assert (stall.tool_call_id, stall.tool_name) == ("t2", "bash")
    types = [event.type async for event in run.events()]
    assert types[-3:] == ["run_stalled", "tool_call_interrupted", "run_failed"]


async def test_whoever_speaks_is_not_silent(sessions: Sessions) -> None:
    async def speaks() -> AsyncIterator[str]:
        for _ in range(25):
            await asyncio.sleep(0.1)
            yield "x"

    run = await start(sessions, speaks, stall_after=2.0, on_stall="fail")
    assert (await run.result(timeout=60)).status is RunStatus.COMPLETED


async def test_waiting_for_a_person_is_not_silence_and_afterwards_it_counts_anew(sessions: Sessions) -> None:
    async def asks(context: AgentContext) -> str:
        await context.approve("delete")
        await asyncio.sleep(0.05)
        return "done"

    run = await start(sessions, asks, stall_after=2.0, on_stall="fail")

    async def question() -> Any:
        return await sessions.approvals()

    (approval,) = await until(question)
    await asyncio.sleep(2.3)
    await approval.approve()
    assert (await run.result(timeout=60)).text == "done"
    assert await stalls_of(run) == []


async def test_waiting_for_as_long_as_the_provider_asked_is_not_silence(sessions: Sessions) -> None:
    async def waits() -> AsyncIterator[ev.EventData]:
        yield ev.RateLimited(retry_after=0.4)
        await asyncio.sleep(0.4)
        yield ev.RateLimited()
        await asyncio.Event().wait()

    run = await start(sessions, waits, stall_after=0.2, on_stall="fail")
    result = await run.result(timeout=60)
    assert result.error is not None
    assert result.error.code == "stalled"
    assert result.seconds is not None
    assert result.seconds >= 0.6


async def test_a_told_silence_does_not_begin_the_idle_time_again(sessions: Sessions) -> None:
    run = await start(sessions, silent, stall_after=0.05, idle_timeout=2.0)
    result = await run.result(timeout=60)
    assert result.status is RunStatus.TIMEOUT
    assert result.seconds is not None
    assert result.seconds < 5, "begun again at 1.6 s and 3.2 s it would be more"
    assert len(await stalls_of(run)) >= 2


async def test_an_agent_declares_what_its_silence_means_and_the_run_may_say_otherwise(sessions: Sessions) -> None:
    failed = await (await start(sessions, Patient("agent", silent))).result(timeout=60)
    assert failed.error is not None
    assert failed.error.code == "stalled"
    run = await start(sessions, Patient("agent", silent), on_stall="tell")

    async def told() -> bool:
        return len(await stalls_of(run)) >= 2

    await until(told)
    await run.cancel()
    assert (await run.result(timeout=60)).status is RunStatus.CANCELLED


async def test_an_agent_cannot_tell_of_its_own_silence(sessions: Sessions) -> None:
    async def forges() -> AsyncIterator[ev.EventData]:
        yield ev.RunStalled(seconds=1)

    result = await (await start(sessions, forges)).result(timeout=60)
    assert result.status is RunStatus.FAILED


@pytest.mark.parametrize(
    "options", [{"stall_after": 0}, {"stall_after": -1.0}, {"on_stall": "shout"}, {"continuation": "sideways"}]
)
async def test_what_is_no_option_is_refused_by_its_name(sessions: Sessions, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        await start(sessions, silent, **options)
    assert caught.value.code == "validation_error"
    assert [caught.value.details["path"]] == list(options)


async def test_the_options_are_kept_with_the_run(sessions: Sessions) -> None:
    async def done() -> str:
        return "done"

    run = await start(sessions, done, stall_after=60, on_stall="fail", continuation="fresh")
    options = (await run.get()).options
    assert (options.stall_after, options.on_stall, options.continuation) == (60, OnStall.FAIL, Continuation.FRESH)
