"""Eight processes on one file: no error, and nobody waits for long."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Figure, at_most, folder
from benchmarks.work import claim, produce_all
from sessionry.store.open import open_store

PROCESSES = 8


def measure(quick: bool) -> list[Figure]:
    with folder() as path:
        file = path / "store.db"
        asyncio.run(_prepare(file))
        command = [sys.executable, "-m", "benchmarks.processes", str(file), "50" if quick else "500"]
        begun = time.perf_counter()
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        answers = [process.communicate()[0] for process in started]
        seconds = time.perf_counter() - begun
        errors = sum(process.returncode != 0 for process in started)
    found = [json.loads(answer) for answer in answers if answer]
    worst = max(one["worst"] for one in found)
    text = f"{sum(one['count'] for one in found) / seconds:,.0f} events/s in all, worst append {worst * 1000:.0f} ms"
    return [
        at_most("8 processes on one file: errors", f"{errors} of {PROCESSES} processes", errors, 0),
        at_most("8 processes on one file: worst append in seconds", text, worst, 0.5),
    ]


async def _prepare(file: Path) -> None:
    await (await open_store(f"sqlite:///{file}")).close()


async def _work(file: str, each: int) -> None:
    store = await open_store(f"sqlite:///{file}")
    claimed = [await claim(store) for _ in range(4)]
    _, latencies = await produce_all(store, claimed, each)
    await store.close()
    print(json.dumps({"count": len(latencies), "worst": max(latencies)}))


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], int(sys.argv[2])))
