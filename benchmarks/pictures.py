"""Answers as SVG: bars and lines, without a library. They follow the reader's choice of light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from benchmarks.answers import Bars, Lines
from benchmarks.harness import number

WIDTH = 760
#: Where lines end: beyond are their names.
PLOT = WIDTH - 280
_STYLE = """<style>
:root { --paper: #ffffff; --ink: #1f2328; --soft: #656d76; --grid: #d8dee4; --ours: #0969da; --other: #a8b3bf;
  --bound: #cf222e; --s0: #0969da; --s1: #bc4c00; --s2: #1a7f37; --s3: #8250df; --s4: #bf3989; --s5: #9a6700;
  --s6: #57606a; --s7: #0f766e }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #8d96a0; --grid: #30363d;
  --ours: #4493f8; --other: #4d5763; --bound: #f85149; --s0: #4493f8; --s1: #f0883e; --s2: #3fb950; --s3: #ab7df8;
  --s4: #f778ba; --s5: #d29922; --s6: #8b949e; --s7: #2dd4bf } }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink) }
.title { font-weight: 600; font-size: 15px } .soft { fill: var(--soft); font-size: 12px } .paper { fill: var(--paper) }
.grid { stroke: var(--grid) } .ours { fill: var(--ours) } .other { fill: var(--other) }
.bound { stroke: var(--bound); stroke-dasharray: 5 4 } .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
</style>"""


def drawn(picture: Bars | Lines) -> str:
    """The picture as a file."""
    height, marks = _bars(picture) if isinstance(picture, Bars) else _lines(picture)
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">'
    paper = f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>'
    title = f"<title>{escape(picture.title)}</title>{_text(20, 28, picture.title, 'title')}"
    return "\n".join([begin, _STYLE, paper, title, *marks, "</svg>", ""])


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


# --- bars -------------------------------------------------------------------------------------------------------------


def _bars(picture: Bars) -> tuple[int, Iterator[str]]:
    return 76 + 28 * len(picture.values), _bar_marks(picture)


def _bar_marks(picture: Bars) -> Iterator[str]:
    left, right = 250, WIDTH - 100
    every = [value for _, value in picture.values] + ([picture.bound] if picture.bound else [])
    most, least = max(every), min(value for value in every if value > 0)

    def width(value: float) -> float:
        if not picture.log:
            return (right - left) * value / most
        floor = math.log10(least) - 0.5
        return (right - left) * max(math.log10(max(value, 1e-12)) - floor, 0) / (math.log10(most) - floor)

    yield _text(20, 48, picture.unit + (", on a scale of powers" if picture.log else ""), "soft")
    for row, (label, value) in enumerate(picture.values):
        y = 62 + 28 * row
        kind = "ours" if label.startswith("Sessionry") else "other"
        yield _text(left - 10, y + 15, label, anchor="end")
        yield f'<rect class="{kind}" x="{left}" y="{y}" width="{max(width(value), 1):.1f}" height="20" rx="3"/>'
        yield _text(left + width(value) + 8, y + 15, number(value), "soft")
    if picture.bound:
        x = left + width(picture.bound)
        yield f'<line class="bound" x1="{x:.1f}" x2="{x:.1f}" y1="56" y2="{64 + 28 * len(picture.values)}"/>'


# --- lines ------------------------------------------------------------------------------------------------------------


def _lines(picture: Lines) -> tuple[int, Iterator[str]]:
    return 380, _line_marks(picture)


class _Scale:
    """From values to places, by powers of ten."""

    def __init__(self, values: list[float], begin: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        return self._begin + (self._end - self._begin) * (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def _line_marks(picture: Lines) -> Iterator[str]:
    points = [point for _, series in picture.series for point in series]
    x = _Scale([point[0] for point in points], 70, PLOT)
    y = _Scale([point[1] for point in points], 320, 70)
    yield _text(20, 50, picture.y, "soft")
    yield _text(PLOT, 362, picture.x, "soft", "end")
    for tick in x.ticks():
        yield f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="70" y2="320"/>'
        yield _text(x(tick), 340, number(tick), "soft", "middle")
    for tick in y.ticks():
        yield f'<line class="grid" x1="70" x2="{PLOT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield _text(62, y(tick) + 4, number(tick), "soft", "end")
    for place, (label, series) in enumerate(picture.series):
        colour = f"var(--s{place % 8})"
        way = " ".join(f"{x(point[0]):.1f},{y(point[1]):.1f}" for point in series)
        yield f'<polyline class="line" style="stroke: {colour}" points="{way}"/>'
        for point in series:
            yield f'<circle cx="{x(point[0]):.1f}" cy="{y(point[1]):.1f}" r="3.5" style="fill: {colour}"/>'
        yield f'<rect x="{PLOT + 20}" y="{74 + 22 * place}" width="12" height="12" rx="3" style="fill: {colour}"/>'
        yield _text(PLOT + 38, 85 + 22 * place, label, "soft")
