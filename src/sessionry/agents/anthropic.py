"""Models behind Anthropic's Messages API: Claude, at Anthropic's or at any server that speaks it.

    [writer]
    type = "anthropic"
    model = "claude-sonnet-4-5"
    thinking_budget = 4096
    tools = ["my_tools:search"]

Needs `pip install 'sessionry[models]'`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sessionry.agents.discovery import Found
from sessionry.agents.models.agent import ModelAgent, told_apart
from sessionry.agents.models.found import found_by
from sessionry.agents.models.messages import Messages
from sessionry.agents.models.settings import Effort
from sessionry.domain.json_values import Json


class AnthropicAgent(ModelAgent):
    """A loop around a model that is asked by the Messages API.

    The options are told in docs/agents/anthropic.md. Without `api_key` and `base_url` the variables ANTHROPIC_API_KEY and
    ANTHROPIC_BASE_URL count, as they are when a run begins.
    """

    def __init__(
        self,
        id: str = "anthropic",
        *,
        model: str,
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
        thinking: Literal["adaptive", "enabled", "disabled"] | None = None,
        thinking_budget: int | None = None,
        reasoning_effort: Effort | None = None,
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
        super().__init__("anthropic", Messages(), *given)


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    """Whether a model can be asked as the environment stands."""
    return found_by(Messages(), environ)
