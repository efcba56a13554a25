"""What a run finds of those before it: its agent's native sessions, and the other agents."""

from __future__ import annotations

from sessionry.domain import events as ev
from sessionry.domain.scope import Scope
from sessionry.domain.usage import Usage
from sessionry.store.operations import recovery, runs
from sessionry.testing.store_contract.scenario import AGENT, LOCAL, Claim, Contract, Scenario


async def _linked(scenario: Scenario, session_id: str, native: str | None = "n-1", items: int | None = None) -> Claim:
    """A run of the session that was linked to a native session, and completed."""
    claim = await scenario.claim(await scenario.submit(session_id))
    if native is not None:
        await scenario.append(claim, ev.AgentSessionLinked(native_session_id=native, items=items, model="m"))
        await scenario.append(claim, ev.TokenUsageUpdated(usage=Usage(input_tokens=5)))
    await scenario.finish(claim)
    return claim


class ContinuityContract(Contract):
    """What a run finds of those before it: its agent's native sessions, and the other agents."""

    async def test_linked_runs_are_found_newest_first_with_all_that_was_recorded(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        claims = [await _linked(scenario, session_id, f"n-{number}", number) for number in range(3)]
        found = await scenario.do(runs.linked(LOCAL, session_id, AGENT))
        assert [run.id for run in found] == [claim.run_id for claim in reversed(claims)]
        assert found == [await scenario.run(run.id) for run in found]
        assert [(run.agent.native_session_id, run.agent.native_items) for run in found if run.agent] == [
            ("n-2", 2),
            ("n-1", 1),
            ("n-0", 0),
        ]
        assert {run.usage.input_tokens for run in found} == {5}

    async def test_a_limit_gives_the_newest(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        claims = [await _linked(scenario, session_id) for _ in range(3)]
        found = await scenario.do(runs.linked(LOCAL, session_id, AGENT, 1))
        assert [run.id for run in found] == [claims[-1].run_id]

    async def test_a_run_at_work_is_found_as_soon_as_it_is_linked(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        assert await scenario.do(runs.linked(LOCAL, claim.session_id, AGENT)) == []
        await scenario.append(claim, ev.AgentSessionLinked(native_session_id="n-1"))
        found = await scenario.do(runs.linked(LOCAL, claim.session_id, AGENT))
        assert [run.id for run in found] == [claim.run_id]

    async def test_runs_without_a_native_session_of_other_agents_and_of_other_sessions_are_not_found(
        self, scenario: Scenario
    ) -> None:
        session_id, other_id = await scenario.create(), await scenario.create()
        await _linked(scenario, session_id, None)
        await _linked(scenario, other_id)
        await scenario.submit(session_id)
        assert await scenario.do(runs.linked(LOCAL, session_id, AGENT)) == []
        assert await scenario.do(runs.linked(LOCAL, other_id, "another")) == []

    async def test_the_link_of_a_lost_attempt_is_kept_by_the_next_one(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="resume")
        await scenario.append(claim, ev.AgentSessionLinked(native_session_id="n-1", items=7))
        assert await scenario.lose(claim) == "requeued"
        again = await scenario.claim(claim.run_id, number=2)
        (found,) = await scenario.do(runs.linked(LOCAL, claim.session_id, AGENT))
        assert found.agent is not None
        assert (found.attempt, found.agent.native_session_id, found.agent.native_items) == (2, "n-1", 7)
        await scenario.finish(again)

    async def test_an_agent_that_says_the_words_without_a_link_is_not_found(self, scenario: Scenario) -> None:
        claim = await scenario.work(input='{"native_session_id": "n-1"}')
        await scenario.append(claim, ev.MessageReceived(text='"native_session_id"'))
        await scenario.finish(claim)
        assert await scenario.do(runs.linked(LOCAL, claim.session_id, AGENT)) == []

    async def test_agents_before_are_the_others_that_began_by_name_and_once(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        own = await scenario.finished(session_id)
        for agent_id in ("zeta", "beta", "zeta"):
            await scenario.finish(await scenario.claim(await scenario.submit(session_id, agent_id=agent_id)))
        waiting = await scenario.submit(session_id, agent_id="never")
        run_id = await scenario.submit(session_id)
        assert await scenario.do(runs.agents_before(LOCAL, session_id, run_id)) == ["beta", "zeta"]
        assert await scenario.do(runs.agents_before(LOCAL, session_id, own)) == ["beta", "zeta"]
        assert await scenario.do(runs.agents_before(LOCAL, session_id, waiting)) == [AGENT, "beta", "zeta"]

    async def test_strangers_find_neither(self, scenario: Scenario) -> None:
        owner = scenario.to(Scope("a", "ann"))
        session_id = await owner.create()
        claim = await _linked(owner, session_id)
        other = await owner.submit(session_id, agent_id="other")
        own = await owner.do(runs.linked(owner.scope, session_id, AGENT))
        assert [run.id for run in own] == [claim.run_id]
        assert await owner.do(runs.agents_before(owner.scope, session_id, other)) == [AGENT]
        for stranger in (Scope("b"), Scope("b", "ann"), Scope("a", "bob"), LOCAL):
            assert await owner.do(runs.linked(stranger, session_id, AGENT)) == []
            assert await owner.do(runs.agents_before(stranger, session_id, other)) == []
        assert await owner.do(runs.linked(Scope("a"), session_id, AGENT)) == own

    async def test_the_programs_of_lost_runs_are_told_with_their_runs(self, scenario: Scenario) -> None:
        claims = [await scenario.work() for _ in range(3)]
        for number, claim in enumerate(claims):
            for pid in range(number):
                started = ev.AgentProcessStarted(program="p", pid=pid + 1, started_at=0.5 + number, host="h")
                await scenario.append(claim, ev.TurnCompleted(), started)
        wanted = [claim.run_id for claim in claims[1:]]
        found = await scenario.do(recovery.programs(wanted))
        assert [(run_id, data.pid, data.started_at) for run_id, data in found] == [
            (wanted[0], 1, 1.5),
            (wanted[1], 1, 2.5),
            (wanted[1], 2, 2.5),
        ]
        assert await scenario.do(recovery.programs([])) == []
        assert await scenario.do(recovery.programs(["run_unknown"])) == []
