"""What a provider really sent is kept beside the events, if a run wants it, and never with a secret in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.runtime.conftest import until

import sessionry
from sessionry import AgentContext, RunHandle, Sessions
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.errors import SessionryError

KEY = "sk-ant-api03-" + "aB3-" * 10
PIECES = ["Hello, ", "the key", " is sk-a", *KEY[4:20], KEY[20:], " thi", "s"]


async def streams(context: AgentContext, message: str) -> AsyncIterator[Any]:
    for text in PIECES:
        await context.received("test", {"delta": {"text": text}})
        yield ev.MessageStreamed(text=text, message_id="m")
    if message == "ask":
        await context.approve("go on")
    if message == "fail":
        raise RuntimeError("no")
    if message == "hang":
        await asyncio.Event().wait()
    await context.received("test", {"type": "end", "blob": {"text": "x" * 600_000}, "bad": float("nan")})
    await context.received("test", {"type": "end", "text": "x" * 600_000})
    yield ev.MessageReceived(text="".join(PIECES), message_id="m")


async def pings(context: AgentContext) -> None:
    while True:
        await context.received("test", {"type": "ping"})
        await asyncio.sleep(0.01)


async def forges(context: AgentContext) -> AsyncIterator[Any]:
    yield ev.FrameReceived(source="test", number=1, frame={})


AGENTS = {"streams": streams, "pings": FunctionAgent("pings", pings), "forges": forges}


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Sessions]:
    async with sessionry.open(url, agents=AGENTS) as sessions:
        yield sessions


async def log_of(run: RunHandle) -> list[ev.EventData]:
    return [event.data async for event in run.events()]


def frames_in(log: list[ev.EventData]) -> list[ev.FrameReceived]:
    return [data for data in log if isinstance(data, ev.FrameReceived)]


def whole(log: list[ev.EventData]) -> list[Any]:
    """What was sent, in the order of the places."""
    told = frames_in(log)
    sent = {data.number: data.frame for data in told if data.frame is not None}
    places = [data.number for data in told if not data.late]
    assert places == list(range(1, len(places) + 1))
    return [sent[number] for number in places]


def spoken(log: list[ev.EventData]) -> list[str]:
    return [frame["delta"]["text"] for frame in whole(log) if "delta" in frame]


async def test_nothing_is_kept_unless_a_run_wants_it(opened: Sessions) -> None:
    run = await (await opened.create("streams")).run("hello")
    assert frames_in(await log_of(run)) == []


async def test_frames_stand_before_the_events_that_were_made_of_them(opened: Sessions) -> None:
    run = await (await opened.create("streams")).run("hello", keep_raw=True)
    log = await log_of(run)
    assert spoken(log) == ["Hello, ", "the key", " is [redacted:anthropic_key]", *[""] * 17, " thi", "s"]
    assert KEY[:20] not in encode_json(log)
    first = next(at for at, data in enumerate(log) if isinstance(data, ev.MessageStreamed))
    assert log[first - 1] == ev.FrameReceived(source="test", number=1, frame={"delta": {"text": "Hello, "}})


async def test_the_other_events_are_the_same_with_frames_and_without(opened: Sessions) -> None:
    logs = []
    for keep in (False, True):
        run = await (await opened.create("streams")).run("hello", keep_raw=keep)
        log = [data for data in await log_of(run) if not isinstance(data, ev.FrameReceived | ev.ArtifactAdded)]
        said = "".join(data.text for data in log if isinstance(data, ev.MessageStreamed))
        logs.append([said, *(data for data in log if not isinstance(data, ev.MessageStreamed | ev.RunStarted))][1:])
        assert said == "Hello, the key is [redacted:anthropic_key] this"
    assert [data for data in logs[0] if not isinstance(data, ev.RunQueued)] == [
        data for data in logs[1] if not isinstance(data, ev.RunQueued)
    ]


async def test_what_is_too_big_is_moved_and_what_no_log_can_hold_is_said(opened: Sessions) -> None:
    run = await (await opened.create("streams")).run("hello", keep_raw=True)
    *_, bad, big = whole(await log_of(run))
    assert "NaN" in bad["not_kept"] or "nan" in bad["not_kept"]
    assert big["text"]["size"] == 600_000
    assert await opened.blobs.open(big["text"]["artifact"]).__anext__()


@pytest.mark.parametrize("message", ["fail", "hang", "ask"])
async def test_what_has_waited_is_there_when_the_run_ends_and_when_a_person_is_asked(
    opened: Sessions, message: str
) -> None:
    run = await (await opened.create("streams")).run(message, keep_raw=True)
    if message == "ask":
        (question,) = await until(lambda: run.approvals(status="pending"))
        log = [event.data async for event in run.events(follow=False)]
        assert spoken(log)[-1] == "s"
        await question.deny()
    if message == "hang":
        await until(lambda: _has_streamed(run))
        await run.cancel()
    assert spoken(await log_of(run))[-1] == "s"


async def _has_streamed(run: RunHandle) -> bool:
    places = [data async for data in run.events(types=["frame_received"], follow=False)]
    return len([event for event in places if isinstance(event.data, ev.FrameReceived) and not event.data.late]) == 22


async def test_frames_break_no_silence(opened: Sessions) -> None:
    run = await (await opened.create("pings")).run("hello", keep_raw=True, idle_timeout=0.2)
    assert (await run.result(timeout=60)).status == "timeout"


async def test_frames_are_no_words_of_the_conversation(opened: Sessions) -> None:
    session = await opened.create("streams")
    await (await session.run("hello", keep_raw=True)).result(timeout=60)
    said = [message.text for message in (await session.transcript()).messages]
    assert said == ["hello", "Hello, the key is [redacted:anthropic_key] this"]


async def test_no_agent_tells_of_frames_by_itself(opened: Sessions) -> None:
    run = await (await opened.create("forges")).run("hello", keep_raw=True)
    result = await run.result(timeout=60)
    assert result.error is not None
    assert result.error.code == "agent_misbehaved"


async def test_it_is_wanted_or_not(opened: Sessions) -> None:
    session = await opened.create("streams")
    with pytest.raises(SessionryError, match="keep_raw"):
        await session.run("hello", keep_raw="yes")  # type: ignore[arg-type]
