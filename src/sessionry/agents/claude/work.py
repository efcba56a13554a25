"""One process of Claude Code at work on one run: from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sessionry.agents.accounting import Account
from sessionry.agents.claude.asking import Asking
from sessionry.agents.claude.beginning import Beginning
from sessionry.agents.claude.folder import TEMPORARY, own_folder
from sessionry.agents.claude.hooks import Hooks
from sessionry.agents.claude.native import kept, message_uuid
from sessionry.agents.claude.options import Options
from sessionry.agents.claude.results import Bill, no_output, problem_of
from sessionry.agents.claude.talk import Frame, Talk
from sessionry.agents.claude.telling import Teller
from sessionry.agents.program import Program
from sessionry.domain.errors import AgentFailed, SessionryError
from sessionry.domain.events import AgentSessionLinked, EventData, RunCompleted, RunFailed
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext

#: Seconds that an interrupted agent has to say what its turn has cost before it is ended.
INTERRUPT = 1.0
#: Seconds that the program has to end after its input was closed.
FAREWELL = 5.0


class NotResumed(Exception):
    """The session that came is not the one that was asked for. Nothing was told yet."""


class Setup(NamedTuple):
    """What is started, for any attempt."""

    agent_id: str
    program: str
    version: str
    options: Options
    hooks: Hooks
    approval_timeout: float | None
    grace: float


class Work:
    """The events of one process. Raises `NotResumed` before any other event than that of the start."""

    def __init__(self, context: AgentContext, setup: Setup, beginning: Beginning, content: Json) -> None:
        self._context = context
        self._setup = setup
        self._beginning = beginning
        self._content = content
        self._env = setup.options.environment()
        self._teller = Teller(setup.agent_id)
        self._asking = Asking(context, setup.hooks, setup.approval_timeout)
        self._bill = Bill(Account.going_on(beginning.resume, priced=False))
        self._session_id: str | None = None
        self._result: Frame | None = None
        self._waiting_for: set[str] = set()
        self._sent = 0
        self._tells_of_messages = False
        self._state: str | None = None
        self._in_background = False

    async def events(self) -> AsyncGenerator[EventData, None]:
        async with own_folder(self._context.run) as folder, self._started(folder) as program:
            talk = Talk(program, self._asking.answer)
            try:
                await self._begin(program, talk)
                while not self._over and (frame := await talk.frame()) is not None:
                    for event in await self._take(frame):
                        yield event
                if self._result is None:
                    raise await (talk.refusal() if self._session_id is None else program.crash())
                await talk.quiet()
                program.close_stdin()
                async for event in self._farewell(talk):
                    yield event
            except (asyncio.CancelledError, GeneratorExit):
                await self._interrupt(program, talk)
                raise
            finally:
                await talk.close()
        async for event in self._ending():
            yield event

    # --- the way in ---

    def _started(self, folder: Path) -> AbstractAsyncContextManager[Program]:
        begin, setup = self._beginning, self._setup
        resume = begin.resume.id if begin.resume else None
        argv = setup.options.argv(setup.program, setup.hooks, folder, resume=resume, fork=begin.fork)
        env = {TEMPORARY: str(folder), **self._env}
        return Program.start(
            self._context, argv, cwd=self._context.cwd, env=env, version=setup.version, grace=setup.grace
        )

    async def _begin(self, program: Program, talk: Talk) -> None:
        try:
            await talk.request(**self._setup.options.initialize(self._setup.hooks))
            await self._say(talk, self._content)
        except AgentFailed as error:
            problem = await talk.refusal() if error.code == "crashed" else error
            if self._beginning.resume is not None and "No conversation found" in program.stderr:
                raise NotResumed("it is not there any more") from error
            raise problem from None
        talk.spawn("steering", partial(self._steer, talk))

    async def _say(self, talk: Talk, content: Json) -> None:
        id = message_uuid(self._context.run.id, self._context.run.attempt, self._sent)
        self._sent += 1
        self._waiting_for.add(id)
        await talk.say(content, id)

    async def _steer(self, talk: Talk) -> None:
        heard = list(self._beginning.earlier.heard)
        while True:
            said = await self._context.next_steering()
            if said in heard:  # by an earlier attempt
                heard.remove(said)
            else:
                await self._say(talk, said)

    # --- the work ---

    @property
    def _over(self) -> bool:
        """Nothing is to be waited for: no sub-agent in the background, no word that was said meanwhile."""
        if self._result is None:
            return False
        if self._result.get("is_error"):
            return True
        resting = self._state == "idle" if self._state else not self._in_background
        return resting and not (self._waiting_for and self._tells_of_messages)

    async def _take(self, frame: Frame) -> list[EventData]:
        match frame.get("type"), frame.get("subtype"):
            case "system", "init" if self._session_id is None:
                return [*await self._linked(frame), *self._teller.tell(frame)]
            case "system", "session_state_changed":
                self._state = str(frame.get("state"))
            case "system", "background_tasks_changed":
                self._in_background = bool(frame.get("tasks"))
            case "command_lifecycle", _:  # older versions do not have it
                self._tells_of_messages = True
                if frame.get("state") in ("completed", "cancelled", "discarded", "failed"):
                    self._waiting_for.discard(str(frame.get("command_uuid")))
            case "stream_event", _:
                return [*self._teller.tell(frame), *self._teller.after_words(self._bill.streamed(frame))]
            case "result", _:
                return list(self._turn(frame))
        return self._teller.tell(frame)

    async def _linked(self, frame: Frame) -> list[EventData]:
        """The proof that this is the session that was asked for; kept at once, so that a crash does not lose it."""
        id, native = str(frame["session_id"]), self._beginning.resume
        if native is not None and (id == native.id) == self._beginning.fork:
            raise NotResumed(f"Claude Code went on with session {id}")
        self._session_id = id
        report = self._beginning.report
        await self._context.emit(self._link(model=frame.get("model")), *([report] if report else []))
        return list(self._beginning.earlier.untold)

    def _link(self, *, model: str | None, items: int | None = None) -> AgentSessionLinked:
        native, fork = self._beginning.resume, self._beginning.fork
        return AgentSessionLinked(
            native_session_id=str(self._session_id),
            model=model,
            items=items,
            resumed=native is not None and not fork,
            forked_from=native.id if native is not None and fork else None,
        )

    def _turn(self, frame: Frame) -> Iterator[EventData]:
        self._result = frame
        yield from self._teller.rest()
        yield from self._bill.usage(frame, self._teller.model)
        yield from self._teller.turn_over(frame)

    # --- the way out ---

    async def _farewell(self, talk: Talk) -> AsyncGenerator[EventData, None]:
        """What it still says until it has ended; it writes its session meanwhile."""
        with suppress(TimeoutError, AgentFailed):
            deadline = asyncio.get_running_loop().time() + FAREWELL
            while True:
                async with asyncio.timeout_at(deadline):
                    frame = await talk.frame()
                if frame is None:
                    return
                if frame.get("type") == "system":
                    for event in self._teller.tell(frame):
                        yield event

    async def _interrupt(self, program: Program, talk: Talk) -> None:
        """Let it end its turn in its session, and keep what that has cost. Whatever fails here, the program is ended."""
        with suppress(Exception, asyncio.CancelledError):
            async with asyncio.timeout(INTERRUPT):
                await talk.quiet()
                if self._over:
                    program.close_stdin()
                else:
                    await talk.post(subtype="interrupt")
                while (frame := await talk.frame()) is not None:
                    if frame.get("type") == "result":
                        program.close_stdin()
                        await self._context.emit(*self._bill.usage(frame, self._teller.model))

    async def _ending(self) -> AsyncGenerator[EventData, None]:
        assert self._result is not None
        problem = problem_of(self._result, retry_after=self._teller.retry_after())
        output: Any = self._result.get("structured_output")
        if problem is None and self._setup.options.output_schema is not None and output is None:
            problem = no_output()
        if problem is None:
            for event in self._teller.open_calls():
                yield event
        if self._session_id is not None:
            with suppress(OSError, SessionryError):
                session = await kept(self._session_id, self._env)
                if session is not None and session.items is not None:
                    yield self._link(model=self._teller.model, items=session.items)
        if problem is not None:
            yield RunFailed(error=problem)
            return
        text = str(self._result.get("result") or self._teller.said or self._beginning.earlier.said or "")
        yield RunCompleted(text=text, output=output, stop_reason=self._result.get("stop_reason"))
