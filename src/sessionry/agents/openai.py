"""Models behind OpenAI's protocols: OpenAI's own, and those of Ollama, vLLM, llama.cpp and whoever else speaks them.

    [local]
    type = "openai"
    model = "qwen3:8b"
    base_url = "http://localhost:11434/v1"
    tools = ["my_tools:search"]

Needs `pip install 'sessionry[models]'`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sessionry.agents.discovery import Found
from sessionry.agents.models.agent import ModelAgent, told_apart
from sessionry.agents.models.chat import Chat
from sessionry.agents.models.found import found_by
from sessionry.agents.models.responses import Responses
from sessionry.agents.models.settings import Effort
from sessionry.domain.json_values import Json

API = Literal["chat", "responses"]


class OpenAIAgent(ModelAgent):
    """A loop around a model that is asked by `api`: Chat Completions, or the Responses API.

    The options are told in docs/agents/openai.md. Without `api_key` and `base_url` the variables OPENAI_API_KEY and
    OPENAI_BASE_URL count, as they are when a run begins.
    """

    def __init__(
        self,
        id: str = "openai",
        *,
        model: str,
        api: API = "chat",
        base_url: str | None = None,
        api_key: str | None = None,
        tools: Sequence[str | Callable[..., Any]] = (),
        approve: str | list[str] | None = None,
        approval_timeout: float | None = None,
        parallel_tools: int = 8,
        system_prompt: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: list[str] | None = None,
        reasoning_effort: Effort | None = None,
        reasoning_summary: Literal["auto", "concise", "detailed"] | None = None,
        output_schema: dict[str, Json] | str | None = None,
        output_retries: int = 2,
        max_turns: int | None = None,
        max_context_tokens: int = 100_000,
        max_retries: int = 4,
        connect_timeout: float = 10,
        read_timeout: float = 300,
        headers: dict[str, str] | None = None,
        extra_body: dict[str, Json] | None = None,
        provider: str | None = None,
    ) -> None:
        given = told_apart(locals())  # first of all, while these are all the names there are
        super().__init__("openai", {"chat": Chat(), "responses": Responses()}[api], *given)


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    """Whether a model can be asked as the environment stands."""
    return found_by(Chat(), environ)
