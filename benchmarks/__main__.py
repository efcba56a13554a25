"""Run the measurements, print them, and write `benchmarks/RESULTS.md`: `python -m benchmarks [NAME ...]`.

`QUICK=1` in the environment measures less of everything and writes nothing.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import append, fanout, processes, reading, recovery, startup, storage
from benchmarks.harness import Figure, at_least

RESULTS = Path(__file__).parent / "RESULTS.md"


def fan_out(quick: bool) -> list[Figure]:
    queue, _, batch = asyncio.run(fanout.measure(20 if quick else 100, 64))
    text = f"{batch * 1000:.0f} ms against {queue * 1000:.0f} ms with a queue for each reader"
    return [
        at_least("fan-out to 100 readers, 64 events a turn: times asyncio.Queue", text, queue / batch, fanout.TARGET)
    ]


MEASUREMENTS: dict[str, Callable[[bool], list[Figure]]] = {
    "append": append.measure,
    "reading": reading.measure,
    "processes": processes.measure,
    "storage": storage.measure,
    "fanout": fan_out,
    "startup": startup.measure,
    "recovery": recovery.measure,
}


def main(names: list[str]) -> None:
    quick = bool(os.environ.get("QUICK"))
    figures: list[Figure] = []
    for name in names or list(MEASUREMENTS):
        for figure in MEASUREMENTS[name](quick):
            figures.append(figure)
            print(line(figure), flush=True)
    if not quick and not names:
        RESULTS.write_text(page(figures), encoding="utf-8")


def line(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:8.2f}"
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
    return f"{figure.question}\n    {ratio:>8} {figure.target:<8} {verdict:<7} {figure.value}"


def page(figures: list[Figure]) -> str:
    rows = [
        f"| {figure.question} | {'' if figure.ratio is None else f'{figure.ratio:.2f}'} | {figure.target} |"
        f" {({True: 'met', False: '**missed**', None: ''})[figure.met]} | {figure.value} |"
        for figure in figures
    ]
    facts = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}."
    )
    return "\n".join(
        [
            "# Results of `make bench`",
            "",
            facts,
            "",
            "Ratios compare things that were measured in turns in the same run. Absolute figures depend on the disk and",
            "on who else uses the machine. Targets bound the ratio, or the value where the question names a unit.",
            "",
            "| question | ratio or value | target | | measured |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
