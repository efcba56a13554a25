"""Whose sessions a handle may see: every store handle is bound to a scope, and no unscoped query exists."""

from __future__ import annotations

import msgspec

from sessionry.domain import records

#: The tenant of a store that one person uses for themselves.
LOCAL_TENANT = "local"


class Scope(msgspec.Struct, frozen=True, eq=False):
    """A tenant, and a user inside it. Without a user, all sessions of the tenant are in scope."""

    tenant: str = LOCAL_TENANT
    user: str | None = None

    def __post_init__(self) -> None:
        records.required_text(self.tenant, "tenant")
        records.optional_text(self.user, "user")

    def __eq__(self, other: object) -> bool:
        """Whoever acts in it, a scope is the same."""
        return isinstance(other, Scope) and (self.tenant, self.user) == (other.tenant, other.user)

    def __hash__(self) -> int:
        return hash((self.tenant, self.user))

    @property
    def signature(self) -> tuple[str | None, str | None]:
        """Who acts, and from where, as far as it is known: what the log keeps with a command."""
        return self.user, None


class Acting(Scope, frozen=True, eq=False):
    """A scope, and who acts in it, from where. It is said by the process that acts, and never taken from a caller."""

    actor: str | None = None
    origin: str | None = None

    @property
    def signature(self) -> tuple[str | None, str | None]:
        return self.user or self.actor, self.origin
