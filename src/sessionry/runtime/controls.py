"""What others do to a run while it works: cancel it, steer it, answer its questions, take it over. All of it is read
from the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from sessionry.domain import events as ev
from sessionry.domain.errors import StoreFailed
from sessionry.domain.events import Event
from sessionry.domain.run import CancelMode
from sessionry.ports import Store
from sessionry.runtime.identity import Identity
from sessionry.store.operations import reading

_TYPES = (
    ev.RunCancelRequested.type,
    ev.InputReceived.type,
    ev.ToolApprovalGranted.type,
    ev.ToolApprovalDenied.type,
    ev.ApprovalExpired.type,
    ev.WorkerLost.type,
)
#: Seconds between two looks at the log, at least; and at most, when no poke comes.
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
#: And at least, as long as pokes come all the time and nothing is found. What the run itself appends pokes too: with
#: shorter pauses, a hundred busy runs spent more on reading their logs than on writing them.
BUSY_PAUSE = 0.2


class Controls:
    """Watches the log of one run for commands, from `run_queued` on, so that nothing said early is missed."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        fence: int,
        *,
        cancelled: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self.cancel_mode: CancelMode | None = None
        self.cancel_reason: str | None = None
        self._store = store
        self._identity = identity
        self._fence = fence
        self._on_cancel = cancelled
        self._on_loss = lost
        self._seen = 0
        #: the watch and the beginning of an attempt look at the same time
        self._looking = asyncio.Lock()
        self._poked = asyncio.Event()
        self._steering: deque[str] = deque()
        self._steered = asyncio.Event()
        self._answers: dict[str, asyncio.Event] = {}

    def poke(self) -> None:
        """The log may have grown."""
        self._poked.set()

    async def watch(self) -> None:
        """Follow the commands until cancelled."""
        pause = SHORTEST_PAUSE
        while True:
            self._poked.clear()
            found = False
            with suppress(StoreFailed):  # the next look finds it; the emitter decides whether the store is lost
                found = await self.look()
            await asyncio.sleep(pause)
            pause = min(pause * 2, BUSY_PAUSE) if self._poked.is_set() and not found else SHORTEST_PAUSE
            try:
                async with asyncio.timeout(LONGEST_PAUSE):
                    await self._poked.wait()
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """Take the commands that came since the last look; whether there were any."""
        scope, session_id, run_id = self._identity
        async with self._looking:
            looking = reading.commands(scope, session_id, run_id, _TYPES, self._seen)
            found, self._seen = await self._store.execute(looking)
        for event in found:
            self._take(event)
        return bool(found)

    def _take(self, event: Event) -> None:
        match event.data:
            case ev.RunCancelRequested(mode=mode, reason=reason):
                self.cancel_mode, self.cancel_reason = mode, reason
                if mode is CancelMode.NOW:
                    self._on_cancel()
            case ev.InputReceived(text=text):
                self._steering.append(text)
                self._steered.set()
            case ev.ToolApprovalGranted(approval_id=id) | ev.ToolApprovalDenied(approval_id=id):
                self.answer(id).set()
            case ev.ApprovalExpired(approval_id=id):
                self.answer(id).set()
            case ev.WorkerLost() if event.fence > self._fence:
                self._on_loss()

    def answer(self, approval_id: str) -> asyncio.Event:
        """Set once the question has its answer."""
        return self._answers.setdefault(approval_id, asyncio.Event())

    def steering(self) -> list[str]:
        said = list(self._steering)
        self._steering.clear()
        self._steered.clear()
        return said

    async def next_steering(self) -> str:
        while not self._steering:  # another one may have taken it
            await self._steered.wait()
        text = self._steering.popleft()
        if not self._steering:
            self._steered.clear()
        return text
