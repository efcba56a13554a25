"""Pruning: pieces of messages go, what they said stays, and nothing is counted anew."""

from __future__ import annotations

from sessionry.domain import events as ev
from sessionry.domain.fold import fold
from sessionry.store.operations import pruning
from sessionry.testing.store_contract.scenario import Claim, Contract, Scenario


class PruningContract(Contract):
    """Pruning: pieces of messages go, what they said stays, and nothing is counted anew."""

    async def test_only_pieces_of_whole_messages_of_that_run_go(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        pruned, other = [await scenario.claim(await scenario.submit(session_id)) for _ in range(2)]
        for claim in (pruned, other, pruned, other):
            await self._say(scenario, claim)
        await scenario.append(pruned, ev.MessageStreamed(text="never ended"))
        await scenario.finish(pruned)
        before = await scenario.log(session_id)
        assert await scenario.do(pruning.unpruned(-1)) == [pruned.run_id]
        assert await scenario.do(pruning.prune(pruned.run_id)) == 4
        assert await scenario.do(pruning.prune(pruned.run_id)) == 0
        assert await scenario.do(pruning.unpruned(-1)) == []
        pieces = {
            event.id
            for event in before
            if event.run_id == pruned.run_id and event.type.endswith("streamed") and "never" not in str(event.data)
        }
        after = await scenario.log(session_id)
        assert after == [event for event in before if event.id not in pieces]
        assert fold(after) == fold(before)
        del scenario.made[session_id]  # its log has the gaps that it should have

    async def test_the_log_goes_on_where_it_was(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        claim = await scenario.claim(await scenario.submit(session_id))
        await self._say(scenario, claim)
        end = await scenario.finish(claim)
        await scenario.do(pruning.prune(claim.run_id))
        claim = await scenario.claim(await scenario.submit(session_id))
        assert claim.after == end.seq + 2
        assert await scenario.append(claim, ev.MessageReceived(text="on")) == [end.seq + 3]
        del scenario.made[session_id]

    async def test_runs_are_pruned_when_they_have_ended_for_long_enough(self, scenario: Scenario) -> None:
        live = await scenario.work()
        await scenario.finish(await scenario.work())
        assert live.run_id not in await scenario.do(pruning.unpruned(-1))
        assert await scenario.do(pruning.unpruned(3600)) == []

    async def _say(self, scenario: Scenario, claim: Claim) -> None:
        await scenario.append(claim, ev.ReasoningStreamed(text="hm"), ev.ReasoningReceived(text="hm"))
        await scenario.append(claim, ev.MessageStreamed(text="hi"), ev.MessageReceived(text="hi"))
