"""The pen of an attempt: one write at a time, whoever waits for it, and whatever becomes of those who do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import Fenced, SessionryError, StoreFailed
from sessionry.domain.events import EventData
from sessionry.ports import Appending, Operation, Store
from sessionry.runtime.emitter import Emitter
from sessionry.runtime.offload import Offload
from sessionry.store.blobs import FileBlobs
from sessionry.store.operations import reading
from sessionry.testing.store_contract.scenario import LOCAL

FOR_EVER = 3600.0


class Slow:
    """A store that writes when it is let, and keeps what it was given to write at once."""

    def __init__(self) -> None:
        self.batches: list[list[EventData]] = []
        self.executed = 0
        self.fails: Exception | None = None
        self.lets = asyncio.Event()
        self.lets.set()

    async def append(self, appending: Appending) -> list[int]:
        await self.lets.wait()
        if self.fails is not None:
            raise self.fails
        self.batches.append(list(appending.events))
        return list(range(appending.after + 1, appending.after + 1 + len(appending.events)))

    async def execute(self, operation: Operation[Any]) -> int:
        await self.lets.wait()
        self.executed += 1
        return self.executed

    def said(self) -> list[list[str]]:
        return [[cast(ev.CustomRecorded, data).name for data in batch] for batch in self.batches]


@asynccontextmanager
async def emitting(store: Slow, path: Path, failed: Callable[[SessionryError], None] = print) -> AsyncIterator[Emitter]:
    emitter = Emitter(cast(Store, store), "run_1", 1, 4, Offload(FileBlobs(path)), failed=failed, window=FOR_EVER)
    try:
        async with asyncio.timeout(60):
            yield emitter
    finally:
        await emitter.close()


def said(name: str) -> EventData:
    return ev.CustomRecorded(name=name)


async def under_way() -> None:
    """Everybody has come as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_was_put_is_durable_after_a_flush(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        await emitter.put(said("a"))
        await emitter.put(said("b"))
        await emitter.flush()
        assert (store.said(), emitter.after) == ([["a", "b"]], 6)
        await emitter.flush()
        assert len(store.batches) == 1


async def test_a_flush_does_not_wait_for_more_pieces(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        for text in "abc":
            await emitter.put(ev.MessageStreamed(text=text))
        await under_way()
        assert store.batches == []
        await emitter.flush()
        assert [[cast(ev.MessageStreamed, data).text for data in batch] for batch in store.batches] == [["abc"]]
        await emitter.put(ev.MessageStreamed(text="d"))
        await under_way()
        assert len(store.batches) == 1  # the next piece waits for company again


async def test_one_write_serves_all_who_wait(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        store.lets.clear()
        await emitter.put(said("first"))
        await under_way()

        async def say(name: str) -> None:
            await emitter.put(said(name))
            await emitter.flush()

        waiting = [asyncio.create_task(say(name)) for name in "abc"]
        await under_way()
        assert not any(task.done() for task in waiting)
        store.lets.set()
        await asyncio.gather(*waiting)
        assert store.said() == [["first"], ["a", "b", "c"]]


async def test_who_stops_waiting_stops_nobody_else(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        store.lets.clear()
        await emitter.put(said("a"))
        leaves, stays = asyncio.create_task(emitter.flush()), asyncio.create_task(emitter.flush())
        await under_way()
        leaves.cancel()
        await asyncio.wait([leaves])
        store.lets.set()
        await stays
        assert store.said() == [["a"]]


async def test_an_operation_has_its_place_and_is_waited_for(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        store.lets.clear()
        await emitter.put(said("before"))
        operation = reading.last_seq(LOCAL, "ses_1")
        writing = asyncio.create_task(emitter.write(operation, lambda _: [6]))
        await under_way()
        await emitter.put(said("after"))
        flushing = asyncio.create_task(emitter.flush())
        await under_way()
        assert (store.executed, flushing.done()) == (0, False)
        store.lets.set()
        await asyncio.gather(writing, flushing)
        assert (store.said()[0], store.said()[-1][-1], store.executed) == (["before"], "after", 1)


async def test_a_flush_behind_an_operation_waits_for_it(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        store.lets.clear()
        writing = asyncio.create_task(emitter.write(reading.last_seq(LOCAL, "ses_1"), lambda _: [5]))
        await under_way()
        flushing = asyncio.create_task(emitter.flush())
        await under_way()
        assert not flushing.done()
        store.lets.set()
        await asyncio.gather(writing, flushing)
        assert emitter.after == 5


@pytest.mark.parametrize("error", [StoreFailed("store_full", "no room"), ZeroDivisionError("a fault of ours")])
async def test_a_write_that_fails_for_good_is_told_to_all(tmp_path: Path, error: Exception) -> None:
    store, failures = Slow(), list[SessionryError]()
    store.fails = error
    async with emitting(store, tmp_path, failures.append) as emitter:
        store.lets.clear()
        await emitter.put(said("a"))
        waiting = [asyncio.create_task(emitter.flush()) for _ in range(2)]
        await under_way()
        store.lets.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in found] == [StoreFailed] * 2
        for again in (emitter.flush(), emitter.put(said("b"))):
            with pytest.raises(StoreFailed):
                await again
        assert len(failures) == 1
        assert error in (failures[0], failures[0].__cause__)


async def test_who_waits_when_it_is_closed_is_fenced(tmp_path: Path) -> None:
    store = Slow()
    async with emitting(store, tmp_path) as emitter:
        store.lets.clear()
        await emitter.put(said("a"))
        waiting = asyncio.create_task(emitter.flush())
        await under_way()
        await emitter.close()
        with pytest.raises(Fenced):
            await waiting
        with pytest.raises(Fenced):
            await emitter.flush()
