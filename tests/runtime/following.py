"""Feeds over logs in memory, and readers who follow them: what the tests of the feed share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from sessionry.dispatch.bus import PollBus
from sessionry.domain.errors import StoreFailed
from sessionry.domain.events import Event, MessageStreamed
from sessionry.domain.scope import Scope
from sessionry.runtime.feed import Feed
from sessionry.runtime.hub import Hub
from sessionry.runtime.tail import Bounds

A, B = "ses_a", "ses_b"
NEVER = 3600.0
SMALL = Bounds(page=4, page_bytes=1 << 20, keep=6, keep_bytes=1 << 20)


def event(session_id: str, seq: int, position: int, text: str) -> Event:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    data = MessageStreamed(text=text)
    return Event(id=f"evt_{position}", session_id=session_id, at=at, data=data, seq=seq, position=position)


class Log:
    """The logs of a store, in memory, with pokes by hand, a count of the reads, and a failure to switch on.

    `together`: whether one query can read many of them.
    """

    def __init__(self, *, together: bool = False) -> None:
        self.together = together
        self.events: list[Event] = []
        self.last = {A: 0, B: 0}
        self.position = 0
        self.reads = 0
        self.failures = 0
        self.bus = PollBus(self._token, interval=NEVER)

    def append(self, session_id: str = A, count: int = 1, *, skip: int = 0, size: int = 1) -> None:
        self.last[session_id] += skip
        for _ in range(count):
            self.position += 1
            self.last[session_id] += 1
            self.events.append(event(session_id, self.last[session_id], self.position, "x" * size))

    def commit(self, session_id: str = A, count: int = 1, *, size: int = 1) -> None:
        self.append(session_id, count, size=size)
        self.bus.poke([session_id])

    async def page(self, session_id: str, after: int, limit: int) -> list[Event]:
        return await self._read([e for e in self.events if e.session_id == session_id and e.seq > after], limit)

    async def everything(self, after: int, limit: int) -> list[Event]:
        return await self._read([e for e in self.events if e.position > after], limit)

    def seqs(self, session_id: str = A, after: int = 0) -> list[int]:
        return [event.seq for event in self.events if event.session_id == session_id and event.seq > after]

    async def pages(self, wanted: Sequence[tuple[Scope, str, int]], limit: int) -> Sequence[list[Event] | None]:
        await self._read([], limit)
        return [[e for e in self.events if e.session_id == id and e.seq > after][:limit] for _, id, after in wanted]

    def feed(self, poll: float = NEVER, bounds: Bounds = Bounds()) -> Feed:  # noqa: B008
        hub = Hub(self.pages, poll, pause=0, page=bounds.page) if self.together else None
        return Feed(self.page, self.bus, poll, read_all=self.everything, hub=hub, bounds=bounds)

    async def _read(self, events: list[Event], limit: int) -> list[Event]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise StoreFailed("store_unavailable", "gone for a moment")
        return events[:limit]

    async def _token(self) -> int:
        return 0


class DeafBus:
    """Loses every word."""

    def poke(self, session_ids: Sequence[str]) -> None:
        pass

    def watch(self, listener: Callable[[Sequence[str] | None], None]) -> Callable[[], None]:
        return lambda: None


class Reader:
    """Somebody who follows, and what came. `permits`: how many batches it may take before it is slow; None: all."""

    def __init__(self, feed: Feed, session_id: str | None = A, after: int = 0, permits: int | None = None) -> None:
        self.after = after
        self.seqs: list[int] = []
        self.batches = 0
        self.error: BaseException | None = None
        self._gate = asyncio.Semaphore(0 if permits is None else permits)
        self._free = permits is None
        self.task = asyncio.create_task(self._read(feed, session_id))

    def allow(self) -> None:
        self._gate.release()

    def let_go(self) -> None:
        self._free = True
        self._gate.release()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _read(self, feed: Feed, session_id: str | None) -> None:
        try:
            async with aclosing(feed.batches(session_id, self.after)) as batches:
                async for batch in batches:
                    self.batches += 1
                    self.seqs += [event.position if session_id is None else event.seq for event in batch]
                    if not self._free:
                        await self._gate.acquire()
        except StoreFailed as error:
            self.error = error


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0)


async def quiet(turns: int = 30) -> None:
    """Let everybody come to where they wait."""
    for _ in range(turns):
        await asyncio.sleep(0)


def other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
