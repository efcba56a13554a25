"""How soon is the run of a killed worker taken over by another one, on PostgreSQL, where nobody can see that it died?"""

from __future__ import annotations

import asyncio
import time

import sessionry
from benchmarks.answers import Answer, Bars, at_most
from benchmarks.counting import AGENT, AGENTS, at_work, kill, start, until
from benchmarks.harness import Effort, spread
from benchmarks.servers import postgres
from sessionry.settings import load_settings

_READING = (
    "Two workers share a PostgreSQL database, as on two machines; one is killed with a run at work. Its lease has"
    " to run out, then the other one takes the run over. The time is from the kill to the next attempt."
)


def measure(effort: Effort) -> Answer:
    lease = load_settings().lease
    taken = spread([asyncio.run(_take_over()) for _ in range(effort.of(2, 1))])
    figure = at_most(
        f"seconds from a kill -9 to the next attempt, with a lease of {lease:g} s", taken.high, lease + 2, f"{taken} s"
    )
    bars = [("the lease", lease), ("Sessionry, taken over", taken.high)]
    picture = Bars("takeover", "A run taken over on PostgreSQL", "seconds; less is better", bars, bound=lease + 2)
    return Answer("Takeover on PostgreSQL", _READING, [figure], [picture])


async def _take_over() -> float:
    with postgres() as url:
        async with sessionry.open(url, worker=False) as sessions:
            worker = start(url)
            await until(sessions.workers)
            run = await (await sessions.create(AGENT)).run("x")
            await at_work(run)
            async with sessionry.open(url, agents=AGENTS, grace=0):
                kill(worker)
                begun = time.perf_counter()
                await until(lambda: _attempt(run, 2))
                return time.perf_counter() - begun


async def _attempt(run: sessionry.RunHandle, number: int) -> bool:
    return (await run.get()).attempt == number
