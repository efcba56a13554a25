"""Claude Code at work: what it does and says is in the log, and what people say reaches it."""

from __future__ import annotations

import base64
import sys
from decimal import Decimal

import pytest

from sessionry.domain import events as ev
from sessionry.domain.usage import Usage
from tests.agents.real.claude import (
    alive,
    asks,
    claude,
    data,
    first,
    kept_by,
    log_of,
    pid_in,
    played,
    said_to_model,
    script,
    session_in,
    sleeper,
    until,
    usage_last,
)
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

#: One pixel.
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8ffff3f0005fe02fe"
        "a735a9840000000049454e44ae426082"
    )
).decode()


async def test_it_says_hello_piece_by_piece(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    words = {"text": ["Hello ", "from ", "Claude."], "delay": 0.15}
    result, events = await played(sessions, claude(hermetic), hermetic, script(words))
    assert result.text == "Hello from Claude."
    pieces = data(events, ev.MessageStreamed)
    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces) == "Hello from Claude."
    assert [said.text for said in data(events, ev.MessageReceived)] == ["Hello from Claude."]
    golden("claude/hello", events)


async def test_a_person_allows_a_command(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"claude": asks(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(
            script({"shell": "echo made > made.txt"}, {"text": "done"})
        )
        asked = await first(run, ev.ToolApprovalRequested)
        assert asked.tool_name == "Bash"
        assert asked.tool_input == {"command": "echo made > made.txt", "description": "run a scripted command"}
        assert not (hermetic.work / "made.txt").exists()
        await (await run.approvals())[0].approve(by="ann")
        events = await log_of(run)
    assert (hermetic.work / "made.txt").read_text() == "made\n"
    golden("claude/approval_allowed", usage_last(events))


@pytest.mark.slow
async def test_it_thinks_aloud(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    _, events = await played(sessions, claude(hermetic), hermetic, script({"thinking": "hm, so", "text": "yes"}))
    assert "".join(thought.text for thought in data(events, ev.ReasoningStreamed)) == "hm, so"
    assert [thought.text for thought in data(events, ev.ReasoningReceived)] == ["hm, so"]
    golden("claude/reasoning", events)


@pytest.mark.slow
async def test_commands_and_changes_of_files_are_told(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    edit = {"name": "Edit", "input": {"file_path": "made.txt", "old_string": "two", "new_string": "2"}}
    steps = script(
        {"text": "First a command.", "shell": "echo from the shell | tee out.txt"},
        {"write": {"path": "made.txt", "content": "one\ntwo\n"}},
        {"tools": [edit]},
        {"shell": "echo oops >&2; exit 3"},
        {"text": "All done."},
    )
    result, events = await played(sessions, claude(hermetic), hermetic, steps)
    assert (hermetic.work / "out.txt").read_text() == "from the shell\n"
    assert (hermetic.work / "made.txt").read_text() == "one\n2\n"
    bash, write, edited = data(events, ev.ToolCallCompleted)
    assert bash.tool_output == "from the shell"
    assert write.tool_output["changes"][0]["kind"] == "add"
    assert "-two\n+2\n" in edited.tool_output["changes"][0]["diff"]
    (failed,) = data(events, ev.ToolCallFailed)
    assert "oops" in failed.error.message
    assert result.text == "All done."
    assert len(data(events, ev.TurnCompleted)) == 5
    golden("claude/tools", events)


@pytest.mark.slow
async def test_a_person_denies_a_command_and_says_why(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"claude": asks(hermetic)}) as opened:
        steps = script({"shell": "echo made > made.txt"}, {"text": "heard: {last_tool}"})
        run = await (await session_in(opened, hermetic)).run(steps)
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals())[0].deny(by="ann", note="not on a Friday")
        events = await log_of(run)
        assert (await run.result()).text == "heard: not on a Friday"
    assert not (hermetic.work / "made.txt").exists()
    golden("claude/approval_denied", usage_last(events))


@pytest.mark.slow
async def test_no_answer_is_a_denial(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    steps = script({"write": {"path": "made.txt", "content": "x"}}, {"text": "so not"})
    result, events = await played(sessions, asks(hermetic, approval_timeout=0.3), hermetic, steps)
    assert result.text == "so not"
    assert data(events, ev.ApprovalExpired)
    assert not (hermetic.work / "made.txt").exists()
    golden("claude/approval_expired", usage_last(events))


@pytest.mark.slow
async def test_where_nobody_is_asked_it_is_denied_and_told(hermetic: Hermetic, sessions: OpenSessions) -> None:
    steps = script({"shell": "echo made > made.txt"}, {"text": "so not"})
    result, events = await played(sessions, asks(hermetic, permissions="deny"), hermetic, steps)
    assert result.text == "so not"
    assert [told.details["tool_name"] for told in data(events, ev.PolicyViolation)] == ["Bash"]
    assert not (hermetic.work / "made.txt").exists()


@pytest.mark.slow
async def test_several_questions_wait_at_the_same_time(hermetic: Hermetic, sessions: OpenSessions) -> None:
    writes = [{"name": "Write", "input": {"file_path": f"{name}.txt", "content": name}} for name in ("a", "b")]
    async with sessions({"claude": asks(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"tools": writes}, {"text": "done"}))
        async for event in run.events():
            if isinstance(event.data, ev.ToolApprovalRequested):
                asked = opened.approval(event.data.approval_id)
                await (asked.approve() if "a.txt" in str(event.data.tool_input) else asked.deny())
        assert (await run.result()).text == "done"
    assert sorted(path.name for path in hermetic.work.iterdir()) == ["a.txt"]


@pytest.mark.slow
async def test_a_person_answers_a_question_of_the_model(hermetic: Hermetic, sessions: OpenSessions) -> None:
    question = {
        "question": "Which colour?",
        "header": "Colour",
        "multiSelect": False,
        "options": [{"label": "red", "description": "warm"}, {"label": "blue", "description": "cold"}],
    }
    call = {"name": "AskUserQuestion", "input": {"questions": [question]}}
    async with sessions({"claude": asks(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"tools": [call]}, {"text": "{last_tool}"}))
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals())[0].approve(note="blue")
        assert "blue" in str((await run.result()).text)


@pytest.mark.slow
async def test_it_hears_what_is_said_while_it_works(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    wait = "while [ ! -e go ]; do sleep 0.05; done"
    async with sessions({"claude": claude(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": wait}, {"text": "done"}))
        await first(run, ev.ToolCallStarted)
        await run.steer("and use pytest")
        await until(lambda: "and use pytest" in kept_by(hermetic))
        (hermetic.work / "go").touch()
        events = await log_of(run)
    assert "and use pytest" in said_to_model(hermetic.server.asked[-1])
    assert "and use pytest" not in said_to_model(hermetic.server.asked[0])
    told = [event for event in events if not isinstance(event.data, ev.TurnCompleted)]
    golden("claude/steer", usage_last(told))


@pytest.mark.slow
async def test_what_was_said_too_late_for_the_turn_gets_one_of_its_own(
    hermetic: Hermetic, sessions: OpenSessions
) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"text": "one two three", "delay": 0.4}))
        await first(run, ev.MessageStreamed)
        await run.steer(script({"text": "and four"}))
        events = await log_of(run)
        assert (await run.result()).text == "and four"
    assert [said.text for said in data(events, ev.MessageReceived)] == ["one two three", "and four"]


@pytest.mark.slow
async def test_cancelling_ends_the_tool_too(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": sleeper()}, {"text": "never"}))
        pid = await until(lambda: pid_in(hermetic.work / "tool.pid"))
        assert alive(pid)
        await run.cancel(reason="enough")
        events = await log_of(run)
        assert (await run.result()).status == "cancelled"
    assert not alive(pid)
    assert data(events, ev.ToolCallInterrupted)
    golden("claude/cancelled", usage_last(events), {sys.executable: "python"})


@pytest.mark.slow
async def test_a_cancelled_run_keeps_what_it_has_cost(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        used = {"input": 1000, "output": 100}
        run = await (await session_in(opened, hermetic)).run(script({"shell": sleeper(), "usage": used}))
        await until(lambda: pid_in(hermetic.work / "tool.pid"))
        await run.cancel()
        await run.result()
        assert (await run.get()).usage.input_tokens == 1000


@pytest.mark.slow
async def test_a_deadline_ends_it(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    words = script({"text": "one two three four five six seven", "delay": 5})
    result, events = await played(sessions, claude(hermetic), hermetic, words, timeout=15)
    assert result.status == "timeout"
    kept = [event for event in events if not isinstance(event.data, ev.MessageStreamed | ev.TokenUsageUpdated)]
    golden("claude/deadline", kept)


@pytest.mark.slow
async def test_a_cancel_after_the_turn_waits_for_its_tools(hermetic: Hermetic, sessions: OpenSessions) -> None:
    wait = "while [ ! -e go ]; do sleep 0.05; done; echo done > did.txt"
    async with sessions({"claude": claude(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": wait}, {"text": "never said"}))
        await first(run, ev.ToolCallStarted)
        await run.cancel(mode="after_turn")
        (hermetic.work / "go").touch()
        events = await log_of(run)
    assert (hermetic.work / "did.txt").exists()
    assert events[-1].type == "run_cancelled"
    assert data(events, ev.ToolCallCompleted)
    assert not data(events, ev.MessageReceived)


@pytest.mark.slow
async def test_tokens_and_money_are_those_of_the_run(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    used = {"input": 1000, "output": 500, "cache_read": 2000, "cache_write": 300}
    _, events = await played(sessions, claude(hermetic), hermetic, script({"text": "x", "usage": used}))
    tokens, money = data(events, ev.TokenUsageUpdated)
    assert tokens.usage == Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=2000, cache_write_tokens=300)
    assert not money.usage, "each token is told once"
    assert money.cost is not None
    assert money.cost > Decimal("0.01")
    golden("claude/usage", events)


@pytest.mark.slow
async def test_images_reach_the_model(hermetic: Hermetic, sessions: OpenSessions) -> None:
    input = {
        "prompt": "what is on it?",
        "images": [{"data": PIXEL, "media_type": "image/png"}],
    }
    await played(sessions, claude(hermetic), hermetic, input)
    assert hermetic.server.asked[-1].images == 1
    assert "what is on it?" in said_to_model(hermetic.server.asked[-1])


@pytest.mark.slow
async def test_sub_agents_are_part_of_the_tool_that_began_them(hermetic: Hermetic, sessions: OpenSessions) -> None:
    hermetic.server.script(
        "sub", [{"thinking": "hm", "text": "sub works", "shell": "echo sub > sub.txt"}, {"text": "ok"}]
    )
    for background in (True, False):
        task = {"description": "sub", "prompt": "#script:sub", "subagent_type": "general-purpose"}
        call = {"name": "Task", "input": {**task, "run_in_background": background}}
        result, events = await played(sessions, claude(hermetic), hermetic, script({"tools": [call]}, {"text": "main"}))
        task_call = data(events, ev.ToolCallStarted)[0]
        inner = [said.text for said in data(events, ev.MessageReceived) if said.parent_tool_call_id]
        assert inner == ["sub works", "ok"]
        assert {said.parent_tool_call_id for said in data(events, ev.ReasoningReceived)} == {task_call.tool_call_id}
        started, ended = data(events, ev.ToolCallStarted), data(events, ev.ToolCallCompleted)
        assert sorted(call.tool_call_id for call in started) == sorted(call.tool_call_id for call in ended)
        assert started[1].parent_tool_call_id == task_call.tool_call_id
        assert ended[-1].tool_call_id == task_call.tool_call_id
        assert "ok" in str(ended[-1].tool_output)
        assert result.text == "main"
        assert (hermetic.work / "sub.txt").exists()
