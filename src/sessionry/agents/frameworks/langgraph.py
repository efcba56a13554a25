"""The agent that is a compiled graph of LangGraph: its nodes and interrupts, in our session.

    [planner]
    type = "langgraph"
    object = "my_graphs:planner"

The thread is the session. A graph without a checkpointer of its own gets one that writes into our log. Interrupts are
questions to people. A run whose worker was lost goes on from the last checkpoint: nodes that have ended are not run again,
and one that was at work is, from its beginning, as LangGraph does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, NamedTuple

from sessionry.agents.frameworks.objects import Source, made_of, package_version, require
from sessionry.agents.prompts import prompt_of
from sessionry.domain import records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json, json_object
from sessionry.domain.run import AgentFacts, Takeover
from sessionry.ports import AgentContext, Capability

_ABLE = (
    Capability.STREAMING,
    Capability.REASONING,
    Capability.TOOLS,
    Capability.APPROVALS,
    Capability.TURNS,
    Capability.RESUME,
    Capability.STRUCTURED_OUTPUT,
    Capability.IMAGES,
    Capability.USAGE,
    Capability.COST,
)
#: What a run may set for itself.
RUN_OPTIONS = ("state", "recursion_limit")
Answers = Literal["bool", "decision", "note"]


class Options(NamedTuple):
    """What counts for a run. `state` is the rest of the graph's input."""

    prompt_key: str
    answers: Answers
    recursion_limit: int | None
    approval_timeout: float | None
    configurable: dict[str, Any]
    context: Any
    state: dict[str, Any]


class LangGraphAgent:
    """Runs a graph, which `object` is, names as `module:name`, or makes for each run; one that is not compiled yet is.

    The prompt goes into the graph's input under `prompt_key`: as a message where that is `messages`, else as text, and
    with "" it is the whole input. `answers` is what an interrupt gets back: `bool` (allowed or not), `decision`
    (`{"approved", "by", "note"}`) or `note` (what the person wrote). `recursion_limit` counts steps; `approval_timeout`
    is in seconds. `configurable` goes into the graph's config; `context` is its runtime context, or a function that
    makes one.
    """

    def __init__(
        self,
        id: str,
        object: Any,
        *,
        prompt_key: str = "messages",
        answers: Answers = "bool",
        recursion_limit: int | None = None,
        approval_timeout: float | None = None,
        configurable: dict[str, Any] | None = None,
        context: Any = None,
    ) -> None:
        require("langgraph", "langgraph")
        self.id = records.required_text(id, "id")
        self._source = Source(id, object, _fits, "a graph of LangGraph")
        if recursion_limit is not None:
            records.whole_number(recursion_limit, "recursion_limit", 1)
        self._options = Options(
            prompt_key, answers, recursion_limit, approval_timeout, dict(configurable or {}), context, {}
        )

    @property
    def facts(self) -> AgentFacts:
        return AgentFacts(type="langgraph", version=package_version("langgraph"), capabilities=list(map(str, _ABLE)))

    @property
    def takeover(self) -> Takeover:
        return Takeover.RESUME

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESUME

    def check(self, input: Json) -> Json:
        prompt = prompt_of(input, RUN_OPTIONS, images=self._options.prompt_key == "messages")
        _chosen(self._options, prompt.options)
        return prompt.to_input()

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        from sessionry.agents.frameworks.langgraph_run import LangGraphRun  # slow to import

        prompt = prompt_of(context.run.input, RUN_OPTIONS, images=self._options.prompt_key == "messages")
        options = _chosen(self._options, prompt.options)
        run = LangGraphRun(
            context, await self._source.get(), prompt, options._replace(context=made_of(options.context))
        )
        async with aclosing(run.events()) as events:
            async for event in events:
                yield event


def _chosen(configured: Options, given: dict[str, Json]) -> Options:
    """The options with a run's own. Raises `validation_error`."""
    changes: dict[str, Any] = {}
    if given.get("state") is not None:
        if not configured.prompt_key:
            raise InvalidInput(
                "validation_error",
                "input.state cannot be given to a graph whose whole input is the prompt",
                details={"path": "input.state"},
            )
        changes["state"] = json_object(given["state"], "input.state")
    if given.get("recursion_limit") is not None:
        changes["recursion_limit"] = records.whole_number(given["recursion_limit"], "input.recursion_limit", 1)
    return configured._replace(**changes)


def _fits(value: Any) -> bool:
    from langgraph.graph import StateGraph
    from langgraph.pregel import Pregel

    return isinstance(value, Pregel | StateGraph)
