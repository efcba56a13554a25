"""The description of the interface (OpenAPI 3.1): what the framework knows of it, completed by one table.

The table says of every operation what it answers, with which headers it can be asked, an example, and where its answer
leads: links, so that a program that only reads the description can walk from a new session to its runs and their end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from litestar import Litestar

from sessionry.domain.approval import Approval
from sessionry.domain.deed import Deed
from sessionry.domain.events import EVENT_TYPES
from sessionry.domain.queries import Counts, SessionSummary, Worker
from sessionry.domain.run import Run
from sessionry.domain.session import Session
from sessionry.domain.transcript import Transcript
from sessionry.domain.usage import UsageReport
from sessionry.domain.webhook import PERSON_NEEDED, Notice, Webhook
from sessionry.server import bodies, examples
from sessionry.server.paging import IF_MATCH
from sessionry.server.problems import MEDIA_TYPE, Problem

_REF = "#/components/schemas/{name}"


class Described(NamedTuple):
    """One operation. `answer` is a component, or a schema; `links` are other operations, with where their parameters come
    from. `example` is an answer, where the component has none of its own."""

    answer: str | Mapping[str, Any]
    status: int = 200
    body: Any = None
    headers: Sequence[str] = ()
    links: Mapping[str, Mapping[str, str]] = {}
    example: Any = None


def _list_of(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": _REF.format(name=name)}},
            "cursor": {"type": ["string", "integer", "null"]},
        },
    }


_EVENTS = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": {"type": "array", "items": {"$ref": _REF.format(name="Event")}}},
}
_KEY, _PREFER, _MATCH, _LAST = "Idempotency-Key", "Prefer", "If-Match", "Last-Event-ID"


def _links(names: str, **parameters: str) -> dict[str, Mapping[str, str]]:
    """Links to these operations: what they are to be asked with, as a runtime expression of OpenAPI."""
    return dict.fromkeys(names.split(), parameters)


_ID, _FIRST = "$response.body#/id", "$response.body#/items/0/id"
_OF_SESSION = _links(
    "read_session update_session submit_run list_runs_of_session read_events read_transcript read_tree list_children"
    " start_session pause_session resume_session complete_session fail_session cancel_session delete_session fork_session",
    session_id=_ID,
)
_OF_RUN = {
    **_links("read_run cancel_run steer_run", run_id=_ID),
    **_links("read_events read_transcript pause_session cancel_session", session_id="$response.body#/session_id"),
}
_THE_SAME = "$request.path.session_id"
_OBJECT: Mapping[str, Any] = {"type": "object"}
_STARTED = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "session_started", "type": "object"}
_RETRIED: Mapping[str, Any] = {"type": "object", "properties": {"notices": {"type": "integer"}}}

OPERATIONS: Mapping[str, Described] = {
    "list_sessions": Described(_list_of("SessionSummary")),
    "create_session": Described(
        "Session", 201, {"agent_id": "echo", "title": "Fix auth", "tags": ["pr-42"]}, [_KEY], _OF_SESSION
    ),
    "read_session": Described("Session"),
    "update_session": Described("Session", body={"title": "Fix the login"}, headers=[_MATCH, _KEY]),
    "delete_session": Described(
        _EVENTS, headers=[_KEY], links=_links("read_session restore_session purge_session", session_id=_THE_SAME)
    ),
    "restore_session": Described(_EVENTS, headers=[_KEY], links=_links("read_session", session_id=_THE_SAME)),
    "purge_session": Described(
        {"type": "object", "properties": {"events": {"type": "integer"}}}, example={"events": 7}
    ),
    "start_session": Described(_EVENTS, headers=[_KEY]),
    "pause_session": Described(
        _EVENTS, body={"reason": "lunch"}, headers=[_KEY], links=_links("resume_session", session_id=_THE_SAME)
    ),
    "resume_session": Described(_EVENTS, headers=[_KEY]),
    "complete_session": Described(_EVENTS, headers=[_KEY]),
    "cancel_session": Described(_EVENTS, body={"reason": "not needed any more"}, headers=[_KEY]),
    "fail_session": Described(_EVENTS, body={"message": "the branch is gone"}, headers=[_KEY]),
    "fork_session": Described("Session", 201, {"seq": 12, "title": "Another way"}, [_KEY], _OF_SESSION),
    "list_children": Described(_list_of("SessionSummary")),
    "read_tree": Described(_list_of("Session")),
    "read_transcript": Described("Transcript"),
    "submit_run": Described("Run", 202, {"input": "Fix the failing test", "timeout": 600}, [_KEY, _PREFER], _OF_RUN),
    "list_runs_of_session": Described(_list_of("Run")),
    "list_runs": Described(_list_of("Run")),
    "read_run": Described("Run", headers=[_PREFER]),
    "cancel_run": Described(
        *(_EVENTS, 202, {"mode": "now", "reason": "wrong branch"}, [_KEY]),
        links=_links("read_run", run_id="$request.path.run_id"),
    ),
    "steer_run": Described(_EVENTS, 202, {"text": "use pytest"}, [_KEY]),
    "read_events": Described(_list_of("Event"), headers=[_LAST]),
    "read_all_events": Described(_list_of("Event"), headers=[_LAST]),
    "list_event_schemas": Described(_OBJECT, example={"session_started": _STARTED}),
    "read_event_schema": Described(_OBJECT, example=_STARTED),
    "list_approvals": Described(_list_of("Approval"), links=_links("read_approval approve deny", approval_id=_FIRST)),
    "read_approval": Described("Approval"),
    "approve": Described("Approval", body={"note": "go on"}, headers=[_KEY]),
    "deny": Described("Approval", body={"note": "not on a Friday"}, headers=[_KEY]),
    "healthz": Described(_OBJECT, example={"status": "ok"}),
    "readyz": Described(_OBJECT, example={"status": "ok"}),
    "metrics": Described({"type": "string"}, example="sessionry_pending_approvals 1\n"),
    "read_stats": Described("Counts"),
    "read_usage": Described("UsageReport"),
    "list_deeds": Described(_list_of("Deed")),
    "execute_operation": Described(
        _OBJECT,
        body={"operation": "listing.counts", "arguments": {}},
        example={"result": examples.EXAMPLES["Counts"]},
    ),
    "list_agents": Described(
        {"type": "object", "properties": {"items": {"type": "array"}}},
        example={"items": [{"id": "echo", "type": "function"}], "default": "echo"},
    ),
    "list_workers": Described(_list_of("Worker")),
    "drain_worker": Described("Worker", 202),
    "read_me": Described("Token"),
    "list_tokens": Described(_list_of("Token")),
    "create_token": Described(
        "Token", 201, {"name": "ci", "permissions": ["run"]}, links=_links("revoke_token", token_id=_ID)
    ),
    "revoke_token": Described("Token"),
    "list_webhooks": Described(_list_of("Webhook")),
    "create_webhook": Described(
        "Webhook",
        201,
        {"url": "https://agents.example/hook", "types": ["run_completed", PERSON_NEEDED]},
        links=_links(
            "read_webhook update_webhook list_notices retry_notices replay_webhook delete_webhook", webhook_id=_ID
        ),
    ),
    "read_webhook": Described("Webhook"),
    "update_webhook": Described("Webhook", body={"enabled": True}),
    "delete_webhook": Described("Webhook"),
    "list_notices": Described(
        _list_of("Notice"), links=_links("retry_notice", webhook_id="$request.path.webhook_id", notice_id=_FIRST)
    ),
    "retry_notices": Described(_RETRIED, example={"notices": 3}),
    "retry_notice": Described(_RETRIED, example={"notices": 1}),
    "replay_webhook": Described("Webhook", body={"after": 0}),
}

_HEADERS: Mapping[str, tuple[str, Mapping[str, Any], Any]] = {
    _KEY: (
        "The same key and request again has the same effect once.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "fix-auth-1",
    ),
    _PREFER: (
        "`wait=N`: answer when the run has ended, or after N seconds (at most 60).",
        {"type": "string"},
        "wait=1",
    ),
    _MATCH: (
        "The ETag of the session that is to be changed, or `*`.",
        {"type": "string", "pattern": IF_MATCH},
        "*",
    ),
    _LAST: (
        "The last `id` that a reader of a stream has seen.",
        {"type": "string", "pattern": "^(-?[0-9]{1,15})?$"},
        "0",
    ),
}
_NAMED = {
    "session_id": examples.SESSION,
    "run_id": examples.RUN,
    "approval_id": examples.APPROVAL,
    "token_id": examples.TOKEN,
    "webhook_id": examples.WEBHOOK,
    "notice_id": examples.NOTICE,
    "worker_id": examples.WORKER,
    "event_type": "run_completed",
}
#: Status -> when an operation answers it, besides those that all may: by what it takes.
_REFUSALS: Mapping[str, str] = {
    "400": "The request cannot be read.",
    "401": "Without a token that is good.",
    "403": "The token is not enough.",
    "404": "What was named is not there, or is somebody else's.",
    "409": "Its state does not allow it.",
    "410": "With `exact`: events after the cursor were removed.",
    "412": "The session has changed since that version.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "422": "A value is wrong: well formed, but of nothing that there is, or not now.",
    "428": "Without the version that is to be changed.",
    "429": "Too many requests, or a queue is full.",
}
_ALWAYS = ("401", "403", "422", "429")


@lru_cache(maxsize=4)
def described(app: Litestar) -> dict[str, Any]:
    """The whole description."""
    schema: dict[str, Any] = app.openapi_schema.to_schema()
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(_components())
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}]
    for methods in schema["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict):
                _complete(operation)
    return schema


def _complete(operation: dict[str, Any]) -> None:
    known = OPERATIONS[operation["operationId"]]
    if operation["operationId"] in ("healthz", "readyz"):
        operation["security"] = []
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["name"] in _NAMED:
            parameter["example"] = _NAMED[parameter["name"]]
        if parameter["name"] == "types":
            parameter["schema"] = {"type": "array", "items": {"type": "string", "enum": _types()}}
    for name in known.headers:
        about, shape, example = _HEADERS[name]
        required = {"required": True} if name == _MATCH else {}
        parameters.append(
            {"name": name, "in": "header", "description": about, "schema": dict(shape), "example": example} | required
        )
    if "requestBody" in operation:
        _complete_body(operation["requestBody"], known.body)
    operation["responses"] = _responses(operation, known)


def _types() -> list[str]:
    """Event types that can be asked for, and those that can be left out."""
    return [*sorted(EVENT_TYPES), *(f"-{name}" for name in sorted(EVENT_TYPES))]


def _complete_body(body: dict[str, Any], example: Any) -> None:
    """A body that may be null may be missing."""
    media = body["content"]["application/json"]
    options = media["schema"].get("oneOf", [])
    body["required"] = not any(option.get("type") == "null" for option in options)
    media["example"] = example


def _responses(operation: dict[str, Any], known: Described) -> dict[str, Any]:
    operation_id = operation["operationId"]
    answer = {"$ref": _REF.format(name=known.answer)} if isinstance(known.answer, str) else dict(known.answer)
    media = "text/plain" if operation_id == "metrics" else "application/json"
    content: dict[str, Any] = {media: {"schema": answer, "example": _example(known)}}
    if operation_id in ("read_events", "read_all_events"):
        line = msgspec.json.encode(examples.EXAMPLES["Event"]).decode()
        lines = {"text/event-stream": f"id: 7\nevent: tool_approval_requested\ndata: {line}\n\n"}
        lines["application/x-ndjson"] = f"{line}\n"
        content |= {kind: {"schema": {"type": "string"}, "example": line} for kind, line in lines.items()}
    found: dict[str, Any] = {"description": "Done.", "content": content}
    if known.links:
        found["links"] = {
            name: {"operationId": name, "parameters": dict(parameters)} for name, parameters in known.links.items()
        }
    responses = {str(known.status): found, "default": _refusal("It was refused.")}
    if operation_id == "submit_run":
        responses["200"] = {"description": "The run has ended.", "content": content}
    if operation_id == "readyz":
        responses["503"] = {"description": "The store does not answer.", "content": content}
    return responses | {status: _refusal(_REFUSALS[status]) for status in _refused_with(operation)}


def _refused_with(operation: dict[str, Any]) -> list[str]:
    """The statuses with which it may be refused."""
    if operation.get("security") == []:
        return []
    names = {parameter["name"] for parameter in operation["parameters"]}
    found = [*_ALWAYS]
    if "requestBody" in operation:
        found += ["400", "413", "415"]
    if names & _NAMED.keys() or operation["operationId"] in ("create_session", "execute_operation"):
        found.append("404")
    if _KEY in names or operation["operationId"] in ("purge_session", "execute_operation"):
        found.append("409")
    if _MATCH in names:
        found += ["412", "428"]
    if "exact" in names:
        found.append("410")
    return sorted(found)


def _refusal(description: str) -> dict[str, Any]:
    shape = {"schema": {"$ref": _REF.format(name="Problem")}, "example": examples.EXAMPLES["Problem"]}
    return {"description": description, "content": {MEDIA_TYPE: shape}}


def _example(known: Described) -> Any:
    """What it answers: its own example, one of its component, or a list of them."""
    if known.example is not None:
        return known.example
    if isinstance(known.answer, str):
        return examples.EXAMPLES[known.answer]
    (name, items), *_ = [each for each in known.answer["properties"].items() if each[1].get("type") == "array"]
    listed = [examples.EXAMPLES[items["items"]["$ref"].rpartition("/")[2]]]
    return {name: listed, "cursor": None} if "cursor" in known.answer["properties"] else {name: listed}


def _components() -> dict[str, Any]:
    _, found = msgspec.json.schema_components(
        [
            Session,
            Run,
            Approval,
            Counts,
            Worker,
            Transcript,
            Problem,
            SessionSummary,
            UsageReport,
            Webhook,
            Notice,
            Deed,
            *bodies.ALL,  # the framework's own words for them say less than they hold
        ],
        ref_template=_REF,
    )
    found = dict(found)
    more = {name: shape for name, shape in found["SessionSummary"]["properties"].items() if name != "session"}
    found["SessionSummary"] = found["Session"] | {
        "title": "SessionSummary",
        "properties": found["Session"]["properties"] | more,
    }
    found["Event"] = {
        "type": "object",
        "required": ["id", "seq", "type", "session_id", "at", "data"],
        "properties": {
            "id": {"type": "string"},
            "seq": {"type": "integer"},
            "position": {"type": "integer"},
            "type": {"type": "string", "examples": sorted(EVENT_TYPES)[:3]},
            "session_id": {"type": "string"},
            "run_id": {"type": ["string", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "data": {"type": "object"},
            "actor": {"type": ["string", "null"]},
            "origin": {"type": ["string", "null"]},
        },
    }
    found["Webhook"] = _without_scope(found["Webhook"], "secret")
    found["Token"] = {
        "type": "object",
        "required": ["id", "name", "permissions", "tenant"],
        "properties": {
            **{name: {"type": "string"} for name in ("id", "name", "tenant", "secret")},
            "user": {"type": ["string", "null"]},
            "permissions": {"type": "array", "items": {"type": "string"}},
        },
    }
    return found


def _without_scope(schema: dict[str, Any], *more: str) -> dict[str, Any]:
    """The schema of what shows its scope as `tenant` and `user`."""
    properties = {name: shape for name, shape in schema["properties"].items() if name != "scope"}
    texts = {name: {"type": "string"} for name in ("tenant", *more)}
    properties |= {**texts, "user": {"type": ["string", "null"]}, "enabled": {"type": "boolean"}}
    required = [name for name in schema["required"] if name != "scope"]
    return schema | {"properties": properties, "required": [*required, "tenant", "enabled"]}
