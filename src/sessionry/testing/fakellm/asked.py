"""A request to a model, whatever protocol it came by, and the step of the script that is due for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from sessionry.agents.handover import GO_ON, IF_FINISHED
from sessionry.testing.fakellm.script import BROKEN_OFF, Script, Step, prompt_in, script_in


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
        """How many turns the model had since the newest prompt: rounds of tool results, parallel ones counted once. When
        its work was interrupted since then and goes on, those that were broken off do not count.
        """
        return len(self._rounds)

    @property
    def repeated(self) -> set[str]:
        """What the model would say twice, now that it goes on: its words since the last turn that counts."""
        newest = self._rounds[-1] + 1 if self._rounds else 0
        spoken = (text for role, text in self._since_prompt[newest:] if role not in ("user", "tool", "call"))
        return set(spoken) if self._goes_on else set()

    @property
    def may_be_finished(self) -> bool:
        """Whether it was told what to say when nothing is left."""
        return any(role == "user" and IF_FINISHED in text for role, text in self._since_prompt)

    @property
    def _since_prompt(self) -> list[Said]:
        for number in range(len(self.said) - 1, -1, -1):
            role, text = self.said[number]
            if role == "user" and prompt_in(text):
                return self.said[number + 1 :]
        return self.said

    @property
    def _goes_on(self) -> bool:
        return any(role == "user" and GO_ON in text for role, text in self._since_prompt)

    @property
    def _rounds(self) -> list[int]:
        """Where each round of tool results ends."""
        rounds: list[list[int]] = []
        in_round = False
        for number, (role, _) in enumerate(self._since_prompt):
            if role == "tool":
                rounds = [*rounds[:-1], [*rounds[-1], number]] if in_round else [*rounds, [number]]
            in_round = role == "tool" or (in_round and role == "user")  # reminders between two results end no round
        if self._goes_on:
            said = self._since_prompt
            rounds = [whole for whole in rounds if not any(BROKEN_OFF.match(said[number].text) for number in whole)]
        return [whole[-1] for whole in rounds]


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
