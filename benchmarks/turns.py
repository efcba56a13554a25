"""The same turn written by others: how fast is each item kept, one session alone and many at once, and is any lost?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.answers import Answer, Bars, Figure, at_least, at_most, told
from benchmarks.harness import Effort, Spread, folder, number, spread
from benchmarks.peers import (
    OPENAI,
    RAW,
    SESSIONRY,
    SESSIONRY_STORE,
    Kind,
    PeerFailed,
    Script,
    measured,
    script,
    versions,
)

SESSIONS = 100
_OURS = (SESSIONRY, SESSIONRY_STORE)

_READING = (
    "A turn is four items of about 300 bytes: what was asked, a tool call, its result, the answer. Each library"
    " writes them through its public interface, each item awaited before the next one of its session; Sessionry by"
    " an agent that emits events, with redaction and all. Every library runs in a process and an environment of its"
    " own, and all have their turn in each round. *Lost* is what was acknowledged and is not there when the sessions"
    " are read again."
)
_NOTES = (
    "Between an agent's `emit` and the store lie the checks of what an agent may say, the redaction, the merging of"
    " pieces, the clock of silence and the watch for cancels; it all runs on the one event loop, so with a hundred"
    " agents at once it, not the disk, is the limit. The line of the store alone shows what is left without it.",
    "Raw sqlite3 has no event loop to answer to: it blocks its caller, and writes one item after the other whoever"
    " asks. Alone it is faster than Sessionry, which goes through a thread so that the loop goes on; with many"
    " sessions Sessionry puts what waits into one commit.",
    "strands is the fastest of the others where a session is alone, since it never waits for the disk: what it has"
    " acknowledged may be gone after a power failure. openai-agents' `SQLiteSession` leaves `synchronous` at"
    " SQLite's default, FULL.",
)


def measure(effort: Effort) -> Answer:
    kinds, missing = measured(effort)
    many = _rounds([*_OURS, RAW, *kinds], SESSIONS, effort, memory=False)
    memory = _rounds([*_OURS, RAW, *kinds], SESSIONS, effort, memory=True)
    alone = _rounds([*_OURS, RAW, *kinds], 1, effort, memory=False)
    figures = [
        *_target(memory),
        *_told(f"{SESSIONS} sessions at once, on disk", many),
        *_told(f"{SESSIONS} sessions at once, on tmpfs", memory),
        *_told("one session, on disk", alone),
        *(told(kind.label, f"not measured: {why}") for kind, why in missing.items()),
    ]
    pictures = [
        _picture("turns-many", f"{SESSIONS} sessions write turns at once, on disk", many),
        _picture("turns-one", "One session writes turns, on disk", alone),
    ]
    return Answer("The same turn, written by others", _READING, figures, pictures, [*_NOTES, _versions(kinds)])


def _versions(kinds: Sequence[Kind]) -> str:
    return f"Versions: {versions(kinds) or 'none installed'}."


class Written:
    """What one library did."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.p99: list[float] = []
        self.lost = 0
        self.errors: list[str] = []
        self.failed = ""

    @property
    def rate(self) -> Spread:
        return spread(self.rates)


def _rounds(kinds: Sequence[Kind], sessions: int, effort: Effort, *, memory: bool) -> Mapping[Kind, Written]:
    written = {kind: Written() for kind in kinds}
    with ExitStack() as stack:
        path = stack.enter_context(folder(memory=memory))
        scripts = dict(_opened(stack, path, written, sessions))
        begun = time.monotonic()
        for done in range(effort.of(5, 2)):
            if done >= 2 and time.monotonic() - begun > 40:
                break
            for kind, one in scripts.items():
                _round(one, written[kind], sessions)
        for kind, one in scripts.items():
            _ask_for_lost(one, written[kind])
    return written


def _opened(
    stack: ExitStack, path: Path, written: Mapping[Kind, Written], sessions: int
) -> Iterator[tuple[Kind, Script]]:
    for kind, found in written.items():
        place = path / kind.script
        place.mkdir()
        try:
            yield kind, stack.enter_context(script(kind, str(place), sessions))
        except PeerFailed as error:
            found.failed = str(error)


def _round(one: Script, found: Written, sessions: int) -> None:
    if found.failed:
        return
    # Who is slow writes less of the same.
    turns = max(1, 50 // sessions) if not found.rates else max(1, int(min(found.rates[0], 20_000) * 0.8 / 4 / sessions))
    try:
        answer = one.ask("turns", sessions=sessions, turns=turns)
    except PeerFailed as error:
        found.failed = str(error)
        return
    found.rates.append(answer["events"] / answer["seconds"])
    found.p99.append(answer["p99"])
    found.errors += answer["errors"]


def _ask_for_lost(one: Script, found: Written) -> None:
    try:
        found.lost = one.ask("lost")["lost"]
    except PeerFailed as error:
        found.failed = found.failed or str(error)


def _target(memory: Mapping[Kind, Written]) -> Iterator[Figure]:
    lost = sum(memory[kind].lost for kind in _OURS)
    yield at_most(f"{SESSIONS} sessions at once, on tmpfs: items lost by Sessionry", lost, 0, "of all acknowledged")
    theirs = memory.get(OPENAI)
    if theirs is None or not theirs.rates:
        return
    store, agent = (memory[kind].rate for kind in (SESSIONRY_STORE, SESSIONRY))
    against = f"/s against {theirs.rate}/s"
    question = f"{SESSIONS} sessions at once, on tmpfs: times openai-agents SQLiteSession"
    limit = memory[RAW].rate.median / theirs.rate.median
    text = f"the store alone: {store}{against}; raw sqlite3, one commit each, is {number(limit)} times as fast as they"
    yield at_least(question, store.median / theirs.rate.median, 15, text)
    yield told(f"{question}, by agents", f"{agent}{against}", agent.median / theirs.rate.median)


def _told(where: str, written: Mapping[Kind, Written]) -> Iterator[Figure]:
    for kind, found in written.items():
        if not found.rates:
            yield told(f"{where}: {kind.label}", f"not measured: {found.failed}")
            continue
        text = f"{found.rate} items/s, p99 {number(max(found.p99) * 1000)} ms, lost {found.lost}"
        if found.errors:
            text += f", {len(found.errors)} errors such as {found.errors[0][:80]!r}"
        yield told(f"{where}: {kind.label}", text, found.rate.median)


def _picture(name: str, title: str, written: Mapping[Kind, Written]) -> Bars:
    values = [(kind.label, found.rate.median) for kind, found in written.items() if found.rates]
    return Bars(name, title, "items a second; more is better", sorted(values, key=lambda value: -value[1]), log=True)
