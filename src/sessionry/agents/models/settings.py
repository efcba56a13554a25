"""What a model is asked with: the options that an agent's entry and, some of them, a run may set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from sessionry.agents.entries import unusable
from sessionry.domain import records
from sessionry.domain.json_values import Json

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

#: The options that a run may set for itself; an adapter leaves out what its protocol does not know.
PER_RUN = (
    "model",
    "system_prompt",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "reasoning_effort",
    "reasoning_summary",
    "thinking",
    "thinking_budget",
    "output_schema",
    "max_turns",
)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of one run. None leaves a choice to the model's server."""

    model: str
    system_prompt: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] | None = None
    reasoning_effort: Effort | None = None
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = None
    thinking: Literal["adaptive", "enabled", "disabled"] | None = None
    thinking_budget: int | None = None
    output_schema: dict[str, Json] | str | None = None
    max_turns: int | None = None

    def problem(self) -> tuple[str, str] | None:
        """The first option that cannot be as it is, and why."""
        if not self.model.strip():
            return "model", "must name a model"
        for name in ("max_tokens", "max_turns"):
            value = getattr(self, name)
            if value is not None and value < 1:
                return name, f"must be at least 1, not {value}"
        for name, largest in (("temperature", 2), ("top_p", 1)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= largest:
                return name, f"must be from 0 to {largest}, not {value}"
        if self.thinking_budget is not None and self.thinking_budget < 1024:
            return "thinking_budget", f"must be at least 1024 tokens, not {self.thinking_budget}"
        return None


def configured(options: Mapping[str, Any]) -> Settings:
    """The settings of an agent's entry. Raises `invalid_configuration` naming the option."""
    try:
        return msgspec.convert({name: value for name, value in options.items() if value is not None}, Settings)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`").partition("[")[0] or "model"
        raise unusable(f"option {name!r} is wrong: {problem}", option=name) from None


def for_run(settings: Settings, options: Mapping[str, Json]) -> Settings:
    """The settings with those of a run. Raises `validation_error` naming the field of the input."""
    given = {name: getattr(settings, name) for name in Settings.__struct_fields__} | dict(options)
    return records.convert(given, Settings, "input", prefix="input")
