"""OpenAI's Chat Completions API, which most other servers of models speak too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from sessionry.testing.fakellm.answer import Answer
from sessionry.testing.fakellm.asked import Asked, Said, plain
from sessionry.testing.fakellm.protocol import Failure, Frame, new_id


class OpenAIChat:
    name = "chat"

    def asked(self, _path: str, body: dict[str, Any], /) -> Asked:
        said, images = [], 0
        for message in body["messages"]:
            role, content = message["role"], message.get("content")
            if role == "tool" or content:
                said.append(Said(role, plain(content)))
            if isinstance(content, list):
                images += sum(part.get("type") == "image_url" for part in content)
            said += [Said("call", call["function"]["name"]) for call in message.get("tool_calls") or []]
        form = (body.get("response_format") or {}).get("json_schema") or {}
        return Asked(
            model=str(body["model"]),
            stream=bool(body.get("stream")),
            said=said,
            tools=[str(tool.get("function", {}).get("name")) for tool in body.get("tools") or []],
            images=images,
            schema=form.get("schema"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in answer.calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": _finish(answer)}
        return {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}

    def stream(self, answer: Answer) -> Iterator[Frame]:
        head = _head(answer, "chat.completion.chunk")

        def chunk(delta: dict[str, Any], finish: str | None = None, *, piece: bool = False) -> Frame:
            return Frame({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, piece=piece)

        yield chunk({"role": "assistant", "content": ""})
        for thought in answer.thoughts:
            yield chunk({"reasoning_content": thought})
        for piece in answer.pieces:
            yield chunk({"content": piece}, piece=True)
        for index, call in enumerate(answer.calls):
            begun = {"name": call.name, "arguments": ""}
            yield chunk({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": begun}]})
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": call.arguments}}]})
        yield chunk({}, _finish(answer))
        yield Frame({**head, "choices": [], "usage": _usage(answer)})
        yield Frame("[DONE]")

    def failed(self, failure: Failure) -> dict[str, Any]:
        error = {"type": failure.type, "message": failure.message, "param": None, "code": failure.code or failure.type}
        return {"error": error}

    def broken(self, _answer: Answer, failure: Failure, _sent: int, /) -> Frame:
        error = {"message": failure.message, "type": "server_error", "param": None, "code": failure.code or 500}
        return Frame({"error": error})


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": new_id("chatcmpl"), "object": kind, "created": int(time.time()), "model": answer.model}


def _finish(answer: Answer) -> str:
    return answer.step.stop or ("tool_calls" if answer.calls else "stop")


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.tokens
    return {
        "prompt_tokens": tokens.whole_input,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write},
        "completion_tokens": tokens.output,
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.whole_input + tokens.output,
    }
