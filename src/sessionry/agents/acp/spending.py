"""What a run used, from the four places where agents of the protocol tell it.

- `usage` of the answer to a prompt: of this turn, or (`session_totals`) of all turns of the session in this process;
- `_meta.quota` of that answer (Gemini), the same;
- `_meta.usage` beside a piece of a message (Qwen): of one call of the model;
- `cost` of a `usage_update`: of the session so far, over all processes. Its `used` and `size` are about the context window.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sessionry.agents.accounting import Account, money
from sessionry.agents.acp.presets import Preset
from sessionry.domain.events import EventData
from sessionry.domain.usage import Usage


class Spending:
    """The account of one run. `cost_so_far` is what its session had cost before, by the agent's own count."""

    def __init__(self, preset: Preset, *, model: str | None = None, cost_so_far: Decimal | None = None) -> None:
        self.model = model
        self._preset = preset
        self._cost_so_far = cost_so_far
        self._used = Usage()
        self._turn = Usage()
        self._told_cost = False
        self._account = self._new()

    def _new(self) -> Account:
        return Account(
            model=self.model,
            provider=self._preset.provider,
            so_far=self._used,
            cost_so_far=self._cost_so_far,
            priced=not self._told_cost,
        )

    def update(self, update: dict[str, Any]) -> list[EventData]:
        """A `usage_update`."""
        cost = update.get("cost")
        if not isinstance(cost, dict) or cost.get("currency") != "USD":
            return []
        amount = cost.get("amount")
        total = money(amount) if isinstance(amount, int | float | str) else None
        if total is None:
            return []
        if not self._told_cost:
            self._told_cost = True  # from now on it is the agent who says what things cost
            self._account = self._new()
        event = self._account.cost_total(total)
        return [] if event is None else [event]

    def aside(self, update: dict[str, Any]) -> list[EventData]:
        """What may come beside a piece of a message: the usage of one call of the model."""
        meta = update.get("_meta")
        usage = usage_of(meta.get("usage")) if isinstance(meta, dict) else None
        if usage is None:
            return []
        self._turn += usage
        return self._add(usage)

    def answer(self, result: dict[str, Any]) -> list[EventData]:
        """The end of a turn. What was told aside is not counted twice."""
        turn, self._turn = self._turn, Usage()
        usage, model = _of_answer(result)
        if usage is None or turn:
            return []
        if model is not None and model != self.model:
            self.model = model
            self._account = self._new()
        if self._preset.session_totals:
            usage = usage - self._used
        return self._add(usage)

    def _add(self, usage: Usage) -> list[EventData]:
        self._used += usage
        event = self._account.add(usage)
        return [] if event is None else [event]


def usage_of(told: Any) -> Usage | None:
    """Our buckets, of the protocol's counts. Whether the input includes what came from a cache is seen by the total."""
    if not isinstance(told, dict):
        return None
    counts = {name: _count(told, name) for name in ("inputTokens", "outputTokens", "totalTokens", "thoughtTokens")}
    read, written = _count(told, "cachedReadTokens"), _count(told, "cachedWriteTokens")
    given = counts["inputTokens"]
    if (read or written) and counts["totalTokens"] == given + counts["outputTokens"]:
        given = max(given - read - written, 0)
    return Usage(
        input_tokens=given,
        output_tokens=counts["outputTokens"],
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=counts["thoughtTokens"],
    )


def _of_answer(result: dict[str, Any]) -> tuple[Usage | None, str | None]:
    meta = result.get("_meta")
    quota = meta.get("quota") if isinstance(meta, dict) else None
    if not isinstance(quota, dict):
        return usage_of(result.get("usage")), None
    models = quota.get("model_usage")
    names = [each.get("model") for each in models if isinstance(each, dict)] if isinstance(models, list) else []
    model = names[0] if len(names) == 1 and isinstance(names[0], str) else None
    if isinstance(result.get("usage"), dict):
        return usage_of(result["usage"]), model
    count = quota.get("token_count")
    if not isinstance(count, dict):
        return None, model
    usage = Usage(input_tokens=_count(count, "input_tokens"), output_tokens=_count(count, "output_tokens"))
    return usage, model


def _count(told: dict[str, Any], name: str) -> int:
    value = told.get(name)
    return value if isinstance(value, int) and value > 0 else 0
