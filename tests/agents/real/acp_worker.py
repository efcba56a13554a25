"""A worker with an agent of the protocol for the tests that kill it: `python -m tests.agents.real.acp_worker`, and JSON."""

from __future__ import annotations

import asyncio
import json
import sys

import sessionry
from sessionry.agents.acp import AcpAgent
from sessionry.settings import Settings


async def main(url: str, cwd: str, prompt: str, agent: dict[str, object]) -> None:
    agents = {"acp": AcpAgent(**agent)}  # type: ignore[arg-type]
    async with sessionry.open(url, agents=agents, settings=Settings(store=url)) as opened:
        session = await opened.create("acp", cwd=cwd)
        run = await session.run(prompt)
        sys.stdout.write(json.dumps({"session": session.id, "run": run.id}) + "\n")
        sys.stdout.flush()
        await run.result()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
