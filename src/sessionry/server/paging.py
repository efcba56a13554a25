"""Pages of lists, answers with versions, and what a caller may ask for with each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response

from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.events import Event
from sessionry.domain.queries import Page
from sessionry.domain.session import Session

JSON = "application/json"
#: What `If-Match` may be: the ETag of a session with its quotes, or any version.
IF_MATCH = r'^(\*|(W/)?"[0-9]{1,18}")$'


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=JSON, headers=dict(headers or {}))


def listed(request: Request[Any, Any, Any], page: Page[Any], items: Sequence[Any] | None = None) -> Response[bytes]:
    """`{"items", "cursor"}`, with a Link to the next page where there is one."""
    shown = items if items is not None else [item.to_dict() for item in page.items]
    headers = {}
    cursor = request.user.cursors.sealed(page.cursor)
    if cursor is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        following = urlencode([*query, ("cursor", cursor)])
        headers["Link"] = f'<{request.url.path}?{following}>; rel="next"'
    return answer({"items": shown, "cursor": cursor}, headers=headers)


def happened(request: Request[Any, Any, Any], events: Sequence[Event], status: int = 200) -> Response[bytes]:
    """What a change has appended to the log."""
    return answer({"events": [request.user.cursors.event(event) for event in events]}, status)


def opened(request: Request[Any, Any, Any], cursor: str | None) -> str | None:
    """The cursor of a list that the caller was given. Raises `invalid_cursor`."""
    found: str | None = request.user.cursors.opened(cursor)
    return found


def tag_of(session: Session) -> str:
    """The ETag of a session: its version, which rises with what callers change of it."""
    return f'"{session.version}"'


def wanted_version(if_match: str | None) -> int | None:
    """The version in `If-Match`; None for `*`. Raises `precondition_required`, `validation_error`."""
    if if_match is None:
        raise SessionryError(
            "precondition_required",
            "say which version is to be changed: the header If-Match with the session's ETag, or If-Match: *",
        )
    if if_match == "*":
        return None
    if not re.fullmatch(IF_MATCH, if_match):
        raise InvalidInput(
            "validation_error",
            f'If-Match must be the ETag of a session, such as "3", or *, not {if_match}',
            details={"path": "header.if-match"},
        )
    return int(if_match.removeprefix("W/").strip('"'))


def seconds_to_wait(prefer: str | None, longest: float = 60.0) -> float:
    """What `Prefer: wait=N` (RFC 7240) asks for, at most `longest`; 0 without it, or with something else in it."""
    for part in (prefer or "").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "wait":
            try:
                seconds = float(value.strip().strip('"'))
            except ValueError:
                return 0.0
            return min(max(seconds, 0.0), longest) if seconds == seconds else 0.0
    return 0.0


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """The header `Idempotency-Key`: up to 255 visible ASCII characters. Raises `validation_error`."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        raise InvalidInput(
            "validation_error",
            "Idempotency-Key must be 1 to 255 visible ASCII characters, without spaces",
            details={"path": "header.idempotency-key"},
        )
    return key
