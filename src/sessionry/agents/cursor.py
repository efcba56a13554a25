"""Cursor's agent, by `cursor-agent --print --output-format stream-json`.

Experimental: made from the format as it is documented, never run with Cursor itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessionry.agents.discovery import Found
from sessionry.agents.process import PASSED_ON
from sessionry.agents.stream_json import Reading, StreamJsonAgent, on_path
from sessionry.domain.events import EventData
from sessionry.ports import AgentContext

#: Its own variables, and what it takes to reach a network.
PASSES = (*PASSED_ON, "CURSOR_*", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS")
_SUFFIX = "ToolCall"


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    return on_path("cursor-agent", os.environ if environ is None else environ, ("CURSOR_API_KEY",))


class CursorAgent(StreamJsonAgent):
    """Cursor's agent (experimental: written to its documented format, and not tried with Cursor itself).

    With `force` it runs commands and writes files unless its settings deny it; without, it does what its settings allow.
    `program` is what is started, `env` is added to its environment, `env_allow` names what is passed on of the worker's.
    """

    type = "cursor"
    of_a_run = ("model",)

    def __init__(
        self,
        id: str = "cursor",
        *,
        program: str = "cursor-agent",
        model: str | None = None,
        force: bool = False,
        env: Mapping[str, str] | None = None,
        env_allow: Sequence[str] = PASSES,
    ) -> None:
        super().__init__(id, {"model": model}, env, env_allow)
        self._program = program
        self._force = force

    def argv(self, options: Mapping[str, Any], session: str | None) -> list[str]:
        argv = [self._program, "--print", "--output-format", "stream-json"]
        argv += ["--resume", session] if session else []
        argv += ["--model", options["model"]] if options["model"] else []
        return [*argv, "--force"] if self._force else argv

    def reading(self, context: AgentContext) -> Reading:
        return _Reading(context)


class _Reading(Reading):
    """Messages as Claude Code writes them, and frames of their own for tools."""

    def events(self, frame: Mapping[str, Any]) -> Iterator[EventData]:
        yield from super().events(frame)
        if frame.get("type") != "tool_call":
            return
        id, (name, call) = str(frame.get("call_id")), _call(frame.get("tool_call"))
        if frame.get("subtype") == "started":
            yield self.tool_started(id, name, call.get("args"))
        elif frame.get("subtype") == "completed":
            result = call.get("result")
            failed = isinstance(result, dict) and bool(result) and "success" not in result
            output = result["success"] if isinstance(result, dict) and "success" in result else result
            yield from self.tool_ended(id, output, failed=failed)


def _call(told: Any) -> tuple[str, Mapping[str, Any]]:
    """The tool's name and what is told of it: `{"readToolCall": {"args": ...}}`, or `{"function": {"name": ...}}`."""
    if isinstance(told, dict):
        for name, call in told.items():
            if name == "function" and isinstance(call, dict):
                return str(call.get("name")), {"args": call.get("arguments"), **call}
            if name.endswith(_SUFFIX) and isinstance(call, dict):
                return name.removesuffix(_SUFFIX), call
    return "tool", {}
