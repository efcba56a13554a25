"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionry.testing.fakellm.answer import Answer, Tokens
from sessionry.testing.fakellm.asked import Asked, Said, plain
from sessionry.testing.fakellm.protocol import Failure, Frame, new_id

_SIGNATURE = "c2NyaXB0ZWQ="
#: Characters of a tool's arguments in one event.
_STRIDE = 40


class AnthropicMessages:
    name = "anthropic"

    def asked(self, _path: str, body: dict[str, Any], /) -> Asked:
        said, images = [], 0
        for message in body["messages"]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                said += _said(message["role"], block)
                images += _images(block)
        form = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
        return Asked(
            model=str(body["model"]),
            stream=bool(body.get("stream")),
            said=said,
            tools=[str(tool.get("name")) for tool in body.get("tools") or []],
            images=images,
            schema=form.get("schema"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if answer.thinking:
            content.append({"type": "thinking", "thinking": answer.thinking, "signature": _SIGNATURE})
        if answer.pieces:
            content.append({"type": "text", "text": answer.text})
        content += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input} for call in answer.calls
        ]
        return {**_message(answer), "content": content, "stop_reason": _stop(answer), "usage": _usage(answer.tokens)}

    def stream(self, answer: Answer) -> Iterator[Frame]:
        # As the real one does it, the first event counts one token of output; the last one counts them all.
        begun = {**_message(answer), "usage": _usage(answer.tokens._replace(output=1))}
        yield _frame("message_start", message=begun)
        yield _frame("ping")
        index = 0
        for index, (block, deltas) in enumerate(_blocks(answer)):
            yield _frame("content_block_start", index=index, content_block=block)
            for delta in deltas:
                piece = delta["type"] == "text_delta"
                yield _frame("content_block_delta", piece=piece, index=index, delta=delta)
            yield _frame("content_block_stop", index=index)
        delta = {"stop_reason": _stop(answer), "stop_sequence": None}
        yield _frame("message_delta", delta=delta, usage=_usage(answer.tokens))
        yield _frame("message_stop")

    def failed(self, failure: Failure) -> dict[str, Any]:
        error = {"type": failure.code or failure.type, "message": failure.message}
        return {"type": "error", "error": error, "request_id": new_id("req")}

    def broken(self, _answer: Answer, failure: Failure, _sent: int, /) -> Frame:
        return Frame(self.failed(failure._replace(code=failure.code or "overloaded_error")), "error")


def _said(role: str, block: dict[str, Any]) -> list[Said]:
    match block.get("type"):
        case "text":
            return [Said(role, block["text"])]
        case "tool_result":
            return [Said("tool", plain(block.get("content")))]
        case "tool_use":
            return [Said("call", str(block.get("name")))]
        case _:
            return []


def _images(block: dict[str, Any]) -> int:
    inside = block.get("content") if block.get("type") == "tool_result" else None
    return (block.get("type") == "image") + (sum(map(_images, inside)) if isinstance(inside, list) else 0)


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The blocks of the content, as they begin, and what comes to each."""
    if answer.thinking:
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in answer.thoughts]
        signed = {"type": "signature_delta", "signature": _SIGNATURE}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
    if answer.pieces:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer.pieces]
    for call in answer.calls:
        arguments = call.arguments
        parts = [arguments[at : at + _STRIDE] for at in range(0, len(arguments), _STRIDE)]
        begun = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield begun, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _stop(answer: Answer) -> str:
    return answer.step.stop or ("tool_use" if answer.calls else "end_turn")


def _usage(tokens: Tokens) -> dict[str, int]:
    return {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
    }


def _frame(event: str, *, piece: bool = False, **data: Any) -> Frame:
    return Frame({"type": event, **data}, event, piece)
