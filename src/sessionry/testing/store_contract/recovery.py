"""What a lost worker leaves behind, what takes too long, and the workers themselves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from sessionry.domain import events as ev
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.queries import Worker
from sessionry.store.operations import leases, recovery
from sessionry.store.operations.leftovers import leftovers
from sessionry.testing.store_contract.scenario import WORKER, Claim, Contract, Scenario

_PAST = datetime(2020, 1, 1, tzinfo=UTC)


def _registration(worker_id: str = WORKER) -> leases.Registration:
    return leases.Registration(
        worker_id=worker_id,
        host="here",
        pid=123,
        process_start=1.5,
        boot_id="boot",
        slots=8,
        agents=["agent", "other"],
        queues=["default", "gpu"],
    )


class TakeoverContract(Contract):
    """Runs whose worker is lost: begun again, parked or ended, as their options say."""

    @pytest.mark.parametrize(
        ("policy", "action", "status"),
        [
            ("resume", "requeued", RunStatus.PENDING),
            ("restart", "requeued", RunStatus.PENDING),
            ("stop", "stopped", RunStatus.FAILED),
            (None, "stopped", RunStatus.FAILED),
        ],
    )
    async def test_a_running_run_follows_its_takeover(
        self, scenario: Scenario, policy: str | None, action: str, status: RunStatus
    ) -> None:
        claim = await scenario.work(takeover=policy, takeover_waiting="restart")
        later = await scenario.submit(claim.session_id)
        assert await scenario.lose(claim) == action
        run = await scenario.run(claim.run_id)
        assert (run.status, run.worker_id) == (status, None)
        assert run.fence > claim.fence
        heads = await scenario.ready(claim.session_id)
        assert heads == [claim.run_id if action == "requeued" else later]

    @pytest.mark.parametrize(
        ("policy", "answered", "action"),
        [
            ("resume", False, "parked"),
            ("restart", False, "parked"),
            (None, False, "parked"),
            ("stop", False, "stopped"),
            ("restart", True, "requeued"),
            (None, True, "requeued"),
            ("stop", True, "stopped"),
        ],
    )
    async def test_a_waiting_run_follows_its_takeover(
        self, scenario: Scenario, policy: str | None, answered: bool, action: str
    ) -> None:
        claim = await scenario.work(takeover="stop", takeover_waiting=policy)
        asked = await scenario.ask(claim)
        if answered:
            await scenario.decide(asked.id)
        assert await scenario.lose(claim) == action

    async def test_a_stopped_run_says_that_its_worker_was_lost(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.lose(claim)
        run = await scenario.run(claim.run_id)
        assert run.error is not None
        assert (run.error.code, run.error.retryable) == ("worker_lost", True)
        assert (await scenario.types(claim.session_id))[-2:] == ["worker_lost", "run_failed"]

    async def test_attempts_are_bounded(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart", max_attempts=3)
        for _ in range(2):
            assert await scenario.lose(claim) == "requeued"
            claim = await scenario.claim(claim.run_id)
        assert await scenario.lose(claim) == "stopped"
        assert (await scenario.run(claim.run_id)).attempt == 3

    @pytest.mark.parametrize("waiting", [False, True])
    async def test_a_run_that_was_to_be_cancelled_is_cancelled(self, scenario: Scenario, waiting: bool) -> None:
        claim = await scenario.work(takeover="restart")
        if waiting:
            await scenario.ask(claim)
        await scenario.cancel(claim.run_id, reason="enough")
        assert await scenario.lose(claim) == "cancelled"
        assert (await scenario.log(claim.session_id))[-1].data == ev.RunCancelled(reason="enough")

    async def test_a_run_whose_time_is_over_gets_its_timeout(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart", deadline=_PAST)
        assert await scenario.lose(claim) == "timeout"
        assert (await scenario.log(claim.session_id))[-1].data == ev.RunTimeout(limit="deadline")

    async def test_the_tools_of_a_lost_worker_are_interrupted(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart")
        await scenario.append(claim, ev.ToolCallStarted(tool_call_id="t1", tool_name="bash"))
        await scenario.lose(claim)
        interrupted = ev.ToolCallInterrupted(tool_call_id="t1", tool_name="bash", reason="worker_lost")
        assert interrupted in [event.data for event in await scenario.log(claim.session_id)]

    async def test_only_the_worker_that_has_the_run_can_lose_it(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart")
        assert await scenario.lose(claim, worker="wrk_other") is None
        assert await scenario.lose(claim) == "requeued"
        assert await scenario.lose(claim) is None
        await scenario.append(await scenario.claim(claim.run_id), ev.MessageStreamed(text="again"))

    async def test_of_many_sweepers_one_takes_a_run_over(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart")
        actions = await asyncio.gather(*(scenario.lose(claim) for _ in range(5)))
        assert sorted(actions, key=str) == [None, None, None, None, "requeued"]

    @pytest.mark.parametrize(("policy", "action"), [("restart", "requeued"), ("stop", "stopped")])
    async def test_a_worker_can_give_its_run_back(self, scenario: Scenario, policy: str, action: str) -> None:
        claim = await scenario.work(takeover=policy)
        assert await scenario.do(recovery.give_back(claim.run_id, claim.fence)) == action
        async with scenario.refused("fenced"):
            await scenario.do(recovery.give_back(claim.run_id, claim.fence))

    async def test_a_paused_session_keeps_a_run_that_was_taken_over(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart")
        await scenario.change(claim.session_id, ev.SessionPaused())
        assert await scenario.lose(claim) == "requeued"
        assert await scenario.ready(claim.session_id) == []
        await scenario.change(claim.session_id, ev.SessionResumed())
        assert await scenario.ready(claim.session_id) == [claim.run_id]


class DeadlineContract(Contract):
    """Runs that nobody works on and whose time is over."""

    async def test_a_queued_run_past_its_deadline_is_ended(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        late = await scenario.submit(session_id, deadline=_PAST)
        later = await scenario.submit(session_id, deadline=datetime.now(UTC) + timedelta(hours=1))
        assert late in await scenario.do(recovery.overdue())
        assert await scenario.do(recovery.end_overdue(late)) is True
        assert await scenario.do(recovery.end_overdue(late)) is False
        assert await scenario.do(recovery.end_overdue(later)) is False
        assert (await scenario.run(late)).status is RunStatus.TIMEOUT
        assert await scenario.ready(session_id) == [later]
        assert not {late, later} & {*await scenario.do(recovery.overdue())}

    async def test_a_parked_run_past_its_timeout_is_ended(self, scenario: Scenario) -> None:
        for seconds in (0.2, 2.0, 20.0):  # a machine that stands still may be over before it is parked
            claim = await scenario.work(timeout=seconds)
            asked = await scenario.ask(claim)
            if await scenario.lose(claim) == "parked":
                break
        assert (await scenario.run(claim.run_id)).status is RunStatus.WAITING
        async with asyncio.timeout(60):
            while claim.run_id not in await scenario.do(recovery.overdue()):  # noqa: ASYNC110  the store's clock goes on
                await asyncio.sleep(0.01)
        assert await scenario.do(recovery.end_overdue(claim.run_id)) is True
        assert (await scenario.log(claim.session_id))[-1].data == ev.RunTimeout(limit="timeout", seconds=seconds)
        assert (await scenario.approval(asked.id)).status == "expired"

    async def test_a_run_at_work_is_its_workers_business(self, scenario: Scenario) -> None:
        claim = await scenario.work(deadline=_PAST)
        assert claim.run_id not in await scenario.do(recovery.overdue())
        assert await scenario.do(recovery.end_overdue(claim.run_id)) is False

    async def test_of_many_sweepers_one_ends_a_run(self, scenario: Scenario) -> None:
        late = await scenario.submit(await scenario.create(), deadline=_PAST)
        done = await asyncio.gather(*(scenario.do(recovery.end_overdue(late)) for _ in range(5)))
        assert sorted(done) == [False, False, False, False, True]


class WorkerContract(Contract):
    """Workers: registered, alive as long as they renew their lease, and found out when they do not."""

    async def test_a_worker_shows_what_it_said_and_what_it_does(self, scenario: Scenario) -> None:
        await scenario.do(leases.register(_registration(), 60))
        await scenario.work()
        await scenario.work()
        ((worker, boot_id),) = await scenario.do(leases.workers())
        assert (worker.id, worker.host, worker.pid, worker.process_start, boot_id) == (WORKER, "here", 123, 1.5, "boot")
        assert (worker.slots, worker.agents, worker.draining) == (8, ["agent", "other"], False)
        assert worker.queues == ["default", "gpu"]
        assert (worker.alive, worker.runs) == (True, 2)
        assert worker.expires_at - worker.started_at == timedelta(seconds=60)

    async def test_registering_again_renews(self, scenario: Scenario) -> None:
        await scenario.do(leases.register(_registration(), -1))
        await scenario.do(leases.register(_registration(), 60))
        assert [worker.alive for worker in await self._workers(scenario)] == [True]

    async def test_a_heartbeat_says_whether_the_worker_is_known(self, scenario: Scenario) -> None:
        assert await scenario.do(leases.renew(WORKER, 60)) == leases.Renewal(known=False)
        await scenario.do(leases.register(_registration(), -1))
        assert await scenario.do(leases.renew(WORKER, 60)) == leases.Renewal(known=True)
        assert [worker.alive for worker in await self._workers(scenario)] == [True]
        await scenario.do(leases.leave(WORKER))
        assert await scenario.do(leases.renew(WORKER, 60)) == leases.Renewal(known=False)

    async def test_a_worker_can_be_asked_to_drain(self, scenario: Scenario) -> None:
        assert await scenario.do(leases.drain(WORKER)) is False
        await scenario.do(leases.register(_registration(), 60))
        assert await scenario.do(leases.drain(WORKER)) is True
        assert await scenario.do(leases.renew(WORKER, 60)) == leases.Renewal(known=True, draining=True)

    async def test_a_run_is_an_orphan_when_its_worker_is_unknown_expired_or_dead(self, scenario: Scenario) -> None:
        held = {name: await self._held_by(scenario, name) for name in ("alive", "expired", "dead", "unknown")}
        for name, lease in (("alive", 60), ("expired", -1), ("dead", 60)):
            await scenario.do(leases.register(_registration(name), lease))
        orphans = await scenario.do(recovery.orphans(["dead"]))
        assert orphans == [(held[name].run_id, name) for name in ("expired", "dead", "unknown")]
        assert await scenario.do(recovery.orphans([])) == [orphans[0], orphans[2]]

    async def test_what_has_no_worker_is_no_orphan(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.ask(claim)
        await scenario.lose(claim)
        await scenario.finished(await scenario.create())
        await scenario.submit(await scenario.create())
        assert await scenario.do(recovery.orphans([])) == []

    async def test_workers_that_are_long_gone_are_forgotten_once_they_have_no_runs(self, scenario: Scenario) -> None:
        claim = await self._held_by(scenario, "busy")
        for name, lease in (("busy", -100), ("gone", -100), ("late", -10), ("alive", 60)):
            await scenario.do(leases.register(_registration(name), lease))
        assert await scenario.do(recovery.forget_workers(50)) == 1
        await scenario.lose(claim, worker="busy")
        assert await scenario.do(recovery.forget_workers(50)) == 1
        assert {worker.id for worker in await self._workers(scenario)} == {"late", "alive"}

    async def test_whoever_looks_is_told_whether_something_is_left_to_do(self, scenario: Scenario) -> None:
        await scenario.do(leases.register(_registration(), 60))
        claim = await scenario.work(takeover="restart")
        assert await scenario.do(leftovers()) == (False, [("here", 123, 1.5, "boot")])
        await scenario.do(leases.leave(WORKER))
        assert await scenario.do(leftovers()) == (True, [])
        await scenario.finish(claim)
        assert await scenario.do(leftovers()) == (False, [])
        late = await scenario.submit(await scenario.create(), deadline=_PAST)
        assert await scenario.do(leftovers()) == (True, [])
        await scenario.do(recovery.end_overdue(late))
        assert await scenario.do(leftovers()) == (False, [])

    async def test_no_head_is_ever_lost(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        later = await scenario.submit(claim.session_id)
        await scenario.finish(claim)
        assert await scenario.do(recovery.lost_heads()) == []
        assert await scenario.ready(claim.session_id) == [later]

    async def _held_by(self, scenario: Scenario, worker: str) -> Claim:
        return await scenario.claim(await scenario.submit(await scenario.create()), worker=worker)

    async def _workers(self, scenario: Scenario) -> list[Worker]:
        return [worker for worker, _ in await scenario.do(leases.workers())]
