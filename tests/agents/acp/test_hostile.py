"""Agents that misbehave: whatever they do, the run ends with a code, and nobody is left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.acp.wire import MOST_WAITING, Wire
from sessionry.agents.process import kill_leftovers
from sessionry.domain import events as ev
from sessionry.testing.context import RecordingContext
from tests.agents.acp.player import error, play, player, script, texts


async def test_a_flood_of_updates_waits_in_the_agent_and_not_in_our_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent is held up in its own `write` for as long as nobody takes what it says."""
    most = 0

    async def counted(wire: Wire) -> Any:
        nonlocal most
        most = max(most, wire.waiting())
        return await received(wire)

    received = Wire.receive
    monkeypatch.setattr(Wire, "receive", counted)
    async with asyncio.timeout(60):
        context = await play(player(), script({"flood": 20_000}, {"think": "."}, {"say": "done"}), tmp_path)
    assert len(context.data(ev.MessageStreamed)) == 20_001
    assert texts(context)[0] == "." * 20_000
    assert most <= MOST_WAITING + 1


async def test_half_a_frame_is_the_end_and_is_told(tmp_path: Path) -> None:
    context = await play(player(), script({"say": "oh"}, {"half": True}), tmp_path)
    assert error(context).code in ("protocol", "crashed")
    assert texts(context) == ["oh"]


async def test_an_agent_that_hears_nothing_any_more_is_ended_all_the_same(tmp_path: Path) -> None:
    """It has closed its input: neither a cancellation nor an answer reaches it."""
    agent, begun = player(), asyncio.Event()
    context = RecordingContext(script({"shut": True, "say": "deaf"}, {"hang": "deaf"}), cwd=tmp_path)

    def note(event: ev.EventData) -> bool:
        if isinstance(event, ev.MessageStreamed):
            begun.set()
        return False

    playing = asyncio.create_task(context.play(agent, until=note))
    async with asyncio.timeout(30):
        await begun.wait()
    playing.cancel()
    await asyncio.wait([playing], timeout=60)
    assert playing.cancelled()
    assert await asyncio.to_thread(kill_leftovers, [context.run.id]) == 0


async def test_an_answer_that_nobody_reads_is_a_crash(tmp_path: Path) -> None:
    steps = script({"shut": True, "ask": {"run": "echo hi > made"}})
    context = RecordingContext(steps, cwd=tmp_path, answers=[True])
    async with asyncio.timeout(30):
        await context.play(player({"leaves": True}))
    assert error(context).code == "crashed"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("frame", [{"jsonrpc": "2.0", "id": 7}, {"method": 3}, {"id": None, "result": {}}, {}])
async def test_frames_that_mean_nothing_are_passed_over(tmp_path: Path, frame: dict[str, Any]) -> None:
    context = await play(player(), script({"raw": frame}, {"say": "fine"}), tmp_path)
    assert texts(context) == ["fine"]


@pytest.mark.parametrize(
    "update",
    [
        {"sessionUpdate": "tool_call"},
        {"sessionUpdate": "tool_call_update", "toolCallId": 7, "content": "x", "locations": 3, "rawInput": []},
        {"sessionUpdate": "plan", "entries": [None, {"content": None}, "x"]},
        {"sessionUpdate": "agent_message_chunk", "content": None},
        {"sessionUpdate": "usage_update", "cost": {"amount": "much", "currency": "USD"}},
        {"sessionUpdate": ["x"]},
    ],
)
async def test_updates_that_are_wrong_break_nothing(tmp_path: Path, update: dict[str, Any]) -> None:
    context = await play(
        player(), script({"raw": {"method": "session/update", "params": {"update": update}}}), tmp_path
    )
    assert context.data(ev.RunCompleted)
