"""What the tests of the agents that speak the Agent Client Protocol share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sessionry.agents.acp import AcpAgent
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.run import Continuation
from sessionry.testing.context import RecordingContext
from tests.agents.real.hermetic import GEMINI_MODEL, Hermetic
from tests.agents.real.npm import installed

NAMES = ("qwen", "gemini", "opencode", "claude-agent-acp", "codex-acp")
#: Those that were tried and keep their sessions apart by the folder that they work in.
BY_FOLDER = ("qwen", "gemini")
#: Those that copy sessions.
FORKING = ("opencode", "claude-agent-acp", "codex-acp")


def acp(hermetic: Hermetic, name: str, **options: Any) -> AcpAgent:
    """The real agent, by its preset, with the scripted model. `env` adds to what is set for the test."""
    program = installed(name)
    env = getattr(hermetic, name.replace("-", "_"))() | options.pop("env", {})
    if name == "gemini":
        options.setdefault("model", GEMINI_MODEL)
    return AcpAgent(name, preset=name, command=str(program), env=env, **options)


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


def texts(context: RecordingContext) -> list[str]:
    return [message.text for message in context.data(ev.MessageReceived)]


def pid_in(file: Path) -> int | None:
    """The process id that a command wrote there, once it did."""
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else None
