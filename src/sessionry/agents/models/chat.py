"""OpenAI's Chat Completions, which nearly every model server speaks: OpenAI, Ollama, vLLM, llama.cpp, OpenRouter ...

Format: https://platform.openai.com/docs/api-reference/chat. Tolerated: no ids, no usage or usage in a chunk of its own, no
`[DONE]`, arguments as an object, tool calls without an index, reasoning under either of its two names.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from sessionry.agents.models.failing import stream_error
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
    number,
    part,
    stop_of,
    word,
)
from sessionry.domain.codec import encode_json
from sessionry.domain.usage import Usage

STOPS: Mapping[str, Stop] = {
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "length",
    "model_length": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
}
#: What reasoning is called by DeepSeek, Qwen, llama.cpp and vLLM; and by OpenRouter, Ollama and newer vLLM.
REASONING = ("reasoning_content", "reasoning")


class Chat:
    """The protocol. See `wire.Wire`."""

    source = "openai chat"
    provider = "openai"
    default_url = "https://api.openai.com/v1"
    key_variable = "OPENAI_API_KEY"
    url_variable = "OPENAI_BASE_URL"
    options = frozenset(PER_RUN) - {"thinking", "thinking_budget", "reasoning_summary"}

    def url(self, base: str) -> str:
        return f"{base.rstrip('/')}/chat/completions"

    def headers(self, key: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def problem(self, settings: Settings, /) -> tuple[str, str] | None:
        if settings.reasoning_summary is not None:
            return "reasoning_summary", 'is nothing that Chat Completions knows; take api = "responses"'
        return None

    def body(self, request: Request, official: bool, /) -> dict[str, Any]:
        settings = request.settings
        system = [{"role": "system", "content": request.system}] if request.system else []
        limit = "max_completion_tokens" if official else "max_tokens"  # the old name, which others know
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [*system, *(message for item in request.items for message in _messages(item))],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        optional = {
            limit: settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "stop": settings.stop,
            "reasoning_effort": settings.reasoning_effort,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in request.tools
            ]
        if request.schema is not None:
            named = {"name": "output", "schema": request.schema, "strict": is_strict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def reader(self) -> Reader:
        return ChatReader()


class ChatReader:
    """Reads `chat.completion.chunk` events."""

    def __init__(self) -> None:
        self.finished = self.ended = False
        self.usage: Usage | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_name = REASONING[0]
        self._refusal: list[str] = []
        self._calls: dict[object, dict[str, Any]] = {}
        self._reason: str | None = None
        self._model: str | None = None

    def feed(self, event: str, data: str) -> Iterator[Piece]:
        if data.strip() == "[DONE]":
            self.ended = True
            self.finished = self.finished or bool(self._text or self._calls)
            return
        chunk = decoded(data)
        if chunk.get("error"):
            raise stream_error(chunk["error"])
        if event == "error":
            raise stream_error(chunk)
        self._model = self._model or word(chunk.get("model"))
        if isinstance(chunk.get("usage"), dict):
            self.usage = usage_of(chunk["usage"])
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            yield from self._choice(choices[0])

    def _choice(self, choice: dict[str, Any]) -> Iterator[Piece]:
        delta = part(choice, "delta")
        for name in REASONING:
            if isinstance(text := delta.get(name), str) and text:
                self._reasoning_name = name
                self._reasoning.append(text)
                yield Piece("reasoning", text)
                break
        for name, kept in (("content", self._text), ("refusal", self._refusal)):
            if isinstance(text := delta.get(name), str) and text:
                kept.append(text)
                if kept is self._text:
                    yield Piece("text", text)
        for call in delta.get("tool_calls") or []:
            self._call(call)
        if choice.get("finish_reason"):
            self._reason = str(choice["finish_reason"])
            self.finished = True

    def _call(self, call: dict[str, Any]) -> None:
        """A piece of a call belongs to its index; without one, a new id or a name begins a call."""
        function, id = part(call, "function"), call.get("id")
        key: object = call.get("index")
        if key is None:
            new = bool(id or function.get("name")) or not self._calls
            key = ("new", len(self._calls)) if new else next(reversed(self._calls))
        elif key in self._calls and id and self._calls[key]["id"] not in (None, id):
            key = (key, id)  # several calls under one index
        known = self._calls.setdefault(key, {"id": None, "name": "", "arguments": []})
        known["id"] = known["id"] or id or None
        known["name"] = known["name"] or str(function.get("name") or "")
        if (arguments := function.get("arguments")) not in (None, ""):
            known["arguments"].append(arguments)

    def answer(self, prefix: str) -> Answer:
        raw = [RawCall(call["name"], call["id"], _arguments(call["arguments"])) for call in self._calls.values()]
        reasoning = "".join(self._reasoning)
        return Answer(
            text="".join(self._text),
            reasoning=reasoning,
            calls=calls_of(raw, prefix),
            stop="refusal" if self._refusal else stop_of(self._reason, STOPS, raw),
            stop_reason=self._reason,
            usage=self.usage,
            model=self._model,
            native={self._reasoning_name: reasoning} if reasoning and raw else None,
        )


def _arguments(pieces: list[Any]) -> str | dict[str, Any]:
    if pieces and isinstance(pieces[-1], dict):
        return dict(pieces[-1])
    return "".join(piece if isinstance(piece, str) else encode_json(piece) for piece in pieces)


def usage_of(usage: dict[str, Any]) -> Usage:
    """OpenAI's counts, in which those of the caches are a part of the prompt's, as buckets that do not overlap.

    The prompt's `prompt_tokens` are called `input_tokens` by the Responses API. Some (xAI) leave reasoning out of the
    completion, which shows in the total.
    """
    given = number(usage, "prompt_tokens", "input_tokens")
    output = number(usage, "completion_tokens", "output_tokens")
    prompt_details = part(usage, "prompt_tokens_details") or part(usage, "input_tokens_details")
    output_details = part(usage, "completion_tokens_details") or part(usage, "output_tokens_details")
    read = number(prompt_details, "cached_tokens") or number(usage, "prompt_cache_hit_tokens")
    written = number(prompt_details, "cache_write_tokens")
    reasoning = number(output_details, "reasoning_tokens")
    if reasoning and number(usage, "total_tokens") == given + output + reasoning:
        output += reasoning
    return Usage(
        input_tokens=max(given - read - written, 0),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=min(reasoning, output),
    )


def _messages(item: Item) -> list[dict[str, Any]]:
    match item:
        case User(text, pictures):
            images = [
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:{picture.media_type};base64,{b64encode(picture.content).decode()}"},
                }
                for picture in pictures
            ]
            content = [{"type": "text", "text": text}, *images] if images else text
            return [{"role": "user", "content": content}]
        case Assistant(text, calls, native):
            message: dict[str, Any] = {"role": "assistant", "content": text or None}
            if calls:
                message["tool_calls"] = [_told(call) for call in calls]
            return [message | (native if isinstance(native, dict) else {})] if text or calls else []
        case Results(results):
            return [{"role": "tool", "tool_call_id": call_id(one.call), "content": one.text} for one in results]


def _told(call: Call) -> dict[str, Any]:
    arguments = encode_json(arguments_of(call))
    return {"id": call_id(call), "type": "function", "function": {"name": call.name, "arguments": arguments}}
