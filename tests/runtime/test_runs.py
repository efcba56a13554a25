"""A run from the queue to its end: what it says, what stops it, and that it ends exactly once."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import sessionry
from sessionry import (
    Conflict,
    Exhausted,
    InvalidInput,
    InvalidTransition,
    NotFound,
    SessionryError,
    Sessions,
    Timeout,
)
from sessionry.domain import events as ev
from sessionry.domain.lifecycle import RunStatus

from .conftest import AGENTS, types_of, until

ENDINGS = {kind.type for kind in ev.RUN_ENDINGS}


async def test_a_run_streams_and_completes(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    run = await session.run("hello")
    types = [event.type async for event in run.events()]
    result = await run.result()
    assert result.text == "you said hello"
    assert result.status is RunStatus.COMPLETED
    assert types[0] == "run_queued"
    assert types[1] == "run_started"
    assert types[-2:] == ["message_received", "run_completed"]
    assert "message_streamed" in types


async def test_the_seqs_of_a_session_have_no_gap(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    for word in ("a", "b", "c"):
        await session.run(word)
    await until(lambda: _all_ended(sessions, session.id, 3))
    seqs = [event.seq async for event in session.events()]
    assert seqs == list(range(1, len(seqs) + 1))


async def _all_ended(sessions: Sessions, session_id: str, count: int) -> bool:
    page = await sessions.runs(session=session_id)
    return sum(run.ended for run in page.items) == count


async def test_runs_of_a_session_are_worked_in_order(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    runs = [await session.run(str(number)) for number in range(5)]
    for run in runs:
        await run.result(timeout=60)
    started = [event.run_id async for event in session.events(types="run_started")]
    assert started == [run.id for run in runs]


async def test_a_failing_agent_fails_its_run_and_not_the_next(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    failing = await session.run("x", agent="boom")
    following = await session.run("y")
    failed = await failing.result(timeout=60)
    assert failed.status is RunStatus.FAILED
    assert failed.error is not None
    assert failed.error.message == "ValueError: boom"
    assert (await following.result(timeout=60)).text == "you said y"


async def test_cancel_reaches_a_running_agent(sessions: Sessions) -> None:
    session = await sessions.create("slow")
    run = await session.run("count")
    await until(lambda: _has(run, "message_streamed"))
    await run.cancel(reason="enough")
    result = await run.result(timeout=60)
    assert result.status is RunStatus.CANCELLED
    types = await types_of(run)
    assert [name for name in types if name in ENDINGS] == ["run_cancelled"]


async def _has(run: object, name: str) -> bool:
    return name in await types_of(run)  # type: ignore[arg-type]


async def test_cancel_after_the_turn_lets_the_turn_end(sessions: Sessions) -> None:
    session = await sessions.create("slow")
    run = await session.run("count")
    await until(lambda: _has(run, "turn_completed"))
    await run.cancel(mode="after_turn", reason="enough")
    assert (await run.result(timeout=60)).status is RunStatus.CANCELLED
    assert (await types_of(run))[-2:] == ["turn_completed", "run_cancelled"]


async def test_a_queued_run_is_cancelled_without_being_started(sessions: Sessions) -> None:
    session = await sessions.create("slow")
    running = await session.run("count")
    queued = await session.run("count")
    await queued.cancel()
    assert (await queued.get()).status is RunStatus.CANCELLED
    assert "run_started" not in await types_of(queued)
    await running.cancel()
    await running.result(timeout=60)


async def test_cancelling_an_ended_run_is_refused(sessions: Sessions) -> None:
    run = await (await sessions.create("echo")).run("x")
    await run.result(timeout=60)
    with pytest.raises(InvalidTransition):
        await run.cancel()


async def test_a_run_that_takes_too_long_times_out(sessions: Sessions) -> None:
    run = await (await sessions.create("slow")).run("count", timeout=0.3)
    assert (await run.result(timeout=60)).status is RunStatus.TIMEOUT
    last = [event async for event in run.events()][-1].data
    assert isinstance(last, ev.RunTimeout)
    assert (last.limit, last.seconds) == ("timeout", 0.3)


async def test_a_silent_run_times_out_and_a_talking_one_does_not(sessions: Sessions) -> None:
    silent = await (await sessions.create("silent")).run("x", idle_timeout=0.3)
    talking = await (await sessions.create("slow")).run("x", idle_timeout=2.5)
    assert (await silent.result(timeout=60)).status is RunStatus.TIMEOUT
    await asyncio.sleep(2.7)
    assert (await talking.get()).status is RunStatus.RUNNING
    await talking.cancel()


async def test_a_run_past_its_deadline_ends_in_the_queue(sessions: Sessions) -> None:
    session = await sessions.create("slow")
    first = await session.run("count")
    second = await session.run("count", deadline=datetime.now(UTC) + timedelta(seconds=0.2))
    await asyncio.sleep(0.25)
    await sessions.recover()
    assert (await second.get()).status is RunStatus.TIMEOUT
    assert "run_started" not in await types_of(second)
    await first.cancel()


async def test_steering_reaches_an_agent_that_listens(sessions: Sessions) -> None:
    run = await (await sessions.create("listens")).run("x")
    await until(lambda: _has(run, "run_started"))
    await run.steer("use pytest")
    assert (await run.result(timeout=60)).text == "use pytest"


async def test_an_approval_lets_the_run_go_on(sessions: Sessions) -> None:
    run = await (await sessions.create("asks")).run("/tmp/x")
    (approval,) = await until(sessions.approvals)
    assert (await run.get()).status is RunStatus.WAITING
    await approval.approve(by="ann", note="ok")
    assert (await run.result(timeout=60)).text == "deleted by ann"
    types = await types_of(run)
    order = ["tool_approval_requested", "run_waiting", "tool_approval_granted", "run_resumed"]
    assert [name for name in types if name in order] == order


async def test_exactly_one_decision_counts(sessions: Sessions) -> None:
    run = await (await sessions.create("asks")).run("x")
    (approval,) = await until(sessions.approvals)
    answers = await asyncio.gather(
        *(approval.deny(by=f"p{number}") if number % 2 else approval.approve(by=f"p{number}") for number in range(10)),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    assert all(answer.code == "already_decided" for answer in answers if isinstance(answer, Conflict))
    decided = await approval.get()
    result = await run.result(timeout=60)
    assert result.text is not None
    assert result.text.endswith(f"by {decided.decided_by}")


async def test_silence_is_a_denial(sessions: Sessions) -> None:
    run = await (await sessions.create("asks_briefly")).run("x")
    assert (await run.result(timeout=60)).text == "expired"
    assert "approval_expired" in await types_of(run)


async def test_waiting_for_a_result_has_a_limit_of_its_own(sessions: Sessions) -> None:
    run = await (await sessions.create("silent")).run("x")
    with pytest.raises(Timeout, match="goes on"):
        await run.result(timeout=0.1)
    await run.cancel()
    assert (await run.result(timeout=60)).status is RunStatus.CANCELLED


async def test_submitting_twice_with_one_key_is_one_run(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    first = await session.run("x", idempotency_key="k")
    again = await session.run("x", idempotency_key="k")
    assert first == again
    with pytest.raises(Conflict) as caught:
        await session.run("y", idempotency_key="k")
    assert caught.value.code == "idempotency_conflict"


async def test_a_full_queue_refuses(sessions: Sessions) -> None:
    session = await sessions.create("silent", queue_limit=1)
    runs = [await session.run("x"), await session.run("x")]
    with pytest.raises(Exhausted) as caught:
        await session.run("x")
    assert caught.value.code == "queue_full"
    for run in runs:
        await run.cancel()


async def test_slots_let_runs_of_a_session_work_side_by_side(sessions: Sessions) -> None:
    session = await sessions.create("silent", slots=2)
    runs = [await session.run("x") for _ in range(3)]
    await until(lambda: _counts(sessions, 2, 1))
    for run in runs:
        await run.cancel()
    assert {(await run.result(timeout=60)).status for run in runs} == {RunStatus.CANCELLED}


async def _counts(sessions: Sessions, running: int, pending: int) -> bool:
    counts = (await sessions.counts()).runs
    return counts.get("running") == running and counts.get("pending") == pending


async def test_a_higher_priority_goes_first(sessions: Sessions) -> None:
    session = await sessions.create("silent")
    blocking = await session.run("x")
    await until(lambda: _has(blocking, "run_started"))
    low = await session.run("low", agent="echo")
    high = await session.run("high", agent="echo", priority=5)
    await blocking.cancel()
    await low.result(timeout=60)
    started = [event.run_id async for event in session.events(types="run_started")]
    assert started == [blocking.id, high.id, low.id]


async def test_a_worker_takes_runs_of_its_agents_in_its_named_queues(url: str) -> None:
    async with sessionry.open(url, agents=AGENTS, queues=["gpu"], work_with=["echo"]) as sessions:
        session = await sessions.create("echo", slots=4)
        elsewhere = [
            await session.run("x"),
            await session.run("x", queue="eu"),
            await session.run("x", queue="gpu", agent="slow"),
        ]
        mine = await session.run("x", queue="gpu")
        assert (await mine.result(timeout=60)).text == "you said x"
        (worker,) = await sessions.workers()
        assert (worker.agents, worker.queues) == (["echo"], ["gpu"])
        assert [worker.takes(await run.get()) for run in (*elsewhere, mine)] == [False, False, False, True]
        assert [(await run.get()).status for run in elsewhere] == ["pending"] * 3


@pytest.mark.parametrize("work_with", [[], "echo", ["nobody"]])
async def test_a_worker_with_agents_that_nobody_has_is_refused(work_with: Any) -> None:
    with pytest.raises(SessionryError) as caught:
        async with sessionry.open("memory://", agents=AGENTS, work_with=work_with):
            raise AssertionError("it was opened")
    assert caught.value.code == ("agent_not_found" if work_with == ["nobody"] else "validation_error")


async def test_an_unknown_agent_is_refused_with_the_known_ones(sessions: Sessions) -> None:
    session = await sessions.create("nobody")
    with pytest.raises(NotFound, match="echo"):
        await session.run("x")


async def test_a_missing_capability_is_refused(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    with pytest.raises(InvalidInput) as caught:
        await session.run("x", require=["fork"])
    assert caught.value.code == "missing_required_capability"


async def test_an_agent_that_floods_is_stored_whole_and_in_order(sessions: Sessions) -> None:
    @sessions.agent("flood")
    async def flood() -> object:
        for number in range(5_000):
            yield ev.CustomRecorded(name="n", value=number)

    session = await sessions.create("flood")
    await (await session.run("x")).result(timeout=60)
    numbers = [event.data.value async for event in session.events(types="custom_recorded")]  # type: ignore[attr-defined]
    assert numbers == list(range(5_000))


async def test_a_big_output_moves_to_the_blob_store(sessions: Sessions) -> None:
    text = "x" * 100_000

    @sessions.agent("big")
    async def big() -> object:
        yield ev.ToolCallStarted(tool_call_id="t", tool_name="cat")
        yield ev.ToolCallCompleted(tool_call_id="t", tool_name="cat", tool_output={"stdout": text})

    run = await (await sessions.create("big")).run("x")
    await run.result(timeout=60)
    events = {event.type: event.data async for event in run.events()}
    artifact, done = events["artifact_added"], events["tool_call_completed"]
    assert isinstance(artifact, ev.ArtifactAdded)
    assert isinstance(done, ev.ToolCallCompleted)
    assert done.tool_output["stdout"]["artifact"] == artifact.hash
    assert b"".join([piece async for piece in sessions.blobs.open(artifact.hash)]).decode() == text


async def test_an_open_tool_call_is_interrupted_when_its_run_ends(sessions: Sessions) -> None:
    @sessions.agent("dangling")
    async def dangling() -> object:
        yield ev.ToolCallStarted(tool_call_id="t", tool_name="bash")
        raise RuntimeError("died")

    run = await (await sessions.create("dangling")).run("x")
    await run.result(timeout=60)
    assert (await types_of(run))[-2:] == ["tool_call_interrupted", "run_failed"]


async def test_handles_can_be_pickled(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    run = await session.run("x")
    copies = pickle.loads(pickle.dumps((session, run)))
    assert copies == (session, run)
    assert (await copies[1].result(timeout=60)).text == "you said x"
