"""The queue: which run may begin next, and how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.domain.run import ErrorInfo
from sessionry.ports import Delivery, Wake, Wanted
from sessionry.store.operations import leases, sessions
from sessionry.testing.store_contract.scenario import AGENT, FACTS, LOCAL, Contract, Scenario


def _wanted(sessions: Sequence[str] = ()) -> Wanted:
    return Wanted(agents=[AGENT], sessions=sessions)


class QueueContract(Contract):
    """The queue: which run may begin next, and how many at once."""

    async def test_the_first_run_starts_the_session_and_is_its_head(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        run_id = await scenario.submit(session_id, {"prompt": "hi"}, timeout=60)
        assert await scenario.types(session_id) == ["session_created", "session_started", "run_queued"]
        assert (await scenario.session(session_id)).status is SessionStatus.ACTIVE
        run = await scenario.run(run_id)
        assert (run.status, run.input, run.options.timeout, run.agent_id) == ("pending", {"prompt": "hi"}, 60, AGENT)
        assert await scenario.ready(session_id) == [run_id]

    async def test_runs_begin_in_the_order_in_which_they_came(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        queued = [await scenario.submit(session_id, number) for number in range(5)]
        begun = []
        while heads := await scenario.ready(session_id):
            assert len(heads) == 1
            await scenario.finish(await scenario.claim(heads[0]))
            begun += heads
        assert begun == queued

    async def test_only_the_head_can_begin(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        head, second = await scenario.submit(session_id), await scenario.submit(session_id)
        assert await scenario.begin(second, number=10) is None
        await scenario.claim(head)
        assert await scenario.begin(second, number=10) is None

    async def test_higher_priority_goes_first_and_equals_keep_their_order(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        priorities = [0, -1, 5, 0, 5]
        queued = [await scenario.submit(session_id, priority=priority) for priority in priorities]
        begun = []
        while heads := await scenario.ready(session_id):
            await scenario.finish(await scenario.claim(heads[0]))
            begun += heads
        assert begun == [queued[index] for index in (2, 4, 0, 3, 1)]

    async def test_a_newcomer_of_higher_priority_takes_the_place_of_the_head(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        old = await scenario.submit(session_id)
        (delivery,) = await scenario.do(leases.ready(_wanted([session_id]), 10))
        new = await scenario.submit(session_id, priority=1)
        assert await scenario.do(leases.begin(delivery, "wrk_one", FACTS)) is None
        await scenario.finish(await scenario.claim(new))
        assert await scenario.do(leases.begin(delivery, "wrk_one", FACTS)) is not None
        assert (await scenario.run(old)).status is RunStatus.RUNNING

    async def test_heads_of_all_sessions_are_ordered_by_priority_and_age(self, scenario: Scenario) -> None:
        sessions_ = [await scenario.create() for _ in range(3)]
        low, normal, high = [
            await scenario.submit(session_id, priority=priority)
            for session_id, priority in zip(sessions_, (-1, 0, 1), strict=True)
        ]
        deliveries = await scenario.do(leases.ready(_wanted(sessions_), 10))
        assert [delivery.run_id for delivery in deliveries] == [high, normal, low]
        assert await scenario.do(leases.ready(_wanted(sessions_), 2)) == deliveries[:2]

    async def test_a_worker_is_offered_only_runs_of_its_agents(self, scenario: Scenario) -> None:
        session_id = await scenario.create("claude", slots=2)
        own, other = await scenario.submit(session_id), await scenario.submit(session_id, agent_id="codex")
        assert await scenario.ready(session_id, ["codex"]) == [other]
        assert await scenario.ready(session_id, ["claude", "codex"]) == [own, other]
        assert await scenario.ready(session_id, []) == []
        assert await scenario.do(leases.agent_of(other)) == "codex"
        assert await scenario.do(leases.agent_of("run_unknown")) is None

    async def test_a_worker_is_offered_only_runs_of_the_named_queues_that_it_serves(self, scenario: Scenario) -> None:
        anywhere, elsewhere, named = [
            await scenario.submit(await scenario.create(), queue=queue) for queue in ("default", "gpu", "eu-1.big")
        ]

        async def offered(*queues: str) -> list[str]:
            wanted = Wanted(agents=[AGENT], queues=queues)
            ready, claimable = [await scenario.do(ask(wanted, 10)) for ask in (leases.ready, leases.claimable)]
            assert ready == claimable
            return [delivery.run_id for delivery in ready]

        assert await offered("default") == [anywhere]
        assert await offered("eu-1.big", "default") == [anywhere, named]
        assert await offered("unheard-of") == []
        assert await offered() == [anywhere, elsewhere, named]

    async def test_a_run_keeps_its_place_in_its_session_whatever_named_queue_it_is_for(
        self, scenario: Scenario
    ) -> None:
        session_id = await scenario.create()
        first, second = await scenario.submit(session_id, queue="gpu"), await scenario.submit(session_id)
        assert await scenario.ready(session_id, queues=["default"]) == []
        await scenario.finish(await scenario.claim(first))
        assert await scenario.ready(session_id, queues=["default"]) == [second]

    async def test_a_run_that_is_taken_over_stays_in_its_named_queue(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart", queue="gpu")
        await scenario.lose(claim)
        assert await scenario.ready(claim.session_id, queues=["gpu"]) == [claim.run_id]
        assert (await scenario.run(claim.run_id)).options.queue == "gpu"

    async def test_as_many_runs_are_live_as_there_are_slots(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=3)
        queued = [await scenario.submit(session_id) for _ in range(5)]
        assert await scenario.ready(session_id) == queued[:3]
        claims = [await scenario.claim(run_id) for run_id in queued[:3]]
        assert await scenario.ready(session_id) == []
        assert await scenario.begin(queued[3], number=10) is None
        await scenario.finish(claims[1])
        assert await scenario.ready(session_id) == [queued[3]]

    async def test_more_slots_let_more_runs_begin_and_fewer_hold_them_back(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        queued = [await scenario.submit(session_id) for _ in range(4)]
        await scenario.do(sessions.update(LOCAL, session_id, {"slots": 3}))
        assert await scenario.ready(session_id) == queued[:3]
        await scenario.claim(queued[0])
        await scenario.do(sessions.update(LOCAL, session_id, {"slots": 2}))
        assert await scenario.ready(session_id) == [queued[1]]
        await scenario.do(sessions.update(LOCAL, session_id, {"slots": 1}))
        assert await scenario.ready(session_id) == []
        assert await scenario.begin(queued[1], number=10) is None

    async def test_the_queue_has_a_limit(self, scenario: Scenario) -> None:
        session_id = await scenario.create(queue_limit=2)
        head, *_ = [await scenario.submit(session_id) for _ in range(3)]
        async with scenario.refused("queue_full"):
            await scenario.submit(session_id)
        await scenario.finish(await scenario.claim(head))
        await scenario.submit(session_id)

    async def test_a_queue_without_room_still_lets_a_run_begin(self, scenario: Scenario) -> None:
        session_id = await scenario.create(queue_limit=0)
        await scenario.submit(session_id)
        async with scenario.refused("queue_full"):
            await scenario.submit(session_id)

    async def test_the_limit_holds_for_many_who_submit_at_once(self, scenario: Scenario) -> None:
        session_id = await scenario.create(queue_limit=4)
        done = await asyncio.gather(*(scenario.submit(session_id) for _ in range(20)), return_exceptions=True)
        assert sum(isinstance(each, str) for each in done) == 5

    async def test_no_submission_of_many_is_lost(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        submitted = await asyncio.gather(*(scenario.submit(session_id, number) for number in range(50)))
        log = await scenario.log(session_id)
        queued = [event.run_id for event in log if event.type == "run_queued"]
        assert sorted(queued, key=str) == sorted(submitted)
        assert [event.type for event in log].count("session_started") == 1
        assert await scenario.ready(session_id) == queued[:1]

    async def test_a_paused_session_begins_nothing_and_forgets_nothing(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        live = await scenario.claim(await scenario.submit(session_id))
        waiting = await scenario.submit(session_id)
        (delivery,) = await scenario.do(leases.ready(_wanted([session_id]), 10))
        await scenario.change(session_id, ev.SessionPaused())
        later = await scenario.submit(session_id)
        assert await scenario.ready(session_id) == []
        assert await scenario.do(leases.begin(delivery, "wrk_one", FACTS)) is None
        await scenario.finish(live)
        assert await scenario.ready(session_id) == []
        await scenario.change(session_id, ev.SessionResumed())
        assert await scenario.ready(session_id) == [waiting, later]

    @pytest.mark.parametrize(
        "ending",
        [
            ev.RunCompleted(),
            ev.RunFailed(error=ErrorInfo(code="agent_failed", message="boom")),
            ev.RunCancelled(),
            ev.RunTimeout(limit="timeout", seconds=1.0),
        ],
        ids=lambda ending: ending.type,
    )
    async def test_no_ending_blocks_the_session(self, scenario: Scenario, ending: EventData) -> None:
        session_id = await scenario.create()
        first, second = await scenario.submit(session_id), await scenario.submit(session_id)
        await scenario.finish(await scenario.claim(first), ending)
        assert await scenario.ready(session_id) == [second]

    async def test_a_cancelled_run_never_begins_and_the_others_move_up(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        first, second, third = [await scenario.submit(session_id) for _ in range(3)]
        await scenario.cancel(first, reason="wrong branch")
        assert await scenario.ready(session_id) == [second]
        await scenario.cancel(third)
        await scenario.finish(await scenario.claim(second))
        assert await scenario.ready(session_id) == []
        assert await scenario.types(session_id, first) == ["run_queued", "run_cancel_requested", "run_cancelled"]
        assert await scenario.begin(first, number=10) is None

    async def test_of_many_workers_that_begin_a_head_one_succeeds(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        run_id = await scenario.submit(session_id)
        tries = (
            scenario.do(leases.begin(Delivery(session_id, run_id, number), f"wrk_{number}", FACTS))
            for number in range(1, 11)
        )
        begun = [lease for lease in await asyncio.gather(*tries) if lease is not None]
        assert len(begun) == 1
        assert (await scenario.run(run_id)).worker_id == begun[0].run.worker_id

    async def test_the_whole_store_can_have_a_limit(self, scenario: Scenario) -> None:
        first, second = [await scenario.submit(await scenario.create()) for _ in range(2)]
        await scenario.do(leases.limit_store(5))
        await scenario.do(leases.limit_store(1))
        claim = await scenario.claim(first)
        assert await scenario.begin(second) is None
        await scenario.finish(claim)
        claim = await scenario.claim(second)
        third = await scenario.submit(await scenario.create())
        await scenario.do(leases.limit_store(None))
        assert await scenario.begin(third) is not None

    async def test_no_more_is_claimable_than_the_store_has_room_for(self, scenario: Scenario) -> None:
        queued = [await scenario.submit(await scenario.create()) for _ in range(4)]
        assert [each.run_id for each in await scenario.do(leases.claimable(_wanted(), 10))] == queued
        await scenario.do(leases.limit_store(3))
        await scenario.claim(queued[0])
        assert [each.run_id for each in await scenario.do(leases.claimable(_wanted(), 10))] == queued[1:3]
        await scenario.do(leases.limit_store(1))
        assert await scenario.do(leases.claimable(_wanted(), 10)) == []
        assert [each.run_id for each in await scenario.do(leases.ready(_wanted(), 10))] == queued[1:]

    async def test_the_limit_of_the_store_holds_for_many_workers(self, scenario: Scenario) -> None:
        queued = [await scenario.submit(await scenario.create()) for _ in range(10)]
        await scenario.do(leases.limit_store(3))
        begun = await asyncio.gather(*(scenario.begin(run_id) for run_id in queued))
        assert sum(lease is not None for lease in begun) == 3

    async def test_commits_say_which_sessions_they_touched_and_which_runs_they_woke(self, scenario: Scenario) -> None:
        heard: list[tuple[list[str], list[Wake]]] = []
        scenario.store.on_commit(lambda touched, wakes: heard.append(([*touched], [*wakes])))
        session_id = await scenario.create()
        first, second = [await scenario.submit(session_id, queue="gpu", priority=priority) for priority in (3, -3)]
        claim = await scenario.claim(first)
        await scenario.append(claim, ev.MessageStreamed(text="a"))
        await scenario.finish(claim)
        async with asyncio.timeout(60):
            while len(heard) < 6:  # noqa: ASYNC110  listeners are told after the answer
                await asyncio.sleep(0.001)
        assert [touched for touched, _ in heard] == [[session_id]] * 6
        assert [woken for _, woken in heard] == [
            [],
            [Wake(session_id, first, AGENT, "gpu", 3, 1)],
            [],
            [],
            [],
            [Wake(session_id, second, AGENT, "gpu", -3, 1)],
        ]
