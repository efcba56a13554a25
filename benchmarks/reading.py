"""How fast is what was written read again: the tail, a page in the middle of a small and of a big log, a whole session?"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.answers import Answer, Bars, at_most, told
from benchmarks.harness import TEXT, Effort, folder, one_core, percentile
from benchmarks.work import SCOPE, Claimed, claim, fill
from sessionry.ports import Store
from sessionry.store.open import open_store
from sessionry.store.operations import reading

#: Sessions that share a log, and how many events each appends before the next one does.
_SESSIONS, _RUN = 100, 5

_READING = (
    "100 sessions take turns to append five events each, so the events of one are spread over the whole file. A"
    " page is 100 events out of the middle of one session, read 200 times, warm, when all that was written has reached"
    " the disk; the small and the big log are read in turns. All of it happens on one core: a read is handed to a thread"
    " and back, and whether the system puts that thread beside the loop or on the other core, which may sleep, decides"
    " more than the log does."
)


def measure(effort: Effort) -> Answer:
    rows = (10_000, effort.of(10_000_000, 500_000))
    with folder() as path:
        files = [path / "small.db", path / "big.db"]
        for file, count in zip(files, rows, strict=True):
            _lay_out(file, asyncio.run(_sessions(file)), count)
        apart = asyncio.run(_pages(files, rows))
        with one_core():
            small, big = asyncio.run(_pages(files, rows))
        tail, whole = asyncio.run(_tail(path / "tail.db", events := effort.of(100_000, 20_000)))
    text = f"{big * 1e6:.0f} us in {rows[1]:,} rows against {small * 1e6:.0f} us in {rows[0]:,} rows"
    apart_text = f"{apart[1] * 1e6:.0f} us against {apart[0] * 1e6:.0f} us"
    figures = [
        at_most("a page of 100 events, warm, in a big log: times that in a small one", big / small, 1.25, text),
        told("the same wherever the system puts the threads", apart_text, apart[1] / apart[0]),
        at_most(
            f"open the tail of a {events:,}-event session, in milliseconds", tail * 1e3, 50, f"{tail * 1e3:.2f} ms"
        ),
        told(f"read all {events:,} events of a session", f"{whole:.2f} s, {whole / events * 1e6:.1f} us an event"),
    ]
    bars = [
        ("Sessionry, 10 k rows", small * 1e6),
        (f"Sessionry, {rows[1] / 1e6:g} M rows", big * 1e6),
        ("Sessionry, tail", tail * 1e6),
    ]
    picture = Bars("reading", "A page of 100 events", "microseconds; less is better", bars)
    return Answer("Reading", _READING, figures, [picture])


async def _sessions(file: Path) -> list[Claimed]:
    store = await open_store(f"sqlite:///{file}?synchronous=normal")
    claimed = [await claim(store) for _ in range(_SESSIONS)]
    await store.close()
    return claimed


def _lay_out(file: Path, claimed: list[Claimed], rows: int) -> None:
    """So many rows in the order in which appends would have left them, by one statement: as many appends take minutes."""
    connection = sqlite3.connect(file)
    connection.execute("pragma journal_mode = off")  # nobody else is there, and gigabytes are written once
    connection.execute("pragma synchronous = off")
    first = max(one.after for one in claimed) + 1
    connection.execute(
        "with recursive n (n) as (select 0 union all select n + 1 from n where n + 1 < ?)"
        " insert into sessionry_event (session, seq, run, fence, type, at, id, schema, data)"
        " select 1 + (n / ?) % ?, ? + n / ? * ? + n % ?, 1 + (n / ?) % ?, 1, 'message_received', 1700000000000000 + n,"
        " randomblob(16), 1, ? from n",
        (rows, _RUN, _SESSIONS, first, _RUN * _SESSIONS, _RUN, _RUN, _RUN, _SESSIONS, f'{{"text":"{TEXT}"}}'),
    )
    connection.commit()
    connection.close()
    with file.open("rb") as written:
        os.fsync(written.fileno())


async def _pages(files: list[Path], rows: tuple[int, int]) -> tuple[float, float]:
    """Median seconds of a page in each file; both are read in every round, of which the first warm up."""
    stores = [await open_store(f"sqlite:///{file}") for file in files]
    taken: list[list[float]] = [[], []]
    sessions = [await _any_session(file) for file in files]
    for _ in range(250):
        for store, session, count, found in zip(stores, sessions, rows, taken, strict=True):
            found.append(await _seconds(_page(store, session, after=(count // _SESSIONS - 100) // 2)))
    for store in stores:
        await store.close()
    return percentile(taken[0][50:], 0.5), percentile(taken[1][50:], 0.5)


async def _any_session(file: Path) -> str:
    with sqlite3.connect(file) as connection:
        session: str = connection.execute("select id from sessionry_session where key = 50").fetchone()[0]
    connection.close()
    return session


def _page(store: Store, session: str, after: int) -> Callable[[], Awaitable[list[object]]]:
    async def read() -> list[object]:
        events = await store.execute(reading.events(SCOPE, session, after=after, limit=100))
        assert len(events) == 100
        return list(events)

    return read


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def _tail(file: Path, events: int) -> tuple[float, float]:
    store = await open_store(f"sqlite:///{file}?synchronous=normal")
    claimed = await fill(store, await claim(store), events)

    async def tail() -> object:
        return await store.execute(reading.events(SCOPE, claimed.session_id, limit=100, newest=True))

    taken = [await _seconds(tail) for _ in range(30)]
    begun, after = time.perf_counter(), 0
    while page := await store.execute(reading.events(SCOPE, claimed.session_id, after=after, limit=1000)):
        after = page[-1].seq
    whole = time.perf_counter() - begun
    await store.close()
    return percentile(taken, 0.5), whole
