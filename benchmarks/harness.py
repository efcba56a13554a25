"""What every measurement shares: interleaved rounds, medians with their spread, ratios of things measured in one run.

A machine's disk changes its mind by the minute, so an absolute figure means little and a ratio is only honest when both
sides were measured next to each other. Each side gets its turn in every round.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

#: An event as agents write it: 308 bytes of JSON.
TEXT = "x" * 297
ROOT = Path(__file__).parent.parent


class Effort(NamedTuple):
    """How much is measured. `peers`: other libraries too, which are installed when they are first needed."""

    quick: bool
    peers: bool

    def of(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole


class Spread(NamedTuple):
    """The median of some rounds, the worst and the best."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)})"


class Side(NamedTuple):
    """One of the things that are compared; `work` returns what is compared, say events a second."""

    name: str
    work: Callable[[], float]


def interleaved(sides: Sequence[Side], rounds: int, seconds: float = 60) -> dict[str, Spread]:
    """Every side in every round, A B A B; no new round after so many seconds, but two at least."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    begun = time.monotonic()
    for done in range(rounds):
        if done >= 2 and time.monotonic() - begun > seconds:
            break
        for side in sides:
            found[side.name].append(side.work())
    return {name: spread(values) for name, values in found.items()}


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


@contextmanager
def folder(*, memory: bool = False) -> Iterator[Path]:
    """An empty folder, on the disk of the temporary files or, with `memory`, on tmpfs where there is one."""
    parent = "/dev/shm" if memory and os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="sessionry-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts meanwhile, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def size_of(path: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def number(value: float) -> str:
    """Three digits that count: 0.0123, 1.23, 12.3, 123, 12,300."""
    if value == 0:
        return "0"
    for bound, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if abs(value) >= bound:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"
