"""Which path is for what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sessionry.testing.fakellm.anthropic import AnthropicMessages
from sessionry.testing.fakellm.asked import Asked
from sessionry.testing.fakellm.chat import OpenAIChat
from sessionry.testing.fakellm.gemini import Gemini
from sessionry.testing.fakellm.protocol import ModelProtocol
from sessionry.testing.fakellm.responses import OpenAIResponses

_ANTHROPIC, _RESPONSES, _CHAT, _GEMINI = AnthropicMessages(), OpenAIResponses(), OpenAIChat(), Gemini()
_ROUTES: tuple[tuple[str, ModelProtocol], ...] = (
    (r"/messages$", _ANTHROPIC),
    (r"/responses$", _RESPONSES),
    (r"/chat/completions$", _CHAT),
    (r":(generate|streamGenerate)Content$", _GEMINI),
)
#: Agents that ask for titles and the like beside their work; Claude Code wants those by a schema.
_ASIDES = re.compile(r"opencode|GeminiCLI|QwenCode|codex|(claude-cli)", re.IGNORECASE)
_CHARACTERS_PER_TOKEN = 4


class Talk(NamedTuple):
    """A request to a model."""

    protocol: ModelProtocol


class Nowhere(NamedTuple):
    """Nothing is there; `protocol` is how that is said."""

    protocol: ModelProtocol = _CHAT


class Counted(NamedTuple):
    """A request to count tokens."""

    protocol: ModelProtocol

    def body(self, length: int) -> dict[str, int]:
        key = "totalTokens" if self.protocol is _GEMINI else "input_tokens"
        return {key: max(1, length // _CHARACTERS_PER_TOKEN)}


class Listed(NamedTuple):
    """The list of models, or one of them."""

    protocol: ModelProtocol
    model: str | None = None

    def body(self, models: Sequence[str]) -> dict[str, Any]:
        if self.protocol is _GEMINI:
            return {"models": [{"name": f"models/{name}", "displayName": name} for name in models]}
        if self.model is not None:
            return _model(self.model)
        ends = {"first_id": models[0], "last_id": models[-1]} if models else {}
        return {"object": "list", "data": [_model(name) for name in models], "has_more": False, **ends}


def route(path: str) -> Talk | Counted | Listed | Nowhere:
    if path.endswith("/count_tokens"):
        return Counted(_ANTHROPIC)
    if path.endswith(":countTokens"):
        return Counted(_GEMINI)
    for pattern, protocol in _ROUTES:
        if re.search(pattern, path):
            return Talk(protocol)
    if listed := re.search(r"/models(?:/([^/:]+))?$", path):
        return Listed(_GEMINI if "/v1beta/" in path else _CHAT, listed[1])
    return Nowhere()


def is_aside(asked: Asked, user_agent: str) -> bool:
    """Whether an agent asks this beside its work. No step of a script is spent on it."""
    agent = _ASIDES.search(user_agent)
    return agent is not None and not asked.tools and (agent[1] is None or asked.schema is not None)


def _model(name: str) -> dict[str, Any]:
    facts = {"display_name": name, "created": 1, "created_at": "2025-01-01T00:00:00Z", "owned_by": "scripted"}
    return {"id": name, "type": "model", "object": "model", **facts}
