"""Pieces of streamed messages go after a while; what they said stays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import sessionry
from sessionry.domain import events as ev
from sessionry.domain.fold import fold
from sessionry.store.operations import pruning


async def streams(context: sessionry.AgentContext) -> AsyncIterator[ev.EventData]:
    for word in ("Hello", ", ", "world"):
        await context.emit(ev.MessageStreamed(text=word))
    yield ev.MessageReceived(text="Hello, world")
    await context.emit(ev.MessageStreamed(text="never ended"))


async def test_pieces_of_whole_messages_go_and_the_rest_stays(url: str) -> None:
    async with sessionry.open(url, agents={"streams": streams}) as sessions:
        session = await sessions.create("streams")
        run = await session.run("x")
        await run.result(timeout=60)
        before = [event async for event in session.events()]
        assert await sessions.execute(pruning.unpruned(3600)) == []
        assert await sessions.execute(pruning.unpruned(0)) == [run.id]
        assert await sessions.execute(pruning.prune(run.id)) == 3
        assert await sessions.execute(pruning.unpruned(0)) == []
        after = [event async for event in session.events()]
        texts = [event.data.text for event in after if isinstance(event.data, ev.MessageStreamed)]
        assert texts == ["never ended"]
        assert {event.seq for event in after} < {event.seq for event in before}
        assert fold(after) == fold(before)
        assert after[-1] == before[-1]


async def test_a_reader_goes_on_over_the_holes(url: str) -> None:
    async with sessionry.open(url, agents={"streams": streams}) as sessions:
        session = await sessions.create("streams")
        for _ in range(2):
            run = await session.run("x")
            await run.result(timeout=60)
            await sessions.execute(pruning.prune(run.id))
        await session.complete()
        followed = [event.seq async for event in session.events(follow=True)]
        assert followed == [event.seq async for event in session.events()]
        assert followed == sorted(set(followed))
