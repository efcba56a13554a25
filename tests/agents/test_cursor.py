"""Cursor's agent, as far as its documented format goes: frames are played by a program that is no Cursor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.cursor import CursorAgent, found
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from tests.agents.real.golden import FOLDER, check_golden

from .players import Player


@pytest.fixture
def cursor(tmp_path: Path) -> Player:
    return Player(tmp_path, "cursor-agent", "cursor.jsonl")


def agent(cursor: Player, **options: Any) -> CursorAgent:
    return CursorAgent(program=str(cursor.program), **options)


class TestCursor(AgentContract):
    @pytest.fixture
    def well(self, cursor: Player) -> Case:
        return Case(agent(cursor), "What is this?")

    @pytest.fixture
    def badly(self, cursor: Player) -> Case:
        return Case(agent(cursor), "crash")

    @pytest.fixture
    def endless(self, cursor: Player) -> Case:
        return Case(agent(cursor), "hang")

    @pytest.fixture
    def refused(self, cursor: Player) -> Case:
        return Case(agent(cursor), {"prompt": "hello", "effort": "high"})


async def test_its_frames_become_events(cursor: Player, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    context = RecordingContext("What is this?", cwd=tmp_path)
    await context.play(agent(cursor))
    assert [message.text for message in context.data(ev.MessageReceived)] == ["I read README.md", "It is a project."]
    assert [(call.tool_name, call.tool_input) for call in context.data(ev.ToolCallStarted)] == [
        ("read", {"path": "README.md"}),
        ("lint", '{"all":true}'),
    ]
    (read,) = context.data(ev.ToolCallCompleted)
    assert isinstance(read.tool_output, dict)
    assert read.tool_output["content"] == "# Project"
    (lint,) = context.data(ev.ToolCallFailed)
    assert lint.tool_output == {"error": {"message": "not found"}}
    (linked,) = context.data(ev.AgentSessionLinked)
    assert linked.model == "some-model"
    assert context.data(ev.RunCompleted)[0].stop_reason == "success"
    assert not context.data(ev.TokenUsageUpdated), "it does not say what it took"
    pid = str(context.data(ev.AgentProcessStarted)[0].pid)
    names, renew = {str(tmp_path): "<tmp>", pid: "<pid>"}, request.config.getoption("--renew-golden")
    check_golden(FOLDER / "cursor" / "frames.jsonl", context.log, names, renew=renew)


async def test_every_option_leaves(cursor: Player) -> None:
    await RecordingContext({"prompt": "--force", "model": "one"}).play(agent(cursor, model="other"))
    assert cursor.argv == ["--print", "--output-format", "stream-json", "--model", "one"]
    assert cursor.calls[-1]["prompt"] == "--force\n"
    await RecordingContext("x").play(agent(cursor, force=True))
    assert cursor.argv == ["--print", "--output-format", "stream-json", "--force"]


@pytest.mark.parametrize(("how", "resumed"), [("well", True), ("forgotten", False), ("other", False)])
async def test_its_own_session_is_resumed_or_replaced(cursor: Player, how: str, resumed: bool) -> None:
    previous = Conversation(native=NativeSession(id="T-1", run_id="run_before"))
    context = RecordingContext(how, previous=previous)
    await context.play(agent(cursor))
    first = cursor.calls[0]["argv"]
    assert first[first.index("--resume") + 1] == "T-1"
    assert context.data(ev.AgentSessionLinked)[-1].resumed is resumed
    assert bool(context.data(ev.ResumeDegraded)) is not resumed


async def test_who_is_not_logged_in_is_told_so(cursor: Player) -> None:
    with pytest.raises(AgentFailed) as told:
        await RecordingContext("login").play(agent(cursor))
    assert told.value.code == "auth"


def test_an_option_that_would_be_another_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="model"):
        CursorAgent(model="--force")


def test_it_is_found_on_path(cursor: Player, tmp_path: Path) -> None:
    assert found({"PATH": "/nowhere"}) is None
    there = found({"PATH": str(tmp_path), "CURSOR_API_KEY": "x"})
    assert there is not None
    assert there.logged_in


async def test_its_environment_is_what_is_on_the_list_and_what_is_given(
    cursor: Player, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANTED", "1")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    made = agent(cursor, env_allow=["PATH", "WANTED"], env={"GIVEN": "2"})
    await RecordingContext("What is this?", cwd=tmp_path).play(made)
    env = cursor.calls[-1]["env"]
    assert (env["WANTED"], env["GIVEN"]) == ("1", "2")
    assert "SOMETHING_ELSE" not in env
