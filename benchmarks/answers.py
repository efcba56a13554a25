"""What a question is answered with: figures, pictures, and words that are kept next to the measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the results. `target` bounds `value`; "" where the design sets none, and `met` is None then."""

    question: str
    value: float | None
    measured: str
    target: str = ""
    met: bool | None = None


def at_least(question: str, value: float, bound: float, measured: str) -> Figure:
    return Figure(question, value, measured, f">= {bound:g}", value >= bound)


def at_most(question: str, value: float, bound: float, measured: str) -> Figure:
    return Figure(question, value, measured, f"<= {bound:g}", value <= bound)


def told(question: str, measured: str, value: float | None = None) -> Figure:
    """A figure without a target."""
    return Figure(question, value, measured)


class Bars(NamedTuple):
    """A picture of values side by side. `bound`: a line that they should reach, or not pass."""

    name: str
    title: str
    unit: str
    values: Sequence[tuple[str, float]]
    log: bool = False
    bound: float | None = None


class Lines(NamedTuple):
    """A picture of how values grow with something, both on a scale of powers."""

    name: str
    title: str
    x: str
    y: str
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]]


class Answer(NamedTuple):
    """What one question gave. `reading` says how to read it; `because` what stands in the way where a target is missed."""

    title: str
    reading: str
    figures: Sequence[Figure]
    pictures: Sequence[Bars | Lines] = ()
    notes: Sequence[str] = ()
