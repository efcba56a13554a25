"""What does one more event cost as a session grows? And how long does it take to read it whole?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.answers import Answer, Figure, Lines, at_least, at_most, told
from benchmarks.harness import Effort, folder, number, size_of
from benchmarks.peers import ADK, OPENAI, RAW, SESSIONRY, Kind, PeerFailed, measured, script

#: Seconds for which a library may grow, about: one that has taken an eighth of them has no larger sizes.
_PATIENCE = 40
#: Of an item's text, with the field that it is in.
BYTES = 308

_READING = (
    "One session of each library grows on tmpfs, where the disk costs nothing, and at each size 30 more items are"
    " written one after the other, each awaited. The line is flat where an append touches only the end of the log."
    " *Loading* reads the whole session as an agent that goes on with it would; *stored* is the size of all its"
    " files when it was closed."
)
_NOTES = (
    "langgraph keeps the whole state in each checkpoint, so each is as large as the session, and the file grows"
    " with its square (here all but the measured checkpoints are left out of it). The others append in constant"
    " time.",
    "Plain sqlite3 loads a session several times faster, and openai-agents a small one: they give back the JSON"
    " that was put in, Sessionry typed events with time, actor and position, read page by page in another thread so"
    " that the loop goes on.",
)


class Grown:
    """What became of one library's session."""

    def __init__(self) -> None:
        self.append: dict[int, float] = {}
        self.load: dict[int, float] = {}
        self.stored: float | None = None
        self.why = ""


def measure(effort: Effort) -> Answer:
    sizes = [100, 1_000] if effort.quick else [100, 1_000, 10_000, 100_000]
    kinds, missing = measured(effort)
    grown = {kind: _grow(kind, sizes) for kind in (SESSIONRY, RAW, *kinds)}
    figures = [
        *_targets(grown, sizes),
        *_told(grown),
        *(told(kind.label, f"not measured: {why}") for kind, why in missing.items()),
    ]
    return Answer(
        "A session that grows", _READING, figures, [_picture("append", grown), _picture("load", grown)], _NOTES
    )


def _grow(kind: Kind, sizes: Sequence[int]) -> Grown:
    grown, items = Grown(), 0
    with folder(memory=True) as path:
        try:
            with script(kind, str(path), 1) as opened:
                begun = time.monotonic()
                for size in sizes:
                    grown.append[size] = opened.ask("grow", session=0, to=size, sample=30)["seconds"]
                    loads = [opened.ask("load", session=0) for _ in range(3)]
                    grown.load[size], items = min(load["seconds"] for load in loads), loads[0]["items"]
                    if size < sizes[-1] and time.monotonic() - begun > _PATIENCE / 8:  # ten times as many come next
                        grown.why = "growing further takes too long"
                        break
        except PeerFailed as error:
            grown.why = str(error)
        grown.stored = size_of(path) / (items * BYTES) if items else None
    return grown


def _targets(grown: Mapping[Kind, Grown], sizes: Sequence[int]) -> Iterator[Figure]:
    ours, least, most = grown[SESSIONRY], sizes[0], min(sizes[-1], 10_000)
    ratio = ours.append[most] / ours.append[least]
    text = f"{ours.append[most] * 1e6:.0f} us against {ours.append[least] * 1e6:.0f} us"
    yield at_most(f"append to a session of {most:,} events: times that at {least}", ratio, 1.2, text)
    for kind, factor in ((OPENAI, 1), (ADK, 10)):
        if kind in grown and most in grown[kind].load:
            theirs = grown[kind].load[most]
            plain = grown[RAW].load[most]
            text = (
                f"{ours.load[most] * 1000:.1f} ms against {theirs * 1000:.1f} ms; plain sqlite3 {plain * 1000:.1f} ms"
            )
            yield at_least(
                f"load a session of {most:,} events: times as fast as {kind.label}",
                theirs / ours.load[most],
                factor,
                text,
            )


def _told(grown: Mapping[Kind, Grown]) -> Iterator[Figure]:
    for kind, found in grown.items():
        if not found.append:
            yield told(kind.label, f"not measured: {found.why}")
            continue
        parts = [
            f"{size:,}: {found.append[size] * 1e6:,.0f} us, load {found.load[size] * 1000:,.1f} ms"
            for size in found.load
        ]
        parts += [f"{number(found.stored)} bytes stored for each byte"] if found.stored else []
        yield told(kind.label, "; ".join([*parts, found.why] if found.why else parts))


def _picture(what: str, grown: Mapping[Kind, Grown]) -> Lines:
    unit, title = ("us for one more event", "One more event, as a session grows")
    factor = 1e6
    if what == "load":
        unit, title, factor = "ms to load all", "Loading a whole session", 1e3
    series = [
        (kind.label, [(float(size), seconds * factor) for size, seconds in getattr(found, what).items()])
        for kind, found in grown.items()
        if found.append
    ]
    return Lines(f"growth-{what}", title, "events in the session", unit, series)
