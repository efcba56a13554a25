"""Whose sessions a handle may see: every store handle is bound to a scope, and no unscoped query exists."""

from __future__ import annotations

import msgspec

from sessionry.domain import records

#: The tenant of a store that one person uses for themselves.
LOCAL_TENANT = "local"


class Scope(msgspec.Struct, frozen=True):
    """A tenant, and a user inside it. Without a user, all sessions of the tenant are in scope."""

    tenant: str = LOCAL_TENANT
    user: str | None = None

    def __post_init__(self) -> None:
        records.required_text(self.tenant, "tenant")
        records.optional_text(self.user, "user")
