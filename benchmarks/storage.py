"""How many bytes does a stored byte take, and how many are written for it?"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.answers import Answer, Bars, at_most
from benchmarks.harness import TEXT, Effort, folder
from benchmarks.work import claim, fill, produce_all
from sessionry.domain.events import RunCompleted
from sessionry.store.open import open_store
from sessionry.store.operations import leases

PAYLOAD = len(TEXT) + len('{"text":""}')

_READING = (
    "The payload is the JSON of an event, 308 bytes. *Stored* is the file after the run has finished and its"
    " write-ahead log has been moved into it: payload, type, time, id, and the index by session and `seq`. *Written*"
    " is what the process handed to the disk for each event, log and checkpoints included, with 100 sessions that"
    " append side by side."
)


def measure(effort: Effort) -> Answer:
    stored = asyncio.run(_stored(effort.of(50_000, 5_000)))
    written = asyncio.run(_written(effort.of(200, 40)))
    figures = [
        at_most(
            "stored bytes for each byte of payload, after the run has finished",
            stored / PAYLOAD,
            1.5,
            f"{stored:.0f} bytes for an event of {PAYLOAD}",
        ),
        at_most("bytes written for each event, 100 sessions side by side", written, 3_200, "in groups of 100"),
    ]
    picture = Bars(
        "storage",
        "Bytes for each event of 308 bytes",
        "bytes; less is better",
        [("payload", PAYLOAD), ("Sessionry, stored", stored), ("Sessionry, written", written)],
        log=True,
    )
    note = (
        "What is written is mostly pages of the index: 100 sessions that take turns each change a page of 4 KiB of"
        " their own with each commit, and a checkpoint writes it once more. A larger group writes less of it for"
        " each event."
    )
    return Answer("Bytes", _READING, figures, [picture], [note])


async def _stored(events: int) -> float:
    with folder() as path:
        file = path / "store.db"
        store = await open_store(f"sqlite:///{file}?synchronous=normal")
        claimed = await fill(store, await claim(store), events)
        await store.execute(leases.finish(claimed.run_id, claimed.fence, RunCompleted(text="done")))
        await store.close()
        connection = sqlite3.connect(file)
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
        return file.stat().st_size / events


async def _written(each: int) -> float:
    with folder() as path:
        store = await open_store(f"sqlite:///{path / 'store.db'}?synchronous=normal")
        claimed = [await claim(store) for _ in range(100)]
        before = _handed_to_disk()
        await produce_all(store, claimed, each)
        await store.close()
        return (_handed_to_disk() - before) / (100 * each)


def _handed_to_disk() -> int:
    """Bytes of all writes of this process; 0 where the system does not say."""
    return next((int(value) for name, value in _counters() if name == "wchar"), 0)


def _counters() -> Iterator[tuple[str, str]]:
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(": ")
        yield name, value
