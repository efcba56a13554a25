"""Work that was lost with its worker is gone on with, and nothing is said twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.acp import AcpAgent
from sessionry.agents.acp.lost import ANEW, GO_ON, lost
from sessionry.agents.handover import FINISHED
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.transcript import transcript
from sessionry.testing.context import RecordingContext
from tests.agents.acp.player import play, player, received, script, spy, texts

TWO = script({"say": "I look."}, {"run": {"command": "echo one >> ran"}}, {"say": "One."})
#: The same, whose command does not end before its worker is lost.
HELD = script(
    {"say": "I look."},
    {"run": {"command": "[ -e begun ] || { touch begun; sleep 600; }; echo one >> ran"}},
    {"say": "One."},
)


def first(kind: type[EventData]) -> Callable[[EventData], bool]:
    return lambda event: isinstance(event, kind)


def says(text: str) -> Callable[[EventData], bool]:
    return lambda event: isinstance(event, ev.MessageStreamed) and event.text == text


async def again(folder: Path, offer: dict[str, Any], until: Callable[[EventData], bool], prompt: str = TWO) -> Any:
    """The second attempt at a run whose first one was lost there."""
    agent = player(offer, folder)
    context = RecordingContext(agent.check(prompt), cwd=folder)
    await context.play(agent, until=until)
    second = context.after_a_crash()
    await second.play(agent)
    return second


def conversation(context: RecordingContext) -> list[str | None]:
    return [message.text for message in transcript(context.log).messages if message.role == "assistant"]


def prompts(folder: Path) -> list[str]:
    return [params["prompt"][0]["text"] for params in received(folder, "session/prompt")]


async def test_the_session_is_loaded_and_the_agent_goes_on_without_the_prompt(tmp_path: Path) -> None:
    context = await again(tmp_path, {"load": True}, first(ev.ToolCallStarted), HELD)
    linked = context.data(ev.AgentSessionLinked)
    assert received(tmp_path, "session/load")[0]["sessionId"] == linked[0].native_session_id
    assert [(link.resumed, link.items) for link in linked] == [(False, 0), (True, 1), (True, 2)]
    assert prompts(tmp_path) == [HELD, GO_ON]
    assert texts(context) == ["I look.", "One."]
    assert not context.data(ev.ResumeDegraded)
    assert not context.data(ev.WordsSuperseded)


async def test_what_the_log_lacks_of_the_session_is_told_from_it(tmp_path: Path) -> None:
    context = await again(tmp_path, {"load": True}, first(ev.MessageStreamed))
    assert texts(context) == conversation(context) == ["I look.", "One."]
    assert prompts(tmp_path)[1:] == [GO_ON]


async def test_that_there_is_nothing_left_to_say_is_told_to_nobody(tmp_path: Path) -> None:
    context = await again(tmp_path, {"load": True}, says("One."))
    assert prompts(tmp_path)[1:] == [GO_ON]
    assert texts(context) == ["I look.", "One."]
    assert context.data(ev.RunCompleted)[0].text == "One."
    assert FINISHED not in str(context.log)
    assert (tmp_path / "ran").read_text() == "one\n"


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ({"load": True, "forgetful": True}, "does not hold the prompt"),
        ({"resume": True}, "does not show what its session holds"),
    ],
)
async def test_a_session_without_the_work_is_told_of_it_and_the_answer_is_given_anew(
    tmp_path: Path, offer: dict[str, Any], reason: str
) -> None:
    context = await again(tmp_path, offer, says("One."))
    (degraded,) = context.data(ev.ResumeDegraded)
    assert reason in degraded.reason
    assert len({link.native_session_id for link in context.data(ev.AgentSessionLinked)}) == 1, "the session goes on"
    assert (report := context.data(ev.ContinuityReport)[0]).mode == "both"
    assert report.carried == 2, "what it said and what its tool did"
    prompt = prompts(tmp_path)[-1]
    assert prompt.index("I look.") < prompt.index("echo one >> ran") < prompt.index(ANEW) < prompt.index(TWO)
    assert texts(context) == ["I look.", "I look.", "One."]
    assert conversation(context) == ["I look.", "One."], "what was said in vain is superseded"


async def test_a_session_that_holds_other_words_than_the_log_is_believed(tmp_path: Path) -> None:
    context = await again(tmp_path, {"load": True, "remembers": 1}, first(ev.ToolCallStarted), HELD)
    assert "does not hold what it said" in context.data(ev.ResumeDegraded)[0].reason
    assert texts(context) == ["I look.", "I ", "One."]
    assert conversation(context) == ["I ", "One."]
    assert prompts(tmp_path)[1:] == [GO_ON]


async def test_an_agent_that_keeps_no_session_begins_anew_in_another_one(tmp_path: Path) -> None:
    context = await again(tmp_path, {}, says("One."))
    assert "neither to load nor to resume" in context.data(ev.ResumeDegraded)[0].reason
    assert len({link.native_session_id for link in context.data(ev.AgentSessionLinked)}) == 2
    assert ANEW in prompts(tmp_path)[-1]
    assert conversation(context) == ["I look.", "One."]


async def test_a_prompt_of_which_nothing_was_done_is_simply_said_again(tmp_path: Path) -> None:
    context = await again(tmp_path, {"load": True}, first(ev.AgentSessionLinked))
    assert prompts(tmp_path) == [TWO]
    assert texts(context) == ["I look.", "One."]
    assert not context.data(ev.ResumeDegraded)


@pytest.mark.parametrize("kind", [ev.TurnCompleted, ev.MessageReceived, ev.AgentSessionLinked])
async def test_a_turn_that_was_over_only_has_its_end_told(tmp_path: Path, kind: type[EventData]) -> None:
    seen: list[EventData] = []

    def last(event: EventData) -> bool:
        seen.append(event)
        return isinstance(event, kind) and (kind is not ev.AgentSessionLinked or len(seen) > 3)

    context = await again(tmp_path, {"load": True}, last, "hello")
    assert len(received(tmp_path, "session/prompt")) == 1
    assert len(context.data(ev.AgentProcessStarted)) == 1, "no program is needed for that"
    assert texts(context) == ["you said hello"]
    assert len(context.data(ev.TurnCompleted)) == 1
    assert context.data(ev.RunCompleted)[0].text == "you said hello"


async def test_what_people_said_meanwhile_is_said_once(tmp_path: Path) -> None:
    agent = player({"load": True}, tmp_path)
    context = RecordingContext(agent.check("hello"), cwd=tmp_path, steering=["also this"])
    await context.play(agent, until=says("this"))
    second = context.after_a_crash()
    second.say("and that")
    await second.play(agent)
    assert prompts(tmp_path) == ["hello", "also this", GO_ON]
    assert received(tmp_path, "session/prompt")[-1]["prompt"][1:] == [{"type": "text", "text": "and that"}]
    assert texts(second)[:2] == ["you said hello", "you said also this"]


async def test_what_was_said_after_the_turn_is_the_next_one(tmp_path: Path) -> None:
    agent = player({"load": True}, tmp_path)
    context = RecordingContext(agent.check("hello"), cwd=tmp_path)
    await context.play(agent, until=first(ev.TurnCompleted))
    second = context.after_a_crash()
    second.say("and that")
    await second.play(agent)
    assert prompts(tmp_path) == ["hello", "and that"]
    assert texts(second) == ["you said hello", "you said and that"]


@pytest.mark.parametrize(("preset", "said"), [("opencode", ["I look.", "One."]), ("qwen", ["I ", "I look.", "One."])])
async def test_what_was_broken_off_is_no_whole_message_where_sessions_keep_such(
    tmp_path: Path, preset: str, said: list[str]
) -> None:
    """opencode shows what a cancelled message has, and does not show that to its model, which says the whole of it."""
    env = {"ACP_STATE": str(tmp_path), "ACP_SAW": str(tmp_path / "saw.jsonl")}
    agent = AcpAgent(preset=preset, command=str(spy(tmp_path, offer={"load": True, "breaks": True})), env=env)
    steps = script({"say": "I look.", "pause": 5}, {"think": "hm"}, {"say": "One."})
    context = RecordingContext(steps, cwd=tmp_path)
    await context.play(agent, until=first(ev.MessageStreamed))
    second = context.after_a_crash()
    await second.play(agent)
    assert conversation(second) == said


async def test_a_session_of_an_earlier_run_is_not_mistaken_for_the_work_that_was_lost(tmp_path: Path) -> None:
    """The same prompt was asked before; what the session has of that one is not what was done of this one."""
    agent = player({"load": True}, tmp_path)
    context = await play(agent, TWO, tmp_path)
    link = context.data(ev.AgentSessionLinked)[-1]
    history: list[EventData] = [ev.RunStarted(attempt=1, worker_id="w"), link, ev.MessageStreamed(text="I")]
    assert lost(history).before == 1
    assert lost(history).begun
    assert not lost(history).over
