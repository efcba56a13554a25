"""The agent's own session: loaded, resumed, forked, or replaced by the transcript."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.continuity import NativeSession
from sessionry.domain.errors import SessionryError
from tests.agents.acp.player import before, play, player, received, talked, texts


async def test_a_session_is_loaded_by_another_process_and_nothing_of_it_is_told_again(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first", "second")
    assert native.items == 2
    context = await play(player({"load": True}, tmp_path), "third", tmp_path, previous=before(native))
    assert texts(context) == ["you said third"]
    links = [(link.native_session_id, link.items, link.resumed) for link in context.data(ev.AgentSessionLinked)]
    assert links == [(native.id, 2, True), (native.id, 3, True)]
    assert not context.data(ev.ContinuityReport), "nothing was missed"


async def test_a_session_is_resumed_where_it_cannot_be_loaded(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first")
    context = await play(player({"resume": True}, tmp_path), "second", tmp_path, previous=before(native))
    assert context.data(ev.AgentSessionLinked)[0].resumed
    assert received(tmp_path, "session/resume")[0]["sessionId"] == native.id


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ({}, "neither to load nor to resume"),
        ({"load": True, "forgets": 1}, "short of what it had: 1 of 2"),
        ({"load": True, "strays": True}, "another session"),
    ],
)
async def test_a_session_that_does_not_go_on_is_replaced_by_the_transcript(
    tmp_path: Path, offer: dict[str, Any], reason: str
) -> None:
    native = await talked(tmp_path, "first", "second")
    context = await play(player(offer, tmp_path), "third", tmp_path, previous=before(native, "what others said"))
    degraded = context.data(ev.ResumeDegraded)[0]
    assert reason in degraded.reason
    assert degraded.native_session_id == native.id
    assert context.data(ev.AgentSessionLinked)[0].native_session_id != native.id
    assert context.data(ev.ContinuityReport)[0].mode == "replay"
    strict = before(native, mode="native")
    with pytest.raises(SessionryError) as told:
        await play(player(offer, tmp_path), "third", tmp_path, previous=strict)
    assert told.value.code == "resume_failed"


async def test_a_session_that_is_unknown_is_replaced(tmp_path: Path) -> None:
    native = NativeSession(id="nobody", run_id="run_before", items=1)
    context = await play(player({"load": True}, tmp_path), "hello", tmp_path, previous=before(native))
    assert "Resource not found" in context.data(ev.ResumeDegraded)[0].reason


async def test_what_others_did_meanwhile_is_handed_over(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first")
    agent = player({"load": True}, tmp_path)
    context = await play(agent, "go on", tmp_path, previous=before(native, "they said this"))
    assert context.data(ev.ContinuityReport)[0].mode == "both"
    prompt = received(tmp_path, "session/prompt")[-1]["prompt"][0]["text"]
    assert "they said this" in prompt
    assert prompt.endswith("go on")


async def test_a_fork_is_a_copy_with_another_id(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first")
    forks = before(native, mode="fork")
    context = await play(player({"load": True, "fork": True}, tmp_path), "branch", tmp_path, previous=forks)
    link = context.data(ev.AgentSessionLinked)[0]
    assert (link.forked_from, link.native_session_id != native.id) == (native.id, True)
    assert json.loads((tmp_path / f"{native.id}.json").read_text()) != []
    with pytest.raises(SessionryError) as told:
        await play(player({"load": True}, tmp_path), "branch", tmp_path, previous=forks)
    assert told.value.code == "capability_not_supported"
    with pytest.raises(SessionryError, match="same id"):
        await play(player({"fork": True, "forks_badly": True}, tmp_path), "branch", tmp_path, previous=forks)
