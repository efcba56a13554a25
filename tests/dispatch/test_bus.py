"""The bus that polls a change token: who is told what, when it is at work, and what it survives."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionry.dispatch.bus import PollBus
from sessionry.domain.errors import StoreFailed
from sessionry.ports import Bus


class Token:
    """A change token to turn by hand; it raises what is put into `failures` first."""

    def __init__(self) -> None:
        self.value = 0
        self.asked = 0
        self.failures: list[Exception] = []

    async def __call__(self) -> int:
        self.asked += 1
        if self.failures:
            raise self.failures.pop()
        return self.value


Told = list[Sequence[str] | None]


@pytest.fixture
def token() -> Token:
    return Token()


@pytest.fixture
async def bus(token: Token) -> AsyncIterator[PollBus]:
    bus = PollBus(token, interval=0.001)
    yield bus
    await bus.close()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


async def awake(bus: PollBus, token: Token) -> Told:
    """What a listener is told, from the moment on when the bus has asked for its first token."""
    told: Told = []
    bus.watch(told.append)
    await until(lambda: told)
    told.clear()
    return told


def other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_it_is_a_bus(bus: PollBus) -> None:
    port: Bus = bus
    assert callable(port.poke)


async def test_a_poke_is_told_before_it_returns(bus: PollBus) -> None:
    first: Told = []
    second: Told = []
    bus.watch(first.append)
    bus.watch(second.append)
    bus.poke(["ses_a", "ses_b"])
    assert first == second == [["ses_a", "ses_b"]]


async def test_a_poke_for_no_session_is_not_told(bus: PollBus) -> None:
    told: Told = []
    bus.watch(told.append)
    bus.poke([])
    assert told == []


async def test_an_ended_watch_is_not_told(bus: PollBus) -> None:
    told: Told = []
    end = bus.watch(told.append)
    end()
    end()
    bus.poke(["ses_a"])
    assert told == []


async def test_the_same_listener_may_watch_twice(bus: PollBus) -> None:
    told: Told = []
    bus.watch(told.append)
    bus.watch(told.append)()
    bus.poke(["ses_a"])
    assert told == [["ses_a"]]


async def test_a_changed_token_means_any_session(bus: PollBus, token: Token) -> None:
    told = await awake(bus, token)
    token.value = 7
    await until(lambda: told)
    asked = token.asked
    await until(lambda: token.asked > asked + 3)
    assert told == [None]


async def test_the_first_answer_counts_as_a_change(bus: PollBus) -> None:
    told: Told = []
    bus.watch(told.append)
    await until(lambda: told)
    assert told == [None]


async def test_nothing_runs_while_nobody_watches(bus: PollBus, token: Token) -> None:
    assert not other_tasks()
    end = bus.watch(lambda ids: None)
    other = bus.watch(lambda ids: None)
    await until(lambda: token.asked)
    end()
    assert len(other_tasks()) == 1
    other()
    await until(lambda: not other_tasks())


async def test_watching_again_wakes_it_again(bus: PollBus, token: Token) -> None:
    bus.watch(lambda ids: None)()
    told = await awake(bus, token)
    token.value += 1
    await until(lambda: told)


async def test_close_ends_every_watch_and_the_task(bus: PollBus, token: Token) -> None:
    told = await awake(bus, token)
    await bus.close()
    assert not other_tasks()
    bus.poke(["ses_a"])
    assert told == []


async def test_a_failing_store_is_survived(bus: PollBus, token: Token) -> None:
    told = await awake(bus, token)
    token.failures = [StoreFailed("store_unavailable", "gone for a moment") for _ in range(5)]
    await until(lambda: not token.failures)
    token.value += 1
    await until(lambda: told)


async def test_after_a_failure_the_same_token_counts_as_a_change(bus: PollBus, token: Token) -> None:
    told = await awake(bus, token)
    token.failures = [StoreFailed("store_unavailable", "gone for a moment")]
    await until(lambda: told)
    assert told == [None]


async def test_the_pause_grows_while_the_store_fails() -> None:
    async def failing() -> int:
        asked.append(time.monotonic())
        raise StoreFailed("store_unavailable", "gone for good")

    asked: list[float] = []
    bus = PollBus(failing, interval=0.002)
    bus.watch(lambda ids: None)
    await until(lambda: len(asked) >= 6)
    await bus.close()
    assert asked[5] - asked[4] > 0.05


async def test_an_error_of_one_listener_is_reported_and_does_not_reach_the_others(bus: PollBus) -> None:
    def fail(ids: object) -> None:
        raise ZeroDivisionError

    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, problem: reported.append(problem))
    told: Told = []
    bus.watch(fail)
    bus.watch(told.append)
    bus.poke(["ses_a"])
    assert told == [["ses_a"]]
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_a_listener_may_end_its_own_watch(bus: PollBus) -> None:
    def once(ids: Sequence[str] | None) -> None:
        told.append(ids)
        end()

    told: Told = []
    end = bus.watch(once)
    await until(lambda: told)
    bus.poke(["ses_a"])
    assert told == [None]
    await until(lambda: not other_tasks())


async def test_a_commit_of_another_connection_to_the_same_file_is_noticed(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as reader,
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as writer,
    ):
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")

        async def data_version() -> int:
            version: int = reader.execute("PRAGMA data_version").fetchone()[0]
            return version

        bus = PollBus(data_version)
        told: Told = []
        bus.watch(told.append)
        await until(lambda: told)
        for _ in range(3):
            told.clear()
            writer.execute("INSERT INTO t VALUES (1)")
            await until(lambda: told)
            assert told == [None]
        await bus.close()
