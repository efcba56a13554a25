"""OpenAI's Responses API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from sessionry.testing.fakellm.answer import Answer, ToolCall
from sessionry.testing.fakellm.asked import Asked, Said, plain
from sessionry.testing.fakellm.protocol import Failure, Frame, new_id

Item = dict[str, Any]


class OpenAIResponses:
    name = "responses"

    def asked(self, _path: str, body: dict[str, Any], /) -> Asked:
        said, images = [], 0
        for item in _items_of(body["input"]):
            kind = item.get("type", "message")
            if kind == "message":
                said.append(Said(str(item.get("role")), plain(item.get("content"))))
                images += _images(item.get("content"))
            elif kind.endswith("call_output"):
                said.append(Said("tool", plain(item.get("output"))))
                images += _images(item.get("output"))
            elif kind.endswith("_call"):
                said.append(Said("call", str(item.get("name", kind))))
        return Asked(
            model=str(body["model"]),
            stream=bool(body.get("stream")),
            said=said,
            tools=list(_names(body.get("tools") or [])),
            images=images,
            schema=((body.get("text") or {}).get("format") or {}).get("schema"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        return _response(answer, "completed", _items(answer))

    def stream(self, answer: Answer) -> Iterator[Frame]:
        for number, frame in enumerate(_events(answer, _items(answer))):
            assert isinstance(frame.data, dict)
            yield frame._replace(data={**frame.data, "sequence_number": number})

    def failed(self, failure: Failure) -> dict[str, Any]:
        error = {"type": failure.type, "message": failure.message, "param": None, "code": failure.code or failure.type}
        return {"error": error}

    def broken(self, answer: Answer, failure: Failure, sent: int, /) -> Frame:
        response = _response(answer, "failed", [])
        response["error"] = {"code": failure.code or "server_error", "message": failure.message}
        return _frame("response.failed", response=response, sequence_number=sent)


def _items_of(input: Any) -> list[Item]:
    return [{"type": "message", "role": "user", "content": input}] if isinstance(input, str) else input


def _images(content: Any) -> int:
    return sum(part.get("type") == "input_image" for part in content) if isinstance(content, list) else 0


def _names(tools: list[dict[str, Any]]) -> Iterator[str]:
    for tool in tools:
        yield str(tool.get("name") or tool.get("type"))
        yield from _names([inner for inner in tool.get("tools") or [] if isinstance(inner, dict)])


def _events(answer: Answer, items: list[Item]) -> Iterator[Frame]:
    yield _frame("response.created", response=_response(answer, "in_progress", []))
    yield _frame("response.in_progress", response=_response(answer, "in_progress", []))
    for index, item in enumerate(items):
        yield from _events_of_item(answer, index, item)
    yield _frame("response.completed", response=_response(answer, "completed", items))


def _events_of_item(answer: Answer, index: int, item: Item) -> Iterator[Frame]:
    empty = {"message": "content", "reasoning": "summary", "function_call": "arguments", "custom_tool_call": "input"}
    key = empty[item["type"]]
    begun = {**item, key: type(item[key])()}
    if "status" in item:
        begun["status"] = "in_progress"
    where = {"item_id": item["id"], "output_index": index}
    yield _frame("response.output_item.added", output_index=index, item=begun)
    match item["type"]:
        case "message":
            yield from _events_of_text(answer, {**where, "content_index": 0}, item["content"][0])
        case "reasoning":
            yield from _events_of_summary(answer, {**where, "summary_index": 0})
        case "function_call":
            arguments = item["arguments"]
            yield _frame("response.function_call_arguments.delta", **where, delta=arguments)
            yield _frame("response.function_call_arguments.done", **where, name=item["name"], arguments=arguments)
        case _:
            yield _frame("response.custom_tool_call_input.delta", **where, delta=item["input"])
            yield _frame("response.custom_tool_call_input.done", **where, input=item["input"])
    yield _frame("response.output_item.done", output_index=index, item=item)


def _events_of_text(answer: Answer, where: dict[str, Any], part: dict[str, Any]) -> Iterator[Frame]:
    yield _frame("response.content_part.added", **where, part={**part, "text": ""})
    for piece in answer.pieces:
        yield _frame("response.output_text.delta", piece=True, **where, delta=piece, logprobs=[])
    yield _frame("response.output_text.done", **where, text=answer.text, logprobs=[])
    yield _frame("response.content_part.done", **where, part=part)


def _events_of_summary(answer: Answer, where: dict[str, Any]) -> Iterator[Frame]:
    yield _frame("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
    for thought in answer.thoughts:
        yield _frame("response.reasoning_summary_text.delta", **where, delta=thought)
    yield _frame("response.reasoning_summary_text.done", **where, text=answer.thinking)
    part = {"type": "summary_text", "text": answer.thinking}
    yield _frame("response.reasoning_summary_part.done", **where, part=part)


def _items(answer: Answer) -> list[Item]:
    items: list[Item] = []
    if answer.thinking:
        summary = [{"type": "summary_text", "text": answer.thinking}]
        items.append({"type": "reasoning", "id": new_id("rs"), "summary": summary, "encrypted_content": None})
    if answer.pieces:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        message = {"type": "message", "id": new_id("msg"), "role": "assistant", "status": "completed"}
        items.append({**message, "content": [part]})
    return items + [_call(call) for call in answer.calls]


def _call(call: ToolCall) -> Item:
    item = {"call_id": call.id, "name": call.name, "status": "completed"}
    if isinstance(call.input, str):
        return {"type": "custom_tool_call", "id": f"ctc_{call.id}", **item, "input": call.input}
    if call.namespace is not None:
        item["namespace"] = call.namespace
    return {"type": "function_call", "id": f"fc_{call.id}", **item, "arguments": call.arguments}


def _response(answer: Answer, status: str, output: list[Item]) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "model": answer.model,
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": _usage(answer) if status == "completed" else None,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.tokens
    return {
        "input_tokens": tokens.whole_input,
        "input_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.whole_input + tokens.output,
    }


def _frame(event: str, *, piece: bool = False, **data: Any) -> Frame:
    return Frame({"type": event, **data}, event, piece)
