"""A worker in a process of its own whose agent says that it is at work and then waits: for those who kill and cancel it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import sessionry
from benchmarks.harness import ROOT
from sessionry import events as ev
from sessionry.agents.function import FunctionAgent

AGENT = "waits"


async def waits(context: sessionry.AgentContext) -> AsyncIterator[ev.EventData]:
    yield ev.CustomRecorded(name="at_work", value=context.run.attempt)
    await asyncio.Event().wait()


AGENTS = {AGENT: FunctionAgent(AGENT, waits, takeover=sessionry.Takeover.RESTART)}


def start(url: str, slots: int = 8) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.counting", url, str(slots)], cwd=ROOT)


def kill(worker: subprocess.Popen[bytes]) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()


async def at_work(run: sessionry.RunHandle) -> None:
    """Until the agent has said so."""
    async for event in run.events():
        if event.type == ev.CustomRecorded.type:
            return


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  what is waited for is in another process
            await asyncio.sleep(0.002)


async def _work(url: str, slots: int) -> None:
    async with sessionry.open(url, agents=AGENTS, slots=slots):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], int(sys.argv[2])))
