"""How many bytes does a stored byte take?"""

from __future__ import annotations

import asyncio
import sqlite3

from benchmarks.harness import TEXT, Figure, at_most, folder
from benchmarks.work import claim, fill
from sessionry.domain.events import RunCompleted
from sessionry.store.open import open_store
from sessionry.store.operations import leases


def measure(quick: bool) -> list[Figure]:
    return asyncio.run(_measure(5_000 if quick else 50_000))


async def _measure(events: int) -> list[Figure]:
    with folder() as path:
        file = path / "store.db"
        store = await open_store(f"sqlite:///{file}?synchronous=normal")
        claimed = await fill(store, await claim(store), events)
        await store.execute(leases.finish(claimed.run_id, claimed.fence, RunCompleted(text="done")))
        await store.close()
        connection = sqlite3.connect(file)
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
        size = file.stat().st_size
    payload = events * (len(TEXT) + len('{"text":""}'))
    text = f"{size / events:.0f} bytes an event of {payload // events}"
    return [at_most("stored bytes for each byte of payload, after the run has finished", text, size / payload, 1.5)]
