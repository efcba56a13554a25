"""What goes wrong with an agent of the protocol, in our codes."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sessionry.agents.failures import code_of, failure
from sessionry.domain.errors import AgentFailed
from sessionry.domain.run import ErrorInfo

#: Codes of JSON-RPC and of the protocol.
_RPC = {-32700: "protocol", -32600: "protocol", -32601: "protocol", -32602: "request_rejected", -32000: "auth"}
#: What agents write into `data.errorKind`.
_KINDS = {
    "authentication_failed": "auth",
    "auth_required": "auth",
    "oauth_org_not_allowed": "auth",
    "billing_error": "quota",
    "rate_limit": "rate_limited",
    "overloaded": "overloaded",
    "server_error": "overloaded",
    "invalid_request": "request_rejected",
    "model_not_found": "request_rejected",
    "max_output_tokens": "limit_reached",
    "provider_error": "overloaded",
}
#: An HTTP status in a sentence: `API Error: 401 ...`, `unexpected status 500 ...`, `[API Error: 429 ...]`.
_STATUS = re.compile(r"(?:\b(?:error|status|code|http)\b\W{0,3}|^)([45]\d\d)\b", re.IGNORECASE)
#: What is said of a connection that breaks or never comes about.
_UNREACHABLE = re.compile(
    r"fetch failed|ECONN(REFUSED|RESET)|connection (error|refused|reset|closed)|ENOTFOUND|socket hang up|terminated"
    r"|stream (disconnected|closed|ended)|error sending request|premature|network|timed? ?out",
    re.IGNORECASE,
)
#: What is not said by anybody else.
_WORDS = (
    # two of Codex that are the first in a new home, at the same time
    ("agent_unavailable", re.compile(r"failed to initialize (sqlite )?state runtime", re.IGNORECASE)),
    ("overloaded", re.compile(r"high demand|temporarily unavailable", re.IGNORECASE)),
    ("request_rejected", re.compile(r"invalid_request_error|invalid request", re.IGNORECASE)),
)
_SECONDS = re.compile(r"(?:retry|try again)[^.\d]{0,20}(\d{1,6}(?:\.\d+)?) ?(ms|s|m)?", re.IGNORECASE)


def failed(method: str, code: int, message: str, data: Any, login: str | None = None) -> AgentFailed:
    """The error for a request that the agent answered with one. `login` is what helps who is not logged in."""
    info = with_remedy(info_of(code, message, data), login)
    details = {**info.details, "method": method, **({"retry_after": info.retry_after} if info.retry_after else {})}
    return AgentFailed(info.code, info.message, details=details, retryable=info.retryable)


def info_of(code: int, message: str, data: Any) -> ErrorInfo:
    said = _words(message, data)
    kind = data.get("errorKind") if isinstance(data, dict) else None
    status = code if 400 <= code <= 599 else _status(said)
    if code == 0 and status is None and not said:
        said = "the agent gave no reason"
    return failure(
        _code(code, str(kind) if kind else None, status, said),
        said[:2000],
        retry_after=_retry_after(said),
        status=status,
        rpc_code=code if code < 0 else None,
        kind=kind if isinstance(kind, str) else None,
    )


def info_of_words(text: str) -> ErrorInfo:
    """The error for a failure that an agent tells as if it was an answer: what the model's server sent, word for word."""
    info = info_of(0, text.strip(), None)
    try:
        said = str(msgspec.json.decode(text)["error"]["message"])
    except (msgspec.DecodeError, LookupError, TypeError):
        return info
    return msgspec.structs.replace(info, message=said)


def with_remedy(info: ErrorInfo, login: str | None) -> ErrorInfo:
    """Who is not logged in is told how to."""
    if info.code != "auth" or login is None:
        return info
    return msgspec.structs.replace(info, message=f"{info.message.rstrip('.')}; {login}")


def _code(code: int, kind: str | None, status: int | None, said: str) -> str:
    if kind in _KINDS:
        known = _KINDS[kind]
        return code_of(429, said) if known == "rate_limited" else known
    if status is not None:
        return code_of(status, said)
    guessed = next((code for code, words in _WORDS if words.search(said)), code_of(None, said))
    if guessed != "agent_failed":
        return guessed
    if code in _RPC:
        return _RPC[code]
    return "agent_unavailable" if _UNREACHABLE.search(said) else "agent_failed"


def _words(message: str, data: Any) -> str:
    """The sentence, with what `data` has to add: many agents write only "Internal error" into the message."""
    more: list[str] = []
    for value in data.values() if isinstance(data, dict) else [data]:
        if isinstance(value, str) and value not in message and value not in more:
            more.append(value)
        elif isinstance(value, dict) and isinstance(value.get("message"), str):
            more.append(value["message"])
    return ": ".join([message, *more]).strip()


def _status(said: str) -> int | None:
    match = _STATUS.search(said)
    return int(match[1]) if match else None


def _retry_after(said: str) -> float | None:
    match = _SECONDS.search(said)
    if match is None:
        return None
    return float(match[1]) * {"ms": 0.001, "m": 60.0}.get((match[2] or "s").lower(), 1.0)
