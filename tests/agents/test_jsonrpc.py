"""JSON-RPC with a program that says what nobody expects: whoever waits for it hears so, and waits no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sessionry.agents.jsonrpc import Peer, Refused
from sessionry.domain.errors import AgentFailed
from sessionry.domain.json_values import Json
from sessionry.testing.context import RecordingContext

from .test_program import talkative


@pytest.mark.parametrize("mode", ["latin", "deep"])
async def test_what_cannot_be_read_ends_the_wait_of_all(tmp_path: Path, mode: str) -> None:
    context = RecordingContext("x", cwd=tmp_path)
    async with asyncio.timeout(10), talkative(context, mode) as program, Peer.over(program, "test") as peer:
        for waiting in (peer.call("initialize"), peer.receive()):
            with pytest.raises(AgentFailed) as told:
                await waiting
            assert told.value.code == "protocol"


async def test_odd_answers_are_answers_to_nobody_or_refusals(tmp_path: Path) -> None:
    context = RecordingContext("x", cwd=tmp_path)
    async with asyncio.timeout(10), talkative(context, "odd") as program, Peer.over(program, "test") as peer:
        with pytest.raises(Refused, match="no") as told:
            await peer.call("initialize")
        assert told.value.code == 0


async def test_a_message_that_cannot_be_kept_ends_the_wait_too(tmp_path: Path) -> None:
    class Unable(RecordingContext):
        async def received(self, source: str, frame: Json, *, anew: bool = False) -> None:
            raise TypeError("not that")

    context = Unable("x", cwd=tmp_path)
    async with asyncio.timeout(10), talkative(context, "odd") as program, Peer.over(program, "test") as peer:
        with pytest.raises(AgentFailed, match="not that") as told:
            await peer.call("initialize")
    assert told.value.code == "protocol"
