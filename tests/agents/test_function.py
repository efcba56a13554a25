"""Any Python function is an agent: what it takes, yields and returns decides what becomes of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from sessionry.agents.function import FunctionAgent, agent, registered, unregister
from sessionry.domain.errors import AgentFailed, Conflict, InvalidInput
from sessionry.domain.events import (
    CustomRecorded,
    EventData,
    MessageReceived,
    MessageStreamed,
    RunCompleted,
    RunFailed,
    ToolCallStarted,
    TurnCompleted,
)
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo, Takeover
from sessionry.ports import AgentContext
from sessionry.testing.context import Answers, RecordingContext


async def play(function: Callable[..., Any], input: Json = "hi", answers: Answers = ()) -> list[EventData]:
    return await RecordingContext(input, answers=answers).play(FunctionAgent("tested", function))


def said(events: list[EventData]) -> list[str]:
    return [event.text for event in events if isinstance(event, MessageReceived)]


# --- what it takes ---


async def both(context: AgentContext, message: str) -> str:
    return f"{message} in {context.run.attempt}"


async def turned_round(message: str, context: AgentContext) -> str:
    return await both(context, message)


async def other_names(c: AgentContext, m: str) -> str:
    return await both(c, m)


async def no_names(a, b):  # type: ignore[no-untyped-def]
    return await both(a, b)


async def only_context(ctx: AgentContext) -> str:
    return await both(ctx, ctx.message)


async def only_message(anything: str) -> str:
    return f"{anything} in 1"


async def with_defaults(message: str, times: int = 1, *, context: AgentContext) -> str:
    return await both(context, message * times)


async def nothing() -> str:
    return "hi in 1"


class Greeter:
    async def __call__(self, context: AgentContext, message: str) -> str:
        return await both(context, message)

    async def method(self, message: str) -> str:
        return await only_message(message)


@pytest.mark.parametrize(
    "function",
    [
        *(both, turned_round, other_names, no_names, only_context, only_message, with_defaults, nothing),
        *(Greeter(), Greeter().method, partial(with_defaults, times=1), lambda message: only_message(message)),
    ],
)
async def test_it_is_given_what_it_takes(function: Callable[..., Any]) -> None:
    assert said(await play(function)) == ["hi in 1"]


async def test_the_message_is_the_text_of_the_input() -> None:
    assert said(await play(only_message, {"prompt": "from an object"})) == ["from an object in 1"]


@pytest.mark.parametrize("function", [lambda a, b, c: None, lambda a, /: None, lambda context, a, b: None, "text"])
def test_a_function_that_takes_something_else_is_refused_when_the_agent_is_made(function: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        FunctionAgent("odd", function)
    assert refused.value.code == "invalid_configuration"
    assert "'odd'" in refused.value.message


# --- what it yields ---


async def test_yielded_text_streams_and_becomes_one_message() -> None:
    async def words(message: str) -> AsyncIterator[str]:
        yield "you "
        yield ""
        yield "said "
        yield message

    *pieces, whole = await play(words)
    assert all(isinstance(piece, MessageStreamed) for piece in pieces)
    assert isinstance(whole, MessageReceived)
    assert whole.text == "you said hi"
    assert {piece.message_id for piece in pieces if isinstance(piece, MessageStreamed)} == {whole.message_id}


async def test_a_turn_ends_a_message() -> None:
    async def turns() -> AsyncIterator[str | EventData]:
        yield "one"
        yield TurnCompleted()
        yield "two"

    events = await play(turns)
    assert said(events) == ["one", "two"]
    assert isinstance(events[2], TurnCompleted)
    assert len({event.message_id for event in events if isinstance(event, MessageReceived)}) == 2


async def test_events_go_out_as_they_are() -> None:
    event = CustomRecorded(name="mine", value={"a": 1})

    async def emits() -> AsyncIterator[EventData]:
        yield event

    assert await play(emits) == [event]


async def test_an_ending_is_the_last_thing_and_the_generator_is_closed() -> None:
    closed = []

    async def ends() -> AsyncIterator[str | EventData]:
        try:
            yield "done"
            yield RunCompleted(output={"n": 1}, stop_reason="enough")
            yield "never"
        finally:
            closed.append(True)

    events = await play(ends)
    assert said(events) == ["done"]
    assert events[-1] == RunCompleted(output={"n": 1}, stop_reason="enough")
    assert closed == [True]


@pytest.mark.parametrize("item", [{"a": 1}, None, 3, b"bytes"])
async def test_anything_else_is_refused_and_told_what_may_be_yielded(item: object) -> None:
    async def odd() -> AsyncIterator[object]:
        yield item

    with pytest.raises(AgentFailed, match=r"yielded a \w+; it may yield text \(str\) and events .* to give .* output"):
        await play(odd)


# --- what it returns ---


async def test_returned_text_is_a_message_and_the_text_of_the_run() -> None:
    message, end = await play(nothing)
    assert isinstance(message, MessageReceived)
    assert end == RunCompleted(text="hi in 1")


@pytest.mark.parametrize("value", [{"a": [1, None]}, [1], 3, True, 0.5])
async def test_returned_json_is_the_output(value: Json) -> None:
    async def returns() -> Json:
        return value

    assert await play(returns) == [RunCompleted(output=value)]


@pytest.mark.parametrize("end", [RunCompleted(text="x"), RunFailed(error=ErrorInfo(code="timeout", message="slow"))])
async def test_a_returned_ending_is_taken_as_it_is(end: EventData) -> None:
    async def returns() -> EventData:
        return end

    assert await play(returns) == [end]


async def test_nothing_returned_is_fine() -> None:
    async def returns() -> None:
        pass

    assert await play(returns) == []


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, {2}]}, "its result.a[1]"),
        ((1, 2), "its result"),
        (float("nan"), "its result"),
        ("\ud800", "its result"),
    ],
)
async def test_what_json_cannot_hold_is_the_agents_fault_with_the_path(value: object, path: str) -> None:
    async def returns() -> object:
        return value

    with pytest.raises(AgentFailed) as failed:
        await play(returns)
    assert failed.value.code == "agent_misbehaved"
    assert failed.value.details == {"path": path}


async def test_what_it_raises_is_raised() -> None:
    async def breaks() -> AsyncIterator[str]:
        yield "before"
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        await play(breaks)


# --- sync functions ---


async def test_a_sync_function_blocks_nobody() -> None:
    async def tick() -> int:
        count = 0
        while not release.is_set():
            count += 1
            if count == 5:
                release.set()
            await asyncio.sleep(0)
        return count

    release = threading.Event()

    def waits(message: str) -> str:
        assert release.wait(30)
        return message.upper()

    events, ticks = await asyncio.gather(play(waits), tick())
    assert said(events) == ["HI"]
    assert ticks == 5


async def test_a_sync_generator_yields_from_its_thread() -> None:
    def words(message: str) -> Iterator[str]:
        yield "you said "
        yield message

    assert said(await play(words)) == ["you said hi"]


async def test_a_sync_generator_is_closed() -> None:
    closed = threading.Event()

    def words() -> Iterator[str]:
        try:
            while True:
                yield "more "
        finally:
            closed.set()

    await RecordingContext().play(FunctionAgent("tested", words), until=lambda event: True)
    assert closed.wait(30)


async def test_many_sync_functions_work_at_once() -> None:
    meeting = threading.Barrier(40)

    def meets() -> str:
        meeting.wait(60)
        return "met"

    results = await asyncio.gather(*(play(meets) for _ in range(40)))
    assert all(said(events) == ["met"] for events in results)


async def test_a_sync_function_that_raises_stop_iteration_fails_like_any_other() -> None:
    def breaks() -> str:
        return str(next(iter([])))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await play(breaks)


def test_a_cancelled_sync_function_is_abandoned_and_does_not_hold_up_the_end() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(play(lambda: release.wait(60)), 0.05)

    begin = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begin < 5
    release.set()


# --- cancelling, capabilities, takeover ---


async def test_cancelling_reaches_the_function() -> None:
    begun, cleaned = asyncio.Event(), []

    async def hangs() -> AsyncIterator[str]:
        try:
            yield "waiting"
            begun.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    playing = asyncio.create_task(play(hangs))
    await begun.wait()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert cleaned == [True]


async def test_it_can_ask_a_person() -> None:
    async def asks(context: AgentContext) -> AsyncIterator[str]:
        yield "yes" if await context.approve("delete", {"path": "x"}) else "no"

    assert said(await play(asks, answers=[True])) == ["yes"]
    assert said(await play(asks, answers=[False])) == ["no"]


async def test_a_function_of_steps_goes_on_where_it_was() -> None:
    done: list[int] = []

    async def steps(context: AgentContext) -> AsyncIterator[str | EventData]:
        for number in range(3):

            async def work(number: int = number) -> int:
                done.append(number)
                return number

            yield f"{await context.step(f'step {number}', work)} "
            yield ToolCallStarted(tool_call_id=f"{context.run.attempt}-{number}", tool_name="x")

    made = FunctionAgent("steps", steps, takeover=Takeover.RESUME)
    assert made.takeover is Takeover.RESUME
    context = RecordingContext()
    await context.play(made, until=lambda event: isinstance(event, ToolCallStarted) and event.tool_call_id == "1-1")
    assert said(await context.after_a_crash().play(made)) == ["0 1 2 "]
    assert done == [0, 1, 2]


def test_it_declares_what_it_was_told_to() -> None:
    made = FunctionAgent("able", nothing, capabilities=["tools", "my_own"])
    assert (made.facts.type, made.facts.capabilities) == ("function", ["tools", "my_own"])
    assert FunctionAgent("plain", nothing).takeover is Takeover.STOP
    assert FunctionAgent("plain", nothing).takeover_waiting is Takeover.RESTART
    assert FunctionAgent("plain", nothing, takeover_waiting=Takeover.STOP).takeover_waiting is Takeover.STOP


# --- the decorator ---


@pytest.fixture
def fresh() -> Iterator[None]:
    yield
    for id in ("made", "made_by_name", "optioned"):
        unregister(id)


@pytest.mark.usefixtures("fresh")
async def test_the_decorator_registers_the_function_and_leaves_it_alone() -> None:
    @agent("made")
    async def first() -> str:
        return "first"

    @agent
    async def made_by_name() -> str:
        return "second"

    @agent(takeover=Takeover.RESTART)
    async def optioned() -> str:
        return "third"

    assert await first() == "first"
    assert registered()["made"].function is first
    assert said(await RecordingContext().play(registered()["made_by_name"])) == ["second"]
    assert registered()["optioned"].takeover is Takeover.RESTART


@pytest.mark.usefixtures("fresh")
def test_the_same_function_again_replaces_itself_but_another_one_is_refused() -> None:
    def define() -> Callable[[], Any]:
        @agent("made")
        def same() -> str:
            return "same"

        return same

    define()
    again = define()
    assert registered()["made"].function is again
    with pytest.raises(Conflict) as refused:
        agent("made")(nothing)
    assert refused.value.code == "already_exists"
