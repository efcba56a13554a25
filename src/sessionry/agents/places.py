"""How many programs run at once: a worker has so many places, and who comes too many waits in line, in order.

The limit is the worker's and no agent's, so it does not go through the agents' hands: an attempt steps into its `Line`,
and whatever starts a program for that attempt finds the line there. Outside of any line there is no limit.
A program keeps its place while its agent waits for a person. An agent that needs two programs at once needs two places.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

_line: ContextVar[Line | None] = ContextVar("sessionry_line", default=None)


class Places:
    """The places of one worker; `most` None: as many as are wanted."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.free = None if most is None else asyncio.Semaphore(most)


class Line:
    """An attempt's way to the places of its worker."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._standing = 0

    @property
    def waiting(self) -> bool:
        """The attempt stands in line for a place."""
        return self._standing > 0

    def enter(self) -> None:
        """What this task, and the tasks that it begins, start from now on stands in this line."""
        _line.set(self)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        if self._places.free is None:
            yield
            return
        self._standing += 1
        try:
            await self._places.free.acquire()
        finally:
            self._standing -= 1
        try:
            yield
        finally:
            self._places.free.release()


@asynccontextmanager
async def place() -> AsyncIterator[None]:
    """A place for one program, for as long as the block lasts."""
    line = _line.get()
    if line is None:
        yield
        return
    async with line.place():
        yield
