"""Codex at work: what it does and says is in the log, and what people say reaches it."""

from __future__ import annotations

import sys
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.usage import Usage
from sessionry.runtime.handles import RunHandle
from tests.agents.real.codex import (
    ASKS,
    FREE,
    UNKNOWN_MODEL,
    alive,
    codex,
    data,
    first,
    kept,
    log_of,
    nothing_left,
    patch,
    pid_in,
    script,
    session_in,
    until,
)
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def test_it_says_hello_piece_by_piece(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        run = await session.run(script({"text": ["Hello ", "from ", "Codex."], "delay": 0.15}))
        events = await log_of(run)
        result = await run.result()
    assert result.text == "Hello from Codex."
    pieces = data(events, ev.MessageStreamed)
    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces) == "Hello from Codex."
    golden("codex/hello", kept(events))


async def test_a_person_allows_a_command(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"codex": codex(hermetic, **ASKS)}) as opened:
        session = await session_in(opened, hermetic)
        run = await session.run(script({"shell": "echo made > made.txt"}, {"text": "done"}))
        asked = await first(run, ev.ToolApprovalRequested)
        assert asked.tool_name == "shell"
        assert asked.tool_input == {"command": "/bin/bash -lc 'echo made > made.txt'", "cwd": str(hermetic.work)}
        assert not (hermetic.work / "made.txt").exists()
        await (await run.approvals())[0].approve(by="ann")
        events = await log_of(run)
    assert (hermetic.work / "made.txt").read_text() == "made\n"
    golden("codex/approval_allowed", kept(events))


@pytest.mark.slow
async def test_it_thinks_aloud(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"codex": codex(hermetic, summary="detailed")}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"thinking": "hm, so", "text": "yes"}))
        events = await log_of(run)
    assert [thought.text for thought in data(events, ev.ReasoningReceived)] == ["hm, so"]
    assert "".join(thought.text for thought in data(events, ev.ReasoningStreamed)) == "hm, so"
    golden("codex/reasoning", kept(events))


@pytest.mark.slow
async def test_it_runs_commands_and_writes_files(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    prompt = script({"text": "on it", "shell": "echo one; echo two > out.txt"}, {"shell": "exit 3"}, {"text": "done"})
    async with sessions({"codex": codex(hermetic, sandbox="workspace-write", approval_policy="never")}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run(prompt))
    assert (hermetic.work / "out.txt").read_text() == "two\n"
    (done,), (failed,) = data(events, ev.ToolCallCompleted), data(events, ev.ToolCallFailed)
    assert done.tool_output == {"output": "one\n", "exit_code": 0}
    assert failed.tool_output == {"output": "", "exit_code": 3}
    assert failed.error.code == "command_failed"
    golden("codex/commands", kept(events))


@pytest.mark.slow
async def test_output_of_a_command_is_streamed(hermetic: Hermetic, sessions: OpenSessions) -> None:
    prompt = script({"shell": "for i in 1 2 3 4; do echo line $i; sleep 0.2; done"}, {"text": "done"})
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run(prompt))
    assert "line 4\n" in "".join(piece.text for piece in data(events, ev.ToolOutputStreamed))
    assert data(events, ev.ToolCallCompleted)[0].tool_output["output"] == "line 1\nline 2\nline 3\nline 4\n"


@pytest.mark.slow
async def test_it_patches_files(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    steps = [
        patch("*** Add File: p.txt\n+hello\n+there"),
        patch("*** Update File: p.txt\n@@\n-hello\n+bye"),
        patch("*** Add File: q.txt\n+q"),
        patch("*** Delete File: q.txt"),
    ]
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run(script(*steps, {"text": "patched"})))
    assert (hermetic.work / "p.txt").read_text() == "bye\nthere\n"
    assert not (hermetic.work / "q.txt").exists()
    told = [call.tool_output["changes"][0] for call in data(events, ev.ToolCallCompleted)]
    assert [change["kind"] for change in told] == ["add", "update", "add", "delete"]
    path = hermetic.work / "p.txt"
    assert told[1]["diff"] == f"--- {path}\n+++ {path}\n@@ -1,2 +1,2 @@\n-hello\n+bye\n there\n"
    golden("codex/patches", kept(events))


MCP_SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"):
        case "initialize":
            version = asked["params"]["protocolVersion"]
            server = {"name": "calc", "version": "1"}
            answer = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
        case "tools/list":
            answer = {"tools": [{"name": "add", "description": "adds", "inputSchema": {"type": "object"}}]}
        case "tools/call":
            numbers = asked["params"]["arguments"]
            answer = {"content": [{"type": "text", "text": str(numbers["a"] + numbers["b"])}], "isError": False}
        case _:
            answer = {}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""


@pytest.mark.slow
async def test_its_plan_is_told(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    plans = [
        {
            "tools": [
                {"name": "update_plan", "input": {"plan": [{"step": step, "status": status} for step, status in plan]}}
            ]
        }
        for plan in (
            [("look", "in_progress"), ("mend", "pending")],
            [("look", "completed"), ("mend", "in_progress")],
        )
    ]
    agent = codex(hermetic, config={"tools": {"update_plan": {"enabled": True}}})
    async with sessions({"codex": agent}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run(script(*plans, {"text": "done"})))
    assert [update.entries for update in data(events, ev.PlanUpdated)] == [
        [{"text": "look", "status": "in_progress"}, {"text": "mend", "status": "pending"}],
        [{"text": "look", "status": "completed"}, {"text": "mend", "status": "in_progress"}],
    ]
    golden("codex/plan", kept(events))


@pytest.mark.slow
async def test_tools_of_mcp_servers_are_asked_for_and_called(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    (hermetic.home / "calc.py").write_text(MCP_SERVER)
    servers = {"calc": {"command": sys.executable, "args": [str(hermetic.home / "calc.py")]}}
    adds = {"tools": [{"name": "add", "namespace": "mcp__calc", "input": {"a": 2, "b": 3}}]}
    agent = codex(hermetic, mcp_servers=servers, model=UNKNOWN_MODEL, **ASKS)
    async with sessions({"codex": agent}) as opened:
        run = await (await session_in(opened, hermetic)).run(script(adds, adds, {"text": "done"}))
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals(status="pending"))[0].approve()
        await until_asked_again(run)
        await (await run.approvals(status="pending"))[0].deny()
        events = await log_of(run)
    (allowed, denied) = data(events, ev.ToolApprovalRequested)
    assert (allowed.tool_name, allowed.tool_input) == ("mcp__calc__add", {"a": 2, "b": 3})
    assert denied.tool_call_id != allowed.tool_call_id
    assert data(events, ev.ToolCallCompleted)[0].tool_output == {"content": [{"type": "text", "text": "5"}]}
    assert "rejected" in data(events, ev.ToolCallFailed)[0].error.message
    golden("codex/mcp", kept(events))


async def until_asked_again(run: RunHandle) -> None:
    asked = 0
    async with aclosing(run.events(types="tool_approval_requested")) as questions:
        async for _ in questions:
            asked += 1
            if asked == 2:
                return


@pytest.mark.slow
async def test_what_a_sub_agent_says_belongs_to_the_call_that_began_it(
    hermetic: Hermetic, sessions: OpenSessions
) -> None:
    spawns = {"tools": [{"name": "spawn_agent", "namespace": "multi_agent_v1", "input": {"message": "say hello"}}]}
    waits = {"text": "waiting", "delay": 0.5, "shell": "sleep 1"}
    async with sessions({"codex": codex(hermetic, model=UNKNOWN_MODEL, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script(spawns, waits, {"text": "done"}))
        events = await log_of(run)
        result = await run.result()
    spawned = next(call for call in data(events, ev.ToolCallStarted) if call.tool_name == "spawn_agent")
    theirs = [said for said in data(events, ev.MessageReceived) if said.parent_tool_call_id]
    assert [(said.text, said.parent_tool_call_id) for said in theirs] == [("echo: say hello", spawned.tool_call_id)]
    assert result.text == "done"
    assert sum(update.usage.input_tokens for update in data(events, ev.TokenUsageUpdated)) == 100 + 110 + 120 + 100


@pytest.mark.slow
async def test_it_looks_at_images(hermetic: Hermetic, sessions: OpenSessions) -> None:
    images = [{"data": PIXEL, "media_type": "image/png"}]
    async with sessions({"codex": codex(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run({"prompt": script({"text": "{images}"}), "images": images})
        assert (await run.result(60)).text == "1"


@pytest.mark.slow
async def test_structured_output_is_asked_for_and_checked(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"type": "integer"}},
        "required": ["size"],
        "additionalProperties": False,
    }
    async with sessions({"codex": codex(hermetic, output_schema=schema)}) as opened:
        session = await session_in(opened, hermetic)
        good = await session.run(script({"text": '{"size": 3}'}))
        assert (await good.result(60)).output == {"size": 3}
        bad = await (await session.run(script({"text": '{"size": "big"}'}))).result(60)
        events = await log_of(good)
    assert bad.error is not None
    assert bad.error.code == "agent_misbehaved"
    asked = hermetic.server.asked[0].body["text"]["format"]
    assert asked["schema"] == schema
    golden("codex/structured_output", kept(events))


@pytest.mark.slow
async def test_a_word_of_a_person_reaches_the_turn_at_work(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"text": ["one ", "two ", "three"], "delay": 0.6}))
        await first(run, ev.MessageStreamed)
        await run.steer("use pytest")
        events = await log_of(run)
    assert "use pytest" in hermetic.server.asked[-1].prompts
    assert data(events, ev.RunCompleted)[0].text == "echo: use pytest"
    assert len(data(events, ev.TurnCompleted)) == 1
    golden("codex/steered", kept(steered(events)))


def steered(events: list[Event]) -> list[Event]:
    """Without what was said before the word came, of which the length is chance."""
    broken_off = data(events, ev.MessageStreamed)[0].message_id
    return [event for event in events if getattr(event.data, "message_id", None) != broken_off]


@pytest.mark.slow
async def test_a_word_that_comes_while_a_command_works_is_not_lost(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": "sleep 3"}, {"text": "done"}))
        await first(run, ev.ToolCallStarted)
        await run.steer("one more thing")
        assert (await run.result(60)).text == "echo: one more thing"


@pytest.mark.slow
async def test_a_cancelled_run_takes_its_command_along(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    known = psutil.Process().children(recursive=True)
    prompt = script({"shell": "echo $$ > pid; exec sleep 60"}, {"text": "never"})
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(prompt)
        command = await pid_in(hermetic.work / "pid")
        await first(run, ev.ToolCallStarted)
        await run.cancel(reason="wrong branch")
        events = await log_of(run)
        assert not alive(command)
    assert isinstance(events[-1].data, ev.RunCancelled)
    assert data(events, ev.ToolCallInterrupted) or data(events, ev.ToolCallFailed)
    await until(lambda: nothing_left(hermetic, known))
    golden("codex/cancelled", kept(events))


@pytest.mark.slow
async def test_a_run_is_cancelled_after_its_turn(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": "sleep 3"}, {"text": "done"}))
        await first(run, ev.ToolCallStarted)
        await run.cancel(mode="after_turn")
        events = await log_of(run)
    assert [said.text for said in data(events, ev.MessageReceived)] == ["done"]
    assert isinstance(events[-1].data, ev.RunCancelled)


@pytest.mark.slow
async def test_a_run_whose_time_is_over_takes_its_command_along(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    prompt = script({"shell": "echo $$ > pid; exec sleep 60"}, {"text": "never"})
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        # less than the ten seconds for which Codex waits for a command
        run = await (await session_in(opened, hermetic)).run(prompt, timeout=8)
        command = await pid_in(hermetic.work / "pid")
        events = await log_of(run)
        assert not alive(command)
    assert isinstance(events[-1].data, ev.RunTimeout)
    golden("codex/deadline", kept(events))


@pytest.mark.slow
async def test_a_command_in_the_background_does_not_outlive_the_run(hermetic: Hermetic, sessions: OpenSessions) -> None:
    background = {"cmd": "echo $$ > pid; exec sleep 60", "yield_time_ms": 250}
    prompt = script({"tools": [{"name": "exec_command", "input": background}]}, {"text": "it runs"})
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(prompt)
        command = await pid_in(hermetic.work / "pid")
        events = await log_of(run)
    assert not alive(command)
    assert [end.type for end in data(events, *ev.TOOL_ENDINGS)] == ["tool_call_failed"]
    assert isinstance(events[-1].data, ev.RunCompleted)


@pytest.mark.slow
async def test_usage_and_cost_are_the_run_s_own(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    tokens = {"input": 1000, "output": 200, "cache_read": 300, "cache_write": 40, "reasoning": 50}
    prompt = script({"text": "counted", "usage": tokens})
    used = Usage(
        input_tokens=1000, output_tokens=200, cache_read_tokens=300, cache_write_tokens=40, reasoning_tokens=50
    )
    async with sessions({"codex": codex(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        results = []
        for _ in range(2):
            run = await session.run(prompt)
            results.append(await run.result(60))
        forked = await (await session.run(prompt, continuation="fork")).result(60)
        resumed = await (await session.run(prompt)).result(60)
        events = await log_of(run)
    assert [result.usage for result in (*results, forked, resumed)] == [used] * 4
    assert {result.cost for result in (*results, forked, resumed)} == {results[0].cost}
    assert isinstance(results[0].cost, Decimal)
    assert results[0].cost > 0
    golden("codex/usage", kept(events))


@pytest.mark.slow
async def test_the_price_of_an_unknown_model_is_unknown(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"codex": codex(hermetic, model=UNKNOWN_MODEL)}) as opened:
        result = await (await (await session_in(opened, hermetic)).run("hello")).result(60)
    assert result.usage.input_tokens > 0
    assert result.cost is None


@pytest.mark.slow
async def test_many_runs_leave_nothing_behind(hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path) -> None:
    known = psutil.Process().children(recursive=True)
    async with sessions({"codex": codex(hermetic, **FREE)}, slots=3) as opened:
        runs = []
        for _ in range(6):
            session = await session_in(opened, hermetic)
            runs.append(await session.run(script({"shell": "sleep 0.1"}, {"text": "done"})))
        assert [(await run.result(60)).text for run in runs] == ["done"] * 6
    await until(lambda: nothing_left(hermetic, known))
