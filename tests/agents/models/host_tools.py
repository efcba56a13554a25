"""Tools for agents in tests, some of which leave a trace in the folder of the session."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Literal

from sessionry import AgentContext, tool


def write(path: str, content: str, context: AgentContext) -> str:
    """Write a file.

    Args:
        path: where, in the folder of the session
        content: what is to be in it
    """
    (context.cwd / path).write_text(content)
    return f"{path} has {len(content)} characters"


async def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def count(name: str, context: AgentContext) -> int:
    """Count how often it was called with that name."""
    return _trace(context.cwd, name)


@tool(approve=True)
def deploy(to: Literal["staging", "production"], context: AgentContext) -> str:
    """Deploy what is there."""
    _trace(context.cwd, "deploy")
    return f"deployed to {to}"


async def hang(context: AgentContext) -> str:
    """Never come to an end, unless the file `go` is there."""
    _trace(context.cwd, "hang")
    while not (context.cwd / "go").exists():
        await asyncio.sleep(0.02)
    return "went on"


async def until_cancelled(context: AgentContext) -> str:
    """Work until somebody wants the run to end after the turn."""
    while context.cancel_requested is None:
        await asyncio.sleep(0.01)
    return "enough"


@tool(idempotent=True)
async def lookup(context: AgentContext) -> str:
    """Look something up; the first time takes for ever."""
    if _trace(context.cwd, "lookup") == 1:
        await asyncio.Event().wait()
    return "found"


def _trace(folder: Path, name: str) -> int:
    """Leave a line in a file; the number of lines in it."""
    with (folder / f"{name}.trace").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return traces(folder, name)


def traces(folder: Path, name: str) -> int:
    path = folder / f"{name}.trace"
    return len(path.read_text().splitlines()) if path.exists() else 0
