"""A deed: what somebody did to the store that leaves no event, or of which nothing is left."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from sessionry.domain import records


class DeedType(StrEnum):
    """What is kept as a deed. Everything that is done to a session or a run is an event of its log."""

    TOKEN_CREATED = "token_created"  # noqa: S105  the name of a deed
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_UPDATED = "webhook_updated"
    WEBHOOK_DELETED = "webhook_deleted"
    WEBHOOK_REPLAYED = "webhook_replayed"
    NOTICES_RETRIED = "notices_retried"
    WORKER_DRAINED = "worker_drained"
    SESSION_PURGED = "session_purged"


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to which thing, when, and from where."""

    at: datetime
    type: DeedType
    subject: str
    actor: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "at", records.utc(self.at, "at"))

    def to_dict(self) -> dict[str, Any]:
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins
