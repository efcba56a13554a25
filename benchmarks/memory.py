"""What does a session take of the memory when nothing happens to it, and a reader that waits for it?"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import psutil

import sessionry
from benchmarks.answers import Answer, Bars, told
from benchmarks.harness import ROOT, Effort, folder
from benchmarks.listing import make
from sessionry.store.open import open_store

_READING = (
    "The resident memory of a process that has the store open: how much it grows for each session in the store, for"
    " each session that it holds a handle of, and for each reader that follows a session of its own and has read all"
    " there is."
)


def measure(effort: Effort) -> Answer:
    count = effort.of(5_000, 500)
    with folder() as path:
        url = f"sqlite:///{path / 'store.db'}"
        asyncio.run(_fill(url, count))
        answers = [
            subprocess.run(
                [sys.executable, "-m", "benchmarks.memory", url, what, str(count)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            for what in ("nothing", "handles", "readers")
        ]
    nothing, handles, readers = (int(answer.stdout) for answer in answers)
    each = {"idle session": 0.0, "handle": (handles - nothing) / count, "open reader": (readers - nothing) / count}
    figures = [
        told(f"a process with an open store of {count:,} sessions, in MiB", "resident", nothing / 2**20),
        told(
            "for each idle session in the store, in bytes",
            "nothing is kept of it: the store is the file",
            each["idle session"],
        ),
        told("for each handle of a session, in bytes", f"{count:,} handles", max(each["handle"], 0)),
        told("for each open reader, in KiB", f"{count:,} readers of as many sessions", each["open reader"] / 1024),
    ]
    bars = [
        ("Sessionry, a handle", max(each["handle"], 1) / 1024),
        ("Sessionry, an open reader", each["open reader"] / 1024),
    ]
    return Answer("Memory", _READING, figures, [Bars("memory", "Memory for each", "KiB; less is better", bars)])


async def _fill(url: str, count: int) -> None:
    store = await open_store(url)
    await make(store, count)
    await store.close()


async def _work(url: str, what: str, count: int) -> None:
    async with sessionry.open(url, worker=False) as sessions:
        ids = [id async for id in _every_id(sessions, count)]
        kept: list[object] = [sessions.session(id) for id in ids] if what == "handles" else []
        tasks = [asyncio.create_task(_read(sessions.session(id))) for id in ids] if what == "readers" else []
        await asyncio.sleep(count / 1000)  # time to read what there is, and to wait
        gc.collect()
        print(psutil.Process().memory_info().rss)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        del kept


async def _every_id(sessions: sessionry.Sessions, count: int) -> AsyncIterator[str]:
    cursor = None
    for _ in range(count // 100):
        page = await sessions.list(limit=100, cursor=cursor)
        for summary in page.items:
            yield summary.session.id
        cursor = page.cursor


async def _read(session: sessionry.SessionHandle) -> None:
    async for _ in session.events(follow=True):
        pass


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
