"""What an agent tells in a turn, as events."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from sessionry.domain import events as ev
from sessionry.domain.continuity import NativeSession
from sessionry.domain.usage import Usage
from tests.agents.acp.player import before, play, player, script, talked, texts


async def test_what_is_said_and_thought_comes_in_pieces_and_whole(tmp_path: Path) -> None:
    context = await play(player(), script({"think": "hm "}, {"think": "yes"}, {"say": "Hello from it."}), tmp_path)
    assert [piece.text for piece in context.data(ev.MessageStreamed)] == ["Hello ", "from ", "it."]
    assert [thought.text for thought in context.data(ev.ReasoningReceived)] == ["hm yes"]
    assert texts(context) == ["Hello from it."]
    assert context.data(ev.RunCompleted)[0].text == "Hello from it."
    assert [turn.stop_reason for turn in context.data(ev.TurnCompleted)] == ["end_turn"]


async def test_a_command_is_started_streamed_and_ended_with_its_exit_code(tmp_path: Path) -> None:
    context = await play(player(), script({"run": {"command": "echo one; echo two"}}), tmp_path)
    started, ended = context.data(ev.ToolCallStarted)[0], context.data(ev.ToolCallCompleted)[0]
    assert started.tool_name == ended.tool_name == "execute"
    assert "".join(piece.text for piece in context.data(ev.ToolOutputStreamed)) == "one\ntwo\n"
    assert ended.tool_output == {"output": "one\ntwo\n", "exit_code": 0}


async def test_a_plan_and_a_diff_are_told(tmp_path: Path) -> None:
    diff = {"type": "diff", "path": "/w/a.txt", "oldText": "one\ntwo\n", "newText": "one\nthree"}
    call = {
        "sessionUpdate": "tool_call",
        "toolCallId": "e",
        "kind": "edit",
        "title": "Edit a.txt",
        "status": "completed",
    }
    entries = [{"content": "look", "priority": "high", "status": "completed"}, {"content": "mend", "status": "odd"}]
    plan = {"sessionUpdate": "plan", "entries": entries}
    context = await play(player(), script({"update": plan}, {"update": {**call, "content": [diff]}}), tmp_path)
    assert context.data(ev.PlanUpdated)[0].entries == [
        {"text": "look", "status": "completed", "priority": "high"},
        {"text": "mend", "status": "pending"},
    ]
    unified = "--- /w/a.txt\n+++ /w/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n\\ No newline at end of file\n"
    changes = [{"path": "/w/a.txt", "kind": "update", "diff": unified}]
    assert context.data(ev.ToolCallCompleted)[0].tool_output == {"changes": changes}


async def test_what_nobody_knows_is_passed_over(tmp_path: Path) -> None:
    strange: list[dict[str, Any]] = [
        {"update": {"sessionUpdate": "mood_update", "mood": "fine"}},
        {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "smell"}}},
        {"raw": {"jsonrpc": "2.0", "method": "_auth/status_update", "params": {}}},
        {"raw": {"jsonrpc": "2.0", "id": 99, "result": {}}},
        {"client": {"method": "_mood/ask"}},
        {"client": {"method": "fs/read_text_file", "params": {"path": "/etc/passwd"}}},
    ]
    context = await play(player(), script(*strange, {"say": "fine"}), tmp_path)
    assert [
        json.loads(text)["code"] for text in texts(context)[0].replace("fine", "").replace("}{", "}\n{").splitlines()
    ] == [
        -32601,
        -32601,
    ]


async def test_usage_and_cost_are_told_as_increments(tmp_path: Path) -> None:
    usage = {"inputTokens": 100, "outputTokens": 5, "totalTokens": 105, "cachedReadTokens": 40, "thoughtTokens": 2}
    cost = {"sessionUpdate": "usage_update", "used": 9, "size": 10, "cost": {"amount": 0.75, "currency": "USD"}}
    steps = script({"say": "hi"}, {"update": cost}, {"answer": {"usage": usage}})
    native = NativeSession(id=(await talked(tmp_path, "hi")).id, run_id="run_before", items=1, cost=Decimal("0.5"))
    context = await play(player({"load": True}, tmp_path), steps, tmp_path, previous=before(native))
    assert context.run.usage == Usage() != context.data(ev.TokenUsageUpdated)[1].usage
    assert [event.cost for event in context.data(ev.TokenUsageUpdated)] == [Decimal("0.25"), None]
    assert context.data(ev.TokenUsageUpdated)[1].usage == Usage(
        input_tokens=60, cache_read_tokens=40, output_tokens=5, reasoning_tokens=2
    )
