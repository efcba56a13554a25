"""Usage, added up where it is: a view of the runs turns what they used into numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sessionry.domain.records import to_microseconds
from sessionry.domain.scope import Scope
from sessionry.domain.usage import Usage, UsageBy, UsageFilter, UsageReport, Used
from sessionry.ports import Steps
from sessionry.store.log import IN_SCOPE, scope_values
from sessionry.store.transaction import reads

_DAY = 86_400 * 1_000_000
_BUCKETS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_TOKENS = "u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens"
_SUMS = ", ".join(
    f"cast(sum({column}) as bigint)" for column in (_TOKENS, *(f"u.{name}" for name in _BUCKETS), "u.billionths")
)
_ROW = f"count(*), {_SUMS}, count(case when u.billionths is null and {_TOKENS} > 0 then 1 end)"
_SOURCE = "sessionry_used u join sessionry_session s on s.key = u.session"
#: What to group by, and what a row is called.
_KEYS = {
    UsageBy.DAY: (f"u.at / {_DAY}", "null"),
    UsageBy.AGENT: ("u.agent_id", "null"),
    UsageBy.MODEL: ("u.model", "null"),
    UsageBy.SESSION: ("s.id", "max(s.title)"),
}


@reads
def used(scope: Scope, by: UsageBy, filter: UsageFilter, *, limit: int = 100) -> Steps[UsageReport]:
    """What the runs of the scope used, by day (the newest `limit` ones), agent, model or session (the largest ones)."""
    where, values = _conditions(scope, filter)
    key, title = _KEYS[by]
    order = "1 desc" if by is UsageBy.DAY else "4 desc, 3 desc, 1"
    found = yield (
        f"select {key}, {title}, {_ROW} from {_SOURCE} where {where} group by {key} order by {order} limit ?",
        (*values, limit),
    )
    total = yield f"select null, null, {_ROW} from {_SOURCE} where {where}", values
    items = [_used(row, by) for row in found]
    return UsageReport(by=by, items=items[::-1] if by is UsageBy.DAY else items, total=_used(total[0], by))


def _conditions(scope: Scope, filter: UsageFilter) -> tuple[str, tuple[Any, ...]]:
    conditions, values = [IN_SCOPE], [*scope_values(scope)]
    for condition, value in (
        ("u.at >= ?", None if filter.after is None else to_microseconds(filter.after)),
        ("u.at < ?", None if filter.before is None else to_microseconds(filter.before)),
        ("u.agent_id = ?", filter.agent),
        ("u.model = ?", filter.model),
        ("s.id = ?", filter.session),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return " and ".join(conditions), tuple(values)


def _used(row: tuple[Any, ...], by: UsageBy) -> Used:
    key, title, runs, tokens, *buckets, billionths, unpriced = row
    if key is not None and by is UsageBy.DAY:
        key = datetime.fromtimestamp(key * 86_400, UTC).date().isoformat()
    usage = Usage(**{name: count or 0 for name, count in zip(_BUCKETS, buckets, strict=True)})
    return Used(
        key=key, title=title, runs=runs, tokens=tokens or 0, usage=usage, cost=dollars(billionths), unpriced=unpriced
    )


def dollars(billionths: int | None) -> Decimal | None:
    """Exactly so many."""
    return None if billionths is None else Decimal(billionths) / 1_000_000_000
