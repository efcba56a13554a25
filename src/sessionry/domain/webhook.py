"""A webhook: an address that is told of events as they happen, signed so that it can tell ours from anybody's.

The signature is that of Standard Webhooks 1.0 (standardwebhooks.com), which many libraries verify.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sessionry.domain import records
from sessionry.domain import vocabulary as ev
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import EVENT_TYPES
from sessionry.domain.scope import Scope

#: What a person is told, besides events: an agent asks, and its run waits for the answer.
PERSON_NEEDED = "person_needed"
#: What a webhook without types is not told: pieces of what comes whole as well, and what providers sent.
PIECES = (ev.MessageStreamed.type, ev.ReasoningStreamed.type, ev.ToolOutputStreamed.type, ev.FrameReceived.type)
SECRET_PREFIX = "whsec_"  # noqa: S105  it is no secret itself
_LONGEST_URL = 2000
#: Characters of a description: it is shown in lists.
LONGEST_DESCRIPTION = 1000


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a webhook. Its secret is told once, when it is made, and never shown again.

    `types` are event types, or `person_needed`; none: all events but the pieces of messages. `cursor` is the position up to
    which the log was looked at for it.
    """

    id: str
    url: str
    scope: Scope
    created_at: datetime
    updated_at: datetime
    types: list[str] = []
    description: str | None = None
    cursor: int = 0
    pending: int = 0
    dead: int = 0
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_because: str | None = None

    def __post_init__(self) -> None:
        for field in ("created_at", "updated_at", "failing_since", "disabled_at"):
            if getattr(self, field) is not None:
                msgspec.structs.force_setattr(self, field, records.utc(getattr(self, field), field))

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly; the scope as `tenant` and `user`."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        scope: dict[str, Any] = fields.pop("scope")
        return fields | {"enabled": self.enabled} | scope


class NoticeStatus(StrEnum):
    """What was taken is not kept: only what is still owed, and what was given up."""

    PENDING = "pending"
    DEAD = "dead"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a webhook has not taken yet. `type` is what it is told of; `tries` is how often it was tried.

    `problem` is what went wrong the last time, and `http_status` what was answered, if anything was.
    """

    id: str
    webhook_id: str
    session_id: str
    type: str
    status: NoticeStatus
    created_at: datetime
    due_at: datetime
    tries: int = 0
    problem: str | None = None
    http_status: int | None = None

    def __post_init__(self) -> None:
        for field in ("created_at", "due_at"):
            msgspec.structs.force_setattr(self, field, records.utc(getattr(self, field), field))

    def to_dict(self) -> dict[str, Any]:
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def webhook_url(value: object) -> str:
    """An address that a webhook may have: http or https, a host, and nothing that says who we are. Raises
    `validation_error`."""
    url = records.required_text(value, "url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise records.invalid("url", "is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise records.invalid("url", "must be an address that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise records.invalid("url", "cannot hold a user or a password")
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise records.invalid("url", f"must be at most {_LONGEST_URL} printable ASCII characters, without spaces")
    return url


def webhook_description(value: object) -> str | None:
    """What a webhook is for. Raises `validation_error`."""
    text = records.optional_text(value, "description")
    if text is not None and len(text) > LONGEST_DESCRIPTION:
        raise records.invalid("description", f"must have at most {LONGEST_DESCRIPTION:,} characters")
    return text


def webhook_types(value: Sequence[str]) -> list[str]:
    """Types that a webhook may be told of, each once. Raises `invalid_event_type`."""
    types = records.tag_list(value, "types")
    for name in types:
        if name not in EVENT_TYPES and name != PERSON_NEEDED:
            raise InvalidInput("invalid_event_type", f"{name!r} is no event type, nor {PERSON_NEEDED}")
    return types


def new_webhook_secret() -> str:
    """`whsec_` and 192 random bits in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def webhook_headers(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that say who sends the message, and when: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = hmac.new(key, b"%s.%d.%s" % (id.encode(), timestamp, body), hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
