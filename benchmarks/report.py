"""`RESULTS.md` and its pictures: written by a run, never by hand."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.answers import Answer, Figure
from benchmarks.harness import number
from benchmarks.pictures import drawn

RESULTS = Path(__file__).parent / "RESULTS.md"
PICTURES = Path(__file__).parent / "plots"

_INTRODUCTION = """# Results of `make bench`

{facts}

Ratios compare things that were measured in turns in the same run. Absolute figures depend on the disk, and on who else uses
the machine. A figure is the median of its rounds, with the lowest and the highest in brackets where that says something.
Targets bound the value. "Raw sqlite3" is one table with one index, plain inserts and commits, nothing else.
"""


def write(answers: Sequence[Answer]) -> None:
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for answer in answers:
        for picture in answer.pictures:
            (PICTURES / f"{picture.name}.svg").write_text(drawn(picture), encoding="utf-8")
    RESULTS.write_text(page(answers), encoding="utf-8")


def page(answers: Sequence[Answer]) -> str:
    """The whole of `RESULTS.md`."""
    return "\n".join(_page(answers))


def line(figure: Figure) -> str:
    """A figure as it is printed while the others are still measured."""
    value = "" if figure.value is None else number(figure.value)
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
    return f"{figure.question}\n    {value:>9} {figure.target:<8} {verdict:<7} {figure.measured}"


def _page(answers: Sequence[Answer]) -> Iterator[str]:
    yield _INTRODUCTION.format(facts=_facts())
    yield "## Targets\n"
    yield from _table([figure for answer in answers for figure in answer.figures if figure.target])
    for answer in answers:
        yield f"\n## {answer.title}\n\n{answer.reading}\n"
        yield from _table(answer.figures)
        for picture in answer.pictures:
            yield f"\n![{picture.title}](plots/{picture.name}.svg)"
        for note in answer.notes:
            yield f"\n{note}"
    yield ""


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    yield "| question | value | target | | measured |"
    yield "|---|---|---|---|---|"
    for figure in figures:
        value = "" if figure.value is None else number(figure.value)
        verdict = {True: "met", False: "**missed**", None: ""}[figure.met]
        yield f"| {figure.question} | {value} | {figure.target} | {verdict} | {figure.measured} |"


def _facts() -> str:
    facts: Mapping[str, str] = {
        "Sessionry": version("sessionry"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "msgspec": version("msgspec"),
    }
    versions = ", ".join(f"{name} {of}" for name, of in facts.items())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {platform.system()} {platform.machine()}"
    return f"{datetime.now(UTC):%Y-%m-%d}: {machine}.\n{versions}."


def _processor() -> str:
    """What Linux says of it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
