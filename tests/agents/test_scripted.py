"""The scripted agent plays its script, and goes on where an earlier attempt ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest

from sessionry.agents.script import STEPS, load_script, ready_scripts
from sessionry.agents.scripted import ScriptedAgent
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import (
    TOOL_ENDINGS,
    ArtifactAdded,
    EventData,
    MessageReceived,
    MessageStreamed,
    PlanUpdated,
    ReasoningReceived,
    ReasoningStreamed,
    RunCompleted,
    RunFailed,
    RunWaiting,
    StepCompleted,
    TokenUsageUpdated,
    ToolApprovalRequested,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    TurnCompleted,
)
from sessionry.domain.json_values import Json
from sessionry.domain.run import CancelMode, ErrorInfo, Takeover
from sessionry.domain.usage import Usage
from sessionry.ports import Decision
from sessionry.testing.context import Answers, RecordingContext


async def play(*steps: Json, cwd: Path | None = None, answers: Answers = (), input: Json = "hi") -> list[EventData]:
    context = RecordingContext(input, cwd=cwd, answers=answers)
    return [event for event in await context.play(ScriptedAgent(steps)) if not isinstance(event, StepCompleted)]


def said(events: list[EventData]) -> list[str]:
    return [event.text for event in events if isinstance(event, MessageReceived)]


def after(number: int, kind: type[EventData] = EventData) -> Callable[[EventData], bool]:
    """True at the event of that number, of those of that type."""
    seen = count(1)
    return lambda event: isinstance(event, kind) and next(seen) == number


# --- steps ---


async def test_it_says_a_message_word_by_word() -> None:
    *pieces, whole = await play({"say": "one two  three"})
    assert [piece.text for piece in pieces if isinstance(piece, MessageStreamed)] == ["one ", "two  ", "three"]
    assert isinstance(whole, MessageReceived)
    assert whole.text == "one two  three"
    assert {piece.message_id for piece in pieces if isinstance(piece, MessageStreamed)} == {whole.message_id}


async def test_it_says_a_message_in_so_many_pieces() -> None:
    *pieces, _ = await play({"say": {"text": "abcdefg", "pieces": 3}})
    assert [piece.text for piece in pieces if isinstance(piece, MessageStreamed)] == ["ab", "cd", "efg"]


async def test_it_thinks() -> None:
    *pieces, whole = await play({"think": "let me see"})
    assert all(isinstance(piece, ReasoningStreamed) for piece in pieces)
    assert isinstance(whole, ReasoningReceived)


async def test_it_says_the_input_back() -> None:
    assert said(await play("echo", input={"prompt": "you there"})) == ["you there"]


async def test_it_uses_tools() -> None:
    events = await play(
        {"tool": {"name": "ls", "input": ["."], "output": {"files": 3}}}, {"tool": {"name": "rm", "error": "no"}}
    )
    first, done, second, failed = events
    assert isinstance(first, ToolCallStarted)
    assert isinstance(second, ToolCallStarted)
    assert (first.tool_name, first.tool_input) == ("ls", ["."])
    assert done == ToolCallCompleted(tool_call_id=first.tool_call_id, tool_name="ls", tool_output={"files": 3})
    error = ErrorInfo(code="agent_failed", message="no")
    assert failed == ToolCallFailed(tool_call_id=second.tool_call_id, tool_name="rm", error=error)
    assert first.tool_call_id != second.tool_call_id


async def test_it_writes_a_real_file(tmp_path: Path) -> None:
    started, ended = await play({"write": {"path": "sub/file.txt", "text": "ä\n"}}, cwd=tmp_path)
    assert (tmp_path / "sub/file.txt").read_text(encoding="utf-8") == "ä\n"
    assert isinstance(started, ToolCallStarted)
    assert isinstance(ended, ToolCallCompleted)
    assert ended.tool_output == {"path": "sub/file.txt", "bytes": 3}


async def test_it_does_not_write_out_of_the_working_directory_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "out").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="leads out of the working directory"):
        await play({"write": {"path": "out/file", "text": ""}}, cwd=tmp_path / "work")


async def test_a_granted_question_lets_it_go_on() -> None:
    step = {"approve": {"tool": "rm", "input": {"path": "x"}, "reason": "why not", "timeout": 60}}
    context = RecordingContext(answers=[True])
    events = await context.play(ScriptedAgent([step, {"say": "gone"}]))
    assert said(events) == ["gone"]
    assert context.questions == [("rm", {"path": "x"}, None, "why not", 60)]


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision(approved=False, by="ann", note="keep it"), "rm: denied by ann: keep it"),
        (Decision(approved=False, expired=True), "rm: nobody decided in time"),
    ],
)
async def test_a_denied_question_fails_the_run(decision: Decision, message: str) -> None:
    events = await play({"approve": "rm"}, {"say": "gone"}, answers=[decision])
    assert events[-1] == RunFailed(error=ErrorInfo(code="policy_violation", message=message))


async def test_a_denied_question_may_lead_elsewhere_and_on() -> None:
    steps = [{"approve": {"tool": "rm", "if_denied": [{"say": "kept"}]}}, {"say": "on"}]
    assert said(await play(*steps, answers=[False])) == ["kept", "on"]
    assert said(await play(*steps, answers=[True])) == ["on"]


async def test_it_reports_usage_and_plans() -> None:
    events = await play(
        {"usage": {"input_tokens": 5, "output_tokens": 2, "cost": "0.10", "model": "m"}},
        {"plan": ["read", {"text": "write", "status": "in_progress"}]},
    )
    assert events == [
        TokenUsageUpdated(usage=Usage(input_tokens=5, output_tokens=2), cost=Decimal("0.10"), model="m"),
        PlanUpdated(entries=[{"text": "read", "status": "pending"}, {"text": "write", "status": "in_progress"}]),
    ]


async def test_it_adds_artifacts() -> None:
    context = RecordingContext()
    await context.play(ScriptedAgent([{"artifact": {"content": "big", "name": "a.txt"}}]))
    assert list(context.blobs.values()) == [b"big"]
    assert [added.name for added in context.data(ArtifactAdded)] == ["a.txt"]


async def test_it_repeats() -> None:
    inner = {"repeat": {"times": 2, "steps": [{"say": "b"}]}}
    assert said(await play({"repeat": {"times": 2, "steps": [{"say": "a"}, inner]}})) == list("abbabb")
    assert await play({"repeat": {"times": 0, "steps": [{"say": "a"}]}}) == []


@pytest.mark.parametrize(
    ("step", "end"),
    [
        ("exit", RunCompleted(stop_reason="exit")),
        ({"exit": "enough"}, RunCompleted(text="enough", stop_reason="exit")),
        ({"exit": {"output": [1], "stop_reason": "end_turn"}}, RunCompleted(output=[1], stop_reason="end_turn")),
        ({"fail": "no way"}, RunFailed(error=ErrorInfo(code="agent_failed", message="no way"))),
        (
            {"fail": {"code": "agent_unavailable", "message": "later"}},
            RunFailed(error=ErrorInfo(code="agent_unavailable", message="later", retryable=True)),
        ),
    ],
)
async def test_it_ends_where_the_script_says_so(step: Json, end: EventData) -> None:
    assert await play(step, {"say": "never"}) == [end]


async def test_it_breaks_where_the_script_says_so() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await play({"raise": "broken"})


async def test_it_hangs_until_it_is_cancelled() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(play("hang"), 0.05)


async def test_it_waits_for_a_person_and_says_back_what_it_hears() -> None:
    context = RecordingContext(steering=["now"])
    agent = ScriptedAgent([{"wait_for_input": 60}, {"wait_for_input": 0.01}, {"say": "nobody"}])
    assert said(await context.play(agent)) == ["now", "nobody"]


async def test_it_sleeps_at_the_pace_it_is_told() -> None:
    begin = time.monotonic()
    await RecordingContext().play(ScriptedAgent([{"sleep": 3600}, {"say": {"text": "a b", "delay": 60}}], pace=0))
    assert time.monotonic() - begin < 5
    await play({"sleep": 0.05})
    assert time.monotonic() - begin > 0.05


async def test_it_stops_after_the_turn_when_asked_to() -> None:
    context = RecordingContext()
    context.cancel_requested = CancelMode.AFTER_TURN
    events = await context.play(ScriptedAgent([{"say": "one"}, "turn", {"say": "two"}]))
    assert said(events) == ["one"]
    assert isinstance(events[-1], TurnCompleted)


# --- loading ---


def test_a_script_is_a_list_a_text_a_file_or_the_name_of_a_ready_one(tmp_path: Path) -> None:
    text = '- say: hello\n- {"sleep": 1}\n'
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "a.json").write_text('[{"say": "hello"}, {"sleep": 1}]')
    expected = load_script([{"say": "hello"}, {"sleep": 1}])
    for script in (text, str(tmp_path / "a.yaml"), tmp_path / "a.json", '[{"say": "hello"}, {"sleep": 1}]'):
        assert load_script(script) == expected
    assert ScriptedAgent(file=tmp_path / "a.yaml").steps == expected
    assert ScriptedAgent().steps == load_script("demo")


@pytest.mark.parametrize(
    ("script", "path", "problem"),
    [
        ("- sya: hello", "script[0]", "did you mean say?"),
        ("- say: {text: a, delya: 1}", "script[0].say", "unknown field `delya`"),
        ("- say: {delay: 1}", "script[0].say", "missing required field `text`"),
        ("- say: 5", "script[0].say.text", "Expected `str`, got `int`"),
        ("- say: {text: a, pieces: 0}", "script[0].say.pieces", "must be at least 1"),
        ("- turn\n- repeat: {times: 2, steps: [say: a, sleep: -1]}", "script[1].repeat.steps[1].sleep.seconds", "0 to"),
        ("- approve: {tool: x, if_denied: [hm]}", "script[0].approve.if_denied[0]", "is 'hm'"),
        ("- approve: {tool: x, if_denied: no}", "script[0].approve.if_denied", "got `bool`"),
        ("- {say: a, turn: b}", "script[0]", "one key"),
        ("- hang: 1", "script[0].hang", "must be an object"),
        ("- fail: {message: x, code: zz}", "script[0].fail.code", "must be an error code"),
        ("- write: {path: ../x, text: a}", "script[0].write.path", "below the working directory"),
        ("- write: {path: /etc/x, text: a}", "script[0].write.path", "below the working directory"),
        ("- say: 2020-01-01", "script[0].say", "date"),
        ("- say: a\n- [\n", "script", "line 3"),
        ("say: a\nturn:\n", "script", "list of steps, not dict"),
        ("no-such-file.yaml", "script", "No such file or directory; give a file or one of chat"),
    ],
)
def test_a_bad_script_is_refused_when_it_is_loaded_with_the_path_of_the_bad_step(
    script: str, path: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ScriptedAgent(script)
    assert refused.value.code == "invalid_configuration"
    assert refused.value.details == {"path": path}
    assert problem in refused.value.message


def test_options_that_cannot_be_honoured_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not both"):
        ScriptedAgent("demo", file=Path("x"))
    with pytest.raises(InvalidInput, match="pace"):
        ScriptedAgent(pace=-1)


@pytest.mark.parametrize("name", ready_scripts())
async def test_the_ready_scripts_play(name: str, tmp_path: Path) -> None:
    agent = ScriptedAgent(name, pace=0)
    for answer in (True, False):
        steering = ["one", "two"] if name == "chat" else []
        context = RecordingContext("hi", cwd=tmp_path, answers=[answer] * 10, steering=steering)
        await context.play(agent, until=after(3, TurnCompleted) if name == "chat" else None)
        assert said(context.data(EventData))
        assert context.data(ToolApprovalRequested) or name != "demo"


# --- going on after a crash ---

EVERYTHING: list[Json] = [
    {"think": "a b"},
    {"say": "one two three"},
    {"tool": {"name": "ls", "output": 1}},
    {"tool": {"name": "rm", "error": "no"}},
    {"usage": {"input_tokens": 5}},
    {"plan": ["read"]},
    {"approve": {"tool": "x", "if_denied": [{"say": "kept it"}, "turn"]}},
    {"artifact": "big"},
    {"repeat": {"times": 2, "steps": [{"say": "in turn"}, "turn"]}},
    {"write": {"path": "file", "text": "x"}},
    "echo",
    {"exit": "done"},
]


def essence(context: RecordingContext) -> list[tuple[str, object]]:
    """What a reader is left with: whole messages, tools that ended, and everything else that counts once."""
    kept = (MessageReceived, ReasoningReceived, ToolCallCompleted, ToolCallFailed, TokenUsageUpdated, PlanUpdated)
    found: list[tuple[str, object]] = []
    for data in context.data(EventData):
        if isinstance(data, (*kept, StepCompleted, TurnCompleted, ArtifactAdded, RunCompleted, ToolApprovalRequested)):
            name = getattr(data, "tool_name", None) or getattr(data, "name", None)
            found.append((data.type, name or getattr(data, "text", None)))
    return found


def streamed(context: RecordingContext) -> dict[str | None, str]:
    texts: dict[str | None, str] = {}
    for piece in context.data(MessageStreamed):
        texts[piece.message_id] = texts.get(piece.message_id, "") + piece.text
    return texts


@pytest.mark.parametrize("answer", [True, False])
async def test_killed_after_any_event_it_goes_on_without_repeating_or_leaving_out_anything(
    tmp_path: Path, answer: bool
) -> None:
    agent = ScriptedAgent(EVERYTHING)
    whole = RecordingContext("hi", cwd=tmp_path, answers=[answer])
    number_of_events = len(await whole.play(agent))
    assert number_of_events > 40
    for killed_after in range(1, number_of_events):
        context = RecordingContext("hi", cwd=tmp_path, answers=[answer])
        await context.play(agent, until=after(killed_after))
        again = context.after_a_crash(answers=[answer])
        await again.play(agent)
        assert essence(again) == essence(whole), f"killed after event {killed_after}"
        assert sorted(streamed(again).values()) == sorted(streamed(whole).values())
        started = [call.tool_call_id for call in again.data(ToolCallStarted)]
        ended = [event.data.tool_call_id for event in again.events() if isinstance(event.data, TOOL_ENDINGS)]  # type: ignore[attr-defined]
        assert sorted(started) == sorted(ended)
        assert len(set(started)) == len(started)


async def test_killed_after_every_single_event_it_still_comes_to_the_end(tmp_path: Path) -> None:
    agent = ScriptedAgent(EVERYTHING)
    whole = RecordingContext("hi", cwd=tmp_path, answers=[True])
    await whole.play(agent)
    context = RecordingContext("hi", cwd=tmp_path, answers=[True])
    while not context.data(RunCompleted):
        await context.play(agent, until=lambda event: not isinstance(event, ToolCallStarted | RunWaiting))
        if not context.data(RunCompleted):
            context = context.after_a_crash(answers=[True])
    assert essence(context) == essence(whole)


async def test_killed_between_two_questions_of_the_same_words_it_asks_the_second_one() -> None:
    agent = ScriptedAgent([{"repeat": {"times": 3, "steps": [{"approve": {"tool": "x", "if_denied": []}}]}}])
    context = RecordingContext(answers=[True, False])
    await context.play(agent, until=after(2, StepCompleted))
    again = context.after_a_crash(answers=[True])
    await again.play(agent)
    assert [step.result for step in again.data(StepCompleted)] == [True, False, True]
    assert len(again.data(ToolApprovalRequested)) == 3


async def test_killed_between_two_inputs_it_answers_each_once() -> None:
    agent = ScriptedAgent([{"repeat": {"times": 3, "steps": [{"wait_for_input": 0.05}]}}])
    whole = RecordingContext(steering=["one", "two"])
    number_of_events = len(await whole.play(agent))
    for killed_after in range(1, number_of_events):
        context = RecordingContext(steering=["one", "two"])
        await context.play(agent, until=after(killed_after))
        again = context.after_a_crash()
        await again.play(agent)
        assert essence(again) == essence(whole), f"killed after event {killed_after}"
        assert said(again.data(EventData)) == ["one", "two"]


async def test_pieces_that_were_merged_on_the_way_are_not_said_again() -> None:
    agent = ScriptedAgent([{"say": "one two three"}])
    context = RecordingContext()
    await context.play(agent, until=lambda event: isinstance(event, MessageStreamed))
    message_id = context.data(MessageStreamed)[0].message_id
    await context.emit(MessageStreamed(text="two ", message_id=message_id))
    again = context.after_a_crash()
    await again.play(agent)
    assert list(streamed(again).values()) == ["one two three"]


def test_every_word_is_played_by_some_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert not [word for word in STEPS if f'"{word}"' not in text]


def test_what_becomes_of_a_lost_run_can_be_chosen() -> None:
    assert (ScriptedAgent().takeover, ScriptedAgent().takeover_waiting) == (Takeover.RESUME, Takeover.RESUME)
    made = ScriptedAgent(takeover=Takeover.STOP, takeover_waiting=Takeover.RESTART)
    assert (made.takeover, made.takeover_waiting) == (Takeover.STOP, Takeover.RESTART)
