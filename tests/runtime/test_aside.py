"""What takes long is done beside the event loop, and nobody works with what a thread is still at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext
from sessionry.domain import events as ev
from sessionry.domain.redaction import Redactor, Stream
from sessionry.runtime.aside import SHORT, aside, length_of

#: Longer than what is looked through at once, with words that have to be looked at closely.
LONG = "the token of " * (SHORT // 10)


async def test_the_loop_goes_on_while_long_work_is_done() -> None:
    went_on = threading.Event()
    asyncio.get_running_loop().call_soon(went_on.set)
    assert await aside(SHORT + 1, lambda: went_on.wait(10))


async def test_short_work_is_done_at_once() -> None:
    assert await aside(SHORT, threading.get_ident) == threading.get_ident()


async def test_what_fails_in_a_thread_fails_here() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(SHORT + 1, lambda: 1 // 0)


async def test_who_is_cancelled_hears_of_it_when_the_thread_is_done() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)
        done.set()

    task = asyncio.create_task(aside(SHORT + 1, work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


def test_all_texts_of_a_value_count() -> None:
    data = ev.ToolCallCompleted(tool_call_id="c", tool_name="t", tool_output={"key": ["text", {"more": None}]})
    assert length_of(data) - length_of(ev.ToolCallCompleted(tool_call_id="c", tool_name="t")) == len("keytextmore")


async def says_much(context: AgentContext, message: str) -> AsyncIterator[Any]:
    await context.received("test", {"delta": {"text": LONG}})
    yield ev.MessageStreamed(text=LONG, message_id="m")
    yield ev.MessageReceived(text=LONG, message_id="m")
    yield ev.ToolCallStarted(tool_call_id="c", tool_name="t", tool_input={})
    yield ev.ToolCallCompleted(tool_call_id="c", tool_name="t", tool_output={"out": LONG})

    async def work() -> Any:
        return LONG

    await context.step("much", work)
    await context.approve("send", {"text": LONG})
    yield ev.RunCompleted(text=LONG)


async def test_long_texts_are_redacted_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    long: list[bool] = []
    feed = Stream.feed
    loop = threading.get_ident()

    def watched(stream: Stream, piece: str) -> str:
        if len(piece) > SHORT:
            long.append(threading.get_ident() == loop)
        return feed(stream, piece)

    monkeypatch.setattr(Stream, "feed", watched)
    async with sessionry.open("memory://", agents={"says_much": says_much}) as sessions:
        run = await (await sessions.create("says_much")).run(LONG, keep_raw=True)
        async with asyncio.timeout(60):
            while not (questions := await run.approvals(status="pending")):
                await asyncio.sleep(0.01)
        await questions[0].approve()
        assert (await run.result(timeout=60)).text
    assert len(long) >= 8
    assert not any(long)


async def test_pieces_keep_their_order_when_one_is_long() -> None:
    async def streams(context: AgentContext) -> AsyncIterator[Any]:
        for text in ("a", LONG, "sk-", "b"):
            yield ev.MessageStreamed(text=text, message_id="m")

    async with sessionry.open("memory://", agents={"streams": streams}) as sessions:
        run = await (await sessions.create("streams")).run("x")
        await run.result(timeout=60)
        told = [event.data async for event in run.events(types=["message_streamed"])]
    assert "".join(data.text for data in told if isinstance(data, ev.MessageStreamed)) == Redactor().text(
        f"a{LONG}sk-b"
    )
