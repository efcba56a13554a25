"""Pages of the documentation as programs: their blocks, and whether what they show is what comes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

#: What differs from one time to the next, and what stands for it in a comparison.
_VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? (s|min|h)( ago)?(?!\w)|\bnow\b"), "<time>"),
    (re.compile(r"\bprocess \d+"), "process <pid>"),
    (re.compile(r"\b[\d,]+ tokens( · \$[\d.]+)?"), "<usage>"),
]
_ID = re.compile(r"\b(?:ses|run|apr|wrk|evt)_[0-9a-f]{8,32}\b")


class Block(NamedTuple):
    """A fenced block, and the text block right after it: what it prints."""

    page: str
    line: int
    language: str
    code: str
    prints: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, language: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    fence = re.compile(r"^```(\w+)\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
    found = [
        Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2], match[3])
        for match in fence.finditer(text)
    ]
    return [block for block in found if block.language == language]


class Shown(NamedTuple):
    """A command of a console block and what the page shows of its output."""

    words: str
    output: list[str]


def commands(block: Block) -> Iterator[Shown]:
    words, output = "", list[str]()
    for line in block.code.splitlines():
        if line.startswith("$ "):
            if words:
                yield Shown(words, output)
            words, output = line.removeprefix("$ "), []
        else:
            output.append(line)
    if words:
        yield Shown(words, output)


class Ids:
    """The ids of a page, and those which a run of its commands really got, in the order in which they appear."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def real(self, text: str) -> str:
        """The text with the real ids."""
        return _ID.sub(lambda match: self._known(match[0]) or match[0], text)

    def agree(self, shown: list[str], real: list[str]) -> bool:
        """Whether the output is what the page shows, but for ids, times and blanks; `...` stands for any lines."""
        bound = dict(self._real)
        if not self._match([line for line in shown if line.strip()], [line for line in real if line.strip()]):
            self._real = bound
            return False
        return True

    def _match(self, shown: list[str], real: list[str]) -> bool:
        if not shown:
            return not real
        if shown[0].strip() == "...":
            return any(self._match(shown[1:], real[start:]) for start in range(len(real) + 1))
        return bool(real) and self._same(shown[0], real[0]) and self._match(shown[1:], real[1:])

    def _same(self, shown: str, real: str) -> bool:
        if _normal(shown) != _normal(real):
            return False
        pairs = zip(_ID.findall(shown), _ID.findall(real), strict=True)
        return all(self._bind(each, other) for each, other in pairs)

    def _bind(self, shown: str, real: str) -> bool:
        known = self._known(shown)
        if known is not None:
            return known.startswith(real) or real.startswith(known)
        self._real[shown] = real
        return True

    def _known(self, shown: str) -> str | None:
        """The real id for one of the page, which may show it longer or shorter elsewhere."""
        for each, real in self._real.items():
            if each.startswith(shown) or shown.startswith(each):
                return real[: len(shown)]
        return None


def _normal(line: str) -> str:
    for pattern, name in _VARYING:
        line = pattern.sub(name, line)
    return " ".join(_ID.sub(lambda match: match[0][:3], line).split())
