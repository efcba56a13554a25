"""What a protocol has to say of itself: how a request looks, and how an answer is read from its stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

import msgspec

from sessionry.agents.models.failing import failed
from sessionry.agents.models.settings import Settings
from sessionry.agents.models.talk import Answer, Call, Item, Piece, Stop, ToolSpec
from sessionry.domain.codec import NO_JSON
from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage

#: What a value of an unexpected kind leads to.
_STUMBLES = (AttributeError, IndexError, KeyError, TypeError, ValueError)
#: Characters of a call's id that every server takes.
LONGEST_ID = 40


class Request(NamedTuple):
    """What is asked: everything that a body is made of."""

    settings: Settings
    system: str
    items: Sequence[Item]
    tools: Sequence[ToolSpec]
    schema: dict[str, Json] | None


class Reader(Protocol):
    """Reads one answer. `feed` is given the events of the stream in order."""

    #: the answer is whole; usage may still follow
    finished: bool
    #: nothing more follows
    ended: bool

    @property
    def usage(self) -> Usage | None:
        """What was told of it so far, also of an answer that was cut."""

    def feed(self, event: str, data: str) -> Iterator[Piece]:
        """The pieces in one event. Raises `ModelFailed`."""

    def answer(self, prefix: str) -> Answer:
        """The whole answer; the ids of its calls begin with `prefix`."""


class Wire(Protocol):
    """A protocol."""

    #: what it is called
    source: str
    #: genai-prices' name of who invented it, which is where it is spoken when no base URL is given
    provider: str
    default_url: str
    key_variable: str
    url_variable: str
    #: the options of `PER_RUN` that it has a word for
    options: frozenset[str]

    def url(self, base: str) -> str: ...

    def headers(self, key: str | None) -> dict[str, str]: ...

    def body(self, request: Request, official: bool, /) -> dict[str, Any]:
        """`official`: it is for the server of who invented the protocol."""

    def reader(self) -> Reader: ...

    def problem(self, settings: Settings, /) -> tuple[str, str] | None:
        """The first option that cannot be as it is together with the others, and why."""


class RawCall(NamedTuple):
    """A call as it came."""

    name: str
    native_id: str | None
    arguments: str | dict[str, Json]


def decoded(data: str) -> dict[str, Any]:
    """The object in an event of a stream. Raises `ModelFailed` (protocol)."""
    try:
        value = msgspec.json.decode(data)
    except NO_JSON:
        value = None
    if not isinstance(value, dict):
        raise failed("protocol", f"the model's server streamed what is no JSON object: {data[:200]!r}")
    return value


def fed(reader: Reader, event: str, data: str) -> Iterator[Piece]:
    """`reader.feed`, for servers that send what no specification has. Raises nothing but `ModelFailed`."""
    try:
        yield from reader.feed(event, data)
    except _STUMBLES as error:
        raise failed("protocol", f"the model's server streamed what nobody expects: {data[:200]!r}") from error


def answered(reader: Reader, prefix: str) -> Answer:
    """`reader.answer`, likewise."""
    try:
        return msgspec.convert(msgspec.to_builtins(reader.answer(prefix)), Answer)
    except _STUMBLES as error:
        raise failed("protocol", f"the model's answer cannot be put together: {error}") from error


def calls_of(raw: Sequence[RawCall], prefix: str) -> list[Call]:
    return [_call(one, f"{prefix}_{number}") for number, one in enumerate(raw, 1)]


def _call(raw: RawCall, id: str) -> Call:
    name, native_id = raw.name or "unnamed", None if raw.native_id is None else str(raw.native_id)
    if isinstance(raw.arguments, dict):
        return Call(id=id, name=name, input=raw.arguments, native_id=native_id)
    problem: str | None = None
    input: Json = {}
    if raw.arguments.strip():
        try:
            input = msgspec.json.decode(raw.arguments)
            problem = None if isinstance(input, dict) else f"the arguments must be an object, not {raw.arguments[:200]}"
        except NO_JSON as error:
            input, problem = raw.arguments, f"the arguments are no JSON ({error}): {raw.arguments[:200]}"
    return Call(id=id, name=name, input=input, native_id=native_id, problem=problem)


def arguments_of(call: Call) -> dict[str, Json]:
    """What is shown again of a call. Servers choke on arguments that are no object."""
    return call.input if isinstance(call.input, dict) else {}


def call_id(call: Call) -> str:
    """The id that is told to a server: its own, or ours as every server takes it."""
    return safe_id(call.native_id or call.id)


def safe_id(id: str) -> str:
    if len(id) <= LONGEST_ID and re.fullmatch(r"[A-Za-z0-9_-]+", id):
        return id
    return f"call_{sha256(id.encode()).hexdigest()[:24]}"


def number(value: Mapping[str, Any] | None, *names: str) -> int:
    """The first of the fields that is a count; 0 where none is."""
    for name in names:
        found = (value or {}).get(name)
        if isinstance(found, int | float) and not isinstance(found, bool) and found > 0:
            return int(found)
    return 0


def word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def part(value: Any, name: str) -> dict[str, Any]:
    """A field that should be an object; empty when it is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def stop_of(word: str | None, words: Mapping[str, Stop], calls: Sequence[RawCall]) -> Stop:
    stop = words.get(word or "", "end_turn")
    if stop in ("end_turn", "tool_use"):  # several servers say `stop` and call a tool all the same
        return "tool_use" if calls else "end_turn"
    return stop
