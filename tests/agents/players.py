"""Programs that play recorded frames."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FRAMES = Path(__file__).parent / "frames"


class Player:
    """A program of that name; `calls` are its calls so far."""

    def __init__(self, folder: Path, name: str, frames: str) -> None:
        self.program = folder / name
        self._log = folder / f"{name}.calls"
        head = f"#!{sys.executable} -S\nFRAMES, LOG = {str(FRAMES / frames)!r}, {str(self._log)!r}\n"
        self.program.write_text(head + (FRAMES / "player.py").read_text())
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    @property
    def argv(self) -> list[str]:
        """Of the latest call."""
        argv: list[str] = self.calls[-1]["argv"]
        return argv
