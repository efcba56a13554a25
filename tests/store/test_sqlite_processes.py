"""Several processes on one file: they see each other at once, take turns, and readers of all of them miss nothing."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from sessionry.dispatch.bus import PollBus
from sessionry.domain import events as ev
from sessionry.domain.errors import Fenced
from sessionry.domain.events import Event
from sessionry.domain.fold import fold
from sessionry.ports import Delivery
from sessionry.runtime.feed import Feed
from sessionry.store.operations import leases, reading, recovery, runs, sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.processes import Account, Share, append_share, hold_run, open_and_close, started
from tests.store.work import LISTENS, SCOPE, AtWork, at_work, log_of, new_session


@pytest.fixture
async def other(file: Path, store: SqliteStore) -> AsyncIterator[SqliteStore]:
    """The same file, opened once more."""
    other = await SqliteStore.open(str(file))
    yield other
    await other.close()


# --- two at a time ----------------------------------------------------------------------------------------------------


async def test_two_stores_see_each_others_writes_at_once(store: SqliteStore, other: SqliteStore) -> None:
    work = await at_work(store)
    twin = AtWork(other, await lease_of(work))
    for number in range(20):
        speaker, listener = (work, twin) if number % 2 else (twin, work)
        speaker.after = listener.after
        await speaker.say(str(number))
        assert (await listener.said())[-1] == str(number)
        await speaker.store.execute(runs.steer(SCOPE, work.run_id, "left"))
    log = await log_of(store, work.session_id)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))


async def lease_of(work: AtWork) -> leases.Lease:
    """The lease once more, as its worker gets it when the first answer was lost."""
    lease = await work.store.execute(leases.begin(Delivery(work.session_id, work.run_id, 1), "wrk_test", LISTENS))
    assert lease is not None
    return lease


async def test_a_claim_elsewhere_fences_the_old_holder_at_once(store: SqliteStore, other: SqliteStore) -> None:
    zombie = await at_work(store)
    await zombie.say("mine")
    await other.execute(recovery.take_over(zombie.run_id, "wrk_test", "lost"))
    with pytest.raises(Fenced):
        await zombie.say("still mine")
    assert await zombie.said() == ["mine"]


async def test_a_process_that_lost_its_run_is_fenced_at_once(store: SqliteStore, file: Path) -> None:
    session_id = await new_session(store)
    with started(hold_run, str(file), session_id) as (_, zombie):
        run_id, fence = await received(zombie)
        zombie.send("again")
        assert await received(zombie) == "appended"
        await store.execute(recovery.take_over(run_id, "wrk_zombie", "lost"))
        zombie.send("again")
        assert await received(zombie) == "fenced"
        zombie.send(None)
    log = await log_of(store, session_id)
    assert [event.type for event in log if event.fence == fence].count("message_received") == 2
    assert [event.seq for event in log] == list(range(1, len(log) + 1))


async def test_the_change_token_tells_of_others_and_not_of_oneself(store: SqliteStore, other: SqliteStore) -> None:
    work = await at_work(store)
    before = await store.change_token()
    await work.say("here")
    assert await store.change_token() == before
    seen = {before}
    for _ in range(5):
        await new_session(other)
        token = await store.change_token()
        assert token not in seen
        assert await store.change_token() == token
        seen.add(token)
        await work.say("and here")  # what this process writes meanwhile hides nothing
        assert await store.change_token() == token


async def test_the_change_token_can_be_asked_for_while_this_process_waits_for_its_turn(
    store: SqliteStore, file: Path
) -> None:
    work = await at_work(store)
    before = await store.change_token()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("insert into sessionry_setting (name, value) values ('written', 'elsewhere')")
        other.execute("begin immediate")
        waiting = asyncio.create_task(work.say("when it is my turn"))
        async with asyncio.timeout(60):
            while await store.change_token() == before:
                await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("rollback")
    await waiting


async def test_many_processes_can_make_the_same_store_at_once(file: Path) -> None:
    with ExitStack() as stack:
        pipes = [stack.enter_context(started(open_and_close, str(file), 5))[1] for _ in range(8)]
        for pipe in pipes:
            assert await received(pipe) == "ready"
        for pipe in pipes:
            pipe.send("go")
        made = [session_id for pipe in pipes for session_id in await received(pipe)]
    store = await SqliteStore.open(str(file))
    for session_id in made:
        assert (await store.execute(sessions.get(SCOPE, session_id))).id == session_id
    assert len(set(made)) == 40
    await store.close()


# --- eight at a time --------------------------------------------------------------------------------------------------


async def received(pipe: Connection, timeout: float = 60) -> Any:
    """The next message of another process, while the loop goes on."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(pipe.fileno(), there.set)
    try:
        async with asyncio.timeout(timeout):
            await there.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    return pipe.recv()


async def follow(feed: Feed, session_id: str, after: int, until: int) -> None:
    """Read a session from `after` on, up to `until`: each event once, in order, none left out."""
    seqs: list[int] = []
    async with aclosing(feed.batches(session_id, after)) as batches:
        async for batch in batches:
            seqs += [event.seq for event in batch]
            if seqs[-1] >= until:
                break
    assert seqs == list(range(after + 1, until + 1))


async def flood(file: Path, *, processes: int, appends: int, producers: int, readers: int) -> list[Account]:
    """Let processes append while readers join at any time; what each process says that it did."""
    store = await SqliteStore.open(str(file))
    everybodys = await at_work(store)
    own = [await new_session(store, slots=producers) for _ in range(processes)]
    shares = [
        Share(f"wrk_{number}", session_id, everybodys.session_id, everybodys.run_id, appends, producers)
        for number, session_id in enumerate(own)
    ]
    bus = PollBus(store.change_token)
    store.on_commit(lambda touched, _: bus.poke(touched))
    feed = Feed(
        lambda session_id, after, limit: store.execute(reading.events(SCOPE, session_id, after=after, limit=limit)), bus
    )
    # what each log will hold: created, started, and queued, begun and ended for each run
    lengths = dict.fromkeys(own, 2 + producers * (3 + appends))
    lengths[everybodys.session_id] = everybodys.after + processes * producers * 2 * -(-appends // 10)

    async def join_some_time(session_id: str) -> None:
        await asyncio.sleep(random.uniform(0, appends / 400))
        after = random.choice([0, 0, random.randrange(lengths[session_id])])
        await follow(feed, session_id, after, lengths[session_id])

    with ExitStack() as stack:
        pipes = [stack.enter_context(started(append_share, str(file), share))[1] for share in shares]
        for pipe in pipes:
            assert await received(pipe) == "ready"
        for pipe in pipes:
            pipe.send("go")
        async with asyncio.TaskGroup() as group:
            for _ in range(readers):
                group.create_task(join_some_time(random.choice(list(lengths))))
            accounts = await asyncio.gather(*(received(pipe, 600) for pipe in pipes))
    await feed.close()
    await bus.close()
    for session_id, length in lengths.items():
        check_log(await log_of(store, session_id), length)
    await store.close()
    return [account for account in accounts if isinstance(account, Account)]


def check_log(log: list[Event], length: int) -> None:
    """No gap, no double, and what each run said is in the order in which it said it."""
    assert [event.seq for event in log] == list(range(1, length + 1))
    assert len({event.id for event in log}) == length
    assert len({event.position for event in log}) == length
    said: Counter[tuple[str | None, str]] = Counter()
    for event in log:
        if isinstance(event.data, ev.MessageReceived):
            name, _, number = (event.data.text or "").partition(" ")
            assert int(number) == said[event.run_id, name]
            said[event.run_id, name] += 1
    fold(log)


async def test_eight_processes_append_to_one_file_while_readers_join(file: Path) -> None:
    accounts = await flood(file, processes=8, appends=40, producers=2, readers=200)
    assert [account.appended for account in accounts] == [80] * 8


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_eight_processes_append_a_lot_while_a_thousand_readers_join(file: Path) -> None:
    accounts = await flood(file, processes=8, appends=1000, producers=5, readers=1000)
    assert [account.appended for account in accounts] == [5000] * 8
    print(f"slowest append of each process, ms: {[round(account.slowest * 1000) for account in accounts]}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="without a disk in memory this would measure the disk")
async def test_no_process_among_eight_waits_half_a_second(tmp_path: Path) -> None:
    file = Path("/dev/shm") / f"sessionry-{os.getpid()}" / "sessions.db"
    try:
        accounts = await flood(file, processes=8, appends=500, producers=1, readers=0)
    finally:
        for name in file.parent.glob("*"):
            name.unlink()
        file.parent.rmdir()
    slowest = [round(account.slowest * 1000) for account in accounts]
    print(f"slowest append of each process, ms: {slowest}")
    assert max(slowest) < 500
