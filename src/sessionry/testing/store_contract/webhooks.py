"""Webhooks: what they are owed is entered once, in their scope, and is kept until it was taken."""

from __future__ import annotations

from typing import Any

from sessionry.domain import events as ev
from sessionry.domain.scope import Scope
from sessionry.domain.webhook import PERSON_NEEDED, NoticeStatus, new_webhook_secret
from sessionry.ports import Operation
from sessionry.store.operations import pruning, sessions, webhooks
from sessionry.store.operations.webhooks import Found, Outcome
from sessionry.testing.store_contract.scenario import Contract, Scenario

_ANN, _NOTHING, _URL = Scope("a", "ann"), Found(cursor=-1, upto=0), "https://agents.example/hook"


class WebhookContract(Contract):
    """Webhooks: what they are owed is entered once, in their scope, and is kept until it was taken."""

    async def test_it_is_owed_what_happens_in_its_scope_from_then_on(self, scenario: Scenario) -> None:
        ann, bob = scenario.to(_ANN), scenario.to(Scope("a", "bob"))
        await ann.create()
        key = await self._made(scenario, _ANN)
        mine, _ = await ann.create(), await bob.create()
        assert await self._entered(scenario, key) == 1
        assert await self._entered(scenario, key) == 0
        due, later = await scenario.do(webhooks.owed(key, 10))
        assert [(each.type, each.event and each.event.session_id) for each in due] == [("session_created", mine)]
        assert later is None

    async def test_a_tenant_has_no_more_than_so_many(self, scenario: Scenario) -> None:
        for _ in range(webhooks.MOST):
            await self._made(scenario, _ANN)
        async with scenario.refused("too_many_webhooks"):
            await self._made(scenario, _ANN)
        await self._made(scenario, Scope("b"))

    async def test_types_are_filtered_and_pieces_left_out(self, scenario: Scenario) -> None:
        everything, ends = await self._made(scenario), await self._made(scenario, types=["run_completed"])
        claim = await scenario.work()
        await scenario.append(claim, ev.FrameReceived(source="test", number=1, frame={"text": "hi"}))
        await scenario.append(claim, ev.MessageStreamed(text="hi"), ev.MessageReceived(text="hi"))
        await scenario.finish(claim)
        for key in (everything, ends):
            await self._entered(scenario, key)
        all_types = [each.type for each in (await scenario.do(webhooks.owed(everything, 100)))[0]]
        assert "message_received" in all_types
        assert not {"message_streamed", "frame_received"} & set(all_types)
        assert [each.type for each in (await scenario.do(webhooks.owed(ends, 100)))[0]] == ["run_completed"]

    async def test_a_question_is_told_as_such(self, scenario: Scenario) -> None:
        key = await self._made(scenario, types=[PERSON_NEEDED])
        await scenario.ask(await scenario.work(), "delete")
        assert await self._entered(scenario, key) == 1
        (owed,), _ = await scenario.do(webhooks.owed(key, 10))
        assert (owed.type, owed.event and owed.event.type) == (PERSON_NEEDED, "tool_approval_requested")

    async def test_what_was_taken_is_gone_and_what_failed_stays(self, scenario: Scenario) -> None:
        key = await self._made(scenario)
        for _ in range(3):
            await scenario.create()
        await self._entered(scenario, key)
        (one, two, three), _ = await scenario.do(webhooks.owed(key, 10))
        outcomes = [Outcome(key=one.key), Outcome(key=two.key, problem="no", again=600.0)]
        await scenario.do(webhooks.settle(key, [*outcomes, Outcome(key=three.key, problem="no")], 60))
        due, later = await scenario.do(webhooks.owed(key, 10))
        assert (due, later is not None and 500 < later <= 600) == ([], True)
        (webhook,) = await scenario.do(webhooks.of_scope(scenario.scope))
        assert (webhook.pending, webhook.dead, webhook.failing_since) == (1, 1, None)
        page = await scenario.do(webhooks.notices(scenario.scope, webhook.id, status=NoticeStatus.DEAD))
        assert [(each.problem, each.tries) for each in page.items] == [("no", 1)]
        async with scenario.refused("notice_not_found"):
            await scenario.store.execute(webhooks.retry(scenario.scope, webhook.id, "ntc_none"))
        assert await scenario.do(webhooks.retry(scenario.scope, webhook.id, page.items[0].id)) == 1
        assert [each.key for each in (await scenario.do(webhooks.owed(key, 10)))[0]] == [three.key]

    async def test_what_needs_not_be_told_any_more_says_nothing_of_the_address(self, scenario: Scenario) -> None:
        key = await self._made(scenario)
        for _ in range(2):
            await scenario.create()
        await self._entered(scenario, key)
        (one, two), _ = await scenario.do(webhooks.owed(key, 10))
        await scenario.do(webhooks.settle(key, [Outcome(key=one.key, problem="no", again=600.0)], 60))
        await scenario.do(webhooks.settle(key, [Outcome(key=two.key, moot=True)], 60))
        (webhook,) = await scenario.do(webhooks.of_scope(scenario.scope))
        assert (webhook.pending, webhook.failing_since is None) == (1, False)

    async def test_a_replay_tells_everything_again(self, scenario: Scenario) -> None:
        key = await self._made(scenario)
        await scenario.create()
        await self._entered(scenario, key)
        (first,), _ = await scenario.do(webhooks.owed(key, 10))
        await scenario.do(webhooks.settle(key, [Outcome(key=first.key)], 60))
        (webhook,) = await scenario.do(webhooks.of_scope(scenario.scope))
        await scenario.do(webhooks.replay(scenario.scope, webhook.id, 0))
        assert await self._entered(scenario, key) == 1
        (again,), _ = await scenario.do(webhooks.owed(key, 10))
        assert again.event == first.event

    async def test_one_that_takes_nothing_is_disabled_and_can_be_enabled_again(self, scenario: Scenario) -> None:
        key = await self._made(scenario)
        await scenario.create()
        await self._entered(scenario, key)
        (owed,), _ = await scenario.do(webhooks.owed(key, 10))
        failed = [Outcome(key=owed.key, problem="no", again=600.0)]
        assert await scenario.do(webhooks.settle(key, failed, 600)) is None
        assert await scenario.do(webhooks.settle(key, failed, -1)) is not None
        assert await scenario.do(webhooks.endpoints()) == []
        (webhook,) = await scenario.do(webhooks.of_scope(scenario.scope))
        assert webhook.disabled_because
        await scenario.do(webhooks.update(scenario.scope, webhook.id, {"enabled": True}))
        assert [each.key for each in await scenario.do(webhooks.endpoints())] == [key]
        assert [each.key for each in (await scenario.do(webhooks.owed(key, 10)))[0]] == [owed.key]

    async def test_what_was_given_up_is_forgotten_after_a_while(self, scenario: Scenario) -> None:
        key = await self._made(scenario)
        for _ in range(3):
            await scenario.create()
        await self._entered(scenario, key)
        given_up, again, owed = (await scenario.do(webhooks.owed(key, 10)))[0]
        dead = [Outcome(key=each.key, problem="no") for each in (given_up, again)]
        await scenario.do(webhooks.settle(key, dead, 600))
        assert await scenario.do(pruning.given_up(3600)) == []
        old = await scenario.do(pruning.given_up(-1))
        assert sorted(old) == [given_up.key, again.key]
        (webhook,) = await scenario.do(webhooks.of_scope(scenario.scope))
        page = await scenario.do(webhooks.notices(scenario.scope, webhook.id, status=NoticeStatus.DEAD))
        await scenario.do(webhooks.retry(scenario.scope, webhook.id, page.items[1].id))
        assert await scenario.do(pruning.forget_notices(old)) == 1
        assert await scenario.do(pruning.given_up(-1)) == []
        left = (await scenario.do(webhooks.owed(key, 10)))[0]
        assert {each.key for each in left} == {again.key, owed.key}

    async def test_a_purge_takes_what_was_owed_of_the_session(self, scenario: Scenario) -> None:
        key = await self._made(scenario)
        session_id = await scenario.create()
        await self._entered(scenario, key)
        await scenario.do(sessions.delete(scenario.scope, session_id))
        await scenario.do(sessions.purge(scenario.scope, session_id))
        del scenario.made[session_id]
        assert await scenario.do(webhooks.owed(key, 10)) == ([], None)

    async def test_one_leads_at_a_time(self, scenario: Scenario) -> None:
        assert await scenario.do(webhooks.lead("x", "one", 60))
        assert await scenario.do(webhooks.lead("x", "one", 60))
        assert not await scenario.do(webhooks.lead("x", "two", 60))
        assert await scenario.do(webhooks.lead("y", "two", 60))
        await scenario.do(webhooks.resign("x", "two"))
        assert not await scenario.do(webhooks.lead("x", "two", 60))
        await scenario.do(webhooks.resign("x", "one"))
        assert await scenario.do(webhooks.lead("x", "two", -1))
        assert await scenario.do(webhooks.lead("x", "one", 60))

    async def test_webhooks_are_nobody_elses_business(self, scenario: Scenario) -> None:
        await self._made(scenario, _ANN)
        (webhook,) = await scenario.do(webhooks.of_scope(_ANN))
        assert await scenario.do(webhooks.of_scope(Scope("a"))) == [webhook]
        for stranger in (Scope("b"), Scope("a", "bob")):
            assert await scenario.do(webhooks.of_scope(stranger)) == []
            naming: tuple[Operation[Any], ...] = (
                webhooks.get(stranger, webhook.id),
                webhooks.update(stranger, webhook.id, {"enabled": False}),
                webhooks.delete(stranger, webhook.id),
                webhooks.notices(stranger, webhook.id),
                webhooks.retry(stranger, webhook.id),
                webhooks.replay(stranger, webhook.id, 0),
            )
            for operation in naming:
                async with scenario.refused("webhook_not_found"):
                    await scenario.store.execute(operation)

    async def _made(self, scenario: Scenario, scope: Scope | None = None, types: list[str] | None = None) -> int:
        creating = webhooks.create(scope or scenario.scope, _URL, new_webhook_secret(), types=types or [])
        await scenario.settled()
        made = await scenario.do(creating)
        return next(each.key for each in await scenario.do(webhooks.endpoints()) if each.id == made.id)

    async def _entered(self, scenario: Scenario, key: int) -> int:
        await scenario.settled()
        found = await scenario.do(webhooks.ahead(key, _NOTHING, 100))
        assert await scenario.do(webhooks.enter(key, found, 1000))
        assert not found.items or not await scenario.do(webhooks.enter(key, found, 1000))
        return len(found.items)
