"""The handlers of a dispatch that are at work, one for each run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Hands:
    """Each handler is a task of its own, so it goes on when whoever started it ends. `freed` is told when one has ended."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._at_work: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._at_work

    def __len__(self) -> int:
        return len(self._at_work)

    def start(self, run_id: str, handle: Callable[[], Awaitable[None]]) -> None:
        """Have the run handled. An error of a handler is told to the event loop and to nobody else."""

        async def work() -> None:
            await handle()

        task = asyncio.create_task(work(), name=f"run {run_id}")
        self._at_work[run_id] = task
        task.add_done_callback(lambda done: self._ended(run_id, done))

    async def ended(self, run_id: str) -> None:
        """Return when the handler of that run has ended, if there is one."""
        if (task := self._at_work.get(run_id)) is not None:
            await asyncio.wait([task])

    async def idle(self) -> None:
        """Return when no handler is at work."""
        while self._at_work:
            await asyncio.wait(list(self._at_work.values()))

    def abandon(self) -> None:
        """Cancel the handlers that are at work."""
        for task in self._at_work.values():
            task.cancel()

    def _ended(self, run_id: str, task: asyncio.Task[None]) -> None:
        del self._at_work[run_id]
        self._freed()
        if not task.cancelled() and (error := task.exception()) is not None:
            problem = {"message": f"run {run_id} could not be handled", "exception": error, "task": task}
            task.get_loop().call_exception_handler(problem)
