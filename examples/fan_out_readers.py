"""One agent writes, a hundred readers follow it: some from the start, some from the middle, some much too slow.

    python examples/fan_out_readers.py

Each of them gets every event, once and in order, because each one reads the log; "live" is only the end of the log.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import sessionry
from sessionry import RunHandle

READERS = 100


async def counts(message: str) -> AsyncIterator[str]:
    for number in range(int(message)):
        yield f"{number} "
        await asyncio.sleep(0.02)


async def follow(run: RunHandle, delay: float, slowness: float) -> list[int]:
    """The numbers of the events that a reader sees who comes after `delay` and takes its time over each one."""
    await asyncio.sleep(delay)
    seen = []
    async for event in run.events():
        seen.append(event.seq)
        await asyncio.sleep(slowness)
    return seen


async def main() -> None:
    async with sessionry.open("memory://", agents={"counts": counts}) as sessions:
        session = await sessions.create("counts")
        run = await session.run("100")
        dice = random.Random(7)
        readers = [follow(run, dice.uniform(0, 2), dice.choice([0, 0, 0.05])) for _ in range(READERS)]
        seen = await asyncio.gather(*readers)
        log = [event.seq async for event in session.events(run=run.id)]
    assert all(each == log for each in seen)
    print(f"{READERS} readers saw the same {len(log)} events, from {log[0]} to {log[-1]}, without a gap or a double")


if __name__ == "__main__":
    asyncio.run(main())
