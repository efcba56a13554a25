"""A conversation with a model and its answers, in no protocol's words."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import msgspec

from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage

#: Why a model stopped: it was done, it wants tools, its tokens were used up, or it (or a filter) declines.
Stop: TypeAlias = Literal["end_turn", "tool_use", "length", "refusal"]


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call. `id` is ours and unique in the session, `native_id` the model's, which need not be.

    `problem`: why `input` is not what the tool can be called with.
    """

    id: str
    name: str
    input: Json = {}
    native_id: str | None = None
    problem: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model said in one turn. `native` is what its protocol wants to be shown again in the same run."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = []
    stop: Stop = "end_turn"
    #: the word of the protocol for it
    stop_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    native: Json = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer as the log keeps it: what is in the log is not asked again.

    `heard` counts the steering messages before it. `told`: its words are left out, since they were streamed to the log.
    """

    answer: Answer
    heard: int = 0
    told: bool = False


class Picture(NamedTuple):
    content: bytes
    media_type: str


class User(NamedTuple):
    text: str
    pictures: tuple[Picture, ...] = ()


class Assistant(NamedTuple):
    text: str
    calls: tuple[Call, ...] = ()
    native: Json = None


class Result(NamedTuple):
    """What came of a call, as the model is told."""

    call: Call
    text: str
    failed: bool = False


class Results(NamedTuple):
    """The results of the calls of the assistant message before, all of them, in its order."""

    results: tuple[Result, ...]


Item: TypeAlias = User | Assistant | Results


class Piece(NamedTuple):
    """A piece of an answer that streams in."""

    kind: Literal["text", "reasoning"]
    text: str


class ToolSpec(NamedTuple):
    """What a model is told of a tool."""

    name: str
    description: str
    parameters: dict[str, Json]
