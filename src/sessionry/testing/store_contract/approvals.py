"""Questions to people: asked once, answered once, and never lost with the worker that asked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.approval import Approval, ApprovalStatus
from sessionry.domain.errors import SessionryError
from sessionry.domain.lifecycle import RunStatus
from sessionry.store.operations import approvals, sessions
from sessionry.testing.store_contract.scenario import LOCAL, Contract, Scenario


class ApprovalContract(Contract):
    """Questions to people: asked once, answered once, and never lost with the worker that asked."""

    async def test_a_question_is_kept_and_the_run_waits(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim, tool_input={"path": "/x"}, tool_call_id="t1", reason="it is in the way")
        assert asked == await scenario.approval(asked.id)
        assert (asked.tool_name, asked.tool_input, asked.tool_call_id) == ("delete", {"path": "/x"}, "t1")
        assert (asked.reason, asked.status, asked.expires_at) == ("it is in the way", ApprovalStatus.PENDING, None)
        assert (await scenario.run(claim.run_id)).status is RunStatus.WAITING
        assert (await scenario.types(claim.session_id))[-2:] == ["tool_approval_requested", "run_waiting"]

    @pytest.mark.parametrize("approved", [True, False])
    async def test_the_decision_is_kept_and_the_run_goes_on(self, scenario: Scenario, approved: bool) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim)
        operation = approvals.decide(LOCAL, asked.id, approved=approved, by="ann", note="careful")
        appended = await scenario.do(operation)
        decided = await scenario.approval(asked.id)
        assert decided.status == ("granted" if approved else "denied")
        assert (decided.decided_by, decided.note) == ("ann", "careful")
        assert (appended.approval_id, appended.run_id) == (asked.id, claim.run_id)
        assert [event.actor for event in appended.events] == ["ann"]
        await scenario.go_on(claim, asked)
        assert (await scenario.run(claim.run_id)).status is RunStatus.RUNNING
        await scenario.append(claim, ev.MessageStreamed(text="on we go"))

    async def test_the_same_question_is_not_asked_twice(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        question = approvals.Question(key="1", tool_name="delete")
        asked, seqs = await scenario.do(approvals.ask(claim.run_id, claim.fence, question))
        before = await scenario.everything()
        again = await scenario.do(approvals.ask(claim.run_id, claim.fence, question))
        assert again == (asked, seqs)
        assert await scenario.everything() == before

    async def test_going_on_twice_is_going_on_once(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim)
        await scenario.decide(asked.id)
        seqs = await scenario.do(approvals.go_on(claim.run_id, claim.fence, asked.id))
        assert await scenario.do(approvals.go_on(claim.run_id, claim.fence, asked.id)) == seqs
        assert (await scenario.types(claim.session_id)).count("run_resumed") == 1

    async def test_a_run_may_have_several_questions(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        first, second = await scenario.ask(claim, "1"), await scenario.ask(claim, "2")
        assert (await scenario.types(claim.session_id)).count("run_waiting") == 1
        await scenario.decide(second.id)
        assert (await scenario.approval(first.id)).status is ApprovalStatus.PENDING
        await scenario.decide(first.id, approved=False)
        await scenario.go_on(claim, first)

    async def test_a_second_decision_does_not_count(self, scenario: Scenario) -> None:
        asked = await scenario.ask(await scenario.work())
        await scenario.decide(asked.id, approved=False)
        async with scenario.refused("already_decided") as caught:
            await scenario.decide(asked.id, approved=True, by="bob")
        assert caught.value.details == {"status": "denied", "by": "ann"}

    async def test_of_many_who_decide_one_counts(self, scenario: Scenario) -> None:
        asked = await scenario.ask(await scenario.work())
        tries = (scenario.decide(asked.id, approved=number % 2 == 0, by=str(number)) for number in range(10))
        done = await asyncio.gather(*tries, return_exceptions=True)
        won = [number for number, each in enumerate(done) if not isinstance(each, Exception)]
        assert {each.code for each in done if isinstance(each, SessionryError)} == {"already_decided"}
        decided = await scenario.approval(asked.id)
        assert [decided.decided_by] == [str(number) for number in won]

    async def test_a_question_may_expire(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        brief = await scenario.ask(claim, "1", timeout=0.001)
        patient = await scenario.ask(claim, "2", timeout=1000)
        assert brief.expires_at == brief.requested_at + timedelta(seconds=0.001)
        await _until_overdue(scenario, brief)
        async with scenario.refused("already_decided") as caught:
            await scenario.decide(brief.id)
        assert caught.value.details["status"] == "expired"
        assert await scenario.do(approvals.expire(patient.id)) is False
        assert await scenario.do(approvals.expire(brief.id)) is True
        assert await scenario.do(approvals.expire(brief.id)) is False
        assert (await scenario.approval(brief.id)).status is ApprovalStatus.EXPIRED
        assert brief.id not in await scenario.do(approvals.overdue())

    async def test_an_expired_question_is_not_asked_again(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim, timeout=0)
        assert await scenario.do(approvals.expire(asked.id)) is True
        assert (await scenario.ask(claim)).status is ApprovalStatus.EXPIRED

    async def test_the_answer_of_an_earlier_attempt_comes_back_at_once(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim)
        await scenario.decide(asked.id)
        assert await scenario.lose(claim) == "requeued"
        claim = await scenario.claim(claim.run_id, worker="wrk_two")
        again = await scenario.ask(claim)
        assert (again.id, again.status) == (asked.id, ApprovalStatus.GRANTED)
        assert (await scenario.run(claim.run_id)).status is RunStatus.RUNNING
        await scenario.append(claim, ev.MessageStreamed(text="approved"))

    async def test_a_parked_run_waits_without_a_worker_and_is_queued_with_the_decision(
        self, scenario: Scenario
    ) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim)
        later = await scenario.submit(claim.session_id)
        assert await scenario.lose(claim) == "parked"
        run = await scenario.run(claim.run_id)
        assert (run.status, run.worker_id) == (RunStatus.WAITING, None)
        assert await scenario.ready(claim.session_id) == []
        await scenario.decide(asked.id)
        assert await scenario.ready(claim.session_id) == [claim.run_id]
        claim = await scenario.claim(claim.run_id)
        assert (await scenario.ask(claim)).status is ApprovalStatus.GRANTED
        await scenario.finish(claim)
        assert await scenario.ready(claim.session_id) == [later]

    async def test_a_parked_run_waits_for_all_of_its_answers(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        first, second = await scenario.ask(claim, "1"), await scenario.ask(claim, "2", timeout=0)
        await scenario.lose(claim)
        await scenario.decide(first.id)
        assert (await scenario.run(claim.run_id)).status is RunStatus.WAITING
        assert await scenario.do(approvals.expire(second.id)) is True
        assert (await scenario.run(claim.run_id)).status is RunStatus.PENDING

    async def test_a_question_that_still_waits_is_joined_by_the_next_attempt(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked, other = await scenario.ask(claim, "1"), await scenario.ask(claim, "2")
        await scenario.decide(other.id)
        await scenario.go_on(claim, other)
        session_id = claim.session_id
        assert await scenario.lose(claim) == "stopped"  # it was running, and nothing said that it may be restarted
        assert (await scenario.approval(asked.id)).status is ApprovalStatus.EXPIRED
        claim = await scenario.claim(await scenario.submit(session_id, takeover="restart"))
        asked, other = await scenario.ask(claim, "1"), await scenario.ask(claim, "2")
        await scenario.decide(other.id)
        await scenario.go_on(claim, other)
        assert await scenario.lose(claim) == "requeued"
        claim = await scenario.claim(claim.run_id)
        assert await scenario.ask(claim, "1") == asked
        assert (await scenario.run(claim.run_id)).status is RunStatus.WAITING

    async def test_a_parked_run_of_a_paused_session_waits_for_both(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim)
        await scenario.lose(claim)
        await scenario.change(claim.session_id, ev.SessionPaused())
        await scenario.decide(asked.id)
        assert await scenario.ready(claim.session_id) == []
        await scenario.change(claim.session_id, ev.SessionResumed())
        assert await scenario.ready(claim.session_id) == [claim.run_id]

    async def test_a_parked_run_is_cancelled_at_once(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        asked = await scenario.ask(claim)
        await scenario.lose(claim)
        await scenario.cancel(claim.run_id)
        assert (await scenario.run(claim.run_id)).status is RunStatus.CANCELLED
        assert (await scenario.approval(asked.id)).status is ApprovalStatus.EXPIRED

    async def test_an_unknown_question_cannot_be_decided(self, scenario: Scenario) -> None:
        async with scenario.refused("approval_not_found"):
            await scenario.decide("apr_unknown")
        async with scenario.refused("approval_not_found"):
            await scenario.approval("apr_unknown")

    @pytest.mark.parametrize(
        "fields",
        [{"tool_name": ""}, {"tool_name": "a\0"}, {"reason": "a\0"}, {"tool_call_id": "\ud800"}, {"tool_input": {1}}]
        + [{"timeout": timeout} for timeout in (-1, float("nan"), float("inf"), 1e300)],
        ids=str,
    )
    async def test_a_bad_question_is_refused(self, scenario: Scenario, fields: dict[str, Any]) -> None:
        claim = await scenario.work()
        async with scenario.refused("validation_error"):
            await scenario.ask(claim, **fields)

    async def test_a_decision_must_be_storable(self, scenario: Scenario) -> None:
        asked = await scenario.ask(await scenario.work())
        for by, note in (("a\0", None), (None, "a\0"), ("\ud800", None)):
            async with scenario.refused("validation_error"):
                await scenario.do(approvals.decide(LOCAL, asked.id, approved=True, by=by, note=note))

    async def test_questions_are_listed_oldest_first_page_by_page(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        claims = [await scenario.claim(await scenario.submit(session_id)) for _ in range(2)]
        asked = [(await scenario.ask(claim, str(number))).id for number in range(3) for claim in claims]
        await scenario.decide(asked[1])
        assert await _listed(scenario, ["pending"], 2) == [asked[index] for index in (0, 2, 3, 4, 5)]
        assert await _listed(scenario, ["granted", "denied"], 10) == [asked[1]]
        assert await _listed(scenario, [], 1) == asked
        assert await _listed(scenario, [], 2, order="-requested") == asked[::-1]
        async with scenario.refused("validation_error"):
            await _listed(scenario, [], 2, order="name")
        other = await scenario.ask(await scenario.work())
        assert await _listed(scenario, ["pending"], 10, session_id=other.session_id) == [other.id]

    async def test_questions_of_a_run_and_newer_ones_can_be_asked_for(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        claims = [await scenario.claim(await scenario.submit(session_id)) for _ in range(2)]
        asked = [(await scenario.ask(claim, str(number))).id for number in range(3) for claim in claims]
        listing = approvals.list_approvals(LOCAL, status=[], run_id=claims[0].run_id, after=asked[1])
        assert [approval.id for approval in (await scenario.do(listing)).items] == [asked[2], asked[4]]
        async with scenario.refused("approval_not_found"):
            await scenario.do(approvals.list_approvals(LOCAL, status=[], after="apr_unknown"))

    async def test_questions_of_deleted_sessions_are_hidden(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        await scenario.ask(claim)
        await scenario.finish(claim)
        await scenario.do(sessions.delete(LOCAL, claim.session_id))
        assert await _listed(scenario, [], 10) == []

    async def test_a_cursor_must_be_one(self, scenario: Scenario) -> None:
        for cursor in ("nonsense", "apr_unknown", "ü"):
            async with scenario.refused("invalid_cursor"):
                await scenario.do(approvals.list_approvals(LOCAL, status=[], cursor=cursor))


async def _until_overdue(scenario: Scenario, approval: Approval) -> None:
    async with asyncio.timeout(60):
        while approval.id not in await scenario.do(approvals.overdue()):  # noqa: ASYNC110  the store's clock goes on
            await asyncio.sleep(0.001)


async def _listed(scenario: Scenario, status: list[str], limit: int, **wanted: str) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await scenario.do(
            approvals.list_approvals(
                scenario.scope,
                status=[ApprovalStatus(each) for each in status],
                limit=limit,
                cursor=cursor,
                **wanted,
            )
        )
        assert len(page.items) <= limit
        found += [approval.id for approval in page.items]
        cursor = page.cursor
        if cursor is None:
            return found
