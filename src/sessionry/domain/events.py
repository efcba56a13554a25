"""The log's entries: what an agent may say and what ends a run, the envelope around a payload, and the door for both.

The payloads themselves are in `vocabulary`; everybody imports them from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from sessionry.domain import ids, records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json, json_object, json_value, text_value
from sessionry.domain.vocabulary import AgentProcessStarted as AgentProcessStarted
from sessionry.domain.vocabulary import AgentSessionLinked as AgentSessionLinked
from sessionry.domain.vocabulary import ApprovalExpired as ApprovalExpired
from sessionry.domain.vocabulary import ArtifactAdded as ArtifactAdded
from sessionry.domain.vocabulary import ContinuityReport as ContinuityReport
from sessionry.domain.vocabulary import CustomRecorded as CustomRecorded
from sessionry.domain.vocabulary import ErrorOccurred as ErrorOccurred
from sessionry.domain.vocabulary import ErrorRecovered as ErrorRecovered
from sessionry.domain.vocabulary import EventData as EventData
from sessionry.domain.vocabulary import FrameReceived as FrameReceived
from sessionry.domain.vocabulary import InputReceived as InputReceived
from sessionry.domain.vocabulary import MessageReceived as MessageReceived
from sessionry.domain.vocabulary import MessageSent as MessageSent
from sessionry.domain.vocabulary import MessageStreamed as MessageStreamed
from sessionry.domain.vocabulary import PlanUpdated as PlanUpdated
from sessionry.domain.vocabulary import PolicyViolation as PolicyViolation
from sessionry.domain.vocabulary import RateLimited as RateLimited
from sessionry.domain.vocabulary import ReasoningReceived as ReasoningReceived
from sessionry.domain.vocabulary import ReasoningStreamed as ReasoningStreamed
from sessionry.domain.vocabulary import ResumeDegraded as ResumeDegraded
from sessionry.domain.vocabulary import RunCancelled as RunCancelled
from sessionry.domain.vocabulary import RunCancelRequested as RunCancelRequested
from sessionry.domain.vocabulary import RunCompleted as RunCompleted
from sessionry.domain.vocabulary import RunFailed as RunFailed
from sessionry.domain.vocabulary import RunQueued as RunQueued
from sessionry.domain.vocabulary import RunRequeued as RunRequeued
from sessionry.domain.vocabulary import RunResumed as RunResumed
from sessionry.domain.vocabulary import RunStalled as RunStalled
from sessionry.domain.vocabulary import RunStarted as RunStarted
from sessionry.domain.vocabulary import RunTimeout as RunTimeout
from sessionry.domain.vocabulary import RunWaiting as RunWaiting
from sessionry.domain.vocabulary import SessionCancelled as SessionCancelled
from sessionry.domain.vocabulary import SessionCompleted as SessionCompleted
from sessionry.domain.vocabulary import SessionCreated as SessionCreated
from sessionry.domain.vocabulary import SessionDeleted as SessionDeleted
from sessionry.domain.vocabulary import SessionFailed as SessionFailed
from sessionry.domain.vocabulary import SessionForked as SessionForked
from sessionry.domain.vocabulary import SessionPaused as SessionPaused
from sessionry.domain.vocabulary import SessionRestored as SessionRestored
from sessionry.domain.vocabulary import SessionResumed as SessionResumed
from sessionry.domain.vocabulary import SessionStarted as SessionStarted
from sessionry.domain.vocabulary import SessionUpdated as SessionUpdated
from sessionry.domain.vocabulary import StepCompleted as StepCompleted
from sessionry.domain.vocabulary import TokenUsageUpdated as TokenUsageUpdated
from sessionry.domain.vocabulary import ToolApprovalDenied as ToolApprovalDenied
from sessionry.domain.vocabulary import ToolApprovalGranted as ToolApprovalGranted
from sessionry.domain.vocabulary import ToolApprovalRequested as ToolApprovalRequested
from sessionry.domain.vocabulary import ToolCallCompleted as ToolCallCompleted
from sessionry.domain.vocabulary import ToolCallFailed as ToolCallFailed
from sessionry.domain.vocabulary import ToolCallInterrupted as ToolCallInterrupted
from sessionry.domain.vocabulary import ToolCallStarted as ToolCallStarted
from sessionry.domain.vocabulary import ToolOutputStreamed as ToolOutputStreamed
from sessionry.domain.vocabulary import TurnCompleted as TurnCompleted
from sessionry.domain.vocabulary import Unknown as Unknown
from sessionry.domain.vocabulary import WordsSuperseded as WordsSuperseded
from sessionry.domain.vocabulary import WorkerLost as WorkerLost
from sessionry.domain.vocabulary import WorkspaceDiffComputed as WorkspaceDiffComputed
from sessionry.domain.vocabulary import WorkspaceSnapshotTaken as WorkspaceSnapshotTaken

#: The version of the payload structs; `codec` upgrades older payloads when it reads them.
SCHEMA_VERSION = 1
#: No `seq` is lower. In a fork those of what it goes on from are up to 0. JavaScript can count to it.
FIRST = -((1 << 53) - 1)


EVENT_TYPES: Mapping[str, type[EventData]] = {
    kind.type: kind for kind in EventData.__subclasses__() if kind is not Unknown
}

RUN_ENDINGS: tuple[type[EventData], ...] = (RunCompleted, RunFailed, RunCancelled, RunTimeout)
TOOL_ENDINGS: tuple[type[EventData], ...] = (ToolCallCompleted, ToolCallFailed, ToolCallInterrupted)

#: What an agent may say of its work. A type that is not here is written by Sessionry alone: it moves a run or a session,
#: or it is the word of a person, and nobody may forge it.
AGENT_EVENTS: frozenset[type[EventData]] = frozenset(
    {
        TurnCompleted,
        MessageSent,
        MessageStreamed,
        MessageReceived,
        ReasoningStreamed,
        ReasoningReceived,
        PlanUpdated,
        ToolCallStarted,
        ToolOutputStreamed,
        *TOOL_ENDINGS,
        TokenUsageUpdated,
        AgentSessionLinked,
        ResumeDegraded,
        WordsSuperseded,
        ContinuityReport,
        AgentProcessStarted,
        StepCompleted,
        ArtifactAdded,
        ErrorOccurred,
        ErrorRecovered,
        RateLimited,
        PolicyViolation,
        WorkspaceSnapshotTaken,
        WorkspaceDiffComputed,
        CustomRecorded,
    }
)
#: The ends of its run that an agent may tell.
AGENT_ENDINGS: tuple[type[EventData], ...] = (RunCompleted, RunFailed)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a session's log.

    `seq` counts from 1 in each session and is the reader's cursor; `position` orders the events of all sessions of a
    store. Both are 0 until a store has appended the event. `fence` is the lease it was written under, 0 for commands.
    `actor` and `origin` say who gave a command, and from where.
    """

    id: str
    session_id: str
    at: datetime
    data: EventData
    seq: int = 0
    position: int = 0
    run_id: str | None = None
    fence: int = 0
    actor: str | None = None
    origin: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def new(
        cls,
        *,
        type: str | None = None,
        session_id: str | None = None,
        data: EventData | dict[str, Json] | None = None,
        id: str | None = None,
        run_id: str | None = None,
        actor: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        now: datetime | None = None,
    ) -> Event:
        """An event that no store has seen yet: a type with a dict, or a payload struct, which knows its type."""
        payload = data if isinstance(data, EventData) else event_data(type, {} if data is None else data)
        if type is not None and payload.type != type:
            raise InvalidInput("invalid_event_type", f"the payload is a {payload.type}, not a {type}")
        return cls(
            id=ids.new_id(ids.EVENT) if id is None else records.required_text(id, "id"),
            session_id=records.required_text(session_id, "session_id"),
            at=records.utc(now, "now") if now else records.utc_now(),
            data=checked(payload),
            run_id=records.optional_text(run_id, "run_id"),
            actor=records.optional_text(actor, "actor"),
            correlation_id=records.optional_text(correlation_id, "correlation_id"),
            causation_id=records.optional_text(causation_id, "causation_id"),
        )

    @property
    def type(self) -> str:
        return self.data.name if isinstance(self.data, Unknown) else self.data.type

    def __hash__(self) -> int:
        return hash(self.id)

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly, with `type` beside `data`, which is in today's schema however old the event is."""
        data = msgspec.to_builtins(self.data.fields if isinstance(self.data, Unknown) else self.data)
        origin = {} if self.origin is None else {"origin": self.origin}
        return {
            "seq": self.seq,
            "type": self.type,
            "session_id": self.session_id,
            "run_id": self.run_id,
            "at": msgspec.to_builtins(self.at),
            "data": data,
            "id": self.id,
            "position": self.position,
            "fence": self.fence,
            "actor": self.actor,
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "schema_version": self.schema_version if isinstance(self.data, Unknown) else SCHEMA_VERSION,
            **origin,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Event:
        """The event that `to_dict` wrote, upgraded to today's schema. Unknown types are kept as `Unknown`.

        Unknown fields are refused, beside the payload and, when it is of today's schema, in it.
        """
        from sessionry.domain.codec import payload_from_builtins  # the codec needs this module's vocabulary

        fields = dict(records.require(value, ("id", "type", "session_id", "at"), "event"))
        version = fields.get("schema_version")
        version = records.whole_number(version, "schema_version", 1)
        kind, data = fields.pop("type"), json_object(fields.pop("data", {}), "data")
        payload = payload_from_builtins(kind, data, version)
        if not isinstance(payload, Unknown):
            if version == SCHEMA_VERSION:
                _refuse_unknown_fields(data, type(payload))
            fields["schema_version"] = SCHEMA_VERSION
        envelope = records.convert(fields, _Envelope, "event")
        return cls(data=payload, **{name: getattr(envelope, name) for name in envelope.__struct_fields__})


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event without its payload, for reading one back."""

    id: str
    session_id: str
    at: datetime
    seq: int = 0
    position: int = 0
    run_id: str | None = None
    fence: int = 0
    actor: str | None = None
    origin: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "at", records.utc(self.at, "at"))
        records.whole_number(self.seq, "seq", FIRST)
        for field in ("position", "fence"):
            records.whole_number(getattr(self, field), field)
        for field in ("run_id", "actor", "origin", "correlation_id", "causation_id"):
            records.optional_text(getattr(self, field), field)


def event_data(type: str | None, fields: dict[str, Json]) -> EventData:
    """The payload of that type. Raises `invalid_event_type`, or `validation_error` naming the bad field."""
    kind = EVENT_TYPES.get(records.required_text(type, "type"))
    if kind is None:
        raise InvalidInput("invalid_event_type", f"{type!r} is no event type", details={"type": type})
    _refuse_unknown_fields(json_object(fields, "data"), kind)
    return records.convert(fields, kind, "data", prefix="data")


def checked(data: EventData) -> EventData:
    """`data` as the log will give it back: a copy, every field of its type.

    This is the door for payloads that were built in Python, where nothing else checks types: what is stored unchecked may
    never be read again. Raises `validation_error` with the path of the bad value.
    """
    if type(data) not in _KINDS:
        raise InvalidInput(
            "invalid_event_type",
            f"{type(data).__name__} is no event type; use CustomRecorded for your own",
            details={"type": type(data).__name__},
        )
    if data.json_fields:
        values = {name: getattr(data, name) for name in data.json_fields if _given(data, name)}
        free = {name: json_value(value, f"data.{name}") for name, value in values.items()}
        data = msgspec.structs.replace(data, **free)
    try:
        stored: EventData = _reader(type(data)).decode(_writer.encode(data))
        if stored == data:
            return stored
    except (msgspec.MsgspecError, InvalidInput, TypeError, ValueError):
        pass  # the slow way, below, says which value it is
    return records.convert(_plain(data, "data"), type(data), "data", prefix="data")


_writer = msgspec.json.Encoder()
_KINDS = frozenset(EventData.__subclasses__())


@cache
def _reader(kind: type[EventData]) -> msgspec.json.Decoder[EventData]:
    """Made when it is first needed: fifty of them at once would take longer than anything else at the start."""
    return msgspec.json.Decoder(kind)


def _given(data: EventData, name: str) -> bool:
    return getattr(data, name) is not msgspec.UNSET


def _refuse_unknown_fields(fields: Mapping[str, Json], kind: type[EventData]) -> None:
    known = {field.name for field in msgspec.structs.fields(kind)}
    for name in fields:
        if name not in known:
            raise records.invalid(f"data.{name}", f"is no field of {kind.type}")


def _plain(value: Any, path: str) -> Any:
    """`value` with dicts for structs, as the strict converter wants it; text and numbers that JSON lacks are refused."""
    match value:
        case msgspec.Struct():
            fields = msgspec.structs.asdict(value).items()
            return {name: _plain(item, f"{path}.{name}") for name, item in fields if item is not msgspec.UNSET}
        case list() | tuple():
            return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
        case str():
            return text_value(value, path)
        case float() | Decimal() if not (math.isfinite(value) if isinstance(value, float) else value.is_finite()):
            raise records.invalid(path, f"is {value}, which JSON does not have")
        case _:
            return value
