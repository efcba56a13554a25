"""Fan-out: one session followed by many readers, against an `asyncio.Queue` for each reader.

Both sides get the same events in turns (one commit each) and hand every event to every reader; a turn is over when all
readers have it. The feed's side includes reading the log, which is kept in memory here, and the pokes. Rounds alternate,
the ratio is that of the medians. Usage: python benchmarks/fanout.py
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from sessionry.dispatch.bus import PollBus
from sessionry.domain.events import Event, MessageStreamed
from sessionry.runtime.feed import Feed

ROUNDS = 5
TARGET = 10
CASES = ((100, 1), (100, 64), (1000, 1), (1000, 64))
SESSION = "ses_fanout"


class Count:
    """How many deliveries are still to come in this turn."""

    left = 0


def events(turns: int, per_turn: int) -> list[list[Event]]:
    now = datetime.now(UTC)
    data = MessageStreamed(text="a few tokens of an answer ")
    numbers = range(1, turns * per_turn + 1)
    every = [Event(id=f"evt_{n}", session_id=SESSION, at=now, data=data, seq=n, position=n) for n in numbers]
    return [every[start : start + per_turn] for start in range(0, len(every), per_turn)]


async def deliver(turns: list[list[Event]], readers: int, give: Callable[[list[Event]], None], count: Count) -> float:
    started = time.perf_counter()
    for turn in turns:
        count.left = readers * len(turn)
        give(turn)
        while count.left:  # noqa: ASYNC110  an event per turn would be measured too
            await asyncio.sleep(0)
    return time.perf_counter() - started


async def with_queues(turns: list[list[Event]], readers: int) -> float:
    count = Count()
    queues: list[asyncio.Queue[Event]] = [asyncio.Queue() for _ in range(readers)]

    async def read(queue: asyncio.Queue[Event]) -> None:
        while True:
            await queue.get()
            count.left -= 1

    def give(turn: list[Event]) -> None:
        for queue in queues:
            for event in turn:
                queue.put_nowait(event)

    return await among([read(queue) for queue in queues], lambda: deliver(turns, readers, give, count))


async def with_feed(turns: list[list[Event]], readers: int, read: Callable[[Feed, Count], Awaitable[None]]) -> float:
    count = Count()
    log: list[Event] = []

    async def page(session_id: str, after: int, limit: int) -> list[Event]:
        return log[after : after + limit]

    async def token() -> int:
        return 0

    def give(turn: list[Event]) -> None:
        log.extend(turn)
        bus.poke([SESSION])

    bus = PollBus(token)
    feed = Feed(page, bus)
    seconds = await among([read(feed, count) for _ in range(readers)], lambda: deliver(turns, readers, give, count))
    await feed.close()
    await bus.close()
    return seconds


async def by_event(feed: Feed, count: Count) -> None:
    async for _ in feed.follow(SESSION):
        count.left -= 1


async def by_batch(feed: Feed, count: Count) -> None:
    async for batch in feed.batches(SESSION):
        count.left -= len(batch)


async def among(readers: list[Awaitable[None]], work: Callable[[], Awaitable[float]]) -> float:
    """Do the work while the readers are reading."""
    tasks = [asyncio.ensure_future(reader) for reader in readers]
    for _ in range(20):  # let them come to where they wait
        await asyncio.sleep(0)
    seconds = await work()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return seconds


async def measure(readers: int, per_turn: int) -> tuple[float, float, float]:
    """Median seconds: queues, `Feed.follow`, `Feed.batches`."""
    turns = events(max(4, 200_000 // readers // per_turn), per_turn)
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    for _ in range(ROUNDS):
        times[0].append(await with_queues(turns, readers))
        times[1].append(await with_feed(turns, readers, by_event))
        times[2].append(await with_feed(turns, readers, by_batch))
    queue, event, batch = map(statistics.median, times)
    return queue, event, batch


async def rows() -> AsyncIterator[str]:
    yield f"{'readers':>7} {'per turn':>8} {'follow':>8} {'batches':>8}   x asyncio.Queue per reader"
    for readers, per_turn in CASES:
        queue, event, batch = await measure(readers, per_turn)
        note = f"   target {TARGET}" if (readers, per_turn) == (100, 64) else ""
        yield f"{readers:>7} {per_turn:>8} {queue / event:>8.1f} {queue / batch:>8.1f}{note}"


def main() -> None:
    async def show() -> None:
        async for row in rows():
            print(row, flush=True)

    asyncio.run(show())


if __name__ == "__main__":
    main()
