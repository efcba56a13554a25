"""The way from the tasks of a framework into the log: whatever they say comes out of the run's own generator, in order.

A framework calls us back from tasks of its own. These hand their events over here, and wait until they are durable where
that matters: a tool does not begin before the log knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from sessionry.domain.events import EventData
from sessionry.ports import AgentContext

T = TypeVar("T")

#: Seconds that a framework has to let go of its work when the run is stopped.
PATIENCE = 5.0


class _Said(NamedTuple):
    """Events, or work for the generator to do itself; who said them waits for `done`, if it is there."""

    events: Sequence[EventData] = ()
    work: Callable[[], Awaitable[Any]] | None = None
    done: asyncio.Future[Any] | None = None


_OVER = _Said()


class Relay(Generic[T]):
    """Runs `work` in a task; `follow` gives its events and raises what it raises; then `result` is what it returned."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._queue: asyncio.Queue[_Said] = asyncio.Queue()
        self._closed = False
        self.result: T

    def tell(self, *events: EventData) -> None:
        """Say without waiting: what is lost when the process dies can be said again."""
        self._queue.put_nowait(_Said(events))

    async def say(self, *events: EventData) -> None:
        """Say, and return when it is durable."""
        await self._handed_over(_Said(events, done=asyncio.get_running_loop().create_future()))

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Let the generator do it, after everything that was said before."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        return await self._handed_over(_Said(work=work, done=done))  # type: ignore[no-any-return]

    async def _handed_over(self, said: _Said) -> Any:
        assert said.done is not None
        if self._closed:
            raise asyncio.CancelledError  # nobody listens any more
        self._queue.put_nowait(said)
        return await said.done

    async def follow(self, work: Awaitable[T]) -> AsyncGenerator[EventData, None]:
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._queue.put_nowait(_OVER))
        try:
            while (said := await self._queue.get()) is not _OVER:
                if said.done is None:
                    for event in said.events:
                        yield event
                    continue
                await self._settle(said, said.done)
            self.result = await task
        finally:
            self._close()
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=PATIENCE)
            if task.done() and not task.cancelled():
                task.exception()  # seen: the run has its own end

    def _close(self) -> None:
        """Who waits to be heard waits no more."""
        self._closed = True
        while not self._queue.empty():
            if (done := self._queue.get_nowait().done) is not None:
                done.cancel()

    async def _settle(self, said: _Said, done: asyncio.Future[Any]) -> None:
        """Do what somebody waits for. What fails here fails the run, and them as well."""
        try:
            result = None
            if said.events:
                await self._context.emit(*said.events)
            if said.work is not None:
                result = await said.work()
        except BaseException:
            done.cancel()
            raise
        if not done.done():
            done.set_result(result)
