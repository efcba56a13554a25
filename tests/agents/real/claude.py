"""What the tests of Claude Code say all the time."""

from __future__ import annotations

import asyncio
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

from sessionry import Sessions
from sessionry.agents.claude import ClaudeAgent
from sessionry.domain import events as ev
from sessionry.domain.events import Event, EventData
from sessionry.domain.run import ErrorInfo
from sessionry.testing.fakellm import Received
from tests.agents.real.hermetic import Hermetic, claude_program

E = TypeVar("E", bound=EventData)


def script(*steps: dict[str, Any]) -> str:
    """A prompt that tells the model what to answer."""
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def claude(hermetic: Hermetic, **options: Any) -> ClaudeAgent:
    """Claude Code that may do everything, unless the options say otherwise."""
    return ClaudeAgent(**{"env": hermetic.claude(), "permission_mode": "bypassPermissions", **options})


def asks(hermetic: Hermetic, **options: Any) -> ClaudeAgent:
    """Claude Code that asks before it does something."""
    return claude(hermetic, permission_mode="default", **options)


async def played(sessions: Any, agent: ClaudeAgent, hermetic: Hermetic, input: Any, **options: Any) -> Any:
    """A run in a new session, and its log, once it has ended."""
    async with sessions({"claude": agent}) as opened:
        run = await (await session_in(opened, hermetic)).run(input, **options)
        return await run.result(), await log_of(run)


async def session_in(opened: Sessions, hermetic: Hermetic) -> Any:
    return await opened.create("claude", cwd=str(hermetic.work))


async def log_of(run: Any) -> list[Event]:
    """The log of the run, from its beginning to its end."""
    async with asyncio.timeout(90):
        return [event async for event in run.events()]


async def first(run: Any, kind: type[E]) -> E:
    """The first event of that type; waits for it."""
    async with asyncio.timeout(60):
        async for event in run.events():
            if isinstance(event.data, kind):
                return event.data
    raise AssertionError(f"the run ended without {kind.type}")


def data(events: Sequence[Event], kind: type[E]) -> list[E]:
    return [event.data for event in events if isinstance(event.data, kind)]


def settled(events: Sequence[Event]) -> list[EventData]:
    """Without the chance that is in waiting times: Claude Code adds a little to each."""
    return [_settled(event.data) for event in events]


def usage_last(events: Sequence[Event]) -> list[Event]:
    """Without the chance that is in the order of two of its streams: it counts a turn while a tool of it begins."""
    return sorted(events, key=lambda event: isinstance(event.data, ev.TokenUsageUpdated))


def kept_by(hermetic: Hermetic) -> str:
    """All that Claude Code has written down of its sessions: also what it was told and has not come to yet."""
    return "".join(file.read_text() for file in (hermetic.home / ".claude" / "projects").rglob("*.jsonl"))


def _settled(event: EventData) -> EventData:
    error: ErrorInfo | None = getattr(event, "error", None)
    if isinstance(event, ev.RateLimited) and event.retry_after is not None:
        return msgspec.structs.replace(event, retry_after=math.ceil(event.retry_after))
    if error is not None and error.retry_after is not None:
        whole = msgspec.structs.replace(error, retry_after=math.ceil(error.retry_after))
        return msgspec.structs.replace(event, error=whole)
    return event


async def until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `true` returns once it is true."""
    async with asyncio.timeout(seconds):
        while not (result := true()):
            await asyncio.sleep(0.02)
    return result


def pid_in(file: Path) -> int | None:
    """The process id that a tool wrote into a file."""
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else None


def sleeper(file: str = "tool.pid") -> str:
    """A command that writes its process id and does not end. A shell's `sleep` would be refused."""
    return (
        f"{sys.executable} -c \"import os, time; open('{file}', 'w').write(str(os.getpid()) + '\\n'); time.sleep(120)\""
    )


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wrapped(folder: Path) -> Path:
    """The real program behind one that writes down its arguments and its environment, for `left_with`."""
    file = folder / "claude"
    code = f"""#!{sys.executable}
import json, os, sys
if sys.argv[1:] != ["--version"]:
    files = {{word: open(word.partition("=")[2]).read() for word in sys.argv if word.endswith(".json")}}
    with open({str(folder / "left.json")!r}, "w") as kept:
        json.dump([[files.get(word, word) for word in sys.argv[1:]], dict(os.environ)], kept)
os.execv({str(claude_program())!r}, sys.argv)
"""
    file.write_text(code)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def left_with(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The arguments, files as their contents, and the environment with which the wrapped program was started."""
    argv, env = json.loads((folder / "left.json").read_text())
    return argv, env


def said_to_model(asked: Received) -> str:
    """The request as text, to look for words in it."""
    return json.dumps(asked.body, ensure_ascii=False)


def processes() -> set[int]:
    """The living descendants of this process, and what nobody has reaped."""
    return {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
