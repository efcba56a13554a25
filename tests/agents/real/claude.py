"""What the tests of Claude Code say all the time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import psutil

from sessionry import Run, Session
from sessionry.agents.claude import ClaudeAgent
from sessionry.domain.events import Event, EventData
from sessionry.testing.fakellm import Received
from tests.agents.real.hermetic import Hermetic


def script(*steps: dict[str, Any]) -> str:
    """A prompt that tells the model what to answer."""
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def claude(hermetic: Hermetic, **options: Any) -> ClaudeAgent:
    """Claude Code that may do everything, unless the options say otherwise."""
    return ClaudeAgent(**{"env": hermetic.claude(), "permission_mode": "bypassPermissions", **options})


def asks(hermetic: Hermetic, **options: Any) -> ClaudeAgent:
    """Claude Code that asks before it does something."""
    return claude(hermetic, permission_mode="default", **options)


def types(events: list[EventData] | list[Event]) -> list[str]:
    return [event.type for event in events]


async def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `true` returns once it is true."""
    async with asyncio.timeout(seconds):
        while not (result := true()):
            await asyncio.sleep(0.02)
    return result


async def first(run: Any, type: str) -> Event:
    """The first event of that type; waits for it."""
    async with asyncio.timeout(30):
        async for event in run.events():
            if event.type == type:
                return event  # type: ignore[no-any-return]
    raise AssertionError(f"the run ended without {type}")


def alive(command: str) -> list[psutil.Process]:
    """The processes with these words in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and command in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found


def said_to_model(asked: Received) -> str:
    """The request as text, to look for words in it."""
    return json.dumps(asked.body, ensure_ascii=False)


__all__ = ["Run", "Session", "alive", "asks", "claude", "first", "said_to_model", "script", "types", "until"]
