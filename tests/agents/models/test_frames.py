"""What the servers of models really send is kept beside the events that are made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.events import EventData
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.models.conftest import KINDS, OpenSessions, made, script
from tests.agents.models.host_tools import write
from tests.agents.recorded import relayed

KEY = "sk-ant-api03-abcdefghijklmnop_-qrst"
SOURCES = {"chat": "openai chat", "responses": "openai responses", "anthropic": "anthropic messages"}
PROMPT = script(
    {
        "text": ["I wri", "te it. "],
        "thinking": "a file",
        "tools": [{"name": "write", "input": {"path": "a.txt", "content": "hello"}}],
    },
    {"text": "Done."},
)


def kept(events: list[Any]) -> list[Any]:
    """What was sent, in the order of the places."""
    frames = [event for event in events if isinstance(event, ev.FrameReceived)]
    sent = {frame.number: frame.frame for frame in frames if frame.frame is not None}
    return [sent[frame.number] for frame in frames if not frame.late]


@pytest.mark.parametrize("kind", KINDS)
async def test_frames_are_what_the_server_sent(kind: str, model_server: ModelServer, tmp_path: Path) -> None:
    async with relayed(model_server.url) as relay:
        context = RecordingContext(PROMPT, cwd=tmp_path, keep_raw=True)
        events = await context.play(made(kind, relay.url, tools=[write]))
        assert isinstance(events[-1], ev.RunCompleted)
        assert {frame.source for frame in context.data(ev.FrameReceived)} == {SOURCES[kind]}
        assert kept(events) == relay.frames()
        assert len(kept(events)) > 5


@pytest.mark.parametrize("kind", KINDS)
async def test_they_stand_before_the_events_that_were_made_of_them(
    kind: str, model_server: ModelServer, tmp_path: Path
) -> None:
    context = RecordingContext(PROMPT, cwd=tmp_path, keep_raw=True)
    events = await context.play(made(kind, model_server.url, tools=[write]))
    for at, event in enumerate(events):
        if isinstance(event, ev.MessageStreamed):
            before = events[at - 1]
            assert isinstance(before, ev.FrameReceived)
            assert event.text in encode_json(before.frame)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_other_events_are_the_same_without_them(kind: str, model_server: ModelServer, tmp_path: Path) -> None:
    logs: list[list[EventData]] = []
    for keep_raw in (False, True):
        context = RecordingContext(PROMPT, cwd=tmp_path, keep_raw=keep_raw)
        logs.append(await context.play(made(kind, model_server.url, tools=[write])))
    without, besides = [_anonymous([data for data in log if not isinstance(data, ev.FrameReceived)]) for log in logs]
    assert len(logs[0]) == len(without)
    assert besides == without


def _anonymous(events: list[EventData]) -> list[Any]:
    """Their types, and what they say without ids."""
    return [
        (
            event.type,
            [getattr(event, name, None) for name in ("text", "tool_name", "tool_output", "usage", "stop_reason")],
        )
        for event in events
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_server_refuses_with_is_kept_without_the_key(
    kind: str, model_server: ModelServer, tmp_path: Path
) -> None:
    context = RecordingContext(script({"error": 401}), cwd=tmp_path, keep_raw=True)
    await context.play(made(kind, model_server.url, api_key="the-very-key"))
    (frame,) = context.data(ev.FrameReceived)
    assert frame.frame["status"] == 401
    assert "error" in frame.frame["body"]
    assert "the-very-key" not in encode_json(frame)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_secret_of_an_answer_is_in_the_frames(
    kind: str, model_server: ModelServer, sessions: OpenSessions
) -> None:
    said = f"the key is {KEY}"
    answer = {
        "text": list(said),
        "tools": [{"name": "write", "input": {"path": "a.txt", "content": KEY, "password": "short"}}],
    }
    async with relayed(model_server.url) as relay, sessions({"model": made(kind, relay.url, tools=[write])}) as opened:
        run = await (await opened.create("model")).run(script(answer, {"text": "Done."}), keep_raw=True)
        await run.result(timeout=60)
        log = [event.data async for event in run.events()]
        (relayed_text,) = ["".join(relay.bodies())]
    assert "short" in relayed_text
    assert "".join(_words(kind, frame) for frame in kept(log)) == "the key is [redacted:anthropic_key]Done."
    whole = json.dumps(kept(log))
    assert KEY not in whole
    assert "abcdefghijklmnop" not in whole
    assert "short" not in whole
    assert "[redacted:secret]" in whole


def _words(kind: str, frame: Any) -> str:
    """What a frame says to people."""
    match kind, frame:
        case "chat", {"choices": [{"delta": {"content": str(text)}}]}:
            return text
        case "responses", {"type": "response.output_text.delta", "delta": str(text)}:
            return text
        case "anthropic", {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
    return ""
