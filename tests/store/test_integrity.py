"""What `sessionry doctor` finds wrong in a store, and what it puts right, on every store that ships."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.fold import fold
from sessionry.domain.queries import SessionFilter
from sessionry.ports import Appending, Steps, Store, Wanted
from sessionry.store.integrity import check, checking, repair, repairing
from sessionry.store.open import open_store
from sessionry.store.operations import approvals, leases, listing, pruning, reading, runs, sessions
from sessionry.store.operations.approvals import Question
from sessionry.store.operations.integrity import Problem
from sessionry.store.sqlite import SqliteStore
from sessionry.store.sqlite_connection import Connection
from sessionry.store.transaction import writes
from tests.store import sample
from tests.store.work import SCOPE, AtWork, at_work, log_of, new_session


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, file: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{file}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    store = await open_store(url)
    yield store
    await store.close()


@writes
def changed(statement: str, *values: Any) -> Steps[None]:
    yield statement, values


async def damage(store: Store, statement: str, *values: Any) -> None:
    await store.execute(changed(statement, *values))


async def finished(store: Store) -> AtWork:
    """A session with a run that has said something and ended."""
    work = await at_work(store)
    await work.say("one", "two", "three")
    await work.finish()
    return work


def kinds(problems: Sequence[Problem]) -> list[str]:
    return [problem.kind for problem in problems]


async def assert_repaired(store: Store, session_id: str) -> None:
    """Rows are what the log says, and nothing else is wrong."""
    repaired, left = await repair(store)
    assert repaired
    assert left == []
    session, folded = fold(await log_of(store, session_id))
    assert await store.execute(sessions.get(SCOPE, session_id, deleted=True)) == session
    for run_id, run in folded.items():
        assert await store.execute(runs.get(SCOPE, run_id)) == run


# --- nothing is wrong -------------------------------------------------------------------------------------------------


async def test_nothing_is_wrong_with_a_store_that_was_used_in_every_way(store: Store) -> None:
    assert await check(store) == []
    await sample.fill(store)
    assert await check(store) == []
    assert await check(store, sample=3) == []
    assert await repair(store) == ([], [])


async def test_pieces_that_were_pruned_are_not_missing(store: Store) -> None:
    work = await at_work(store)
    pieces = [ev.MessageStreamed(text=text) for text in "you said"]
    await work.append(Appending(work.run_id, work.fence, work.after, [*pieces, ev.MessageReceived(text="you said")]))
    await work.finish()
    assert await store.execute(pruning.prune(work.run_id)) == 8
    assert await check(store) == []


# --- what the log puts right ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "status = 'paused'",
        "title = 'somebody wrote here'",
        "metadata = '{'",
        "status = 'asleep'",
        "agent_id = 'another'",
        "version = 9, updated_at = 5",
        "created_at = 7",
        "tags = '[\"x\"]'",
        "fence = 0",
    ],
)
async def test_a_session_row_is_written_anew_from_its_log(store: Store, change: str) -> None:
    work, whole = await finished(store), await finished(store)
    await damage(store, f"update sessionry_session set {change} where id = ?", work.session_id)
    (problem, *others) = await check(store)
    assert (problem.kind, problem.repairable, problem.session_id) == ("stale_row", True, work.session_id)
    assert work.session_id in problem.message
    assert kinds(others) in ([], ["stale_row"])
    await assert_repaired(store, work.session_id)
    assert len(await log_of(store, whole.session_id)) == 8


@pytest.mark.parametrize(
    "change",
    [
        "status = 'pending', ended_at = null",
        "status = 'running', slot = 1",
        "status = 'asleep'",
        "options = '['",
        "output = '\"no\"', turn_count = 5",
        "fence = 77",
        "last_seq = 3",
        "last_seq = null",
        "first_seq = 5",
        "deadline_at = 1",
    ],
)
async def test_a_run_row_is_written_anew_from_its_log(store: Store, change: str) -> None:
    work = await finished(store)
    await damage(store, f"update sessionry_run set {change} where id = ?", work.run_id)
    problems = await check(store)
    assert "stale_row" in kinds(problems)
    assert all(problem.session_id == work.session_id for problem in problems)
    await assert_repaired(store, work.session_id)
    page = await store.execute(reading.events(SCOPE, work.session_id, run_id=work.run_id))
    assert [event.seq for event in page] == [3, 4, 5, 6, 7, 8]


async def test_a_run_at_work_that_lost_its_place_gets_one_and_goes_on(store: Store) -> None:
    worker = leases.Registration(worker_id="wrk_test", host="h", pid=1, process_start=1.0, boot_id="b", slots=2)
    await store.execute(leases.register(worker, 60))
    session_id = await new_session(store, slots=2)
    work, other = [await at_work(store, session_id) for _ in range(2)]
    await damage(store, "update sessionry_run set status = 'pending', slot = null where id = ?", work.run_id)
    await assert_repaired(store, session_id)
    for each in (work, other):
        await each.say("still here")
        await each.finish()
    assert await check(store) == []


async def test_a_session_is_found_by_its_tags_again(store: Store) -> None:
    session_id = await new_session(store, tags=["a", "b"])
    await damage(store, "delete from sessionry_tag where tag = 'a'")
    assert kinds(await check(store)) == ["stale_row"]
    await assert_repaired(store, session_id)
    found = await store.execute(listing.list_sessions(SCOPE, SessionFilter(tags=["a", "b"])))
    assert [item.session.id for item in found.items] == [session_id]


async def test_a_lease_that_was_given_out_is_never_given_out_again(store: Store) -> None:
    work = await finished(store)
    await damage(store, "update sessionry_session set fence = 0 where id = ?", work.session_id)
    await repair(store)
    again = await at_work(store, work.session_id)
    assert again.fence > work.fence


async def test_a_decision_that_is_in_the_log_counts(store: Store) -> None:
    work = await at_work(store)
    approval, _ = await store.execute(approvals.ask(work.run_id, work.fence, Question(key="k", tool_name="rm")))
    await store.execute(approvals.decide(SCOPE, approval.id, approved=True, by="ann", note="ok"))
    await work.finish()
    decided = await store.execute(approvals.get(SCOPE, approval.id))
    await damage(store, "update sessionry_approval set status = 'pending', decided_by = null, decided_at = null")
    assert kinds(await check(store)) == ["stale_row"]
    await assert_repaired(store, work.session_id)
    assert await store.execute(approvals.get(SCOPE, approval.id)) == decided


async def test_a_call_that_was_left_open_by_a_run_that_ended_is_closed(store: Store) -> None:
    work = await at_work(store)
    call = ev.ToolCallStarted(tool_call_id="t1", tool_name="bash")
    (seq,) = await work.append(Appending(work.run_id, work.fence, work.after, [call]))
    await work.finish()
    closing = "type = 'tool_call_interrupted'"
    await damage(
        store, f"update sessionry_event set type = 'custom_recorded', data = '{{\"name\":\"x\"}}' where {closing}"
    )
    (problem,) = await check(store)
    assert (problem.kind, problem.repairable) == ("open_tool_call", True)
    assert "t1 of bash" in problem.message
    await assert_repaired(store, work.session_id)
    last = (await store.execute(reading.events(SCOPE, work.session_id, run_id=work.run_id, newest=True)))[-1]
    assert last.data == ev.ToolCallInterrupted(tool_call_id="t1", tool_name="bash", reason="repaired")
    assert last.seq > seq


async def test_runs_that_wait_are_offered_again(store: Store) -> None:
    session_id = await new_session(store)
    queued = await store.execute(runs.submit(SCOPE, session_id, runs.Submission(input="hi")))
    await damage(store, "update sessionry_run set ready = 0")
    assert kinds(await check(store)) == ["lost_head"]
    woken: list[str] = []
    store.on_commit(lambda _, wakes: woken.extend(wake.run_id for wake in wakes))
    await assert_repaired(store, session_id)
    assert woken == [queued.run_id]
    offered = await store.execute(leases.ready(Wanted(agents=["echo"]), 10))
    assert [delivery.run_id for delivery in offered] == woken


# --- what can only be told --------------------------------------------------------------------------------------------


async def test_events_that_are_missing_are_named(store: Store) -> None:
    work = await finished(store)
    await damage(store, "delete from sessionry_event where seq in (5, 6)")
    problems = await check(store)
    assert [(problem.kind, problem.repairable) for problem in problems] == [("missing_events", False)]
    assert f"events 5 to 6 of session {work.session_id}" in problems[0].message
    assert await repair(store) == ([], problems)


async def test_an_event_that_cannot_be_read_is_named(store: Store) -> None:
    work, whole = await finished(store), await finished(store)
    await damage(store, "update sessionry_event set data = '{' where seq = 6")
    problems = await check(store)
    assert kinds(problems) == ["damaged_event", "damaged_event"]
    assert {problem.session_id for problem in problems} == {work.session_id, whole.session_id}
    assert all("event 6 of session" in problem.message for problem in problems)
    assert await repair(store) == ([], problems)


async def test_a_log_that_makes_no_sense_is_not_believed(store: Store) -> None:
    work = await finished(store)
    await damage(store, "update sessionry_event set type = 'run_started' where type = 'run_completed'")
    await damage(store, 'update sessionry_event set data = \'{"attempt":2,"worker_id":"w"}\' where seq = 8')
    problems = await check(store)
    assert kinds(problems) == ["impossible_log"]
    assert "event 8" in problems[0].message
    before = await store.execute(runs.get(SCOPE, work.run_id))
    assert await repair(store) == ([], problems)
    assert await store.execute(runs.get(SCOPE, work.run_id)) == before


async def test_a_run_without_a_row_is_told(store: Store) -> None:
    work = await finished(store)
    await damage(store, "delete from sessionry_run where id = ?", work.run_id)
    problems = await check(store)
    assert kinds(problems) == ["broken_reference", "impossible_log"]
    assert await repair(store) == ([], problems)


async def test_an_event_out_of_the_order_of_all_sessions_is_told(store: Store) -> None:
    work = await finished(store)
    await damage(store, "update sessionry_event set position = position + 1000000000 where seq = 4")
    (problem,) = await check(store)
    assert problem.kind == "impossible_log"
    assert f"event 5 of session {work.session_id} comes before event 4" in problem.message


async def test_a_session_without_a_log_is_told(store: Store) -> None:
    session_id = await new_session(store)
    await damage(store, "delete from sessionry_event")
    (problem,) = await check(store)
    assert (problem.kind, problem.session_id) == ("impossible_log", session_id)


async def test_references_that_lead_nowhere_are_told(store: Store) -> None:
    await finished(store)
    await damage(store, "update sessionry_event set run = 999 where seq = 5")
    await damage(store, "update sessionry_event set session = 888 where seq = 4")
    messages = [problem.message for problem in await check(store) if problem.kind == "broken_reference"]
    assert ["session 888" in messages[0], "run 999" in messages[1], len(messages)] == [True, True, 2]


async def test_a_run_at_work_for_nobody_is_told(store: Store) -> None:
    work = await at_work(store, worker="wrk_gone")
    (problem,) = await check(store)
    assert (problem.kind, problem.session_id) == ("lost_worker", work.session_id)
    assert "wrk_gone" in problem.message


async def test_only_the_sessions_that_changed_last_are_looked_at_in_a_sample(store: Store) -> None:
    old = await finished(store)
    new = await finished(store)
    for work in (old, new):
        await damage(store, "update sessionry_session set title = 'x' where id = ?", work.session_id)
    assert [problem.session_id for problem in await check(store, sample=1)] == [new.session_id]
    assert len(await check(store)) == 2


# --- SQLite only ------------------------------------------------------------------------------------------------------


async def test_damaged_pages_are_told_and_the_rest_is_examined(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    works = [await finished(store) for _ in range(50)]
    await damage(store, "update sessionry_session set title = 'x' where id = ?", works[7].session_id)
    root = await store.execute(_root_of("sessionry_approval_session"))
    await store.close()
    with file.open("r+b") as damaged:
        damaged.seek((root - 1) * 4096)
        damaged.write(b"\xff" * 4096)
    connection = Connection(str(file), read_only=True)
    problems = checking(connection.run)
    connection.close()
    assert "damaged_file" in kinds(problems)


@writes
def _root_of(name: str) -> Steps[int]:
    found = yield "select rootpage from sqlite_master where name = ?", (name,)
    root: int = found[0][0]
    return root


async def test_a_file_is_checked_and_repaired_without_a_loop(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    work = await finished(store)
    await damage(store, "update sessionry_session set title = 'x' where id = ?", work.session_id)
    await store.close()
    connection = Connection(str(file))
    assert kinds(checking(connection.run)) == ["stale_row"]
    repaired, left = repairing(connection.run)
    assert (kinds(repaired), left) == (["stale_row"], [])
    connection.close()
