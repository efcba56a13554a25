"""Work that blocks, in a thread of its own: never queued behind other work, as the loop's shared threads would have it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[[], T], *, daemon: bool) -> asyncio.Future[T]:
    """What comes of `work`. A thread cannot be stopped: cancelling the future only stops the waiting.

    The end of the interpreter waits for a thread that is no daemon, and abandons one that is.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def body() -> None:
        try:
            settle = _result(future, context.run(work))
        except StopIteration as error:  # a future refuses this one
            settle = _error(future, RuntimeError(f"StopIteration was raised: {error.value!r}"))
        except BaseException as error:
            settle = _error(future, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=body, daemon=daemon).start()
    return future


async def despite_cancellation(future: asyncio.Future[T]) -> T:
    """What comes of the future. Cancelling the caller takes effect only after that."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # seen, if there is one
        raise cancelled
    return future.result()


def _result(future: asyncio.Future[T], result: T) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(result)


def _error(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
