"""How values and tables look to people. JSON never passes through here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

#: Characters that would move the cursor, colour the screen or turn the direction of what is read.
_UNPRINTABLE = dict.fromkeys(
    (
        *(code for code in range(0x20) if chr(code) not in "\n\t"),
        *range(0x7F, 0xA0),
        *(0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
    ),
    "\ufffd",
)
#: The shortest form of an id in a table: its kind, the moment it was born, and some of its random digits.
SHORT_ID = 20

STATUS_COLOURS: Mapping[str, str] = {
    "active": "cyan",
    "running": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "completed": "green",
    "granted": "green",
    "failed": "red",
    "denied": "red",
    "timeout": "red",
    "lost": "red",
    "cancelled": "magenta",
    "expired": "magenta",
}


def printable(text: str) -> str:
    """The text without what a terminal would obey instead of showing; lines and tabs stay."""
    return text if text.isprintable() else text.translate(_UNPRINTABLE)


def one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) or c in "\u200b\u200d\ufe0f" else 1 + (east_asian_width(c) in "WF") for c in text)


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns, with a mark where something is missing."""
    if cells(text) <= width:
        return text
    kept, room = "", width - 1
    for character in text:
        room -= cells(character)
        if room < 0:
            break
        kept += character
    return kept + "…" if width > 0 else ""


# --- values -----------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    if seconds < 0.995:
        return f"{max(seconds, 0):.2f} s"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, name, small, small_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name} {rest} {small_name}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def age(at: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in one unit; a date when it is more than a month."""
    if at is None:
        return ""
    seconds = int(((now or datetime.now(UTC)) - at).total_seconds())
    if seconds > 30 * 86_400:
        return f"{at.astimezone():%Y-%m-%d}"
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name} ago"
    return f"{seconds} s ago" if seconds > 0 else "now"


def clock(at: datetime) -> str:
    """Where people are: the local day and time."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def tokens(count: int) -> str:
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1000:.1f}k" if count < 1_000_000 else f"{count / 1_000_000:.1f}M"


def money(cost: Decimal | None) -> str:
    if cost is None:
        return ""
    return f"${cost:.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Each id cut to a beginning that none of the others has."""
    known = sorted(set(ids))
    found = {}
    for index, id in enumerate(known):
        neighbours = known[max(index - 1, 0) : index] + known[index + 1 : index + 2]
        shared = max((_shared(id, other) for other in neighbours), default=0)
        found[id] = id[: max(SHORT_ID, shared + 1)]
    return found


def _shared(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


# --- tables -----------------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    """`least`: the columns of a terminal that it may be cut to; None: never. `extra`: may be left out altogether."""

    title: str
    least: int | None = None
    extra: bool = False
    right: bool = False
    look: Callable[[str], Mapping[str, Any]] | None = None


def by_status(text: str) -> Mapping[str, Any]:
    """The colour of a status, for a column of them."""
    colour = STATUS_COLOURS.get(text.split(" ")[0])
    return {"fg": colour} if colour else {}


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    *,
    width: int | None,
    style: Callable[..., str],
) -> Iterator[str]:
    """The lines of a table, its titles first, no wider than `width`. `style(text, **look)` puts the colours in."""
    texts = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max([cells(column.title), *(cells(row[i]) for row in texts)]) for i, column in enumerate(columns)]
    filled = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in texts)]
    shown = _fitted(columns, filled, widths, width)
    yield _line([(columns[i].title, widths[i], columns[i].right, {"bold": True}) for i in shown], style)
    for row in texts:
        looks = {i: look(row[i]) if (look := columns[i].look) else {} for i in shown}
        yield _line([(row[i], widths[i], columns[i].right, looks[i]) for i in shown], style)


def _fitted(columns: Sequence[Column], shown: list[int], widths: list[int], width: int | None) -> list[int]:
    """Which columns are shown; `widths` becomes what each may take. Whole extra columns go before text is cut hard."""

    def excess() -> int:
        return 0 if width is None else sum(widths[i] for i in shown) + 2 * (len(shown) - 1) - width

    def shrink(least: Callable[[int], int]) -> None:
        for i in sorted((i for i in shown if columns[i].least is not None), key=lambda i: -widths[i]):
            widths[i] = max(widths[i] - max(excess(), 0), min(widths[i], least(i)))

    shrink(lambda i: 2 * (columns[i].least or 0))
    while excess() > 0 and (extra := [i for i in shown if columns[i].extra]):
        shown.remove(extra[-1])
    shrink(lambda i: columns[i].least or 0)
    for i in reversed(shown):
        widths[i] = max(widths[i] - max(excess(), 0), 1)
    while excess() > 0 and len(shown) > 1:
        shown.pop()
    return shown


def _line(parts: Sequence[tuple[str, int, bool, Mapping[str, Any]]], style: Callable[..., str]) -> str:
    line, blank = "", ""
    last = max((i for i, part in enumerate(parts) if part[0]), default=0)
    for text, width, right, look in parts[: last + 1]:
        shown = cut(text, width)
        pad = " " * (width - cells(shown))
        line += blank + (pad if right else "") + style(shown, **look)
        blank = "  " if right else f"{pad}  "
    return line
