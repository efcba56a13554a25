"""Lists: filtered, in any order, page by page, while others add to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.queries import Activity, RunFilter, SessionFilter
from sessionry.store.operations import listing, sessions
from sessionry.testing.store_contract.scenario import LOCAL, Contract, Scenario


class ListingContract(Contract):
    """Lists: filtered, in any order, page by page, while others add to them."""

    @pytest.mark.parametrize("order", listing.SESSION_ORDERS)
    @pytest.mark.parametrize("limit", [1, 3, 100])
    async def test_pages_of_sessions_are_disjoint_and_complete(
        self, scenario: Scenario, order: str, limit: int
    ) -> None:
        made = [await scenario.create() for _ in range(7)]
        for session_id in (made[4], made[0], made[5]):
            await scenario.do(sessions.update(LOCAL, session_id, {"title": "moved"}))
        rows = [await scenario.session(session_id) for session_id in made]
        field = order.removeprefix("-") + "_at"
        wanted = [row.id for row in sorted(rows, key=lambda row: getattr(row, field), reverse=order[0] == "-")]
        assert await _sessions(scenario, order=order, limit=limit) == wanted

    @pytest.mark.parametrize("order", listing.SESSION_ORDERS)
    async def test_sessions_that_come_meanwhile_disturb_no_page(self, scenario: Scenario, order: str) -> None:
        made = {await scenario.create() for _ in range(6)}
        found: list[str] = []
        cursor = None
        for _ in range(20):
            page = await scenario.do(listing.list_sessions(LOCAL, SessionFilter(), order=order, limit=2, cursor=cursor))
            found += [summary.session.id for summary in page.items]
            cursor = page.cursor
            if cursor is None:
                break
            if len(scenario.made) < 10:
                await scenario.create()
        assert len(found) == len(set(found))
        assert made <= set(found)

    @pytest.mark.parametrize("order", listing.RUN_ORDERS)
    @pytest.mark.parametrize("limit", [1, 3, 100])
    async def test_pages_of_runs_are_disjoint_and_complete(self, scenario: Scenario, order: str, limit: int) -> None:
        made = [await scenario.create() for _ in range(2)]
        submitted = [await scenario.submit(made[number % 2]) for number in range(7)]
        wanted = submitted[::-1] if order[0] == "-" else submitted
        assert await _runs(scenario, RunFilter(), order=order, limit=limit) == wanted
        assert await _runs(scenario, RunFilter(session=made[0]), order=order, limit=limit) == [
            run_id for run_id in wanted if run_id in submitted[::2]
        ]

    async def test_sessions_are_found_by_what_they_are(self, scenario: Scenario) -> None:
        parent = await scenario.create("claude", title="The parent", tags=["a", "b"])
        child = await scenario.create("codex", title="100% Straße_x", tags=["b"], parent=parent)
        paused = await scenario.create("claude", title="ÄRGER", tags=["a"])
        await scenario.change(paused, ev.SessionStarted())
        await scenario.change(paused, ev.SessionPaused())
        gone = await scenario.create(title="deleted", tags=["a"])
        await scenario.do(sessions.delete(LOCAL, gone))
        cases: list[tuple[dict[str, Any], list[str]]] = [
            ({}, [parent, child, paused]),
            ({"include_deleted": True}, [parent, child, paused, gone]),
            ({"status": "paused"}, [paused]),
            ({"status": ["paused", "active"]}, [paused]),
            ({"status": ["pending", "paused"]}, [parent, child, paused]),
            ({"agent": "claude"}, [parent, paused]),
            ({"agent": "claud"}, []),
            ({"tags": "b"}, [parent, child]),
            ({"tags": ["b", "a"]}, [parent]),
            ({"tags": ["A"]}, []),
            ({"parent": parent}, [child]),
            ({"parent": child}, []),
            ({"text": "PARENT"}, [parent]),
            ({"text": "strasse"}, [child]),
            ({"text": "ärger"}, [paused]),
            ({"text": "0%"}, [child]),
            ({"text": "%"}, [child]),
            ({"text": "_"}, [child]),
            ({"text": "!"}, []),
            ({"agent": "claude", "status": ["paused"], "tags": ["a"], "text": "er"}, [paused]),
        ]
        for filter, wanted in cases:
            assert await _sessions(scenario, SessionFilter(**filter), order="created") == wanted, filter

    async def test_tags_are_searched_as_they_are_now(self, scenario: Scenario) -> None:
        session_id = await scenario.create(tags=["old", "kept"])
        await scenario.do(sessions.update(LOCAL, session_id, {"tags": ["kept", "new"]}))
        for tag, wanted in (("old", []), ("kept", [session_id]), ("new", [session_id])):
            assert await _sessions(scenario, SessionFilter(tags=[tag])) == wanted

    async def test_sessions_and_runs_are_found_by_their_times(self, scenario: Scenario) -> None:
        first, second = await scenario.create(), await scenario.create()
        runs = [await scenario.submit(session_id) for session_id in (first, second)]
        created = (await scenario.session(first)).created_at
        updated = (await scenario.session(first)).updated_at
        moment = timedelta(microseconds=1)
        for filter, wanted in (
            (SessionFilter(created_after=created), [second]),
            (SessionFilter(created_after=created - moment), [first, second]),
            (SessionFilter(created_before=created + moment), [first]),
            (SessionFilter(updated_after=updated), [second]),
            (SessionFilter(updated_before=updated), []),
        ):
            assert await _sessions(scenario, filter, order="created") == wanted
        queued = (await scenario.run(runs[0])).created_at
        assert await _runs(scenario, RunFilter(created_after=queued)) == [runs[1]]
        assert await _runs(scenario, RunFilter(created_before=queued + moment)) == [runs[0]]

    async def test_a_summary_counts(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        claims = [await scenario.claim(await scenario.submit(session_id)) for _ in range(2)]
        await scenario.submit(session_id)
        asked = [await scenario.ask(claims[0], str(number)) for number in range(2)]
        await scenario.decide(asked[0].id)
        (summary,) = (await scenario.do(listing.list_sessions(LOCAL, SessionFilter()))).items
        assert summary.session == await scenario.session(session_id)
        assert summary.last_seq == len(await scenario.log(session_id))
        assert (summary.runs, summary.pending_runs, summary.running_runs) == (3, 1, 1)
        assert (summary.waiting_runs, summary.pending_approvals) == (1, 1)

    async def test_a_summary_tells_what_goes_on(self, scenario: Scenario) -> None:
        made = {activity: await scenario.create(title=activity) for activity in Activity}
        for activity in (Activity.NEEDS_YOU, Activity.WORKING):
            claim = await scenario.claim(await scenario.submit(made[activity]))
            if activity is Activity.NEEDS_YOU:
                await scenario.ask(claim)
        await scenario.finished(made[Activity.IDLE])
        await scenario.submit(made[Activity.QUEUED])
        await scenario.end(made[Activity.ENDED])
        for activity, session_id in made.items():
            (found,) = (await scenario.do(listing.list_sessions(LOCAL, SessionFilter(activity=[activity])))).items
            assert (found.session.id, found.activity) == (session_id, activity)
        page = await scenario.do(listing.list_sessions(LOCAL, SessionFilter(activity=["ended", "idle"])))
        assert {item.activity for item in page.items} == {Activity.ENDED, Activity.IDLE}
        assert (await scenario.do(listing.counts(LOCAL))).activity == dict.fromkeys(Activity, 1)
        idle = next(item for item in page.items if item.activity is Activity.IDLE)
        last = (await scenario.log(idle.session.id))[-1]
        assert (idle.last_event_at, idle.last_event_type, idle.last_run_status) == (last.at, last.type, "completed")

    async def test_runs_are_found_by_what_they_are(self, scenario: Scenario) -> None:
        session_id = await scenario.create("claude")
        done, failed = await scenario.submit(session_id), await scenario.submit(session_id, agent_id="codex")
        await scenario.finish(await scenario.claim(done))
        for filter, wanted in (
            (RunFilter(), [failed, done]),
            (RunFilter(status="completed"), [done]),
            (RunFilter(status=["completed", "pending"]), [failed, done]),
            (RunFilter(status=["running"]), []),
            (RunFilter(agent="codex"), [failed]),
            (RunFilter(session=session_id, agent="claude"), [done]),
            (RunFilter(session="ses_unknown"), []),
        ):
            assert await _runs(scenario, filter) == wanted

    async def test_what_is_deleted_is_neither_listed_nor_counted(self, scenario: Scenario) -> None:
        kept, gone = await scenario.create(), await scenario.create()
        for session_id in (kept, gone):
            await scenario.finished(session_id)
        await scenario.do(sessions.delete(LOCAL, gone))
        counts = await scenario.do(listing.counts(LOCAL))
        assert (counts.sessions, counts.runs, counts.pending_approvals) == ({"active": 1}, {"completed": 1}, 0)
        assert len(await _runs(scenario, RunFilter())) == 1

    async def test_counts_are_by_status(self, scenario: Scenario) -> None:
        await scenario.create()
        claim = await scenario.work()
        await scenario.submit(claim.session_id)
        await scenario.ask(claim)
        counts = await scenario.do(listing.counts(LOCAL))
        assert counts.sessions == {"pending": 1, "active": 1}
        assert counts.runs == {"waiting": 1, "pending": 1}
        assert counts.pending_approvals == 1

    async def test_a_list_has_known_orders_only(self, scenario: Scenario) -> None:
        for order in ("title", "", "-", "updated desc"):
            async with scenario.refused("validation_error"):
                await scenario.do(listing.list_sessions(LOCAL, SessionFilter(), order=order))
        async with scenario.refused("validation_error"):
            await scenario.do(listing.list_runs(LOCAL, RunFilter(), order="updated"))

    async def test_a_cursor_belongs_to_its_order(self, scenario: Scenario) -> None:
        for _ in range(3):
            await scenario.create()
        page = await scenario.do(listing.list_sessions(LOCAL, SessionFilter(), order="created", limit=1))
        assert page.cursor is not None
        for cursor in (page.cursor, page.cursor[:-4], "nonsense", "", "ü", "e30"):
            async with scenario.refused("invalid_cursor"):
                await scenario.do(listing.list_sessions(LOCAL, SessionFilter(), order="-created", cursor=cursor))


async def _sessions(
    scenario: Scenario, filter: SessionFilter | None = None, *, order: str = "-updated", limit: int = 2
) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        asking = listing.list_sessions(
            scenario.scope, filter or SessionFilter(), order=order, limit=limit, cursor=cursor
        )
        page = await scenario.do(asking)
        assert len(page.items) <= limit
        found += [summary.session.id for summary in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


async def _runs(scenario: Scenario, filter: RunFilter, *, order: str = "-created", limit: int = 2) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await scenario.do(listing.list_runs(scenario.scope, filter, order=order, limit=limit, cursor=cursor))
        assert len(page.items) <= limit
        found += [run.id for run in page.items]
        cursor = page.cursor
        if cursor is None:
            return found
