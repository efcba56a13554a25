"""Agents that were written with a framework: its own loop, in our sessions.

    sessions.catalog.add("helper", framework_agent("helper", my_agent))

`my_agent` is an Agent of the OpenAI Agents SDK or of Pydantic AI, or a compiled graph of LangGraph. Each has its class as
well, which takes the options: `OpenAIAgentsAgent`, `PydanticAIAgent`, `LangGraphAgent`.
"""

from __future__ import annotations

from typing import Any

from sessionry.domain.errors import InvalidInput
from sessionry.ports import Agent

_MAKERS = {"agents": "openai-agents", "pydantic_ai": "pydantic-ai", "langgraph": "langgraph"}


def framework_agent(id: str, object: Any, **options: Any) -> Agent:
    """The agent for an object of one of the frameworks. Raises `invalid_configuration` for anything else."""
    origins = {kind.__module__.partition(".")[0] for kind in type(object).__mro__}
    found = next((type_ for module, type_ in _MAKERS.items() if module in origins), None)
    if found is None:
        names = ", ".join(_MAKERS.values())
        raise InvalidInput(
            "invalid_configuration",
            f"agent {id!r}: a {type(object).__name__} is of none of the frameworks, which are {names}",
            details={"agent": id},
        )
    from sessionry.agents.entries import TYPES, imported

    made: Agent = imported(TYPES[found])(id, object, **options)
    return made
