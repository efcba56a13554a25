"""What the OpenAI Agents SDK calls and gives, apart from a run: hooks, its agents, its outputs and its guardrails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from agents.agent_output import AgentOutputSchema, AgentOutputSchemaBase
from agents.exceptions import InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered
from agents.handoffs import Handoff
from agents.result import RunResultStreaming
from pydantic_core import to_jsonable_python

from agents import Agent, RunContextWrapper, RunHooks
from sessionry.agents.frameworks.relay import PATIENCE
from sessionry.agents.frameworks.telling import words
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.transcript import Message


class Listener(Protocol):
    """Who is told of the SDK's work."""

    def turn_begins(self) -> None: ...

    async def tool_started(self, call: str, name: str) -> None: ...

    async def tool_ended(self, call: str, name: str, result: object, tool_call: Any) -> None: ...


class Hooks(RunHooks[Any]):
    """Called by the SDK's loop, which waits until they return."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def on_llm_start(self, *_: Any) -> None:
        self._listener.turn_begins()

    async def on_tool_start(self, context: RunContextWrapper[Any], _agent: Any, tool: Any) -> None:
        if (call := getattr(context, "tool_call_id", None)) is not None:
            await self._listener.tool_started(call, tool.name)

    async def on_tool_end(self, context: RunContextWrapper[Any], _agent: Any, tool: Any, result: object) -> None:
        if (call := getattr(context, "tool_call_id", None)) is not None:
            await self._listener.tool_ended(call, tool.name, result, getattr(context, "tool_call", None))


def carried(messages: Sequence[Message]) -> list[Json]:
    """An earlier conversation as items."""
    return [{"role": role, "content": text} for role, text in words(messages)]


def reachable(agent: Agent[Any]) -> dict[str, Agent[Any]]:
    """The agents that the first one may hand over to, by name, and itself."""
    found: dict[str, Agent[Any]] = {}
    waiting: list[Any] = [agent]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Handoff):
            reference = getattr(each, "_agent_ref", None)
            each = reference() if reference is not None else None
        if isinstance(each, Agent) and each.name not in found:
            found[each.name] = each
            waiting += each.handoffs
    return found


def parsed(agent: Agent[Any], text: str) -> Any:
    """The agent's output that its last words are. Raises what the SDK does when they do not fit."""
    kind = agent.output_type
    if kind is None or kind is str:
        return text
    schema = kind if isinstance(kind, AgentOutputSchemaBase) else AgentOutputSchema(kind)
    return text if schema.is_plain_text() else schema.validate_json(text)


def violations(error: Exception) -> list[EventData]:
    """The guardrail that stopped the run, if one did."""
    if not isinstance(error, InputGuardrailTripwireTriggered | OutputGuardrailTripwireTriggered):
        return []
    kind = "input" if isinstance(error, InputGuardrailTripwireTriggered) else "output"
    result = error.guardrail_result
    details: dict[str, Json] = {"info": to_jsonable_python(result.output.output_info, fallback=str)}
    name = result.guardrail.get_name()
    return [ev.PolicyViolation(policy=name, kind=f"{kind}_guardrail", action="stopped", details=details)]


async def let_go(result: RunResultStreaming | None) -> None:
    """Whatever the SDK still has at work is ended."""
    if result is None or result.run_loop_task is None or result.run_loop_task.done():
        return
    result.cancel()
    await asyncio.wait([result.run_loop_task], timeout=PATIENCE)
