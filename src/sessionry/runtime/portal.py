"""For code that has no event loop: a loop in a thread of its own, and calls into it that block.

Whatever a call raises comes out of it with its whole traceback. Ctrl-C in a call cancels what was called, waits until that
has let go of everything, and goes on as `KeyboardInterrupt`; a second one does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from sessionry.domain.errors import Conflict

P = ParamSpec("P")
T = TypeVar("T")

#: How many items are taken from an asynchronous generator at once, if so many are there.
_BATCH = 256
_END: Any = object()


def refuse_inside_a_loop() -> None:
    """Raises `invalid_operation` where blocking would stop an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise Conflict(
        "invalid_operation",
        "an event loop is running here, which a blocking call would stop; use `async with sessionry.open()` instead",
    )


class Portal:
    """Calls from any thread into one event loop. A context manager: on leaving, what still runs is cancelled."""

    def __init__(self, name: str = "sessionry") -> None:
        refuse_inside_a_loop()
        self._loop = asyncio.new_event_loop()
        self._open, self._stopped = True, False
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> Portal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            loop = runner.get_loop()
            while not self._stopped:
                with contextlib.suppress(SystemExit):  # a task's own: who waits for the task gets it
                    loop.run_forever()

    def _stop(self) -> None:
        self._stopped = True
        self._loop.stop()

    def close(self) -> None:
        """Cancel what still runs and end the thread. Calls that wait in other threads raise `invalid_operation`."""
        if not self.is_here:
            return
        with self._lock:
            if not self._open:
                return
            self._open = False
            self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def call(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `await function(*args, **kwargs)` gives or raises."""
        refuse_inside_a_loop()
        return _Call(function(*args, **kwargs)).through(self)

    def iterate(
        self, function: Callable[P, AsyncGenerator[T, None]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[T, None, None]:
        """The items of an asynchronous generator, which is closed when this one ends, is closed or is forgotten."""
        refuse_inside_a_loop()
        return self._items(_Reader(function(*args, **kwargs)))

    def _items(self, reader: _Reader[T]) -> Generator[T, None, None]:
        try:
            while batch := self.call(reader.batch):
                yield from batch
        finally:
            self._release(reader)

    def _release(self, reader: _Reader[T]) -> None:
        """Close the reader, without waiting where that would stop a loop: a collected generator ends anywhere."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with contextlib.suppress(Conflict):  # the portal is closed, and has closed everything
                self.call(reader.close)
        else:
            with contextlib.suppress(Conflict):
                self.send(_Call(reader.close()).begin)

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Generator[T, None, None]:
        """`async with manager`, entered and left by one task. An exception of the body looks like a cancellation to it."""
        held = _Held(manager)
        value = self.call(held.enter)
        try:
            yield value
        except BaseException:
            if self.is_here:
                self.call(held.leave, failed=True)
            raise
        if self.is_here:
            self.call(held.leave, failed=False)

    def send(self, callback: Callable[[Portal], None]) -> None:
        """Have the loop call it soon. Raises `invalid_operation` when the portal is closed, or was made before a fork."""
        if not self.is_here:
            raise _closed("this store was opened before the fork")
        with self._lock:
            if self._open:
                self._loop.call_soon_threadsafe(callback, self)
                return
        raise _closed()

    @property
    def is_open(self) -> bool:
        return self._open

    @property
    def is_here(self) -> bool:
        """Whether this is the process of the thread; a forked child does not have it."""
        return os.getpid() == self._process


def _closed(problem: str = "this store is closed") -> Conflict:
    return Conflict("invalid_operation", f"{problem}; open it again with `sessionry.open_sync()`")


class _Call(Generic[T]):
    """A coroutine on its way through a portal."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._future: Future[T] = Future()
        self._task: asyncio.Task[T] | None = None

    def through(self, portal: Portal) -> T:
        """Wait for its end."""
        try:
            portal.send(self.begin)
            return self._future.result()
        except BaseException:
            if not self._future.done():  # nothing of the coroutine's: Ctrl-C, or the portal is closed
                self._give_up(portal)
            raise
        finally:
            del self  # an error's traceback must not hold the error

    def begin(self, portal: Portal) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(lambda task: self._settle(task, portal))

    def _settle(self, task: asyncio.Task[T], portal: Portal) -> None:
        if task.cancelled():
            self._future.set_exception(asyncio.CancelledError() if portal.is_open else _closed())
        elif error := task.exception():
            self._future.set_exception(error)
        else:
            self._future.set_result(task.result())

    def _give_up(self, portal: Portal) -> None:
        try:
            portal.send(self._cancel)
        except Conflict:
            if self._task is None:
                self._coroutine.close()
        else:
            wait([self._future])

    def _cancel(self, _: Portal) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._coroutine.close()
            self._future.cancel()


class _Reader(Generic[T]):
    """Takes items from an asynchronous generator: waits for one, then takes as many more as are there without waiting."""

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self._source = source
        self._next: asyncio.Task[T] | None = None

    async def batch(self) -> list[T]:
        """The next items, in order; none at the end. An error comes after the items before it."""
        items: list[T] = []
        while len(items) < _BATCH:
            self._next = self._next or asyncio.ensure_future(anext(self._source, _END))
            if items:
                await asyncio.sleep(0)
                if not self._next.done() or self._next.exception():
                    break
            item = await self._next
            if item is _END:
                break
            items.append(item)
            self._next = None
        return items

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
            if not self._next.cancelled():
                self._next.exception()  # seen: nobody asks for the item any more
        await self._source.aclose()


class _Held(Generic[T]):
    """An asynchronous context manager in a task of its own, since it may be left only by the task that entered it."""

    def __init__(self, manager: AbstractAsyncContextManager[T]) -> None:
        self._manager = manager

    async def enter(self) -> T:
        self._entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._hold())
        try:
            await asyncio.wait((self._task, self._entered), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        if not self._entered.done():
            await self._task
        return self._entered.result()

    async def leave(self, *, failed: bool) -> None:
        if not failed:
            self._over.set()
            return await self._task
        self._task.cancel()
        await asyncio.wait({self._task})
        return None if self._task.cancelled() else self._task.result()

    async def _hold(self) -> None:
        async with self._manager as value:
            self._entered.set_result(value)
            await self._over.wait()
