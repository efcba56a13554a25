"""What went wrong with an agent, in one taxonomy, whatever it sends.

| code | means | retryable |
|---|---|---|
| `auth` | the key or the login was refused | no |
| `quota` | no credit, or a plan's allowance is used up | no |
| `rate_limited` | too many requests; `retry_after` says how long to wait | yes |
| `overloaded` | the model's server has no room or fails | yes |
| `context_too_long` | the conversation does not fit the model | no |
| `request_rejected` | the model's server does not take the request | no |
| `refused` | the model declines to answer | no |
| `stalled` | nothing was heard for too long | yes |
| `crashed` | the agent's program ended when it should not have | yes |
| `protocol` | the agent said what nobody can understand | no |
| `limit_reached` | a limit of the user's own: turns, budget, tokens | no |
| `command_not_found` | the agent's program is not installed | no |
| `agent_unavailable` | whoever serves the agent or its model cannot be reached | yes |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sessionry.domain.errors import CODES
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo

#: What people write of quotas and of conversations that are too long, where the HTTP status does not tell.
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("quota", re.compile(r"insufficient_quota|quota|billing|credit balance|usage limit|out of credits", re.IGNORECASE)),
    (
        "context_too_long",
        re.compile(r"context.?(length|window)|prompt is too long|too many tokens|maximum context", re.IGNORECASE),
    ),
    ("refused", re.compile(r"content.?(filter|policy)|\brefus(al|ed to answer)|safety system", re.IGNORECASE)),
    ("overloaded", re.compile(r"overloaded|at capacity|server_is_overloaded", re.IGNORECASE)),
    ("rate_limited", re.compile(r"rate.?limit|too many requests", re.IGNORECASE)),
    (
        "auth",
        re.compile(
            r"invalid.{0,10}api.?key|authenticat|unauthori[sz]ed|not logged in|permission_error|log ?in required",
            re.IGNORECASE,
        ),
    ),
)


def failure(code: str, message: str, *, retry_after: float | None = None, **details: Json) -> ErrorInfo:
    """The error of a run. `retry_after` in seconds; details that are None are left out."""
    known: dict[str, Json] = {name: value for name, value in details.items() if value is not None}
    return ErrorInfo(
        code=code, message=message, retryable=CODES[code].retryable, retry_after=retry_after, details=known
    )


def code_of(status: int | None, message: str) -> str:
    """The code for an HTTP status and what was said with it; either may be all there is."""
    said = next((code for code, words in _WORDS if words.search(message)), None)
    if status is None:
        return said or "agent_failed"
    if status in (401, 403):
        return said if said in ("quota", "refused") else "auth"
    if status == 402:
        return "quota"
    if status == 413:
        return "context_too_long"
    if status == 429:
        return "quota" if said == "quota" else "rate_limited"
    if status == 408 or status >= 500:
        return "overloaded"
    return said if said in ("quota", "context_too_long", "refused") else "request_rejected"


def http_failure(status: int | None, message: str, headers: Mapping[str, str] | None = None) -> ErrorInfo:
    """The error for an answer of a model's server. Header names are looked up in lower case."""
    return failure(
        code_of(status, message),
        message or f"HTTP status {status}",
        retry_after=retry_after(headers or {}),
        status=status,
    )


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait by `retry-after-ms` or by `retry-after` (seconds, or a date; RFC 9110, section 10.2.3)."""
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and re.fullmatch(r"\d{1,12}(\.\d+)?", milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - (now or datetime.now(UTC))).total_seconds(), 0.0)
