"""What the tests of Codex share."""

from __future__ import annotations

import json
from typing import Any

from sessionry.agents.codex import CodexAgent
from tests.agents.real.hermetic import Hermetic, codex_program

#: A model that is known to Codex, and to whom knows prices; another one is not.
MODEL, UNKNOWN_MODEL = "gpt-5.5", "scripted-model"


def codex(hermetic: Hermetic, *, settings: dict[str, Any] | None = None, **options: Any) -> CodexAgent:
    """The real Codex with the scripted model. `settings` are laid over its config.toml."""
    codex_program()
    return CodexAgent(env=hermetic.codex(config=settings), **options)


def script(*steps: dict[str, Any]) -> str:
    """A prompt that says what the model answers."""
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def patch(text: str) -> dict[str, Any]:
    """A step of the model that changes files."""
    return {"tools": [{"name": "apply_patch", "input": f"*** Begin Patch\n{text}\n*** End Patch"}]}
