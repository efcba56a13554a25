"""What the tests of the agents that speak the Agent Client Protocol share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from sessionry.agents.acp import AcpAgent
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.events import Event
from sessionry.domain.run import Continuation
from sessionry.runtime.handles import RunHandle
from sessionry.testing.context import RecordingContext
from tests.agents.real.hermetic import GEMINI_MODEL, Hermetic
from tests.agents.real.npm import installed

NAMES = ("qwen", "gemini", "opencode", "claude-agent-acp", "codex-acp", "copilot")
#: Those that keep their sessions apart by the folder that they work in.
BY_FOLDER = ("qwen", "gemini")
#: Those that copy sessions.
FORKING = ("opencode", "claude-agent-acp", "codex-acp")


def acp(hermetic: Hermetic, name: str, **options: Any) -> AcpAgent:
    """The real agent, as `options_of` has it."""
    return AcpAgent(name, **options_of(hermetic, name, **options))


def script(*steps: dict[str, Any]) -> str:
    """A prompt that says what the model answers."""
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def shell(name: str, command: str) -> dict[str, Any]:
    """A step of the model that runs a command. Codex runs it in a sandbox, and asks only when it is to leave that."""
    if name != "codex-acp":
        return {"shell": command}
    asked = {"cmd": command, "sandbox_permissions": "require_escalated", "justification": "it must be written"}
    return {"tools": [{"name": "exec_command", "input": asked}]}


async def play(agent: AcpAgent, prompt: Any, hermetic: Hermetic, **options: Any) -> RecordingContext:
    context = RecordingContext(agent.check(prompt), cwd=options.pop("cwd", hermetic.work), **options)
    await context.play(agent)
    return context


def going_on(context: RecordingContext, mode: str = "auto") -> Conversation:
    """What the next run of the session finds."""
    link = context.data(ev.AgentSessionLinked)[-1]
    native = NativeSession(id=link.native_session_id, run_id="run_before", model=link.model, items=link.items)
    return Conversation(mode=Continuation(mode), native=native)


def later(hermetic: Hermetic, name: str) -> None:
    """A minute later. Gemini names the files of its sessions by the minute, and spoils one that is loaded in the same."""
    if name == "gemini":
        for file in hermetic.home.glob(".gemini/tmp/*/chats/session-*"):
            file.rename(file.with_name(f"session-2026-01-01T00-00{file.name[-15:]}"))


def kept(events: Iterable[Event | ev.EventData], *, counted: bool = True) -> list[ev.EventData]:
    """What a golden log is made of. Prices change, and what Qwen reports of a command differs from time to time.

    All pieces of a message stand where its first one stood: what comes between two of them is chance. Unless
    `counted`, so is how much an agent had written down when it died.
    """
    told: list[ev.EventData] = []
    places: dict[tuple[str, str | None], int] = {}
    for event in events:
        data = event.data if isinstance(event, Event) else event
        if isinstance(data, ev.AgentSessionLinked) and not counted:
            data = msgspec.structs.replace(data, items=None)
        if isinstance(data, ev.TokenUsageUpdated):
            data = msgspec.structs.replace(data, cost=None)
        if isinstance(data, ev.ToolCallCompleted | ev.ToolCallFailed) and "Process Group PGID" in str(data.tool_output):
            data = msgspec.structs.replace(data, tool_output="<report>")
        if isinstance(data, ev.MessageStreamed | ev.ReasoningStreamed):
            place = places.setdefault((data.type, data.message_id), len(told))
            if place < len(told):
                told[place] = msgspec.structs.replace(data, text=told[place].text + data.text)  # type: ignore[attr-defined]
                continue
        if not isinstance(data, ev.ToolOutputStreamed):
            told.append(data)
    return told


def options_of(hermetic: Hermetic, name: str, **more: Any) -> dict[str, Any]:
    """The options of the real agent, by its preset, with the scripted model, as JSON. `env` adds to what the test sets."""
    env = getattr(hermetic, name.replace("-", "_"))() | more.pop("env", {})
    model = {"model": GEMINI_MODEL} if name == "gemini" else {}
    return {"preset": name, "command": str(installed(name)), "env": env, **model, **more}


async def log_of(run: RunHandle, seconds: float = 60) -> list[Event]:
    """What the run left in the log. Waits for its end."""
    async with asyncio.timeout(seconds):
        return [event async for event in run.events()]


async def first(run: RunHandle, kind: type[ev.EventData], seconds: float = 40) -> Any:
    """What the first event of that type says. Waits for it."""
    async with asyncio.timeout(seconds), aclosing(run.events()) as events:
        async for event in events:
            if isinstance(event.data, kind):
                return event.data
    raise AssertionError(f"the run ended without {kind.__name__}")


def data(events: Iterable[Event], *kinds: type[ev.EventData]) -> list[Any]:
    """What the events of these types say."""
    return [event.data for event in events if isinstance(event.data, kinds)]


def texts(context: RecordingContext) -> list[str]:
    return [message.text for message in context.data(ev.MessageReceived)]


def pid_in(file: Path) -> int | None:
    """The process id that a command wrote there, once it did."""
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else None
