"""A bus for everybody who shares one database: pokes of this process at once, those of other processes by polling.

Asking SQLite for its `data_version` costs microseconds, so 50 questions a second are cheaper than any second channel
between processes would be, and there is nothing to install, to connect or to lose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sessionry.domain.errors import StoreFailed

Listener = Callable[[Sequence[str] | None], None]

#: seconds between two questions to a store that keeps failing, at most
_LONGEST_PAUSE = 1.0


class PollBus:
    """Tells watchers about every poke, and "any session" (None) whenever the change token differs from the last one.

    One task asks for the token every `interval` seconds while anybody watches; there is none otherwise. The first answer
    counts as a change, so that nothing is missed between `watch` and that answer. Lives in one event loop.
    """

    def __init__(self, change_token: Callable[[], Awaitable[int]], interval: float = 0.02) -> None:
        self._change_token = change_token
        self._interval = interval
        self._listeners: dict[object, Listener] = {}
        self._task: asyncio.Task[None] | None = None

    def poke(self, session_ids: Sequence[str]) -> None:
        """Tell the watchers of this process, before it returns. Other processes see the change token."""
        if session_ids:
            self.tell(session_ids)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """See `ports.Bus`. Must be called in the event loop. An error of one listener does not reach the others."""
        watch = object()
        self._listeners[watch] = listener
        if self._task is None or self._task.done() or self._task.cancelling():
            self._task = asyncio.create_task(self._poll(), name="bus")

        def end() -> None:
            if self._listeners.pop(watch, None) is not None:
                self._rest()

        return end

    async def close(self) -> None:
        """End every watch, and wait until the task is gone."""
        self._listeners.clear()
        self._rest()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _rest(self) -> None:
        if not self._listeners and self._task is not None:
            self._task.cancel()

    def tell(self, session_ids: Sequence[str] | None) -> None:
        """Tell the watchers of this process, whoever it is that has written."""
        for listener in tuple(self._listeners.values()):
            try:
                listener(session_ids)
            except Exception as error:
                problem = {"message": "a listener on the bus failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(problem)

    async def _poll(self) -> None:
        last: int | None = None
        pause = self._interval
        while True:
            try:
                token = await self._change_token()
            except StoreFailed:
                # A new connection may count from anywhere: whatever it answers first is a change.
                last, pause = None, min(pause * 2, max(_LONGEST_PAUSE, self._interval))
            else:
                pause = self._interval
                if token != last:
                    last = token
                    self.tell(None)
            await asyncio.sleep(pause)
