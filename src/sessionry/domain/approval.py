"""An approval: a question of an agent to a person, and the one decision that counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from sessionry.domain.json_values import Json
from sessionry.domain.records import invalid


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One question. It leaves `pending` once; what is not granted counts as denied."""

    id: str
    session_id: str
    run_id: str
    tool_name: str
    requested_at: datetime
    status: ApprovalStatus = ApprovalStatus.PENDING
    tool_input: Json = None
    tool_call_id: str | None = None
    reason: str | None = None
    expires_at: datetime | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def approval_statuses(names: str | Iterable[str]) -> list[ApprovalStatus]:
    """The statuses of those names, or of that one. Raises `validation_error`."""
    try:
        return [ApprovalStatus(name) for name in ([names] if isinstance(names, str) else names)]
    except (TypeError, ValueError) as error:
        raise invalid("status", f"must be of {', '.join(ApprovalStatus)}: {error}") from None
