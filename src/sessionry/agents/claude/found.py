"""Where Claude Code is: in the package claude-agent-sdk, or on PATH. Nothing here imports that package."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sessionry.agents.discovery import Found
from sessionry.agents.process import Process
from sessionry.domain.errors import AgentFailed

NAME = "claude"
#: The oldest version that is known to speak the protocol as it is used here.
MINIMUM = (2, 1, 197)
#: Seconds that the program may take to tell its version.
PATIENCE = 20.0

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
#: Variables that let Claude Code reach a model without a login of its own.
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
_PROVIDERS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    """What would be started, and whether it looks logged in. Starts nothing and reaches for no network."""
    env = os.environ if environ is None else environ
    if (bundled := _bundled()) is not None:
        return Found(str(bundled), _bundled_version(bundled), _logged_in(env), "in the package claude-agent-sdk")
    if path := shutil.which(NAME, path=env.get("PATH")):
        return Found(path, _version_beside(Path(path)), _logged_in(env), "on PATH")
    return None


def program_of(given: str | None, path: str | None) -> str:
    """The program to start: the one that was given, the package's own, or the one on `path`."""
    if given is not None:
        program = shutil.which(str(Path(given).expanduser()), path=path)
    else:
        bundled = _bundled()
        program = str(bundled) if bundled else shutil.which(NAME, path=path)
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
    numbers = _VERSION.search(said)
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


@cache
def _bundled() -> Path | None:
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "_bundled" / NAME
    return program if program.is_file() else None


def _bundled_version(program: Path) -> str | None:
    """The package keeps it beside the program."""
    try:
        text = (program.parent.parent / "_cli_version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    return found_in[0] if (found_in := _VERSION.search(text)) else None


def _version_beside(program: Path) -> str | None:
    """From the path (native installations are named by it) or the npm package around the program."""
    real = program.resolve()
    if in_name := re.fullmatch(r"\d+\.\d+\.\d+", real.name):
        return in_name[0]
    try:
        said = json.loads((real.parent / "package.json").read_text(encoding="utf-8")).get("version")
    except (OSError, ValueError, AttributeError):
        return None
    return said if isinstance(said, str) else None


def _logged_in(env: Mapping[str, str]) -> bool:
    """A key in the environment, or what a login leaves behind. Whether it is still good, only the network knows."""
    if any(env.get(name) for name in (*_KEYS, *_PROVIDERS)):
        return True
    home = config_home(env)
    if (home / ".credentials.json").is_file():
        return True
    return any(_has_account(path) for path in (home / ".claude.json", home.parent / ".claude.json"))


def _has_account(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("oauthAccount"))
    except (OSError, ValueError, AttributeError):
        return False


def config_home(env: Mapping[str, str]) -> Path:
    """The folder where Claude Code keeps its login and its sessions."""
    if given := env.get("CLAUDE_CONFIG_DIR"):
        return Path(given)
    return Path(env.get("HOME") or Path.home()) / ".claude"
