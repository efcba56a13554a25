"""How often a run looks for what others want of it: soon when it is told once, seldom while it is told all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from sessionry.ports import Store
from sessionry.runtime import controls
from sessionry.runtime.controls import Controls
from sessionry.runtime.identity import Identity
from sessionry.store.open import open_store
from sessionry.store.operations import runs
from sessionry.testing.store_contract.scenario import LOCAL, Scenario

SECONDS = 1.0


class Counted:
    """A store that counts what it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked = 0

    async def execute(self, operation: Any) -> Any:
        self.asked += 1
        return await self._store.execute(operation)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("sqlite:///:memory:")
    yield opened
    await opened.close()


async def watched(store: Store) -> tuple[Controls, Counted, Scenario, str]:
    scenario = Scenario(store)
    claim = await scenario.work()
    counted = Counted(store)
    identity = Identity(LOCAL, claim.session_id, claim.run_id)
    found = Controls(cast(Store, counted), identity, claim.fence, cancelled=lambda: None, lost=lambda: None)
    return found, counted, scenario, claim.run_id


async def poked_all_the_time(told: Controls, seconds: float) -> float:
    """How long it really took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + seconds:
        told.poke()
        await asyncio.sleep(0.005)
    return loop.time() - begun


async def test_a_busy_run_reads_its_log_seldom(store: Store) -> None:
    told, counted, _, _ = await watched(store)
    watching = asyncio.create_task(told.watch())
    took = await poked_all_the_time(told, SECONDS)
    watching.cancel()
    await asyncio.wait([watching])
    assert counted.asked <= 4 + took / controls.BUSY_PAUSE  # three to come to that pause, and one when it ends


async def test_and_is_told_to_stop_all_the_same(store: Store) -> None:
    told, _, scenario, run_id = await watched(store)
    watching = asyncio.create_task(told.watch())
    await poked_all_the_time(told, SECONDS)
    await scenario.cancel(run_id)
    async with asyncio.timeout(60):
        while told.cancel_mode is None:
            told.poke()
            await asyncio.sleep(0.005)
    watching.cancel()
    await asyncio.wait([watching])


async def test_one_poke_after_a_rest_is_followed_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "LONGEST_PAUSE", 3600.0)
    told, counted, _, _ = await watched(store)
    watching = asyncio.create_task(told.watch())
    await poked_all_the_time(told, 0.5)
    await asyncio.sleep(3 * controls.BUSY_PAUSE)
    before = counted.asked
    told.poke()
    async with asyncio.timeout(60):
        while counted.asked == before:
            await asyncio.sleep(0.005)
    watching.cancel()
    await asyncio.wait([watching])


async def test_two_looks_at_once_take_a_command_once(store: Store) -> None:
    told, _, scenario, run_id = await watched(store)
    await scenario.do(runs.steer(LOCAL, run_id, "use pytest"))
    await asyncio.gather(told.look(), told.look())
    assert told.steering() == ["use pytest"]
