"""What Hypothesis draws for the domain: JSON that must survive, names, moments, and every payload of the vocabulary."""

from __future__ import annotations

import types
import typing
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from hypothesis import strategies as st

from sessionry.domain.events import EVENT_TYPES, Event, EventData
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.domain.run import AgentFacts, CancelMode, CancelRequest, ErrorInfo, Run, RunOptions, Takeover
from sessionry.domain.session import Session
from sessionry.domain.usage import Usage

#: Any text that UTF-8 can hold, NUL included.
texts = st.text(max_size=40)
#: Text that an id, a title or a tag may be.
names = texts.map(lambda text: "n" + text.replace("\0", ""))
moments = st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 30), timezones=st.just(UTC))
counts = st.integers(0, 2**63 - 1)
seconds = st.floats(0.001, 1e9)
money = st.decimals(allow_nan=False, allow_infinity=False, places=9)

json_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values = st.recursive(
    json_leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)
json_objects = st.dictionaries(texts, json_values, max_size=4)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def structs(kind: type[Any], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`kind` with those fields, each of which may also be left at its default."""
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    ).map(lambda values: kind(**values))


usages = structs(Usage, **dict.fromkeys(Usage.__struct_fields__, counts))
errors = structs(ErrorInfo, code=names, message=texts, retryable=st.booleans(), details=json_objects)
agent_facts = structs(
    AgentFacts,
    type=texts,
    version=maybe(texts),
    capabilities=st.lists(texts),
    native_session_id=maybe(texts),
    model=maybe(texts),
)
cancel_requests = structs(CancelRequest, mode=st.sampled_from(CancelMode), reason=maybe(texts), by=maybe(texts))
run_options = structs(
    RunOptions,
    timeout=maybe(seconds),
    deadline=maybe(moments),
    idle_timeout=maybe(seconds),
    takeover=maybe(st.sampled_from(Takeover)),
    takeover_waiting=maybe(st.sampled_from(Takeover)),
    max_attempts=st.integers(1, 1000),
    required_capabilities=st.lists(names, unique=True),
    optional_capabilities=st.lists(names, unique=True),
)

sessions = structs(
    Session,
    id=names.map(lambda name: f"ses_{name}"),
    agent_id=names,
    created_at=moments,
    updated_at=moments,
    status=st.sampled_from(SessionStatus),
    parent_session_id=maybe(names),
    title=maybe(names),
    cwd=maybe(names),
    metadata=json_objects,
    context=json_objects,
    tags=st.lists(names, unique=True),
    slots=st.integers(1, 100),
    queue_limit=counts,
    deleted_at=maybe(moments),
    version=st.integers(1, 2**62),
)
runs = structs(
    Run,
    id=names,
    session_id=names,
    created_at=moments,
    updated_at=moments,
    agent_id=maybe(names),
    status=st.sampled_from(RunStatus),
    input=json_values,
    output=json_values,
    error=maybe(errors),
    metadata=json_objects,
    options=run_options,
    priority=st.integers(-1_000_000, 1_000_000),
    attempt=counts,
    fence=counts,
    worker_id=maybe(names),
    usage=usages,
    cost=maybe(money),
    turn_count=counts,
    agent=maybe(agent_facts),
    cancel_request=maybe(cancel_requests),
    started_at=maybe(moments),
    ended_at=maybe(moments),
)

_OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    type(None): st.none(),
    str: texts,
    int: counts,
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    Decimal: money,
    datetime: moments,
    Any: json_values,
    Usage: usages,
    ErrorInfo: errors,
    AgentFacts: agent_facts,
    RunOptions: run_options,
}


def of_hint(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a payload's field, from its type."""
    if hint in _OF_TYPE:
        return _OF_TYPE[hint]
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(of_hint(each) for each in arguments if each is not msgspec.UnsetType))
    if origin is list:
        return st.lists(of_hint(arguments[0]), max_size=4)
    if origin is dict:
        return json_objects
    assert issubclass(hint, StrEnum), f"no strategy for {hint}"
    return st.sampled_from(hint)


def payloads_of(kind: type[EventData]) -> st.SearchStrategy[Any]:
    return structs(kind, **{name: of_hint(hint) for name, hint in _hints(kind).items()})


def _hints(kind: type[EventData]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in msgspec.structs.fields(kind)}


payloads = st.sampled_from(list(EVENT_TYPES.values())).flatmap(payloads_of)

events = st.builds(
    lambda data, seq, position, fence, **envelope: msgspec.structs.replace(
        Event.new(data=data, **envelope), seq=seq, position=position, fence=fence
    ),
    data=payloads,
    seq=counts,
    position=counts,
    fence=counts,
    session_id=names,
    run_id=maybe(names),
    actor=maybe(names),
    correlation_id=maybe(names),
    causation_id=maybe(names),
    now=moments,
)
