"""The items of the OpenAI Agents SDK, as the journal has them: plain JSON, in the shape of the Responses API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from agents.usage import Usage as SdkUsage
from agents.usage import deserialize_usage

from sessionry.agents.frameworks.journal import Entry
from sessionry.agents.frameworks.telling import INTERRUPTED
from sessionry.domain import events as ev
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage

REASONING_DELTAS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")

Item = dict[str, Any]


def items_of(entries: Iterable[Entry]) -> list[Item]:
    """The items of the entries, in order."""
    items: list[Item] = []
    for entry in entries:
        value: Any = entry.value
        if entry.kind in ("input", "response"):
            items += value["items"]
        elif entry.kind == "output":
            items.append(value["item"])
    return items


def calls_in(items: Any) -> list[Item]:
    """The calls that somebody on this side answers."""
    return [item for item in items if str(item.get("type", "")).endswith("_call") and "call_id" in item]


def open_calls(items: Sequence[Item]) -> list[Item]:
    """The calls without an output."""
    done = {item.get("call_id") for item in items if str(item.get("type", "")).endswith("_output")}
    return [item for item in calls_in(items) if item["call_id"] not in done]


def open_ids(entries: Iterable[Entry]) -> set[str]:
    return {item["call_id"] for item in open_calls(items_of(entries))}


def healed(items: Sequence[Item]) -> list[Item]:
    """The outputs that calls of an earlier run lack: no model takes a call without one."""
    return [output_of(call, INTERRUPTED) for call in open_calls(items)]


def output_of(call: Item, output: object) -> Item:
    kind = str(call.get("type", "function_call"))
    text = output if isinstance(output, str) else encode_json(output) if _is_json(output) else str(output)
    return {"type": f"{kind}_output", "call_id": call["call_id"], "output": text}


def _is_json(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | dict | list)


def output_text(item: Item) -> Json:
    output: Json = item.get("output")
    return output


def _call(entries: Iterable[Entry], call_id: str) -> Item:
    found = [item for item in calls_in(items_of(entries)) if item["call_id"] == call_id]
    return found[-1] if found else {}


def name_of(entries: Iterable[Entry], call_id: str) -> str:
    call = _call(entries, call_id)
    return str(call.get("name") or str(call.get("type", "tool")).removesuffix("_call"))


def input_of(entries: Iterable[Entry], call_id: str) -> Json:
    call = _call(entries, call_id)
    if "arguments" in call:
        return arguments(call["arguments"])
    given: Json = call.get("action") or call.get("input") or call.get("operation")
    return given


def arguments(text: object) -> Json:
    """The arguments of a call as JSON; as they are where they are none."""
    if not isinstance(text, str):
        return None if text is None else str(text)
    try:
        decoded: Json = decode_json(text)
    except msgspec.DecodeError:
        return text
    return decoded


def text_in(items: Any) -> str | None:
    """The last message's text."""
    messages = [item for item in items if item.get("type") == "message"]
    return _text(messages[-1]) if messages else None


def _text(message: Item) -> str:
    parts = message.get("content") or []
    if isinstance(parts, str):
        return parts
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)


def shown(items: Any, id: str) -> list[EventData]:
    """The words and thoughts of a response, and what the model's own server did in it."""
    events: list[EventData] = []
    for index, item in enumerate(items):
        kind = str(item.get("type", ""))
        if kind == "message" and (text := _text(item)):
            events.append(ev.MessageReceived(text=text, message_id=f"{id}-{index}"))
        elif kind == "reasoning" and (thought := _thought(item)):
            events.append(ev.ReasoningReceived(text=thought, message_id=f"{id}-{index}"))
        elif kind.endswith("_call") and "call_id" not in item:
            events += _hosted(item, kind.removesuffix("_call"), f"{id}-{index}")
    return events


def _thought(item: Item) -> str:
    return "".join(str(part.get("text", "")) for part in item.get("summary") or item.get("content") or [])


def _hosted(item: Item, name: str, fallback: str) -> list[EventData]:
    """A tool that ran where the model runs."""
    id = str(item.get("id") or fallback)
    known = ("id", "type", "status")
    rest: Json = {key: value for key, value in item.items() if key not in known and value is not None}
    return [
        ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=rest),
        ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output={"status": item.get("status")}),
    ]


def no_usage() -> SdkUsage:
    return SdkUsage()


def usage_in_state(state: Any) -> Usage:
    """What the SDK had counted when it wrote its state down."""
    return usage_of(usage_json(deserialize_usage(state.get("context", {}).get("usage") or {})))


def usage_json(usage: Any) -> dict[str, Any]:
    """The tokens of a response, or of a run, in our buckets."""
    if usage is None:
        return {}
    given, taken = usage.input_tokens_details, usage.output_tokens_details
    read = getattr(given, "cached_tokens", 0) or 0
    written = getattr(given, "cache_write_tokens", 0) or 0
    return {
        "input_tokens": max((usage.input_tokens or 0) - read - written, 0),
        "output_tokens": usage.output_tokens or 0,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": getattr(taken, "reasoning_tokens", 0) or 0,
    }


def usage_of(value: dict[str, Any]) -> Usage:
    return msgspec.convert(value, Usage)
