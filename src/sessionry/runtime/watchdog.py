"""The watchdog of an attempt: it sees when the run's time is over, and when nothing has been heard of the agent too long.

Silence is the time since the agent last said anything. A tool at work is silence too, since nobody can tell a long one
from one that hangs; `run_stalled` names it. Waiting for a person, or in line for a place to start a program, is not, nor
is the time for which the model's provider asked to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from sessionry.domain import events as ev
from sessionry.domain.errors import CODES, SessionryError
from sessionry.domain.events import EventData
from sessionry.domain.records import to_microseconds, utc_now
from sessionry.domain.run import ErrorInfo, OnStall, Run
from sessionry.store.log import deadline_of

#: Seconds between two looks, at most and at least.
SELDOM, OFTEN = 1.0, 0.005
#: Told of an agent that was cancelled and works on.
LEFT_BEHIND = "the agent did not stop in time and was left behind"


class Stop(StrEnum):
    """Why an attempt is stopped from outside."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    IDLE = "idle"
    STALLED = "stalled"
    SHUTDOWN = "shutdown"
    LOST = "lost"


class Watchdog:
    """Watches one attempt. `stop` stops it, `tell` appends to its log, `waiting` says that silence is not the agent's."""

    def __init__(
        self,
        run: Run,
        *,
        stop: Callable[[Stop], None],
        tell: Callable[[EventData], Awaitable[None]],
        waiting: Callable[[], bool],
    ) -> None:
        options, facts = run.options, run.agent
        self._stop = stop
        self._tell = tell
        self._waiting = waiting
        deadline = deadline_of(run)
        self._over_at: float | None = None
        if deadline is not None:
            self._over_at = time.monotonic() + (deadline - to_microseconds(utc_now())) / 1_000_000
        self._idle = options.idle_timeout
        self._stall_after = options.stall_after or (facts.stall_after if facts else None)
        self._on_stall = options.on_stall or (facts.on_stall if facts else None) or OnStall.TELL
        self._open_calls: dict[str, str] = {}
        self._silent_since = time.monotonic()
        self._excused_until = self._silent_since
        self._next_stall = self._stall_after

    def heard(self, data: EventData | None = None) -> None:
        """The agent has said something, or asked."""
        self._silent_since = time.monotonic()
        self._excused_until = self._silent_since
        self._next_stall = self._stall_after
        if isinstance(data, ev.RateLimited):
            self._excused_until += data.retry_after or 0.0
        elif isinstance(data, ev.ToolCallStarted):
            self._open_calls[data.tool_call_id] = data.tool_name
        elif isinstance(data, ev.ToolCallCompleted | ev.ToolCallFailed | ev.ToolCallInterrupted):
            self._open_calls.pop(data.tool_call_id, None)

    async def watch(self) -> None:
        """Until there is nothing more to watch for."""
        pause = await self._look()  # at once: what is over before it begins does not begin
        while pause is not None:
            await asyncio.sleep(min(max(pause, OFTEN), SELDOM))
            pause = await self._look()

    async def _look(self) -> float | None:
        """Seconds until something may be due; None when nothing can be any more."""
        if self._waiting():
            self.heard()
        now = time.monotonic()
        silence = now - self._silent_since
        due: list[tuple[float, Stop]] = []
        if self._over_at is not None:
            due.append((self._over_at - now, Stop.TIMEOUT))
        if self._idle is not None:
            due.append((self._idle - silence, Stop.IDLE))
        if self._next_stall is not None:
            due.append((self._next_stall - (now - self._excused_until), Stop.STALLED))
        if not due:
            return None
        pause, why = min(due)
        if pause > 0:
            return pause
        if why is not Stop.STALLED or await self._stalled(silence):
            self._stop(why)
            return None
        return 0.0

    async def _stalled(self, silence: float) -> bool:
        """Tell it, and again when the silence is twice as long. True when the run is to fail of it."""
        assert self._next_stall is not None
        self._next_stall *= 2
        call, name = next(reversed(self._open_calls.items()), (None, None))
        try:
            await self._tell(ev.RunStalled(seconds=round(silence, 3), tool_call_id=call, tool_name=name))
        except SessionryError:
            return False  # the emitter has stopped the attempt already
        return self._on_stall is OnStall.FAIL

    def stalled_ending(self, *, left_behind: bool) -> ev.RunFailed:
        """The end of a run that failed of its silence."""
        tool = next(reversed(self._open_calls.values()), None)
        where = f" while {tool} was at work" if tool else ""
        error = ErrorInfo(
            code="stalled",
            message=f"nothing was heard of the agent for {self._stall_after:g} s{where}"
            + (f"; {LEFT_BEHIND}" if left_behind else ""),
            retryable=CODES["stalled"].retryable,
            details={"stall_after": self._stall_after} | ({"tool_name": tool} if tool else {}),
        )
        return ev.RunFailed(error=error)
