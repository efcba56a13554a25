"""Sessions: made, moved through their life, changed, hidden and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import FIRST, Event, EventData
from sessionry.domain.lifecycle import SESSION_TRANSITIONS, RunStatus, SessionStatus
from sessionry.domain.queries import Appended, SessionFilter
from sessionry.domain.run import ErrorInfo
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Operation
from sessionry.store.operations import listing, reading, sessions
from sessionry.testing.store_contract.scenario import LOCAL, Contract, Scenario

_FAILED = ev.SessionFailed(error=ErrorInfo(code="internal_error", message="boom"))

#: How a pending session comes to each status.
_WAYS: dict[SessionStatus, list[EventData]] = {
    SessionStatus.PENDING: [],
    SessionStatus.ACTIVE: [ev.SessionStarted()],
    SessionStatus.PAUSED: [ev.SessionStarted(), ev.SessionPaused()],
    SessionStatus.COMPLETED: [ev.SessionStarted(), ev.SessionCompleted()],
    SessionStatus.FAILED: [_FAILED],
    SessionStatus.CANCELLED: [ev.SessionCancelled()],
}
#: Every change of status, where it leads, and where it may come from if the table alone does not say.
_CHANGES: list[tuple[EventData, SessionStatus, SessionStatus | None]] = [
    (ev.SessionStarted(), SessionStatus.ACTIVE, SessionStatus.PENDING),
    (ev.SessionResumed(), SessionStatus.ACTIVE, SessionStatus.PAUSED),
    (ev.SessionPaused(reason="lunch"), SessionStatus.PAUSED, None),
    (ev.SessionCompleted(), SessionStatus.COMPLETED, None),
    (_FAILED, SessionStatus.FAILED, None),
    (ev.SessionCancelled(reason="enough"), SessionStatus.CANCELLED, None),
]


async def _move(scenario: Scenario, session_id: str, data: EventData) -> None:
    if isinstance(data, ev.SessionFailed | ev.SessionCancelled):
        await scenario.end(session_id, data)
    else:
        await scenario.change(session_id, data)


class SessionContract(Contract):
    """Sessions: made, moved through their life, changed, hidden and removed."""

    async def test_a_created_session_keeps_everything_it_was_given(self, scenario: Scenario) -> None:
        parent = await scenario.create()
        given = {
            "id": "my own: 1",
            "title": "Fix the build",
            "cwd": "/tmp/somewhere",  # noqa: S108  nobody goes there
            "metadata": {"a": [1, {"b": None}]},
            "context": {"system_prompt": "Be brief."},
            "tags": ["b", "a"],
            "slots": 3,
            "queue_limit": 7,
        }
        session_id = await scenario.create("claude", parent=parent, **given)
        stored = await scenario.session(session_id)
        assert {name: getattr(stored, name) for name in given} == given
        assert (stored.agent_id, stored.parent_session_id) == ("claude", parent)
        assert (stored.status, stored.version) == (SessionStatus.PENDING, 1)
        assert await scenario.types(session_id) == ["session_created"]

    async def test_an_id_is_given_once(self, scenario: Scenario) -> None:
        await scenario.create(id="mine", title="first")
        async with scenario.refused("already_exists"):
            await scenario.create(id="mine", title="second")

    async def test_of_many_who_create_the_same_id_one_succeeds(self, scenario: Scenario) -> None:
        tries = (scenario.create(id="mine", title=str(number)) for number in range(10))
        done = await asyncio.gather(*tries, return_exceptions=True)
        refused = [each for each in done if isinstance(each, SessionryError)]
        assert done.count("mine") == 1
        assert [error.code for error in refused] == ["already_exists"] * 9

    async def test_a_parent_must_be_there(self, scenario: Scenario) -> None:
        gone = await scenario.create()
        await scenario.do(sessions.delete(LOCAL, gone))
        for parent in (gone, "ses_unknown"):
            async with scenario.refused("session_not_found"):
                await scenario.create(parent=parent)

    @pytest.mark.parametrize("status", SessionStatus)
    async def test_the_table_says_what_may_follow(self, scenario: Scenario, status: SessionStatus) -> None:
        for change, target, only_from in _CHANGES:
            session_id = await scenario.create()
            for step in _WAYS[status]:
                await _move(scenario, session_id, step)
            if target in SESSION_TRANSITIONS[status] and only_from in (None, status):
                await _move(scenario, session_id, change)
                assert (await scenario.session(session_id)).status is target
                assert (await scenario.log(session_id))[-1].data == change
            else:
                async with scenario.refused("invalid_transition", "invalid_operation"):
                    await _move(scenario, session_id, change)

    async def test_every_change_gives_back_what_it_appended(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        changes: list[Callable[[], Operation[Appended]]] = [
            lambda: sessions.change_status(LOCAL, session_id, ev.SessionStarted()),
            lambda: sessions.update(LOCAL, session_id, {"title": "new"}),
            lambda: sessions.end(LOCAL, session_id, ev.SessionCancelled(reason="enough")),
            lambda: sessions.delete(LOCAL, session_id),
            lambda: sessions.restore(LOCAL, session_id),
        ]
        for make in changes:
            appended = await scenario.do(make())
            last = (await scenario.log(session_id))[-1]
            assert [(event.id, event.seq, event.data) for event in appended.events] == [(last.id, last.seq, last.data)]

    async def test_the_actor_is_the_user_of_the_scope(self, scenario: Scenario) -> None:
        ann = scenario.to(type(LOCAL)("local", "ann"))
        session_id = await ann.create()
        assert [event.actor for event in await ann.log(session_id)] == ["ann"]

    async def test_a_session_with_unfinished_runs_cannot_be_completed(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await scenario.submit(session_id)
        async with scenario.refused("invalid_operation"):
            await scenario.change(session_id, ev.SessionCompleted())

    async def test_an_ended_session_takes_no_runs(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await scenario.end(session_id)
        async with scenario.refused("invalid_operation"):
            await scenario.submit(session_id)

    @pytest.mark.parametrize("ending", [ev.SessionCancelled(), _FAILED], ids=["cancelled", "failed"])
    async def test_ending_a_session_cancels_what_waits_and_asks_what_works(
        self, scenario: Scenario, ending: EventData
    ) -> None:
        session_id = await scenario.create(slots=2)
        working = await scenario.claim(await scenario.submit(session_id))
        parked = await scenario.claim(await scenario.submit(session_id), worker="wrk_two")
        await scenario.ask(parked)
        await scenario.lose(parked, worker="wrk_two")
        queued = await scenario.submit(session_id)
        await scenario.end(session_id, ending)
        statuses = [(await scenario.run(run_id)).status for run_id in (working.run_id, parked.run_id, queued)]
        assert statuses == [RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.CANCELLED]
        assert (await scenario.run(working.run_id)).cancel_request is not None
        await scenario.finish(working, ev.RunCancelled())
        assert (await scenario.session(session_id)).ended

    async def test_cancelling_a_family_reaches_everybody_who_has_not_ended(self, scenario: Scenario) -> None:
        parent = await scenario.create()
        child, done = await scenario.create(parent=parent), await scenario.create(parent=parent)
        grandchild = await scenario.create(parent=child)
        await scenario.change(done, ev.SessionStarted())
        await scenario.change(done, ev.SessionCompleted())
        queued = await scenario.submit(grandchild)
        await scenario.end(parent, cascade=True)
        statuses = [(await scenario.session(each)).status for each in (parent, child, grandchild, done)]
        assert statuses == ["cancelled", "cancelled", "cancelled", "completed"]
        assert (await scenario.run(queued)).status is RunStatus.CANCELLED

    async def test_cancelling_without_cascade_leaves_the_children_alone(self, scenario: Scenario) -> None:
        parent = await scenario.create()
        child = await scenario.create(parent=parent)
        await scenario.end(parent)
        assert (await scenario.session(child)).status is SessionStatus.PENDING

    async def test_children_born_while_their_family_is_cancelled_are_cancelled_or_come_after(
        self, scenario: Scenario
    ) -> None:
        parent = await scenario.create()
        births = [scenario.create(parent=parent) for _ in range(10)]
        *_, cancelled_at = await asyncio.gather(*births, self._cancel_family(scenario, parent))
        for child in await scenario.do(sessions.tree(LOCAL, parent)):
            assert child.ended or child.created_at >= cancelled_at  # type: ignore[operator]

    async def _cancel_family(self, scenario: Scenario, parent: str) -> datetime:
        return (await scenario.end(parent, cascade=True)).events[-1].at

    async def test_an_update_replaces_what_it_names_and_nothing_else(self, scenario: Scenario) -> None:
        session_id = await scenario.create(title="old", tags=["a"], metadata={"x": 1}, cwd="/")
        await scenario.do(sessions.update(LOCAL, session_id, {"title": None, "tags": ["b", "c"]}))
        session = await scenario.session(session_id)
        assert (session.title, session.tags, session.metadata, session.cwd) == (None, ["b", "c"], {"x": 1}, "/")
        assert session.version == 2

    async def test_an_update_of_a_version_that_is_gone_is_refused(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await scenario.do(sessions.update(LOCAL, session_id, {"title": "one"}, if_version=1))
        async with scenario.refused("stale_version"):
            await scenario.do(sessions.update(LOCAL, session_id, {"title": "two"}, if_version=1))

    async def test_of_many_who_update_the_same_version_one_succeeds(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        tries = (
            scenario.do(sessions.update(LOCAL, session_id, {"title": str(number)}, if_version=1))
            for number in range(10)
        )
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(each, Exception) for each in done) == 1
        assert (await scenario.session(session_id)).version == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"nonsense": 1},
            {"title": 1},
            {"title": ""},
            {"tags": "a"},
            {"slots": 0},
            {"metadata": [1]},
            {"title": "a\0b"},
        ],
        ids=str,
    )
    async def test_a_bad_update_is_refused_whole(self, scenario: Scenario, changes: dict[str, object]) -> None:
        session_id = await scenario.create()
        async with scenario.refused("validation_error"):
            await scenario.do(sessions.update(LOCAL, session_id, {"cwd": "/"} | changes))

    async def test_work_on_runs_does_not_change_the_version(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await scenario.finished(session_id)
        started = await scenario.session(session_id)
        await scenario.finished(session_id)
        session = await scenario.session(session_id)
        assert session.version == started.version
        assert session.updated_at > started.updated_at

    async def test_a_deleted_session_is_gone_until_it_is_restored(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await scenario.do(sessions.delete(LOCAL, session_id, reason="old"))
        operations: list[Operation[Any]] = [
            sessions.get(LOCAL, session_id),
            sessions.update(LOCAL, session_id, {"title": "x"}),
            sessions.change_status(LOCAL, session_id, ev.SessionStarted()),
            sessions.delete(LOCAL, session_id),
        ]
        for operation in operations:
            async with scenario.refused("session_not_found"):
                await scenario.store.execute(operation)
        assert (await scenario.session(session_id)).deleted_at is not None
        await scenario.do(sessions.restore(LOCAL, session_id))
        assert (await scenario.do(sessions.get(LOCAL, session_id))).deleted_at is None

    async def test_what_has_unfinished_runs_cannot_be_deleted(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        async with scenario.refused("invalid_operation"):
            await scenario.do(sessions.delete(LOCAL, claim.session_id))

    async def test_only_a_deleted_session_can_be_restored_or_purged(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        async with scenario.refused("invalid_operation"):
            await scenario.do(sessions.restore(LOCAL, session_id))
        async with scenario.refused("invalid_operation"):
            await scenario.do(sessions.purge(LOCAL, session_id))

    async def test_a_purge_removes_the_session_and_leaves_its_children(self, scenario: Scenario) -> None:
        session_id = await scenario.create(tags=["a"])
        child = await scenario.create(parent=session_id)
        claim = await scenario.claim(await scenario.submit(session_id))
        await scenario.ask(claim)
        await scenario.finish(claim, _run_failed())
        events = len(await scenario.log(session_id))
        await scenario.do(sessions.delete(LOCAL, session_id))
        assert await scenario.do(sessions.purge(LOCAL, session_id)) == events + 1
        del scenario.made[session_id]
        async with scenario.refused("session_not_found"):
            await scenario.session(session_id)
        async with scenario.refused("run_not_found"):
            await scenario.run(claim.run_id)
        assert (await scenario.session(child)).parent_session_id == session_id
        assert await scenario.create(id=session_id) == session_id

    async def test_many_who_do_everything_at_once_do_not_disturb_each_other(self, scenario: Scenario) -> None:
        async def live(number: int) -> str:
            session_id = await scenario.create(title=str(number), tags=["all", f"{number % 2}"])
            await scenario.do(sessions.update(LOCAL, session_id, {"metadata": {"number": number}}))
            await scenario.finished(session_id)
            await scenario.do(sessions.delete(LOCAL, session_id))
            if number % 3:
                await scenario.do(sessions.restore(LOCAL, session_id))
            return session_id

        made = await asyncio.gather(*(live(number) for number in range(50)))
        kept = {session_id for number, session_id in enumerate(made) if number % 3}
        for filter, wanted in (
            (SessionFilter(tags=["all"]), kept),
            (SessionFilter(tags=["all"], include_deleted=True), set(made)),
            (SessionFilter(tags=["1"]), kept & set(made[1::2])),
        ):
            page = await scenario.do(listing.list_sessions(LOCAL, filter, limit=100))
            assert {summary.session.id for summary in page.items} == wanted
        for number, session_id in enumerate(made):
            assert (await scenario.session(session_id)).metadata == {"number": number}

    async def test_the_tree_has_parents_before_children(self, scenario: Scenario) -> None:
        root = await scenario.create()
        left, right = await scenario.create(parent=root), await scenario.create(parent=root)
        leaf, hidden = await scenario.create(parent=left), await scenario.create(parent=right)
        await scenario.do(sessions.delete(LOCAL, hidden))
        tree = [session.id for session in await scenario.do(sessions.tree(LOCAL, root))]
        assert tree == [root, left, right, leaf]

    async def test_an_id_is_found_by_its_beginning(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        approval = await scenario.ask(claim)
        for id in (claim.session_id, claim.run_id, approval.id):
            assert await scenario.do(sessions.find(LOCAL, id)) == id
            assert await scenario.do(sessions.find(LOCAL, id[:-1])) == id

    async def test_a_beginning_of_several_ids_is_ambiguous_unless_it_is_one_of_them(self, scenario: Scenario) -> None:
        for number in range(9):
            await scenario.create(id=f"ses_x{number}ü")
        await scenario.create(id="ses_x")
        assert await scenario.do(sessions.find(LOCAL, "ses_x")) == "ses_x"
        assert await scenario.do(sessions.find(LOCAL, "x1")) == "ses_x1ü"
        async with scenario.refused("ambiguous_id"):
            await scenario.do(sessions.find(LOCAL, "ses_"))
        async with scenario.refused("session_not_found"):
            await scenario.do(sessions.find(LOCAL, "ses_y"))
        async with scenario.refused("run_not_found"):
            await scenario.do(sessions.find(LOCAL, "run_y"))

    async def test_beginnings_of_ids_are_no_patterns(self, scenario: Scenario) -> None:
        await scenario.create(id="ses_abc")
        for pattern in ("ses_a%", "ses_a_c", "ses_A", "ses_*"):
            async with scenario.refused("session_not_found"):
                await scenario.do(sessions.find(LOCAL, pattern))

    async def test_a_session_is_made_of_its_events(self, scenario: Scenario) -> None:
        given = Session.new(agent_id="agent", title="x")
        created = await scenario.do(sessions.create(LOCAL, given))
        scenario.made[given.id] = LOCAL
        stored = await scenario.session(given.id)
        assert stored.created_at == created.events[0].at == stored.updated_at

    async def test_a_fork_points_at_where_it_began_and_has_all_but_the_log(self, scenario: Scenario) -> None:
        source = await scenario.create(title="Old", tags=["a"], metadata={"x": 1}, cwd="/", slots=2)
        await scenario.finished(source)
        before = await scenario.log(source)
        forked = await scenario.do(sessions.fork(scenario.scope, source, seq=3))
        scenario.made[forked.session_id] = scenario.scope
        old, new = await scenario.session(source), await scenario.session(forked.session_id)
        assert (new.title, new.tags, new.metadata, new.cwd, new.slots) == ("Old", ["a"], {"x": 1}, "/", 2)
        assert (new.parent_session_id, new.status, old.status) == (source, "pending", "active")
        assert await scenario.types(new.id) == ["session_created", "session_forked"]
        assert await scenario.log(source) == before
        again = (await scenario.do(sessions.fork(scenario.scope, new.id, title="New"))).session_id
        scenario.made[again] = scenario.scope
        assert (await scenario.session(again)).title == "New"

    async def test_a_fork_is_read_from_the_beginning_of_what_it_goes_on_from(self, scenario: Scenario) -> None:
        source = await scenario.create()
        await scenario.finished(source)
        first = (await scenario.do(sessions.fork(scenario.scope, source, seq=3))).session_id
        second = (await scenario.do(sessions.fork(scenario.scope, first))).session_id
        for id in (first, second):
            scenario.made[id] = scenario.scope

        async def read(**options: Any) -> list[Event]:
            return await scenario.do(reading.events(scenario.scope, second, **options))

        whole = await read(after=FIRST)
        logs = [await scenario.log(id) for id in (source, first, second)]
        assert [event.seq for event in whole] == [-4, -3, -2, -1, 0, 1, 2]
        assert [event.id for event in whole] == [event.id for event in [*logs[0][:3], *logs[1], *logs[2]]]
        assert await read() == whole[5:]
        for cursor in range(-6, 3):
            assert await read(after=cursor) == [event for event in whole if event.seq > cursor]
            assert await read(after=cursor, limit=2) == [event for event in whole if event.seq > cursor][:2]
            assert await read(after=cursor, before=1) == [event for event in whole if cursor < event.seq < 1]
        assert await read(after=FIRST, newest=True, limit=3) == whole[-3:]
        assert await read(after=FIRST, newest=True, before=0) == whole[:4]
        created = await read(after=FIRST, types=["session_created"])
        assert [event.seq for event in created] == [-4, -1, 1]
        assert await scenario.do(reading.events(scenario.scope, source, after=FIRST)) == logs[0]

    async def test_a_fork_begins_at_an_event_that_is_there(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        for seq in (0, -1, 2, 1 << 62):
            async with scenario.refused("validation_error"):
                await scenario.do(sessions.fork(scenario.scope, session_id, seq=seq))
        async with scenario.refused("session_not_found"):
            await scenario.do(sessions.fork(Scope("stranger"), session_id))


def _run_failed() -> ev.RunFailed:
    return ev.RunFailed(error=ErrorInfo(code="agent_failed", message="it did not work"))
