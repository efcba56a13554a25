"""A session of a million events costs no more to append to, to open or to follow than a short one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from sessionry.domain import events as ev
from sessionry.domain.queries import RunFilter, SessionFilter
from sessionry.store.operations import leases, listing, reading
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, AtWork, at_work

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVENTS = 1_000_000


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("long") / "sessions.db"


@pytest.fixture
async def long(long_file: Path) -> AsyncIterator[tuple[SqliteStore, AtWork, AtWork]]:
    """A store with a long session and a short one, a run at work in each. The long one begins with a short run."""
    made = long_file.exists()
    store = await SqliteStore.open(str(long_file))
    if not made:
        first = await at_work(store)
        await first.say("first")
        await first.finish()
        work = await at_work(store, first.session_id)
        for _ in range(EVENTS // 1000):
            await work.say(*["x" * 200] * 1000)
        await work.finish()
        kept["long"], kept["first"] = first.session_id, first.run_id
        kept["short"] = (await at_work(store)).session_id
        await _ended(store, kept["short"])
    yield store, await at_work(store, kept["long"]), await at_work(store, kept["short"])
    for name in ("long", "short"):
        await _ended(store, kept[name])
    await store.close()


#: What the first test has made, for the others.
kept: dict[str, str] = {}


async def _ended(store: SqliteStore, session_id: str) -> None:
    for run in (await store.execute(listing.list_runs(SCOPE, RunFilter(session=session_id)))).items:
        if run.live:
            await store.execute(leases.finish(run.id, run.fence, ev.RunCompleted()))


async def best(work: Callable[[], Awaitable[Any]], times: int = 15) -> float:
    """Milliseconds that it takes when nothing else is in the way."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


async def test_an_append_costs_the_same(long: tuple[SqliteStore, AtWork, AtWork]) -> None:
    _, long_work, short_work = long
    taken: dict[str, list[float]] = {"long": [], "short": []}
    for _ in range(500):
        for name, work in (("long", long_work), ("short", short_work)):
            began = time.perf_counter()
            await work.say("x" * 200)
            taken[name].append(time.perf_counter() - began)
    ratio = median(taken["long"]) / median(taken["short"])
    print(f"an append to {EVENTS:,} events: {ratio:.2f} times one to a short log")
    assert ratio < 1.5


async def test_a_page_anywhere_is_read_at_once(long: tuple[SqliteStore, AtWork, AtWork]) -> None:
    store, work, _ = long
    everywhere: dict[str, dict[str, Any]] = {
        "first": {},
        "middle": {"after": EVENTS // 2},
        "tail": {"newest": True},
        "before the middle": {"before": EVENTS // 2, "newest": True},
        "first run": {"run_id": kept["first"]},
        "last run": {"run_id": work.run_id},
    }
    for name, place in everywhere.items():
        page = reading.events(SCOPE, work.session_id, **place)
        taken = await best(partial(store.execute, page))
        print(f"{name}: {taken:.2f} ms")
        assert taken < 20
    taken = await best(partial(store.execute, listing.list_sessions(SCOPE, SessionFilter())))
    assert taken < 20


async def test_a_run_begins_and_ends_as_fast_as_in_a_short_session(long: tuple[SqliteStore, AtWork, AtWork]) -> None:
    store, work, _ = long
    await work.finish()

    async def begin_and_end() -> None:
        await (await at_work(store, work.session_id)).finish()

    taken = await best(begin_and_end)
    print(f"a run: {taken:.2f} ms")
    assert taken < 100


async def test_following_it_page_by_page_needs_no_memory(long: tuple[SqliteStore, AtWork, AtWork]) -> None:
    store, work, _ = long
    after = seen = 0
    memory = []
    while page := await store.execute(reading.events(SCOPE, work.session_id, after=after, limit=500)):
        assert page[0].seq == after + 1
        after = page[-1].seq
        seen += len(page)
        memory.append(psutil.Process().memory_info().rss)
    assert seen == after >= EVENTS
    grown = max(memory[20:]) - memory[20]  # once the caches are full
    print(f"{grown / 1e6:.1f} MB more for {seen:,} events")
    assert grown < 20_000_000
