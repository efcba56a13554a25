"""The agent that is an Agent of Pydantic AI: its loop, tools, approvals and typed outputs, in our session.

    [support]
    type = "pydantic-ai"
    object = "my_agents:support"

The messages are kept in our log as they come, and so is the result of every tool. A run whose worker was lost goes on from
there: tools that have ended are not run again, and the model is told of one that was at work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from sessionry.agents.frameworks.objects import Source, made_of, package_version, require
from sessionry.agents.prompts import prompt_of
from sessionry.domain import records
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, Takeover
from sessionry.ports import AgentContext, Capability

_ABLE = (
    Capability.STREAMING,
    Capability.REASONING,
    Capability.TOOLS,
    Capability.APPROVALS,
    Capability.STEER,
    Capability.TURNS,
    Capability.RESUME,
    Capability.STRUCTURED_OUTPUT,
    Capability.MCP,
    Capability.IMAGES,
    Capability.USAGE,
    Capability.COST,
)
#: What a run may set for itself.
RUN_OPTIONS = ("model", "max_turns")


class Options(NamedTuple):
    """What counts for a run."""

    model: str | None
    max_turns: int | None
    approval_timeout: float | None
    deps: Any
    usage_limits: Any


class PydanticAIAgent:
    """Runs a `pydantic_ai.Agent`, which `object` is, names as `module:name`, or makes for each run.

    `model` goes before the agent's own; `max_turns` counts model turns (None: Pydantic AI's own limit, or that of
    `usage_limits`, a `pydantic_ai.UsageLimits`); `approval_timeout` is in seconds. `deps` is what the agent's tools
    depend on, or a function that makes it for each run.
    """

    def __init__(
        self,
        id: str,
        object: Any,
        *,
        model: str | None = None,
        max_turns: int | None = None,
        approval_timeout: float | None = None,
        deps: Any = None,
        usage_limits: Any = None,
    ) -> None:
        require("pydantic_ai", "pydantic-ai")
        self.id = records.required_text(id, "id")
        self._source = Source(id, object, _fits, "a pydantic_ai.Agent")
        if max_turns is not None:
            records.whole_number(max_turns, "max_turns", 1)
        self._options = Options(model, max_turns, approval_timeout, deps, usage_limits)

    @property
    def facts(self) -> AgentFacts:
        version = package_version("pydantic-ai-slim")
        return AgentFacts(type="pydantic-ai", version=version, capabilities=list(map(str, _ABLE)))

    @property
    def takeover(self) -> Takeover:
        return Takeover.RESUME

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESUME

    def check(self, input: Json) -> Json:
        prompt = prompt_of(input, RUN_OPTIONS, images=True)
        _chosen(self._options, prompt.options)
        return prompt.to_input()

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        from sessionry.agents.frameworks.pydantic_ai_run import PydanticAIRun  # slow to import

        prompt = prompt_of(context.run.input, RUN_OPTIONS, images=True)
        options = _chosen(self._options, prompt.options)
        made = options._replace(deps=made_of(options.deps), usage_limits=made_of(options.usage_limits))
        run = PydanticAIRun(context, await self._source.get(), prompt, made)
        async with aclosing(run.events()) as events:
            async for event in events:
                yield event


def _chosen(configured: Options, given: dict[str, Json]) -> Options:
    """The options with a run's own. Raises `validation_error`."""
    changes: dict[str, Any] = {}
    if given.get("model") is not None:
        changes["model"] = records.required_text(given["model"], "input.model")
    if given.get("max_turns") is not None:
        changes["max_turns"] = records.whole_number(given["max_turns"], "input.max_turns", 1)
    return configured._replace(**changes)


def _fits(value: Any) -> bool:
    from pydantic_ai.agent import AbstractAgent

    return isinstance(value, AbstractAgent)
