"""Where Claude Code is: in the package claude-agent-sdk, or on PATH. Nothing here imports that package."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sessionry.agents.discovery import Found

NAME = "claude"
#: How a version looks.
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
#: Variables that let Claude Code reach a model without a login of its own.
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
_PROVIDERS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    """What would be started, and whether it looks logged in. Starts nothing and reaches for no network."""
    env = os.environ if environ is None else environ
    if (program := bundled()) is not None:
        return Found(str(program), _bundled_version(program), _logged_in(env), "in the package claude-agent-sdk")
    if path := shutil.which(NAME, path=env.get("PATH")):
        return Found(path, _version_beside(Path(path)), _logged_in(env), "on PATH")
    return None


@cache
def bundled() -> Path | None:
    """The program in the package, if that is installed."""
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
    return found_in[0] if (found_in := VERSION.search(text)) else None


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


def _logged_in(env: Mapping[str, str]) -> bool | None:
    """A key in the environment, or what a login leaves behind; whether it is still good, only the network knows. None where
    the login may be in a keychain, or where a program of the settings tells the key.
    """
    if any(env.get(name) for name in (*_KEYS, *_PROVIDERS)):
        return True
    home = config_home(env)
    if (home / ".credentials.json").is_file():
        return True
    if any(_has(path, "oauthAccount") for path in (home / ".claude.json", home.parent / ".claude.json")):
        return True
    return None if sys.platform == "darwin" or _has(home / "settings.json", "apiKeyHelper") else False


def _has(path: Path, key: str) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get(key))
    except (OSError, ValueError, AttributeError):
        return False


def config_home(env: Mapping[str, str]) -> Path:
    """The folder where Claude Code keeps its login and its sessions."""
    if given := env.get("CLAUDE_CONFIG_DIR"):
        return Path(given)
    return Path(env.get("HOME") or Path.home()) / ".claude"
