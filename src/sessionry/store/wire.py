"""Operations by name, with arguments and results as JSON: how a client asks a server for exactly what a store would do.

Only operations that take a scope are in `OPERATIONS`. The scope never travels: the server puts in that of the caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, get_args, get_origin, get_type_hints

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import Event, EventData, event_data
from sessionry.domain.queries import Appended, Page, page_limit
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission
from sessionry.domain.webhook import Webhook
from sessionry.ports import Operation
from sessionry.store.operations import approvals, deeds, leases, listing, reading, runs, sessions, usage, webhooks


class Known(NamedTuple):
    """An operation that may be asked for by name."""

    make: Callable[..., Operation[Any]]
    needs: Permission


def _named(module: Any, needs: Permission, *names: str) -> dict[str, Known]:
    short = module.__name__.rpartition(".")[2]
    return {f"{short}.{name}": Known(getattr(module, name), needs) for name in names}


_READ, _RUN = Permission.READ, Permission.RUN
OPERATIONS: Mapping[str, Known] = {
    **_named(sessions, _READ, "get", "tree", "find"),
    **_named(sessions, _RUN, "create", "change_status", "end", "update", "delete", "restore", "fork"),
    **_named(sessions, Permission.ADMIN, "purge"),
    **_named(runs, _READ, "get"),
    **_named(runs, _RUN, "submit", "cancel", "steer"),
    **_named(approvals, _READ, "get", "list_approvals"),
    **_named(approvals, Permission.APPROVE, "decide"),
    **_named(listing, _READ, "list_sessions", "list_runs", "counts"),
    **_named(reading, _READ, "events", "all_events", "last_seq", "is_over"),
    **_named(leases, _READ, "workers"),
    **_named(usage, _READ, "used"),
    **_named(leases, Permission.ADMIN, "ask_to_drain"),
    **_named(deeds, Permission.ADMIN, "of_scope"),
    **_named(
        webhooks,
        Permission.ADMIN,
        *("create", "get", "of_scope", "update", "delete", "notices", "retry", "replay"),
    ),
}
#: The events that a caller may hand in, by operation: what people ask of a session or of a run.
_TRAVEL: Mapping[str, tuple[type[EventData], ...]] = {
    "sessions.change_status": (ev.SessionStarted, ev.SessionPaused, ev.SessionResumed, ev.SessionCompleted),
    "sessions.end": (ev.SessionFailed, ev.SessionCancelled),
    "runs.cancel": (ev.RunCancelRequested,),
}
_NAMES = {known.make.__wrapped__: name for name, known in OPERATIONS.items()}  # type: ignore[attr-defined]


class Veil(Protocol):
    """Cursors as callers see them, and back: what is inside counts what everybody does."""

    def shown(self, position: int) -> int: ...

    def place(self, shown: int, path: str) -> int: ...

    def sealed(self, cursor: str | None) -> str | None: ...

    def opened(self, shown: str | None) -> str | None: ...


#: The arguments that are positions in the log of all sessions.
_PLACES = {"reading.all_events": "after", "webhooks.replay": "after"}


def asked(operation: Operation[Any]) -> dict[str, Any]:
    """The operation as JSON: `{"operation", "arguments"}`. Raises `invalid_operation` for one that stays inside a store."""
    name = _NAMES.get(operation.function)
    if name is None:
        raise InvalidInput(
            "invalid_configuration", f"{operation.function.__name__} can only be done where the store is open"
        )
    bound = inspect.signature(operation.function).bind(*operation.arguments, **operation.keywords)
    arguments = {key: _plain(value) for key, value in bound.arguments.items() if key != "scope"}
    return {"operation": name, "arguments": arguments}


def understood(name: str, arguments: Mapping[str, Any], scope: Scope, veil: Veil) -> Operation[Any]:
    """The operation that was asked for, in that scope. Raises `validation_error` naming what is wrong."""
    if name not in OPERATIONS:
        raise records.invalid("operation", f"must be one of {', '.join(OPERATIONS)}, not {name!r}")
    make = OPERATIONS[name].make
    hints = _hints(make)
    scoped = "scope" in hints
    for key in arguments:
        if key == "scope" or key not in hints:
            raise records.invalid(f"arguments.{key}", f"is no argument of {name}")
    events = _TRAVEL.get(name, ())
    values = {key: _value(value, hints[key], f"arguments.{key}", events) for key, value in arguments.items()}
    if name in _PLACES and isinstance(values.get("after"), int):
        values["after"] = veil.place(values["after"], "arguments.after")
    if isinstance(values.get("cursor"), str):  # of a list; in a session it is a `seq`
        values["cursor"] = veil.opened(values["cursor"])
    if "limit" in values:
        page_limit(values["limit"])
    if scoped:
        values["scope"] = scope
    try:
        inspect.signature(inspect.unwrap(make)).bind(**values)
    except TypeError as error:
        raise records.invalid("arguments", f"do not fit {name}: {error}") from None
    return make(**values)


def answered(result: Any, veil: Veil) -> Any:
    """A result as JSON."""
    if isinstance(result, Event):
        return result.to_dict() | {"position": veil.shown(result.position)}
    if isinstance(result, Webhook):
        result = msgspec.structs.replace(result, cursor=veil.shown(result.cursor))
    if isinstance(result, Appended):
        return {name: answered(value, veil) for name, value in msgspec.structs.asdict(result).items()}
    if isinstance(result, Page):
        return {"items": [answered(item, veil) for item in result.items], "cursor": veil.sealed(result.cursor)}
    if isinstance(result, list | tuple):
        return [answered(item, veil) for item in result]
    return msgspec.to_builtins(result)


def given(operation: Operation[Any], answer: Any) -> Any:
    """The result that `answered` wrote."""
    steps = _hints(operation.function)["return"]
    return _result(answer, get_args(steps)[2])


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(inspect.unwrap(function))


def _plain(value: Any) -> Any:
    if isinstance(value, EventData):
        return {"type": value.type, "data": msgspec.to_builtins(value)}
    return msgspec.to_builtins(value)


def _value(value: Any, hint: Any, path: str, events: tuple[type[EventData], ...]) -> Any:
    if isinstance(hint, type) and issubclass(hint, EventData):
        if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
            raise records.invalid(path, "must be an event: its type, and its data")
        data = event_data(value.get("type"), value["data"])
        if not isinstance(data, events):
            raise records.invalid(path, f"cannot be a {data.type} event")
        return data
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidInput):
            raise error.__cause__ from None
        raise records.invalid(path, str(error)) from None


def _result(answer: Any, hint: Any) -> Any:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Event:
        return Event.from_dict(answer)
    if kind is Appended:
        events = tuple(Event.from_dict(event) for event in answer.pop("events"))
        return Appended(**answer, events=events)
    if kind is Page:
        return Page([_result(item, inner[0]) for item in answer["items"]], answer["cursor"])
    if kind is list:
        return [_result(item, inner[0]) for item in answer]
    return msgspec.convert(answer, hint)
