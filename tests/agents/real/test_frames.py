"""What real agents print is kept as they print it, beside the same events as ever, and without their secrets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.run import RunOptions
from sessionry.ports import Agent
from tests.agents.real import acp, claude, codex
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic, claude_program, codex_program
from tests.agents.real.npm import installed
from tests.agents.recorded import printed, wrapped

KEY = "sk-ant-api03-abcdefghijklmnop_-qrst"


class Kind(NamedTuple):
    """A real agent: what its frames are from, its own program, and how it is made, with another program or its own."""

    source: str
    program: Callable[[], Path]
    make: Callable[..., Agent]


KINDS = {
    "claude": Kind("claude", claude_program, claude.claude),
    "codex": Kind("codex", codex_program, codex.codex),
    "opencode": Kind(
        "acp", lambda: installed("opencode"), lambda hermetic, program: acp.acp(hermetic, "opencode", command=program)
    ),
}
AGENTS = [
    pytest.param("claude"),
    pytest.param("codex"),
    pytest.param("opencode", marks=pytest.mark.slow),
]


def frames_in(events: Sequence[Event]) -> list[Any]:
    """What was sent, in the order of the places."""
    frames = [event.data for event in events if isinstance(event.data, ev.FrameReceived)]
    sent = {frame.number: frame.frame for frame in frames if frame.frame is not None}
    return [sent[frame.number] for frame in frames if not frame.late]


def others(events: Sequence[Event]) -> list[Event]:
    """The events without the frames, as if the run had not wanted them."""
    found = []
    for event in events:
        if isinstance(event.data, ev.RunQueued):
            event = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, options=RunOptions()))
        if not isinstance(event.data, ev.FrameReceived):
            found.append(event)
    return found


async def played(
    name: str, words: dict[str, Any], hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path
) -> tuple[list[Event], list[Any]]:
    """A run with its frames, and what the program printed."""
    program, record = wrapped(str(KINDS[name].program()), tmp_path / "wrapped")
    async with sessions({name: KINDS[name].make(hermetic, program=str(program))}) as opened:
        session = await opened.create(name, cwd=str(hermetic.work))
        run = await session.run(claude.script(words), keep_raw=True)
        result = await run.result(timeout=90)
        assert result.status == "completed", result.error
        return await claude.log_of(run), printed(record)


def counted(frames: list[Any]) -> Counter[str]:
    return Counter(json.dumps(frame, sort_keys=True) for frame in frames)


@pytest.mark.parametrize("name", AGENTS)
async def test_frames_are_what_the_program_printed(
    name: str, hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path
) -> None:
    events, said = await played(
        name, {"thinking": "hm", "text": ["Hello ", "from ", "it."]}, hermetic, sessions, tmp_path
    )
    sources = {event.data.source for event in events if isinstance(event.data, ev.FrameReceived)}
    assert sources == {KINDS[name].source}
    frames = frames_in(events)
    assert not counted(frames) - counted(said), "nothing was changed"
    missing = counted(said) - counted(frames)
    assert missing.total() <= 3, f"only what came when nobody listened any more: {list(missing)}"


@pytest.mark.parametrize("name", ["claude", "codex"])
async def test_the_other_events_are_as_ever(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({name: KINDS[name].make(hermetic)}) as opened:
        session = await opened.create(name, cwd=str(hermetic.work))
        words = {"text": ["Hello ", "from ", f"{name.title()}."], "delay": 0.15}
        run = await session.run(claude.script(words), keep_raw=True)
        events = await claude.log_of(run)
    assert frames_in(events)
    golden(f"{name}/hello", codex.kept(others(events)) if name == "codex" else others(events))


@pytest.mark.slow
async def test_the_other_events_of_an_agent_of_the_protocol_are_as_ever(hermetic: Hermetic, golden: Golden) -> None:
    prompt = acp.script({"thinking": "hm", "text": ["Hello ", "from ", "it."]})
    context = await acp.play(acp.acp(hermetic, "opencode"), prompt, hermetic, keep_raw=True)
    assert frames_in(context.events())
    queued, *events = others(context.events())
    assert isinstance(queued.data, ev.RunQueued)
    golden("acp-opencode/hello", acp.kept([ev.RunQueued(agent_id="tested", input=queued.data.input), *events]))


@pytest.mark.parametrize("name", AGENTS)
async def test_words_stand_after_the_frames_that_they_came_in(
    name: str, hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path
) -> None:
    events, _ = await played(name, {"text": ["Hello ", "from ", "it."], "delay": 0.1}, hermetic, sessions, tmp_path)
    contents = {
        event.data.number: event.data.frame
        for event in events
        if isinstance(event.data, ev.FrameReceived) and event.data.frame
    }
    block: list[int] = []
    new = True
    for event in events:
        if isinstance(event.data, ev.FrameReceived) and not event.data.late:
            block = [event.data.number] if new else [*block, event.data.number]
            new = False
        elif not isinstance(event.data, ev.FrameReceived):
            new = True
        if isinstance(event.data, ev.MessageStreamed):
            assert event.data.text in json.dumps([contents[number] for number in block])


@pytest.mark.parametrize("name", AGENTS)
async def test_no_secret_that_comes_token_by_token_is_in_the_frames(
    name: str, hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path
) -> None:
    said, shown = f"The key is {KEY} and that is all.", "The key is [redacted:anthropic_key] and that is all."
    events, sent = await played(name, {"text": list(said)}, hermetic, sessions, tmp_path)
    assert "".join(_delta(name, frame) for frame in sent) == said
    assert "".join(_delta(name, frame) for frame in frames_in(events)) == shown
    told = json.dumps([event.to_dict() for event in events])
    assert "abcdefghijklmnop" not in told
    assert shown in told


def _delta(name: str, frame: Any) -> str:
    """The piece of a message in a frame."""
    match name, frame:
        case "claude", {"type": "stream_event", "event": {"delta": {"text": str(text)}}}:
            return text
        case "codex", {"method": "item/agentMessage/delta", "params": {"delta": str(text)}}:
            return text
        case "opencode", {
            "params": {"update": {"sessionUpdate": "agent_message_chunk", "content": {"text": str(text)}}}
        }:
            return text
    return ""
