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

#: What providers and agents write, where the HTTP status does not tell. The first one that is found counts.
_WORDS: tuple[tuple[str, str], ...] = (
    (
        "quota",
        r"quota|billing|credit balance|out of credits|(usage|session|hour|weekly|spend) limit|hit your limit",
    ),
    (
        "context_too_long",
        r"context.?(length|window)|prompt is too long|too many tokens|maximum context|token count.{0,60}exceeds"
        r"|(input|request) (is )?too (long|large)",
    ),
    (
        "refused",
        r"content.?(filter|policy)|content management policy|\brefus(al|ed to answer)|safety (system|reasons|settings)"
        r"|usage polic|prohibited.?content",
    ),
    ("overloaded", r"overload|at capacity|high demand"),
    ("rate_limited", r"rate.?limit|too many requests|resource.?exhausted"),
    (
        "auth",
        r"(invalid|incorrect).{0,10}api.?key|api.?key.{0,10}(not valid|invalid|expired|missing)|authenticat|unauthori[sz]ed"
        r"|not logged in|permission.?(error|denied)|log ?in required|/login\b|token (has )?expired",
    ),
    (
        "agent_unavailable",
        r"connection (error|reset|refused|closed|aborted)|stream (disconnected|closed|ended)|timed? ?out"
        r"|econn(refused|reset)|enotfound|(fetch|dns lookup) failed|network (error|is unreachable)"
        r"|(cannot|unable to) connect",
    ),
)
_PATTERNS = tuple((code, re.compile(words, re.IGNORECASE | re.DOTALL)) for code, words in _WORDS)
#: A status that is told in words: `unexpected status 401`, `last status: 429`, `API Error: 529`.
_STATUS = re.compile(r"\b(?:status(?: code)?|api error|http(?: error)?|error code)[:=]? *([45]\d\d)\b", re.IGNORECASE)
#: `retry in 34.07s`, `try again in 1m12s`, `try again in 3 days 4 hours 5 minutes`, `"retryDelay": "34s"`.
_WAIT = re.compile(
    r"try(?: again)? (?:in|after)\s+((?:(?:and )?\d[\d.]*\s*(?:ms|s|m|h|d)[a-z]*[\s,]*)+)|retry_?delay\W+(\d[\d.]*s)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(milli|ms|s|m|h|d)", re.IGNORECASE)
_UNITS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
#: Seconds; a quota that is there again within them is none.
_SOON = 3600.0
#: `usage limit reached|1735689600`: the moment of the reset, in seconds since 1970.
_RESET = re.compile(r"limit reached\|(\d{9,11})\b")


def failure(code: str, message: str, *, retry_after: float | None = None, **details: Json) -> ErrorInfo:
    """The error of a run. `retry_after` in seconds; details that are None are left out."""
    known: dict[str, Json] = {name: value for name, value in details.items() if value is not None}
    return ErrorInfo(
        code=code, message=message, retryable=CODES[code].retryable, retry_after=retry_after, details=known
    )


def code_of(status: int | None, message: str) -> str:
    """The code for an HTTP status and what was said with it; either may be all there is."""
    said = next((code for code, words in _PATTERNS if words.search(message)), None)
    if status is None and (told := _STATUS.search(message)):
        status = int(told[1])
    if status is None:
        return _not_soon(said, message)
    if status in (401, 403):
        return said if said in ("quota", "refused") else "auth"
    if status == 402:
        return "quota"
    if status == 413:
        return "context_too_long"
    if status == 429:
        return _not_soon(said, message) if said == "quota" else "rate_limited"
    if status == 408 or status >= 500:
        return "overloaded"
    return said if said in ("quota", "context_too_long", "refused", "auth") else "request_rejected"


def _not_soon(said: str | None, message: str) -> str:
    """Some call the requests of a minute a quota: what is there again within an hour is a limit of the rate."""
    wait = waiting_time(message) if said == "quota" else None
    return "rate_limited" if wait is not None and wait <= _SOON else said or "agent_failed"


def http_failure(status: int | None, message: str, headers: Mapping[str, str] | None = None) -> ErrorInfo:
    """The error for an answer of a model's server. Header names are looked up in lower case."""
    return failure(
        code_of(status, message),
        message or f"HTTP status {status}",
        retry_after=waiting_time(message, headers),
        status=status,
    )


def waiting_time(
    message: str, headers: Mapping[str, str] | None = None, *, now: datetime | None = None
) -> float | None:
    """Seconds to wait by the headers, else by what the message says."""
    told = retry_after(headers or {}, now)
    if told is not None:
        return told
    if reset := _RESET.search(message):
        return max(float(reset[1]) - (now or datetime.now(UTC)).timestamp(), 0.0)
    if wait := _WAIT.search(message):
        return round(
            sum(float(number) * _UNITS[unit.lower()] for number, unit in _AMOUNT.findall(wait[1] or wait[2])), 3
        )
    return None


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
