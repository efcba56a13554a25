"""The vocabulary of the log: one frozen struct per event type, and the envelope around it.

A struct's name in snake case is the event's type: `MessageReceived` is stored as `message_received`. Fields that have
their default are not stored. Times are seconds unless a name says otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, TypeAlias, dataclass_transform

import msgspec

from sessionry.domain import ids, records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json, json_object, json_value, text_value
from sessionry.domain.run import AgentFacts, CancelMode, ErrorInfo, RunOptions
from sessionry.domain.session import DEFAULT_QUEUE_LIMIT
from sessionry.domain.usage import Usage

#: The version of the payload structs below; `codec` upgrades older payloads when it reads them.
SCHEMA_VERSION = 1

#: A time with its zone; one without is refused when it is read.
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class _Payload(msgspec.StructMeta):
    """Makes every subclass of `EventData` take keywords only, and tells type checkers that it does and is frozen."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(cls, name, bases, namespace, **{"kw_only": True, **options})


class EventData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, metaclass=_Payload):
    """The payload of an event. Subclasses are the vocabulary."""

    #: the event type, from the class name
    type: ClassVar[str] = ""
    #: fields that hold any JSON value, checked at the door
    json_fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.type = re.sub(r"(?<=.)(?=[A-Z])", "_", cls.__name__).lower()
        hints = cls.__annotations__
        cls.json_fields = tuple(name for name, hint in hints.items() if re.search(r"\bJson\b", str(hint)))


# --- the session ------------------------------------------------------------------------------------------------------


class SessionCreated(EventData):
    agent_id: str
    parent_session_id: str | None = None
    title: str | None = None
    cwd: str | None = None
    metadata: dict[str, Json] = {}
    context: dict[str, Json] = {}
    tags: list[str] = []
    slots: int = 1
    queue_limit: int = DEFAULT_QUEUE_LIMIT


class SessionStarted(EventData):
    pass


class SessionPaused(EventData):
    reason: str | None = None


class SessionResumed(EventData):
    pass


class SessionCompleted(EventData):
    pass


class SessionFailed(EventData):
    error: ErrorInfo


class SessionCancelled(EventData):
    reason: str | None = None


class SessionUpdated(EventData):
    """The caller's own fields changed. UNSET leaves a field as it was; a given one replaces it whole."""

    title: str | None | msgspec.UnsetType = msgspec.UNSET
    cwd: str | None | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET
    context: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    slots: int | msgspec.UnsetType = msgspec.UNSET
    queue_limit: int | msgspec.UnsetType = msgspec.UNSET


class SessionForked(EventData):
    """This session began as a copy of another one, up to and including that one's event `source_seq`."""

    source_session_id: str
    source_seq: int


class SessionDeleted(EventData):
    reason: str | None = None


class SessionRestored(EventData):
    pass


# --- the run ----------------------------------------------------------------------------------------------------------


class RunQueued(EventData):
    agent_id: str
    input: Json = None
    metadata: dict[str, Json] = {}
    options: RunOptions = RunOptions()
    priority: int = 0


class RunStarted(EventData):
    """A worker began an attempt under a new fence."""

    attempt: int
    worker_id: str
    agent: AgentFacts | None = None


class RunWaiting(EventData):
    """The run waits for a person."""

    approval_id: str | None = None
    reason: str = "approval"


class RunResumed(EventData):
    """The run goes on after waiting."""

    approval_id: str | None = None


class RunRequeued(EventData):
    """The run is back at its place in the queue and will be attempted again."""

    reason: str


class RunCancelRequested(EventData):
    mode: CancelMode = CancelMode.NOW
    reason: str | None = None


class RunCompleted(EventData):
    """The run ended well. `text` is the agent's final words, `output` whatever else it returned."""

    text: str | None = None
    output: Json = None
    stop_reason: str | None = None


class RunFailed(EventData):
    error: ErrorInfo
    output: Json = None


class RunCancelled(EventData):
    reason: str | None = None


class RunTimeout(EventData):
    """`limit` names the bound that was hit: timeout, deadline or idle_timeout."""

    limit: str
    seconds: float | None = None


class WorkerLost(EventData):
    """The run lost its worker. `action` is what was done: requeued, parked, stopped, cancelled or timeout.

    `reason`: lease_expired, process_gone, or shutdown when the worker gave the run back itself.
    """

    worker_id: str
    action: str
    reason: str = "lease_expired"


class TurnCompleted(EventData):
    stop_reason: str | None = None


# --- words ------------------------------------------------------------------------------------------------------------


class MessageSent(EventData):
    """What the agent was given."""

    content: Json
    role: str = "user"


class MessageStreamed(EventData):
    """A piece of a message; `message_received` carries the whole and supersedes it."""

    text: str
    message_id: str | None = None
    parent_tool_call_id: str | None = None


class MessageReceived(EventData):
    """A whole message of the agent. With a `parent_tool_call_id`, here and in the other events, a sub-agent's, which that
    call has begun: it is part of the tool's work and not of the conversation.
    """

    text: str
    role: str = "assistant"
    message_id: str | None = None
    parent_tool_call_id: str | None = None


class ReasoningStreamed(EventData):
    text: str
    message_id: str | None = None
    parent_tool_call_id: str | None = None


class ReasoningReceived(EventData):
    text: str
    message_id: str | None = None
    parent_tool_call_id: str | None = None


class PlanUpdated(EventData):
    """The agent's list of things to do. Each entry: `{"text", "status"}`, status pending, in_progress or completed."""

    entries: list[dict[str, Json]]


class InputReceived(EventData):
    """A person gave a running agent more to work with."""

    text: str


# --- tools ------------------------------------------------------------------------------------------------------------


class ToolCallStarted(EventData):
    tool_call_id: str
    tool_name: str
    tool_input: Json = None
    parent_tool_call_id: str | None = None


class ToolOutputStreamed(EventData):
    """A piece of a tool's output while it works. `stream` is stdout or stderr where the tool has both."""

    tool_call_id: str
    text: str
    stream: str = "stdout"


class ToolCallCompleted(EventData):
    tool_call_id: str
    tool_name: str
    tool_output: Json = None
    parent_tool_call_id: str | None = None


class ToolCallFailed(EventData):
    tool_call_id: str
    tool_name: str
    error: ErrorInfo
    tool_output: Json = None
    parent_tool_call_id: str | None = None


class ToolCallInterrupted(EventData):
    """The run ended, or lost its worker, while the tool was at work: what it did is unknown."""

    tool_call_id: str
    tool_name: str
    reason: str


# --- approvals --------------------------------------------------------------------------------------------------------


class ToolApprovalRequested(EventData):
    approval_id: str
    tool_name: str
    tool_input: Json = None
    tool_call_id: str | None = None
    reason: str | None = None
    expires_at: Moment | None = None


class ToolApprovalGranted(EventData):
    approval_id: str
    tool_name: str
    by: str | None = None
    note: str | None = None


class ToolApprovalDenied(EventData):
    approval_id: str
    tool_name: str
    by: str | None = None
    note: str | None = None


class ApprovalExpired(EventData):
    """Nobody decided in time, or the run ended first. It counts as denied."""

    approval_id: str
    tool_name: str


# --- facts about the work ---------------------------------------------------------------------------------------------


class TokenUsageUpdated(EventData):
    """Tokens and money used since the last such event of the run: increments, never totals."""

    usage: Usage
    cost: Decimal | None = None
    model: str | None = None


class AgentSessionLinked(EventData):
    """The agent's own conversation was found or begun, or has grown. `items` is its length by the agent's own count;
    `resumed` says that it was there before, `forked_from` of which one it is a copy.
    """

    native_session_id: str
    model: str | None = None
    items: int | None = None
    resumed: bool = False
    forked_from: str | None = None


class ResumeDegraded(EventData):
    """The agent's own session was not resumed: the run goes on with what `continuity_report` tells instead."""

    reason: str
    native_session_id: str | None = None


class ContinuityReport(EventData):
    """What this run's agent knows of the conversation before it.

    `mode`: native (its own session), replay (the transcript), or both (its own session, and a transcript of what others
    did meanwhile). `carried` counts the messages that were handed over as text, `tokens` estimates how long that was,
    `left_out` lists what was not: `{"what", "seq"}` and why, under `"reason"`. `previous_agents` worked before.
    """

    mode: str
    carried: int = 0
    tokens: int = 0
    left_out: list[dict[str, Json]] = []
    previous_agents: list[str] = []


class AgentProcessStarted(EventData):
    """A program was started for the run. `started_at` (seconds since 1970) and the pid name it for ever on `host`."""

    program: str
    pid: int
    started_at: float
    host: str
    version: str | None = None


class StepCompleted(EventData):
    """A durable step of a function agent and its result: it is not done again when the run is."""

    name: str
    result: Json = None


class ArtifactAdded(EventData):
    """Something too big for the log, in the blob store under `hash` (SHA-256, hexadecimal); `size` in bytes."""

    hash: str
    size: int
    name: str | None = None
    media_type: str | None = None


class ErrorOccurred(EventData):
    error: ErrorInfo


class ErrorRecovered(EventData):
    error: ErrorInfo


class RateLimited(EventData):
    """The model's provider asked to wait."""

    retry_after: float | None = None
    resets_at: Moment | None = None
    message: str | None = None


class RunStalled(EventData):
    """Nothing has come from the agent for a while. `seconds` of silence so far."""

    seconds: float


class PolicyViolation(EventData):
    policy: str
    kind: str
    action: str
    details: dict[str, Json] = {}


class WorkspaceSnapshotTaken(EventData):
    label: str
    backend: str
    ref: str


class WorkspaceDiffComputed(EventData):
    files_changed: int
    insertions: int
    deletions: int
    patch_hash: str | None = None


class CustomRecorded(EventData):
    """An event of the user's own. `name` is theirs to choose."""

    name: str
    value: Json = None


class Unknown(EventData):
    """An event of a type that this version does not know, kept as it was stored."""

    name: str
    fields: dict[str, Json] = {}


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
    correlation_id: str | None = None
    causation_id: str | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "at", records.utc(self.at, "at"))
        for field in ("seq", "position", "fence"):
            records.whole_number(getattr(self, field), field)
        for field in ("run_id", "actor", "correlation_id", "causation_id"):
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


def event_types() -> Iterator[str]:
    """Every event type, in the order of this file."""
    return iter(EVENT_TYPES)
