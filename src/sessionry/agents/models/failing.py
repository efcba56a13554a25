"""How asking a model fails: what its server sends, and what becomes of a connection, in the words of `agents.failures`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sessionry.agents.failures import code_of, failure, retry_after
from sessionry.domain.codec import NO_JSON
from sessionry.domain.run import ErrorInfo

#: Characters of a server's message that are kept.
LONGEST_MESSAGE = 2000

#: What errors are called in a stream, where there is no HTTP status, and the status that means the same.
_STATUS = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "overloaded": 529,
}


class ModelFailed(Exception):
    """An answer did not come, or not whole. `info.retryable`: it may come when it is asked for again."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


def failed(code: str, message: str, **details: Any) -> ModelFailed:
    return ModelFailed(failure(code, message, **details))


def http_error(status: int, body: bytes, headers: Mapping[str, str], secret: str | None) -> ModelFailed:
    """For an answer with an error status. The key is never told on, though some servers repeat it."""
    error = _error_in(body)
    message = _message(error) or body.decode(errors="replace").strip() or f"HTTP status {status}"
    words = f"{message} {error.get('type')} {error.get('code')}"
    info = failure(
        code_of(status, words),
        without(secret, message)[:LONGEST_MESSAGE],
        retry_after=retry_after(headers),
        status=status,
        type=_word(error.get("type")),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
    )
    if headers.get("x-should-retry") == "false":
        info = msgspec.structs.replace(info, retryable=False)
    return ModelFailed(info)


def stream_error(error: Any) -> ModelFailed:
    """For an error in the middle of a stream."""
    error = error if isinstance(error, dict) else {"message": str(error)}
    kind, code = error.get("type"), error.get("code")
    status = code if isinstance(code, int) else _STATUS.get(str(code)) or _STATUS.get(str(kind)) or 500
    message = _message(error) or "the model's server reported an error"
    known = code_of(status, f"{message} {kind} {code}")
    return ModelFailed(failure(known, message[:LONGEST_MESSAGE], type=_word(kind)))


def without(secret: str | None, text: str) -> str:
    return text.replace(secret, "***") if secret else text


def _error_in(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except NO_JSON:
        return {}
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        return {}
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": str(error)}


def _message(error: Mapping[str, Any]) -> str:
    message = error.get("message") or error.get("detail")
    return message if isinstance(message, str) else ""


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None
