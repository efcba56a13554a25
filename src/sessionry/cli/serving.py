"""`sessionry worker`: works on what waits in the store, tells what it does, and leaves in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from sessionry.cli.asynchronous import ENDING
from sessionry.cli.identify import find_async
from sessionry.cli.render import by_status, one_line
from sessionry.domain import events as ev
from sessionry.domain.run import DEFAULT_QUEUE
from sessionry.ports import Steps, Wanted
from sessionry.store.address import without_password
from sessionry.store.operations import leases, reading
from sessionry.store.transaction import reads

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation
    from sessionry.domain.events import Event
    from sessionry.runtime.sessions import Sessions
    from sessionry.runtime.worker import Worker

#: Seconds between two looks whether the queue is empty, when no event comes.
_LOOK = 0.5
_TOLD: tuple[type[ev.EventData], ...] = (ev.RunStarted, *ev.RUN_ENDINGS, ev.WorkerLost)


class Serving:
    """A worker until it is told to leave, or with `once` until nothing is left to do; `options` as of `open_sessions`.

    It waits for the runs that are at work then, for `grace` seconds at most if that is given, and gives back the rest.
    `health`: the address at which to tell how it is.
    """

    def __init__(
        self,
        invocation: Invocation,
        *,
        once: bool,
        grace: float | None = None,
        health: tuple[str, int] | None = None,
        **options: Any,
    ) -> None:
        self._invocation = invocation
        self._output = invocation.output
        self._options = options
        self._once = once
        self._grace = grace
        self._health = health
        self._code: int | None = None
        self._leaving = asyncio.Event()
        self._mine: set[str] = set()  # the runs that were begun here

    async def work(self, only: Sequence[str]) -> int:
        bound = frozenset[str]() if only else None
        async with AsyncExitStack() as stack:
            opening = self._invocation.open_async(only=bound, grace=0.0, **self._options)
            sessions = await stack.enter_async_context(opening)
            assert sessions.worker is not None
            await stack.enter_async_context(self._telling_how_it_is(sessions.worker, sessions))
            ids = [await find_async(sessions, text, "session") for text in only]
            after = await sessions.execute(reading.last_position())
            where = f"{without_password(self._invocation.settings.store)}{_narrowed(sessions.worker)}"
            self._output.note(f"{sessions.worker.id} works on {where}")
            for id in ids:
                sessions.worker.admit(id)
            telling = asyncio.create_task(self._tell(sessions, sessions.worker, after))
            leaving = asyncio.create_task(self._until_done(sessions, sessions.worker))
            told = asyncio.create_task(self._until_told(sessions.worker))
            try:
                await asyncio.wait([telling, leaving], return_when=asyncio.FIRST_COMPLETED)
                if telling.done():
                    telling.result()
                await self._drain(sessions.worker)
            finally:
                for task in (telling, leaving, told):
                    task.cancel()
                await asyncio.wait([telling, leaving, told])
        # who is told to end and does so in order has succeeded; only a person at the keyboard has interrupted it
        return 130 if self._code == ENDING[signal.SIGINT] else 0

    def interrupted(self, number: signal.Signals, end: Callable[[], None]) -> None:
        if self._code is not None:
            return end()
        self._code = ENDING[number]
        self._leaving.set()
        return self._output.note("takes no more runs; once more gives back those at work and leaves")

    @asynccontextmanager
    async def _telling_how_it_is(self, worker: Worker, sessions: Sessions) -> AsyncIterator[None]:
        if self._health is None:
            yield
            return
        from sessionry.runtime.health import Health

        host, port = self._health
        async with Health(worker, sessions.store).listening(host, port) as port:
            self._output.note(f"tells how it is at http://{f'[{host}]' if ':' in host else host}:{port}/readyz")
            yield

    async def _drain(self, worker: Worker) -> None:
        if not await worker.drain(self._grace):
            self._output.note(f"gives back what has not ended in {self._grace:g} s: {worker.at_work} runs")

    async def _until_told(self, worker: Worker) -> None:
        """Somebody has asked from afar that it leaves."""
        await worker.told_to_drain.wait()
        if not self._leaving.is_set():
            self._leaving.set()
            self._output.note("was told to drain: takes no more runs, and leaves when those at work have ended")

    async def _until_done(self, sessions: Sessions, worker: Worker) -> None:
        while not self._leaving.is_set():
            if self._once and not await sessions.execute(_has_work(worker.id, worker.wanted)):
                return
            try:
                async with asyncio.timeout(_LOOK if self._once else None):
                    await self._leaving.wait()
            except TimeoutError:
                continue

    async def _tell(self, sessions: Sessions, worker: Worker, after: int) -> None:
        """A line for what this worker begins, and for how it ends."""
        async with aclosing(sessions.events(after=after, follow=True)) as events:
            async for event in events:
                if isinstance(event.data, ev.RunStarted) and event.data.worker_id == worker.id:
                    self._mine.add(str(event.run_id))
                if isinstance(event.data, _TOLD) and event.run_id in self._mine:
                    self._show(event)

    def _show(self, event: Event) -> None:
        if self._output.json:
            self._output.object(event.to_dict())
            self._output.flush()
            return
        status = event.data.type.removeprefix("run_").replace("_", " ")
        why = one_line(event.data.error.message) if isinstance(event.data, ev.RunFailed) else ""
        line = f"{self._output.style(f'{status:<9}', **by_status(status))}  {event.run_id}  {event.session_id}  {why}"
        self._output.line(line.rstrip())
        self._output.flush()


def _narrowed(worker: Worker) -> str:
    """Which runs it takes, unless it is one that takes what any worker does."""
    chosen, wanted = worker.options.agents, worker.wanted
    if chosen is None and list(wanted.queues) == [DEFAULT_QUEUE]:
        return ""
    agents = "all agents" if chosen is None else ", ".join(wanted.agents)
    return f" and takes {agents} in {', '.join(wanted.queues)}"


@reads
def _has_work(worker_id: str, wanted: Wanted) -> Steps[bool]:
    """Whether the worker has something in hand or could begin something, seen at one moment."""
    in_hand = yield "select 1 from sessionry_run where worker = ? limit 1", (worker_id,)
    if in_hand:
        return True
    return bool((yield from leases.ready(wanted, 1).steps()))
