"""The conversation that a log holds: messages in order, with every tool call next to its result."""

from __future__ import annotations

import msgspec

from sessionry.domain.json_values import Json


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. A tool message has the call and what came of it; `role` is system, user, assistant or tool."""

    role: str
    text: str | None = None
    content: Json = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    tool_input: Json = None
    tool_output: Json = None
    failed: bool = False
    seq: int = 0
    run_id: str | None = None


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The messages, oldest first, and the `seq` of the last event that they account for."""

    messages: list[Message] = []
    last_seq: int = 0
