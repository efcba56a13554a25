"""How soon after a kill -9 does the work go on, with one, a thousand and a hundred thousand open sessions?"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import sessionry
from benchmarks.answers import Answer, Bars, Figure, at_most, told
from benchmarks.counting import AGENT, AGENTS, at_work, kill, start, until
from benchmarks.harness import Effort, Spread, folder, spread
from benchmarks.listing import make
from sessionry.store.open import open_store

#: Runs that are at work when the worker dies: one for each session, up to so many.
MOST_AT_WORK = 1000

_READING = (
    "A worker is killed while its agents work, and the store is opened again by a process that knows the same"
    " agent. *The next attempt* is the time from opening to the first attempt that begins again; *all taken over*"
    " until the log says of each run of the dead worker what became of it. Open sessions are those that have not"
    " ended; up to a thousand of them were at work."
)


class Times(NamedTuple):
    """Seconds from opening the store."""

    next_attempt: float
    all_over: float


def measure(effort: Effort) -> Answer:
    cases = {1: effort.of(5, 2), 1_000: effort.of(2, 1), effort.of(100_000, 2_000): 1}
    found = {count: [asyncio.run(_recover(count)) for _ in range(rounds)] for count, rounds in cases.items()}
    figures = [figure for count, times in found.items() for figure in _figures(count, times)]
    bars = [
        (f"Sessionry, {count:,} open: {what}", place * 1000)
        for count, times in found.items()
        for what, place in (("next attempt", _next(times).median), ("all taken over", _all(times).median))
    ]
    picture = Bars(
        "recovery", "After a kill -9, from opening the store", "milliseconds; less is better", bars, log=True
    )
    return Answer("After kill -9, on SQLite", _READING, figures, [picture])


def _next(times: Sequence[Times]) -> Spread:
    return spread([one.next_attempt for one in times])


def _all(times: Sequence[Times]) -> Spread:
    return spread([one.all_over for one in times])


def _figures(count: int, times: Sequence[Times]) -> list[Figure]:
    question = f"open sessions: {count:,}, at work: {min(count, MOST_AT_WORK):,}; seconds to "
    first, last = _next(times), _all(times)
    attempt = at_most(question + "the next attempt", first.high, 1.0, f"{first} s; the worst counts")
    return [attempt] if count == 1 else [attempt, told(question + "all taken over", f"{last} s", last.median)]


async def _recover(count: int) -> Times:
    working = min(count, MOST_AT_WORK)
    with folder() as path:
        file = path / "store.db"
        url = f"sqlite:///{file}"
        await _idle(url, count - working)
        async with sessionry.open(url, worker=False) as sessions:
            worker = start(url, working)
            await until(sessions.workers)
            runs = [await (await sessions.create(AGENT)).run("x") for _ in range(working)]
            await asyncio.gather(*(at_work(run) for run in (runs[0], runs[-1])))
            await until(lambda: _count(file, "status = 'running'", working))
            kill(worker)
        begun = time.perf_counter()
        async with sessionry.open(url, agents=AGENTS, slots=8, grace=0):
            await until(lambda: _count(file, "attempt > 1", 1))
            first = time.perf_counter() - begun
            await until(lambda: _count(file, "attempt = 1 and status = 'running'", 0))
            return Times(first, time.perf_counter() - begun)


async def _idle(url: str, count: int) -> None:
    store = await open_store(url)
    await make(store, count)
    await store.close()


async def _count(file: Path, condition: str, wanted: int) -> bool:
    """Whether as many runs are so: at least as many, none when none is wanted."""
    connection = sqlite3.connect(file)
    found: int = connection.execute(f"select count(*) from sessionry_run where {condition}").fetchone()[0]
    connection.close()
    return found >= wanted if wanted else found == 0
