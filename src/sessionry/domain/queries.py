"""What can be asked of a store, and the shapes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from sessionry.domain import records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import EVENT_TYPES, FIRST, Event
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.run import Run, run_status
from sessionry.domain.session import Session, session_status

T = TypeVar("T")

#: The largest page that a store gives at once.
MAX_LIMIT = 1000
#: Characters of a text that titles are searched for: databases bound what they compare.
LONGEST_TEXT = 1000


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a listing. `cursor` asks for the next one; None: this was the last."""

    items: list[T]
    cursor: str | None = None


class Activity(StrEnum):
    """What goes on in a session, as one word: the first of these that is true."""

    #: a question waits for a person
    NEEDS_YOU = "needs_you"
    #: a run is at work
    WORKING = "working"
    #: it has ended: nothing will come
    ENDED = "ended"
    #: a run waits for its turn
    QUEUED = "queued"
    #: nothing to do
    IDLE = "idle"


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A session as a list shows it: the session itself and what its runs are doing.

    `last_event_at` and `last_event_type` are of the newest event of its log, `last_run_status` of its newest run.
    `tokens` and `cost` (US dollars) are what all its runs used; the cost is None when none of them knows theirs.
    """

    session: Session
    activity: Activity = Activity.IDLE
    last_seq: int = 0
    last_event_at: datetime | None = None
    last_event_type: str | None = None
    last_run_status: RunStatus | None = None
    tokens: int = 0
    cost: Decimal | None = None
    runs: int = 0
    pending_runs: int = 0
    running_runs: int = 0
    waiting_runs: int = 0
    pending_approvals: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The session's fields and, beside them, the counts."""
        more: dict[str, Any] = msgspec.to_builtins(self)
        del more["session"]
        return self.session.to_dict() | more


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are, by status, and sessions by what goes on in them. Deleted ones and their runs are left out."""

    sessions: dict[str, int] = {}
    activity: dict[str, int] = {}
    runs: dict[str, int] = {}
    pending_approvals: int = 0

    def to_dict(self) -> dict[str, Any]:
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A process that works on runs. `alive` is what its lease says; `runs` is how many it has in hand.

    It takes runs for these `agents` in these named `queues`.
    """

    id: str
    host: str
    pid: int
    process_start: float
    started_at: datetime
    expires_at: datetime
    slots: int
    agents: list[str] = []
    queues: list[str] = []
    draining: bool = False
    alive: bool = True
    runs: int = 0

    def takes(self, run: Run) -> bool:
        """Whether it is there, and the run is one that it may begin."""
        return self.alive and run.agent_id in self.agents and run.options.queue in self.queues

    def to_dict(self) -> dict[str, Any]:
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """What a mutation appended to a session's log; the same again when its idempotency key is used again.

    The events' `position` is not known here: it is 0.
    """

    session_id: str
    run_id: str | None = None
    approval_id: str | None = None
    events: tuple[Event, ...] = ()


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions to list. Values of one field are alternatives, but for `tags`: all must be there."""

    status: Sequence[str] = ()
    activity: Sequence[str] = ()
    agent: str | None = None
    tags: Sequence[str] = ()
    parent: str | None = None
    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    include_deleted: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "status", [session_status(value) for value in several(self.status)])
        msgspec.structs.force_setattr(self, "activity", [_activity(value) for value in several(self.activity)])
        msgspec.structs.force_setattr(self, "tags", records.tag_list(several(self.tags)))
        if self.text is not None and len(self.text) > LONGEST_TEXT:
            raise records.invalid("text", f"must have at most {LONGEST_TEXT:,} characters")
        for field in ("created_after", "created_before", "updated_after", "updated_before"):
            if getattr(self, field) is not None:
                msgspec.structs.force_setattr(self, field, records.utc(getattr(self, field), field))


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list."""

    session: str | None = None
    status: Sequence[str] = ()
    agent: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "status", [run_status(value) for value in several(self.status)])
        for field in ("created_after", "created_before"):
            if getattr(self, field) is not None:
                msgspec.structs.force_setattr(self, field, records.utc(getattr(self, field), field))


def _activity(value: object) -> Activity:
    try:
        return Activity(records.required_text(value, "activity"))
    except ValueError:
        raise records.invalid("activity", f"must be one of {', '.join(Activity)}, not {value!r}") from None


def several(value: str | Sequence[str]) -> list[str]:
    """One string or a sequence of them, as a list."""
    return [value] if isinstance(value, str) else list(value)


def page_limit(limit: object) -> int:
    """`limit` when it is from 1 to `MAX_LIMIT`. Raises `validation_error`."""
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise records.invalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}, not {limit!r}")
    return limit


def place_in_session(value: object, path: str) -> int:
    """A `seq`, 0 for the beginning, or one below 0 in what a fork goes on from. Raises `invalid_cursor`."""
    if type(value) is not int or not FIRST <= value < 1 << 63:
        problem = f"{path} must be the number of an event, 0 for the beginning, or less in a fork, not {value!r}"
        raise InvalidInput("invalid_cursor", problem, details={"path": path})
    return value


def place_in_log(value: object, path: str) -> int:
    """A `seq` or a `position`, or 0 for the beginning. Raises `invalid_cursor`."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        problem = f"{path} must be the number of an event, or 0 for the beginning, not {value!r}"
        raise InvalidInput("invalid_cursor", problem, details={"path": path})
    return value


def known_types(types: str | Sequence[str]) -> list[str]:
    """`types` when each is an event type, or one to leave out: `-frame_received`. Raises `invalid_event_type`."""
    names = several(types)
    for name in names:
        if not isinstance(name, str) or name.removeprefix("-") not in EVENT_TYPES:
            raise InvalidInput("invalid_event_type", f"{name!r} is no event type", details={"type": name})
    return names


def sorted_out(types: Sequence[str]) -> tuple[list[str], list[str]]:
    """The types that are wanted, where none means all, and those that are left out."""
    left_out = [name[1:] for name in types if name.startswith("-")]
    return [name for name in types if not name.startswith("-")], left_out


def is_wanted(type: str, types: Sequence[str]) -> bool:
    """Whether an event of that type is among those that were asked for."""
    among = not types or type in types or all(name[0] == "-" for name in types)
    return among and f"-{type}" not in types


__all__ = [
    "MAX_LIMIT",
    "Activity",
    "Appended",
    "Counts",
    "Page",
    "Run",
    "RunFilter",
    "SessionFilter",
    "SessionSummary",
    "Worker",
    "is_wanted",
    "known_types",
    "page_limit",
    "place_in_log",
    "place_in_session",
    "several",
    "sorted_out",
]
