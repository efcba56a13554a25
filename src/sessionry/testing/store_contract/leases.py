"""Claims on runs: begun once, appended to by their holder only, ended exactly once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import Fenced, SessionryError
from sessionry.domain.events import EventData
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.run import AgentFacts, CancelMode, ErrorInfo
from sessionry.domain.usage import Usage
from sessionry.ports import Appending, Delivery, Operation
from sessionry.store.operations import approvals, leases, recovery, runs
from sessionry.testing.store_contract.scenario import FACTS, LOCAL, WORKER, Claim, Contract, Scenario

_ENDINGS: list[EventData] = [
    ev.RunCompleted(text="done", output={"n": 1}, stop_reason="end"),
    ev.RunFailed(error=ErrorInfo(code="agent_failed", message="boom", details={"n": 1})),
    ev.RunCancelled(reason="enough"),
    ev.RunTimeout(limit="timeout", seconds=1.5),
]
_RESERVED: list[Any] = sorted(leases.RESERVED, key=lambda kind: kind.type)


def _tool(call_id: str) -> ev.ToolCallStarted:
    return ev.ToolCallStarted(tool_call_id=call_id, tool_name="bash", tool_input={"command": "ls"})


class BeginContract(Contract):
    """Claims: given once for each delivery, under a fence that rises."""

    async def test_a_claim_is_a_new_fence_and_the_first_event_under_it(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        leases_ = [await scenario.begin(await scenario.submit(session_id)) for _ in range(2)]
        first, second = [lease for lease in leases_ if lease is not None]
        assert second.fence > first.fence > 0
        event = (await scenario.log(session_id))[first.seq - 1]
        assert event.data == ev.RunStarted(attempt=1, worker_id=WORKER, agent=FACTS)
        assert (event.run_id, event.fence) == (first.run.id, first.fence)
        assert first.run == await scenario.run(first.run.id)
        assert (first.session.id, first.scope) == (session_id, LOCAL)

    async def test_a_run_that_has_ended_or_never_was_cannot_begin(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.finish(claim)
        assert await scenario.begin(claim.run_id, number=99) is None
        assert await scenario.do(leases.begin(Delivery(claim.session_id, "run_unknown", 1), WORKER, FACTS)) is None

    async def test_another_delivery_does_not_steal_a_live_run(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        assert await scenario.begin(claim.run_id, worker="wrk_two", number=99) is None
        await scenario.append(claim, ev.MessageStreamed(text="still mine"))

    async def test_a_delivery_older_than_the_last_one_begun_is_refused(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        run_id = await scenario.submit(session_id)
        claim = await scenario.claim(run_id, number=7)
        await scenario.do(recovery.take_over(run_id, WORKER, "lease_expired"))  # stops it, as nothing else was said
        assert (await scenario.run(run_id)).status is RunStatus.FAILED
        again = await scenario.submit(session_id, takeover="restart")
        claim = await scenario.claim(again, number=7)
        assert await scenario.lose(claim) == "requeued"
        for number in (6, 7):
            assert await scenario.begin(again, worker="wrk_two", number=number) is None
        assert await scenario.begin(again, worker="wrk_two", number=8) is not None

    async def test_a_worker_that_asks_again_gets_the_claim_that_it_has(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.append(claim, ev.MessageStreamed(text="a"))
        again = await scenario.begin(claim.run_id, number=1)
        assert again is not None
        assert (again.fence, again.seq) == (claim.fence, claim.after)
        assert await scenario.begin(claim.run_id, worker="wrk_two", number=1) is None

    async def test_facts_about_the_agent_are_kept_through_attempts(self, scenario: Scenario) -> None:
        claim = await scenario.work(takeover="restart")
        await scenario.append(claim, ev.AgentSessionLinked(native_session_id="native-1", model="big"))
        await scenario.lose(claim)
        await scenario.claim(claim.run_id)
        agent = (await scenario.run(claim.run_id)).agent
        assert agent == AgentFacts(type="test", capabilities=["steer"], native_session_id="native-1")


class AppendContract(Contract):
    """Appends under a claim: in order, once, and never by anybody else."""

    async def test_events_are_appended_in_order_and_told_by_seq(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        first = claim.after + 1
        assert await scenario.append(claim, ev.MessageStreamed(text="a"), ev.MessageStreamed(text="b")) == [
            first,
            first + 1,
        ]
        assert await scenario.append(claim, ev.MessageReceived(text="ab")) == [first + 2]
        log = await scenario.log(claim.session_id)
        assert [event.data for event in log[-3:]] == [
            ev.MessageStreamed(text="a"),
            ev.MessageStreamed(text="b"),
            ev.MessageReceived(text="ab"),
        ]
        assert {(event.run_id, event.fence) for event in log[-3:]} == {(claim.run_id, claim.fence)}

    async def test_nothing_is_appended_by_an_empty_request(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        assert await scenario.store.append(claim.appending()) == []

    async def test_many_events_in_one_request_stay_together(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        seqs = await scenario.append(claim, *(ev.CustomRecorded(name="n", value=number) for number in range(2500)))
        assert seqs == list(range(claim.after - 2499, claim.after + 1))
        stored = [event.data for event in await scenario.log(claim.session_id)][-2500:]
        assert stored == [ev.CustomRecorded(name="n", value=number) for number in range(2500)]

    async def test_commands_in_between_do_not_disturb_the_holder(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.append(claim, ev.MessageStreamed(text="a"))
        await scenario.do(runs.steer(LOCAL, claim.run_id, "faster"))
        await scenario.submit(claim.session_id)
        seqs = await scenario.append(claim, ev.MessageStreamed(text="b"))
        assert seqs == [len(await scenario.log(claim.session_id))]

    @pytest.mark.parametrize(
        "data",
        [ev.MessageStreamed(text="once"), ev.TokenUsageUpdated(usage=Usage(input_tokens=1))],
        ids=lambda data: data.type,
    )
    async def test_a_request_whose_answer_was_lost_is_answered_again(self, scenario: Scenario, data: EventData) -> None:
        claim = await scenario.work()
        request = claim.appending(data, ev.MessageStreamed(text="twice"))
        seqs = await scenario.store.append(request)
        before = await scenario.everything()
        assert await scenario.store.append(request) == seqs
        assert await scenario.everything() == before

    @pytest.mark.parametrize(
        "data",
        [ev.MessageStreamed(text="once"), ev.TokenUsageUpdated(usage=Usage(input_tokens=1))],
        ids=lambda data: data.type,
    )
    async def test_the_same_request_many_times_at_once_is_written_once(
        self, scenario: Scenario, data: EventData
    ) -> None:
        claim = await scenario.work()
        answers = await asyncio.gather(*(scenario.store.append(claim.appending(data)) for _ in range(5)))
        assert answers == [[claim.after + 1]] * 5
        assert len(await scenario.log(claim.session_id)) == claim.after + 1

    async def test_a_request_out_of_step_is_refused(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.append(claim, ev.MessageStreamed(text="a"), ev.MessageReceived(text="a"))
        late = Claim(claim.run_id, claim.session_id, claim.fence, claim.after - 1)
        early = Claim(claim.run_id, claim.session_id, claim.fence, claim.after + 1)
        for other in (late, early):
            for data in (ev.MessageStreamed(text="b"), ev.TurnCompleted()):
                async with scenario.refused("stale_sequence"):
                    await scenario.append(other, data)

    async def test_a_zombie_can_do_nothing_any_more(self, scenario: Scenario) -> None:
        zombie = await scenario.work(takeover="restart", takeover_waiting="restart")
        approval = await scenario.ask(zombie)
        await scenario.decide(approval.id)
        await scenario.lose(zombie)
        await scenario.claim(zombie.run_id, worker="wrk_two")
        await self._refused_as_fenced(scenario, zombie, approval.id)

    async def test_nobody_writes_to_a_run_that_has_ended(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        approval = await scenario.ask(claim)
        await scenario.finish(claim, ev.RunCancelled())
        await self._refused_as_fenced(scenario, claim, approval.id)

    async def _refused_as_fenced(self, scenario: Scenario, claim: Claim, approval_id: str) -> None:
        for data in (ev.MessageStreamed(text="boo"), ev.TurnCompleted()):
            async with scenario.refused("fenced") as caught:
                await scenario.append(claim, data)
            assert isinstance(caught.value, Fenced)
        question = approvals.Question(key="2", tool_name="delete")
        operations: list[Operation[Any]] = [
            leases.finish(claim.run_id, claim.fence, ev.RunCompleted()),
            approvals.ask(claim.run_id, claim.fence, question),
            approvals.go_on(claim.run_id, claim.fence, approval_id),
            recovery.give_back(claim.run_id, claim.fence),
        ]
        for operation in operations:
            async with scenario.refused("fenced"):
                await scenario.store.execute(operation)

    async def test_a_claim_that_never_was_is_fenced(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        for run_id, fence in (("run_unknown", 1), (claim.run_id, claim.fence + 1), (claim.run_id, 0), ("", 1)):
            for data in (ev.MessageStreamed(text="boo"), ev.TurnCompleted()):
                async with scenario.refused("fenced"):
                    await scenario.store.append(Appending(run_id, fence, claim.after, [data]))

    async def test_one_who_is_refused_does_not_fail_his_neighbours(self, scenario: Scenario) -> None:
        claims = [await scenario.work() for _ in range(10)]
        await scenario.finish(claims[3])
        claims[5].after += 1
        requests = [claim.appending(ev.MessageStreamed(text="a")) for claim in claims]
        requests[7] = Appending("run_\0\ud800", 1, 1, [ev.MessageStreamed(text="a")])
        answers = await asyncio.gather(*(map(scenario.store.append, requests)), return_exceptions=True)
        assert [index for index, answer in enumerate(answers) if isinstance(answer, SessionryError)] == [3, 5, 7]

    async def test_many_runs_at_once_lose_nothing(self, scenario: Scenario) -> None:
        claims = [await scenario.work() for _ in range(10)]
        shared = await scenario.create(slots=5)
        claims += [await scenario.claim(await scenario.submit(shared)) for _ in range(5)]

        async def work(claim: Claim) -> list[int]:
            seqs: list[int] = []
            for number in range(20):
                seqs += await scenario.append(claim, ev.CustomRecorded(name="n", value=number))
            return seqs

        answers = await asyncio.gather(*map(work, claims))
        for claim, seqs in zip(claims, answers, strict=True):
            own = [event for event in await scenario.log(claim.session_id) if event.run_id == claim.run_id]
            recorded = [event for event in own if isinstance(event.data, ev.CustomRecorded)]
            assert [event.seq for event in recorded] == seqs == sorted(seqs)
            assert [event.to_dict()["data"]["value"] for event in recorded] == list(range(20))

    async def test_usage_cost_and_turns_add_up(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        used = ev.TokenUsageUpdated(usage=Usage(input_tokens=3, cache_read_tokens=2), cost=Decimal("0.1"))
        await scenario.append(claim, used, ev.TurnCompleted())
        await scenario.append(claim, used, ev.TokenUsageUpdated(usage=Usage(output_tokens=5)))
        run = await scenario.run(claim.run_id)
        assert run.usage == Usage(input_tokens=6, output_tokens=5, cache_read_tokens=4)
        assert (run.cost, run.turn_count) == (Decimal("0.2"), 1)

    @pytest.mark.parametrize("kind", _RESERVED, ids=lambda kind: kind.type)
    async def test_what_operations_write_is_not_for_agents(self, scenario: Scenario, kind: type[EventData]) -> None:
        claim = await scenario.work()
        for before in ([], [ev.TurnCompleted()]):
            async with scenario.refused("invalid_event_type"):
                await scenario.append(claim, *before, _made(kind))

    async def test_an_event_that_is_too_large_is_refused(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        for text in ("x" * 4_200_000, "\N{PILE OF POO}" * 1_100_000):
            async with scenario.refused("payload_too_large"):
                await scenario.append(claim, ev.MessageStreamed(text="a"), ev.MessageReceived(text=text))


class FinishContract(Contract):
    """The end of a run: one event, with nothing left open, whatever races."""

    @pytest.mark.parametrize("ending", _ENDINGS, ids=lambda ending: ending.type)
    async def test_the_end_of_a_run_is_its_last_event(self, scenario: Scenario, ending: EventData) -> None:
        claim = await scenario.work()
        event = await scenario.finish(claim, ending)
        log = await scenario.log(claim.session_id)
        assert (event.id, event.seq, event.data) == (log[-1].id, log[-1].seq, ending)
        run = await scenario.run(claim.run_id)
        assert (run.ended, run.worker_id, run.ended_at) == (True, None, log[-1].at)

    @pytest.mark.parametrize("ending", _ENDINGS, ids=lambda ending: ending.type)
    async def test_an_end_whose_answer_was_lost_is_answered_again(self, scenario: Scenario, ending: EventData) -> None:
        claim = await scenario.work()
        event = await scenario.finish(claim, ending)
        before = await scenario.everything()
        assert await scenario.finish(claim, ending) == event
        assert await scenario.everything() == before

    async def test_a_run_ends_once(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.finish(claim)
        for ending in (ev.RunCancelled(), ev.RunTimeout(limit="timeout")):
            async with scenario.refused("fenced"):
                await scenario.finish(claim, ending)

    async def test_only_an_end_ends_a_run(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        async with scenario.refused("invalid_event_type"):
            await scenario.finish(claim, ev.MessageStreamed(text="a"))

    async def test_no_tool_call_and_no_question_stays_open(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.append(claim, _tool("1"), _tool("2"), _tool("3"))
        await scenario.append(claim, ev.ToolCallCompleted(tool_call_id="2", tool_name="bash", tool_output="ok"))
        approval = await scenario.ask(claim)
        await scenario.finish(claim, _ENDINGS[1])
        ended = [event for event in await scenario.log(claim.session_id) if event.type == "tool_call_interrupted"]
        assert [event.to_dict()["data"]["tool_call_id"] for event in ended] == ["1", "3"]
        assert (await scenario.approval(approval.id)).status == "expired"

    @pytest.mark.parametrize("ending", _ENDINGS, ids=lambda ending: ending.type)
    async def test_a_run_can_end_while_it_waits(self, scenario: Scenario, ending: EventData) -> None:
        claim = await scenario.work()
        await scenario.ask(claim)
        await scenario.finish(claim, ending)
        assert (await scenario.run(claim.run_id)).ended

    @pytest.mark.parametrize("turn", range(5))
    async def test_whatever_races_there_is_one_end(self, scenario: Scenario, turn: int) -> None:
        claim = await scenario.work(takeover="stop")
        await scenario.append(claim, _tool("1"))
        rivals: list[Any] = [
            scenario.finish(claim),
            scenario.lose(claim),
            scenario.cancel(claim.run_id),
            scenario.end(claim.session_id),
            scenario.do(recovery.give_back(claim.run_id, claim.fence)),
        ]
        done = await asyncio.gather(*rivals[turn:], *rivals[:turn], return_exceptions=True)
        assert all(isinstance(each, SessionryError) for each in done if isinstance(each, Exception))
        run = await scenario.run(claim.run_id)
        assert run.ended  # and `check_log` counts the terminal events

    @pytest.mark.parametrize("mode", CancelMode)
    async def test_the_worker_of_a_live_run_is_asked_to_cancel_it(self, scenario: Scenario, mode: CancelMode) -> None:
        claim = await scenario.work()
        appended = await scenario.cancel(claim.run_id, mode=mode, reason="wrong branch")
        assert [event.type for event in appended.events] == ["run_cancel_requested"]
        run = await scenario.run(claim.run_id)
        assert run.status is RunStatus.RUNNING
        assert run.cancel_request is not None
        assert (run.cancel_request.mode, run.cancel_request.reason) == (mode, "wrong branch")
        await scenario.finish(claim, ev.RunCancelled(reason="wrong branch"))

    async def test_what_has_ended_cannot_be_cancelled(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.finish(claim)
        async with scenario.refused("invalid_transition"):
            await scenario.cancel(claim.run_id)

    async def test_only_a_live_run_of_an_agent_that_listens_can_be_steered(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        run_id = await scenario.submit(session_id)
        async with scenario.refused("invalid_operation"):
            await scenario.do(runs.steer(LOCAL, run_id, "left"))
        claim = await scenario.claim(run_id)
        await scenario.do(runs.steer(LOCAL, run_id, "left"))
        assert (await scenario.log(session_id))[-1].data == ev.InputReceived(text="left")
        await scenario.finish(claim)
        deaf = await scenario.submit(session_id)
        facts = msgspec.structs.replace(FACTS, capabilities=[])
        assert await scenario.do(leases.begin(Delivery(session_id, deaf, 1), WORKER, facts)) is not None
        async with scenario.refused("capability_not_supported"):
            await scenario.do(runs.steer(LOCAL, deaf, "right"))


def _made(kind: type[EventData]) -> EventData:
    """Any payload of that type."""
    values: dict[str, Any] = {
        "error": ErrorInfo(code="agent_failed", message="boom"),
        "attempt": 1,
        "source_seq": 1,
    }
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    return kind(**{name: values.get(name, "x") for name in required})
