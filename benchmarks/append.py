"""How fast is an event durable? Against raw sqlite3 committing groups of the same size."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from pathlib import Path

from benchmarks.harness import Figure, Side, at_least, at_most, folder, interleaved, percentile
from benchmarks.work import BareLog, RawLog, claim, fill, produce_all
from sessionry.store.open import open_store


def measure(quick: bool) -> list[Figure]:
    return [
        *_producers(1, 100 if quick else 400, quick),
        *_producers(100, 20 if quick else 100, quick),
        *([] if quick else _producers(1000, 20, quick)),
        *_growth(quick),
    ]


def _producers(producers: int, each: int, quick: bool) -> list[Figure]:
    """`producers` tasks, each awaiting every append, against plain commits of groups as large as ours came out."""
    latencies: list[float] = []
    groups: list[float] = []
    with folder() as path:
        raw = RawLog(path / "raw.db")
        number = count()

        def ours() -> float:
            seconds, found, commits = asyncio.run(_append(path / f"{next(number)}.db", producers, each))
            latencies.extend(found)
            groups.append(producers * each / commits)
            return producers * each / seconds

        def theirs() -> float:
            size = max(round(groups[-1]), 1)
            events = producers * each
            return events / raw.append(events // size, size)

        def bare() -> float:
            return producers * each / asyncio.run(_append_bare(path / f"{next(number)}.db", producers, each))

        sides = [Side("ours", ours), Side("raw", theirs), Side("bare", bare)]
        speeds = interleaved(sides, 3 if quick else 7)
        raw.close()
    return _compared(producers, speeds, groups, percentile(latencies, 0.99) * 1000)


def _compared(producers: int, speeds: dict[str, float], groups: list[float], p99: float) -> list[Figure]:
    ratio, bare = speeds["ours"] / speeds["raw"], speeds["bare"] / speeds["raw"]
    text = (
        f"{speeds['ours']:,.0f}/s against {speeds['raw']:,.0f}/s raw, p99 {p99:.1f} ms; a bare writer thread {bare:.2f}"
    )
    if producers == 1:
        return [at_most("durable append, one producer: times the raw commit", text, 1 / ratio, 1.5)]
    question = f"durable append, {producers} producers: share of raw sqlite3 in groups of {percentile(groups, 0.5):.0f}"
    if producers == 100:
        tail = at_most("durable append, 100 producers: p99 in milliseconds", f"{p99:.1f} ms", p99, 10)
        return [at_least(question, text, ratio, 0.6), tail]
    return [Figure(question, text, ratio)]


async def _append(path: Path, producers: int, each: int) -> tuple[float, list[float], int]:
    store = await open_store(f"sqlite:///{path}")
    claimed = [await claim(store) for _ in range(producers)]
    commits: list[int] = []
    store.on_commit(lambda touched, _: commits.append(len(touched)))
    seconds, latencies = await produce_all(store, claimed, each)
    await store.close()
    return seconds, latencies, len(commits)


async def _append_bare(path: Path, producers: int, each: int) -> float:
    log = BareLog(path)

    async def produce(session: int) -> None:
        for _ in range(each):
            await log.append(session)

    begun = time.perf_counter()
    await asyncio.gather(*(produce(session) for session in range(producers)))
    seconds = time.perf_counter() - begun
    log.close()
    return seconds


def _growth(quick: bool) -> list[Figure]:
    """The cost of one more event as a session grows."""
    return asyncio.run(_grow(2 if quick else 5))


async def _grow(rounds: int) -> list[Figure]:
    with folder(memory=True) as path:
        store = await open_store(f"sqlite:///{path / 'store.db'}")
        empty = await claim(store)
        full = await fill(store, await claim(store), 10_000)
        small: list[float] = []
        big: list[float] = []
        for _ in range(rounds):
            _, found = await produce_all(store, [await claim(store) if small else empty], 200)
            small += found
            _, found = await produce_all(store, [full], 200)
            big += found
            full = full._replace(after=full.after + 200)
        await store.close()
    ratio = percentile(big, 0.5) / percentile(small, 0.5)
    text = f"{percentile(big, 0.5) * 1e6:.0f} us against {percentile(small, 0.5) * 1e6:.0f} us (tmpfs)"
    return [at_most("append to a session of 10,000 events: times the append to an empty one", text, ratio, 1.2)]
