"""What the workers of these tests run: `counting` says fifty numbers, each durable before the next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from sessionry import AgentContext, Event, Fenced, Takeover
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev

#: A file to which a worker writes the runs that it was shut out of, with the number of the attempt.
FENCED = "SESSIONRY_TEST_FENCED"
NUMBERS = 50


async def counting(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """Goes on where an earlier attempt was. `message` is the pause between two numbers, in seconds.

    An attempt that is stopped tries to say one thing more, as nobody should; whether that was refused is noted.
    """
    try:
        await _count(context, float(message))
    except (Fenced, asyncio.CancelledError):
        await _say_more(context)
        raise
    yield ev.RunCompleted(text=f"attempt {context.run.attempt}")


async def _count(context: AgentContext, pause: float) -> None:
    said = numbers(await context.history(["custom_recorded"]))
    for number in range(len(said), NUMBERS):
        await context.emit(ev.CustomRecorded(name="n", value=number))
        await asyncio.sleep(pause)


async def _say_more(context: AgentContext) -> None:
    try:
        await context.emit(ev.CustomRecorded(name="late"))
    except Fenced:
        with Path(os.environ[FENCED]).open("a") as file:
            file.write(f"{context.run.id} {context.run.attempt}\n")


def numbers(log: Iterable[Event]) -> list[Any]:
    """What was counted, in the order of the log."""
    return [each.data.value for each in log if isinstance(each.data, ev.CustomRecorded) and each.data.name == "n"]


async def asking(context: AgentContext, message: str) -> str:
    """Asks a person, and says who answered."""
    decision = await context.approve("deploy", {"to": message})
    return f"{decision.approved} by {decision.by}"


CATALOG = {
    "counting": FunctionAgent("counting", counting, takeover=Takeover.RESUME),
    "asking": FunctionAgent("asking", asking, takeover=Takeover.RESUME),
}
