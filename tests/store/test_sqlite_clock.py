"""A clock that is set back while a store is in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sessionry.domain.errors import Fenced
from sessionry.domain.fold import fold
from sessionry.domain.queries import SessionFilter
from sessionry.domain.records import to_microseconds
from sessionry.store.operations import leases, listing, reading, recovery, runs, sessions
from sessionry.store.operations.leases import Registration
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, at_work, log_of, new_session

SECOND = 1_000_000
DAY = 86_400 * SECOND
YEAR = 365 * DAY


class Clock:
    """Says what it is told. Every question takes it a microsecond further."""

    def __init__(self) -> None:
        self.now = 50 * YEAR

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(file: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(str(file), clock=clock)
    yield store
    await store.close()


async def test_events_stay_in_the_order_in_which_they_were_appended(store: SqliteStore, clock: Clock) -> None:
    work = await at_work(store)
    for text in ("first", "second", "third"):
        await work.say(text)
        clock.now -= DAY
    await work.finish()
    log = await log_of(store, work.session_id)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert await work.said() == ["first", "second", "third"]
    assert len({event.id for event in log}) == len(log)
    everywhere = await store.execute(reading.all_events(SCOPE, limit=1000))
    assert [event.id for event in everywhere] == [event.id for event in log]
    assert log[-1].at < log[0].at  # each event says what the clock said


async def test_what_was_updated_later_never_says_earlier(store: SqliteStore, clock: Clock) -> None:
    session_id = await new_session(store)
    said = []
    for number in range(5):
        clock.now -= DAY
        await store.execute(sessions.update(SCOPE, session_id, {"title": str(number)}))
        said.append((await store.execute(sessions.get(SCOPE, session_id))).updated_at)
    assert said == sorted(set(said))


async def test_rows_are_what_the_log_says_and_runs_never_end_before_they_began(
    store: SqliteStore, clock: Clock
) -> None:
    work = await at_work(store)
    clock.now -= DAY
    await work.say("x")
    await work.finish()
    session, folded = fold(await log_of(store, work.session_id))
    run = await store.execute(runs.get(SCOPE, work.run_id))
    assert (session, folded[work.run_id]) == (await store.execute(sessions.get(SCOPE, work.session_id)), run)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.created_at < run.started_at < run.ended_at == run.updated_at


async def test_pages_of_a_list_miss_nothing_and_repeat_nothing(store: SqliteStore, clock: Clock) -> None:
    made = []
    for number in range(7):
        made.append(await new_session(store))
        clock.now -= DAY if number % 2 else -DAY
    for order in ("created", "-created", "updated", "-updated"):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await store.execute(
                listing.list_sessions(SCOPE, SessionFilter(), order=order, limit=2, cursor=cursor)
            )
            found += [item.session.id for item in page.items]
            if (cursor := page.cursor) is None:
                break
        assert sorted(found) == sorted(made)


async def test_a_run_can_be_claimed_and_taken_over(store: SqliteStore, clock: Clock) -> None:
    work = await at_work(store)
    clock.now -= DAY
    again = await store.execute(recovery.take_over(work.run_id, "wrk_test", "lost"))
    assert again == "stopped"
    with pytest.raises(Fenced):
        await work.say("too late")


async def test_a_lease_ends_when_the_clock_says_so(store: SqliteStore, clock: Clock) -> None:
    worker = Registration(worker_id="wrk_test", host="h", pid=1, process_start=1.0, boot_id="b", slots=1)
    await store.execute(leases.register(worker, 15.0))
    work = await at_work(store)

    clock.now -= DAY  # a day must pass until a worker that is lost now is missed
    assert await store.execute(recovery.orphans(())) == []
    assert (await store.execute(leases.renew("wrk_test", 15.0))).known  # unless it has been renewed since
    clock.now += 16 * SECOND
    assert await store.execute(recovery.orphans(())) == [(work.run_id, "wrk_test")]

    assert (await store.execute(leases.renew("wrk_test", 15.0))).known
    clock.now += DAY  # the worker lives, but is taken for lost: its runs are safe, since it is fenced
    assert await store.execute(recovery.orphans(())) == [(work.run_id, "wrk_test")]


async def test_a_clock_before_1970_is_refused_and_nothing_is_kept(store: SqliteStore, clock: Clock) -> None:
    work = await at_work(store)
    right = clock.now
    clock.now = -DAY
    with pytest.raises(Exception, match="validation_error"):
        await work.say("x")
    clock.now = right
    await work.say("y")
    assert await work.said() == ["y"]


async def test_to_microseconds_is_what_the_clock_said(store: SqliteStore, clock: Clock) -> None:
    session_id = await new_session(store)
    (event,) = await log_of(store, session_id)
    assert to_microseconds(event.at) == clock.now
