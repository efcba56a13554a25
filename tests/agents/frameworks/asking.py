"""Scripts for the model server, and what is asked of a log."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from sessionry import Sessions
from sessionry.domain import events as ev
from sessionry.domain.run import Run
from sessionry.runtime.handles import RunHandle, SessionHandle

E = TypeVar("E", bound=ev.EventData)

#: Seconds within which a run of these tests ends.
SOON = 30.0

HELLO: list[dict[str, Any]] = [{"text": "Hello there, friend"}]
#: Calls `add`, then `remove`, which needs to be allowed.
CAREFUL: list[dict[str, Any]] = [
    {"thinking": "let me see", "text": "working on it", "tools": [{"name": "add", "input": {"a": 1, "b": 2}}]},
    {"tools": [{"name": "remove", "input": {"path": "notes.txt"}}]},
    {"text": "all done"},
]
ADDING: list[dict[str, Any]] = [
    {"text": "adding", "tools": [{"name": "add", "input": {"a": 1, "b": 2}}]},
    {"text": "it is {last_tool}"},
]


def script(*steps: dict[str, Any]) -> str:
    """A prompt that tells the model server what to answer."""
    return f"<<<SCRIPT {json.dumps(list(steps))} >>>"


async def ended(run: RunHandle) -> Run:
    await run.result(SOON)
    return await run.get()


async def asked(sessions: Sessions, session: SessionHandle, input: Any, **options: Any) -> Run:
    """The run of that input, at its end."""
    del sessions
    return await ended(await session.run(input, **options))


async def said(session: SessionHandle, kind: type[E], run: Run | None = None) -> list[E]:
    """The events of that kind, in order."""
    events = [event async for event in session.events(run=run.id if run else None)]
    return [event.data for event in events if isinstance(event.data, kind)]
