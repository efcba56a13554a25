"""One attempt at one run: the agent is driven, bounded and stopped here, and the run gets its one end.

Whatever happens, `execute` leaves the run in one of three ways: ended by a terminal event under its lease; given back to
the queue, because this process shuts down or feared for its lease; or untouched, because the lease is no longer ours.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from sessionry.agents.catalog import negotiate
from sessionry.agents.places import Line, Places
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.errors import AgentFailed, Fenced, InvalidInput, NotFound, SessionryError, StoreFailed
from sessionry.domain.events import EventData
from sessionry.domain.frames import Frames
from sessionry.domain.json_values import Json, json_value
from sessionry.domain.redaction import Redactor
from sessionry.domain.run import CancelMode, ErrorInfo
from sessionry.ports import Agent, Blobs, Store
from sessionry.runtime.aside import aside, length_of
from sessionry.runtime.context import Context
from sessionry.runtime.controls import Controls
from sessionry.runtime.door import admitted, admitted_end, kept_frame
from sessionry.runtime.emitter import Emitter, patiently
from sessionry.runtime.identity import Identity
from sessionry.runtime.offload import Offload
from sessionry.runtime.redacting import Speech
from sessionry.runtime.watchdog import LEFT_BEHIND, Stop, Watchdog
from sessionry.store.operations import leases, recovery
from sessionry.store.operations.leases import Lease

D = TypeVar("D", bound=EventData)

#: Seconds that an agent has to obey a cancellation before it is left behind.
CANCEL_GRACE = 10.0
#: Seconds for which the end of a run is offered to a failing store.
FINISH_PATIENCE = 30.0
#: Characters that the log keeps of an exception, and of each of its details.
LONGEST_MESSAGE = 4096
MOST_DETAILS = 32


class Tools(NamedTuple):
    """What every execution of a worker shares."""

    store: Store
    blobs: Blobs
    cancel_grace: float = CANCEL_GRACE
    places: Places = Places()
    #: None keeps everything as it is said
    redactor: Redactor | None = None


class Execution:
    """The attempt that a lease allows. `execute` once; `stop` and `poke` at any time."""

    def __init__(self, tools: Tools, lease: Lease, agent: Agent) -> None:
        self.lease = lease
        self._tools = tools
        self._agent = agent
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._failure: SessionryError | None = None
        self._said: str | None = None
        self._line = Line(tools.places)
        self._speech = None if tools.redactor is None else Speech(tools.redactor)
        self._frames = None if tools.redactor is None else Frames(tools.redactor)
        self._frame_count = 0
        #: of what is redacted in pieces, one piece at a time
        self._redacting = asyncio.Lock()
        identity = Identity(lease.scope, lease.session.id, lease.run.id)
        self._controls = Controls(
            tools.store,
            identity,
            lease.fence,
            cancelled=lambda: self.stop(Stop.CANCEL),
            lost=lambda: self.stop(Stop.LOST),
        )
        self._context: Context | None = None
        self._watchdog: Watchdog | None = None

    @property
    def waiting(self) -> bool:
        """The agent waits for a person."""
        return self._context is not None and self._context.questions > 0

    def poke(self) -> None:
        self._controls.poke()

    def stop(self, why: Stop) -> None:
        """Stop the agent. The first reason counts, but a lost lease overrules them all."""
        if self._stop is None or why is Stop.LOST:
            self._stop = why
        self._stopped.set()

    async def execute(self) -> None:
        """Work the run to its end. Raises `StoreFailed` when even the end could not be written; then its worker, at the
        next heartbeat, or the sweeper takes the run over.
        """
        lease = self.lease
        emitter = Emitter(
            self._tools.store,
            lease.run.id,
            lease.fence,
            lease.seq,
            Offload(self._tools.blobs),
            failed=self._emitter_failed,
        )
        try:
            ending = await self._attempt(emitter)
            if ending is not None:
                await self._finish(ending)
            elif self._stop is Stop.SHUTDOWN:
                await self._say_rest(emitter)
                await emitter.flush()
                await self._give_back("shutdown")
            elif not isinstance(self._failure, Fenced):
                await self._give_back("abandoned")  # the lease could not be renewed, and may go on all the same
        except (Fenced, NotFound):
            return  # the run belongs to another worker, which writes its end; or it was purged
        finally:
            await emitter.close()

    async def _give_back(self, reason: str) -> None:
        await self._tools.store.execute(recovery.give_back(self.lease.run.id, self.lease.fence, reason))

    def _emitter_failed(self, error: SessionryError) -> None:
        self._failure = error
        self.stop(Stop.LOST if isinstance(error, Fenced) else Stop.CANCEL)

    async def _attempt(self, emitter: Emitter) -> EventData | None:
        """The terminal event of this attempt; None when it has none to give."""
        watching = asyncio.create_task(self._controls.watch(), name=f"controls {self.lease.run.id}")
        dog = self._watchdog = Watchdog(
            self.lease.run, stop=self.stop, tell=emitter.put, waiting=lambda: self.waiting or self._line.waiting
        )
        timing = asyncio.create_task(dog.watch(), name=f"watchdog {self.lease.run.id}")
        driving = asyncio.create_task(self._drive(emitter), name=f"agent {self.lease.run.id}")
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait([driving, stopping], return_when=asyncio.FIRST_COMPLETED)
            in_time = driving.done()
            if not in_time:
                driving.cancel()
                await asyncio.wait([driving], timeout=self._tools.cancel_grace)
            ending = self._outcome(driving, in_time=in_time)
            timing.cancel()  # what it would tell now came after the end
            if ending is not None:
                ending = await self._flushed(emitter, ending)
            return ending
        finally:
            for task in (watching, timing, stopping):
                task.cancel()
            await asyncio.wait([watching, timing, stopping])
            if not driving.done():
                driving.cancel()
                driving.add_done_callback(_ignore)

    async def _drive(self, emitter: Emitter) -> EventData:
        """Let the agent work; its terminal event, or the one that follows from how it returned."""
        with suppress(StoreFailed):  # the watch will look again
            await self._controls.look()
        self._obey()
        self._line.enter()
        context = self._context = Context(
            self._tools.store,
            self.lease,
            self._cwd(),
            emitter,
            self._controls,
            self._tools.blobs,
            say=lambda data: self._say(emitter, data),
            say_rest=lambda: self._say_rest(emitter),
            keep=lambda source, frame, anew: self._keep(emitter, source, frame, anew=anew),
            redactor=self._tools.redactor,
            asked=self._heard,
            stopping=lambda: self._stop is not None,
        )
        try:
            negotiate(self._agent, self.lease.run.options.required_capabilities)  # who queued it may not know the agent
            # Every agent here is an async generator; the port asks for no more than an iterator.
            events = self._agent.run(context)
            if not hasattr(events, "aclose"):
                return await self._follow(events, emitter)
            async with aclosing(cast("aclosing[AsyncIterator[EventData]]", events)):  # type: ignore[type-var]
                return await self._follow(events, emitter)
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio would end the whole worker. Ctrl-C is none of these: it comes as a cancellation of the main task.
            raise AgentFailed("agent_misbehaved", f"the agent raised {error!r}, as if to end its worker") from error

    async def _follow(self, events: AsyncIterator[EventData], emitter: Emitter) -> EventData:
        async for data in events:
            if isinstance(data, ev.RUN_ENDINGS):
                return admitted_end(data)
            await self._say(emitter, data)
            self._obey()
        return ev.RunCompleted(text=self._said)

    async def _say(self, emitter: Emitter, data: EventData) -> None:
        """Everything that the agent yields or emits comes through here."""
        data = admitted(data)
        self._heard(data)
        for item in [data] if self._speech is None else await self._redacted(self._speech.heard, data):
            await emitter.put(item)
            data = item  # the last one is what was said, without secrets
        if isinstance(data, ev.MessageReceived) and data.parent_tool_call_id is None:
            self._said = data.text
        if isinstance(data, ev.TurnCompleted):
            await self._keep_rest(emitter)
            if self._controls.cancel_mode is CancelMode.AFTER_TURN:
                self.stop(Stop.CANCEL)

    async def _say_rest(self, emitter: Emitter) -> None:
        """The ends of texts that were kept back since they might have become secrets."""
        for item in [] if self._speech is None else await self._redacted(self._speech.rest):
            await emitter.put(item)
        await self._keep_rest(emitter)

    async def _keep(self, emitter: Emitter, source: str, frame: Json, *, anew: bool) -> None:
        """What a provider sent. No word of the agent: it breaks no silence, and ends no run."""
        self._frame_count += 1
        data = kept_frame(source, self._frame_count, frame)
        frames = self._frames
        for item in [data] if frames is None else await self._redacted(partial(frames.received, anew=anew), data):
            await emitter.put(item)

    async def _keep_rest(self, emitter: Emitter) -> None:
        for item in [] if self._frames is None else await self._redacted(self._frames.rest):
            await emitter.put(item)

    async def _redacted(self, work: Callable[..., list[D]], *data: D) -> list[D]:
        """What can be told now, of what an agent said or a provider sent."""
        async with self._redacting:
            return await aside(length_of(data), partial(work, *data))

    def _heard(self, data: EventData | None = None) -> None:
        if self._watchdog is not None:
            self._watchdog.heard(data)

    def _obey(self) -> None:
        """An agent that is to be stopped is not asked for more."""
        if self._stop is not None:
            raise asyncio.CancelledError

    def _cwd(self) -> Path:
        cwd = self.lease.session.cwd
        try:
            path = Path(cwd) if cwd else Path.cwd()
        except FileNotFoundError:
            raise _no_folder(
                "the worker's own folder is gone; start it again elsewhere, or give the session a cwd"
            ) from None
        if not path.is_dir():
            raise _no_folder(f"the session's cwd {path} is no directory; update the session")
        return path

    def _outcome(self, driving: asyncio.Task[EventData], *, in_time: bool) -> EventData | None:
        """What the stopped or returned agent means for the run. A result counts when it came before the stop."""
        if self._stop is Stop.LOST:
            return None
        error = driving.exception() if driving.done() and not driving.cancelled() else None
        if in_time and not driving.cancelled():
            return driving.result() if error is None else ev.RunFailed(error=error_info(error))
        if self._failure is not None:
            return ev.RunFailed(error=error_info(self._failure))
        return self._stopped_ending(left_behind=not driving.done())

    def _stopped_ending(self, *, left_behind: bool) -> EventData | None:
        options = self.lease.run.options
        match self._stop:
            case Stop.TIMEOUT:
                return recovery.overdue_ending(self.lease.run)
            case Stop.IDLE:
                return ev.RunTimeout(limit="idle_timeout", seconds=options.idle_timeout)
            case Stop.STALLED if self._watchdog is not None:
                return self._watchdog.stalled_ending(left_behind=left_behind)
            case Stop.SHUTDOWN:
                return None
            case Stop.CANCEL:
                reason = self._controls.cancel_reason
                return ev.RunCancelled(reason=f"{reason or 'cancelled'}; {LEFT_BEHIND}" if left_behind else reason)
        return ev.RunFailed(error=ErrorInfo(code="agent_failed", message="the agent was cancelled from inside"))

    async def _flushed(self, emitter: Emitter, ending: EventData) -> EventData:
        """The end as it can be stored. Nothing that the agent said may be missing before it: then the run has failed."""
        try:
            await self._say_rest(emitter)
            await emitter.flush()
            if (redactor := self._tools.redactor) is not None:
                ending = await aside(length_of(ending), partial(redactor.event, ending))
            return await emitter.slimmed(ending)
        except Fenced:
            raise
        except SessionryError as error:
            return ev.RunFailed(error=error_info(error))

    async def _finish(self, ending: EventData) -> None:
        """Write the end. A cancellation of this task does not reach it, and a store that fails is asked again."""
        finish = partial(self._tools.store.execute, leases.finish(self.lease.run.id, self.lease.fence, ending))
        await asyncio.shield(asyncio.ensure_future(patiently(finish, FINISH_PATIENCE)))


def _no_folder(problem: str) -> InvalidInput:
    return InvalidInput("validation_error", problem, details={"path": "cwd"})


def error_info(error: BaseException) -> ErrorInfo:
    """What the log keeps of an exception: our own codes as they are, anything else as `agent_failed` with its origin."""
    if isinstance(error, SessionryError):
        details = {_text(name): _json(value) for name, value in islice(error.details.items(), MOST_DETAILS)}
        return ErrorInfo(code=error.code, message=_text(error.message), retryable=error.retryable, details=details)
    last = traceback.extract_tb(error.__traceback__)[-3:]
    where = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in last]
    return ErrorInfo(
        code="agent_failed",
        message=f"{type(error).__name__}: {_text(error)}",
        details={"where": list(map(_text, where))},
    )


def _text(value: object) -> str:
    """`str(value)` as any log can hold it, also when it is very long or cannot be told."""
    try:
        text = str(value)
    except Exception:
        text = f"<a {type(value).__name__} that does not tell what it is>"
    return text[:LONGEST_MESSAGE].encode("utf-8", "backslashreplace").decode()


def _json(value: object) -> Json:
    try:
        copied = json_value(value, "details")
        return copied if len(encode_json(copied)) <= LONGEST_MESSAGE else _text(encode_json(copied))
    except InvalidInput:
        return _text(value)


def _ignore(task: asyncio.Task[EventData]) -> None:
    """An agent that was left behind has nobody to tell how it ended."""
    if not task.cancelled():
        task.exception()
