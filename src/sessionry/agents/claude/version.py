"""The program that is started, and whether it is one that we can speak with."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sessionry.agents.claude.found import NAME, VERSION, bundled
from sessionry.agents.process import Process
from sessionry.domain.errors import AgentFailed

#: The oldest version that is known to speak the protocol as it is used here.
MINIMUM = (2, 1, 197)
#: Seconds that the program may take to tell its version.
PATIENCE = 20.0


def program_of(given: str | None, path: str | None) -> str:
    """The program to start: the one that was given, the package's own, or the one on `path`."""
    if given is not None:
        program = shutil.which(str(Path(given).expanduser()), path=path)
    else:
        inside = bundled()
        program = str(inside) if inside else shutil.which(NAME, path=path)
    if program is None:
        raise AgentFailed(
            "command_not_found",
            f"Claude Code was not found: {given or 'claude'} is not there; install it with "
            "`pip install 'sessionry[claude]'`, or set the agent's option program",
        )
    return program


async def checked_version(program: str, env: Mapping[str, str]) -> str:
    """What it says of itself, asked once for each state of the file. Raises `agent_failed` for one that is too old."""
    stat = await asyncio.to_thread(os.stat, program)
    key = (program, stat.st_mtime_ns, stat.st_size)
    if key not in _versions:
        _versions[key] = await _asked(program, env)
    said = _versions[key]
    numbers = VERSION.search(said)
    if numbers is None:
        raise AgentFailed("agent_failed", f"{program} is no Claude Code: it says {said[:100]!r} of its version")
    if tuple(map(int, numbers.groups())) < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        raise AgentFailed(
            "agent_failed",
            f"{program} is Claude Code {numbers[0]}, and at least {needed} is needed; update it",
            details={"version": numbers[0], "minimum": needed},
        )
    return numbers[0]


_versions: dict[tuple[str, int, int], str] = {}


async def _asked(program: str, env: Mapping[str, str]) -> str:
    try:
        process = Process.start([program, "--version"], cwd=Path.cwd(), env=env)
    except OSError as error:
        raise AgentFailed("agent_unavailable", f"{program} cannot be started: {error.strerror}") from error
    said = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while (chunks := await process.read()) is not None and len(said) < 4096:
                said += b"".join(chunk.data for chunk in chunks)
    except TimeoutError:
        raise AgentFailed("agent_unavailable", f"{program} --version does not end") from None
    finally:
        await process.stop()
    return said.decode(errors="replace").strip()
