"""Sessionry, by its own public face: an agent in each session that emits events, each awaited until it is durable."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from worker import TEXT, Peer, main, role

import sessionry
from sessionry import events as ev


class Sessionry(Peer):
    async def open(self, sessions: int) -> None:
        self._stack = AsyncExitStack()
        self._over = asyncio.Event()
        self._contexts: dict[str, asyncio.Future[sessionry.AgentContext]] = {}
        url = self.place if "://" in self.place else f"sqlite:///{self.place}/store.db"
        opened = await self._stack.enter_async_context(
            sessionry.open(url, agents={"bench": self._work}, slots=sessions, grace=0)
        )
        self._sessions = [await opened.create("bench") for _ in range(sessions)]
        loop = asyncio.get_running_loop()
        self._contexts = {session.id: loop.create_future() for session in self._sessions}
        for session in self._sessions:
            await session.run("go")
        self._at_work = await asyncio.gather(*(self._contexts[session.id] for session in self._sessions))

    async def _work(self, context: sessionry.AgentContext) -> None:
        self._contexts[context.session.id].set_result(context)
        await self._over.wait()

    async def append(self, session: int, number: int) -> None:
        await self._at_work[session].emit(_event(number))

    async def fill(self, session: int, begin: int, count: int) -> None:
        for start in range(begin, begin + count, 500):
            numbers = range(start, min(start + 500, begin + count))
            await self._at_work[session].emit(*(_event(number) for number in numbers))

    async def load(self, session: int) -> int:
        kinds = (ev.MessageReceived.type, ev.CustomRecorded.type)
        return len([event async for event in self._sessions[session].events() if event.type in kinds])

    async def close(self) -> None:
        self._over.set()
        await self._stack.aclose()


def _event(number: int) -> ev.EventData:
    if role(number) == "assistant":
        return ev.MessageReceived(text=TEXT)
    return ev.CustomRecorded(name=role(number), value=TEXT)


if __name__ == "__main__":
    main(Sessionry)
