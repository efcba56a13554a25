"""The life of a session through its handle, and what lists say about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

import sessionry
from sessionry import Conflict, Event, InvalidInput, InvalidTransition, NotFound, Sessions
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.store.operations import runs as run_operations
from sessionry.testing.store_contract.scenario import Scenario

from .conftest import until


async def test_a_session_goes_through_its_life(sessions: Sessions) -> None:
    session = await sessions.create("echo", title="Fix auth", tags=["pr-42"], metadata={"a": [1, None]})
    (started,) = await session.start()
    assert started.type == "session_started"
    await session.pause("lunch")
    await session.resume()
    await session.complete()
    assert (await session.get()).status is SessionStatus.COMPLETED
    with pytest.raises(InvalidTransition):
        await session.resume()


async def test_a_pending_session_cannot_be_resumed(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    with pytest.raises(Conflict):
        await session.resume()
    assert [event.type async for event in session.events()] == ["session_created"]


async def test_a_paused_session_keeps_its_runs_until_it_is_resumed(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    await session.start()
    await session.pause()
    run = await session.run("x")
    await sessions.recover()
    assert (await run.get()).status is RunStatus.PENDING
    await session.resume()
    assert (await run.result(timeout=60)).text == "you said x"


async def test_a_session_goes_on_with_another_run_and_another_agent(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    await (await session.run("one")).result(timeout=60)
    await (await session.run("two", agent="listens", timeout=0.2)).result(timeout=60)
    await (await session.run("three")).result(timeout=60)
    transcript = await session.transcript()
    assert [message.text for message in transcript.messages if message.role == "assistant"] == [
        "you said one",
        "you said three",
    ]


async def test_a_session_with_unfinished_runs_cannot_be_completed(sessions: Sessions) -> None:
    session = await sessions.create("silent")
    run = await session.run("x")
    with pytest.raises(Conflict, match="unfinished"):
        await session.complete()
    await run.cancel()
    await run.result(timeout=60)
    await session.complete()


async def test_cancelling_a_session_cancels_its_runs_and_its_children(sessions: Sessions) -> None:
    parent = await sessions.create("silent")
    child = await sessions.create("silent", parent=parent)
    runs = [await parent.run("x"), await parent.run("y"), await child.run("z")]
    await until(lambda: _started(sessions, 2))
    await parent.cancel("no more")
    for run in runs:
        assert (await run.result(timeout=60)).status is RunStatus.CANCELLED
    assert [item.status for item in await parent.tree()] == [SessionStatus.CANCELLED] * 2
    with pytest.raises(Conflict):
        await parent.run("again")


async def _started(sessions: Sessions, count: int) -> bool:
    return (await sessions.counts()).runs.get("running") == count


async def test_following_ends_with_the_session(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    run = await session.run("x")
    await run.result(timeout=60)
    await session.complete()
    types = [event.type async for event in session.events(follow=True)]
    assert types[0] == "session_created"
    assert types[-1] == "session_completed"


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_following_ends_where_the_session_was_changed_after_its_end(sessions: Sessions, after: int) -> None:
    session = await sessions.create("echo")
    await session.cancel()
    await session.update(title="what it came to")
    async with asyncio.timeout(10):
        types = [event.type async for event in session.events(after=after, follow=True)]
    assert types == ["session_created", "session_cancelled", "session_updated"][after:]


async def test_following_ends_where_only_the_end_was_read_first(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await sessions.create("echo")
    await session.cancel()
    await session.update(title="what it came to")
    await session.delete()
    await session.restore()
    batches = sessions.logs.feed.batches

    async def one_by_one(session_id: str | None, after: int = 0) -> AsyncGenerator[list[Event], None]:
        async with aclosing(batches(session_id, after)) as found:
            async for batch in found:
                for event in batch:
                    yield [event]

    monkeypatch.setattr(sessions.logs.feed, "batches", one_by_one)
    async with asyncio.timeout(10):
        types = [event.type async for event in session.events(follow=True)]
    assert types[-1] == "session_restored"


@pytest.mark.parametrize("looks", range(1, 8))
async def test_following_misses_nothing_of_a_run_that_ends_while_the_follower_looks(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """A cancelled session may be over at any moment: between any two looks that a follower takes at the store."""
    may_end = asyncio.Event()

    @sessions.agent("lingers")
    async def lingers() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    session = await sessions.create("lingers")
    run = await session.run("x")
    await until(lambda: _started(sessions, 1))
    await session.cancel()
    execute, follower, left = sessions.execute, asyncio.current_task(), looks

    async def execute_slowly(operation: Any) -> Any:
        nonlocal left
        found = await execute(operation)
        if asyncio.current_task() is follower and (left := left - 1) == 0:
            may_end.set()
            await until(ended)
        return found

    async def ended() -> bool:
        return (await execute(run_operations.get(sessions.scope, run.id))).ended

    monkeypatch.setattr(sessions, "execute", execute_slowly)
    asyncio.get_running_loop().call_later(0.2, may_end.set)  # where it takes fewer looks than that
    types = [event.type async for event in session.events(follow=True)]
    assert types[-1] == "run_cancelled"


async def test_a_parent_must_exist(sessions: Sessions) -> None:
    with pytest.raises(NotFound):
        await sessions.create("echo", parent="ses_none")


async def test_update_replaces_fields_and_checks_the_version(sessions: Sessions) -> None:
    session = await sessions.create("echo", tags=["a"])
    await session.update(title="New", tags=["b", "c"], if_version=1)
    assert (await session.get()).tags == ["b", "c"]
    with pytest.raises(Conflict) as caught:
        await session.update(title="Newer", if_version=1)
    assert caught.value.code == "stale_version"
    with pytest.raises(InvalidInput, match="status"):
        await session.update(status="completed")


async def test_delete_hides_restore_shows_purge_removes(sessions: Sessions) -> None:
    session = await sessions.create("echo")
    with pytest.raises(Conflict):
        await session.purge()
    await session.delete("old")
    assert (await sessions.list()).items == []
    with pytest.raises(NotFound):
        await session.get()
    await session.restore()
    assert len((await sessions.list()).items) == 1
    await session.delete()
    assert await session.purge() == 4
    with pytest.raises(NotFound):
        await session.get(deleted=True)


async def test_lists_filter_and_page(sessions: Sessions) -> None:
    for number in range(7):
        await sessions.create("echo", title=f"Größe {number}", tags=["even"] if number % 2 == 0 else [])
    seen: list[str] = []
    cursor = None
    while True:
        page = await sessions.list(tags="even", text="GRÖSSE", order="created", limit=3, cursor=cursor)
        seen += [item.session.title or "" for item in page.items]
        if (cursor := page.cursor) is None:
            break
    assert seen == ["Größe 0", "Größe 2", "Größe 4", "Größe 6"]


async def test_all_sessions_are_one_stream_too(sessions: Sessions) -> None:
    one, two = await sessions.create("echo"), await sessions.create("echo")
    await (await one.run("x")).result(timeout=60)
    await (await two.run("y")).result(timeout=60)
    await Scenario(sessions.store).settled()
    events = [event async for event in sessions.events()]
    assert [event.position for event in events] == sorted({event.position for event in events})
    assert {event.session_id for event in events} == {one.id, two.id}


async def test_a_worker_without_slots_is_refused() -> None:
    with pytest.raises(InvalidInput, match="worker=False"):
        async with sessionry.open("memory://", slots=0):
            pass
