"""How fast is an event durable? Against raw sqlite3 committing groups of the same size."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.harness import Figure, Side, at_least, at_most, folder, interleaved, percentile
from benchmarks.work import RawLog, claim, fill, produce_all
from sessionry.store.open import open_store


def measure(quick: bool) -> list[Figure]:
    return [
        *_producers(1, 100 if quick else 400, quick),
        *_producers(100, 20 if quick else 100, quick),
        *([] if quick else _producers(1000, 20, quick)),
        *_growth(quick),
    ]


def _producers(producers: int, each: int, quick: bool) -> list[Figure]:
    """`producers` tasks, each awaiting every append, against commits of `producers` events."""
    latencies: list[float] = []
    with folder() as path:
        raw = RawLog(path / "raw.db")
        number = iter(range(1000))

        def ours() -> float:
            seconds, found = asyncio.run(_append(path / f"{next(number)}.db", producers, each))
            latencies.extend(found)
            return producers * each / seconds

        def theirs() -> float:
            return producers * each / raw.append(each, producers)

        speeds = interleaved([Side("raw", theirs), Side("ours", ours)], 3 if quick else 7)
        raw.close()
    ratio = speeds["ours"] / speeds["raw"]
    p99 = percentile(latencies, 0.99) * 1000
    text = f"{speeds['ours']:,.0f}/s against {speeds['raw']:,.0f}/s raw, p99 {p99:.1f} ms"
    question = f"durable append, {producers} producers, FULL: share of raw sqlite3 in groups of {producers}"
    if producers == 1:
        return [at_most("durable append, one producer: times the raw commit", text, 1 / ratio, 1.5)]
    if producers == 100:
        tail = at_most("durable append, 100 producers: p99 in milliseconds", f"{p99:.1f} ms", p99, 10)
        return [at_least(question, text, ratio, 0.6), tail]
    return [Figure(question, text, ratio)]


async def _append(path: Path, producers: int, each: int) -> tuple[float, list[float]]:
    store = await open_store(f"sqlite:///{path}")
    claimed = [await claim(store) for _ in range(producers)]
    found = await produce_all(store, claimed, each)
    await store.close()
    return found


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
