"""What the workers of these tests run: `counting` says fifty numbers, each durable before the next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sessionry import AgentContext, Fenced, Takeover
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev

#: A file to which a worker writes the runs that it was shut out of.
FENCED = "SESSIONRY_TEST_FENCED"
NUMBERS = 50


async def counting(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """Goes on where an earlier attempt was. `message` is the pause between two numbers, in seconds."""
    said = await context.history(["custom_recorded"])
    for number in range(len(said), NUMBERS):
        try:
            await context.emit(ev.CustomRecorded(name="n", value=number))
        except Fenced:
            with Path(os.environ[FENCED]).open("a") as file:
                file.write(f"{context.run.id} {context.run.attempt}\n")
            raise
        await asyncio.sleep(float(message))
    yield ev.RunCompleted(text=f"attempt {context.run.attempt}")


async def asking(context: AgentContext, message: str) -> str:
    """Asks a person, and says who answered."""
    decision = await context.approve("deploy", {"to": message})
    return f"{decision.approved} by {decision.by}"


CATALOG = {
    "counting": FunctionAgent("counting", counting, takeover=Takeover.RESUME),
    "asking": FunctionAgent("asking", asking, takeover=Takeover.RESUME),
}
