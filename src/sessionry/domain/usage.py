"""Tokens and money that runs used, one by one and added up."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from sessionry.domain import records


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Token counts in four buckets that never overlap, plus reasoning.

    `input_tokens` are the ones that were neither read from nor written to a cache; `reasoning_tokens` are a part of
    `output_tokens` and are not counted twice in `total_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        """What this total has more than an earlier one; never less than nothing, should a total have begun anew."""
        return Usage(
            input_tokens=max(self.input_tokens - other.input_tokens, 0),
            output_tokens=max(self.output_tokens - other.output_tokens, 0),
            cache_read_tokens=max(self.cache_read_tokens - other.cache_read_tokens, 0),
            cache_write_tokens=max(self.cache_write_tokens - other.cache_write_tokens, 0),
            reasoning_tokens=max(self.reasoning_tokens - other.reasoning_tokens, 0),
        )

    def __bool__(self) -> bool:
        return self != Usage()


class UsageBy(StrEnum):
    """What usage is added up by. Days are those of UTC."""

    DAY = "day"
    AGENT = "agent"
    MODEL = "model"
    SESSION = "session"


class UsageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to add up: those that started in that time, of that agent, model or session. Deleted sessions count."""

    after: datetime | None = None
    before: datetime | None = None
    agent: str | None = None
    model: str | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        for field in ("after", "before"):
            if getattr(self, field) is not None:
                msgspec.structs.force_setattr(self, field, records.utc(getattr(self, field), field))


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What some runs used together. `key` is the day, agent, model or session; None: the runs do not say their model.

    `cost` is of the runs that know theirs; `unpriced` counts the others that used any tokens.
    """

    key: str | None = None
    title: str | None = None
    runs: int = 0
    tokens: int = 0
    usage: Usage = Usage()
    cost: Decimal | None = None
    unpriced: int = 0


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Usage added up. Days in order; everything else by tokens, the most first. `total` is of all runs, also of what is
    beyond the limit.
    """

    by: UsageBy
    items: list[Used] = []
    total: Used = Used()

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def usage_by(value: object) -> UsageBy:
    """What is called so. Raises `validation_error`."""
    try:
        return UsageBy(records.required_text(value, "by"))
    except ValueError:
        raise records.invalid("by", f"must be one of {', '.join(UsageBy)}, not {value!r}") from None
