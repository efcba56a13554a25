"""`sessionry run` against a server: the run is worked on there, and shown here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from sessionry.cli.missing import missed_by
from sessionry.cli.running import EXIT_CODES, submitted
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput, SessionryError

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation
    from sessionry.cli.submitting import Order
    from sessionry.runtime.handles import RunHandle


class Followed:
    """A run on a server, with somebody who waits for its end here."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._run: RunHandle | None = None
        self._code: int | None = None
        self._cancelling: asyncio.Task[Any] | None = None

    async def work(self, order: Order, session: str | None, about: dict[str, Any], *, detach: bool) -> int:
        output = self._invocation.output
        async with self._invocation.open_async(worker=False) as sessions:
            if order.agent is None and session is None and sessions.catalog.default is None:
                raise InvalidInput(
                    "validation_error",
                    "no agent is named, and the server has no default; name one with --agent",
                    details={"path": "agent"},
                )
            handle, self._run = await submitted(sessions, output, order, session, about, local=False)
            if detach:
                run = await self._run.get()
                output.object(run.to_dict()) if output.json else output.line(run.id)
                output.note(f"goes on at the server; `sessionry watch {handle.id}` shows it")
                return 0
            if missed := await missed_by(sessions, handle):
                output.note(missed)
            status = await self._follow(self._run)
            return self._code or EXIT_CODES[status]

    async def _follow(self, run: RunHandle) -> str:
        show = self._shower()
        async with aclosing(run.events()) as events:
            async for event in events:
                show(event)
                self._invocation.output.flush()
                if isinstance(event.data, ev.RUN_ENDINGS):
                    return event.data.type.removeprefix("run_")
        return (await run.get()).status

    def _shower(self) -> Callable[[ev.Event], None]:
        output = self._invocation.output
        if output.json:
            return lambda event: output.object(event.to_dict())
        from sessionry.cli.live import LiveView, Screen

        return LiveView(output, Screen(output)).show

    def interrupted(self, number: signal.Signals, end: Callable[[], None]) -> None:
        """The first time: cancel the run, and wait for its end. The second time: leave, and let it go on."""
        from sessionry.cli.asynchronous import ENDING

        if self._run is None or self._code is not None:
            return end()
        self._code = ENDING[number]
        self._invocation.output.note("cancelling the run; Ctrl-C again leaves at once")
        self._cancelling = asyncio.create_task(self._cancel(self._run))
        return None

    async def _cancel(self, run: RunHandle) -> None:
        try:
            await run.cancel(reason="interrupted")
        except SessionryError as error:
            if error.code != "invalid_transition":  # it has just ended by itself
                self._invocation.output.note(f"not cancelled: {error.message}")
