"""Eight processes on one file: no error, and nobody waits for long."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.answers import Answer, Bars, at_most, told
from benchmarks.harness import ROOT, Effort, folder, percentile
from benchmarks.work import claim, produce_all
from sessionry.store.open import open_store

PROCESSES = 8

_READING = (
    "Eight processes with four producers each append to one file at the same time, each event awaited until it is"
    " durable. SQLite lets one process write at a time; what is measured is whether the others get their turn."
)


def measure(effort: Effort) -> Answer:
    with folder() as path:
        file = path / "store.db"
        asyncio.run(_prepare(file))
        command = [sys.executable, "-m", "benchmarks.processes", str(file), str(effort.of(500, 50))]
        begun = time.perf_counter()
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(PROCESSES)]
        answers = [process.communicate()[0] for process in started]
        seconds = time.perf_counter() - begun
        errors = sum(process.returncode != 0 for process in started)
    found = [json.loads(answer) for answer in answers if answer]
    waits = [wait for one in found for wait in one["latencies"]]
    worst, middle, p99 = max(waits), percentile(waits, 0.5), percentile(waits, 0.99)
    figures = [
        at_most("8 processes on one file: errors", errors, 0, f"{errors} of {PROCESSES} processes"),
        at_most("8 processes on one file: worst append in seconds", worst, 0.5, f"{worst * 1000:.0f} ms"),
        told("8 processes on one file: events a second in all", f"{len(waits):,} events", len(waits) / seconds),
    ]
    bars = [("Sessionry, median", middle * 1e3), ("Sessionry, p99", p99 * 1e3), ("Sessionry, worst", worst * 1e3)]
    picture = Bars("processes", "An append among eight processes", "milliseconds; less is better", bars, bound=500)
    return Answer("Many processes, one file", _READING, figures, [picture])


async def _prepare(file: Path) -> None:
    await (await open_store(f"sqlite:///{file}")).close()


async def _work(file: str, each: int) -> None:
    store = await open_store(f"sqlite:///{file}")
    claimed = [await claim(store) for _ in range(4)]
    _, latencies = await produce_all(store, claimed, each)
    await store.close()
    print(json.dumps({"latencies": latencies}))


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], int(sys.argv[2])))
