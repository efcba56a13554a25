"""The scripted agent: plays a script of words, tool calls, approvals, delays and failures. For demos, tests and docs."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from sessionry.agents import script as st
from sessionry.agents.prompts import prompt_of
from sessionry.domain import events as ev
from sessionry.domain.errors import CODES, InvalidInput
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, ErrorInfo, Takeover
from sessionry.ports import AgentContext, Capability, Decision

Events = AsyncGenerator[EventData, None]
_ABLE = ("streaming", "reasoning", "tools", "files", "approvals", "steer", "turns", "resume", "usage", "cost")


class ScriptedAgent:
    """Plays `script`: a list of steps, the text of one, a path, or the name of a ready one; or the script in `file`.

    Every finished step leaves a `step_completed` in the log, so another attempt goes on in the very step, and in a message
    at the very word, where the last one ended. `pace` stretches all delays: 0 plays without any.
    """

    def __init__(
        self,
        script: str | Path | Sequence[Json] | None = None,
        *,
        id: str = "scripted",
        file: Path | None = None,
        pace: float = 1.0,
        takeover: Takeover = Takeover.RESUME,
        takeover_waiting: Takeover = Takeover.RESUME,
    ) -> None:
        if script is not None and file is not None:
            raise InvalidInput("invalid_configuration", "give a script or a file, not both", details={"option": "file"})
        if not 0 <= pace <= 1000:
            raise InvalidInput("invalid_configuration", f"pace must be from 0 to 1000, not {pace}")
        self.id = id
        self.steps = st.load_script(file or ("demo" if script is None else script))
        self._pace = pace
        self._takeover = takeover
        self._takeover_waiting = takeover_waiting

    @property
    def facts(self) -> AgentFacts:
        return AgentFacts(type="scripted", capabilities=[Capability(name) for name in _ABLE])

    @property
    def takeover(self) -> Takeover:
        return self._takeover

    @property
    def takeover_waiting(self) -> Takeover:
        return self._takeover_waiting

    def check(self, input: Json) -> Json:
        if isinstance(input, dict) and "prompt" in input:
            prompt_of(input)  # a script listens to no options
        return input

    async def run(self, context: AgentContext) -> Events:
        async with aclosing(_Performance(context, self._pace, await context.history()).play(self.steps)) as events:
            async for event in events:
                yield event


class _Performance:
    """One attempt at a script. Steps are numbered from 1, as they are done: `3.2.1` is the first step of the second
    time through the third step. `_begun` is what an earlier attempt had done of the step at which it ended.
    """

    def __init__(self, context: AgentContext, pace: float, history: Sequence[ev.Event]) -> None:
        self._context = context
        self._pace = pace
        self._done: dict[str, Json] = {}
        self._begun: list[EventData] = []
        self._number = ""
        for event in history:
            if isinstance(event.data, ev.StepCompleted):
                self._done[event.data.name] = event.data.result
                self._begun.clear()
            else:
                self._begun.append(event.data)
        # every attempt is told again what people said to the run: as much of it was answered as steps have a text
        answered = sum(isinstance(result, str) for result in self._done.values())
        self._heard = deque(context.steering()[answered:])

    async def play(self, steps: Sequence[st.Step]) -> Events:
        waiting = [_numbered(steps)]
        while waiting:
            number, step = next(waiting[-1], (None, None))
            if number is None or step is None:
                waiting.pop()
            elif isinstance(step, st.Repeat):
                waiting.append(_repeated(step, number))
            else:
                async with aclosing(self._once(number, step)) as events:
                    async for event in events:
                        yield event
                        if self._is_over(event):
                            return
                if isinstance(step, st.Approve) and not self._done[f"step {number}"]:
                    branch = [] if step.if_denied == "fail" else step.if_denied
                    waiting.append(_numbered(branch, f"{number}."))

    async def _once(self, number: str, step: st.Step) -> Events:
        """The step's events, if no earlier attempt has finished it; last a note that it is done, with its result."""
        name = f"step {number}"
        if name in self._done:
            if isinstance(step, st.Approve):
                await self._approve(step)  # answered at once; so the next such question counts as the next one
            return
        self._number = number
        result, doing = await self._begin(step)
        async with aclosing(doing) as events:
            async for event in events:
                yield event
        self._done[name] = result
        self._begun.clear()
        yield ev.StepCompleted(name=name, result=result)

    def _is_over(self, event: EventData) -> bool:
        asked = isinstance(event, ev.TurnCompleted) and self._context.cancel_requested is not None
        return asked or isinstance(event, ev.RunCompleted | ev.RunFailed)

    async def _begin(self, step: st.Step) -> tuple[Json, Events]:
        """What the step leaves for later attempts to know, and its events, besides those that an earlier one had."""
        match step:
            case st.WaitForInput(seconds=seconds):
                heard = await self._hear(seconds)
                return heard, self._each() if heard is None else self._say(heard, pieces=1)
            case st.Approve(if_denied=if_denied):
                decision = await self._approve(step)
                fails = not decision and if_denied == "fail"
                return decision.approved, self._each(_denied(step, decision)) if fails else self._each()
            case st.Sleep() | st.Hang() | st.Raise() | st.Artifact():
                await self._quietly(step)
                return None, self._each()
            case st.Think(text=text, pieces=pieces, delay=delay):
                return None, self._stream(ev.ReasoningStreamed, ev.ReasoningReceived, text, pieces, delay)
            case st.Say(text=text, pieces=pieces, delay=delay):
                return None, self._say(text, pieces, delay)
            case st.Echo(pieces=pieces, delay=delay):
                return None, self._say(self._context.message, pieces, delay)
            case st.Tool():
                return None, self._tool(step)
            case st.Write():
                return None, self._write(step)
            case _:
                return None, self._each(_event(step))

    # --- words ---

    def _say(self, text: str, pieces: int | None = None, delay: float = 0.0) -> Events:
        return self._stream(ev.MessageStreamed, ev.MessageReceived, text, pieces, delay)

    async def _stream(
        self,
        streamed: type[ev.MessageStreamed | ev.ReasoningStreamed],
        received: type[ev.MessageReceived | ev.ReasoningReceived],
        text: str,
        pieces: int | None,
        delay: float,
    ) -> Events:
        id = self._id("msg")
        if self._has(received):
            return
        said = "".join(data.text for data in self._begun if isinstance(data, streamed) and data.message_id == id)
        for piece in _pieces(text, pieces, start=len(said) if text.startswith(said) else 0):
            yield streamed(text=piece, message_id=id)
            await self._pause(delay)
        yield received(text=text, message_id=id)

    async def _hear(self, seconds: float) -> str | None:
        """What a person says next; None when nobody says anything in time."""
        if self._heard:
            return self._heard.popleft()
        try:
            return await asyncio.wait_for(self._context.next_steering(), seconds)
        except TimeoutError:
            return None

    # --- tools ---

    async def _tool(self, step: st.Tool) -> Events:
        if self._has(ev.ToolCallCompleted, ev.ToolCallFailed):
            return
        id = self._id("tool", attempt=True)
        yield ev.ToolCallStarted(tool_call_id=id, tool_name=step.name, tool_input=step.input)
        await self._pause(step.delay)
        if step.error is None:
            yield ev.ToolCallCompleted(tool_call_id=id, tool_name=step.name, tool_output=step.output)
        else:
            yield ev.ToolCallFailed(tool_call_id=id, tool_name=step.name, error=_error("agent_failed", step.error))

    async def _write(self, step: st.Write) -> Events:
        if self._has(ev.ToolCallCompleted):
            return
        id, name = self._id("tool", attempt=True), "write"
        yield ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input={"path": step.path})
        await asyncio.to_thread(_write, self._context.cwd, step)
        size = len(step.text.encode())
        yield ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output={"path": step.path, "bytes": size})

    def _approve(self, step: st.Approve) -> Awaitable[Decision]:
        return self._context.approve(step.tool, step.input, reason=step.reason, timeout=step.timeout)

    # --- the rest ---

    async def _quietly(self, step: st.Sleep | st.Hang | st.Raise | st.Artifact) -> None:
        """Steps that yield nothing of their own."""
        match step:
            case st.Sleep(seconds=seconds):
                await self._pause(seconds)
            case st.Hang():
                await asyncio.Event().wait()
            case st.Raise(message=message):
                raise RuntimeError(message)
            case st.Artifact() if not self._has(ev.ArtifactAdded):
                content = step.content.encode()
                await self._context.add_artifact(content, name=step.name, media_type=step.media_type)

    async def _each(self, *events: EventData) -> Events:
        for event in events:
            if not self._has(type(event)):
                yield event

    async def _pause(self, seconds: float) -> None:
        if seconds * self._pace:
            await asyncio.sleep(seconds * self._pace)

    def _has(self, *kinds: type[EventData]) -> bool:
        """Whether an earlier attempt, which ended in this very step, had come so far."""
        return any(isinstance(data, kinds) for data in self._begun)

    def _id(self, prefix: str, *, attempt: bool = False) -> str:
        """The same in every attempt for a message that goes on, another one for a tool that starts again."""
        id = f"{prefix}-{self._context.run.id.removeprefix('run_')}-{self._number}"
        return f"{id}-{self._context.run.attempt}" if attempt else id


def _numbered(steps: Sequence[st.Step], prefix: str = "") -> Iterator[tuple[str, st.Step]]:
    return ((f"{prefix}{number}", step) for number, step in enumerate(steps, 1))


def _repeated(step: st.Repeat, number: str) -> Iterator[tuple[str, st.Step]]:
    for time in range(1, step.times + 1):
        yield from _numbered(step.steps, f"{number}.{time}.")


def _pieces(text: str, count: int | None, start: int) -> Iterator[str]:
    """The text in `count` pieces, or word by word, from `start` on."""
    ends = [match.end() for match in re.finditer(r"\S+\s*", text)] if count is None else None
    if ends is None:
        ends = [len(text) * number // count for number in range(1, count + 1)] if count else []
    for end in ends or [len(text)]:
        if end > start:
            yield text[start:end]
            start = end


def _event(step: st.Step) -> EventData:
    """The one event of a step that is nothing else."""
    match step:
        case st.UseTokens(cost=cost, model=model):
            return ev.TokenUsageUpdated(usage=step.usage, cost=cost, model=model)
        case st.Plan(entries=entries):
            items = [st.PlanEntry(entry) if isinstance(entry, str) else entry for entry in entries]
            return ev.PlanUpdated(entries=[{"text": item.text, "status": item.status} for item in items])
        case st.Turn(stop_reason=reason):
            return ev.TurnCompleted(stop_reason=reason)
        case st.Exit(text=text, output=output, stop_reason=reason):
            return ev.RunCompleted(text=text, output=output, stop_reason=reason)
        case st.Fail(code=code, message=message):
            return _failed(code, message)
    raise TypeError(f"nobody plays {type(step).__name__}")


def _denied(step: st.Approve, decision: Decision) -> ev.RunFailed:
    who = "nobody decided in time" if decision.expired else f"denied by {decision.by or 'a person'}"
    return _failed("policy_violation", f"{step.tool}: {who}" + (f": {decision.note}" if decision.note else ""))


def _write(cwd: Path, step: st.Write) -> None:
    file = (cwd / step.path).resolve()
    if not file.is_relative_to(cwd.resolve()):
        raise InvalidInput("validation_error", f"{step.path} leads out of the working directory through a link")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(step.text, encoding="utf-8")


def _error(code: str, message: str) -> ErrorInfo:
    return ErrorInfo(code=code, message=message, retryable=CODES[code].retryable)


def _failed(code: str, message: str) -> ev.RunFailed:
    return ev.RunFailed(error=_error(code, message))
