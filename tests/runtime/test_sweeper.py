"""The sweeper: when it looks, and which of many does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain.webhook import new_webhook_secret
from sessionry.ports import Steps, Store
from sessionry.runtime import sweeper as sweeper_module
from sessionry.runtime.sweeper import SPREAD, Sweeper
from sessionry.store import jobs
from sessionry.store.open import open_store
from sessionry.store.operations import leases, recovery, webhooks
from sessionry.store.transaction import writes
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import AGENT, WORKER

from .conftest import until

NEVER = 3600.0


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
def scenario(store: Store) -> Scenario:
    return Scenario(store)


async def registered(scenario: Scenario, lease: float, worker_id: str = WORKER) -> None:
    """A worker of another machine, which will not renew its lease."""
    registration = leases.Registration(
        worker_id=worker_id, host="elsewhere", pid=1, process_start=0.0, boot_id="", slots=1, agents=[AGENT]
    )
    await scenario.do(leases.register(registration, lease))


async def test_a_lease_that_ends_is_noticed_at_once_however_rarely_it_is_swept(scenario: Scenario) -> None:
    claim = await scenario.work(takeover="restart")
    await registered(scenario, 1.0)
    sweeper = Sweeper(scenario.store, NEVER, NEVER)
    await sweeper.open()
    sweeper.start()
    try:
        await until(lambda: is_pending(scenario, claim.run_id))
    finally:
        await sweeper.close()


async def test_a_lease_that_ends_while_it_is_swept_is_not_missed(scenario: Scenario) -> None:
    """Just after the look for what is lost: the next sweep comes at once."""

    async def looked(_: float) -> int | None:
        """What comes in a sweep after that look."""
        await until(lambda: over(scenario))
        return 0

    claim = await scenario.work(takeover="restart")
    sweeper = Sweeper(scenario.store, NEVER, NEVER, mend=looked)
    await registered(scenario, 3.0)
    await sweeper.sweep()
    assert sweeper._pause() <= SPREAD
    await sweeper.sweep()
    assert await is_pending(scenario, claim.run_id)


async def over(scenario: Scenario) -> bool:
    """Whether all leases have ended."""
    return await scenario.do(recovery.next_end()) is None


async def is_pending(scenario: Scenario, run_id: str) -> bool:
    return (await scenario.run(run_id)).status == "pending"


async def test_who_is_alive_makes_no_sweep_earlier_and_who_is_given_up_is_not_waited_for(scenario: Scenario) -> None:
    sweeper = Sweeper(scenario.store, 600.0, NEVER)
    await registered(scenario, 3600.0, "wrk_alive")
    await registered(scenario, -1.0, "wrk_late")
    await sweeper.sweep()
    assert sweeper._pause() == 600.0
    await registered(scenario, 60.0, "wrk_silent")
    await sweeper.sweep()
    assert sweeper._pause() <= 60.0 + SPREAD


async def test_a_store_that_does_not_answer_is_swept_again_after_the_interval(scenario: Scenario) -> None:
    await registered(scenario, 3.0)
    sweeper = Sweeper(scenario.store, 5.0, NEVER)
    await sweeper.sweep()
    await scenario.store.close()
    await sweeper.open()
    assert sweeper._pause() == 5.0


@writes
def _forget_heads() -> Steps[None]:
    yield "update sessionry_run set ready = 0", ()


async def test_a_head_that_nobody_was_told_of_is_found(scenario: Scenario) -> None:
    session_id = await scenario.create()
    first, _ = [await scenario.submit(session_id) for _ in range(2)]
    await scenario.do(_forget_heads())
    assert await scenario.ready(session_id) == []
    assert (await Sweeper(scenario.store, 5.0, NEVER).sweep()).found_heads == 1
    assert await scenario.ready(session_id) == [first]


async def test_a_file_is_not_read_through_for_lost_heads(tmp_path: Path) -> None:
    """As in PostgreSQL, where tests/store/test_postgres.py looks."""
    path = tmp_path / "store.db"
    await (await open_store(f"sqlite:///{path}")).close()
    sql, values = next(recovery.lost_heads().steps())
    with closing(sqlite3.connect(path)) as connection:
        plan = " ".join(row[3] for row in connection.execute(f"explain query plan {sql}", values))
    assert "USING COVERING INDEX sessionry_run_behind" in plan
    assert "SCAN" not in plan


async def test_of_many_processes_one_looks_through_all_that_waits(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(postgres_url)
    looked, execute = Counter[str](), store.execute

    async def counted(operation: Any) -> Any:
        looked[operation.function.__name__] += 1
        return await execute(operation)

    monkeypatch.setattr(store, "execute", counted)

    async def mend(pause: float) -> int | None:
        return await execute(jobs.mend(15.0, pause))

    sweepers = [Sweeper(store, 60.0, NEVER, mend=mend) for _ in range(5)]
    for _ in range(2):
        await asyncio.gather(*(sweeper._sweep_in_turn() for sweeper in sweepers))
    assert (looked["orphans"], looked["lost_heads"]) == (10, 1)
    await sweepers[0].sweep()
    assert looked["lost_heads"] == 2, "whoever asks for it gets it"
    await store.close()


async def test_what_was_given_up_long_ago_is_forgotten(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = await scenario.do(webhooks.create(scenario.scope, "https://agents.example/hook", new_webhook_secret()))
    (key,) = [each.key for each in await scenario.do(webhooks.endpoints()) if each.id == webhook.id]
    await scenario.create()
    await scenario.settled()
    found = await scenario.do(webhooks.ahead(key, webhooks.Found(cursor=-1, upto=0), 100))
    assert await scenario.do(webhooks.enter(key, found, 1000))
    (owed,), _ = await scenario.do(webhooks.owed(key, 10))
    await scenario.do(webhooks.settle(key, [webhooks.Outcome(key=owed.key, problem="no")], 600))
    sweeper = Sweeper(scenario.store, NEVER, NEVER)

    async def dead() -> int:
        await sweeper.sweep()
        return (await scenario.do(webhooks.get(scenario.scope, webhook.id))).dead

    assert await dead() == 1
    monkeypatch.setattr(sweeper_module, "KEEP_GIVEN_UP", -1.0)
    assert await dead() == 0
