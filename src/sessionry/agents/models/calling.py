"""The tool calls of an answer: approved, made, told in the log, and answered for the model, each exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from sessionry.agents.failures import failure
from sessionry.agents.models.resuming import Past, again
from sessionry.agents.models.talk import Call, Result
from sessionry.agents.models.tools import Tool, Toolbox, WrongArguments
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.errors import Fenced, SessionryError, StoreFailed
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo
from sessionry.ports import AgentContext, Decision

#: What the model is told of a call whose worker was lost.
INTERRUPTED = (
    "interrupted: the process that ran this tool was lost while it was at work, so it is not known what it did. "
    "Find out before you do it again."
)
#: Characters of an exception that the model is told.
LONGEST_PROBLEM = 4000


class Rules(NamedTuple):
    """How an agent's tools are called."""

    toolbox: Toolbox
    approval_timeout: float | None
    at_once: int


async def call_all(context: AgentContext, rules: Rules, calls: Sequence[Call], past: Past) -> tuple[Result, ...]:
    """The results in the order of the calls, which work at the same time. Fails when the log cannot be written."""
    room = asyncio.Semaphore(rules.at_once)
    tasks = [asyncio.create_task(_Calling(context, rules, call, past).result(room)) for call in calls]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class _Calling:
    def __init__(self, context: AgentContext, rules: Rules, call: Call, past: Past) -> None:
        self._context = context
        self._rules = rules
        self._call = call
        self._id = call.id
        self._tool = rules.toolbox.get(call.name)
        self._before = past.newest(call.id, context.run.attempt)
        self._was_asked = call.id in past.asked

    async def result(self, room: asyncio.Semaphore) -> Result:
        # The question is asked before anything is waited for, so that questions come in the order of the calls. It is asked
        # in every attempt: the store finds its decision by counting the questions of the same words.
        done = self._done()
        if done is not None:
            if self._was_asked:
                await self._asked()
            return done
        arguments, problem = self._arguments()
        decision = await self._asked() if problem is None else None
        async with room:
            if problem is not None:
                return await self._refused("validation_error", problem)
            if decision is not None and not decision:
                return await self._refused("policy_violation", _denial(decision))
            assert self._tool is not None, "an unknown one is a problem"
            return await self._work(self._tool, arguments)

    def _arguments(self) -> tuple[dict[str, object], str | None]:
        """What the tool is called with, or why it is not."""
        if self._tool is None:
            known = ", ".join(self._rules.toolbox.names()) or "none"
            return {}, f"there is no tool {self._call.name!r}; the tools are {known}"
        if self._call.problem is not None:
            return {}, self._call.problem
        try:
            return self._tool.arguments(self._call.input, self._context), None
        except WrongArguments as error:
            return {}, f"wrong arguments: {error}"

    async def _asked(self) -> Decision | None:
        """What a person says to it; None when nobody is asked."""
        if not self._was_asked and not self._rules.toolbox.asks(self._call.name):
            return None
        return await self._context.approve(
            self._call.name,
            self._call.input,
            tool_call_id=self._call.id,
            timeout=self._rules.approval_timeout,
        )

    def _done(self) -> Result | None:
        """The result that is in the log. An interrupted call is made again only when that does no harm."""
        if self._before is None:
            return None
        _, ending = self._before
        match ending:
            case ev.ToolCallCompleted(tool_output=output):
                return Result(self._call, told(output))
            case ev.ToolCallFailed(error=error):
                return Result(self._call, error.message, failed=True)
        if self._tool is not None and self._tool.idempotent:
            self._id = again(self._call.id, self._context.run.attempt)
            return None
        return Result(self._call, INTERRUPTED, failed=True)

    async def _refused(self, code: str, problem: str) -> Result:
        await self._context.emit(self._started(), self._failed(failure(code, problem)))
        return Result(self._call, problem, failed=True)

    async def _work(self, tool: Tool, arguments: dict[str, object]) -> Result:
        await self._context.emit(self._started())  # durable before it acts on the world
        began = time.monotonic()
        try:
            output = await tool.call(arguments)
        except (Fenced, StoreFailed):
            raise
        except Exception as error:
            seconds = round(time.monotonic() - began, 3)
            await self._context.emit(self._failed(_broken(error, seconds)))
            return Result(self._call, _broken(error, seconds).message, failed=True)
        await self._context.emit(
            ev.ToolCallCompleted(tool_call_id=self._id, tool_name=self._call.name, tool_output=output)
        )
        return Result(self._call, told(output))

    def _started(self) -> EventData:
        return ev.ToolCallStarted(tool_call_id=self._id, tool_name=self._call.name, tool_input=self._call.input)

    def _failed(self, error: ErrorInfo) -> EventData:
        return ev.ToolCallFailed(tool_call_id=self._id, tool_name=self._call.name, error=error)


def told(output: Json) -> str:
    """A tool's output as the model reads it."""
    if output is None:
        return "done"
    return output if isinstance(output, str) else encode_json(output)


def _denial(decision: Decision) -> str:
    who = "nobody decided in time" if decision.expired else f"denied by {decision.by or 'a person'}"
    return f"not allowed: {who}" + (f": {decision.note}" if decision.note else "")


def _broken(error: Exception, seconds: float) -> ErrorInfo:
    if isinstance(error, SessionryError):
        return failure(error.code, error.message, seconds=seconds)
    return failure("agent_failed", f"{type(error).__name__}: {error}"[:LONGEST_PROBLEM], seconds=seconds)
