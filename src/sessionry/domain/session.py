"""A session: the durable container for a series of runs of one agent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from sessionry.domain import ids, records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json, json_object
from sessionry.domain.lifecycle import SESSION_ENDED, SessionStatus, check_session_transition

#: How many runs may wait in a session's queue unless it is told otherwise.
DEFAULT_QUEUE_LIMIT = 100


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session as it was at `version`. A value: changing it means appending an event, and gives a new one.

    `context` is what the agent is given (a system prompt, for example); `metadata` is the caller's own and is never read
    by Sessionry. `slots` is how many runs may be live at once, `queue_limit` how many more may wait.
    """

    id: str
    agent_id: str
    created_at: datetime
    updated_at: datetime
    status: SessionStatus = SessionStatus.PENDING
    parent_session_id: str | None = None
    title: str | None = None
    cwd: str | None = None
    metadata: dict[str, Json] = {}
    context: dict[str, Json] = {}
    tags: list[str] = []
    slots: int = 1
    queue_limit: int = DEFAULT_QUEUE_LIMIT
    deleted_at: datetime | None = None
    version: int = 1

    @classmethod
    def new(
        cls,
        *,
        agent_id: str | None = None,
        id: str | None = None,
        parent_session_id: str | None = None,
        title: str | None = None,
        cwd: str | None = None,
        metadata: dict[str, Json] | None = None,
        context: dict[str, Json] | None = None,
        tags: Iterable[str] | None = None,
        slots: int = 1,
        queue_limit: int = DEFAULT_QUEUE_LIMIT,
        now: datetime | None = None,
    ) -> Session:
        """A pending session, born `now`. Raises `validation_error` naming the field."""
        at = records.utc(now, "now") if now else records.utc_now()
        return cls(
            id=ids.new_id(ids.SESSION) if id is None else id,
            agent_id=records.required_text(agent_id, "agent_id"),
            created_at=at,
            updated_at=at,
            parent_session_id=parent_session_id,
            title=title,
            cwd=cwd,
            metadata={} if metadata is None else metadata,
            context={} if context is None else context,
            tags=[] if tags is None else tags,  # type: ignore[arg-type]  # checked and copied in __post_init__
            slots=slots,
            queue_limit=queue_limit,
        )

    def __post_init__(self) -> None:
        put = msgspec.structs.force_setattr
        records.required_text(self.id, "id")
        records.required_text(self.agent_id, "agent_id")
        records.optional_text(self.parent_session_id, "parent_session_id")
        if self.parent_session_id == self.id:
            raise records.invalid("parent_session_id", "cannot be the session itself")
        records.optional_text(self.title, "title")
        records.optional_text(self.cwd, "cwd")
        put(self, "metadata", json_object(self.metadata, "metadata"))
        put(self, "context", json_object(self.context, "context"))
        put(self, "tags", records.tag_list(self.tags))
        if type(self.status) is not SessionStatus:
            put(self, "status", session_status(self.status))
        for field, smallest in (("slots", 1), ("queue_limit", 0), ("version", 1)):
            records.whole_number(getattr(self, field), field, smallest)
        for field in ("created_at", "updated_at"):
            put(self, field, records.utc(getattr(self, field), field))
        if self.deleted_at is not None:
            put(self, "deleted_at", records.utc(self.deleted_at, "deleted_at"))

    def __hash__(self) -> int:
        return hash((self.id, self.version))

    @property
    def ended(self) -> bool:
        """Completed, failed or cancelled: nothing can follow but a fork."""
        return self.status in SESSION_ENDED

    def update_status(self, status: str, *, now: datetime | None = None) -> Session:
        """A copy in the new status. Raises `invalid_status` when it is unknown, `invalid_transition` when forbidden."""
        target = session_status(status)
        check_session_transition(self.status, target)
        return self.changed(now=now, status=target)

    def changed(self, *, now: datetime | None = None, **fields: Any) -> Session:
        """A copy with `fields` replaced, a later `updated_at` and the next `version`."""
        at = records.later_than(self.updated_at, now)
        return msgspec.structs.replace(self, updated_at=at, version=self.version + 1, **fields)

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly: times are RFC 3339 strings in UTC with microseconds where they have any."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Session:
        """The session that `to_dict` wrote. Unknown keys are refused."""
        fields = records.require(value, ("id", "agent_id", "status", "created_at", "updated_at"), "session")
        session_status(fields["status"])
        return records.convert(fields, cls, "session")


def session_status(value: object) -> SessionStatus:
    """The status of that name. Raises `invalid_status`, or `validation_error` when it is no string at all."""
    try:
        return SessionStatus(records.required_text(value, "status"))
    except ValueError:
        names = ", ".join(SessionStatus)
        raise InvalidInput(
            "invalid_status", f"{value!r} is no session status; the statuses are {names}", details={"status": value}
        ) from None
