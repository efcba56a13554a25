"""What people say to an agent at work, and what becomes of one that is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.testing.context import RecordingContext
from tests.agents.acp.player import play, player, received, script, texts
from tests.agents.processes import alive, until


async def test_steering_is_sent_into_the_turn(tmp_path: Path) -> None:
    agent = player({"steers": True}, tmp_path)
    context = await play(agent, script({"steer": True}), tmp_path, steering=["be quick"])
    assert texts(context) == ["heard be quick"]
    assert received(tmp_path, "_session/steering")[0]["prompt"] == [{"type": "text", "text": "be quick"}]


@pytest.mark.parametrize("offer", [{"steers": "late"}, {}])
async def test_steering_that_the_turn_does_not_take_is_the_next_turn(tmp_path: Path, offer: dict[str, Any]) -> None:
    context = await play(
        player(offer, tmp_path), script({"run": {"command": "sleep 0.2"}}), tmp_path, steering=["more"]
    )
    assert texts(context) == ["you said more"]
    assert len(context.data(ev.TurnCompleted)) == 2


async def test_a_cancelled_run_cancels_the_turn_and_ends_the_tools_own_child(tmp_path: Path) -> None:
    steps = script({"say": "go"}, {"run": {"command": "setsid sh -c 'echo $$ > pid; exec sleep 60' & sleep 60"}})
    agent = player(folder=tmp_path)
    playing = asyncio.create_task(RecordingContext(steps, cwd=tmp_path).play(agent))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert received(tmp_path, "session/cancel")
    assert not alive(int((tmp_path / "pid").read_text()))
