"""What Codex says of failures, in our taxonomy.

It tells an error of its own list, or the HTTP status of the model's server, or neither: then the words have to do.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sessionry.agents.failures import code_of, failure
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.run import ErrorInfo

#: `codexErrorInfo` where it is a word.
_CODES = {
    "contextWindowExceeded": "context_too_long",
    "sessionBudgetExceeded": "limit_reached",
    "usageLimitExceeded": "quota",
    "rateLimitExceeded": "rate_limited",
    "flexUnavailable": "overloaded",
    "serverOverloaded": "overloaded",
    "internalServerError": "overloaded",
    "cyberPolicy": "refused",
    "misalignmentPolicyViolation": "refused",
    "tooManyDenials": "limit_reached",
    "unauthorized": "auth",
}
_STATUS = re.compile(r"(?:unexpected|last) status:? (\d{3})")


def error_of(error: Any) -> ErrorInfo:
    """The error of a turn, or of an `error` notification."""
    error = error if isinstance(error, dict) else {"message": str(error)}
    info, message = error.get("codexErrorInfo"), str(error.get("message") or "Codex gave no reason")
    status = _status(info, message)
    message, refusal = _unwrapped(message)
    if isinstance(info, str) and info in _CODES:
        code = _CODES[info]
    elif status is not None:
        code = code_of(status, f"{message} {refusal or ''}")
    elif refusal is not None or info == "badRequest":
        code = code_of(400, f"{message} {refusal or ''}")
    elif "idle timeout" in message:
        code = "stalled"
    elif "disconnected" in message or not isinstance(info, str):
        code = "agent_unavailable"
    else:
        code = code_of(None, message)
    name = info if isinstance(info, str) else next(iter(info), None) if isinstance(info, dict) else None
    return failure(code, message, status=status, codex_error=name)


def survived(error: Any) -> EventData:
    """What the log is told of an error after which Codex tries again by itself."""
    error = error if isinstance(error, dict) else {"message": str(error)}
    details = error.get("additionalDetails") or error.get("message")
    found = error_of({**error, "message": details})
    message = f"{error.get('message')} ({details})"
    if found.code == "rate_limited":
        return ev.RateLimited(message=message)
    return ev.ErrorOccurred(error=msgspec.structs.replace(found, message=message))


def _status(info: Any, message: str) -> int | None:
    if isinstance(info, dict):
        for detail in info.values():
            if isinstance(detail, dict) and isinstance(detail.get("httpStatusCode"), int):
                return int(detail["httpStatusCode"])
    found = _STATUS.search(message)
    return int(found[1]) if found else None


def _unwrapped(message: str) -> tuple[str, str | None]:
    """A message that is the JSON of a refused request as its words, and its code or type."""
    try:
        error = msgspec.json.decode(message.encode())["error"]
        return str(error["message"]), str(error.get("code") or error.get("type"))
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return message, None
