"""Usage: every token and cent of the scope's runs once, whatever it is added up by."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sessionry.domain import events as ev
from sessionry.domain.queries import SessionFilter
from sessionry.domain.scope import Scope
from sessionry.domain.usage import Usage, UsageBy, UsageFilter
from sessionry.store.operations import listing, sessions, usage
from sessionry.testing.store_contract.scenario import LOCAL, Contract, Scenario


async def _spend(scenario: Scenario, session_id: str, tokens: int, cost: str | None, model: str = "big") -> str:
    claim = await scenario.claim(await scenario.submit(session_id))
    price = None if cost is None else Decimal(cost)
    await scenario.append(
        claim,
        ev.AgentSessionLinked(native_session_id=f"native-{claim.run_id}", model=model),
        ev.TokenUsageUpdated(usage=Usage(input_tokens=tokens, output_tokens=1), cost=price, model=model),
    )
    await scenario.finish(claim)
    return claim.run_id


class UsageContract(Contract):
    """Usage: every token and cent of the scope's runs once, whatever it is added up by."""

    async def test_sums_are_exact_and_the_same_by_everything(self, scenario: Scenario) -> None:
        one, two = await scenario.create(title="One"), await scenario.create(title="Two")
        await _spend(scenario, one, 99, "0.1")
        await _spend(scenario, one, 199, "0.2", model="small")
        await _spend(scenario, two, 999, None)
        for by in UsageBy:
            report = await scenario.do(usage.used(LOCAL, by, UsageFilter()))
            assert report.total.usage == Usage(input_tokens=1297, output_tokens=3)
            assert (report.total.runs, report.total.tokens, report.total.unpriced) == (3, 1300, 1)
            assert report.total.cost == Decimal("0.3"), "which no sum of floats is"
            assert sum(item.tokens for item in report.items) == 1300
        found = (await scenario.do(usage.used(LOCAL, UsageBy.SESSION, UsageFilter()))).items
        assert [(each.key, each.title, each.tokens, each.cost) for each in found] == [
            (two, "Two", 1000, None),
            (one, "One", 300, Decimal("0.3")),
        ]
        found = (await scenario.do(usage.used(LOCAL, UsageBy.MODEL, UsageFilter()))).items
        assert [(each.key, each.runs) for each in found] == [("big", 2), ("small", 1)]

    async def test_a_part_is_asked_for(self, scenario: Scenario) -> None:
        one, two = await scenario.create(), await scenario.create()
        run = await scenario.run(await _spend(scenario, one, 9, "1"))
        await _spend(scenario, two, 19, "2", model="small")
        at, moment = run.started_at, timedelta(microseconds=1)
        assert at is not None
        for filter, tokens in (
            (UsageFilter(session=two), 20),
            (UsageFilter(model="big"), 10),
            (UsageFilter(agent="agent"), 30),
            (UsageFilter(agent="other"), 0),
            (UsageFilter(before=at), 0),
            (UsageFilter(before=at + moment), 10),
            (UsageFilter(after=at + moment), 20),
            (UsageFilter(after=at), 30),
        ):
            assert (await scenario.do(usage.used(LOCAL, UsageBy.AGENT, filter))).total.tokens == tokens
        report = await scenario.do(usage.used(LOCAL, UsageBy.SESSION, UsageFilter(), limit=1))
        assert ([item.key for item in report.items], report.total.tokens) == ([two], 30)

    async def test_days_are_dates(self, scenario: Scenario) -> None:
        run = await scenario.run(await _spend(scenario, await scenario.create(), 9, "1"))
        assert run.started_at is not None
        (day,) = (await scenario.do(usage.used(LOCAL, UsageBy.DAY, UsageFilter()))).items
        assert day.key == run.started_at.date().isoformat()

    async def test_what_was_spent_stays_spent_when_a_session_is_hidden(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await _spend(scenario, session_id, 9, "1")
        await scenario.do(sessions.delete(LOCAL, session_id))
        assert (await scenario.do(usage.used(LOCAL, UsageBy.DAY, UsageFilter()))).total.cost == 1

    async def test_others_spend_their_own(self, scenario: Scenario) -> None:
        ann, bob = scenario.to(Scope("a", "ann")), scenario.to(Scope("a", "bob"))
        its = await ann.create()
        await _spend(ann, its, 9, "1")
        for scope, tokens in ((ann.scope, 10), (Scope("a"), 10), (bob.scope, 0), (Scope("b"), 0)):
            for filter in (UsageFilter(), UsageFilter(session=its)):
                report = await scenario.do(usage.used(scope, UsageBy.SESSION, filter))
                assert report.total.tokens == tokens
                assert [item.key for item in report.items] == [its] * bool(tokens)

    async def test_a_list_of_sessions_tells_what_each_used(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await _spend(scenario, session_id, 9, "0.25")
        await _spend(scenario, session_id, 9, None)
        await scenario.create()
        fresh, used = (await scenario.do(listing.list_sessions(LOCAL, SessionFilter()))).items
        assert {(fresh.tokens, fresh.cost), (used.tokens, used.cost)} == {(0, None), (20, Decimal("0.25"))}
