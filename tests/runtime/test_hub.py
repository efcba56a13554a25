"""The hub: one query for all that may have grown, however many follow, and nothing of one log reaches another."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry import Sessions
from sessionry.dispatch.bus import PollBus
from sessionry.domain.errors import NotFound, StoreFailed
from sessionry.domain.events import Event
from sessionry.domain.scope import Scope
from sessionry.runtime import hub as hub_
from sessionry.runtime.hub import Hub
from sessionry.runtime.tail import Bounds, Tail
from sessionry.settings import Settings

from .following import event, other_tasks, quiet


class Counting:
    """Counts the operations of an open store, by name."""

    def __init__(self, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Counter[str] = Counter()
        self._held: dict[str, asyncio.Event] = {}
        execute = sessions.store.execute

        async def counted(operation: Any) -> Any:
            name = operation.function.__name__
            self.asked[name] += 1
            if name in self._held:
                await self._held[name].wait()
            return await execute(operation)

        monkeypatch.setattr(sessions.store, "execute", counted)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Operations of that name take until the block ends."""
        self._held[name] = asyncio.Event()
        try:
            yield
        finally:
            self._held.pop(name).set()


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


@pytest.fixture
def only_pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks but who was poked: what is asked then can be counted exactly."""

    async def never(_: PollBus) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PollBus, "_poll", never)
    monkeypatch.setattr(hub_, "POLL", 3600.0)


class Follower:
    """Somebody who follows a session, or all of them, and the cursors that came."""

    def __init__(self, sessions: Sessions, session_id: str | None, after: int = 0) -> None:
        self.cursors: list[int] = []
        self.error: BaseException | None = None
        self.task = asyncio.create_task(self._follow(sessions, session_id, after))

    async def _follow(self, sessions: Sessions, session_id: str | None, after: int) -> None:
        try:
            async for batch in sessions.logs.feed.batches(session_id, after):
                self.cursors += [event.position if session_id is None else event.seq for event in batch]
        except (StoreFailed, NotFound) as error:
            self.error = error


@asynccontextmanager
async def following(sessions: Sessions, ids: Sequence[str], each: int) -> AsyncIterator[dict[str, list[Follower]]]:
    """`each` followers of every session, which have read what there is."""
    found = {id: [Follower(sessions, id) for _ in range(each)] for id in ids}
    await until(lambda: all(follower.cursors for all_of_it in found.values() for follower in all_of_it))
    try:
        yield found
    finally:
        for follower in [follower for all_of_it in found.values() for follower in all_of_it]:
            follower.task.cancel()
            await asyncio.wait([follower.task])


async def grow(sessions: Sessions, id: str, times: int) -> None:
    for number in range(times):
        await sessions.session(id).update(title=f"title {number}")


@pytest.mark.usefixtures("only_pokes")
async def test_a_burst_in_a_hundred_sessions_is_a_handful_of_queries(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 20 subscribers each, and one of all sessions."""
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        ids = [(await sessions.create("echo")).id for _ in range(100)]
        everything = Follower(sessions, None)
        async with following(sessions, ids, 20) as followers:
            await until(lambda: len(everything.cursors) == 100)
            await settled(sessions)
            counting = Counting(sessions, monkeypatch)
            begun = time.monotonic()
            await asyncio.gather(*(grow(sessions, id, 5) for id in ids))
            await until(lambda: all(len(each.cursors) == 6 for found in followers.values() for each in found))
            took = time.monotonic() - begun
            assert all(each.cursors == [1, 2, 3, 4, 5, 6] for found in followers.values() for each in found)
            queries = counting.asked["pages"]
            assert queries <= took / hub_.PAUSE + 2
            assert queries < 250, "fewer than half of the commits, of which each touched another session"
            assert counting.asked["events"] == 0
            await until(lambda: len(everything.cursors) == 600)
            assert everything.cursors == sorted(set(everything.cursors))
        everything.task.cancel()


async def settled(*all_of_them: Sessions) -> None:
    """Until everybody who follows has come to the end of the log and waits there."""

    def waits(tail: Tail) -> bool:
        return sum(not future.done() for future in tail._waiting) == tail.readers

    tails = [tail for sessions in all_of_them for tail in sessions.logs.feed._tails.values()]
    await until(lambda: all(waits(tail) and tail not in tail._hub._dirty for tail in tails))


@pytest.mark.usefixtures("only_pokes")
async def test_one_commit_that_touches_many_sessions_is_one_query(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        parent = await sessions.create("echo")
        ids = [parent.id, *[(await sessions.create("echo", parent=parent)).id for _ in range(50)]]
        async with following(sessions, ids, 20) as followers:
            await settled(sessions)
            await asyncio.sleep(2 * hub_.PAUSE)
            counting = Counting(sessions, monkeypatch)
            await parent.cancel(cascade=True)
            await until(lambda: all(each.cursors == [1, 2] for found in followers.values() for each in found))
            assert counting.asked["pages"] == 1


@pytest.mark.usefixtures("only_pokes")
async def test_scopes_share_the_query_and_see_nothing_of_each_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions, AsyncExitStack() as stack:
        tenants = [sessions.of(Scope(f"tenant {number}")) for number in range(10)]
        ids = [(await tenant.create("echo")).id for tenant in tenants]
        followers = [Follower(tenant, id) for tenant, id in zip(tenants, ids, strict=True)]
        stranger = Follower(tenants[0], ids[1])
        await until(lambda: all(follower.cursors for follower in followers) and stranger.error)
        assert isinstance(stranger.error, NotFound)
        await settled(*tenants)
        counting = Counting(sessions, monkeypatch)
        changes = zip(tenants, ids, strict=True)
        with counting.held("pages"):
            await asyncio.gather(*(tenant.session(id).update(title="x") for tenant, id in changes))
        await until(lambda: all(follower.cursors == [1, 2] for follower in followers))
        assert counting.asked["pages"] <= 2, "one was under way, and the next one is for all the others"
        for tenant in tenants:
            stack.push_async_callback(tenant.logs.feed.close)


async def test_a_session_that_is_purged_ends_its_followers_and_no_others(url: str) -> None:
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        gone, stays = [(await sessions.create("echo")).id for _ in range(2)]
        async with following(sessions, [gone, stays], 3) as followers:
            await sessions.session(gone).delete()
            await sessions.session(gone).purge()
            await sessions.session(stays).update(title="x")
            await until(lambda: all(follower.error for follower in followers[gone]))
            await until(lambda: all(follower.cursors == [1, 2] for follower in followers[stays]))
            assert all(isinstance(follower.error, NotFound) for follower in followers[gone])


async def test_a_damaged_event_ends_the_followers_of_its_session_and_no_others(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        damaged, whole = [(await sessions.create("echo")).id for _ in range(2)]
        async with following(sessions, [damaged, whole], 3) as followers:
            await settled(sessions)
            with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
                connection.execute(
                    "insert into sessionry_event (session, seq, fence, type, at, id, schema, data) select key, 2, 0,"
                    " 'session_updated', 0, zeroblob(16), 1, '{no json' from sessionry_session where id = ?",
                    (damaged,),
                )
            await sessions.session(whole).update(title="x")
            await until(lambda: all(follower.error for follower in followers[damaged]))
            await until(lambda: all(follower.cursors == [1, 2] for follower in followers[whole]))


async def test_the_end_of_a_session_is_asked_for_once_by_all_who_follow_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        session = await sessions.create("echo")

        async def read() -> list[str]:
            return [event.type async for event in session.events(follow=True)]

        reading = [asyncio.create_task(read()) for _ in range(50)]
        await until(lambda: sessions.logs.feed._tails)
        await settled(sessions)
        counting = Counting(sessions, monkeypatch)
        await session.cancel()
        assert await asyncio.gather(*reading) == [["session_created", "session_cancelled"]] * 50
        assert counting.asked["is_over"] <= 2


# --- by itself --------------------------------------------------------------------------------------------------------


class Logs:
    """Logs of numbers that grow by hand, read together; each query is kept."""

    def __init__(self) -> None:
        self.length: Counter[str] = Counter()
        self.queries: list[tuple[list[str], int]] = []
        self.hub = Hub(self.read, 3600, pause=0, page=100)

    async def read(self, wanted: Sequence[tuple[Scope, str, int]], limit: int) -> Sequence[list[Event]]:
        self.queries.append(([id for _, id, _ in wanted], limit))
        await asyncio.sleep(0)
        return [
            [event(id, seq, seq, "") for seq in range(after + 1, self.length[id] + 1)][:limit]
            for _, id, after in wanted
        ]

    async def tail(self, id: str) -> Tail:
        """Of a log at whose end somebody has arrived."""

        async def alone(after: int, limit: int) -> list[Event]:
            raise AssertionError("what can be read together is")

        tail = Tail((Scope(), id), alone, lambda event: event.seq, self.hub, Bounds())
        tail._settle(0)
        return tail


async def test_a_query_is_bounded_whatever_there_is_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs()
    tails = {f"ses_{number}": await logs.tail(f"ses_{number}") for number in range(600)}
    await until(lambda: sum(len(ids) for ids, _ in logs.queries) == 600)
    logs.queries.clear()
    for id, tail in tails.items():
        logs.length[id] = 40
        tail.poke()
    await until(lambda: all(tail.head == 40 for tail in tails.values()))
    assert all(len(ids) <= hub_.MOST_LOGS for ids, _ in logs.queries)
    assert all(len(ids) * limit <= hub_.MOST_EVENTS for ids, limit in logs.queries)
    assert all(len(tail.newer(0)) == 40 for tail in tails.values())
    for tail in tails.values():
        await tail.close()
    assert not other_tasks()


async def test_a_log_that_has_much_keeps_no_other_waiting() -> None:
    logs = Logs()
    much, little = await logs.tail("much"), await logs.tail("little")
    await quiet()
    logs.length["much"] = 100_000
    much.poke()
    await quiet(5)
    logs.length["little"] = 1
    little.poke()
    before = len(logs.queries)
    await until(lambda: little.head == 1)
    assert len(logs.queries) - before <= 3
    assert much.head < 100_000
    await much.close()
    await little.close()


async def test_a_tail_that_left_is_not_read_and_the_last_one_ends_the_task() -> None:
    logs = Logs()
    first, second = await logs.tail("first"), await logs.tail("second")
    await quiet()
    await first.close()
    logs.queries.clear()
    first.poke()
    second.poke()
    await quiet()
    assert [ids for ids, _ in logs.queries] == [["second"]]
    await second.close()
    assert not other_tasks()
    again = await logs.tail("again")
    logs.length["again"] = 3
    again.poke()
    await until(lambda: again.head == 3)
    await again.close()


async def test_a_tail_that_leaves_as_it_is_poked_takes_nobody_with_it() -> None:
    logs = Logs()
    leaves, stays = await logs.tail("leaves"), await logs.tail("stays")
    await quiet()
    leaves.poke()
    await leaves.close()
    await quiet()
    logs.length["stays"] = 1
    stays.poke()
    await until(lambda: stays.head == 1)
    await stays.close()


async def test_a_log_that_never_stands_still_is_still_read_together(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is enough that a page was not full: no reader waits for the moment when there is nothing new."""
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        session = await sessions.create("echo")
        read = sessions.logs.read_session

        async def grows(session_id: str, after: int, limit: int) -> list[Event]:
            page = await read(session_id, after, limit)
            await session.update(title=f"after {after}")
            return page

        monkeypatch.setattr(sessions.logs.feed, "_read_page", grows)
        counting = Counting(sessions, monkeypatch)
        async with following(sessions, [session.id], 5) as followers:
            await until(lambda: all(each.cursors == [1, 2] for each in followers[session.id]))
            assert counting.asked["events"] == 1


async def test_what_is_not_settled_is_looked_at_again_soon() -> None:
    answers = [True, True, False]
    looks = 0

    async def unsettled() -> bool:
        return answers.pop(0) if answers else False

    async def alone(after: int, limit: int) -> list[Event]:
        nonlocal looks
        looks += 1
        return []

    tail = Tail((Scope(), ""), alone, lambda event: event.position, Hub(poll=3600, unsettled=unsettled), Bounds())
    tail._settle(0)
    await until(lambda: looks == 3)
    await quiet()
    assert (looks, answers) == (3, [])
    await tail.close()


async def test_a_question_about_what_is_not_settled_may_fail() -> None:
    read = 0

    async def unsettled() -> bool:
        raise ZeroDivisionError("a fault of ours")

    async def alone(after: int, limit: int) -> list[Event]:
        nonlocal read
        read += 1
        return []

    tail = Tail((Scope(), ""), alone, lambda event: event.position, Hub(poll=0.01, unsettled=unsettled), Bounds())
    tail._settle(0)
    await until(lambda: read > 3)
    await tail.close()
