"""Each real agent that speaks the Agent Client Protocol: it talks, asks, writes, goes on with its session, and stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.ports import Decision
from tests.agents.processes import alive, until
from tests.agents.real.acp import (
    BY_FOLDER,
    FORKING,
    NAMES,
    acp,
    data,
    first,
    going_on,
    kept,
    later,
    log_of,
    pid_in,
    play,
    script,
    shell,
    texts,
)
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", NAMES)]


async def test_it_thinks_and_says_hello(name: str, hermetic: Hermetic, golden: Golden) -> None:
    context = await play(acp(hermetic, name), script({"thinking": "hm", "text": ["Hello ", "from ", "it."]}), hermetic)
    assert texts(context) == ["Hello from it."]
    assert "hm" in context.data(ev.ReasoningReceived)[0].text
    assert len(context.data(ev.MessageStreamed)) > 1
    assert context.data(ev.AgentProcessStarted)[0].version
    assert sum(event.usage.input_tokens for event in context.data(ev.TokenUsageUpdated)) == 100
    golden(f"acp-{name}/hello", kept(context.events()))


async def test_an_allowed_command_is_run(name: str, hermetic: Hermetic, golden: Golden) -> None:
    steps = script(shell(name, "echo hi-there > out.txt"), {"text": "all done"})
    context = await play(acp(hermetic, name), steps, hermetic, answers=[True])
    assert (hermetic.work / "out.txt").read_text() == "hi-there\n"
    assert "echo hi-there > out.txt" in str(context.questions[0].tool_input)
    assert len(context.data(ev.ToolCallCompleted)) == 1
    assert texts(context) == ["all done"]
    golden(f"acp-{name}/allow", kept(context.events()))


async def test_a_denied_command_is_not_run(name: str, hermetic: Hermetic, golden: Golden) -> None:
    steps = script(shell(name, "echo hi-there > out.txt"), {"text": "then not"})
    answers = [Decision(approved=False, by="eve", note="no")]
    context = await play(acp(hermetic, name), steps, hermetic, answers=answers)
    assert not (hermetic.work / "out.txt").exists()
    assert context.data(ev.ToolCallFailed)[0].error.code == "policy_violation"
    assert context.data(ev.RunCompleted)
    golden(f"acp-{name}/deny", kept(context.events()))


async def test_a_written_file_is_told_with_its_diff(name: str, hermetic: Hermetic, golden: Golden) -> None:
    made = hermetic.work / "made.txt"
    step = {"write": {"path": str(made), "content": "made\n"}}
    if name == "codex-acp":
        patch = "*** Begin Patch\n*** Add File: made.txt\n+made\n*** End Patch"
        step = {"tools": [{"name": "apply_patch", "input": patch}]}  # type: ignore[dict-item]
    context = await play(acp(hermetic, name), script(step, {"text": "done"}), hermetic, answers=lambda _: True)
    assert made.read_text() == "made\n"
    output = context.data(ev.ToolCallCompleted)[0].tool_output
    assert isinstance(output, dict)
    (change,) = output["changes"]
    assert (change["path"], change["kind"]) == (str(made), "add")
    assert change["diff"] == f"--- /dev/null\n+++ {made}\n@@ -0,0 +1 @@\n+made\n"
    golden(f"acp-{name}/write", kept(context.events()))


async def test_its_session_goes_on_in_a_new_process_and_another_folder(
    name: str, hermetic: Hermetic, golden: Golden, tmp_path: Path
) -> None:
    agent = acp(hermetic, name)
    first = await play(agent, script({"text": "one"}), hermetic)
    later(hermetic, name)
    second = await play(agent, script({"text": "two"}), hermetic, previous=going_on(first))
    link = second.data(ev.AgentSessionLinked)[0]
    assert (link.native_session_id, link.resumed) == (going_on(first).native.id, True)  # type: ignore[union-attr]
    assert texts(second) == ["two"], "what is replayed is not told again"
    asked = str(hermetic.server.requests[-1].body)
    assert "one" in asked, "the model is sent what was before"
    golden(f"acp-{name}/resume", kept(second.events()))
    later(hermetic, name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    third = await play(agent, script({"text": "three"}), hermetic, previous=going_on(second), cwd=elsewhere)
    assert texts(third) == ["three"]
    assert bool(third.data(ev.ResumeDegraded)) == (name in BY_FOLDER), "what is not found there is not claimed"


async def test_a_fork_is_a_copy_where_it_can_copy(name: str, hermetic: Hermetic, golden: Golden) -> None:
    """Qwen and Gemini cannot: they refuse it by name."""
    agent = acp(hermetic, name)
    first = await play(agent, script({"text": "one"}), hermetic)
    if name not in FORKING:
        with pytest.raises(SessionryError, match="does not offer to fork"):
            await play(agent, script({"text": "two"}), hermetic, previous=going_on(first, "fork"))
        return
    forked = await play(agent, script({"text": "two"}), hermetic, previous=going_on(first, "fork"))
    link, native = forked.data(ev.AgentSessionLinked)[0], going_on(first).native
    assert native is not None
    assert link.forked_from == native.id != link.native_session_id
    assert "one" in str(hermetic.server.requests[-1].body)
    golden(f"acp-{name}/fork", kept(forked.events()))


async def test_a_cancelled_run_ends_the_tools_own_child(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    pid = hermetic.work / "pid"
    async with sessions({"acp": acp(hermetic, name)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        run = await session.run(script({"text": "working"} | shell(name, "echo $$ > pid; exec sleep 77")))
        await first(run, ev.ToolApprovalRequested, 80)
        await (await run.approvals())[0].approve()
        await until(lambda: pid_in(pid) is not None, 60)
        child = pid_in(pid)
        assert child is not None
        assert alive(child)
        await run.cancel(reason="enough")
        events = await log_of(run)
    assert not alive(child)
    assert isinstance(events[-1].data, ev.RunCancelled)
    assert data(events, ev.ToolCallInterrupted)
    golden(f"acp-{name}/cancelled", kept(events))
