"""What can be said through a portal: calls, errors, interrupts, generators and context managers."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import NoReturn

import pytest

from sessionry.domain.errors import Conflict
from sessionry.runtime.portal import Portal


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal() as portal:
        yield portal


class Numbers:
    """Gives `count` numbers, then fails or waits for ever when told to; knows whether it was closed."""

    def __init__(self, count: int, *, error: Exception | None = None, waits: bool = False) -> None:
        self.count, self.error, self.waits, self.closed = count, error, waits, False

    async def all(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.count):
                yield number
            if self.error:
                raise self.error
            if self.waits:
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.closed = True


def interrupt_the_waiting(began: threading.Event | None = None) -> threading.Thread:
    """Ctrl-C for the main thread, as soon as it waits in a call that began."""

    def press() -> None:
        deadline = time.monotonic() + 60
        while not (waits_in_a_call() and (began is None or began.is_set())) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def waits_in_a_call() -> bool:
    frames = traceback.extract_stack(sys._current_frames()[threading.main_thread().ident or 0])
    return {"through", "wait"} <= {frame.name for frame in frames}


def test_a_call_gives_what_the_coroutine_returns(portal: Portal) -> None:
    assert portal.call(asyncio.sleep, 0, "done") == "done"


def test_an_error_comes_out_with_its_traceback(portal: Portal) -> None:
    async def breaks() -> NoReturn:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        portal.call(breaks)
    assert "breaks" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_the_context_of_the_caller_is_seen(portal: Portal) -> None:
    variable = contextvars.ContextVar("variable", default="")

    async def look() -> str:
        return variable.get()

    variable.set("here")
    assert portal.call(look) == "here"


def test_many_threads_call_at_once(portal: Portal) -> None:
    together = asyncio.Barrier(8)

    async def meet() -> int:
        async with asyncio.timeout(60):
            return await together.wait()

    met: list[int] = []
    threads = [threading.Thread(target=lambda: met.append(portal.call(meet))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(met) == list(range(8))


def test_an_interrupt_cancels_the_call_and_waits_for_it(portal: Portal) -> None:
    began, let_go = threading.Event(), threading.Event()

    async def works() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            let_go.set()

    presser = interrupt_the_waiting(began)
    with pytest.raises(KeyboardInterrupt):
        portal.call(works)
    presser.join()
    assert let_go.is_set()
    assert portal.call(asyncio.sleep, 0, "still open") == "still open"


def test_system_exit_of_a_task_reaches_the_caller_only(portal: Portal) -> None:
    async def leaves() -> NoReturn:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        portal.call(leaves)
    assert portal.call(asyncio.sleep, 0, "still open") == "still open"


async def test_it_refuses_to_block_a_running_loop() -> None:
    with pytest.raises(Conflict, match=r"async with sessionry.open\(\)") as refused:
        Portal()
    assert refused.value.code == "invalid_operation"


def test_a_call_from_its_own_loop_is_refused(portal: Portal) -> None:
    async def calls() -> str:
        return portal.call(asyncio.sleep, 0, "never")

    with pytest.raises(Conflict, match="an event loop is running here"):
        portal.call(calls)


def test_closing_ends_calls_of_other_threads_and_refuses_new_ones() -> None:
    portal = Portal()
    waits, ended = threading.Event(), []

    async def hang() -> None:
        waits.set()
        await asyncio.Event().wait()

    def other() -> None:
        try:
            portal.call(hang)
        except Conflict as error:
            ended.append(error.message)

    thread = threading.Thread(target=other)
    thread.start()
    assert waits.wait(60)
    portal.close()
    thread.join()
    assert len(ended) == 1
    assert "is closed" in ended[0]
    with pytest.raises(Conflict, match="is closed"):
        portal.call(asyncio.sleep, 0)
    portal.close()


# --- generators ---


def test_items_come_in_order_and_all_of_them(portal: Portal) -> None:
    numbers = Numbers(2_000)
    assert list(portal.iterate(numbers.all)) == list(range(2_000))
    assert numbers.closed


def test_an_item_comes_before_the_next_one_is_there(portal: Portal) -> None:
    items = portal.iterate(Numbers(3, waits=True).all)
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    items.close()


def test_a_break_closes_the_generator(portal: Portal) -> None:
    numbers = Numbers(3, waits=True)
    for number in portal.iterate(numbers.all):
        if number == 2:
            break
    assert numbers.closed


def test_an_error_comes_after_the_items_before_it(portal: Portal) -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(portal.iterate(Numbers(3, error=ValueError("broken")).all))
    assert seen == [0, 1, 2]


def test_an_interrupt_of_a_waiting_reader_closes_the_generator(portal: Portal) -> None:
    numbers = Numbers(1, waits=True)
    items = portal.iterate(numbers.all)
    assert next(items) == 0
    presser = interrupt_the_waiting()
    with pytest.raises(KeyboardInterrupt):
        next(items)
    presser.join()
    assert numbers.closed


async def test_a_reader_that_is_forgotten_beside_a_running_loop_is_closed_too() -> None:
    numbers = Numbers(3, waits=True)
    portal = await asyncio.to_thread(Portal)
    items = await asyncio.to_thread(portal.iterate, numbers.all)
    assert await asyncio.to_thread(next, items) == 0
    items.close()
    await asyncio.to_thread(portal.close)
    assert numbers.closed


def test_a_reader_may_outlive_the_portal() -> None:
    numbers = Numbers(3, waits=True)
    with Portal() as portal:
        items = portal.iterate(numbers.all)
        next(items)
    assert numbers.closed
    items.close()


# --- context managers ---


class Resource:
    """Notes who entered and left it, and how."""

    def __init__(self, *, fails: str = "") -> None:
        self.fails = fails
        self.notes: list[str] = []
        self.tasks: set[object] = set()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[str, None]:
        self._note("enter")
        try:
            yield "value"
        except BaseException as error:
            self.notes.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0)
            self._note("leave")

    def _note(self, word: str) -> None:
        self.notes.append(word)
        self.tasks.add(asyncio.current_task())
        if self.fails == word:
            raise ValueError(word)


def test_one_task_enters_and_leaves(portal: Portal) -> None:
    resource = Resource()
    with portal.entered(resource.held()) as value:
        assert value == "value"
    assert resource.notes == ["enter", "leave"]
    assert len(resource.tasks) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_of_the_body_looks_like_a_cancellation(portal: Portal, error: type[BaseException]) -> None:
    resource = Resource()
    with pytest.raises(error), portal.entered(resource.held()):
        raise error
    assert resource.notes == ["enter", "CancelledError", "leave"]


@pytest.mark.parametrize("word", ["enter", "leave"])
def test_what_goes_wrong_on_the_way_in_or_out_is_raised(portal: Portal, word: str) -> None:
    with pytest.raises(ValueError, match=word), portal.entered(Resource(fails=word).held()):
        pass
