"""What is found of a preset's agent on this machine: its program, its version, and signs of a login."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sessionry.agents.acp.presets import PRESETS, Preset
from sessionry.agents.discovery import Found


def found(preset: str, environ: Mapping[str, str] | None = None) -> Found | None:
    """None when its program is not on PATH. Raises `KeyError` for a preset that does not exist."""
    environ = os.environ if environ is None else environ
    known = PRESETS[preset]
    program = shutil.which(known.command, path=environ.get("PATH", os.defpath))
    if program is None:
        return None
    return Found(program, version_of(program), _logged_in(known, environ), "on PATH")


def version_of(program: str) -> str | None:
    """By the `package.json` of the package that the program belongs to, if it is of npm: nothing is started for it."""
    real = Path(program).resolve()
    for folder in list(real.parents)[:5]:
        try:
            content = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and isinstance(content.get("name"), str):
            version = content.get("version")
            return version if isinstance(version, str) else None
    return None


def _logged_in(preset: Preset, environ: Mapping[str, str]) -> bool | None:
    """True by a key or a login file. Without one nobody knows: agents have more ways to log in than these."""
    if any(environ.get(name) for name in preset.keys):
        return True
    home = environ.get("HOME")
    return True if home and any((Path(home) / name).is_file() for name in preset.logins) else None
