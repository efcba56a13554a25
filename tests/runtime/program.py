"""A process that works on a store, for the tests that kill it: `python -m tests.runtime.program URL COMMAND ...`.

It prints one JSON object a line and flushes it, so that the test knows what was acknowledged before the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import sessionry
from sessionry import AgentContext, Sessions, Takeover
from sessionry.agents.function import FunctionAgent
from sessionry.agents.process import environment
from sessionry.agents.program import Program
from sessionry.domain import events as ev

TALKATIVE = Path(__file__).parents[1] / "agents" / "talkative.py"


def say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def counts(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """Appends numbers, each durable before it is printed; says where it was when it is begun again."""
    done = await context.history(["custom_recorded"])
    for number in range(len(done), int(message)):
        await context.emit(ev.CustomRecorded(name="n", value=number))
        say(run=context.run.id, number=number, attempt=context.run.attempt)
        await asyncio.sleep(0.001)
    yield ev.RunCompleted(text=f"attempt {context.run.attempt}")


async def counts_in_two(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """The same, but a first attempt never comes to the last number: it is there to be lost, however late that happens."""
    first = context.run.attempt == 1
    async for ending in counts(context, str(int(message) - first)):
        if first:
            await asyncio.Event().wait()
        yield ending


async def calls_a_tool(context: AgentContext) -> AsyncIterator[Any]:
    yield ev.ToolCallStarted(tool_call_id="t", tool_name="bash", tool_input={"command": "sleep"})
    await context.emit()
    say(tool="started")
    await asyncio.Event().wait()


async def asks(context: AgentContext, message: str) -> str:
    say(asking=True, run=context.run.id, attempt=context.run.attempt)
    decision = await context.approve("deploy", {"to": message})
    return f"{decision.approved} by {decision.by} in attempt {context.run.attempt}"


async def has_a_program(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """Starts a program with children in all places, and tells who they are."""
    argv = [sys.executable, "-S", str(TALKATIVE), message]
    async with Program.start(context, argv, cwd=context.cwd, env=environment()) as program:
        async for pids in program.messages():
            say(run=context.run.id, attempt=context.run.attempt, pids=pids)
            yield ev.CustomRecorded(name="pids", value=pids)
            if context.run.attempt == 2:
                break


AGENTS: dict[str, Any] = {
    "counts": FunctionAgent("counts", counts, takeover=Takeover.RESUME),
    "counts_in_two": FunctionAgent("counts_in_two", counts_in_two, takeover=Takeover.RESUME),
    "counts_once": FunctionAgent("counts_once", counts),
    "calls_a_tool": calls_a_tool,
    "asks": asks,
    "has_a_program": FunctionAgent("has_a_program", has_a_program, takeover=Takeover.RESUME),
    "has_a_program_once": FunctionAgent("has_a_program_once", has_a_program),
}


async def submit(sessions: Sessions, agent: str, message: str) -> None:
    session = await sessions.create(agent)
    run = await session.run(message)
    say(session=session.id, run=run.id)
    say(status=str((await run.result()).status))


async def crowd(sessions: Sessions) -> None:
    """Many runs of all kinds at once, until somebody ends it."""
    for agent, message in (("counts", "150"), ("counts_once", "150"), ("calls_a_tool", ""), ("asks", "x")):
        session = await sessions.create(agent)
        for _ in range(2):
            run = await session.run(message)
            say(submitted=run.id, agent=agent)
    await asyncio.Event().wait()


async def work(sessions: Sessions) -> None:
    say(worker=sessions.worker.id if sessions.worker else None)
    await asyncio.Event().wait()


async def main(url: str, command: str, *arguments: str) -> None:
    async with sessionry.open(url, agents=AGENTS) as sessions:
        if command == "submit":
            await submit(sessions, *arguments)
        elif command == "crowd":
            await crowd(sessions)
        else:
            await work(sessions)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
