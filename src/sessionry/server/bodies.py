"""The bodies of requests. A field that is not known is refused by its name."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessionry.domain.run import LONGEST, CancelMode, Continuation, OnStall, Takeover
from sessionry.domain.session import DEFAULT_QUEUE_LIMIT
from sessionry.domain.token import Permission
from sessionry.domain.webhook import LONGEST_DESCRIPTION

Json = Any
Text = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=LONGEST)]
#: True or false: the framework would take 0 and 1 for a `bool`.
Flag = Annotated[Any, Meta(extra_json_schema={"type": "boolean"})]
#: RFC 3339. As text: a mere number is no moment.
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all have in common."""

    def __post_init__(self) -> None:
        for name in ("cascade", "enabled", "keep_raw"):
            if not isinstance(getattr(self, name, True), bool | UnsetType):
                raise ValueError(f"{name} must be true or false")


class CreateSession(_Body):
    """A new session. Without an `agent_id` it is for the server's default agent."""

    agent_id: str | None = None
    title: str | None = None
    cwd: str | None = None
    tags: list[str] = []
    metadata: dict[str, Json] = {}
    context: dict[str, Json] = {}
    parent_session_id: str | None = None
    slots: Annotated[int, Meta(ge=1)] = 1
    queue_limit: Annotated[int, Meta(ge=0)] = DEFAULT_QUEUE_LIMIT


class UpdateSession(_Body):
    """The fields to replace; what is not given stays as it is."""

    title: str | None | UnsetType = UNSET
    cwd: str | None | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    metadata: dict[str, Json] | UnsetType = UNSET
    context: dict[str, Json] | UnsetType = UNSET
    slots: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    queue_limit: Annotated[int, Meta(ge=0)] | UnsetType = UNSET

    def changes(self) -> dict[str, Any]:
        """The given fields."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class Fork(_Body):
    """Where to go on from: after the event `seq`, or else after the newest one."""

    seq: Annotated[int, Meta(ge=1)] | None = None
    title: str | None = None


class Reason(_Body):
    """Why; the log keeps it."""

    reason: str | None = None


class CancelSession(Reason):
    """`cascade`: its descendants as well."""

    cascade: Flag = True


class FailSession(_Body):
    """How the session failed. `cascade`: its descendants are cancelled."""

    message: Text
    code: str = "agent_failed"
    cascade: Flag = True


class SubmitRun(_Body):
    """A run. `input` is what its agent takes: a text for most. Times in seconds.

    `queue`: the run is for the workers that serve the queue of that name. `keep_raw`: what the agent's provider really
    sends is kept in the log as well.
    """

    input: Json = None
    agent: str | None = None
    timeout: Seconds | None = None
    deadline: Moment | None = None
    idle_timeout: Seconds | None = None
    stall_after: Seconds | None = None
    on_stall: OnStall | None = None
    continuation: Continuation | None = None
    takeover: Takeover | None = None
    takeover_waiting: Takeover | None = None
    max_attempts: Annotated[int, Meta(ge=1)] = 3
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    metadata: dict[str, Json] = {}
    require: list[str] = []
    prefer: list[str] = []
    queue: str | None = None
    keep_raw: Flag = False


class CancelRun(_Body):
    """How a run is to be cancelled, and why."""

    mode: CancelMode = CancelMode.NOW
    reason: str | None = None


class Steer(_Body):
    """What is said to the agent."""

    text: Text


class Decide(_Body):
    """A note for the agent and the log. Who decides is who asks."""

    note: str | None = None


class CreateToken(_Body):
    """A token. Without a `user` it acts for the whole tenant; without `expires_in` (seconds) until it is revoked."""

    name: Text
    permissions: Annotated[list[Permission], Meta(min_length=1)]
    user: str | None = None
    expires_in: Seconds | None = None


#: An address with http or https, without spaces.
Url = Annotated[str, Meta(pattern=r"^https?://[!-~]+$(?!\n)", max_length=2000)]
Description = Annotated[str, Meta(min_length=1, max_length=LONGEST_DESCRIPTION)]


class CreateWebhook(_Body):
    """A webhook. `types`: event types, or `person_needed`; none: all events but pieces of messages."""

    url: Url
    types: list[str] = []
    description: Description | None = None


class UpdateWebhook(_Body):
    """The fields to replace; what is not given stays as it is."""

    url: Url | UnsetType = UNSET
    types: list[str] | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    enabled: Flag = UNSET

    def changes(self) -> dict[str, Any]:
        """The given fields."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class Replay(_Body):
    """From where: a cursor of `/v1/events`, 0 for the beginning."""

    after: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0


class Ask(_Body):
    """An operation of the Python client."""

    operation: Text
    arguments: dict[str, Json] = {}


#: Every one of them.
ALL: tuple[type[_Body], ...] = (
    *(CreateSession, UpdateSession, Fork, Reason, CancelSession, FailSession, SubmitRun, CancelRun, Steer, Decide),
    *(CreateToken, CreateWebhook, UpdateWebhook, Replay, Ask),
)
