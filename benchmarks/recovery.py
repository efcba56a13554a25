"""How soon after a kill -9 is a run taken over, and how soon does a cancel reach an agent in another process?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import sessionry
from benchmarks.harness import Figure, at_most, folder, percentile
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev

AGENT = "counts"


async def counts(context: sessionry.AgentContext) -> AsyncIterator[Any]:
    for number in range(1_000_000):
        yield ev.CustomRecorded(name="n", value=number)
        await asyncio.sleep(0.01)


AGENTS = {AGENT: FunctionAgent(AGENT, counts, takeover=sessionry.Takeover.RESTART)}


def measure(quick: bool) -> list[Figure]:
    return [asyncio.run(_takeover(2 if quick else 5)), asyncio.run(_cancel(3 if quick else 15))]


def _start(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.recovery", url])


async def _first_event(run: sessionry.RunHandle) -> None:
    async for event in run.events():
        if event.type == ev.CustomRecorded.type:
            return


async def _until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110  what is waited for is in another process
            await asyncio.sleep(0.002)


async def _attempt(run: sessionry.RunHandle, number: int) -> bool:
    return (await run.get()).attempt == number


async def _takeover(rounds: int) -> Figure:
    taken = []
    for _ in range(rounds):
        with folder() as path:
            url = f"sqlite:///{path / 'store.db'}"
            async with sessionry.open(url, worker=False) as sessions:
                worker = _start(url)
                await _until(sessions.workers)
                run = await (await sessions.create(AGENT)).run("x")
                await _first_event(run)
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
            begun = time.perf_counter()
            async with sessionry.open(url, agents=AGENTS, grace=0) as sessions:
                again = sessions.run(run.id)
                await _until(lambda: _attempt(again, 2))  # noqa: B023  awaited before the next round
                taken.append(time.perf_counter() - begun)
                await sessions.run(run.id).cancel()
    worst = max(taken)
    text = f"median {percentile(taken, 0.5) * 1000:.0f} ms, worst {worst * 1000:.0f} ms"
    return at_most("kill -9 of a worker, SQLite: seconds from opening the store to the next attempt", text, worst, 1.0)


async def _cancel(rounds: int) -> Figure:
    taken = []
    with folder() as path:
        url = f"sqlite:///{path / 'store.db'}"
        async with sessionry.open(url, worker=False) as sessions:
            worker = _start(url)
            await _until(sessions.workers)
            session = await sessions.create(AGENT)
            for _ in range(rounds):
                run = await session.run("x")
                await _first_event(run)
                begun = time.perf_counter()
                await run.cancel()
                await run.result()
                taken.append(time.perf_counter() - begun)
        worker.terminate()
        worker.wait()
    worst = max(taken)
    text = f"median {percentile(taken, 0.5) * 1000:.0f} ms, worst {worst * 1000:.0f} ms"
    return at_most("cancel of a run in another process: seconds until it has ended", text, worst, 0.5)


async def _work(url: str) -> None:
    async with sessionry.open(url, agents=AGENTS):
        await asyncio.Event().wait()


if __name__ == "__main__":
    Path(sys.argv[1].removeprefix("sqlite:///")).parent.mkdir(exist_ok=True)
    asyncio.run(_work(sys.argv[1]))
