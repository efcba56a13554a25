"""Cancel against finish against deadline against takeover: whatever wins, every run gets exactly one end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sessionry
from sessionry import SessionryError
from sessionry.domain import events as ev
from sessionry.domain.fold import fold
from sessionry.store.operations import recovery

ENDINGS = {kind.type for kind in ev.RUN_ENDINGS}


async def works(context: sessionry.AgentContext, message: str) -> AsyncIterator[Any]:
    """Starts tools and ends some of them; message: how long it takes, in milliseconds."""
    for number in range(3):
        yield ev.ToolCallStarted(tool_call_id=f"t{number}", tool_name="bash")
        await asyncio.sleep(float(message) / 3000)
        if number % 2:
            yield ev.ToolCallCompleted(tool_call_id=f"t{number}", tool_name="bash")


async def _disturb(sessions: sessionry.Sessions, run: sessionry.RunHandle, what: str, after: float) -> None:
    await asyncio.sleep(after)
    try:
        match what:
            case "cancel":
                await run.cancel()
            case "after_turn":
                await run.cancel(mode="after_turn")
            case "take_over":
                worker_id = (await run.get()).worker_id or "wrk_none"
                await sessions.execute(recovery.take_over(run.id, worker_id, "lease_expired"))
            case "session":
                await (await run.session()).cancel()
            case "pause":
                await (await run.session()).pause()
                await (await run.session()).resume()
    except SessionryError:
        pass  # refused: the log below says whether it was refused whole


DISTURBANCE = st.tuples(
    st.sampled_from(["cancel", "after_turn", "take_over", "session", "pause"]), st.integers(min_value=0, max_value=40)
)


@given(
    milliseconds=st.integers(min_value=0, max_value=40),
    timeout=st.sampled_from([None, 0.01, 0.02, 0.03]),
    takeover=st.sampled_from(["stop", "restart"]),
    disturbances=st.lists(DISTURBANCE, max_size=4),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_races_a_run_ends_exactly_once(
    milliseconds: int, timeout: float | None, takeover: str, disturbances: list[tuple[str, int]]
) -> None:
    async def scenario() -> None:
        async with sessionry.open("memory://", agents={"works": works}, cancel_grace=1.0) as sessions:
            session = await sessions.create("works")
            runs = [await session.run(str(milliseconds), timeout=timeout, takeover=takeover) for _ in range(2)]
            await asyncio.gather(
                *(
                    _disturb(sessions, runs[number % 2], what, after / 1000)
                    for number, (what, after) in enumerate(disturbances)
                )
            )
            for run in runs:
                await run.result(timeout=60)
            await _check(session)

    asyncio.run(scenario())


async def _check(session: sessionry.SessionHandle) -> None:
    events = [event async for event in session.events()]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    folded, runs = fold(events)
    assert folded == await session.get()
    ends = Counter(event.run_id for event in events if event.type in ENDINGS)
    assert ends == dict.fromkeys(runs, 1)
    for run_id, run in runs.items():
        own = [event for event in events if event.run_id == run_id]
        assert own[-1].type in ENDINGS
        assert run.ended
        calls = Counter(event.type.replace("interrupted", "completed") for event in own if "tool_call" in event.type)
        assert calls["tool_call_started"] == calls["tool_call_completed"]


@pytest.mark.slow
async def test_a_crowd_of_runs_ends_each_exactly_once() -> None:
    generator = random.Random(7)
    async with sessionry.open("memory://", agents={"works": works}, slots=40) as sessions:
        handles = [await sessions.create("works", slots=3) for _ in range(30)]
        jobs = []
        for session in handles:
            for _ in range(20):
                run = await session.run(str(generator.randrange(50)), takeover="restart", max_attempts=9)
                for _ in range(generator.randrange(3)):
                    what = generator.choice(["cancel", "after_turn", "take_over", "pause"])
                    jobs.append(_disturb(sessions, run, what, generator.random()))
                jobs.append(_wait(run))
        await asyncio.gather(*jobs)
        for session in handles:
            await _check(session)


async def _wait(run: sessionry.RunHandle) -> None:
    await run.result(timeout=60)
