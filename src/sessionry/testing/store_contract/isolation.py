"""Scopes: what belongs to others is not there, for any operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from sessionry.domain import events as ev
from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.queries import Counts, RunFilter, SessionFilter
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Operation
from sessionry.store.operations import approvals, listing, reading, runs, sessions
from sessionry.testing.store_contract.scenario import AGENT, Contract, Scenario

#: Who has something, and a stranger who wants it.
STRANGERS = [
    (Scope("a"), Scope("b")),
    (Scope("a", "ann"), Scope("b", "ann")),
    (Scope("a", "ann"), Scope("a", "bob")),
    (Scope("a"), Scope("a", "bob")),
]
strangers = pytest.mark.parametrize(("owner", "stranger"), STRANGERS, ids=str)


class Things(NamedTuple):
    """What somebody has: one of everything, and a session that is deleted."""

    session: str
    run: str
    approval: str
    deleted: str


async def _things(owner: Scenario) -> Things:
    claim = await owner.claim(await owner.submit(await owner.create(tags=["a"], title="private")))
    asked = await owner.ask(claim)
    deleted = await owner.create()
    await owner.do(sessions.delete(owner.scope, deleted))
    return Things(claim.session_id, claim.run_id, asked.id, deleted)


#: Every operation that names a thing.
_NAMING: dict[str, Callable[[Scope, Things], Operation[Any]]] = {
    "get": lambda scope, its: sessions.get(scope, its.session),
    "get_deleted": lambda scope, its: sessions.get(scope, its.deleted, deleted=True),
    "tree": lambda scope, its: sessions.tree(scope, its.session),
    "find_session": lambda scope, its: sessions.find(scope, its.session),
    "find_run": lambda scope, its: sessions.find(scope, its.run),
    "find_approval": lambda scope, its: sessions.find(scope, its.approval),
    "create_child": lambda scope, its: sessions.create(scope, Session.new(agent_id=AGENT), parent=its.session),
    "change_status": lambda scope, its: sessions.change_status(scope, its.session, ev.SessionPaused()),
    "end": lambda scope, its: sessions.end(scope, its.session, ev.SessionCancelled(), cascade=True),
    "update": lambda scope, its: sessions.update(scope, its.session, {"title": "mine"}),
    "delete": lambda scope, its: sessions.delete(scope, its.session),
    "restore": lambda scope, its: sessions.restore(scope, its.deleted),
    "fork": lambda scope, its: sessions.fork(scope, its.session),
    "purge": lambda scope, its: sessions.purge(scope, its.deleted),
    "submit": lambda scope, its: runs.submit(scope, its.session, runs.Submission()),
    "cancel": lambda scope, its: runs.cancel(scope, its.run, ev.RunCancelRequested()),
    "steer": lambda scope, its: runs.steer(scope, its.run, "left"),
    "get_run": lambda scope, its: runs.get(scope, its.run),
    "get_approval": lambda scope, its: approvals.get(scope, its.approval),
    "decide": lambda scope, its: approvals.decide(scope, its.approval, approved=True),
    "events": lambda scope, its: reading.events(scope, its.session),
    "is_over": lambda scope, its: reading.is_over(scope, its.session, 0),
    "last_seq": lambda scope, its: reading.last_seq(scope, its.session),
}


class IsolationContract(Contract):
    """Scopes: what belongs to others is not there, for any operation."""

    @strangers
    @pytest.mark.parametrize("name", _NAMING)
    async def test_what_a_stranger_names_is_not_there(
        self, scenario: Scenario, owner: Scope, stranger: Scope, name: str
    ) -> None:
        its = await _things(scenario.to(owner))
        async with scenario.refused("session_not_found", "run_not_found", "approval_not_found"):
            await scenario.store.execute(_NAMING[name](stranger, its))

    @strangers
    async def test_a_stranger_lists_nothing(self, scenario: Scenario, owner: Scope, stranger: Scope) -> None:
        its = await _things(scenario.to(owner))
        do = scenario.do
        everything = SessionFilter(include_deleted=True)
        assert (await do(listing.list_sessions(stranger, everything))).items == []
        assert (await do(listing.list_sessions(stranger, SessionFilter(parent=its.session)))).items == []
        assert (await do(listing.list_runs(stranger, RunFilter()))).items == []
        assert (await do(listing.list_runs(stranger, RunFilter(session=its.session)))).items == []
        assert (await do(approvals.list_approvals(stranger, status=[*ApprovalStatus]))).items == []
        assert (await do(approvals.list_approvals(stranger, status=[], session_id=its.session))).items == []
        assert await do(listing.counts(stranger)) == Counts()
        assert await do(reading.all_events(stranger)) == []

    async def test_a_tenant_sees_what_its_users_have(self, scenario: Scenario) -> None:
        ann, tenant = scenario.to(Scope("a", "ann")), scenario.to(Scope("a"))
        its = await _things(ann)
        for name in ("get", "get_deleted", "find_run", "get_run", "get_approval", "events", "tree"):
            await scenario.store.execute(_NAMING[name](tenant.scope, its))
        assert len((await tenant.do(listing.list_sessions(tenant.scope, SessionFilter()))).items) == 1
        await tenant.decide(its.approval)
        await tenant.cancel(its.run)

    async def test_an_id_of_another_scope_is_taken_all_the_same(self, scenario: Scenario) -> None:
        await scenario.to(Scope("a")).create(id="shared")
        async with scenario.refused("already_exists"):
            await scenario.to(Scope("b")).create(id="shared")

    async def test_a_family_is_seen_and_cancelled_as_far_as_the_scope_reaches(self, scenario: Scenario) -> None:
        ann, tenant = scenario.to(Scope("a", "ann")), scenario.to(Scope("a"))
        root = await ann.create()
        own, foreign = await ann.create(parent=root), await tenant.create(parent=root)
        assert [session.id for session in await ann.do(sessions.tree(ann.scope, root))] == [root, own]
        await ann.end(root, cascade=True)
        statuses = [(await tenant.session(each)).status for each in (root, own, foreign)]
        assert statuses == ["cancelled", "cancelled", "pending"]
        assert [session.id for session in await tenant.do(sessions.tree(tenant.scope, root))] == [root, own, foreign]
