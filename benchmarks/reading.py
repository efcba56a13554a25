"""How fast is what was written read again: pages, tails, lists, whole sessions?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.harness import Figure, at_most, folder, percentile
from benchmarks.work import EVENT, SCOPE, Claimed, claim, fill
from sessionry.domain.queries import SessionFilter
from sessionry.domain.session import Session
from sessionry.ports import Appending, Store
from sessionry.store.open import open_store
from sessionry.store.operations import listing, reading, sessions


def measure(quick: bool) -> list[Figure]:
    return asyncio.run(_measure(quick))


async def _measure(quick: bool) -> list[Figure]:
    with folder() as path:
        store = await open_store(f"sqlite:///{path / 'pages.db'}?synchronous=normal")
        found = [*await _pages(store, 200 if quick else 2_000), *await _tail(store, 20_000 if quick else 100_000)]
        await store.close()
        store = await open_store(f"sqlite:///{path / 'list.db'}?synchronous=normal")
        found += await _lists(store, 5_000 if quick else 100_000)
        await store.close()
    return found


async def _timed(work: Callable[[], Awaitable[object]], repeats: int = 30) -> float:
    """The median seconds of `work`, warm."""
    await work()
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - begun)
    return percentile(taken, 0.5)


async def _interleave(store: Store, claimed: list[Claimed], rounds: int) -> list[Claimed]:
    """Sessions that grow side by side, five events of one after five of another."""
    for _ in range(rounds):
        seqs = await asyncio.gather(
            *(store.append(Appending(one.run_id, one.fence, one.after, [EVENT] * 5)) for one in claimed)
        )
        claimed = [one._replace(after=found[-1]) for one, found in zip(claimed, seqs, strict=True)]
    return claimed


async def _pages(store: Store, rounds: int) -> list[Figure]:
    """A page of 100 from the middle of a session, first in a small log, then in a big one with the same sessions in it."""
    claimed = await _interleave(store, [await claim(store) for _ in range(100)], 22)
    target = claimed[50]

    async def page() -> object:
        return await store.execute(reading.events(SCOPE, target.session_id, after=5, limit=100))

    small = await _timed(page)
    others = await _interleave(store, [await claim(store) for _ in range(100)], rounds)
    middle = others[50].after // 2

    async def big_page() -> object:
        return await store.execute(reading.events(SCOPE, others[50].session_id, after=middle, limit=100))

    big = await _timed(big_page)
    rows = 100 * 110 + 500 * rounds
    text = f"{big * 1e6:.0f} us in {rows:,} rows against {small * 1e6:.0f} us in 11,000 rows"
    return [at_most("a page of 100 events, warm, in a big log: times that in a small one", text, big / small, 1.25)]


async def _tail(store: Store, events: int) -> list[Figure]:
    claimed = await fill(store, await claim(store), events)

    async def tail() -> object:
        return await store.execute(reading.events(SCOPE, claimed.session_id, limit=100, newest=True))

    taken = await _timed(tail) * 1000
    begun = time.perf_counter()
    after = 0
    while page := await store.execute(reading.events(SCOPE, claimed.session_id, after=after, limit=1000)):
        after = page[-1].seq
    whole = time.perf_counter() - begun
    return [
        at_most(f"open the tail of a {events:,}-event session, in milliseconds", f"{taken:.2f} ms", taken, 50),
        Figure(f"read all {events:,} events of a session", f"{whole:.2f} s, {whole / events * 1e6:.1f} us an event"),
    ]


async def _lists(store: Store, count: int) -> list[Figure]:
    for start in range(0, count, 1000):
        batch = range(start, min(start + 1000, count))
        await asyncio.gather(
            *(store.execute(sessions.create(SCOPE, Session.new(agent_id="bench", title=f"Session {n}"))) for n in batch)
        )

    async def first_page() -> object:
        return await store.execute(listing.list_sessions(SCOPE, SessionFilter(), limit=50))

    taken = await _timed(first_page) * 1000
    return [at_most(f"the first page of {count:,} sessions, in milliseconds", f"{taken:.2f} ms", taken, 20)]
