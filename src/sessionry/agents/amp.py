"""Amp, by `amp --execute --stream-json`.

Experimental: made from the format as it is documented, never run with Amp itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessionry.agents.discovery import Found
from sessionry.agents.process import PASSED_ON
from sessionry.agents.stream_json import Reading, StreamJsonAgent, on_path
from sessionry.domain.events import EventData
from sessionry.domain.usage import Usage
from sessionry.ports import AgentContext, Capability

#: Its own variables, and what it takes to reach a network.
PASSES = (*PASSED_ON, "AMP_*", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS")


def found(environ: Mapping[str, str] | None = None) -> Found | None:
    return on_path("amp", os.environ if environ is None else environ, ("AMP_API_KEY",))


class AmpAgent(StreamJsonAgent):
    """Amp (experimental: written to its documented format, and not tried with Amp itself).

    `mode` is one of Amp's own modes. With `allow_all` it uses its tools without being allowed each; without, it leaves what
    its settings do not allow. `program` is what is started, `env` is added to its environment, `env_allow` names what is
    passed on of the worker's.
    """

    type = "amp"
    of_a_run = ("mode",)
    able = (*StreamJsonAgent.able, Capability.REASONING, Capability.USAGE, Capability.MCP)

    def __init__(
        self,
        id: str = "amp",
        *,
        program: str = "amp",
        mode: str | None = None,
        allow_all: bool = False,
        env: Mapping[str, str] | None = None,
        env_allow: Sequence[str] = PASSES,
    ) -> None:
        super().__init__(id, {"mode": mode}, env, env_allow)
        self._program = program
        self._allow_all = allow_all

    def argv(self, options: Mapping[str, Any], session: str | None) -> list[str]:
        argv = [self._program, *(["threads", "continue", session] if session else []), "--execute", "--stream-json"]
        if options["mode"]:
            argv += ["--mode", options["mode"]]
        return [*argv, "--dangerously-allow-all"] if self._allow_all else argv

    def reading(self, context: AgentContext) -> Reading:
        return _Reading(context)


class _Reading(Reading):
    """Frames as Claude Code writes them, but for the count of tokens."""

    def events(self, frame: Mapping[str, Any]) -> Iterator[EventData]:
        yield from super().events(frame)
        message = frame.get("message")
        if not isinstance(message, dict):
            return
        if frame.get("type") == "user":
            yield from self._results(frame, message.get("content"))
        elif frame.get("type") == "assistant" and isinstance(usage := message.get("usage"), dict):
            used = self.account.add(_usage(usage))
            if used is not None:
                yield used

    def _results(self, frame: Mapping[str, Any], content: Any) -> Iterator[EventData]:
        parent = frame.get("parent_tool_use_id")
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_result":
                failed = bool(block.get("is_error"))
                yield from self.tool_ended(
                    str(block.get("tool_use_id")), _plain(block.get("content")), failed=failed, parent=parent
                )


def _plain(content: Any) -> Any:
    """A result that is nothing but text as that text."""
    if not isinstance(content, list) or not content:
        return content
    texts = [block.get("text") if isinstance(block, dict) else None for block in content]
    return "\n".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else content


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Amp's `input_tokens` includes what was read from the cache and written to it."""
    read = int(usage.get("cache_read_input_tokens") or 0)
    written = int(usage.get("cache_creation_input_tokens") or 0)
    whole = int(usage.get("input_tokens") or 0)
    return Usage(
        input_tokens=whole - read - written if whole >= read + written else whole,
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
