"""How soon does a cancel reach an agent that works in another process?"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import sessionry
from benchmarks.answers import Answer, Bars, at_most
from benchmarks.counting import AGENT, at_work, start, until
from benchmarks.harness import Effort, Spread, folder, spread
from benchmarks.servers import postgres

_READING = (
    "A run is at work in one process and is cancelled from another one. The time is from the cancel to the run's"
    " result in the process that cancelled: the word has gone to the worker, the agent was stopped, the log says so,"
    " and word of that came back."
)


def measure(effort: Effort) -> Answer:
    rounds = effort.of(15, 3)
    found: dict[str, Spread] = {}
    with ExitStack() as stack:
        found["SQLite"] = asyncio.run(_cancel(f"sqlite:///{stack.enter_context(folder()) / 'store.db'}", rounds))
        found["PostgreSQL"] = asyncio.run(_cancel(stack.enter_context(postgres()), rounds))
    figures = [
        at_most(f"{name}: seconds until the cancelled run has ended", one.high, 0.5, f"{one} s; the worst counts")
        for name, one in found.items()
    ]
    bars = [
        (f"Sessionry, {name}, {what}", seconds * 1000)
        for name, one in found.items()
        for what, seconds in (("median", one.median), ("worst", one.high))
    ]
    picture = Bars("cancelling", "From a cancel to the end of the run", "milliseconds; less is better", bars, bound=500)
    return Answer("Cancelling in another process", _READING, figures, [picture])


async def _cancel(url: str, rounds: int) -> Spread:
    taken = []
    async with sessionry.open(url, worker=False) as sessions:
        worker = start(url)
        await until(sessions.workers)
        session = await sessions.create(AGENT)
        for _ in range(rounds):
            run = await session.run("x")
            await at_work(run)
            begun = time.perf_counter()
            await run.cancel()
            await run.result()
            taken.append(time.perf_counter() - begun)
    worker.terminate()
    worker.wait()
    return spread(taken)
