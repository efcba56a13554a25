"""The vocabulary of the log: one frozen struct per event type.

A struct's name in snake case is the event's type: `MessageReceived` is stored as `message_received`. Fields that have
their default are not stored. Times are seconds unless a name says otherwise. Everything here is imported from `events`.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeAlias, dataclass_transform

import msgspec

from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, CancelMode, ErrorInfo, RunOptions
from sessionry.domain.session import DEFAULT_QUEUE_LIMIT
from sessionry.domain.usage import Usage

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

    `reason`: lease_expired, process_gone, or what the worker itself gave the run back for: shutdown, or abandoned, when it
    could not renew its lease in time or has lost sight of the run.
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


class WordsSuperseded(EventData):
    """What earlier attempts at the run said is said anew, and is no part of the conversation any more: the agent's own
    session does not hold it. What their tools did stays.
    """


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


class FrameReceived(EventData):
    """What a provider really sent, of a run that keeps it (`keep_raw`): a line of a program, an event of a model's stream.

    Frames are numbered in each attempt, from 1, and stand before the events that were made of them. A frame of which the
    words may still become a secret is at its place without `frame`; what it was follows `late`, under the same number.
    """

    source: str
    number: int
    frame: Json = None
    late: bool = False


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
    """Nothing has come from the agent for a while. `seconds` of silence so far; the newest tool call that is at work."""

    seconds: float
    tool_call_id: str | None = None
    tool_name: str | None = None


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
