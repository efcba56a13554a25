"""The messages of Pydantic AI, as the journal has them: the JSON of its own type adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    TextPart,
    ThinkingPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage, RunUsage
from pydantic_core import to_jsonable_python

from sessionry.agents.frameworks.journal import Entry
from sessionry.agents.frameworks.telling import INTERRUPTED
from sessionry.domain import events as ev
from sessionry.domain.codec import decode_json
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage


def at(entry: Entry, name: str) -> Any:
    return entry.value.get(name) if isinstance(entry.value, dict) else None


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def history_of(entries: Iterable[Entry]) -> list[ModelMessage]:
    """The messages of the entries, in order. Outputs that no message has yet are not in it."""
    plain: list[Any] = []
    for entry in entries:
        if entry.kind in ("input", "turn"):
            plain += at(entry, "messages") or []
    return ModelMessagesTypeAdapter.validate_python(plain)


def response_of(entry: Entry) -> ModelResponse:
    """The response with which a turn ends."""
    last = ModelMessagesTypeAdapter.validate_python(at(entry, "messages"))[-1]
    assert isinstance(last, ModelResponse)
    return last


def healed(entries: Sequence[Entry]) -> list[ModelMessage]:
    """The results that calls of an earlier run lack, from the journal or as interrupted."""
    history = history_of(entries)
    last = history[-1] if history else None
    if not isinstance(last, ModelResponse) or not last.tool_calls:
        return []
    known = {at(entry, "call"): entry for entry in entries if entry.kind == "output"}
    parts = [
        ToolReturnPart(
            tool_name=call.tool_name, content=_result(known.get(call.tool_call_id)), tool_call_id=call.tool_call_id
        )
        for call in last.tool_calls
    ]
    return [ModelRequest(parts=parts)]


def _result(entry: Entry | None) -> Any:
    if entry is None:
        return INTERRUPTED
    error = at(entry, "error")
    return at(entry, "output") if error is None else f"The tool failed: {error}"


def messages_of(said: Sequence[tuple[str, str]]) -> list[ModelMessage]:
    """An earlier conversation as messages."""
    return [
        ModelRequest(parts=[UserPromptPart(text)]) if role == "user" else ModelResponse(parts=[TextPart(text)])
        for role, text in said
    ]


def arguments(call: Any) -> Json:
    """The arguments of a call as JSON; as they are where they are none."""
    try:
        given: Json = to_jsonable_python(call.args_as_dict(), fallback=str)
    except ValueError:
        return str(call.args)
    return given


def json_in(text: str) -> Json:
    try:
        decoded: Json = decode_json(text)
    except msgspec.DecodeError:
        return None
    return decoded


def shown(message: Any, id: str) -> list[EventData]:
    """The words and thoughts of a response, and what the model's own server did in it."""
    response = ModelMessagesTypeAdapter.validate_python([message])[0]
    events: list[EventData] = []
    for index, part in enumerate(response.parts):
        if isinstance(part, TextPart) and part.content:
            events.append(ev.MessageReceived(text=part.content, message_id=f"{id}-{index}"))
        elif isinstance(part, ThinkingPart) and part.content:
            events.append(ev.ReasoningReceived(text=part.content, message_id=f"{id}-{index}"))
        elif isinstance(part, NativeToolCallPart):
            given = arguments(part)
            events.append(
                ev.ToolCallStarted(tool_call_id=part.tool_call_id, tool_name=part.tool_name, tool_input=given)
            )
        elif isinstance(part, NativeToolReturnPart):
            output = to_jsonable_python(part.content, fallback=str)
            events.append(
                ev.ToolCallCompleted(tool_call_id=part.tool_call_id, tool_name=part.tool_name, tool_output=output)
            )
    return events


def usage_json(usage: RequestUsage | RunUsage) -> dict[str, Any]:
    """The tokens of a response, or of a run, in our buckets; Pydantic AI counts the cached ones into the input."""
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    return {
        "input_tokens": max(usage.input_tokens - read - written, 0),
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": usage.details.get("reasoning_tokens", 0),
    }


def usage_of(value: dict[str, Any]) -> Usage:
    return msgspec.convert(value, Usage)
