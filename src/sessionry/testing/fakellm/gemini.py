"""Google's Gemini API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sessionry.testing.fakellm.answer import Answer
from sessionry.testing.fakellm.asked import Asked, Said, plain
from sessionry.testing.fakellm.protocol import Failure, Frame, new_id

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class Gemini:
    name = "gemini"

    def asked(self, path: str, body: dict[str, Any], /) -> Asked:
        said, images = [], 0
        for content in body["contents"]:
            for part in content.get("parts", []):
                said += _said(content.get("role"), part)
                images += "inlineData" in part or "fileData" in part
        named = re.search(r"/models/([^:/]+):", path)
        settings = body.get("generationConfig") or {}
        return Asked(
            model=named[1] if named else "unknown",
            stream="streamGenerateContent" in path,
            said=said,
            tools=[one["name"] for tool in body.get("tools") or [] for one in tool.get("functionDeclarations", [])],
            images=images,
            schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        thought = [{"text": answer.thinking, "thought": True}] if answer.thinking else []
        text = [{"text": answer.text}] if answer.pieces else []
        return _response(answer, [*thought, *text, *_calls(answer)], _finish(answer), new_id("res"))

    def stream(self, answer: Answer) -> Iterator[Frame]:
        id = new_id("res")
        for thought in answer.thoughts:
            yield Frame(_response(answer, [{"text": thought, "thought": True}], None, id))
        for piece in answer.pieces:
            yield Frame(_response(answer, [{"text": piece}], None, id), piece=True)
        yield Frame(_response(answer, _calls(answer) or [{"text": ""}], _finish(answer), id))

    def failed(self, failure: Failure) -> dict[str, Any]:
        status = failure.code or _STATUS.get(failure.status, "INTERNAL")
        return {"error": {"code": failure.status, "message": failure.message, "status": status}}

    def broken(self, _answer: Answer, failure: Failure, _sent: int, /) -> Frame:
        return Frame(self.failed(failure))


def _said(role: str | None, part: dict[str, Any]) -> list[Said]:
    if "text" in part:
        return [Said("assistant" if role == "model" else "user", part["text"])]
    if "functionResponse" in part:
        response = part["functionResponse"].get("response", {})
        return [Said("tool", plain(response.get("output", json.dumps(response))))]
    if "functionCall" in part:
        return [Said("call", part["functionCall"]["name"])]
    return []


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [{"functionCall": {"id": call.id, "name": call.name, "args": call.input}} for call in answer.calls]


def _finish(answer: Answer) -> str:
    return answer.step.stop or "STOP"


def _response(answer: Answer, parts: list[dict[str, Any]], finish: str | None, id: str) -> dict[str, Any]:
    tokens = answer.tokens
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    return {
        "candidates": [candidate if finish is None else {**candidate, "finishReason": finish}],
        "modelVersion": answer.model,
        "responseId": id,
        "usageMetadata": {
            "promptTokenCount": tokens.whole_input,
            "cachedContentTokenCount": tokens.cache_read,
            "candidatesTokenCount": tokens.output - tokens.reasoning,
            "thoughtsTokenCount": tokens.reasoning,
            "totalTokenCount": tokens.whole_input + tokens.output,
        },
    }
