"""How long from an append to a subscriber in another process?"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack

import sessionry
from benchmarks.answers import Answer, Bars, Figure, told
from benchmarks.harness import ROOT, Effort, folder, percentile
from benchmarks.servers import postgres
from sessionry import events as ev

_READING = (
    "One process emits an event every few milliseconds, with the time in it; another one follows the session and"
    " compares the time at which the event comes out of `events(follow=True)`. The clock is the same one for both."
    " On SQLite a reader asks the file whether others have committed; PostgreSQL tells by NOTIFY."
)


def measure(effort: Effort) -> Answer:
    count = effort.of(300, 60)
    found: dict[str, Sequence[float]] = {}
    with ExitStack() as stack:
        found["SQLite"] = asyncio.run(_follow(f"sqlite:///{stack.enter_context(folder()) / 'store.db'}", count))
        found["PostgreSQL"] = asyncio.run(_follow(stack.enter_context(postgres()), count))
    return Answer("From one process to another", _READING, [_figure(*one) for one in found.items()], [_picture(found)])


def _figure(name: str, waits: Sequence[float]) -> Figure:
    middle, p99 = percentile(waits, 0.5) * 1000, percentile(waits, 0.99) * 1000
    return told(
        f"{name}: milliseconds from an append to its reader", f"median of {len(waits)}, p99 {p99:.1f} ms", middle
    )


def _picture(found: Mapping[str, Sequence[float]]) -> Bars:
    bars = [
        (f"Sessionry, {name}, {what}", percentile(waits, share) * 1000)
        for name, waits in found.items()
        for what, share in (("median", 0.5), ("p99", 0.99))
    ]
    return Bars("latency", "From an append to a reader in another process", "milliseconds; less is better", bars)


async def _follow(url: str, count: int) -> list[float]:
    async with sessionry.open(url, worker=False) as sessions:
        command = [sys.executable, "-m", "benchmarks.latency", url, str(count)]
        worker = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
        assert worker.stdout is not None
        session = sessions.session(json.loads(await worker.stdout.readline()))
        waits = []
        async with asyncio.timeout(60):
            async for event in session.events(follow=True, types=ev.CustomRecorded.type):
                assert isinstance(event.data, ev.CustomRecorded)
                waits.append((time.monotonic_ns() - int(str(event.data.value))) / 1e9)
                if len(waits) == count:
                    break
        worker.terminate()
        await worker.wait()
    return waits[count // 10 :]  # the first ones are read as history


async def _emit(url: str, count: int) -> None:
    async def emits(context: sessionry.AgentContext) -> AsyncIterator[object]:
        await asyncio.sleep(1)  # until the reader follows
        for _ in range(count):
            await context.emit(ev.CustomRecorded(name="sent", value=str(time.monotonic_ns())))
            await asyncio.sleep(0.007)
        yield "done"

    async with sessionry.open(url, agents={"emits": emits}) as sessions:
        session = await sessions.create("emits")
        await session.run("go")
        print(json.dumps(session.id), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_emit(sys.argv[1], int(sys.argv[2])))
