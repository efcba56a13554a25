"""What agents do with their context: at once, in a hurry, again and again, and when it is too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext, Conflict, RunStatus, Sessions, Takeover
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.records import utc_now
from sessionry.store.operations import recovery

from .conftest import types_of, until


async def start(sessions: Sessions, agent: Any, message: Any = "x", **options: Any) -> sessionry.RunHandle:
    """A run of an agent that is made known just now."""
    sessions.catalog.add("agent", agent)
    return await (await sessions.create("agent")).run(message, **options)


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    async with sessionry.open("memory://", cancel_grace=1.0) as opened:
        yield opened


async def values_of(run: sessionry.RunHandle) -> list[Any]:
    return [event.data.value async for event in run.events() if isinstance(event.data, ev.CustomRecorded)]


# --- emitting ---------------------------------------------------------------------------------------------------------


async def test_emitting_from_many_tasks_at_once_keeps_the_order_of_each(sessions: Sessions) -> None:
    async def emits(context: AgentContext) -> None:
        async def one(task: int) -> None:
            for number in range(20):
                await context.emit(ev.CustomRecorded(name="n", value=[task, number]))

        await asyncio.gather(*map(one, range(10)))

    run = await start(sessions, emits)
    assert (await run.result(timeout=60)).status is RunStatus.COMPLETED
    values = await values_of(run)
    for task in range(10):
        assert [number for found, number in values if found == task] == list(range(20))


async def test_an_emit_that_is_cancelled_at_any_moment_confuses_nothing(sessions: Sessions) -> None:
    async def hurries(context: AgentContext) -> None:
        for number in range(60):
            emitting = asyncio.create_task(context.emit(ev.CustomRecorded(name="n", value=number)))
            for _ in range(number % 12):
                await asyncio.sleep(0)
            emitting.cancel()
            await asyncio.wait([emitting])
        await context.emit(ev.CustomRecorded(name="n", value="last"))

    run = await start(sessions, hurries)
    result = await run.result(timeout=60)
    assert result.error is None
    *numbers, last = await values_of(run)
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 30
    assert last == "last"


async def test_what_is_emitted_after_the_end_is_refused_and_not_in_the_log(sessions: Sessions) -> None:
    refused: list[BaseException] = []
    late: list[asyncio.Task[None]] = []

    async def leaves_a_task_behind(context: AgentContext) -> str:
        async def emits_for_ever() -> None:
            while True:
                await context.emit(ev.CustomRecorded(name="late"))

        async def does(work: Any) -> None:
            while not (await sessions.run(context.run.id).get()).ended:
                await asyncio.sleep(0.001)
            try:
                await work()
            except BaseException as error:
                refused.append(error)

        jobs = [emits_for_ever, lambda: context.approve("x"), lambda: context.step("s", _one), context.transcript]
        late.extend(asyncio.create_task(does(job)) for job in jobs[:3])
        return "done"

    run = await start(sessions, leaves_a_task_behind)
    assert (await run.result(timeout=60)).text == "done"
    await asyncio.wait(late, timeout=60)
    assert {type(error) for error in refused} == {sessionry.Fenced}
    assert len(refused) == 3
    assert (await types_of(run))[-1] == "run_completed"


async def _one() -> int:
    return 1


# --- asking -----------------------------------------------------------------------------------------------------------


async def test_questions_asked_at_once_are_answered_each_for_itself(sessions: Sessions) -> None:
    async def asks(context: AgentContext) -> Any:
        asked = [context.approve(name, timeout=0.1 if name == "c" else None) for name in "abc"]
        return [[bool(answer), answer.by, answer.expired] for answer in await asyncio.gather(*asked)]

    run = await start(sessions, asks)
    await until(lambda: _count(run, "tool_approval_requested", 3))  # the third may have expired by now
    for handle in await sessions.approvals():
        match (await handle.get()).tool_name:
            case "a":
                await handle.approve(by="ann")
            case "b":
                await handle.deny(by="bob")
    result = await run.result(timeout=60)
    assert result.output == [[True, "ann", False], [False, "bob", False], [False, None, True]]
    types = await types_of(run)
    assert types.count("run_waiting") == types.count("run_resumed") == 1


async def test_an_agent_that_stops_waiting_for_an_answer_is_at_work_again(sessions: Sessions) -> None:
    async def is_impatient(context: AgentContext) -> None:
        try:
            async with asyncio.timeout(0.05):
                await context.approve("delete")
        except TimeoutError:
            await context.emit(ev.CustomRecorded(name="went on"))
        await asyncio.Event().wait()

    run = await start(sessions, is_impatient)
    await until(lambda: _has(run, "custom_recorded"))
    assert (await run.get()).status is RunStatus.RUNNING
    taken = await sessions.execute(recovery.take_over(run.id, (await run.get()).worker_id or "", "lost"))
    assert taken == "stopped"  # and not parked: nobody knows what it has done since


async def _has(run: sessionry.RunHandle, type: str) -> bool:
    return type in await types_of(run)


async def test_a_question_that_is_given_up_at_any_moment_confuses_nothing(sessions: Sessions) -> None:
    async def wavers(context: AgentContext) -> str:
        for number in range(30):
            asking = asyncio.create_task(context.approve("delete", number))
            for _ in range(number):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            await context.emit(ev.CustomRecorded(name="n", value=number))
        return "decided"

    run = await start(sessions, wavers)
    assert (await run.result(timeout=60)).text == "decided"
    types = await types_of(run)
    assert types.count("run_waiting") == types.count("run_resumed")
    assert types.count("tool_approval_requested") == types.count("approval_expired")
    assert await sessions.approvals() == []


async def test_an_answer_and_the_expiry_at_the_same_moment_are_one_decision(sessions: Sessions) -> None:
    async def asks(context: AgentContext) -> Any:
        answer = await context.approve("delete", timeout=0.03)
        return [bool(answer), answer.expired]

    for number in range(20):
        run = await start(sessions, asks)
        (approval,) = await until(run.approvals)  # also when it has expired by now
        expires_at = (await approval.get()).expires_at
        left = (expires_at - utc_now()).total_seconds() if expires_at else 0.0
        await asyncio.sleep(max(0.0, left - 0.004 + number * 0.0005))
        said = await _approves(approval)
        approved, expired = (await run.result(timeout=60)).output
        assert approved is said
        assert expired is not said
        types = await types_of(run)
        assert types.count("tool_approval_granted") + types.count("approval_expired") == 1


async def _approves(approval: sessionry.ApprovalHandle) -> bool:
    """False when the question was decided already."""
    try:
        await approval.approve()
    except Conflict:
        return False
    return True


# --- steps and steering -----------------------------------------------------------------------------------------------


async def test_steps_side_by_side_are_done_once_in_the_life_of_the_run(sessions: Sessions) -> None:
    done: list[str] = []

    async def works(context: AgentContext) -> Any:
        async def step(name: str) -> Any:
            async def work() -> str:
                done.append(name)
                await asyncio.sleep(0.01)
                return f"{name} in attempt {context.run.attempt}"

            return await context.step(name, work)

        results = await asyncio.gather(*map(step, ["a", "b", "a", "c"]))
        if context.run.attempt == 1:
            await asyncio.Event().wait()
        return results

    run = await start(sessions, FunctionAgent("agent", works, takeover=Takeover.RESUME))
    await until(lambda: _count(run, "step_completed", 4))
    await sessions.execute(recovery.take_over(run.id, (await run.get()).worker_id or "", "lost"))
    result = await run.result(timeout=60)
    assert result.output == [f"{name} in attempt 1" for name in "abac"]
    assert sorted(done) == ["a", "a", "b", "c"]


async def _count(run: sessionry.RunHandle, type: str, count: int) -> bool:
    return (await types_of(run)).count(type) == count


async def test_a_step_that_is_tried_again_stays_the_same_step(sessions: Sessions) -> None:
    async def works(context: AgentContext) -> Any:
        async def fails() -> None:
            raise ConnectionError("try again")

        if context.run.attempt == 1:
            with pytest.raises(ConnectionError):
                await context.step("fetch", fails)
        result = await context.step("fetch", _one)
        if context.run.attempt == 1:
            await asyncio.Event().wait()
        return result

    run = await start(sessions, FunctionAgent("agent", works, takeover=Takeover.RESUME))
    await until(lambda: _has(run, "step_completed"))
    await sessions.execute(recovery.take_over(run.id, (await run.get()).worker_id or "", "lost"))
    assert (await run.result(timeout=60)).output == 1
    assert (await types_of(run)).count("step_completed") == 1


async def test_two_that_wait_for_what_a_person_says_get_one_word_each(sessions: Sessions) -> None:
    async def listens(context: AgentContext) -> Any:
        return sorted(await asyncio.gather(context.next_steering(), context.next_steering()))

    run = await start(sessions, FunctionAgent("agent", listens, capabilities=["steer"]))
    await until(lambda: _has(run, "run_started"))
    await run.steer("one")
    await asyncio.sleep(0.05)
    await run.steer("two")
    assert (await run.result(timeout=60)).output == ["one", "two"]
