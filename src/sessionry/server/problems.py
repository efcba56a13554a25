"""Errors as problems (RFC 9457), each with the code of our error table, so that a program need not read sentences."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from sessionry.domain.errors import CODES, SessionryError
from sessionry.server.methods import shown

_log = logging.getLogger("sessionry.server")

MEDIA_TYPE = "application/problem+json"
#: What the framework refuses by itself -> our code.
_CODES = {400: "validation_error", 401: "unauthenticated", 403: "forbidden", 404: "route_not_found"}
_CODES |= {405: "method_not_allowed", 406: "not_acceptable", 413: "payload_too_large", 415: "unsupported_media_type"}


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one value: its place in the body, the query or a header."""

    path: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`application/problem+json`. `code` is one of the error table, `retryable` says whether trying again may help."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    retryable: bool = False
    errors: list[FieldProblem] = []
    details: dict[str, Any] = {}


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """The answer that says it."""
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str | None = None,
    errors: Sequence[FieldProblem] = (),
    details: Mapping[str, Any] | None = None,
    retryable: bool = False,
) -> Problem:
    """A problem; its title is that of the HTTP status."""
    return Problem(
        type=f"urn:sessionry:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        instance=instance,
        errors=list(errors),
        details=dict(details or {}),
        retryable=retryable,
    )


def of_ours(request: Request[Any, Any, Any], error: SessionryError) -> Response[bytes]:
    """Of an error that we raised."""
    known = CODES[error.code]
    path = error.details.get("path")
    said = problem(
        known.http_status,
        error.code,
        error.message,
        instance=request.url.path,
        errors=[FieldProblem(path=str(path), message=error.message)] if path else [],
        details=msgspec.to_builtins(error.details, str_keys=True, enc_hook=str),
        retryable=error.retryable,
    )
    headers = {}
    if known.http_status in (429, 503) or "retry_after" in error.details:
        headers["Retry-After"] = str(math.ceil(float(error.details.get("retry_after") or 1)))
    if known.http_status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="sessionry"'
    return response(said, headers)


def of_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Of what the framework refuses: no such route, a body that is no JSON, or that does not fit."""
    status, errors = error.status_code, []
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        status = 422
        errors = [FieldProblem(path=_path(each), message=str(each.get("message", ""))) for each in error.extra]
    detail = "; ".join(f"{each.path}: {each.message}" for each in errors) or str(error.detail)
    code = "validation_error" if status == 422 else _CODES.get(status, "internal_error")
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if "allow" in headers:
        headers["allow"] = shown(headers["allow"].split(", "))
    return response(problem(status, code, detail, instance=request.url.path, errors=errors), headers)


def of_anything(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Of a fault of ours: it is logged, and tells nobody else what is inside."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "the server failed to answer; its log says why"
    return response(problem(500, "internal_error", detail, instance=request.url.path))


def _path(found: Mapping[str, Any]) -> str:
    """`body.tags[0]`, `query.limit`, `header.if-match`."""
    source, key = found.get("source", "body"), str(found.get("key", ""))
    place = str(getattr(source, "value", source))
    return ".".join(part for part in (place, "" if key == "data" else key.removeprefix("data.")) if part)
