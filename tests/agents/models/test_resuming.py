"""Another attempt goes on where the one before was lost: nothing that is in the log is asked or done again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.ports import Decision
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.models.conftest import Making, script
from tests.agents.models.host_tools import add, deploy, hang, lookup, traces
from tests.agents.models.host_tools import count as count_calls
from tests.agents.models.test_answers import PIXEL, completed, messages_of


def stop_after(kind: type[EventData], number: int = 1) -> Callable[[EventData], bool]:
    seen = count(1)
    return lambda event: isinstance(event, kind) and next(seen) == number


def call(tool: str, id: str, /, **input: Any) -> dict[str, Any]:
    return {"name": tool, "id": id, "input": input}


async def test_wherever_it_was_killed_it_asks_the_same(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    """The last request of an attempt that was continued is that of one that was not."""
    steps = (
        {"text": "Both. ", "thinking": "hm", "tools": [call("add", "t1", a=1), call("add", "t2", a="x")]},
        {"tools": [call("add", "t3", a=2)]},
        {"text": "end"},
    )
    agent = making(tools=[add])
    whole = RecordingContext(script(*steps), cwd=tmp_path)
    number = len(await whole.play(agent))
    expected = model_server.requests[-1].body
    for killed_after in range(1, number):
        seen = count(1)
        first = RecordingContext(script(*steps), cwd=tmp_path)
        await first.play(agent, until=lambda _, seen=seen, last=killed_after: next(seen) == last)  # type: ignore[misc]
        second = first.after_a_crash()
        asked = len(model_server.requests)
        assert completed(await second.play(agent)).text == "end"
        if second.data(ev.ToolCallInterrupted):
            continue
        if len(model_server.requests) > asked:
            assert model_server.requests[-1].body == expected
        usage = [told.usage for told in second.data(ev.TokenUsageUpdated)]
        assert usage == [told.usage for told in whole.data(ev.TokenUsageUpdated)], f"killed after {killed_after}"
        assert len(second.data(ev.TurnCompleted)) == 3
        pieces = "".join(piece.text for piece in second.data(ev.MessageStreamed))
        assert pieces == "Both. end"


async def test_a_tool_that_has_ended_is_not_called_again(making: Making, tmp_path: Path) -> None:
    prompt = script({"tools": [call("count", "t1", name="once"), call("hang", "t2")]}, {"text": "{last_tool}"})
    agent = making(tools=[count_calls, hang], parallel_tools=2)
    first = RecordingContext(prompt, cwd=tmp_path)
    await first.play(agent, until=stop_after(ev.ToolCallCompleted))
    second = first.after_a_crash()
    end = completed(await second.play(agent))
    assert traces(tmp_path, "once") == 1
    assert traces(tmp_path, "hang") == 1, "nobody knows what it did"
    assert "interrupted" in str(end.text)


async def test_a_tool_that_does_no_harm_is_called_again(making: Making, tmp_path: Path) -> None:
    agent = making(tools=[lookup])
    first = RecordingContext(script({"tools": [call("lookup", "t1")]}, {"text": "{last_tool}"}), cwd=tmp_path)
    await first.play(agent, until=stop_after(ev.ToolCallStarted))
    second = first.after_a_crash()
    (tmp_path / "lookup.trace").write_text("1\n")
    assert completed(await second.play(agent)).text == "found"
    ids = [started.tool_call_id for started in second.data(ev.ToolCallStarted)]
    assert ids[1] == f"{ids[0]}_2"
    assert second.data(ev.ToolCallCompleted)[0].tool_call_id == ids[1]


async def test_a_result_of_a_second_try_is_found_by_a_third_attempt(making: Making, tmp_path: Path) -> None:
    agent = making(tools=[lookup])
    first = RecordingContext(script({"tools": [call("lookup", "t1")]}, {"text": "{last_tool}"}), cwd=tmp_path)
    await first.play(agent, until=stop_after(ev.ToolCallStarted))
    (tmp_path / "lookup.trace").write_text("1\n")
    second = first.after_a_crash()
    await second.play(agent, until=stop_after(ev.ToolCallCompleted))
    third = second.after_a_crash()
    assert completed(await third.play(agent)).text == "found"
    assert traces(tmp_path, "lookup") == 2


async def test_each_of_two_questions_of_the_same_words_keeps_its_own_answer(making: Making, tmp_path: Path) -> None:
    """The first call is denied, the second one allowed and done; what is asked again must not mix them up."""
    same = [call("deploy", "t1", to="staging"), call("deploy", "t2", to="staging")]
    prompt = script({"tools": same}, {"text": "ok"})
    agent = making(tools=[deploy])
    first = RecordingContext(prompt, cwd=tmp_path, answers=[Decision(approved=False, note="not now"), True])
    await first.play(agent, until=stop_after(ev.ToolCallCompleted))
    second = first.after_a_crash()
    await second.play(agent)
    assert traces(tmp_path, "deploy") == 1
    assert len(second.data(ev.ToolApprovalRequested)) == 2
    failures = [failed.error.message for failed in second.data(ev.ToolCallFailed)]
    assert failures == ["not allowed: denied by a person: not now"]


async def test_a_question_that_was_open_is_asked_again_and_the_tool_called_once(making: Making, tmp_path: Path) -> None:
    agent = making(tools=[deploy])
    first = RecordingContext(script({"tools": [call("deploy", "t1", to="staging")]}, {"text": "ok"}), cwd=tmp_path)
    await first.play(agent, until=stop_after(ev.ToolApprovalRequested))
    second = first.after_a_crash(answers=[True])
    await second.play(agent)
    assert len(second.data(ev.ToolApprovalRequested)) == 1
    assert traces(tmp_path, "deploy") == 1


async def test_nobody_is_asked_about_what_is_done(making: Making, tmp_path: Path) -> None:
    """Also when the agent was configured anew meanwhile."""
    prompt = script({"tools": [call("add", "t1", a=1)]}, {"text": "ok"})
    first = RecordingContext(prompt, cwd=tmp_path)
    await first.play(making(tools=[add]), until=stop_after(ev.ToolCallCompleted))
    second = first.after_a_crash()
    completed(await second.play(making(tools=[add], approve="always")))
    assert second.questions == []


async def test_what_people_said_stays_at_its_place(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    agent = making(tools=[add], max_turns=4)
    first = RecordingContext(script({"tools": [call("add", "t1", a=1)]}, {"text": "x"}), cwd=tmp_path)

    def steer(event: EventData) -> bool:
        if isinstance(event, ev.ToolCallCompleted):
            first.say("early")
        if isinstance(event, ev.MessageReceived):
            first.say("late")
            return True
        return False

    await first.play(agent, until=steer)
    second = first.after_a_crash()
    assert completed(await second.play(agent)).text == "echo: late"
    told = str(messages_of(model_server.requests[-1]))
    assert told.index("early") < told.index("late")
    assert (told.count("early"), told.count("late")) == (2, 1), "the echo of the first one is there too"


async def test_images_are_taken_from_the_blobs(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    image = tmp_path / "dot.png"
    image.write_bytes(PIXEL)
    agent = making(tools=[add])
    steps = ({"tools": [call("add", "t1", a=1)]}, {"text": "images: {images}"})
    input = {"prompt": script(*steps), "images": [{"path": "dot.png"}]}
    first = RecordingContext(agent.check(input), cwd=tmp_path)
    await first.play(agent, until=stop_after(ev.ToolCallCompleted))
    image.unlink()
    second = first.after_a_crash()
    assert completed(await second.play(agent)).text == "images: 1"
    assert len(second.data(ev.MessageSent)) == 1
    assert len(second.data(ev.ArtifactAdded)) == 1


@pytest.mark.parametrize("size", [9_000, 600_000])
async def test_big_results_come_back_whole_from_the_store(
    each: Callable[[str], Making], model_server: ModelServer, tmp_path: Path, sessions: Any, size: int
) -> None:
    """They are kept as artifacts, of which the log has the beginning only."""

    def read() -> str:
        return "x" * size

    async with sessions({"model": each("chat")(tools=[read], max_context_tokens=1_000_000)}) as opened:
        session = await opened.create("model")
        await (await session.run(script({"tools": [call("read", "t1")]}, {"text": "ok"}))).result()
        await (await session.run("again")).result()
    sent = [message["content"] for message in messages_of(model_server.requests[-1]) if message["role"] == "tool"]
    assert sent == ["x" * size]


async def test_the_other_protocol_can_take_over(
    each: Callable[[str], Making], model_server: ModelServer, tmp_path: Path
) -> None:
    prompt = script({"thinking": "hm", "tools": [call("add", "t1", a=1)]}, {"text": "end"})
    for one, other in (("chat", "responses"), ("responses", "chat")):
        first = RecordingContext(prompt, cwd=tmp_path)
        await first.play(each(one)(tools=[add]), until=stop_after(ev.ToolCallCompleted))
        second = first.after_a_crash()
        assert completed(await second.play(each(other)(tools=[add]))).text == "end"
