"""The work that several measurements do: sessions with a claimed run each, and appends to them."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import TEXT
from sessionry.domain.events import EventData, MessageReceived
from sessionry.domain.run import AgentFacts
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Appending, Delivery, Store
from sessionry.store.operations import leases, runs, sessions

EVENT: EventData = MessageReceived(text=TEXT)
SCOPE = Scope()
FACTS = AgentFacts(type="function")


class Claimed(NamedTuple):
    session_id: str
    run_id: str
    fence: int
    after: int


async def claim(store: Store, worker_id: str = "wrk_bench") -> Claimed:
    """A new session with a run that this worker has begun."""
    created = await store.execute(sessions.create(SCOPE, Session.new(agent_id="bench")))
    queued = await store.execute(runs.submit(SCOPE, created.session_id, runs.Submission(input="x")))
    assert queued.run_id is not None
    delivery = Delivery(created.session_id, queued.run_id, 1)
    lease = await store.execute(leases.begin(delivery, worker_id, FACTS))
    assert lease is not None
    return Claimed(created.session_id, queued.run_id, lease.fence, lease.seq)


async def produce(store: Store, claimed: Claimed, count: int, latencies: list[float]) -> Claimed:
    """Append one event after the other, each awaited until it is durable."""
    after = claimed.after
    for _ in range(count):
        begun = time.perf_counter()
        after = (await store.append(Appending(claimed.run_id, claimed.fence, after, [EVENT])))[-1]
        latencies.append(time.perf_counter() - begun)
    return claimed._replace(after=after)


async def fill(store: Store, claimed: Claimed, count: int, batch: int = 500) -> Claimed:
    """Append many events quickly."""
    after = claimed.after
    for _ in range(count // batch):
        after = (await store.append(Appending(claimed.run_id, claimed.fence, after, [EVENT] * batch)))[-1]
    return claimed._replace(after=after)


async def produce_all(store: Store, claimed: Sequence[Claimed], count: int) -> tuple[list[Claimed], list[float]]:
    """Every claimed run appends at the same time; where they are then, and the latency of each append."""
    latencies: list[float] = []
    moved = await asyncio.gather(*(produce(store, one, count, latencies) for one in claimed))
    return moved, latencies


class RawLog:
    """The least that SQLite can be asked to do: one table, one index, groups of inserts."""

    def __init__(self, path: Path, synchronous: str = "full") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute(f"pragma synchronous = {synchronous}")
        self._connection.execute(
            "create table event (position integer primary key, session integer, seq integer, type text, at integer,"
            " data text)"
        )
        self._connection.execute("create unique index event_seq on event (session, seq)")
        self._next = 0

    def append(self, groups: int, size: int, sessions: int = 100) -> float:
        """Seconds for so many commits of so many events, spread over so many sessions."""
        begun = time.perf_counter()
        for _ in range(groups):
            places = range(self._next, self._next + size)
            self._next += size
            self.insert([(place % sessions, place, "message_received", 1, TEXT) for place in places])
        return time.perf_counter() - begun

    def insert(self, rows: list[tuple[int, int, str, int, str]]) -> None:
        """One commit."""
        self._connection.execute("begin immediate")
        self._connection.executemany("insert into event (session, seq, type, at, data) values (?, ?, ?, ?, ?)", rows)
        self._connection.execute("commit")

    def close(self) -> None:
        self._connection.close()


class BareLog:
    """The least that a durable log for asyncio can be: a writer thread, a future for each event, a commit for each batch.

    No session, no lease, no check, no reader: what stands between this and `RawLog` is the price of asyncio and a thread.
    """

    def __init__(self, path: Path, synchronous: str = "full") -> None:
        self._raw = RawLog(path, synchronous)
        self._requests: queue.SimpleQueue[tuple[int, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    async def append(self, session: int) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._requests.put((session, future))
        await future

    def warm(self, events: int) -> None:
        """Before the first append, in the caller's thread."""
        self._seq = events
        self._raw.append(events // 500, 500)

    def _write(self) -> None:
        while (first := self._requests.get()) is not None:
            batch = [first]
            while not self._requests.empty():
                if (more := self._requests.get()) is not None:
                    batch.append(more)
            seqs = range(self._seq + 1, self._seq + 1 + len(batch))
            self._seq += len(batch)
            self._raw.insert(
                [
                    (session, number, "message_received", 1, TEXT)
                    for number, (session, _) in zip(seqs, batch, strict=True)
                ]
            )
            self._loop.call_soon_threadsafe(self._answer, [future for _, future in batch])

    def _answer(self, futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)

    def close(self) -> None:
        self._requests.put(None)
        self._thread.join()
        self._raw.close()
