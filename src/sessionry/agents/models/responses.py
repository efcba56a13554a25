"""OpenAI's Responses API. Nothing is kept on the server (`store` false): the conversation is in our log.

Format: https://platform.openai.com/docs/api-reference/responses. Reasoning items go back encrypted, as they came, for as
long as the run goes on.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from sessionry.agents.models.chat import Chat, usage_of
from sessionry.agents.models.failing import failed, stream_error
from sessionry.agents.models.schemas import is_strict
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
    part,
    stop_of,
    word,
)
from sessionry.domain.codec import encode_json
from sessionry.domain.usage import Usage

STOPS: Mapping[str, Stop] = {"max_output_tokens": "length", "content_filter": "refusal"}


class Responses(Chat):
    """The protocol. See `wire.Wire`."""

    source = "openai responses"
    options = frozenset(PER_RUN) - {"thinking", "thinking_budget", "stop"}

    def url(self, base: str) -> str:
        return f"{base.rstrip('/')}/responses"

    def problem(self, settings: Settings, /) -> tuple[str, str] | None:
        if settings.stop is not None:
            return "stop", 'is nothing that the Responses API knows; take api = "chat"'
        return None

    def body(self, request: Request, _official: bool, /) -> dict[str, Any]:
        settings = request.settings
        reasoning = {"effort": settings.reasoning_effort, "summary": settings.reasoning_summary}
        body: dict[str, Any] = {
            "model": settings.model,
            "input": [entry for item in request.items for entry in _entries(item)],
            "stream": True,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
        optional = {
            "instructions": request.system or None,
            "max_output_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "reasoning": {name: value for name, value in reasoning.items() if value is not None} or None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        if request.tools:
            body["tools"] = [
                {"type": "function", "strict": is_strict(tool.parameters), **tool._asdict()} for tool in request.tools
            ]
        if request.schema is not None:
            strict = is_strict(request.schema)
            body["text"] = {
                "format": {"type": "json_schema", "name": "output", "schema": request.schema, "strict": strict}
            }
        return body

    def reader(self) -> Reader:
        return ResponsesReader()


class ResponsesReader:
    """Reads `response.*` events. What counts in the end are the items that were done; deltas are for the eye."""

    def __init__(self) -> None:
        self.finished = self.ended = False
        self.usage: Usage | None = None
        self._items: dict[int, dict[str, Any]] = {}
        self._said: dict[str, list[str]] = {"text": [], "reasoning": []}
        self._last: dict[str, object] = {}
        self._refused = False
        self._response: dict[str, Any] = {}

    def feed(self, event: str, data: str) -> Iterator[Piece]:
        if data.strip() == "[DONE]":
            self.ended = True
            return
        message = decoded(data)
        kind = str(message.get("type") or event)
        if kind == "error" or (kind != "response.failed" and message.get("error")):
            raise stream_error(message.get("error") or message)
        match kind:
            case "response.output_text.delta":
                yield from self._piece("text", message, "content_index")
            case "response.reasoning_summary_text.delta":
                yield from self._piece("reasoning", message, "summary_index")
            case "response.reasoning_text.delta":
                yield from self._piece("reasoning", message, "content_index")
            case "response.refusal.delta":
                self._refused = True
            case "response.output_item.done":
                index = message.get("output_index")
                self._items[index if isinstance(index, int) else len(self._items)] = part(message, "item")
            case "response.completed" | "response.incomplete":
                yield from self._end(part(message, "response"))
            case "response.failed":
                raise stream_error(part(message, "response").get("error") or "the response failed")
            case "response.cancelled":
                raise failed("agent_unavailable", "the model's server cancelled the response")

    def _piece(self, kind: Any, message: dict[str, Any], index: str) -> Iterator[Piece]:
        """A delta; what belongs to another item or part than the one before is set apart from it."""
        text = message.get("delta")
        if not isinstance(text, str) or not text:
            return
        place = (message.get("output_index"), message.get(index))
        if self._said[kind] and self._last.get(kind) != place:
            text = f"\n\n{text}"
        self._last[kind] = place
        self._said[kind].append(text)
        yield Piece(kind, text)

    def _end(self, response: dict[str, Any]) -> Iterator[Piece]:
        self._response = response
        self.finished = self.ended = True
        if isinstance(response.get("usage"), dict):
            self.usage = usage_of(response["usage"])
        output = response.get("output")
        if not self._items and isinstance(output, list):
            self._items = {index: item for index, item in enumerate(output) if isinstance(item, dict)}
        if not self._said["text"]:  # a server that streams no deltas
            whole = "\n\n".join(filter(None, map(_text, self._output())))
            if whole:
                self._said["text"].append(whole)
                yield Piece("text", whole)

    def _output(self) -> list[dict[str, Any]]:
        return [self._items[index] for index in sorted(self._items)]

    def answer(self, prefix: str) -> Answer:
        output = self._output()
        raw = [
            RawCall(str(item.get("name") or ""), item.get("call_id") or item.get("id"), item.get("arguments") or "")
            for item in output
            if item.get("type") == "function_call"
        ]
        reason = part(self._response, "incomplete_details").get("reason")
        refused = self._refused or any(_refusal(item) for item in output)
        thought = any(item.get("type") == "reasoning" and item.get("encrypted_content") for item in output)
        return Answer(
            text="".join(self._said["text"]),
            reasoning="".join(self._said["reasoning"]),
            calls=calls_of(raw, prefix),
            stop="refusal" if refused else stop_of(reason, STOPS, raw),
            stop_reason=word(reason) or word(self._response.get("status")),
            usage=self.usage,
            model=word(self._response.get("model")),
            native=[_kept(item) for item in output] if thought and raw else None,
        )


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    """An item as it goes back; of a call no more than its place."""
    return {"type": "function_call"} if item.get("type") == "function_call" else item


def _text(item: dict[str, Any]) -> str:
    content = item.get("content") if item.get("type") == "message" else None
    parts = content if isinstance(content, list) else []
    return "".join(str(one.get("text") or "") for one in parts if isinstance(one, dict))


def _refusal(item: dict[str, Any]) -> bool:
    content = item.get("content") if item.get("type") == "message" else None
    return isinstance(content, list) and any(isinstance(one, dict) and one.get("type") == "refusal" for one in content)


def _entries(item: Item) -> list[dict[str, Any]]:
    match item:
        case User(text, pictures):
            images = [
                {
                    "type": "input_image",
                    "detail": "auto",
                    "image_url": f"data:{picture.media_type};base64,{b64encode(picture.content).decode()}",
                }
                for picture in pictures
            ]
            return [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}, *images]},
            ]
        case Assistant(calls=calls, native=list(native)):
            left = iter(calls)
            return [_told(next(left)) if entry["type"] == "function_call" else entry for entry in native]
        case Assistant(text, calls):
            said = [{"type": "message", "role": "assistant", "content": text}] if text else []
            return [*said, *map(_told, calls)]
        case Results(results):
            return [
                {"type": "function_call_output", "call_id": call_id(one.call), "output": one.text} for one in results
            ]


def _told(call: Call) -> dict[str, Any]:
    arguments = encode_json(arguments_of(call))
    return {"type": "function_call", "call_id": call_id(call), "name": call.name, "arguments": arguments}
