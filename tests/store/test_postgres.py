"""What is special about PostgreSQL: the stream without gaps, the migration, the connections, the URL."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import requires
from itertools import pairwise
from typing import Any

import psycopg
import pytest

import sessionry
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput, StoreFailed
from sessionry.domain.events import Event
from sessionry.domain.queries import SessionFilter
from sessionry.ports import Operation, Steps, Store
from sessionry.settings import Settings
from sessionry.store import migrations, postgres
from sessionry.store.address import without_password
from sessionry.store.flusher import Flusher
from sessionry.store.open import open_store
from sessionry.store.operations import leases, listing, reading, recovery, sessions
from sessionry.store.postgres import CONNECTIONS, translated_sql
from sessionry.store.transaction import LOCK, reads, writes
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import LOCAL


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    opened = await open_store(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def scenario(store: Store) -> AsyncIterator[Scenario]:
    scenario = Scenario(store)
    yield scenario
    await scenario.check()


# --- the stream of all sessions ---------------------------------------------------------------------------------------


async def _insert(connection: psycopg.AsyncConnection, session_id: str) -> None:
    await connection.execute(
        "select sessionry_insert(s.key, (select max(e.seq) + 1 from sessionry_event e where e.session = s.key), null, 0,"
        " 'custom_recorded', 0, gen_random_uuid()::text::bytea, null, null, null, 1, '{\"name\": \"x\"}')"
        " from sessionry_session s where s.id = %s",
        (session_id,),
    )


async def test_a_reader_waits_for_transactions_that_began_before_what_it_could_read(
    scenario: Scenario, postgres_url: str
) -> None:
    """However two transactions overlap: the later one's events are not given while the earlier one may still commit."""
    first, second = await scenario.create(), await scenario.create()
    for early_writes_late in (True, False):
        before = await scenario.do(reading.last_position())
        async with (
            await psycopg.AsyncConnection.connect(postgres_url) as early,
            await psycopg.AsyncConnection.connect(postgres_url) as late,
        ):
            await early.execute("select pg_current_xact_id()")
            await late.execute("select pg_current_xact_id()")
            for connection, session_id in ((late, second), (early, first))[:: 1 if early_writes_late else -1]:
                await _insert(connection, session_id)
            await late.commit()
            assert await _after(scenario, before) == []
            assert await scenario.do(reading.last_position()) == before
            assert await scenario.do(reading.unsettled())
            await early.commit()
        await scenario.settled()
        assert [event.session_id for event in await _after(scenario, before)] == [first, second]


async def test_a_transaction_may_not_append_behind_a_later_one(scenario: Scenario, postgres_url: str) -> None:
    """Positions rise with `seq` in each session: who comes too late gets a new number by beginning again."""
    session_id = await scenario.create()
    async with await psycopg.AsyncConnection.connect(postgres_url) as early:
        await early.execute("select pg_current_xact_id()")
        await scenario.do(sessions.update(LOCAL, session_id, {"title": "later"}))
        with pytest.raises(psycopg.errors.SerializationFailure):
            await _insert(early, session_id)


async def test_many_processes_and_keys_leave_no_gap(scenario: Scenario, postgres_url: str) -> None:
    stores = [scenario.store, await open_store(postgres_url), await open_store(postgres_url)]
    shared = [await scenario.create() for _ in range(3)]

    async def write(number: int) -> None:
        own = Scenario(stores[number % 3], made=scenario.made)
        claim = await own.work()
        for count in range(10):
            await own.append(claim, ev.CustomRecorded(name="n", value=count))
            update = {"title": f"{number} {count}"}
            key = f"{number} {count}"
            await own.do(sessions.update(LOCAL, shared[count % 3], update, idempotency_key=key))
        await own.finish(claim)

    writing = asyncio.gather(*(write(number) for number in range(15)))
    seen: list[Event] = []
    async with asyncio.timeout(100):
        while not writing.done() or seen[-1].position < await scenario.do(reading.last_position()):
            seen += await _after(scenario, seen[-1].position if seen else 0)
    await writing
    await scenario.settled()
    seen += await _after(scenario, seen[-1].position)
    for other in stores[1:]:
        await other.close()
    logs = [event for session_id in scenario.made for event in await scenario.log(session_id)]
    assert {event.id for event in seen} == {event.id for event in logs}
    assert len(seen) == len(logs)


async def test_positions_go_on_rising_in_a_store_that_was_restored_elsewhere(postgres_url: str) -> None:
    """Another cluster counts its transactions from the beginning: as if this one had come from far ahead."""
    store = await open_store(postgres_url)
    scenario = Scenario(store)
    session_id = await scenario.create()
    await store.close()
    async with await psycopg.AsyncConnection.connect(postgres_url) as admin:
        await admin.execute("update sessionry_event set position = position + (1000000::bigint << 16)")
    store = await open_store(postgres_url)
    scenario = Scenario(store, made=scenario.made)
    await scenario.submit(session_id)
    await scenario.check()
    await scenario.settled()
    assert len(await _after(scenario, 0)) == 3
    await store.close()


async def _after(scenario: Scenario, position: int) -> list[Event]:
    return await scenario.do(reading.all_events(LOCAL, after=position, limit=1000))


async def test_the_change_token_shows_every_commit_of_others(scenario: Scenario, postgres_url: str) -> None:
    other = await open_store(postgres_url)
    session_id = await scenario.create()
    claim = await scenario.work()
    async with await psycopg.AsyncConnection.connect(postgres_url) as early:
        for with_one_in_flight in (False, True):
            if with_one_in_flight:
                await _insert(early, session_id)
            for _ in range(3):
                token = await other.change_token()
                assert await other.change_token() == token
                await scenario.append(claim, ev.MessageStreamed(text="a"))
                assert await other.change_token() != token
        token = await other.change_token()
        await early.commit()
        assert await other.change_token() != token
    await other.close()


# --- transactions and connections -------------------------------------------------------------------------------------


@reads
def _setting_while_reading(name: str) -> Steps[str]:
    found = yield "select current_setting(?)", (name,)
    value: str = found[0][0]
    return value


@writes
def _setting_while_writing(name: str) -> Steps[str]:
    found = yield "select current_setting(?)", (name,)
    value: str = found[0][0]
    return value


async def test_transactions_cannot_freeze_and_see_what_they_must(scenario: Scenario) -> None:
    for setting, reading_, writing in (
        ("idle_in_transaction_session_timeout", "5s", "5s"),
        ("transaction_isolation", "repeatable read", "read committed"),
        ("transaction_read_only", "on", "off"),
    ):
        assert await scenario.do(_setting_while_reading(setting)) == reading_
        assert await scenario.do(_setting_while_writing(setting)) == writing


async def test_a_transaction_that_stands_still_is_ended_before_the_lease_is(postgres_url: str) -> None:
    for lease, limit in ((60.0, "5s"), (3.0, "1500ms"), (0.4, "200ms")):
        store = await open_store(postgres_url, lease=lease)
        for operation in (_setting_while_reading, _setting_while_writing):
            assert await store.execute(operation("idle_in_transaction_session_timeout")) == limit
        await store.close()
    settings = Settings(store=postgres_url, lease=3.0, heartbeat=1.0)
    async with sessionry.open(postgres_url, worker=False, settings=settings) as opened:
        assert await opened.execute(_setting_while_writing("idle_in_transaction_session_timeout")) == "1500ms"


class Frozen:
    """A process that stands still with a session locked, once, until it is let go on."""

    def __init__(self) -> None:
        self.stands = threading.Event()
        self.go_on = threading.Event()
        self.waited_for = False

    def run(self, url: str, session_id: str) -> None:
        asyncio.run(self._work(url, session_id))

    async def _work(self, url: str, session_id: str) -> None:
        store = await open_store(url, lease=0.6)
        await store.execute(writes(self._lock)(session_id))
        await store.close()

    def _lock(self, session_id: str) -> Steps[None]:
        yield f"select key from sessionry_session where id = ? {LOCK}", (session_id,)
        if not self.stands.is_set():
            self.stands.set()
            self.waited_for = self.go_on.wait(20)


async def test_a_process_that_froze_in_a_transaction_locks_nobody_out(scenario: Scenario, postgres_url: str) -> None:
    session_id, frozen = await scenario.create(), Frozen()
    thread = threading.Thread(target=frozen.run, args=(postgres_url, session_id))
    thread.start()
    assert await asyncio.to_thread(frozen.stands.wait, 20)
    await scenario.do(sessions.update(LOCAL, session_id, {"title": "mine"}))
    frozen.go_on.set()
    await asyncio.to_thread(thread.join)
    assert frozen.waited_for, "the lock was given up while its holder stood still"


# --- what is asked of the server --------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of this process, as they go out."""
    statements: list[str] = []
    execute = psycopg.AsyncConnection.execute

    async def noted(connection: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(str(query))
        return await execute(connection, query, *arguments, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", noted)
    return statements


async def test_an_append_is_one_statement_and_those_of_a_process_share_it(scenario: Scenario, asked: list[str]) -> None:
    claims = [await scenario.work() for _ in range(50)]
    asked.clear()
    await scenario.append(claims[0], ev.MessageStreamed(text="alone"), ev.MessageStreamed(text="and more"))
    assert asked == [Flusher.STATEMENT]
    asked.clear()
    await asyncio.gather(*(scenario.append(claim, ev.MessageStreamed(text="together")) for claim in claims))
    assert set(asked) == {Flusher.STATEMENT}
    assert len(asked) <= 3, "what comes while one or two are under way gathers for the next one"


#: What belongs to a session.
_OF_A_SESSION = re.compile(
    r"(?:insert into|update|delete from) sessionry_(?:run|event|approval|tag)\b|sessionry_insert"
)
_LOCKED = re.compile(r"from sessionry_session\b.*for no key update|(?:insert into|update) sessionry_session\b")


async def test_a_session_is_locked_before_anything_of_it_is_changed(scenario: Scenario, asked: list[str]) -> None:
    """So nobody waits for a session while holding what somebody else needs, who has that session."""
    parent = await scenario.create(tags=["a"])
    for session_id in (parent, await scenario.create(parent=parent)):
        claim = await scenario.claim(await scenario.submit(session_id, takeover="restart"))
        await scenario.append(claim, ev.MessageStreamed(text="x"), ev.TurnCompleted())
        approval = await scenario.ask(claim)
        await scenario.do(sessions.update(LOCAL, session_id, {"tags": ["b"], "slots": 2}, idempotency_key=session_id))
        await scenario.decide(approval.id)
        await scenario.go_on(claim, approval)
        await scenario.lose(claim)
        await scenario.cancel(claim.run_id)
        await scenario.change(session_id, ev.SessionPaused())
        await scenario.change(session_id, ev.SessionResumed())
        await scenario.finished(session_id)
    await scenario.end(parent, cascade=True)
    changing = [each for each in _transactions(asked) if any(map(_OF_A_SESSION.search, each))]
    assert len(changing) > 20
    for statements in changing:
        assert _first(_LOCKED, statements) < _first(_OF_A_SESSION, statements), statements


def _transactions(asked: list[str]) -> list[list[str]]:
    """The statements of each one that may write. No other one is under way meanwhile."""
    begun = [number for number, statement in enumerate(asked) if statement.startswith("begin")] + [len(asked)]
    return [asked[first:last] for first, last in pairwise(begun) if "read only" not in asked[first]]


def _first(pattern: re.Pattern[str], statements: list[str]) -> int:
    """The number of the first statement of that kind; of none, the number after all."""
    return next((number for number, each in enumerate(statements) if pattern.search(each)), len(statements))


# --- indexes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many_sessions(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A hundred thousand sessions with three events and a run each."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "insert into sessionry_session (id, tenant, agent_id, status, metadata, context, tags, slots, queue_limit,"
            " created_at, updated_at, version) select 'ses_' || n, 'local', 'echo', 'active', '{}', '{}', '[]', 1, 10,"
            " n, n, 1 from generate_series(1, 100000) as n"
        )
        connection.execute(
            "insert into sessionry_event (position, session, seq, fence, type, at, id, schema, data) select"
            " row_number() over (), s.key, seq, 0, 'custom_recorded', 0, decode(md5(s.id || seq), 'hex'), 1,"
            ' \'{"name": "x"}\' from sessionry_session s cross join generate_series(1, 3) as seq'
        )
        connection.execute("analyze sessionry_session, sessionry_event, sessionry_run")
        yield connection
        connection.execute("delete from sessionry_event; delete from sessionry_session")


def plans(connection: psycopg.Connection, operation: Operation[Any]) -> str:
    """How each statement of the operation is planned."""
    steps, plans = operation.steps(), []
    request = next(steps)
    try:
        while True:
            sql, values = translated_sql(request[0]), request[1]
            plans += [row[0] for row in connection.execute(f"explain {sql}".encode(), values)]
            request = steps.send(connection.execute(sql.encode(), values).fetchall())
    except StopIteration:
        return "\n".join(plans)


def test_what_people_look_at_is_found_by_indexes(many_sessions: psycopg.Connection) -> None:
    first = listing.list_sessions(LOCAL, SessionFilter(), limit=50)
    cursor = listing.next_cursor([(0, 50_000, 50_000)] * 51, 50, "-updated")
    operations: dict[str, Operation[Any]] = {
        "a page of a log": reading.events(LOCAL, "ses_777", after=1, limit=100),
        "the end of a log": reading.events(LOCAL, "ses_777", newest=True, limit=100),
        "a page of all logs": reading.all_events(LOCAL, after=150_000, limit=100),
        "what is new in a hundred logs": reading.pages([(LOCAL, f"ses_{n}", 2) for n in range(1, 101)], 40),
        "whether a log is over": reading.is_over(LOCAL, "ses_777", 3),
        "whether all is settled": reading.unsettled(),
        "the first page of the list": first,
        "a later page of the list": listing.list_sessions(LOCAL, SessionFilter(), limit=50, cursor=cursor),
        "those that work": listing.list_sessions(LOCAL, SessionFilter(status=("paused",)), limit=50),
    }
    for what, operation in operations.items():
        plan = plans(many_sessions, operation)
        # the tables of runs and questions are empty here, and an empty table is read as it is
        for table in ("sessionry_session", "sessionry_event"):
            assert f"Seq Scan on {table}" not in plan, f"{what}:\n{plan}"
        assert "Index" in plan, what


def test_lost_heads_are_looked_for_among_what_waits_behind_a_head_only(many_sessions: psycopg.Connection) -> None:
    """However many heads wait: all that is read of them is nothing."""
    many_sessions.execute(
        "insert into sessionry_run (id, session, first_seq, status, agent_id, priority, ready, attempt, fence, input,"
        " output, metadata, options, usage, turn_count, created_at, updated_at) select 'run_' || key, key, 1, 'pending',"
        " 'echo', 0, case when key % 1000 = 0 then 0 else 1 end, 0, 0, 'null', 'null', '{}', '{}', '{}', 0, 1, 1"
        " from sessionry_session"
    )
    many_sessions.execute("analyze sessionry_run")
    plan = plans(many_sessions, recovery.lost_heads())
    assert "sessionry_run_behind" in plan
    assert "Seq Scan on sessionry_run" not in plan
    assert "Seq Scan on sessionry_session" not in plan


@reads
def _statements_kept() -> Steps[int]:
    found = yield "select count(*) from pg_prepared_statements", ()
    count: int = found[0][0]
    return count


async def test_connections_keep_nothing_that_a_pooler_would_lose(scenario: Scenario) -> None:
    for _ in range(20):
        await scenario.finished(await scenario.create())
    assert await scenario.do(_statements_kept()) == 0
    assert await scenario.do(_setting_while_reading("search_path")) == '"$user", public'


async def test_a_database_of_another_isolation_is_written_all_the_same(postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        name = admin.info.dbname
        alter = f'alter database "{name}" set default_transaction_isolation'
        await admin.execute(f"{alter} = 'serializable'".encode())
        try:
            store = await open_store(postgres_url)
            scenario = Scenario(store)
            claims = [await scenario.work() for _ in range(5)]
            for _ in range(3):
                await asyncio.gather(*(scenario.append(claim, ev.MessageStreamed(text="a")) for claim in claims))
            await scenario.check()
            await store.close()
        finally:
            await admin.execute(f"{alter} to default".encode())


async def test_more_callers_than_connections_take_turns(scenario: Scenario) -> None:
    made = await asyncio.gather(*(scenario.create() for _ in range(60)))
    await asyncio.gather(*(scenario.finished(session_id) for session_id in made))


@reads
def _sleep(seconds: float) -> Steps[None]:
    yield "select pg_sleep(?)", (seconds,)


async def test_a_store_that_is_busy_is_not_away(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for a connection many times as long as for a server that is gone, and each gets its turn."""
    monkeypatch.setattr(postgres, "PATIENCE", 1.0)
    await asyncio.gather(*(scenario.do(_sleep(0.1)) for _ in range(60 * CONNECTIONS)))


async def test_one_transaction_holds_a_bounded_number_of_events(scenario: Scenario) -> None:
    claim = await scenario.work()
    events = [ev.MessageStreamed(text="x")] * 65_537
    async with scenario.refused("payload_too_large"):
        await scenario.append(claim, *events)
    await scenario.append(claim, *events[:5000])


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_many_processes_open_an_empty_database_and_one_makes_the_tables(empty_postgres_url: str) -> None:
    stores = await asyncio.gather(*(open_store(empty_postgres_url) for _ in range(5)))
    for number, store in enumerate(stores):
        await Scenario(store).create(id=str(number))
    assert await stores[0].execute(sessions.find(LOCAL, "4")) == "4"
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_role_that_may_not_make_tables_can_work_with_them(empty_postgres_url: str) -> None:
    await (await open_store(empty_postgres_url)).close()
    role = "sessionry_worker_role"
    async with await psycopg.AsyncConnection.connect(empty_postgres_url, autocommit=True) as admin:
        await admin.execute(f"create role {role} login".encode())
        try:
            await admin.execute(
                f"grant select, insert, update, delete on all tables in schema public to {role};"
                f" grant usage on all sequences in schema public to {role}".encode()
            )
            store = await open_store(f"{empty_postgres_url}{'&' if '?' in empty_postgres_url else '?'}user={role}")
            scenario = Scenario(store)
            claim = await scenario.work()
            await scenario.append(claim, ev.MessageStreamed(text="a"))
            await scenario.check()
            await store.close()
        finally:
            await admin.execute(f"drop owned by {role}".encode())
            await admin.execute(f"drop role {role}".encode())


async def test_a_store_of_a_later_version_is_refused(empty_postgres_url: str) -> None:
    await (await open_store(empty_postgres_url)).close()
    async with await psycopg.AsyncConnection.connect(empty_postgres_url) as admin:
        await admin.execute("insert into sessionry_schema values (999, 'of_the_future', 0)")
    with pytest.raises(StoreFailed) as caught:
        await open_store(empty_postgres_url)
    assert caught.value.code == "store_too_new"


async def test_an_older_server_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert migrations.OLDEST_SERVER == 140_000
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 9_990_000)
    with pytest.raises(StoreFailed, match=r"is PostgreSQL \d+; Sessionry needs 999 or newer"):
        await open_store(postgres_url)


def test_the_procrastinate_that_is_asked_for_is_of_the_version_whose_tables_are_known() -> None:
    required = [each for each in requires("sessionry") or [] if each.startswith("procrastinate")]
    assert {each.partition(";")[0].strip() for each in required} == {"procrastinate<4,>=3.10"}


async def test_a_database_that_cannot_hold_every_character_is_refused(empty_postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_postgres_url, autocommit=True) as admin:
        await admin.execute("create database sessionry_latin template template0 encoding latin1 locale 'C'")
        try:
            with pytest.raises(StoreFailed, match="UTF8"):
                await open_store(empty_postgres_url.replace(admin.info.dbname, "sessionry_latin"))
        finally:
            await admin.execute("drop database sessionry_latin")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@127.0.0.1:1/sessions",
        "postgres://ann@127.0.0.1:1/sessions?password=secret&sslmode=disable",
        "postgresql://ann:secret@/sessions?host=/nowhere",
    ],
)
async def test_a_server_that_is_not_there_is_unavailable_and_the_password_stays_secret(url: str) -> None:
    with pytest.raises(StoreFailed) as caught:
        await open_store(url)
    assert caught.value.code == "store_unavailable"
    assert "secret" not in str(caught.value.to_dict())


async def test_a_database_that_is_not_there_is_named(postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as admin:
        name = admin.info.dbname
    with pytest.raises(StoreFailed, match="does not exist"):
        await open_store(postgres_url.replace(name, "sessionry_nowhere"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@host/sessions?nonsense=1",
        "postgresql://ann:secret%ZZ@host/sessions",
        "postgresql://ann:secret/more@host/sessions",
        "postgresql://ann:secret@[::1/sessions",
        "postgresql+psycopg://ann:secret@host/sessions",
    ],
)
async def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await open_store(url)
    assert caught.value.code == "invalid_configuration"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@host:5433/db", "postgresql://ann@host:5433/db"),
        ("postgresql://ann:s%40cret@host/db?sslmode=require", "postgresql://ann@host/db?sslmode=require"),
        ("postgresql:///db?host=/run&password=secret&user=ann", "postgresql:///db?host=/run&user=ann"),
        ("postgresql://host", "postgresql://host/"),
        ("postgresql://ann:a@b:c@host/db", "postgresql://ann@host/db"),
        ("postgresql://ann:a/b#c?d@host/db", "postgresql://ann@host/db"),
        ("postgresql://ann:secret@[::1/db", "postgresql:..."),
        ("mysql://ann:secret@host/db", "mysql://ann@host/db"),
        ("", ""),
        ("sqlite:////a:b@c/x#1.db", "sqlite:////a:b@c/x#1.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


async def test_the_store_knows_its_url(store: Store, postgres_url: str) -> None:
    assert store.url == without_password(postgres_url)
    assert not store.shared_machine


def test_without_psycopg_it_says_what_to_install() -> None:
    code = (
        "import asyncio, sys\n"
        "sys.modules['psycopg'] = None\n"
        "from sessionry.store.open import open_store\n"
        "try:\n    asyncio.run(open_store('postgresql://host/db'))\n"
        "except Exception as error:\n    print(error.code, error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("dependency_not_available")
    assert "pip install 'sessionry[postgres]'" in done.stdout


async def test_a_reader_that_is_cancelled_is_cancelled_even_as_it_gets_its_connection(postgres_url: str) -> None:
    """A pool that hands out a connection in the same moment is not to make it forget that it was to stop."""
    store = await open_store(postgres_url)
    try:
        for round in range(100):
            readers = [asyncio.create_task(store.execute(leases.workers())) for _ in range(4 * CONNECTIONS)]
            await asyncio.sleep(0.0001 * (round % 50))
            cancelled = [reader for reader in readers if reader.cancel()]
            await asyncio.wait(readers, timeout=60)
            assert all(reader.cancelled() for reader in cancelled)
    finally:
        await store.close()
