"""The same question, asked by many at the same time, is put once, and all get the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Together(Generic[K, T]):
    """Questions under way, by what tells them apart."""

    def __init__(self, put: Callable[[K], Awaitable[T]]) -> None:
        self._put = put
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def ask(self, question: K) -> T | None:
        """The answer, or whatever it failed with; None when `close` came first. The answer is shared: leave it as it is."""
        task = self._tasks.get(question)
        if task is None:
            task = self._tasks[question] = asyncio.ensure_future(self._put(question))
            task.add_done_callback(partial(self._forget, question))
        await asyncio.wait([task])  # unlike awaiting it, one that is cancelled does not take the others with it
        return None if task.cancelled() else task.result()

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _forget(self, question: K, task: asyncio.Task[T]) -> None:
        del self._tasks[question]
        if not task.cancelled():
            task.exception()  # nobody may be left to see it
