"""A worker with model agents, for tests that kill it: `python -m tests.agents.models.program STORE SERVER`."""

from __future__ import annotations

import asyncio
import sys

import sessionry
from sessionry.settings import Settings
from tests.agents.models.conftest import KINDS, made
from tests.agents.models.host_tools import count, deploy, hang, lookup


async def main(url: str, server: str) -> None:
    agents = {kind: made(kind, server, tools=[count, deploy, hang, lookup]) for kind in KINDS}
    async with sessionry.open(url, agents=agents, settings=Settings(store=url)):
        sys.stdout.write("working\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
