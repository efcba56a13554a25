"""The feed: no poke and no error is lost on its readers, and nothing is left when they leave."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest

from sessionry.dispatch.bus import PollBus
from sessionry.domain.errors import Conflict, StoreFailed
from sessionry.domain.events import Event
from sessionry.runtime.feed import Feed

from .following import NEVER, A, B, DeafBus, Log, Reader, other_tasks, quiet, until

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
    """Nobody is ever poked, and no poll comes: the hub's first look must find it."""

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
