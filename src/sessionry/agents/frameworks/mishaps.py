"""What went wrong in a framework or in the client of a model that it uses, in our taxonomy.

The clients of OpenAI and Anthropic, and those made after them, tell an HTTP status, headers and a body; what they raise for
a connection is named alike. So no client has to be imported to be understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sessionry.agents.failures import code_of, failure, http_failure
from sessionry.domain.errors import SessionryError
from sessionry.domain.run import ErrorInfo

#: Names of exceptions, of a class or of one that it is made of, and what they mean.
_NAMED: tuple[tuple[str, str], ...] = (
    ("MaxTurnsExceeded", "limit_reached"),
    ("UsageLimitExceeded", "limit_reached"),
    ("GraphRecursionError", "limit_reached"),
    ("InputGuardrailTripwireTriggered", "policy_violation"),
    ("OutputGuardrailTripwireTriggered", "policy_violation"),
    ("ContentFilterError", "refused"),
    ("ModelRefusalError", "refused"),
    ("ModelAuthenticationError", "auth"),
    ("ModelQuotaExceededError", "quota"),
    ("ModelContextWindowExceededError", "context_too_long"),
    ("ModelTimeoutError", "agent_unavailable"),
    ("ModelConnectionError", "agent_unavailable"),
    ("APITimeoutError", "agent_unavailable"),
    ("APIConnectionError", "agent_unavailable"),
    ("TransportError", "agent_unavailable"),
    ("ModelBehaviorError", "protocol"),
    ("UnexpectedModelBehavior", "protocol"),
)
#: Names whose message alone tells more: an error in the middle of a stream has no status.
_TELLING = ("APIError", "ModelAPIError", "ResponseError")


def mishap(error: BaseException) -> ErrorInfo | None:
    """The error of the run; None for one that says nothing of a model: the user's own code has failed."""
    for each in _chain(error):
        if isinstance(each, SessionryError):
            return ErrorInfo(code=each.code, message=each.message, retryable=each.retryable, details=each.details)
        if (status := getattr(each, "status_code", None)) is not None and type(status) is int:
            return _answered(status, each)
    for each in _chain(error):
        names = {kind.__name__ for kind in type(each).__mro__}
        for name, code in _NAMED:
            if name in names:
                telling = code == "protocol" and "server_error" in _message(each)
                return failure("overloaded" if telling else code, _message(each), kind=type(each).__name__)
        if names & set(_TELLING):
            code = code_of(None, f"{_message(each)} {getattr(each, 'code', None) or ''}")
            return failure("overloaded" if code == "agent_failed" else code, _message(each), kind=type(each).__name__)
    return None


def _answered(status: int, error: BaseException) -> ErrorInfo:
    """The error for an answer of a model's server. Its body says more than the exception, and has a code of its own."""
    body: Any = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    inner = inner if isinstance(inner, dict) else {}
    message = str(inner.get("message") or _message(error))
    code = code_of(status, f"{message} {inner.get('code') or ''} {inner.get('type') or ''}")
    after = http_failure(status, message, _headers(error)).retry_after
    return failure(code, message, retry_after=after, status=status)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup) and len(current.exceptions) == 1:
            current = current.exceptions[0]
        else:
            current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _message(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error) or type(error).__name__


def _headers(error: Any) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in dict(headers).items()}
