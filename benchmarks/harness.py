"""What every measurement shares: interleaved rounds, medians, and ratios of things measured in the same run.

A machine's disk changes its mind by the minute, so an absolute figure means little and a ratio is only honest when both
sides were measured next to each other. Each side gets its turn in every round.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

#: An event as agents write it: 308 bytes of JSON.
TEXT = "x" * 297


class Figure(NamedTuple):
    """One line of the results. `target` is a bound on `ratio` or `value`, as the design sets it; "" where it sets none."""

    question: str
    value: str
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


class Side(NamedTuple):
    """One of the things that are compared; `work` returns what is compared, say events a second."""

    name: str
    work: Callable[[], float]


def interleaved(sides: Sequence[Side], rounds: int) -> dict[str, float]:
    """The median of each side over `rounds` rounds, every side in every round."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            found[side.name].append(side.work())
    return {name: statistics.median(values) for name, values in found.items()}


def at_least(question: str, value: str, ratio: float, bound: float) -> Figure:
    return Figure(question, value, ratio, f">= {bound:g}", ratio >= bound)


def at_most(question: str, value: str, ratio: float, bound: float) -> Figure:
    return Figure(question, value, ratio, f"<= {bound:g}", ratio <= bound)


@contextmanager
def folder(*, memory: bool = False) -> Iterator[Path]:
    """An empty folder, on the disk of the project or, with `memory`, on tmpfs where there is one."""
    parent = "/dev/shm" if memory and Path("/dev/shm").is_dir() else None
    path = Path(tempfile.mkdtemp(prefix="sessionry-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}/s"
