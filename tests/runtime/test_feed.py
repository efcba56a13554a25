"""The feed: every event once, in order, for whoever joins whenever and reads however slowly."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from contextlib import aclosing

import pytest

from sessionry.domain.errors import Conflict
from sessionry.domain.events import Event
from sessionry.runtime.feed import Feed
from sessionry.runtime.tail import Bounds

from .following import NEVER, SMALL, A, B, Log, Reader, event, other_tasks, quiet, until

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
    """The hub reads from the wrong cursor at that moment; what it brings must not hide what lies before."""
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
