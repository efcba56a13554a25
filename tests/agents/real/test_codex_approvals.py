"""Codex asks, and a person answers, or nobody does."""

from __future__ import annotations

import json

import pytest

from sessionry.domain import events as ev
from tests.agents.real.codex import ASKS, codex, data, first, kept, log_of, patch, script, session_in
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow


async def test_a_denied_command_does_not_run_and_the_reason_is_told(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"codex": codex(hermetic, **ASKS)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": "touch made.txt"}, {"text": "never"}))
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals())[0].deny(by="ann", note="use a branch")
        events = await log_of(run)
    assert not (hermetic.work / "made.txt").exists()
    assert data(events, ev.ToolCallFailed)[0].error.code == "policy_violation"
    told = json.dumps(hermetic.server.asked[-1].body["input"])
    assert "A person declined shell: use a branch" in told
    assert "rejected by user" in told
    golden("codex/approval_denied", kept(events))


async def test_no_answer_in_time_is_a_no(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"codex": codex(hermetic, approval_timeout=0.3, **ASKS)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": "touch made.txt"}, {"text": "done"}))
        events = await log_of(run)
    assert not (hermetic.work / "made.txt").exists()
    assert data(events, ev.ApprovalExpired)
    assert isinstance(events[-1].data, ev.RunCompleted)
    golden("codex/approval_expired", kept(events))


async def test_changes_of_files_are_asked_for_with_what_they_change(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    steps = [patch("*** Add File: p.txt\n+hello"), patch("*** Update File: p.txt\n@@\n-hello\n+bye"), {"text": "done"}]
    async with sessions({"codex": codex(hermetic, **ASKS)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script(*steps))
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals(status="pending"))[0].approve()
        await first(run, ev.ToolCallCompleted)
        while not (pending := await run.approvals(status="pending")):
            pass
        await pending[0].deny()
        events = await log_of(run)
    assert (hermetic.work / "p.txt").read_text() == "hello\n"
    asked = data(events, ev.ToolApprovalRequested)
    assert [question.tool_name for question in asked] == ["apply_patch"] * 2
    (change,) = asked[1].tool_input["changes"]
    assert (change["kind"], change["path"]) == ("update", str(hermetic.work / "p.txt"))
    assert "-hello\n+bye\n" in change["diff"]
    golden("codex/patch_approvals", kept(events))


async def test_what_needs_more_rights_is_asked_for_with_its_reason(hermetic: Hermetic, sessions: OpenSessions) -> None:
    outside = hermetic.home / "outside.txt"
    call = {
        "name": "exec_command",
        "input": {
            "cmd": f"touch {outside}",
            "sandbox_permissions": "require_escalated",
            "justification": "It is needed there.",
        },
    }
    agent = codex(hermetic, sandbox="read-only", approval_policy="on-request")
    async with sessions({"codex": agent}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"tools": [call]}, {"text": "done"}))
        asked = await first(run, ev.ToolApprovalRequested)
        await (await run.approvals())[0].approve()
        await run.result(60)
    assert asked.reason == "It is needed there."
    assert outside.exists()


async def test_a_run_that_waits_for_a_person_can_be_cancelled(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"codex": codex(hermetic, **ASKS)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": "touch made.txt"}, {"text": "never"}))
        await first(run, ev.ToolApprovalRequested)
        await run.cancel()
        events = await log_of(run)
        assert not await run.approvals(status="pending")
    assert isinstance(events[-1].data, ev.RunCancelled)
    assert not (hermetic.work / "made.txt").exists()
