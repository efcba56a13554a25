"""How fast do events reach those who follow a session in the same process? Against an `asyncio.Queue` for each reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from benchmarks.answers import Answer, Bars, Figure, at_least, told
from benchmarks.harness import Effort, Spread, spread
from sessionry.dispatch.bus import PollBus
from sessionry.domain.events import Event, MessageStreamed
from sessionry.runtime.feed import Feed

TARGET = 10
CASES = ((1, 1), (1, 64), (100, 1), (100, 64), (1000, 1), (1000, 64))
SESSION = "ses_fanout"

_READING = (
    "Both sides get the same events in turns (one commit each) and hand every event to every reader; a turn is over"
    " when all readers have it. The feed's side includes reading the log, which is kept in memory here, and the"
    " pokes."
)
_NOTE = (
    "With one reader, or one event in a turn, a queue has little to do and the feed still reads its log: there it"
    " is slower. It gains where many readers want the same events, since they are read once and handed on as they"
    " are."
)


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


async def compared(readers: int, per_turn: int, deliveries: int, rounds: int) -> dict[str, Spread]:
    """Deliveries a second: queues, `Feed.follow`, `Feed.batches`, in turns."""
    turns = events(max(4, deliveries // readers // per_turn), per_turn)
    deliveries = len(turns) * per_turn * readers
    found: dict[str, list[float]] = {"queues": [], "follow": [], "batches": []}
    for _ in range(rounds):
        found["queues"].append(deliveries / await with_queues(turns, readers))
        found["follow"].append(deliveries / await with_feed(turns, readers, by_event))
        found["batches"].append(deliveries / await with_feed(turns, readers, by_batch))
    return {name: spread(values) for name, values in found.items()}


def measure(effort: Effort) -> Answer:
    found = {case: asyncio.run(compared(*case, effort.of(100_000, 10_000), effort.of(5, 2))) for case in CASES}
    figures = [_figure(*case, one) for case, one in found.items()]
    bars = [
        (f"{'asyncio.Queue' if side == 'queues' else 'Sessionry'}, {readers} readers, {turn} a turn", one[side].median)
        for (readers, turn), one in found.items()
        for side in ("batches", "queues")
    ]
    picture = Bars(
        "fanout", "Events delivered to readers in one process", "deliveries a second; more is better", bars, log=True
    )
    return Answer("Live fan-out in one process", _READING, figures, [picture], [_NOTE])


def _figure(readers: int, turn: int, found: dict[str, Spread]) -> Figure:
    ratio = found["batches"].median / found["queues"].median
    question = f"{readers:,} readers, {turn} events a turn: times asyncio.Queue"
    text = f"{found['batches']} deliveries/s against {found['queues']}; one event at a time {found['follow']}"
    return at_least(question, ratio, TARGET, text) if (readers, turn) == (100, 64) else told(question, text, ratio)
