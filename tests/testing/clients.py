"""Clients of the scripted model that are none of ours: the vendors' own, and for Gemini its plain HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2  # the one that the vendors' clients are built on
import openai

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MODEL, TOOL = "some-model", "Bash"
#: What a client raises when an answer is cut.
_CUT_ANTHROPIC = (anthropic.APIError, httpx2.TransportError)
_CUT_OPENAI = (openai.APIError, httpx2.TransportError)
_PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}}


class Heard(NamedTuple):
    """An answer. `usage` is input, cache read, output and reasoning, as the protocol has them."""

    pieces: list[str]
    thinking: str
    calls: list[tuple[str, Any]]
    usage: tuple[int, int, int, int]
    stop: str | None
    model: str

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Problem(Exception):
    """What a client made of a failure; `status` None: in the middle of an answer."""

    def __init__(self, status: int | None, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class Question(NamedTuple):
    """`results` are the results of one parallel round each; `picture` puts one beside the prompt."""

    prompt: str
    results: tuple[tuple[str, ...], ...] = ()
    picture: bool = False
    schema: dict[str, Any] | None = None


Client = Callable[[str, Question, bool], Heard]


def ask_anthropic(url: str, question: Question, stream: bool) -> Heard:
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    picture = [{"type": "image", "source": source}] if question.picture else []
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": question.prompt}, *picture]}]
    for number, round in enumerate(question.results):
        ids = [f"toolu_{number}_{index}" for index in range(len(round))]
        calls = [{"type": "tool_use", "id": id, "name": TOOL, "input": {}} for id in ids]
        results = [
            {"type": "tool_result", "tool_use_id": id, "content": text} for id, text in zip(ids, round, strict=True)
        ]
        messages += [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    wanted: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": messages}
    wanted["tools"] = [{"name": TOOL, "input_schema": _PARAMETERS}]
    if question.schema is not None:
        wanted["output_config"] = {"format": {"type": "json_schema", "schema": question.schema}}
    pieces: list[str] = []
    with anthropic.Anthropic(base_url=url, api_key="key", max_retries=0, http_client=_quick()) as client:
        try:
            if stream:
                with client.messages.stream(**wanted) as events:
                    pieces += events.text_stream
                    message: Any = events.get_final_message()
            else:
                message = client.messages.create(**wanted)
        except anthropic.APIStatusError as error:
            raise Problem(error.status_code, f"{error} {error.body}", error.response.headers) from error
        except _CUT_ANTHROPIC as error:
            raise Problem(None, str(error), {}) from error
    blocks = message.content
    return Heard(
        pieces or [block.text for block in blocks if block.type == "text"],
        "".join(block.thinking for block in blocks if block.type == "thinking"),
        [(block.name, block.input) for block in blocks if block.type == "tool_use"],
        (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens, 0),
        message.stop_reason,
        message.model,
    )


def ask_responses(url: str, question: Question, stream: bool) -> Heard:
    picture = [{"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}] if question.picture else []
    items: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": question.prompt}, *picture]}]
    for number, round in enumerate(question.results):
        ids = [f"call_{number}_{index}" for index in range(len(round))]
        items += [{"type": "function_call", "call_id": id, "name": TOOL, "arguments": "{}"} for id in ids]
        items += [
            {"type": "function_call_output", "call_id": id, "output": text} for id, text in zip(ids, round, strict=True)
        ]
    wanted: dict[str, Any] = {"model": MODEL, "input": items}
    wanted["tools"] = [{"type": "function", "name": TOOL, "parameters": _PARAMETERS, "strict": False}]
    if question.schema is not None:
        wanted["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": question.schema}}
    pieces: list[str] = []
    with _openai(url) as client:
        try:
            if stream:
                with client.responses.stream(**wanted) as events:
                    for event in events:
                        if event.type == "response.output_text.delta":
                            pieces.append(event.delta)
                        if event.type == "response.failed":
                            raise Problem(None, str(event.response.error), {})
                    response: Any = events.get_final_response()
            else:
                response = client.responses.create(**wanted)
        except openai.APIStatusError as error:
            raise Problem(error.status_code, f"{error} {error.body}", error.response.headers) from error
        except _CUT_OPENAI as error:
            raise Problem(None, str(error), {}) from error
    usage = response.usage
    return Heard(
        pieces or [part.text for item in response.output if item.type == "message" for part in item.content],
        "".join(part.text for item in response.output if item.type == "reasoning" for part in item.summary),
        [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"],
        (
            usage.input_tokens,
            usage.input_tokens_details.cached_tokens,
            usage.output_tokens,
            usage.output_tokens_details.reasoning_tokens,
        ),
        response.status,
        response.model,
    )


def ask_chat(url: str, question: Question, stream: bool) -> Heard:
    link = {"url": f"data:image/png;base64,{PICTURE}"}
    picture = [{"type": "image_url", "image_url": link}] if question.picture else []
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": question.prompt}, *picture]}]
    for number, round in enumerate(question.results):
        ids = [f"call_{number}_{index}" for index in range(len(round))]
        function = {"name": TOOL, "arguments": "{}"}
        calls = [{"id": id, "type": "function", "function": function} for id in ids]
        messages.append({"role": "assistant", "tool_calls": calls})
        messages += [{"role": "tool", "tool_call_id": id, "content": text} for id, text in zip(ids, round, strict=True)]
    wanted: dict[str, Any] = {"model": MODEL, "messages": messages}
    wanted["tools"] = [{"type": "function", "function": {"name": TOOL, "parameters": _PARAMETERS}}]
    if question.schema is not None:
        form = {"name": "answer", "schema": question.schema}
        wanted["response_format"] = {"type": "json_schema", "json_schema": form}
    pieces: list[str] = []
    thoughts: list[str] = []
    with _openai(url) as client:
        try:
            if stream:
                with client.chat.completions.stream(**wanted, stream_options={"include_usage": True}) as events:
                    for event in events:
                        if event.type == "chunk" and event.chunk.choices:
                            delta = event.chunk.choices[0].delta
                            pieces += [delta.content] if delta.content else []
                            thoughts += [(delta.model_extra or {}).get("reasoning_content") or ""]
                    done: Any = events.get_final_completion()
            else:
                done = client.chat.completions.create(**wanted)
                thoughts += [(done.choices[0].message.model_extra or {}).get("reasoning_content") or ""]
        except openai.APIStatusError as error:
            raise Problem(error.status_code, f"{error} {error.body}", error.response.headers) from error
        except _CUT_OPENAI as error:
            raise Problem(None, str(error), {}) from error
    [choice], usage = done.choices, done.usage
    return Heard(
        pieces or [choice.message.content or ""],
        "".join(thoughts),
        [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []],
        (
            usage.prompt_tokens,
            usage.prompt_tokens_details.cached_tokens,
            usage.completion_tokens,
            usage.completion_tokens_details.reasoning_tokens,
        ),
        choice.finish_reason,
        done.model,
    )


def ask_gemini(url: str, question: Question, stream: bool) -> Heard:
    picture = [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}] if question.picture else []
    contents: list[Any] = [{"role": "user", "parts": [{"text": question.prompt}, *picture]}]
    for round in question.results:
        calls = [{"functionCall": {"name": TOOL, "args": {}}} for _ in round]
        results = [{"functionResponse": {"name": TOOL, "response": {"output": text}}} for text in round]
        contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    body: dict[str, Any] = {"contents": contents}
    body["tools"] = [{"functionDeclarations": [{"name": TOOL, "parameters": _PARAMETERS}]}]
    if question.schema is not None:
        body["generationConfig"] = {"responseMimeType": "application/json", "responseJsonSchema": question.schema}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    try:
        answer = httpx.post(f"{url}/v1beta/models/{MODEL}:{verb}", json=body, timeout=30, verify=False)
    except httpx.TransportError as error:
        raise Problem(None, str(error), {}) from error
    if answer.status_code != 200:
        raise Problem(answer.status_code, answer.json()["error"]["message"], answer.headers)
    responses = list(_server_sent(answer.text)) if stream else [answer.json()]
    for response in responses:
        if "error" in response:
            raise Problem(None, response["error"]["message"], {})
    parts = [part for response in responses for part in response["candidates"][0]["content"]["parts"]]
    texts = [part for part in parts if part.get("text")]
    usage = responses[-1]["usageMetadata"]
    return Heard(
        [part["text"] for part in texts if not part.get("thought")],
        "".join(part["text"] for part in texts if part.get("thought")),
        [(part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part],
        (
            usage["promptTokenCount"],
            usage["cachedContentTokenCount"],
            usage["candidatesTokenCount"] + usage["thoughtsTokenCount"],
            usage["thoughtsTokenCount"],
        ),
        responses[-1]["candidates"][0]["finishReason"],
        responses[-1]["modelVersion"],
    )


CLIENTS: dict[str, Client] = {
    "anthropic": ask_anthropic,
    "responses": ask_responses,
    "chat": ask_chat,
    "gemini": ask_gemini,
}


def _openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, http_client=_quick())


def _quick() -> httpx2.Client:
    """Without certificates, which take longer to load than all the rest of a test."""
    return httpx2.Client(verify=False, timeout=30)


def _server_sent(text: str) -> Iterator[Any]:
    for event in text.split("\n\n"):
        if event:
            assert event.startswith("data: ")
            yield json.loads(event.removeprefix("data: "))
