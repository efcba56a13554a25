"""A request to a model, whatever protocol it came by, and the step of the script that is due for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from sessionry.testing.fakellm.script import Script, Step, prompt_in, script_in


class Said(NamedTuple):
    """A part of the conversation. `call` and `tool` are a tool's call and its result."""

    role: str
    text: str


class Asked(msgspec.Struct, kw_only=True):
    """What an agent wants of the model."""

    model: str
    stream: bool
    said: list[Said]
    tools: list[str]
    #: in all of the conversation
    images: int = 0
    #: the JSON Schema of the answer
    schema: dict[str, Any] | None = None

    @property
    def prompts(self) -> list[str]:
        """What people said, oldest first."""
        return [prompt for role, text in self.said if role == "user" and (prompt := prompt_in(text))]

    @property
    def last_result(self) -> str:
        """Of the newest tool call."""
        return next((text for role, text in reversed(self.said) if role == "tool"), "")

    @property
    def turn(self) -> int:
        """How many turns the model had since the newest prompt: rounds of tool results, parallel ones counted once."""
        turn, in_round = 0, False
        for role, text in reversed(self.said):
            if role == "user" and prompt_in(text):
                break
            if role != "user":  # reminders between two results are no end of a round
                turn += role == "tool" and not in_round
                in_round = role == "tool"
        return turn


class Due(NamedTuple):
    """The step that is due. `script` is the script's name."""

    script: str
    turn: int
    step: Step


def due(asked: Asked, scenarios: Mapping[str, Script]) -> Due:
    """Raises `BadScript`."""
    prompts, turn = asked.prompts, asked.turn
    name, script = script_in(prompts[-1] if prompts else "", scenarios)
    return Due(name, turn, script[turn] if turn < len(script) else script[-1].repeated())


def plain(content: Any) -> str:
    """The text in content of any shape."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(plain, content)))
    if isinstance(content, dict):
        return next((plain(content[key]) for key in ("text", "output", "content") if key in content), "")
    return "" if content is None else str(content)
