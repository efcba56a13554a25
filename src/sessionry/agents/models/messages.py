"""Anthropic's Messages API.

Format: https://docs.claude.com/en/api/messages. Thinking goes back with its signature, as it came, for as long as the run
goes on: the server insists on it between a call of a tool and its result.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessionry.agents.models.failing import stream_error
from sessionry.agents.models.settings import PER_RUN, Settings
from sessionry.agents.models.talk import Answer, Assistant, Call, Item, Piece, Results, Stop, User
from sessionry.agents.models.wire import (
    RawCall,
    Reader,
    Request,
    arguments_of,
    call_id,
    calls_of,
    decoded,
    number,
    part,
    stop_of,
    word,
)
from sessionry.domain.usage import Usage

VERSION = "2023-06-01"
#: The API wants a limit; every current model can say this much.
MAX_TOKENS = 8192

STOPS: Mapping[str, Stop] = {
    "tool_use": "tool_use",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}
_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Messages:
    """The protocol. See `wire.Wire`."""

    source = "anthropic messages"
    provider = "anthropic"
    default_url = "https://api.anthropic.com"
    key_variable = "ANTHROPIC_API_KEY"
    url_variable = "ANTHROPIC_BASE_URL"
    options = frozenset(PER_RUN) - {"reasoning_summary"}

    def url(self, base: str) -> str:
        return f"{base.rstrip('/').removesuffix('/v1')}/v1/messages"

    def headers(self, key: str | None) -> dict[str, str]:
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def problem(self, settings: Settings, /) -> tuple[str, str] | None:
        thinks = settings.thinking in ("adaptive", "enabled") or settings.thinking_budget is not None
        if settings.temperature is not None and settings.temperature > 1:
            return "temperature", f"must be from 0 to 1, not {settings.temperature}"
        if thinks and settings.temperature not in (None, 1):
            return "temperature", "cannot be set while the model thinks"
        if settings.thinking == "enabled" and settings.thinking_budget is None:
            return "thinking_budget", 'is needed with thinking = "enabled"'
        if settings.thinking_budget is not None:
            if settings.thinking in ("adaptive", "disabled"):
                return "thinking_budget", f'cannot be set with thinking = "{settings.thinking}"'
            if settings.thinking_budget >= (settings.max_tokens or MAX_TOKENS):
                return "thinking_budget", "must be smaller than max_tokens, of which it is a part"
        if settings.reasoning_effort in ("none", "minimal"):
            return "reasoning_effort", "must be low, medium, high, xhigh or max"
        return None

    def body(self, request: Request, _official: bool, /) -> dict[str, Any]:
        settings = request.settings
        effort = {"effort": settings.reasoning_effort} if settings.reasoning_effort else {}
        schema = {"format": {"type": "json_schema", "schema": request.schema}} if request.schema is not None else {}
        body: dict[str, Any] = {
            "model": settings.model,
            "max_tokens": settings.max_tokens or MAX_TOKENS,
            "messages": [message for item in request.items for message in _messages(item)],
            "stream": True,
        }
        optional = {
            "system": request.system or None,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "stop_sequences": settings.stop,
            "thinking": _thinking(settings),
            "output_config": effort | schema or None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        if request.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in request.tools
            ]
        return body

    def reader(self) -> Reader:
        return MessagesReader()


def _thinking(settings: Settings) -> dict[str, Any] | None:
    if settings.thinking_budget is not None:
        return {"type": "enabled", "budget_tokens": settings.thinking_budget}
    return {"type": settings.thinking} if settings.thinking else None


class MessagesReader:
    """Reads `message_*` and `content_block_*` events. Every count of tokens is the newest one that was told."""

    def __init__(self) -> None:
        self.finished = self.ended = False
        self._blocks: dict[int, dict[str, Any]] = {}
        self._said: dict[str, list[str]] = {"text": [], "reasoning": []}
        self._tokens: dict[str, int] = {}
        self._thought = 0
        self._reason: str | None = None
        self._model: str | None = None

    @property
    def usage(self) -> Usage | None:
        if not self._tokens:
            return None
        given, output, read, written = (self._tokens.get(name, 0) for name in _TOKENS)
        return Usage(
            input_tokens=given,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=min(self._thought, output),
        )

    def feed(self, event: str, data: str) -> Iterator[Piece]:
        message = decoded(data)
        match str(message.get("type") or event):
            case "error":
                raise stream_error(message.get("error"))
            case "message_start":
                start = part(message, "message")
                self._model = word(start.get("model"))
                self._count(part(start, "usage"))
            case "content_block_start":
                yield from self._start(_index(message), part(message, "content_block"))
            case "content_block_delta":
                yield from self._delta(self._blocks.setdefault(_index(message), {}), part(message, "delta"))
            case "message_delta":
                self._reason = part(message, "delta").get("stop_reason") or self._reason
                self._count(part(message, "usage"))
                self.finished = self._reason is not None
            case "message_stop":
                self.finished = self.ended = True

    def _count(self, usage: dict[str, Any]) -> None:
        for name in _TOKENS:
            if isinstance(usage.get(name), int):
                self._tokens[name] = usage[name]
        details = part(usage, "output_tokens_details")
        self._thought = number(details, "thinking_tokens", "reasoning_tokens") or self._thought

    def _start(self, index: int, block: dict[str, Any]) -> Iterator[Piece]:
        self._blocks[index] = {**block, "json": []}
        if block.get("type") == "thinking" and self._said["reasoning"]:
            self._blocks[index]["apart"] = True
        for kind, name in (("text", "text"), ("reasoning", "thinking")):
            if isinstance(text := block.get(name), str) and text:
                yield from self._piece(kind, text)

    def _delta(self, block: dict[str, Any], delta: dict[str, Any]) -> Iterator[Piece]:
        match delta.get("type"):
            case "text_delta":
                block["text"] = block.get("text", "") + delta.get("text", "")
                yield from self._piece("text", delta.get("text", ""))
            case "thinking_delta":
                text = delta.get("thinking", "")
                block["thinking"] = block.get("thinking", "") + text
                yield from self._piece("reasoning", f"\n\n{text}" if block.pop("apart", False) else text)
            case "signature_delta":
                block["signature"] = delta.get("signature", "")
            case "input_json_delta":
                block["json"].append(delta.get("partial_json", ""))

    def _piece(self, kind: Any, text: str) -> Iterator[Piece]:
        if text:
            self._said[kind].append(text)
            yield Piece(kind, text)

    def answer(self, prefix: str) -> Answer:
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        raw = [
            RawCall(block.get("name") or "", block.get("id"), "".join(block["json"]) or block.get("input") or {})
            for block in blocks
            if block.get("type") == "tool_use"
        ]
        thought = any(block.get("type") in ("thinking", "redacted_thinking") for block in blocks)
        return Answer(
            text="".join(self._said["text"]),
            reasoning="".join(self._said["reasoning"]),
            calls=calls_of(raw, prefix),
            stop=stop_of(self._reason, STOPS, raw),
            stop_reason=self._reason,
            usage=self.usage,
            model=self._model,
            native=_native(blocks) if thought and raw else None,
        )


def _index(message: dict[str, Any]) -> int:
    index = message.get("index")
    return index if isinstance(index, int) else 0


def _native(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks as they go back; of a call no more than its place."""
    native: list[dict[str, Any]] = []
    for block in blocks:
        match block.get("type"):
            case "thinking":
                native.append({name: block.get(name, "") for name in ("type", "thinking", "signature")})
            case "redacted_thinking":
                native.append({name: block.get(name, "") for name in ("type", "data")})
            case "text" if block.get("text", "").strip():
                native.append({"type": "text", "text": block["text"]})
            case "tool_use":
                native.append({"type": "tool_use"})
    return native


def _shown(native: Sequence[dict[str, Any]], calls: Sequence[Call]) -> list[dict[str, Any]]:
    left = iter(calls)
    return [_told(next(left)) if block["type"] == "tool_use" else block for block in native]


def _messages(item: Item) -> list[dict[str, Any]]:
    match item:
        case User(text, pictures):
            images = [
                {
                    "type": "image",
                    "source": {
                        "type": "base64",
                        "media_type": picture.media_type,
                        "data": b64encode(picture.content).decode(),
                    },
                }
                for picture in pictures
            ]
            return [{"role": "user", "content": [*images, {"type": "text", "text": text}]}]
        case Assistant(text, calls, native):
            said = [{"type": "text", "text": text}] if text.strip() else []
            content = _shown(native, calls) if native else [*said, *map(_told, calls)]
            return [{"role": "assistant", "content": content}] if content else []
        case Results(results):
            told: list[dict[str, Any]] = [
                {"type": "tool_result", "tool_use_id": call_id(one.call), "content": one.text}
                | ({"is_error": True} if one.failed else {})
                for one in results
            ]
            return [{"role": "user", "content": told}]


def _told(call: Call) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id(call), "name": call.name, "input": arguments_of(call)}
