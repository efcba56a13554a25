"""A token: who shows it acts in a scope, and may do what its permissions say."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from sessionry.domain import records
from sessionry.domain.scope import Scope

#: What every secret begins with, so that scanners of source code and logs can find one.
SECRET_PREFIX = "sry_"  # noqa: S105  it is no secret itself


class Permission(StrEnum):
    """What a token allows. `admin` allows everything, tokens included; each of the others allows `read` as well."""

    READ = "read"
    RUN = "run"
    APPROVE = "approve"
    ADMIN = "admin"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a token. Its secret is told once, when it is made, and is nowhere."""

    id: str
    name: str
    scope: Scope
    permissions: list[Permission]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        records.required_text(self.name, "name")
        if not self.permissions:
            raise records.invalid("permissions", f"must be at least one of {', '.join(Permission)}")
        for field in ("created_at", "expires_at", "revoked_at"):
            if getattr(self, field) is not None:
                msgspec.structs.force_setattr(self, field, records.utc(getattr(self, field), field))

    def allows(self, permission: Permission) -> bool:
        """Whether it is enough for that."""
        if Permission.ADMIN in self.permissions:
            return True
        return permission in self.permissions or permission is Permission.READ

    def good_at(self, now: datetime) -> bool:
        """Neither expired nor revoked."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly; the scope as `tenant` and `user`."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        scope: dict[str, Any] = fields.pop("scope")
        return fields | scope


def permissions(names: str | Iterable[str]) -> list[Permission]:
    """The permissions of those names. Raises `validation_error`."""
    try:
        return sorted({Permission(name) for name in ([names] if isinstance(names, str) else names)}, key=str)
    except (TypeError, ValueError):
        raise records.invalid("permissions", f"must be of {', '.join(Permission)}, not {names!r}") from None


def new_secret() -> str:
    """`sry_` and 256 random bits in 43 characters."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What is kept of a secret: SHA-256. It needs no salt and no slowness, for it cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
