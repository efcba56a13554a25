"""How long does a list of sessions take: the first page, a page in the middle, all of them?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.answers import Answer, Bars, Figure, at_most, told
from benchmarks.harness import Effort, folder, number, percentile
from benchmarks.peers import RAW, SESSIONRY_STORE, PeerFailed, measured, script
from benchmarks.work import SCOPE
from sessionry.domain.queries import SessionFilter
from sessionry.domain.session import Session
from sessionry.ports import Store
from sessionry.store.open import open_store
from sessionry.store.operations import listing, sessions

_READING = (
    "A page is 50 sessions, the last changed first, as `sessionry ls` and the dashboard ask for it. A later page"
    " begins where the one before ended, so it costs no more than the first: nothing is counted off. The libraries list"
    " all of their sessions, each of one item, in their own way, on tmpfs: the best of three times."
)
_NOTES = (
    "Plain sqlite3 gives three numbers for each session. Ours come with title, state, agent, tokens, cost, what runs and"
    " what waits for a person, a thousand in a query, counted when they are written rather than when they are listed.",
)


def measure(effort: Effort) -> Answer:
    counts = [1_000, 5_000] if effort.quick else [5_000, 100_000]
    with folder() as path:
        found = {count: asyncio.run(_list(path / f"{count}.db", count)) for count in counts}
    figures = [figure for count, times in found.items() for figure in _figures(count, *times)]
    bars = [
        (f"Sessionry, {count:,}: {what}", seconds * 1000)
        for count, (first, later, _) in found.items()
        for what, seconds in (("first page", first), ("the tenth", later))
    ]
    others, of_others = _others(effort)
    pictures = [
        Bars("listing", "A page of 50 sessions", "milliseconds; less is better", bars),
        Bars("listing-peers", "A list of all sessions", "milliseconds; less is better", of_others, log=True),
    ]
    return Answer("Lists of sessions", _READING, [*figures, *others], pictures, _NOTES)


def _others(effort: Effort) -> tuple[list[Figure], list[tuple[str, float]]]:
    """How long the libraries take for theirs."""
    count = effort.of(1_000, 100)
    kinds, missing = measured(effort)
    figures = [told(f"list {count:,} sessions: {kind.label}", f"not measured: {why}") for kind, why in missing.items()]
    bars = []
    for kind in (SESSIONRY_STORE, RAW, *kinds):
        try:
            with folder(memory=True) as path, script(kind, str(path), count) as opened:
                opened.ask("begin", sessions=count)
                found = [opened.ask("sessions") for _ in range(3)]
        except PeerFailed as error:
            figures.append(told(f"list {count:,} sessions: {kind.label}", f"not measured: {error}"))
            continue
        assert {answer["sessions"] for answer in found} == {count}, f"{kind.label}: {found}"
        taken = min(answer["seconds"] for answer in found) * 1000
        bars.append((kind.label, taken))
        figures.append(told(f"list {count:,} sessions: {kind.label}", f"{number(taken)} ms", taken))
    return figures, sorted(bars, key=lambda bar: bar[1])


def _figures(count: int, first: float, later: float, every: float) -> Sequence[Figure]:
    page = f"the first page of {count:,} sessions, in milliseconds"
    text = f"{first * 1000:.2f} ms, the tenth {later * 1000:.2f} ms"
    return [
        at_most(page, first * 1000, 20, text) if count >= 100_000 else told(page, text, first * 1000),
        told(f"all {count:,} sessions, in pages of 1,000", f"{every:.2f} s, {every / count * 1e6:.0f} us a session"),
    ]


async def _list(file: Path, count: int) -> tuple[float, float, float]:
    store = await open_store(f"sqlite:///{file}?synchronous=normal")
    await make(store, count)
    firsts, laters = [], []
    for _ in range(30):
        begun = time.perf_counter()
        page = await store.execute(listing.list_sessions(SCOPE, SessionFilter(), limit=50))
        firsts.append(time.perf_counter() - begun)
        for _ in range(8):
            page = await store.execute(listing.list_sessions(SCOPE, SessionFilter(), limit=50, cursor=page.cursor))
        begun = time.perf_counter()
        await store.execute(listing.list_sessions(SCOPE, SessionFilter(), limit=50, cursor=page.cursor))
        laters.append(time.perf_counter() - begun)
    begun, seen, cursor = time.perf_counter(), 0, None
    while seen < count:
        page = await store.execute(listing.list_sessions(SCOPE, SessionFilter(), limit=1000, cursor=cursor))
        seen, cursor = seen + len(page.items), page.cursor
    every = time.perf_counter() - begun
    await store.close()
    return percentile(firsts, 0.5), percentile(laters, 0.5), every


async def make(store: Store, count: int) -> None:
    """So many sessions, a thousand at once."""
    for start in range(0, count, 1000):
        titles = [f"Session {number}" for number in range(start, min(start + 1000, count))]
        await asyncio.gather(
            *(store.execute(sessions.create(SCOPE, Session.new(agent_id="bench", title=title))) for title in titles)
        )
