"""The feed: every event once, in order, for whoever joins whenever, and nothing left behind afterwards."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionry.dispatch.bus import PollBus
from sessionry.domain.errors import Conflict, StoreFailed
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


@pytest.fixture(params=["each by itself", "together"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(together=request.param == "together")


@pytest.fixture
async def feed(log: Log) -> AsyncIterator[Feed]:
    feed = log.feed()
    yield feed
    await feed.close()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0)


async def quiet(turns: int = 30) -> None:
    """Let everybody come to where they wait."""
    for _ in range(turns):
        await asyncio.sleep(0)


def other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


# --- replay and live --------------------------------------------------------------------------------------------------


async def test_what_is_there_comes_first_then_what_is_new(log: Log, feed: Feed) -> None:
    log.append(count=3)
    events = feed.follow(A)
    assert [(await anext(events)).seq for _ in range(3)] == [1, 2, 3]
    waiting = asyncio.ensure_future(anext(events))
    await quiet()
    assert not waiting.done()
    log.commit()
    assert (await waiting).seq == 4
    await events.aclose()


async def test_a_reader_starts_after_its_cursor(log: Log, feed: Feed) -> None:
    log.append(count=10)
    async with aclosing(feed.follow(A, after=7)) as events:
        assert [(await anext(events)).seq for _ in range(3)] == [8, 9, 10]


async def test_other_sessions_are_not_mixed_in(log: Log, feed: Feed) -> None:
    readers = {session: Reader(feed, session) for session in (A, B)}
    await quiet()
    for _ in range(20):
        log.commit(A)
        log.commit(B, 2)
    await until(lambda: readers[A].seqs == log.seqs(A) and readers[B].seqs == log.seqs(B))


async def test_batches_hold_whatever_is_there_and_belong_to_the_reader(log: Log, feed: Feed) -> None:
    first, second = feed.batches(A), feed.batches(A)
    waiting = [asyncio.ensure_future(anext(first)), asyncio.ensure_future(anext(second))]
    await quiet()
    log.commit(count=64)
    one, other = await asyncio.gather(*waiting)
    one.clear()
    assert [event.seq for event in other] == list(range(1, 65))
    await first.aclose()
    await second.aclose()


async def test_batches_of_a_replay_belong_to_the_reader_too(log: Log, feed: Feed) -> None:
    log.append(count=3)
    first, second = feed.batches(A), feed.batches(A)
    reading = asyncio.gather(anext(first), anext(second))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log.reads == 1
    one, other = await reading
    one.clear()
    assert len(other) == 3
    await first.aclose()
    await second.aclose()


async def test_a_session_with_holes_is_followed_across_them(log: Log, feed: Feed) -> None:
    log.append(count=3)
    log.append(count=2, skip=10)
    reader = Reader(feed)
    inside_a_hole = Reader(feed, after=7)
    await quiet()
    log.append(count=2, skip=100)
    log.bus.poke([A])
    await until(lambda: reader.seqs == [1, 2, 3, 14, 15, 116, 117])
    await until(lambda: inside_a_hole.seqs == [14, 15, 116, 117])


async def test_what_is_pruned_before_it_was_read_is_left_out(log: Log) -> None:
    feed = log.feed(bounds=SMALL)
    slow = Reader(feed, permits=0)
    log.commit()
    await until(lambda: slow.seqs == [1])
    fast = Reader(feed)
    log.commit(count=30)
    await until(lambda: len(fast.seqs) == 31)
    log.events = [event for event in log.events if event.seq in (1, 12, 31)]
    slow.let_go()
    await until(lambda: slow.seqs == [1, 12, 31])
    await feed.close()


async def test_a_cursor_beyond_the_end_waits_there_and_disturbs_nobody(log: Log, feed: Feed) -> None:
    log.append(count=3)
    ahead = Reader(feed, after=5)
    await quiet()
    reader = Reader(feed)
    await until(lambda: reader.seqs == [1, 2, 3])
    log.commit(count=4)
    await until(lambda: reader.seqs == [1, 2, 3, 4, 5, 6, 7])
    await until(lambda: ahead.seqs == [6, 7])


async def test_a_reader_that_comes_to_the_end_below_a_cursor_from_beyond_it_misses_nothing(log: Log) -> None:
    """The pump reads from the wrong cursor at that moment; what it brings must not hide what lies before."""
    gates = {3: asyncio.Event(), 5: asyncio.Event()}

    async def page(session_id: str, after: int, limit: int) -> list[Event]:
        events = await log.page(session_id, after, limit)
        if len(log.events) > after > 3 or after == 3:
            await gates[after].wait()
        return events

    log.append(count=3)
    feed = Feed(page, log.bus, NEVER)
    Reader(feed, after=5)
    await quiet()
    reader = Reader(feed)
    await until(lambda: reader.seqs == [1, 2, 3])
    await quiet()
    log.commit(count=4)
    await quiet()
    gates[3].set()
    await quiet()
    gates[5].set()
    await until(lambda: reader.seqs == [1, 2, 3, 4, 5, 6, 7])
    await feed.close()


async def test_a_log_that_is_emptied_and_grows_again_is_followed_from_the_cursor(log: Log) -> None:
    feed = log.feed(bounds=Bounds(keep_bytes=5000))
    fast, slow = Reader(feed), Reader(feed, permits=0)
    await quiet()
    for size in (1, 4000, 1, 1):
        log.commit(size=size)
        await quiet()
    log.events = []
    slow.let_go()
    await quiet()
    log.commit()
    await until(lambda: fast.seqs[-1] == slow.seqs[-1] == 5)
    assert slow.seqs == [1, 5]
    await feed.close()


# --- all sessions -----------------------------------------------------------------------------------------------------


async def test_all_sessions_are_followed_by_position(log: Log, feed: Feed) -> None:
    log.append(A, 2)
    log.append(B, 2)
    reader, late = Reader(feed, None), Reader(feed, None, after=3)
    await quiet()
    assert reader.seqs == [1, 2, 3, 4]
    log.commit(B)
    log.commit(A)
    await until(lambda: reader.seqs == [1, 2, 3, 4, 5, 6])
    await until(lambda: late.seqs == [4, 5, 6])


async def test_without_a_global_log_only_sessions_are_followed(log: Log) -> None:
    feed = Feed(log.page, log.bus)
    with pytest.raises(Conflict, match="single sessions only"):
        await anext(feed.follow(None))
    assert not other_tasks()


# --- many readers -----------------------------------------------------------------------------------------------------


async def test_a_thousand_readers_join_in_the_middle_and_miss_and_double_nothing(log: Log, feed: Feed) -> None:
    chance = random.Random(7)
    readers: list[Reader] = []
    for _ in range(100):
        log.commit(count=chance.randint(1, 20))
        readers += [Reader(feed, after=chance.randint(0, log.seqs()[-1])) for _ in range(10)]
        await quiet(chance.randint(0, 3))
    last = log.seqs()[-1]
    await until(lambda: all(reader.seqs and reader.seqs[-1] == last for reader in readers if reader.after < last))
    for reader in readers:
        assert reader.seqs == list(range(reader.after + 1, last + 1))


async def test_a_commit_costs_one_read_however_many_follow(log: Log, feed: Feed) -> None:
    readers = [Reader(feed) for _ in range(200)]
    await quiet()
    for _ in range(5):
        reads = log.reads
        log.commit(count=10)
        await until(lambda: all(reader.seqs == log.seqs() for reader in readers))
        assert log.reads == reads + 1
    assert {reader.batches for reader in readers} == {5}


async def test_many_who_come_at_once_share_their_reads(log: Log, feed: Feed) -> None:
    log.append(count=300)
    readers = [Reader(feed, after=10) for _ in range(1000)]
    await until(lambda: all(len(reader.seqs) == 290 for reader in readers))
    await quiet()
    assert log.reads == 3  # two pages, and one look of the hub


async def test_a_reader_that_is_cancelled_while_it_shares_a_read_does_not_take_it_away(log: Log, feed: Feed) -> None:
    log.append(count=3)
    readers = [Reader(feed), Reader(feed)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log.reads == 1
    await readers[0].stop()
    await until(lambda: readers[1].seqs == [1, 2, 3])


# --- slow readers -----------------------------------------------------------------------------------------------------


async def test_a_reader_that_fell_behind_reads_the_log_until_it_is_back(log: Log) -> None:
    feed = log.feed(bounds=SMALL)
    slow, fast = Reader(feed, permits=0), Reader(feed)
    await quiet()
    for _ in range(50):
        log.commit(count=3)
        await until(lambda: fast.seqs == log.seqs())
    assert len(slow.seqs) < 20
    slow.let_go()
    await until(lambda: slow.seqs == log.seqs())
    reads = log.reads
    log.commit()
    await until(lambda: slow.seqs == fast.seqs == log.seqs())
    assert log.reads == reads + 1
    await feed.close()


async def test_memory_is_flat_whatever_the_reader_does() -> None:
    written = 0

    async def page(session_id: str, after: int, limit: int) -> list[Event]:
        await asyncio.sleep(0)
        numbers = range(after + 1, min(written, after + limit) + 1)
        return [event(A, number, number, str(number).zfill(10_000)) for number in numbers]

    log = Log()
    feed = Feed(page, log.bus, bounds=Bounds(page=20, keep=1024, keep_bytes=1 << 20))
    slow, fast = Reader(feed, permits=0), Reader(feed)
    await quiet()
    tracemalloc.start()
    while written < 4000:
        written += 10
        log.bus.poke([A])
        await until(lambda: fast.seqs[-1:] == [written])  # noqa: B023  it is awaited in the same turn
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20  # 40 MB went through
    slow.let_go()
    await until(lambda: slow.seqs == list(range(1, 4001)))
    await feed.close()


async def test_an_event_larger_than_the_bounds_is_still_read_once_for_all(log: Log) -> None:
    feed = log.feed(bounds=Bounds(keep_bytes=1000))
    readers = [Reader(feed) for _ in range(50)]
    await quiet()
    reads = log.reads
    log.commit(size=100_000)
    await until(lambda: all(reader.seqs == [1] for reader in readers))
    assert log.reads == reads + 1
    await feed.close()


async def test_a_page_that_was_cut_short_for_its_bytes_is_not_the_end(log: Log) -> None:
    async def one(session_id: str, after: int, limit: int) -> list[Event]:
        return await log.page(session_id, after, 1)

    feed = Feed(one, log.bus, NEVER, bounds=Bounds(page_bytes=1000))
    reader = Reader(feed)
    await quiet()
    log.commit(count=5, size=1000)
    await until(lambda: reader.seqs == [1, 2, 3, 4, 5])
    await feed.close()


async def test_a_commit_of_many_pages_is_read_to_its_end(log: Log) -> None:
    feed = log.feed(bounds=SMALL)
    reader = Reader(feed)
    await quiet()
    log.commit(count=30)
    await until(lambda: reader.seqs == log.seqs())
    await feed.close()


# --- lost pokes -------------------------------------------------------------------------------------------------------


async def test_a_lost_poke_costs_the_slow_poll_and_nothing_else(log: Log) -> None:
    feed = log.feed(poll=0.01)
    reader, everything = Reader(feed), Reader(feed, None)
    await quiet()
    for _ in range(5):
        log.append(count=2)
        await until(lambda: reader.seqs == log.seqs() and everything.seqs == log.seqs())
    await feed.close()


async def test_an_event_between_the_last_page_and_the_wait_is_not_missed(log: Log) -> None:
    """Nobody is ever poked, and no poll comes: the pump's first look must find it."""

    async def page(session_id: str, after: int, limit: int) -> list[Event]:
        events = await log.page(session_id, after, limit)
        if log.reads == 1:
            log.append()
        return events

    reader = Reader(Feed(page, DeafBus(), NEVER))
    await until(lambda: reader.seqs == [1])
    await reader.stop()


async def test_a_poke_during_a_read_is_not_lost(log: Log) -> None:
    async def page(session_id: str, after: int, limit: int) -> list[Event]:
        events = await log.page(session_id, after, limit)
        if log.reads == 3:
            log.commit()
        return events

    feed = Feed(page, log.bus, NEVER)
    reader = Reader(feed)
    await quiet()
    log.bus.poke([A])
    await until(lambda: reader.seqs == [1])
    await feed.close()


async def test_a_change_by_another_process_wakes_every_reader(log: Log) -> None:
    version = 0

    async def token() -> int:
        return version

    bus = PollBus(token, interval=0.001)
    feed = Feed(log.page, bus, NEVER, read_all=log.everything)
    readers = [Reader(feed, A), Reader(feed, B), Reader(feed, None)]
    await quiet()
    log.append(A)
    log.append(B)
    version += 1
    await until(lambda: [reader.seqs for reader in readers] == [[1], [1], [1, 2]])
    await feed.close()
    await bus.close()


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_nothing_is_held_before_the_first_and_after_the_last_reader(log: Log, feed: Feed) -> None:
    events, others = feed.follow(A), feed.follow(A)
    assert not other_tasks()
    log.append(count=2)
    await anext(events)
    await anext(others)
    await events.aclose()
    await others.aclose()
    await until(lambda: not other_tasks())
    reads = log.reads
    log.bus.poke([A])
    await quiet()
    assert log.reads == reads


async def test_a_reader_that_stops_leaves_the_others_alone(log: Log, feed: Feed) -> None:
    readers = [Reader(feed) for _ in range(10)]
    await quiet()
    for reader in readers[1:]:
        await reader.stop()
    log.commit()
    await until(lambda: readers[0].seqs == [1])
    await readers[0].stop()
    await until(lambda: not other_tasks())


async def test_leaving_a_loop_early_leaves_no_task(log: Log, feed: Feed) -> None:
    log.append(count=5)
    async for found in feed.follow(A):
        if found.seq == 3:
            break
    await until(lambda: not other_tasks())


async def test_readers_that_come_and_go_leave_nothing_behind(log: Log, feed: Feed) -> None:
    stays = Reader(feed)
    await quiet()
    tracemalloc.start()
    for turn in range(300):
        passing = Reader(feed)
        await quiet(5)
        await passing.stop()
        if turn == 100:
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000
    log.commit()
    await until(lambda: stays.seqs == [1])


async def test_close_ends_the_readers_and_leaves_no_task(log: Log, feed: Feed) -> None:
    waiting = [Reader(feed), Reader(feed, None), Reader(feed, B)]
    slow = Reader(feed, permits=0)
    await quiet()
    log.commit()
    await until(lambda: slow.seqs)
    await feed.close()
    await asyncio.wait([reader.task for reader in waiting])
    slow.let_go()
    await asyncio.wait([slow.task])
    assert all(reader.task.exception() is None and reader.error is None for reader in [*waiting, slow])
    await until(lambda: not other_tasks())


async def test_close_in_the_middle_of_a_read_ends_the_readers_too(log: Log, feed: Feed) -> None:
    readers = [Reader(feed), Reader(feed)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log.reads == 1
    await feed.close()
    await asyncio.wait([reader.task for reader in readers])
    assert not any(reader.task.cancelled() for reader in readers)
    await until(lambda: not other_tasks())


async def test_a_closed_feed_follows_nothing(feed: Feed) -> None:
    await feed.close()
    with pytest.raises(Conflict, match="closed"):
        await anext(feed.follow(A))


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_an_error_reaches_all_that_wait_once_and_the_next_read_works(log: Log, feed: Feed) -> None:
    readers = [Reader(feed) for _ in range(5)]
    await quiet()
    log.failures = 1
    log.commit()
    await until(lambda: all(reader.error for reader in readers))
    again = Reader(feed)
    await until(lambda: again.seqs == [1])
    log.commit()
    await until(lambda: again.seqs == [1, 2])
    assert again.error is None


async def test_an_error_while_nobody_waits_is_only_tried_again(log: Log) -> None:
    feed = log.feed(poll=0.01)
    slow = Reader(feed, permits=0)
    await quiet()
    log.commit()
    await until(lambda: slow.seqs == [1])
    log.failures = 1
    log.commit()
    await until(lambda: not log.failures)
    slow.let_go()
    await until(lambda: slow.seqs == [1, 2])
    assert slow.error is None
    await feed.close()


async def test_an_error_in_the_replay_reaches_its_reader(log: Log, feed: Feed) -> None:
    log.append()
    log.failures = 1
    with pytest.raises(StoreFailed, match="gone for a moment"):
        await anext(feed.follow(A))
    assert (await anext(feed.follow(A))).seq == 1


# --- any order of things ----------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from([A, B]), st.integers(1, 9)),
        st.tuples(st.just("lose"), st.sampled_from([A, B]), st.integers(1, 9)),
        st.tuples(st.just("poke"), st.sampled_from([A, B]), st.just(0)),
        st.tuples(st.just("hole"), st.sampled_from([A, B]), st.integers(1, 9)),
        st.tuples(st.just("prune"), st.sampled_from([A, B]), st.integers(2, 4)),
        st.tuples(st.just("join"), st.sampled_from([A, B, None]), st.integers(0, 30)),
        st.tuples(st.just("join slow"), st.sampled_from([A, B, None]), st.integers(0, 30)),
        st.tuples(st.just("allow"), st.just(A), st.integers(0, 9)),
        st.tuples(st.just("stop"), st.just(A), st.integers(0, 9)),
        st.tuples(st.just("run"), st.just(A), st.integers(1, 8)),
    ),
    max_size=40,
)


class Interleaving:
    """Plays steps in the order given; afterwards every reader must have got what it was owed."""

    def __init__(self, *, together: bool) -> None:
        self.log = Log(together=together)
        self.feed = self.log.feed(poll=0.002, bounds=SMALL)
        self.readers: list[tuple[str | None, Reader]] = []
        self.written: list[Event] = []

    async def play(self, steps: list[tuple[str, Any, int]]) -> None:
        for what, session_id, number in steps:
            await self.step(what, session_id, number)
        for _, reader in self.readers:
            reader.let_go()
        await until(lambda: all(self.is_served(session_id, reader) for session_id, reader in self.readers))
        await quiet()
        for session_id, reader in self.readers:
            self.check(session_id, reader)
        await self.feed.close()
        await until(lambda: not other_tasks())

    async def step(self, what: str, session_id: str | None, number: int) -> None:
        if what in ("commit", "lose", "hole"):
            before = len(self.log.events)
            self.log.append(session_id or A, number, skip=number if what == "hole" else 0)
            self.written += self.log.events[before:]
        elif what == "prune":
            self.log.events = [e for e in self.log.events if e.session_id != session_id or e.seq % number == 0]
        elif what.startswith("join"):
            self.readers.append((session_id, Reader(self.feed, session_id, number, 0 if "slow" in what else None)))
        elif what == "allow" and self.readers:
            self.readers[number % len(self.readers)][1].allow()
        elif what == "stop" and self.readers:
            await self.readers[number % len(self.readers)][1].stop()
        if what in ("commit", "poke", "hole"):
            self.log.bus.poke([session_id or A])
        await quiet(number if what == "run" else 0)

    def is_served(self, session_id: str | None, reader: Reader) -> bool:
        return reader.task.done() or set(self.cursors(self.log.events, session_id, reader)) <= set(reader.seqs)

    def cursors(self, events: list[Event], session_id: str | None, reader: Reader) -> list[int]:
        if session_id is None:
            return [event.position for event in events if event.position > reader.after]
        return [event.seq for event in events if event.session_id == session_id and event.seq > reader.after]

    def check(self, session_id: str | None, reader: Reader) -> None:
        assert reader.error is None
        assert reader.seqs == sorted(set(reader.seqs)), "in order, each once"
        assert set(reader.seqs) <= set(self.cursors(self.written, session_id, reader)), "nothing else"


@pytest.mark.parametrize("together", [False, True])
@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
def test_any_order_of_commits_pokes_joins_and_stops_gives_each_reader_each_event_once(
    steps: list[tuple[str, Any, int]], together: bool
) -> None:
    async def play() -> None:
        await Interleaving(together=together).play(steps)

    asyncio.run(play())
