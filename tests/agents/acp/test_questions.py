"""The questions of an agent: exactly what a person decided is what it is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.ports import Decision
from sessionry.testing.context import RecordingContext
from tests.agents.acp.player import play, player, script, texts


async def test_an_allowed_call_is_done_and_the_option_of_exactly_that_kind_is_chosen(tmp_path: Path) -> None:
    context = await play(player(folder=tmp_path), script({"ask": {"run": "echo hi > made"}}), tmp_path, answers=[True])
    assert (tmp_path / "made").read_text() == "hi\n"
    question = context.questions[0]
    assert (question.tool_name, question.tool_input) == ("execute", {"command": "echo hi > made"})
    assert question.tool_call_id == context.data(ev.ToolCallStarted)[0].tool_call_id
    kinds = [event.type for event in context.events()]
    assert kinds.index("tool_call_started") < kinds.index("tool_approval_requested"), "the question is about the call"
    assert '"optionId":"allow_once-id"' in (tmp_path / "saw.jsonl").read_text()


async def test_a_denied_call_is_not_done_and_fails(tmp_path: Path) -> None:
    answers = [Decision(approved=False, by="eve", note="too bold")]
    context = await play(player(), script({"ask": {"run": "echo hi > made"}}), tmp_path, answers=answers)
    assert not (tmp_path / "made").exists()
    assert texts(context) == ["reject_once-id"]
    failed = context.data(ev.ToolCallFailed)[0]
    assert (failed.error.code, failed.error.message) == ("policy_violation", "denied by eve: too bold")
    assert context.data(ev.RunCompleted), "the agent goes on without it"


async def test_a_question_that_nobody_answers_is_a_denial(tmp_path: Path) -> None:
    agent = player(approval_timeout=7)
    expired = [Decision(approved=False, expired=True)]
    context = await play(agent, script({"ask": {"run": "echo hi > made"}}), tmp_path, answers=expired)
    assert context.questions[0].timeout == 7
    assert context.data(ev.ToolCallFailed)[0].error.message == "nobody decided in time"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("remember", "kinds", "answer", "chosen"),
    [
        (False, ["allow_always", "reject_once"], True, "cancelled"),
        (False, ["allow_always", "allow_once"], False, "cancelled"),
        (False, ["allow_once", "reject_always"], False, "cancelled"),
        (True, ["allow_once", "allow_always"], True, '"call-1"'),
    ],
)
async def test_without_an_option_of_that_kind_the_question_is_cancelled(
    tmp_path: Path, remember: bool, kinds: list[str], answer: bool, chosen: str
) -> None:
    agent = player(folder=tmp_path, remember=remember)
    context = await play(agent, script({"ask": {"kinds": kinds}}), tmp_path, answers=[answer])
    if remember:
        assert '"optionId":"allow_always-id"' in (tmp_path / "saw.jsonl").read_text()
        return
    assert texts(context) == [chosen]
    assert "offered no option of the kind" in context.data(ev.ErrorOccurred)[0].error.message


async def test_a_question_is_cancelled_with_the_run(tmp_path: Path) -> None:
    agent, asked = player(folder=tmp_path), asyncio.Event()

    class Waiting(RecordingContext):
        async def approve(self, *_: Any, **__: Any) -> Decision:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    playing = asyncio.create_task(Waiting(script({"ask": {"run": "touch made"}}), cwd=tmp_path).play(agent))
    await asked.wait()
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert '"outcome":{"outcome":"cancelled"}' in (tmp_path / "saw.jsonl").read_text()
    assert not (tmp_path / "made").exists()
