"""Where Codex is on this machine, which version it is, and whether it is logged in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sessionry.agents.discovery import Found

#: The package that brings the program along.
PACKAGE = "openai-codex-cli-bin"
_MODULE = "codex_cli_bin"
#: Variables that hold a key; the first one is Codex's own.
KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")


class Binary(NamedTuple):
    program: str
    version: str | None
    how: str


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    """The program that would be started, if there is one. Nothing is run and nobody is asked."""
    environ = os.environ if environ is None else environ
    binary = locate(environ)
    return None if binary is None else Found(binary.program, binary.version, _logged_in(environ), binary.how)


def locate(environ: Mapping[str, str]) -> Binary | None:
    """The program of the package, whose version is known to fit, else the one on the PATH."""
    spec = find_spec(_MODULE)
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "bin" / "codex"
        if program.is_file():
            return Binary(str(program), _package_version(), f"in the package {PACKAGE}")
    on_path = shutil.which("codex", path=environ.get("PATH", os.defpath))
    return None if on_path is None else Binary(on_path, _npm_version(Path(on_path)), "on PATH")


def _package_version() -> str | None:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


def _npm_version(program: Path) -> str | None:
    """What the npm package that the program is from says: starting the program to ask would take a second."""
    try:
        described = json.loads((program.resolve().parent.parent / "package.json").read_text())
        return str(described["version"]) if described.get("name") == "@openai/codex" else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def api_key(environ: Mapping[str, str]) -> str | None:
    """The key to log in with: Codex's own, else that of OpenAI where there is no other login."""
    if key := environ.get(KEYS[0]):
        return key
    return None if (codex_home(environ) / "auth.json").is_file() else environ.get(KEYS[1]) or None


def _logged_in(environ: Mapping[str, str]) -> bool | None:
    """True with a key or a login file; None where a configuration may name another way to a model."""
    if any(environ.get(name) for name in KEYS):
        return True
    home = codex_home(environ)
    try:
        login = json.loads((home / "auth.json").read_text())
        if isinstance(login, dict) and (login.get("OPENAI_API_KEY") or login.get("tokens")):
            return True
    except (OSError, ValueError):
        pass
    return None if (home / "config.toml").is_file() else False


def codex_home(environ: Mapping[str, str]) -> Path:
    if named := environ.get("CODEX_HOME"):
        return Path(named)
    return Path(environ.get("HOME") or Path.home()) / ".codex"
