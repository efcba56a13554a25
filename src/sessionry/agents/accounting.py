"""What a run used, from whatever an agent reports: increments, totals of a turn, or totals that count on over runs.

The log has increments only (`token_usage_updated`), so each adapter says of its numbers what they are:

    account = Account(model="gpt-5", so_far=native.usage)      # totals of this agent go on over runs
    if event := account.total(usage): yield event              # what is new in it
    if event := account.add(usage, cost): yield event          # it is new, all of it

Money is what the agent says, else what genai-prices knows of the model, else unknown: never 0 for want of a price.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache

from sessionry.domain.continuity import NativeSession
from sessionry.domain.events import TokenUsageUpdated
from sessionry.domain.usage import Usage


class Account:
    """The usage of one run. `provider` is genai-prices' id of who serves the model, where it is known.

    `so_far` and `cost_so_far` are what totals had reached before the run. With `priced` false no price is looked up, for
    agents that say themselves what they cost.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        so_far: Usage = Usage(),  # noqa: B008  it is frozen
        cost_so_far: Decimal | None = None,
        priced: bool = True,
    ) -> None:
        self.model = model
        self._provider = provider
        self._total = so_far
        self._cost_total = cost_so_far or Decimal()
        self._priced = priced

    @classmethod
    def going_on(
        cls, native: NativeSession | None, *, model: str | None = None, provider: str | None = None, priced: bool = True
    ) -> Account:
        """For an agent whose totals count on when its session is resumed."""
        if native is None:
            return cls(model=model, provider=provider, priced=priced)
        return cls(model=model, provider=provider, so_far=native.usage, cost_so_far=native.cost, priced=priced)

    def add(self, usage: Usage, cost: Decimal | None = None) -> TokenUsageUpdated | None:
        """Everything in it is new. None when there is nothing."""
        self._total += usage
        if cost is None and self._priced and usage:
            cost = price(self.model, usage, self._provider)
        elif cost is not None:
            self._cost_total += cost
        if not usage and not cost:
            return None
        return TokenUsageUpdated(usage=usage, cost=cost, model=self.model)

    def total(self, usage: Usage, cost: Decimal | None = None) -> TokenUsageUpdated | None:
        """Totals, of which a part may have been told before. `cost` is a total as well."""
        new_cost = None if cost is None else max(cost - self._cost_total, Decimal())
        return self.add(usage - self._total, new_cost)

    def cost_total(self, cost: Decimal) -> TokenUsageUpdated | None:
        """A total of money alone."""
        return self.add(Usage(), max(cost - self._cost_total, Decimal()))


def money(value: float | str | Decimal | None) -> Decimal | None:
    """An amount as an agent says it, without the noise of binary fractions; None for what is no amount."""
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount.quantize(Decimal("0.0000000001")).normalize() if amount.is_finite() else None


def price(model: str | None, usage: Usage, provider: str | None = None) -> Decimal | None:
    """US dollars for the tokens by genai-prices; None when it does not know the model, or is not installed."""
    if not model or not _installed():
        return None
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        found = calc_price(tokens, model, provider_id=provider)
    except LookupError:
        return None
    return money(found.total_price)


@lru_cache(maxsize=1)
def _installed() -> bool:
    from importlib.util import find_spec

    return find_spec("genai_prices") is not None
