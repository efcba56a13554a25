"""The bus on LISTEN and NOTIFY: who is told what, how often others are, and what becomes of a word that is lost."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from tests.runtime.test_hub import settled
from tests.runtime.test_recovery import Program
from tests.store.postgres_proxy import proxied

import sessionry
from sessionry.dispatch import notify
from sessionry.dispatch.notify import INTERVAL, NotifyBus, payload
from sessionry.domain.errors import StoreFailed
from sessionry.ports import Bus
from sessionry.settings import Settings
from sessionry.store.open import open_store
from sessionry.store.postgres import CHANNEL, PostgresStore, connecting

Told = list[Sequence[str] | None]
#: so long that no test sees a slow poll
NEVER = 3600.0


async def no_change() -> int:
    return 0


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


def other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def hearing(bus: NotifyBus) -> Told:
    """What a listener is told, from the moment on when the bus hears others."""
    told: Told = []
    bus.watch(told.append)
    await until(lambda: told.count(None) == 2)  # the first token, and that it listens
    told.clear()
    return told


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    store = await open_store(postgres_url)
    assert isinstance(store, PostgresStore)
    yield store
    await store.close()


@pytest.fixture
async def make(store: PostgresStore, postgres_url: str) -> AsyncIterator[Callable[..., NotifyBus]]:
    """Makes the bus of another process."""
    async with AsyncExitStack() as stack:

        def bus(url: str = postgres_url, say: Callable[[str], Awaitable[None]] = store.notify) -> NotifyBus:
            made = NotifyBus(connecting(url), say, no_change, poll=NEVER)
            stack.push_async_callback(made.close)
            return made

        yield bus


@pytest.fixture
def bus(make: Callable[..., NotifyBus]) -> NotifyBus:
    return make()


@pytest.fixture
def other(make: Callable[..., NotifyBus]) -> NotifyBus:
    return make()


# --- who is told what -------------------------------------------------------------------------------------------------


async def test_it_is_a_bus(bus: NotifyBus) -> None:
    port: Bus = bus
    assert callable(port.poke)


async def test_a_poke_is_told_here_before_it_returns_and_only_once(bus: NotifyBus, other: NotifyBus) -> None:
    here, there = await hearing(bus), await hearing(other)
    bus.poke(["ses_a", "ses_b"])
    assert here == [["ses_a", "ses_b"]]
    await until(lambda: there)
    other.poke(["ses_end"])
    await until(lambda: here[-1] == ["ses_end"])
    assert here == [["ses_a", "ses_b"], ["ses_end"]]
    assert there == [["ses_a", "ses_b"], ["ses_end"]]


async def test_a_poke_for_no_session_is_not_told(bus: NotifyBus, other: NotifyBus) -> None:
    there = await hearing(other)
    bus.poke([])
    bus.poke(["ses_a"])
    await until(lambda: there)
    assert there == [["ses_a"]]


async def test_a_process_that_does_not_watch_tells_the_others(bus: NotifyBus, other: NotifyBus) -> None:
    there = await hearing(other)
    bus.poke(["ses_a"])
    await until(lambda: there == [["ses_a"]])
    assert not bus.listens.is_set()


@pytest.mark.parametrize("id", ["with spaces", "ses_1\nses_2", "\"quoted\" \\ and 'more'", "Größe 🙂", "\x1f"])
async def test_every_id_arrives_as_it_is(bus: NotifyBus, other: NotifyBus, id: str) -> None:
    there = await hearing(other)
    bus.poke([id])
    await until(lambda: there == [[id]])


async def test_more_ids_than_have_room_are_any_session(bus: NotifyBus, other: NotifyBus) -> None:
    there = await hearing(other)
    bus.poke([f"ses_{number:032}" for number in range(1000)])
    await until(lambda: there == [None])


def test_a_payload_is_never_larger_than_postgresql_takes() -> None:
    for count in range(1, 400):
        assert len(payload("0" * 8, ["ses_" + "ß" * 16] * count).encode()) < 8000
    assert msgspec.json.decode(payload("me", ["x" * 7000])) == ["me", ["x" * 7000]]
    assert msgspec.json.decode(payload("me", ["x" * 8000])) == ["me", None]


async def test_what_cannot_be_understood_is_any_session(store: PostgresStore, other: NotifyBus) -> None:
    there = await hearing(other)
    await store.notify("a word of a later version")
    await until(lambda: there == [None])


async def test_stores_in_two_schemas_of_a_database_do_not_hear_each_other(
    make: Callable[..., NotifyBus], bus: NotifyBus, other: NotifyBus, postgres_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        await admin.execute("create schema apart")
        try:
            url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-csearch_path%3Dapart"
            stranger_store = await open_store(url)
            assert isinstance(stranger_store, PostgresStore)
            stranger = make(url, stranger_store.notify)
            there, strange = await hearing(other), await hearing(stranger)
            stranger.poke(["ses_strange"])
            await until(lambda: strange)
            bus.poke(["ses_a"])
            await until(lambda: there)
            assert (there, strange) == ([["ses_a"]], [["ses_strange"]])
            await stranger.close()
            await stranger_store.close()
        finally:
            await admin.execute("drop schema apart cascade")


# --- how often it is told ---------------------------------------------------------------------------------------------


async def test_many_pokes_are_few_notifications(make: Callable[..., NotifyBus], store: PostgresStore) -> None:
    said: list[float] = []

    async def say(text: str) -> None:
        said.append(time.monotonic())
        await store.notify(text)

    bus, other = make(say=say), make()
    there = await hearing(other)
    begun, count = time.monotonic(), 0
    while time.monotonic() < begun + 0.3 or count < 1000:
        bus.poke([f"ses_{count % 50}"])
        count += 1
        await asyncio.sleep(0)
    await until(lambda: {id for ids in there for id in ids or ()} == {f"ses_{number}" for number in range(50)})
    gaps = [later - earlier for earlier, later in pairwise(said)]
    assert count > 5 * len(said)
    assert min(gaps) > 0.009, "one in 10 ms at most, and a timer may be a little early"


async def test_a_poke_that_comes_alone_is_told_at_once(make: Callable[..., NotifyBus]) -> None:
    said: list[str] = []

    async def say(text: str) -> None:
        said.append(text)

    bus = make(say=say)
    bus.poke(["ses_a"])
    await asyncio.sleep(0)
    assert [msgspec.json.decode(text)[1] for text in said] == [["ses_a"]]


async def test_no_commit_of_a_writer_has_a_notification(postgres_url: str) -> None:
    """The writers' commits are counted by their transactions, and those with a notification by what arrives."""
    async with (
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as ear,
        sessionry.open(postgres_url, worker=False, settings=Settings(store=postgres_url)) as sessions,
    ):
        channel = await (await ear.execute(f"select {CHANNEL}")).fetchone()
        assert channel is not None
        await ear.execute(f'listen "{channel[0]}"'.encode())
        begun = time.monotonic()
        made = await asyncio.gather(*(sessions.create("echo") for _ in range(200)))
        took = time.monotonic() - begun
        heard: dict[str, int] = {}
        notifications = 0
        async for notification in ear.notifies(timeout=60):
            notifications += 1
            heard |= dict.fromkeys(msgspec.json.decode(notification.payload)[1] or [session.id for session in made])
            if len(heard) == 200:
                break
    assert set(heard) == {session.id for session in made}
    assert notifications <= took / INTERVAL + 2


# --- when somebody watches --------------------------------------------------------------------------------------------


async def listeners(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as admin:
        cursor = await admin.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and query like 'listen %'"
        )
        found = await cursor.fetchone()
    assert found is not None
    return int(found[0])


async def until_listeners(url: str, count: int) -> None:
    async with asyncio.timeout(60):
        while await listeners(url) != count:
            await asyncio.sleep(0.01)


async def test_one_connection_listens_while_anybody_watches(bus: NotifyBus, postgres_url: str) -> None:
    assert await listeners(postgres_url) == 0
    ends = [bus.watch(lambda ids: None) for _ in range(3)]
    await until_listeners(postgres_url, 1)
    for end in ends[1:]:
        end()
        end()
    assert await listeners(postgres_url) == 1
    ends[0]()
    await until_listeners(postgres_url, 0)
    told = await hearing(bus)
    bus.poke(["ses_again"])
    assert told == [["ses_again"]]


async def test_one_connection_listens_for_all_who_follow_in_a_process(postgres_url: str) -> None:
    """However many sessions, scopes and readers there are."""
    async with sessionry.open(postgres_url, worker=False, settings=Settings(store=postgres_url)) as sessions:
        tenants = [sessions.of(sessionry.Scope(f"tenant {number}")) for number in range(5)]
        made = [await tenant.create("echo") for tenant in tenants for _ in range(4)]
        seen: set[tuple[int, str]] = set()

        async def follow(number: int, session: sessionry.SessionHandle) -> None:
            async for event in session.events(follow=True):
                seen.add((number, event.session_id))

        following = [asyncio.create_task(follow(number, session)) for number in range(10) for session in made]
        await until(lambda: len(seen) == len(following))
        await until_listeners(postgres_url, 1)
        for task in following:
            task.cancel()
        await asyncio.wait(following)
        for tenant in tenants:
            await tenant.logs.feed.close()


async def test_close_leaves_no_task_and_no_connection(bus: NotifyBus, postgres_url: str) -> None:
    before = other_tasks()
    told = await hearing(bus)
    await bus.close()
    assert other_tasks() == before
    await until_listeners(postgres_url, 0)
    bus.poke(["ses_a"])
    assert (told, other_tasks()) == ([], before)


async def test_what_was_poked_before_the_end_is_told(bus: NotifyBus, other: NotifyBus) -> None:
    there = await hearing(other)
    for number in range(3):
        bus.poke([f"ses_{number}"])
        await asyncio.sleep(0)
    await bus.close()
    await until(lambda: [id for ids in there for id in ids or ()] == ["ses_0", "ses_1", "ses_2"])


# --- what is lost -----------------------------------------------------------------------------------------------------


async def test_a_lost_connection_is_made_again_and_means_any_session(
    bus: NotifyBus, other: NotifyBus, postgres_url: str
) -> None:
    there = await hearing(other)
    for turn in range(3):
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and query like 'listen %'"
            )
        await until(lambda: there)
        assert there == [None]
        there.clear()
        bus.poke([f"ses_{turn}"])
        await until(lambda: there)
        assert there == [[f"ses_{turn}"]]
        there.clear()


async def test_a_server_that_is_away_is_tried_less_and_less_often(
    make: Callable[..., NotifyBus], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "SHORTEST_PAUSE", 0.01)
    with tempfile.TemporaryDirectory() as folder:  # short enough for a socket
        async with proxied(postgres_url, Path(folder)) as (proxy, url):
            bus = make(url)
            there = await hearing(bus)
            tries: list[float] = []
            connect = psycopg.AsyncConnection.connect

            async def counted(*arguments: Any, **options: Any) -> Any:
                tries.append(time.monotonic())
                return await connect(*arguments, **options)

            monkeypatch.setattr(psycopg.AsyncConnection, "connect", counted)
            proxy.refuse = True
            proxy.cut()
            await until(lambda: len(tries) >= 6)
            assert tries[5] - tries[4] > 0.05
            proxy.refuse = False
            await until(lambda: there == [None])
            await bus.close()


async def test_a_notification_that_cannot_be_sent_does_no_harm(make: Callable[..., NotifyBus]) -> None:
    said: list[str] = []

    async def say(text: str) -> None:
        if not said:
            said.append("lost")
            raise StoreFailed("store_unavailable", "gone for a moment")
        said.append(msgspec.json.decode(text)[1][0])

    bus = make(say=say)
    bus.poke(["ses_a"])
    await until(lambda: said)
    bus.poke(["ses_b"])
    await until(lambda: said == ["lost", "ses_b"])


async def test_what_no_notification_told_of_is_found_by_the_poll(postgres_url: str, store: PostgresStore) -> None:
    token = 0

    async def change() -> int:
        return token

    bus = NotifyBus(connecting(postgres_url), store.notify, change, poll=0.05)
    told = await hearing(bus)
    token = 1
    await until(lambda: told == [None])
    await bus.close()


async def test_a_lost_notification_costs_the_slow_poll_and_nothing_else(postgres_url: str) -> None:
    async with deaf(postgres_url) as (writer, reader):
        session = await writer.create("echo")
        bus = reader.logs.feed._bus
        assert isinstance(bus, NotifyBus)
        await hearing(bus)
        seen: list[sessionry.Event] = []

        async def follow() -> None:
            async for batch in reader.logs.feed.batches(session.id):
                seen.extend(batch)

        following = asyncio.create_task(follow())
        await until(lambda: seen)
        await settled(reader)  # it waits, and nothing but a poke or a poll will wake it
        await session.update(title="later")
        await until(lambda: len(seen) == 2)
        assert [event.type for event in seen] == ["session_created", "session_updated"]
        following.cancel()
        await asyncio.wait([following])


@asynccontextmanager
async def deaf(url: str) -> AsyncIterator[tuple[sessionry.Sessions, sessionry.Sessions]]:
    """Two processes that share a store, the first of which tells nobody what it writes."""
    settings = Settings(store=url)
    async with (
        sessionry.open(url, worker=False, settings=settings) as writer,
        sessionry.open(url, worker=False, settings=settings) as reader,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writer.logs.feed._bus, "_notify", no_notification)
            yield writer, reader


async def no_notification(text: str) -> None:
    pass


# --- between processes ------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(postgres_url: str) -> Iterator[Program]:
    """A worker in another process."""
    program = Program(postgres_url, "work")
    program.until("worker")
    yield program
    program.kill()
    assert program.process.stdout is not None
    program.process.stdout.close()


async def test_a_cancel_from_another_process_reaches_a_running_agent_in_half_a_second(
    worker: Program, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sessionry.open(postgres_url, worker=False, settings=Settings(store=postgres_url)) as sessions:
        latencies = [await _cancelled(sessions) for _ in range(11)]
    median = statistics.median(latencies)
    with capsys.disabled():
        print(f"\n  a cancel reaches the agent of another process: median {median * 1000:.0f} ms")
    assert median < 0.5


async def _cancelled(sessions: sessionry.Sessions) -> float:
    """Seconds from the request until the end of the run is seen here."""
    session = await sessions.create("calls_a_tool")
    run = await session.run("x")
    asked = 0.0
    async with asyncio.timeout(60):
        async for event in run.events():
            if event.type == "tool_call_started":
                asked = time.monotonic()
                await run.cancel()
            if event.type == "run_cancelled":
                break
    return time.monotonic() - asked


async def test_a_decision_from_another_process_reaches_a_waiting_agent_in_half_a_second(
    worker: Program, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sessionry.open(postgres_url, worker=False, settings=Settings(store=postgres_url)) as sessions:
        latencies = [await _approved(sessions) for _ in range(11)]
    median = statistics.median(latencies)
    with capsys.disabled():
        print(f"\n  a decision reaches the agent of another process: median {median * 1000:.0f} ms")
    assert median < 0.5


async def _approved(sessions: sessionry.Sessions) -> float:
    run = await (await sessions.create("asks")).run("x")
    asked = 0.0
    async with asyncio.timeout(60):
        async for event in run.events():
            if event.type == "tool_approval_requested":
                asked = time.monotonic()
                await sessions.approval(event.data.approval_id).approve(by="ann")  # type: ignore[attr-defined]
            if event.type == "run_completed":
                break
    return time.monotonic() - asked
