"""What a run used, whatever an agent reports: the log gets increments, and a price that is not known is none."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.agents import accounting
from sessionry.agents.accounting import Account, money, price
from sessionry.domain.continuity import NativeSession
from sessionry.domain.events import TokenUsageUpdated
from sessionry.domain.usage import Usage

UNPRICED = "no-such-model"


def tokens(input: int = 0, output: int = 0, **more: int) -> Usage:
    return Usage(input_tokens=input, output_tokens=output, **more)


def summed(events: Iterable[TokenUsageUpdated | None]) -> tuple[Usage, Decimal | None]:
    told = [event for event in events if event is not None]
    costs = [event.cost for event in told if event.cost is not None]
    return sum((event.usage for event in told), Usage()), sum(costs, Decimal()) if costs else None


def test_numbers_of_a_turn_are_told_as_they_are() -> None:
    account = Account(model=UNPRICED)
    assert account.add(tokens(10, 1)) == TokenUsageUpdated(usage=tokens(10, 1), model=UNPRICED)
    assert account.add(tokens(5, 2), Decimal("0.1")) == TokenUsageUpdated(
        usage=tokens(5, 2), cost=Decimal("0.1"), model=UNPRICED
    )


def test_totals_are_told_as_what_is_new_in_them() -> None:
    account = Account(model=UNPRICED)
    assert account.total(tokens(10, 1)) == TokenUsageUpdated(usage=tokens(10, 1), model=UNPRICED)
    assert account.total(tokens(10, 1)) is None
    assert account.total(tokens(25, 1)) == TokenUsageUpdated(usage=tokens(15), model=UNPRICED)


def test_totals_of_a_thread_that_is_resumed_begin_where_its_runs_ended() -> None:
    native = NativeSession(id="t", run_id="run_1", usage=tokens(100, 10, cache_read_tokens=7), cost=Decimal("0.5"))
    account = Account.going_on(native, model=UNPRICED)
    told = account.total(tokens(130, 15, cache_read_tokens=7), Decimal("0.75"))
    assert told == TokenUsageUpdated(usage=tokens(30, 5), cost=Decimal("0.25"), model=UNPRICED)
    assert Account.going_on(None, model=UNPRICED).total(tokens(3)) == TokenUsageUpdated(usage=tokens(3), model=UNPRICED)


def test_a_total_of_money_alone_is_told_as_what_is_new_in_it() -> None:
    account = Account(cost_so_far=Decimal("1"), priced=False)
    assert account.add(tokens(1)) == TokenUsageUpdated(usage=tokens(1))
    assert account.cost_total(Decimal("1.25")) == TokenUsageUpdated(usage=Usage(), cost=Decimal("0.25"))
    assert account.cost_total(Decimal("1.25")) is None


def test_a_total_that_shrinks_is_never_a_negative_number() -> None:
    account = Account(model=UNPRICED)
    account.total(tokens(10), Decimal("1"))
    assert account.total(tokens(4), Decimal("0.5")) is None
    told = account.total(tokens(12), Decimal("1.5"))
    assert told == TokenUsageUpdated(usage=tokens(2), cost=Decimal("0.5"), model=UNPRICED)


def test_nothing_is_not_told() -> None:
    account = Account()
    assert account.add(Usage()) is None
    assert account.total(Usage()) is None
    assert account.cost_total(Decimal(0)) is None


@pytest.mark.parametrize("model", [None, "", UNPRICED, "llama-on-my-desk"])
def test_an_unknown_price_is_unknown_and_never_nothing(model: str | None) -> None:
    told = Account(model=model).add(tokens(1000, 1000))
    assert told is not None
    assert told.cost is None


def test_without_the_package_no_price_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "_installed", lambda: False)
    assert price("gpt-4o", tokens(1000)) is None


def test_a_known_model_has_its_price() -> None:
    assert price("gpt-4o", tokens(1_000_000), "openai") == Decimal("2.5")
    told = Account(model="gpt-4o", provider="openai").add(tokens(1_000_000))
    assert told is not None
    assert told.cost == Decimal("2.5")


def test_tokens_from_a_cache_are_priced_as_such() -> None:
    cached = price("gpt-4o", tokens(0, 0, cache_read_tokens=1_000_000), "openai")
    assert cached == Decimal("1.25")
    both = price("gpt-4o", tokens(1_000_000, 0, cache_read_tokens=1_000_000), "openai")
    assert both == Decimal("3.75")


def test_reasoning_is_a_part_of_the_output_and_costs_nothing_on_top() -> None:
    plain = price("gpt-4o", tokens(0, 1000), "openai")
    assert plain == price("gpt-4o", tokens(0, 1000, reasoning_tokens=900), "openai")


def test_what_the_agent_says_goes_before_the_list_of_prices() -> None:
    told = Account(model="gpt-4o", provider="openai").add(tokens(1_000_000), Decimal("0.01"))
    assert told is not None
    assert told.cost == Decimal("0.01")


def test_an_agent_that_tells_its_costs_itself_is_not_priced() -> None:
    told = Account(model="gpt-4o", provider="openai", priced=False).add(tokens(1_000_000))
    assert told is not None
    assert told.cost is None


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        (None, None),
        ("much", None),
        (0.1, Decimal("0.1")),
        (0.0012799999999999999, Decimal("0.00128")),
        ("1.50", Decimal("1.5")),
        (0, Decimal(0)),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_money_is_read_without_the_noise_of_binary_fractions(said: float | str | None, amount: Decimal | None) -> None:
    assert money(said) == amount


USAGES = st.builds(
    Usage,
    input_tokens=st.integers(0, 1000),
    output_tokens=st.integers(0, 1000),
    cache_read_tokens=st.integers(0, 1000),
    cache_write_tokens=st.integers(0, 1000),
)


@given(st.lists(st.tuples(USAGES, st.integers(0, 100)), max_size=8), st.integers(0, 8))
def test_all_three_ways_of_reporting_come_to_the_same(turns: list[tuple[Usage, int]], cut: int) -> None:
    """By turn; as totals; and as totals of a thread whose first `cut` turns were an earlier run's."""
    by_turn = [(usage, Decimal(cents) / 100) for usage, cents in turns]
    totals = [
        (sum((usage for usage, _ in by_turn[: n + 1]), Usage()), sum((cost for _, cost in by_turn[: n + 1]), Decimal()))
        for n in range(len(by_turn))
    ]
    once, whole = Account(priced=False), Account(priced=False)
    expected = summed(once.add(usage, cost) for usage, cost in by_turn)
    assert summed(whole.total(usage, cost) for usage, cost in totals) == expected
    before = Account(priced=False)
    usage, cost = summed(before.total(*each) for each in totals[:cut])
    native = NativeSession(id="n", run_id="r", usage=usage, cost=cost)
    after = Account.going_on(native, priced=False)
    rest = summed(after.total(*each) for each in totals[cut:])
    assert usage + rest[0] == expected[0]
    assert (cost or 0) + (rest[1] or 0) == (expected[1] or 0)
