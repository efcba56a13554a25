"""Amp, as far as its documented format goes: frames are played by a program that is no Amp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.amp import AmpAgent, found
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed, InvalidInput, SessionryError
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Message, Transcript
from sessionry.domain.usage import Usage
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from tests.agents.real.golden import FOLDER, check_golden
from tests.agents.recorded import printed, wrapped

from .players import Player


@pytest.fixture
def amp(tmp_path: Path) -> Player:
    return Player(tmp_path, "amp", "amp.jsonl")


def agent(amp: Player, **options: Any) -> AmpAgent:
    return AmpAgent(program=str(amp.program), **options)


class TestAmp(AgentContract):
    @pytest.fixture
    def well(self, amp: Player) -> Case:
        return Case(agent(amp), "2 + 2?")

    @pytest.fixture
    def badly(self, amp: Player) -> Case:
        return Case(agent(amp), "limit")

    @pytest.fixture
    def endless(self, amp: Player) -> Case:
        return Case(agent(amp), "hang")

    @pytest.fixture
    def refused(self, amp: Player) -> Case:
        return Case(agent(amp), {"prompt": "hello", "model": "opus"})


def earlier(*, mode: Continuation = Continuation.AUTO, native: str | None = "T-1") -> Conversation:
    said = [Message(role="user", text="My dog is Rex.", seq=3)]
    session = NativeSession(id=native, run_id="run_before") if native else None
    return Conversation(mode=mode, native=session, missed=Transcript(messages=[] if native else said))


async def test_its_frames_become_events(amp: Player, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    context = RecordingContext("2 + 2?", cwd=tmp_path)
    await context.play(agent(amp))
    assert [(message.text, message.parent_tool_call_id is None) for message in context.data(ev.MessageReceived)] == [
        ("I look.", True),
        ("It is empty.", False),
        ("2 + 2 equals 4.", True),
    ]
    assert [reasoning.text for reasoning in context.data(ev.ReasoningReceived)] == ["A file will tell."]
    assert [(call.tool_name, call.tool_input) for call in context.data(ev.ToolCallStarted)] == [
        ("Bash", {"cmd": "ls"}),
        ("Task", {"prompt": "read it"}),
    ]
    assert [call.tool_output for call in context.data(ev.ToolCallCompleted)] == ["a.txt"]
    assert [call.error.message for call in context.data(ev.ToolCallFailed)] == ["no such\nfile"]
    (done,) = context.data(ev.RunCompleted)
    assert (done.text, done.stop_reason) == ("2 + 2 equals 4.", "success")
    assert context.data(ev.AgentSessionLinked)[0].native_session_id.startswith("T-")
    pid = str(context.data(ev.AgentProcessStarted)[0].pid)
    names, renew = {str(tmp_path): "<tmp>", pid: "<pid>"}, request.config.getoption("--renew-golden")
    check_golden(FOLDER / "amp" / "frames.jsonl", context.log, names, renew=renew)


async def test_what_its_count_of_input_includes_is_not_counted_twice(amp: Player) -> None:
    context = RecordingContext("2 + 2?")
    await context.play(agent(amp))
    first = context.data(ev.TokenUsageUpdated)[0]
    assert first.usage == Usage(input_tokens=416, cache_read_tokens=12000, cache_write_tokens=367, output_tokens=8)
    assert first.cost is None, "nobody knows the model, so nobody knows the price"


async def test_every_option_leaves_and_the_prompt_is_in_no_argument(amp: Player) -> None:
    await RecordingContext({"prompt": "--help", "mode": "deep"}).play(agent(amp, allow_all=True, env={"AMP_URL": "x"}))
    assert amp.argv == ["--execute", "--stream-json", "--mode", "deep", "--dangerously-allow-all"]
    assert amp.calls[-1]["prompt"] == "--help\n"
    assert amp.calls[-1]["env"]["AMP_URL"] == "x"
    await RecordingContext("hello").play(agent(amp, mode="rush"))
    assert amp.argv == ["--execute", "--stream-json", "--mode", "rush"]


async def test_it_is_given_its_own_variables_and_no_others(amp: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMP_API_KEY", "dummy")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    await RecordingContext("hello").play(agent(amp))
    assert amp.calls[-1]["env"]["AMP_API_KEY"] == "dummy"
    assert "ANTHROPIC_API_KEY" not in amp.calls[-1]["env"]


async def test_its_own_session_is_resumed_by_its_id(amp: Player) -> None:
    context = RecordingContext("and now?", previous=earlier())
    await context.play(agent(amp))
    assert amp.argv[:3] == ["threads", "continue", "T-1"]
    (linked,) = context.data(ev.AgentSessionLinked)
    assert (linked.native_session_id, linked.resumed) == ("T-1", True)
    assert not context.data(ev.ResumeDegraded)


@pytest.mark.parametrize("how", ["other", "forgotten"])
async def test_a_session_that_does_not_come_back_is_replaced_by_the_transcript(amp: Player, how: str) -> None:
    context = RecordingContext(f"and now {how}", previous=earlier())
    await context.play(agent(amp))
    (degraded,) = context.data(ev.ResumeDegraded)
    assert degraded.native_session_id == "T-1"
    (linked,) = context.data(ev.AgentSessionLinked)
    assert not linked.resumed
    assert "continue" not in amp.argv
    assert context.data(ev.RunCompleted)
    with pytest.raises(AgentFailed) as told:
        await RecordingContext(how, previous=earlier(mode=Continuation.NATIVE)).play(agent(amp))
    assert told.value.code == "resume_failed"


async def test_without_a_session_of_its_own_it_is_told_what_was_said(amp: Player) -> None:
    context = RecordingContext("what is he called?", previous=earlier(native=None))
    await context.play(agent(amp))
    assert "My dog is Rex." in amp.calls[-1]["prompt"]
    assert amp.calls[-1]["prompt"].endswith("what is he called?\n")
    assert context.data(ev.ContinuityReport)[0].carried == 1


async def test_an_interrupted_run_goes_on_in_its_session_and_hears_why(amp: Player) -> None:
    first = RecordingContext("2 + 2?")
    await first.play(agent(amp), until=lambda event: isinstance(event, ev.MessageReceived))
    second = first.after_a_crash()
    second.previous = Conversation(native=NativeSession(id="T-1", run_id=first.run.id))
    await second.play(agent(amp))
    assert amp.argv[:3] == ["threads", "continue", "T-1"]
    assert "was interrupted" in amp.calls[-1]["prompt"]
    assert amp.calls[-1]["prompt"].endswith("2 + 2?\n")


@pytest.mark.parametrize(("how", "code"), [("crash", "crashed"), ("login", "auth")])
async def test_a_program_that_ends_too_early_is_an_error(amp: Player, how: str, code: str) -> None:
    with pytest.raises(AgentFailed) as told:
        await RecordingContext(how).play(agent(amp))
    assert told.value.code == code


async def test_too_many_turns_are_a_limit(amp: Player) -> None:
    context = RecordingContext("limit")
    await context.play(agent(amp))
    assert context.data(ev.RunFailed)[0].error.code == "limit_reached"


async def test_it_cannot_fork() -> None:
    with pytest.raises(SessionryError) as told:
        await RecordingContext("x", previous=earlier(mode=Continuation.FORK)).play(AmpAgent())
    assert told.value.code == "capability_not_supported"


async def test_without_the_program_it_says_so() -> None:
    with pytest.raises(AgentFailed) as told:
        await RecordingContext("x").play(AmpAgent(program="/nowhere/amp"))
    assert told.value.code == "command_not_found"


def test_an_option_that_would_be_another_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="mode"):
        AmpAgent(mode="--dangerously-allow-all")
    with pytest.raises(InvalidInput) as told:
        AmpAgent().check({"prompt": "x", "mode": "-x"})
    assert told.value.details["path"] == "input.mode"


def test_it_is_found_on_path(amp: Player, tmp_path: Path) -> None:
    assert found({"PATH": "/nowhere"}) is None
    there = found({"PATH": str(tmp_path)})
    assert there is not None
    assert (there.program, there.logged_in) == (str(amp.program), None)
    assert (found({"PATH": str(tmp_path), "AMP_API_KEY": "x"}) or there).logged_in is True


async def test_its_environment_is_what_is_on_the_list_and_what_is_given(
    amp: Player, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANTED", "1")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    made = agent(amp, env_allow=["PATH", "WANTED"], env={"GIVEN": "2"})
    await RecordingContext("What is this?", cwd=tmp_path).play(made)
    env = amp.calls[-1]["env"]
    assert (env["WANTED"], env["GIVEN"]) == ("1", "2")
    assert "SOMETHING_ELSE" not in env


async def test_its_frames_are_kept_as_it_prints_them(amp: Player, tmp_path: Path) -> None:
    context = RecordingContext("2 + 2?", cwd=tmp_path, keep_raw=True)
    program, record = wrapped(str(amp.program), tmp_path / "wrapped")
    await context.play(AmpAgent(program=str(program)))
    frames = context.data(ev.FrameReceived)
    assert {frame.source for frame in frames} == {"amp"}
    assert [frame.frame for frame in frames] == printed(record)
