"""Every way in which Sessionry says no.

    SessionryError                 the root; catch this one to catch all
    |- InvalidInput                a value that the caller gave is wrong; mend it and try again
    |- NotFound                    the thing that was named is not there (or not in your scope)
    |- Conflict                    the thing is in a state that does not allow the request
    |  `- InvalidTransition        a status that the transition tables do not allow
    |- Fenced                      the lease is over: another worker owns the run, or the run has ended
    |- Exhausted                   a limit was reached: queue, slots, size, budget
    |- AgentFailed                 the agent, or the program behind it, failed
    |- StoreFailed                 the database or the disk failed; nothing of the request was kept
    `- Timeout                     the caller's own waiting time is over; the work itself goes on

The class says what a caller can do about it, `code` says exactly what happened. `CODES` is the one table from which
the HTTP status, the exit code of the command line and the default of `retryable` are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Code(NamedTuple):
    """What follows from an error code."""

    category: str
    retryable: bool
    http_status: int
    exit_code: int


#: Exit codes: 1 failed, 2 wrong usage or input, 3 cancelled, 4 timeout, 5 not found, 6 conflict, 7 store or environment.
CODES: Mapping[str, Code] = {
    # input
    "validation_error": Code("input", False, 422, 2),
    "invalid_status": Code("input", False, 422, 2),
    "invalid_event_type": Code("input", False, 422, 2),
    "invalid_cursor": Code("input", False, 422, 2),
    "invalid_configuration": Code("input", False, 422, 2),
    "payload_too_large": Code("input", False, 413, 2),
    "ambiguous_id": Code("input", False, 422, 2),
    "capability_not_supported": Code("input", False, 422, 2),
    "missing_required_capability": Code("input", False, 422, 2),
    # not found
    "session_not_found": Code("not_found", False, 404, 5),
    "run_not_found": Code("not_found", False, 404, 5),
    "approval_not_found": Code("not_found", False, 404, 5),
    "agent_not_found": Code("not_found", False, 404, 5),
    "blob_not_found": Code("not_found", False, 404, 5),
    "worker_not_found": Code("not_found", False, 404, 5),
    "token_not_found": Code("not_found", False, 404, 5),
    "event_type_not_found": Code("not_found", False, 404, 5),
    "webhook_not_found": Code("not_found", False, 404, 5),
    "notice_not_found": Code("not_found", False, 404, 5),
    "gone": Code("not_found", False, 410, 5),
    # who asks, and how
    "unauthenticated": Code("access", False, 401, 2),
    "forbidden": Code("access", False, 403, 2),
    "precondition_required": Code("access", False, 428, 2),
    "too_many_requests": Code("access", True, 429, 6),
    # state
    "invalid_transition": Code("conflict", False, 409, 6),
    "invalid_operation": Code("conflict", False, 409, 6),
    "already_exists": Code("conflict", False, 409, 6),
    "already_decided": Code("conflict", False, 409, 6),
    "idempotency_conflict": Code("conflict", False, 422, 6),
    "idempotency_in_flight": Code("conflict", True, 409, 6),
    "stale_version": Code("conflict", True, 412, 6),
    "stale_sequence": Code("conflict", True, 409, 6),
    "fenced": Code("conflict", False, 409, 6),
    # limits
    "queue_full": Code("limit", True, 429, 6),
    "too_many_sessions": Code("limit", True, 429, 6),
    "too_many_webhooks": Code("limit", False, 409, 6),
    "policy_violation": Code("limit", False, 403, 1),
    # agents
    "agent_failed": Code("agent", False, 502, 1),
    "agent_unavailable": Code("agent", True, 503, 1),
    "auth": Code("agent", False, 502, 1),
    "rate_limited": Code("agent", True, 503, 1),
    "quota": Code("agent", False, 502, 1),
    "overloaded": Code("agent", True, 503, 1),
    "context_too_long": Code("agent", False, 502, 1),
    "request_rejected": Code("agent", False, 502, 1),
    "refused": Code("agent", False, 502, 1),
    "stalled": Code("agent", True, 504, 1),
    "crashed": Code("agent", True, 502, 1),
    "protocol": Code("agent", False, 502, 1),
    "limit_reached": Code("agent", False, 502, 1),
    "resume_failed": Code("agent", False, 502, 1),
    "agent_misbehaved": Code("agent", False, 502, 1),
    "command_not_found": Code("agent", False, 502, 1),
    "command_failed": Code("agent", False, 502, 1),
    "worker_lost": Code("agent", True, 502, 1),
    "cancelled": Code("agent", False, 409, 3),
    "timeout": Code("agent", True, 504, 4),
    # store
    "store_failed": Code("store", False, 500, 7),
    "store_unavailable": Code("store", True, 503, 7),
    "store_full": Code("store", True, 507, 7),
    "store_read_only": Code("store", False, 500, 7),
    "store_corrupt": Code("store", False, 500, 7),
    "store_too_new": Code("store", False, 500, 7),
    "migration_required": Code("store", False, 500, 7),
    "dependency_not_available": Code("environment", False, 500, 7),
    # the last resort
    "internal_error": Code("internal", False, 500, 1),
}


class SessionryError(Exception):
    """The root of every error that Sessionry raises.

    `code` is one of `CODES`; `message` is one sentence, with a remedy where there is one; `details` is JSON-friendly;
    `retryable` says whether the same request may succeed later without a change.
    """

    def __init__(
        self, code: str, message: str, *, details: Mapping[str, Any] | None = None, retryable: bool | None = None
    ) -> None:
        super().__init__(message)
        if code not in CODES:
            raise LookupError(f"unregistered error code {code!r}")
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.retryable = CODES[code].retryable if retryable is None else retryable

    @property
    def category(self) -> str:
        return CODES[self.code].category

    @property
    def exit_code(self) -> int:
        return CODES[self.code].exit_code

    @property
    def http_status(self) -> int:
        return CODES[self.code].http_status

    def to_dict(self) -> dict[str, Any]:
        """`{"code", "message", "retryable", "details"}`, as it is shown to clients."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable, "details": self.details}

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.code, self.message, self.details, self.retryable)


def _rebuild(
    kind: type[SessionryError], code: str, message: str, details: Mapping[str, Any], retryable: bool
) -> SessionryError:
    error = kind.__new__(kind)
    SessionryError.__init__(error, code, message, details=details, retryable=retryable)
    return error


class InvalidInput(SessionryError):
    """A value that the caller gave is wrong. `details["path"]` names it where it is one value."""


class NotFound(SessionryError):
    """The thing that was named is not there, or not in the caller's scope."""


class Conflict(SessionryError):
    """The state of the thing does not allow the request."""


class InvalidTransition(Conflict):
    """A status change that the transition tables do not allow. Details: `entity`, `from`, `to`, `allowed`."""

    def __init__(self, entity: str, old: str, new: str, allowed: list[str]) -> None:
        ways = ", ".join(allowed) if allowed else f"nothing: a {old} {entity} has ended"
        super().__init__(
            "invalid_transition",
            f"a {old} {entity} cannot become {new}; it may become {ways}",
            details={"entity": entity, "from": old, "to": new, "allowed": allowed},
        )


class Fenced(Conflict):
    """The lease under which this was written is over. Stop the work; never retry."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__("fenced", message, details=details)


class Exhausted(SessionryError):
    """A limit was reached."""


class AgentFailed(SessionryError):
    """The agent, or the program behind it, failed."""


class StoreFailed(SessionryError):
    """The database or the disk failed; nothing of the request was kept."""


class Timeout(SessionryError):
    """The caller's waiting time is over. What was waited for goes on."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__("timeout", message, details=details)
