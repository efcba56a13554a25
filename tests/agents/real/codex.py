"""What the tests of Codex share."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import psutil

from sessionry import Sessions
from sessionry.agents.codex import CodexAgent
from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.runtime.handles import RunHandle, SessionHandle
from tests.agents.real.hermetic import Hermetic, codex_program

#: A model that is unknown to Codex, and to whom knows prices. It is offered tools of MCP servers and sub-agents directly.
UNKNOWN_MODEL = "scripted-model"
#: It may do what it likes, and asks nobody.
FREE: dict[str, Any] = {"sandbox": "danger-full-access", "approval_policy": "never"}
#: It asks before every command and change.
ASKS: dict[str, Any] = {"sandbox": "danger-full-access", "approval_policy": "untrusted"}


def codex(hermetic: Hermetic, *, settings: dict[str, Any] | None = None, **options: Any) -> CodexAgent:
    """The real Codex with the scripted model, and no key of the developer's. `settings` are laid over its config.toml."""
    codex_program()
    env = {**hermetic.codex(config=settings), **options.pop("env", {})}
    return CodexAgent(env=env, **{"env_allow": ["PATH"], **options})


def provider(**settings: Any) -> dict[str, Any]:
    """Settings of the way to the scripted model."""
    return {"model_providers": {"scripted": settings}}


def script(*steps: dict[str, Any]) -> str:
    """A prompt that says what the model answers."""
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def patch(text: str) -> dict[str, Any]:
    """A step of the model that changes files."""
    return {"tools": [{"name": "apply_patch", "input": f"*** Begin Patch\n{text}\n*** End Patch"}]}


async def session_in(opened: Sessions, hermetic: Hermetic) -> SessionHandle:
    return await opened.create("codex", cwd=hermetic.work)


async def log_of(run: RunHandle) -> list[Event]:
    """What the run left in the log. Waits for its end."""
    async with asyncio.timeout(60):
        return [event async for event in run.events()]


async def first(run: RunHandle, kind: type[ev.EventData]) -> Any:
    """What the first event of that type says. Waits for it."""
    async with asyncio.timeout(30), aclosing(run.events()) as events:
        async for event in events:
            if isinstance(event.data, kind):
                return event.data
    raise AssertionError(f"the run ended without {kind.__name__}")


def data(events: Iterable[Event], *kinds: type[ev.EventData]) -> list[Any]:
    """What the events of these types say."""
    return [event.data for event in events if isinstance(event.data, kinds)]


def kept(events: Iterable[Event]) -> list[ev.EventData]:
    """What a golden log is made of: whether a command's output came in time to be streamed is chance, and so is where a
    message is cut; prices change.
    """
    told: list[ev.EventData] = []
    begun: dict[str | None, int] = {}
    for event in events:
        match event.data:
            case ev.ToolOutputStreamed():
                continue
            case ev.MessageStreamed() | ev.ReasoningStreamed() as piece if piece.message_id in begun:
                at = begun[piece.message_id]
                told[at] = msgspec.structs.replace(told[at], text=told[at].text + piece.text)  # type: ignore[attr-defined]
                continue
            case ev.MessageStreamed() | ev.ReasoningStreamed() as piece:
                begun[piece.message_id] = len(told)
            case _:
                pass
        used = isinstance(event.data, ev.TokenUsageUpdated)
        told.append(msgspec.structs.replace(event.data, cost=None) if used else event.data)
    return told


async def until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `true` returns once it is true."""
    async with asyncio.timeout(seconds):
        while not (result := true()):
            await asyncio.sleep(0.02)
    return result


async def pid_in(path: Path) -> psutil.Process:
    """The process that wrote its pid there."""
    await until(lambda: path.exists() and path.read_text().strip())
    return psutil.Process(int(path.read_text()))


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def nothing_left(hermetic: Hermetic, known: Iterable[psutil.Process] = ()) -> bool:
    """No process of ours that was not known, no zombie, and no temporary file."""
    left = set(psutil.Process().children(recursive=True)) - set(known)
    return not left and not list(hermetic.temporary.iterdir())


class Spy:
    """A Codex that writes down how it was started and what it was told."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.name = folder, folder.name
        self.program = folder / "codex"
        self.program.write_text(
            "#!/bin/sh\n"
            f"printf '%s\\0' \"$@\" > {folder}/argv\n"
            f"env -0 > {folder}/env\n"
            f"pwd > {folder}/cwd\n"
            f'tee -a {folder}/sent | exec {codex_program()} "$@"\n'
        )
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    @property
    def argv(self) -> list[str]:
        return (self._folder / "argv").read_text().split("\0")[:-1]

    @property
    def env(self) -> dict[str, str]:
        pairs = (pair.partition("=") for pair in (self._folder / "env").read_text().split("\0") if pair)
        return {name: value for name, _, value in pairs}

    @property
    def cwd(self) -> str:
        return (self._folder / "cwd").read_text().strip()

    def sent(self, method: str) -> list[dict[str, Any]]:
        """The parameters of what was asked by that method."""
        lines = map(json.loads, (self._folder / "sent").read_text().splitlines())
        return [line["params"] for line in lines if line.get("method") == method]

    def overrides(self) -> list[str]:
        return [word for before, word in zip(self.argv, self.argv[1:], strict=False) if before == "-c"]
