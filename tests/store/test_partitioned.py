"""The log of a PostgreSQL store may be split by session, with the statements that the documentation gives."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from sessionry.domain import events as ev
from sessionry.ports import Store
from sessionry.store import migrations
from sessionry.store.open import open_store
from sessionry.store.operations import reading
from sessionry.testing import store_contract as contract
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import LOCAL
from tests.conftest import database, migrate
from tests.project.pages import blocks
from tests.store.jobs import ask
from tests.store.test_postgres import plans

pytestmark = pytest.mark.slow

PARTS = "select count(*) from pg_inherits where inhparent = 'sessionry_event'::regclass"


def split(url: str) -> None:
    """Do what the documentation tells an operator to do."""
    (block,) = blocks("docs/postgresql.md", "sql")
    ask(url, block.code)


@pytest.fixture(scope="module")
def _migrated(postgres_server: str) -> Iterator[str]:
    """In place of the database that other tests use: one whose log is split, and empty."""
    with database(postgres_server) as url:
        migrate(url)
        split(url)
        yield url


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    opened = await open_store(postgres_url)
    yield opened
    await opened.close()


class TestSessions(contract.SessionContract):
    pass


class TestQueue(contract.QueueContract):
    pass


class TestBegin(contract.BeginContract):
    pass


class TestAppend(contract.AppendContract):
    pass


class TestFinish(contract.FinishContract):
    pass


class TestReading(contract.ReadingContract):
    pass


class TestListing(contract.ListingContract):
    pass


class TestApprovals(contract.ApprovalContract):
    pass


class TestTakeover(contract.TakeoverContract):
    pass


class TestDeadlines(contract.DeadlineContract):
    pass


class TestWorkers(contract.WorkerContract):
    pass


class TestIdempotency(contract.IdempotencyContract):
    pass


class TestIsolation(contract.IsolationContract):
    pass


class TestValues(contract.ValuesContract):
    pass


class TestPruning(contract.PruningContract):
    pass


class TestContinuity(contract.ContinuityContract):
    pass


class TestTokens(contract.TokenContract):
    pass


class TestUsage(contract.UsageContract):
    pass


class TestWebhooks(contract.WebhookContract):
    pass


def test_no_contract_is_left_out() -> None:
    kept = {base for kind in globals().values() if isinstance(kind, type) for base in kind.__bases__}
    assert kept >= set(contract.CONTRACTS)


async def test_the_events_of_a_session_are_in_one_part_and_those_of_many_in_all(
    store: Store, postgres_url: str
) -> None:
    scenario = Scenario(store)
    for _ in range(20):
        await scenario.finished(await scenario.create())
    homes = ask(postgres_url, "select session, count(distinct tableoid) from sessionry_event group by session")
    assert [parts for _, parts in homes] == [1] * 20
    assert (
        ask(postgres_url, "select count(distinct tableoid) from sessionry_event") == ask(postgres_url, PARTS) == [(4,)]
    )
    await scenario.check()


def test_a_seq_is_given_once_in_each_session(postgres_url: str) -> None:
    insert = (
        "insert into sessionry_event (position, session, seq, fence, type, at, id, schema, data)"
        " values (%s, 1, 1, 0, 'custom_recorded', 0, '', 1, '{}')"
    )
    ask(postgres_url, insert, 1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(postgres_url, insert, 2)


def test_each_part_is_looked_into_by_its_indexes(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "insert into sessionry_session (id, tenant, agent_id, status, metadata, context, tags, slots, queue_limit,"
            " created_at, updated_at, version) select 'ses_' || n, 'local', 'echo', 'active', '{}', '{}', '[]', 1, 10,"
            " n, n, 1 from generate_series(1, 20000) as n"
        )
        connection.execute(
            "insert into sessionry_event (position, session, seq, fence, type, at, id, schema, data) select"
            " row_number() over (), s.key, seq, 0, 'custom_recorded', 0, decode(md5(s.id || seq), 'hex'), 1,"
            ' \'{"name": "x"}\' from sessionry_session s cross join generate_series(1, 3) as seq'
        )
        connection.execute("analyze sessionry_session, sessionry_event")
        one = plans(connection, reading.events(LOCAL, "ses_777", after=1, limit=100))
        assert len(set(re.findall(r" on (sessionry_event_\d) ", one))) == 1, one
        for operation in (
            reading.events(LOCAL, "ses_777", after=1, limit=100),
            reading.all_events(LOCAL, after=30_000, limit=100),
            reading.pages([(LOCAL, f"ses_{number}", 2) for number in range(1, 101)], 40),
            reading.unsettled(),
            reading.last_position(),
        ):
            plan = plans(connection, operation)
            assert "Seq Scan on sessionry_event" not in plan, plan
            assert "Index" in plan


async def test_a_filled_log_can_be_split_and_goes_on(empty_postgres_url: str) -> None:
    store = await open_store(empty_postgres_url)
    scenario = Scenario(store)
    claim = await scenario.work()
    await scenario.append(claim, ev.MessageStreamed(text="before"))
    await scenario.settled()
    before = await scenario.do(reading.all_events(LOCAL))
    split(empty_postgres_url)
    assert await scenario.do(reading.all_events(LOCAL)) == before
    await scenario.append(claim, ev.MessageStreamed(text="after"))
    await scenario.finish(claim)
    await scenario.settled()
    after = await scenario.do(reading.all_events(LOCAL))
    assert (after[: len(before)], after[-1].type) == (before, "run_completed")
    await scenario.check()
    await store.close()


async def test_every_later_migration_works_on_a_split_log(empty_postgres_url: str) -> None:
    """One that does not would leave its operators behind, so it has to be written in another way."""
    first, *later = migrations.migrations("postgres").items()
    number, (name, sql) = first
    ask(empty_postgres_url, f"{migrations.VERSION_TABLE}; {sql}")
    ask(empty_postgres_url, migrations.NEW_VERSION.replace("?", "%s"), number, name, 0)
    split(empty_postgres_url)
    store = await open_store(empty_postgres_url)
    assert ask(empty_postgres_url, "select max(version) from sessionry_schema") == [(later[-1][0],)]
    assert ask(empty_postgres_url, PARTS) == [(4,)]
    scenario = Scenario(store)
    await scenario.finished(await scenario.create())
    await scenario.check()
    await store.close()
