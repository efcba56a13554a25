"""A worker in a process of its own, for the tests that kill it: `python -m tests.agents.frameworks.worker URL`."""

from __future__ import annotations

import asyncio
import sys

import sessionry
from sessionry.settings import Settings
from tests.agents.frameworks.builders import of_environment


async def main(url: str) -> None:
    settings = Settings(store=url, lease=3.0, heartbeat=0.5, sweep=0.5)
    async with sessionry.open(url, agents={"helper": of_environment()}, settings=settings):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
