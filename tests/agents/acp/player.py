"""The small agent of these tests, as an agent of ours, and what is asked of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sessionry.agents.acp import AcpAgent
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Message, Transcript
from sessionry.testing.context import RecordingContext

PROGRAM = Path(__file__).with_name("agent.py")


def player(offer: dict[str, Any] | None = None, folder: Path | None = None, **options: Any) -> AcpAgent:
    """The agent, with what it offers; its sessions and what it received are kept in the folder."""
    env = {"ACP_STATE": str(folder), "ACP_SAW": str(folder / "saw.jsonl")} if folder else {}
    arguments = ["-S", str(PROGRAM), json.dumps(offer or {})]
    return AcpAgent(command=sys.executable, arguments=arguments, env=env | options.pop("env", {}), **options)


def spy(folder: Path, name: str = "agent", offer: dict[str, Any] | None = None) -> Path:
    """A program that writes down how it was started, and is then the agent of the tests."""
    program = folder / name
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/argv\nenv > {folder}/env\n"
        f"exec {sys.executable} -S {PROGRAM} '{json.dumps(offer or {})}'\n"
    )
    program.chmod(0o755)
    return program


def script(*steps: dict[str, Any]) -> str:
    return f"<<<{json.dumps(steps)}>>>"


def received(folder: Path, method: str) -> list[dict[str, Any]]:
    """The parameters of the requests that left for the agent."""
    frames = [json.loads(line) for line in (folder / "saw.jsonl").read_text().splitlines()]
    return [frame.get("params", {}) for frame in frames if frame.get("method") == method]


async def play(agent: AcpAgent, input: Any, folder: Path, **options: Any) -> RecordingContext:
    context = RecordingContext(agent.check(input), cwd=folder, **options)
    await context.play(agent)
    return context


def texts(context: RecordingContext) -> list[str]:
    return [message.text for message in context.data(ev.MessageReceived)]


def error(context: RecordingContext) -> Any:
    return context.data(ev.RunFailed)[-1].error


def before(native: NativeSession | None, *missed: str, mode: str = "auto") -> Conversation:
    messages = [Message(seq=number + 1, role="user", text=text) for number, text in enumerate(missed)]
    others = ["other"] if missed else []
    return Conversation(
        mode=Continuation(mode), native=native, missed=Transcript(messages=messages), previous_agents=others
    )


async def talked(folder: Path, *prompts: str) -> NativeSession:
    """A session of the player, in which this was said."""
    native = None
    for prompt in prompts:
        context = await play(player({"load": True}, folder), prompt, folder, previous=before(native))
        linked = context.data(ev.AgentSessionLinked)[-1]
        native = NativeSession(id=linked.native_session_id, run_id="run_before", items=linked.items)
    assert native is not None
    return native
