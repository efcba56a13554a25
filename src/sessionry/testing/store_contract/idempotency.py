"""Idempotency keys: the same request twice is done once, and another request is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from sessionry.domain import events as ev
from sessionry.domain.queries import Appended
from sessionry.domain.run import ErrorInfo, RunOptions
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Operation
from sessionry.store.operations import approvals, runs, sessions
from sessionry.testing.store_contract.scenario import AGENT, LOCAL, Contract, Scenario


class Request(NamedTuple):
    """A request that takes a key, and another one that is not the same."""

    same: Callable[[str], Operation[Appended]]
    other: Callable[[str], Operation[Appended]]


Prepare = Callable[[Scenario], Awaitable[Request]]


async def _create(scenario: Scenario) -> Request:
    parent = await scenario.create()

    def make(key: str, title: str) -> Operation[Appended]:
        session = Session.new(agent_id=AGENT, title=title, metadata={"b": 1, "a": 2}, parent_session_id=parent)
        return sessions.create(scenario.scope, session, parent=parent, idempotency_key=key)

    return Request(lambda key: make(key, "same"), lambda key: make(key, "other"))


async def _submit(scenario: Scenario) -> Request:
    session_id = await scenario.create()

    def make(key: str, input: Any) -> Operation[Appended]:
        submission = runs.Submission(input=input, options=RunOptions(timeout=5))
        return runs.submit(scenario.scope, session_id, submission, idempotency_key=key)

    return Request(lambda key: make(key, {"text": "same"}), lambda key: make(key, {"text": "other"}))


async def _update(scenario: Scenario) -> Request:
    session_id = await scenario.create()

    def make(key: str, title: str) -> Operation[Appended]:
        return sessions.update(scenario.scope, session_id, {"title": title}, idempotency_key=key)

    return Request(lambda key: make(key, "same"), lambda key: make(key, "other"))


async def _pause(scenario: Scenario) -> Request:
    session_id = await scenario.create()
    await scenario.change(session_id, ev.SessionStarted())

    def make(key: str, reason: str) -> Operation[Appended]:
        data = ev.SessionPaused(reason=reason)
        return sessions.change_status(scenario.scope, session_id, data, idempotency_key=key)

    return Request(lambda key: make(key, "same"), lambda key: make(key, "other"))


async def _end(scenario: Scenario) -> Request:
    session_id = await scenario.create()
    await scenario.submit(session_id)
    error = ErrorInfo(code="internal_error", message="boom")

    def make(key: str, cascade: bool) -> Operation[Appended]:
        data = ev.SessionFailed(error=error)
        return sessions.end(scenario.scope, session_id, data, cascade=cascade, idempotency_key=key)

    return Request(lambda key: make(key, True), lambda key: make(key, False))


async def _delete(scenario: Scenario) -> Request:
    session_id = await scenario.create()

    def make(key: str, reason: str) -> Operation[Appended]:
        return sessions.delete(scenario.scope, session_id, reason=reason, idempotency_key=key)

    return Request(lambda key: make(key, "same"), lambda key: make(key, "other"))


async def _restore(scenario: Scenario) -> Request:
    session_id, other = await scenario.create(), await scenario.create()
    for each in (session_id, other):
        await scenario.do(sessions.delete(scenario.scope, each))

    def make(key: str, id: str) -> Operation[Appended]:
        return sessions.restore(scenario.scope, id, idempotency_key=key)

    return Request(lambda key: make(key, session_id), lambda key: make(key, other))


async def _cancel(scenario: Scenario) -> Request:
    run_id = await scenario.submit(await scenario.create())

    def make(key: str, reason: str) -> Operation[Appended]:
        request = ev.RunCancelRequested(reason=reason)
        return runs.cancel(scenario.scope, run_id, request, idempotency_key=key)

    return Request(lambda key: make(key, "same"), lambda key: make(key, "other"))


async def _steer(scenario: Scenario) -> Request:
    claim = await scenario.work()

    def make(key: str, text: str) -> Operation[Appended]:
        return runs.steer(scenario.scope, claim.run_id, text, idempotency_key=key)

    return Request(lambda key: make(key, "same"), lambda key: make(key, "other"))


async def _decide(scenario: Scenario) -> Request:
    asked = await scenario.ask(await scenario.work())

    def make(key: str, approved: bool) -> Operation[Appended]:
        return approvals.decide(scenario.scope, asked.id, approved=approved, by="ann", idempotency_key=key)

    return Request(lambda key: make(key, True), lambda key: make(key, False))


_REQUESTS: dict[str, Prepare] = {
    "create": _create,
    "submit": _submit,
    "update": _update,
    "pause": _pause,
    "end": _end,
    "delete": _delete,
    "restore": _restore,
    "cancel": _cancel,
    "steer": _steer,
    "decide": _decide,
}
every_request = pytest.mark.parametrize("prepare", _REQUESTS.values(), ids=_REQUESTS)


class IdempotencyContract(Contract):
    """Idempotency keys: the same request twice is done once, and another request is refused."""

    @every_request
    async def test_the_same_request_is_done_once_and_answered_alike(self, scenario: Scenario, prepare: Prepare) -> None:
        request = await prepare(scenario)
        first = await scenario.do(request.same("k"))
        scenario.made.setdefault(first.session_id, scenario.scope)
        before = await scenario.everything()
        assert await scenario.do(request.same("k")) == first
        assert first.events
        assert await scenario.everything() == before

    @every_request
    async def test_another_request_under_the_key_is_refused(self, scenario: Scenario, prepare: Prepare) -> None:
        request = await prepare(scenario)
        first = await scenario.do(request.same("k"))
        scenario.made.setdefault(first.session_id, scenario.scope)
        async with scenario.refused("idempotency_conflict"):
            await scenario.do(request.other("k"))

    @every_request
    async def test_the_same_request_many_times_at_once_is_done_once(self, scenario: Scenario, prepare: Prepare) -> None:
        request = await prepare(scenario)
        answers = await asyncio.gather(*(scenario.do(request.same("k")) for _ in range(5)))
        scenario.made.setdefault(answers[0].session_id, scenario.scope)
        assert answers == answers[:1] * 5

    @every_request
    async def test_a_refused_request_leaves_its_key_free(self, scenario: Scenario, prepare: Prepare) -> None:
        bad = runs.submit(LOCAL, "ses_unknown", runs.Submission(), idempotency_key="k")
        async with scenario.refused("session_not_found"):
            await scenario.do(bad)
        request = await prepare(scenario)
        done = await scenario.do(request.same("k"))
        scenario.made.setdefault(done.session_id, scenario.scope)
        assert done.events

    async def test_the_order_of_fields_makes_no_other_request(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        made = [
            await scenario.do(runs.submit(LOCAL, session_id, runs.Submission(input=input), idempotency_key="k"))
            for input in ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
        ]
        assert made[0] == made[1]

    async def test_keys_belong_to_their_scope(self, scenario: Scenario) -> None:
        scopes = (LOCAL, Scope("local", "ann"), Scope("local", "bob"), Scope("other"), Scope("other", "ann"))
        done = []
        for number, scope in enumerate(scopes):
            session = Session.new(agent_id=AGENT, title=str(number))
            done.append(await scenario.do(sessions.create(scope, session, idempotency_key="k")))
            scenario.made[done[-1].session_id] = scope
        assert len({each.session_id for each in done}) == len(scopes)

    @pytest.mark.parametrize("key", ["", " ", "a\0b", "\ud800"], ids=repr)
    async def test_a_key_is_some_text(self, scenario: Scenario, key: str) -> None:
        session_id = await scenario.create()
        async with scenario.refused("validation_error"):
            await scenario.do(sessions.update(LOCAL, session_id, {"title": "x"}, idempotency_key=key))

    @pytest.mark.parametrize(
        "input", [{1}, object(), float("nan"), 1 << 64, "\ud800"], ids=["set", "object", "nan", "integer", "surrogate"]
    )
    async def test_what_cannot_be_stored_is_refused_with_a_key_and_without(
        self, scenario: Scenario, input: object
    ) -> None:
        session_id = await scenario.create()
        for key in ("k", None):
            async with scenario.refused("validation_error"):
                await scenario.do(runs.submit(LOCAL, session_id, runs.Submission(input=input), idempotency_key=key))
