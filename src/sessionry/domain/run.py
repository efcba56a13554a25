"""A run: one piece of work that an agent does inside a session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from sessionry.domain import ids, records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json, json_object, json_value
from sessionry.domain.lifecycle import RUN_ENDED, RUN_LIVE, RunStatus, check_run_transition
from sessionry.domain.usage import Usage

#: The longest `timeout`, in seconds: about 31 years, so that adding it to a time cannot overflow.
LONGEST = 1_000_000_000
#: The named queue of a run that names none, and of a worker that serves no other.
DEFAULT_QUEUE = "default"

_QUEUE = re.compile(r"[\w.-]{1,64}")


class Takeover(StrEnum):
    """What happens to a run whose worker is lost."""

    #: the agent goes on where it was: it can, from its own session or from our log
    RESUME = "resume"
    #: the agent starts again with the same input
    RESTART = "restart"
    #: the run fails with `worker_lost`: the safe choice where tools act on the world
    STOP = "stop"


class CancelMode(StrEnum):
    NOW = "now"
    AFTER_TURN = "after_turn"


class Continuation(StrEnum):
    """How a run goes on with the conversation of its session."""

    #: in the agent's own session where that is proven to hold the conversation, else with the transcript from our log
    AUTO = "auto"
    #: in the agent's own session, or not at all
    NATIVE = "native"
    #: in a new session of the agent, which is given the transcript from our log
    REPLAY = "replay"
    #: in a copy of the agent's own session, which stays as it is
    FORK = "fork"
    #: in a new session of the agent, which knows nothing
    FRESH = "fresh"


class OnStall(StrEnum):
    """What follows when nothing was heard of an agent for `stall_after` seconds."""

    #: a `run_stalled` event, and no more
    TELL = "tell"
    #: the run fails with `stalled`
    FAIL = "fail"


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a run is to be worked. Times in seconds; None means no limit.

    `timeout` counts from the first start and never starts again; `deadline` is a moment, and also ends a run that still
    waits in the queue; `idle_timeout` is the longest silence between two events, waiting for a person not counted.
    `takeover` is for a run that was running, `takeover_waiting` for one that waited for a person; None takes what the
    agent declares. `max_attempts` bounds the restarts after lost workers.
    `stall_after` is the silence, again without waiting for a person, that is told as `run_stalled`; `on_stall` says what
    follows; None takes what the agent declares. `continuation` is how the run goes on with the conversation.
    `queue` names the workers that the run is for: those that serve the queue of that name.
    `keep_raw`: what the agent's provider really sends is kept in the log as well, as `frame_received`.
    """

    timeout: float | None = None
    deadline: datetime | None = None
    idle_timeout: float | None = None
    stall_after: float | None = None
    on_stall: OnStall | None = None
    continuation: Continuation = Continuation.AUTO
    takeover: Takeover | None = None
    takeover_waiting: Takeover | None = None
    max_attempts: int = 3
    required_capabilities: list[str] = []
    optional_capabilities: list[str] = []
    queue: str = DEFAULT_QUEUE
    keep_raw: bool = False

    def __post_init__(self) -> None:
        for field in ("timeout", "idle_timeout", "stall_after"):
            value = getattr(self, field)
            if value is not None and not (type(value) in (int, float) and 0 < value <= LONGEST):
                raise records.invalid(field, f"must be a positive number of seconds up to {LONGEST}, not {value!r}")
        if self.deadline is not None:
            msgspec.structs.force_setattr(self, "deadline", records.utc(self.deadline, "deadline"))
        records.whole_number(self.max_attempts, "max_attempts", 1)
        for field in ("required_capabilities", "optional_capabilities"):
            msgspec.structs.force_setattr(self, field, records.tag_list(getattr(self, field), field))
        queue_name(self.queue)
        if type(self.keep_raw) is not bool:
            raise records.invalid("keep_raw", f"must be true or false, not {self.keep_raw!r}")


def queue_name(value: object) -> str:
    """The name of a queue, short and without spaces. Raises `validation_error`."""
    if not isinstance(value, str) or not _QUEUE.fullmatch(value):
        raise records.invalid("queue", f"must be a name of up to 64 letters, digits, '.', '_' and '-', not {value!r}")
    return value


def queue_names(values: object) -> tuple[str, ...]:
    """Which named queues a worker serves, each once; none given: the default one. Raises `validation_error`."""
    if values is None:
        return (DEFAULT_QUEUE,)
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise records.invalid("queues", f"must be a list of names, not {values!r}")
    return tuple(dict.fromkeys(queue_name(value) for value in values)) or (DEFAULT_QUEUE,)


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Why a run failed: a code of the error table, a sentence, and whether a new run may succeed.

    `retry_after`: seconds that the agent, or who serves its model, asked to wait before trying again.
    """

    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None
    details: dict[str, Json] = {}

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "details", json_object(self.details, "details"))


class AgentFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who works on the run: the type of agent, what it can do, and its own name for the conversation.

    `takeover` and `takeover_waiting` are what the agent declares for a lost worker, `stall_after` and `on_stall` for
    silence; the run's options go before them. `native_items` is how many items its own conversation had when it was last
    linked, by the agent's own count: what a resumed one must not be short of.
    """

    type: str
    version: str | None = None
    capabilities: list[str] = []
    takeover: Takeover | None = None
    takeover_waiting: Takeover | None = None
    stall_after: float | None = None
    on_stall: OnStall | None = None
    native_session_id: str | None = None
    native_items: int | None = None
    model: str | None = None


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    mode: CancelMode = CancelMode.NOW
    reason: str | None = None
    by: str | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run as it is in the log so far. `attempt` counts the starts; `fence` names the lease of the newest one."""

    id: str
    session_id: str
    created_at: datetime
    updated_at: datetime
    agent_id: str | None = None
    status: RunStatus = RunStatus.PENDING
    input: Json = None
    output: Json = None
    error: ErrorInfo | None = None
    metadata: dict[str, Json] = {}
    options: RunOptions = RunOptions()
    priority: int = 0
    attempt: int = 0
    fence: int = 0
    worker_id: str | None = None
    usage: Usage = Usage()
    cost: Decimal | None = None
    turn_count: int = 0
    agent: AgentFacts | None = None
    cancel_request: CancelRequest | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def new(
        cls,
        *,
        session_id: str | None = None,
        id: str | None = None,
        agent_id: str | None = None,
        input: Json = None,
        metadata: dict[str, Json] | None = None,
        options: RunOptions | None = None,
        priority: int = 0,
        now: datetime | None = None,
    ) -> Run:
        """A pending run, queued `now`. Raises `validation_error` naming the field."""
        at = records.utc(now, "now") if now else records.utc_now()
        return cls(
            id=ids.new_id(ids.RUN) if id is None else id,
            session_id=records.required_text(session_id, "session_id"),
            agent_id=agent_id,
            created_at=at,
            updated_at=at,
            input=input,
            metadata={} if metadata is None else metadata,
            options=options or RunOptions(),
            priority=priority,
        )

    def __post_init__(self) -> None:
        put = msgspec.structs.force_setattr
        records.required_text(self.id, "id")
        records.required_text(self.session_id, "session_id")
        records.optional_text(self.agent_id, "agent_id")
        put(self, "input", json_value(self.input, "input"))
        put(self, "output", json_value(self.output, "output"))
        put(self, "metadata", json_object(self.metadata, "metadata"))
        if type(self.status) is not RunStatus:
            put(self, "status", run_status(self.status))
        for field in ("attempt", "fence", "turn_count"):
            records.whole_number(getattr(self, field), field)
        if self.cost is not None and not (isinstance(self.cost, Decimal) and self.cost.is_finite()):
            raise records.invalid("cost", f"must be a finite Decimal, not {self.cost!r}")
        if type(self.priority) is not int or abs(self.priority) > 1_000_000:
            raise records.invalid("priority", f"must be a whole number from -1000000 to 1000000, not {self.priority!r}")
        for field in ("created_at", "updated_at", "started_at", "ended_at"):
            if getattr(self, field) is not None or field in ("created_at", "updated_at"):
                put(self, field, records.utc(getattr(self, field), field))

    def __hash__(self) -> int:
        return hash((self.id, self.status, self.updated_at))

    @property
    def ended(self) -> bool:
        return self.status in RUN_ENDED

    @property
    def live(self) -> bool:
        """Running or waiting: it holds a slot of its session."""
        return self.status in RUN_LIVE

    @property
    def lacking(self) -> list[str]:
        """The preferred capabilities (`optional_capabilities`) that its agent lacks; none before the run was begun."""
        able = self.options.optional_capabilities if self.agent is None else self.agent.capabilities
        return [name for name in self.options.optional_capabilities if name not in able]

    def update_status(self, status: str, *, now: datetime | None = None) -> Run:
        """A copy in the new status; `started_at` and `ended_at` follow. Raises `invalid_status` or `invalid_transition`."""
        target = run_status(status)
        check_run_transition(self.status, target)
        return self.changed(now=now, status=target)

    def changed(self, *, now: datetime | None = None, **fields: Any) -> Run:
        """A copy with `fields` replaced and a later `updated_at`; the times of start and end follow the status."""
        at = records.later_than(self.updated_at, now)
        status = fields.get("status")
        if status is RunStatus.RUNNING and self.started_at is None:
            fields.setdefault("started_at", at)
        if status in RUN_ENDED:
            fields.setdefault("ended_at", at)
        return msgspec.structs.replace(self, updated_at=at, **fields)

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly: times as RFC 3339 strings, the cost as a decimal string."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Run:
        """The run that `to_dict` wrote. Unknown keys are refused."""
        fields = records.require(value, ("id", "session_id", "status", "created_at", "updated_at"), "run")
        run_status(fields["status"])
        return records.convert(fields, cls, "run")


def run_status(value: object) -> RunStatus:
    """The status of that name. Raises `invalid_status`, or `validation_error` when it is no string at all."""
    try:
        return RunStatus(records.required_text(value, "status"))
    except ValueError:
        names = ", ".join(RunStatus)
        raise InvalidInput(
            "invalid_status", f"{value!r} is no run status; the statuses are {names}", details={"status": value}
        ) from None
