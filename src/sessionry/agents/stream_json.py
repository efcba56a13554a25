"""What agents have in common that are started for one prompt and print a line of JSON for each thing that happens.

Such a program is given the prompt on its standard input, says at once which session it works in, and ends with a frame of
the type `result`. It cannot ask a person; what it may not do it does not do. `StreamJsonAgent` runs it; `Reading` makes
events of its frames, which differ from program to program.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from sessionry.agents.accounting import Account
from sessionry.agents.discovery import Found
from sessionry.agents.failures import code_of, failure
from sessionry.agents.handover import hand_over
from sessionry.agents.process import environment
from sessionry.agents.program import Program
from sessionry.agents.prompts import chosen, prompt_of
from sessionry.domain.continuity import Conversation
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import (
    AgentSessionLinked,
    EventData,
    MessageReceived,
    ReasoningReceived,
    ResumeDegraded,
    RunCompleted,
    RunFailed,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    TurnCompleted,
)
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, Continuation, Takeover
from sessionry.domain.transcript import Transcript
from sessionry.ports import AgentContext, Capability

INTERRUPTED = "Your work on this was interrupted. Look at what is done already, and go on. You were asked:\n\n"


class Reading:
    """The events of one program's frames. `session` is the program's own, as soon as it has said so."""

    def __init__(self, context: AgentContext, model: str | None = None) -> None:
        self._key = context.idempotency_key
        self._number = 0
        self.tools: dict[str, str] = {}  # those that are at work: id -> name
        self.session: str | None = None
        self.account = Account(model=model)
        self.ending: EventData | None = None

    def events(self, frame: Mapping[str, Any]) -> Iterator[EventData]:
        """What a frame says. Kinds that nobody knows say nothing: programs learn new ones."""
        kind = frame.get("type")
        if kind == "system" and frame.get("subtype") == "init":
            self.account.model = _text(frame.get("model")) or self.account.model
        elif kind == "assistant":
            yield from self.spoken(frame)
        elif kind == "result":
            yield from self.ended(frame)

    def spoken(self, frame: Mapping[str, Any]) -> Iterator[EventData]:
        """A message: text, reasoning and calls of tools."""
        parent = _text(frame.get("parent_tool_use_id"))
        for block in _blocks(frame):
            match block.get("type"):
                case "text" if text := _text(block.get("text")):
                    yield MessageReceived(text=text, message_id=self._id(), parent_tool_call_id=parent)
                case "thinking" if text := _text(block.get("thinking")):
                    yield ReasoningReceived(text=text, message_id=self._id(), parent_tool_call_id=parent)
                case "tool_use":
                    yield self.tool_started(str(block.get("id")), str(block.get("name")), block.get("input"), parent)

    def tool_started(self, id: str, name: str, given: Json, parent: str | None = None) -> EventData:
        self.tools[id] = name
        return ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=given, parent_tool_call_id=parent)

    def tool_ended(self, id: str, output: Json, *, failed: bool, parent: str | None = None) -> Iterator[EventData]:
        """Nothing for a tool that was never started, or has ended before."""
        name = self.tools.pop(id, None)
        if name is None:
            return
        if failed:
            error = failure("agent_failed", output if isinstance(output, str) and output else f"{name} failed")
            yield ToolCallFailed(
                tool_call_id=id, tool_name=name, error=error, tool_output=output, parent_tool_call_id=parent
            )
        else:
            yield ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=output, parent_tool_call_id=parent)

    def ended(self, frame: Mapping[str, Any]) -> Iterator[EventData]:
        reason = _text(frame.get("subtype"))
        if frame.get("is_error") or reason != "success":
            said = _text(frame.get("error")) or _text(frame.get("result")) or f"it ended with {reason}"
            code = "limit_reached" if reason == "error_max_turns" else code_of(None, said)
            self.ending = RunFailed(error=failure(code, said, subtype=reason))
        else:
            self.ending = RunCompleted(text=_text(frame.get("result")), stop_reason=reason)
        yield TurnCompleted(stop_reason=reason)

    def _id(self) -> str:
        self._number += 1
        return f"{self._key}-{self._number}"


class StreamJsonAgent:
    """The common part; a subclass says what the program is called, how it is called, and how it is read."""

    type: str
    program: str
    #: keyword options that a run may set too
    of_a_run: Sequence[str] = ()
    able: Sequence[Capability] = (
        Capability.TOOLS,
        Capability.COMMANDS,
        Capability.FILES,
        Capability.TURNS,
        Capability.RESUME,
    )

    def __init__(
        self, id: str, options: Mapping[str, Any], env: Mapping[str, str] | None, allow: Sequence[str]
    ) -> None:
        self.id = id
        self._options = dict(options)
        self._env = dict(env or {})
        self._allow = tuple(allow)
        for name, value in self._options.items():
            if (problem := self.problem(value)) is not None:
                raise InvalidInput("invalid_configuration", f"{name} {problem}", details={"option": name})

    @property
    def facts(self) -> AgentFacts:
        return AgentFacts(type=self.type, capabilities=list(self.able))

    @property
    def takeover(self) -> Takeover:
        """Nobody has proved that its sessions hold what a killed one had done."""
        return Takeover.STOP

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.STOP

    def problem(self, value: Any) -> str | None:
        """What is wrong with the value of an option."""
        if value is not None and not (isinstance(value, str) and value and not value.startswith("-")):
            return f"must be a name, not {value!r}"
        return None

    def check(self, input: Json) -> Json:
        prompt = prompt_of(input, self.of_a_run)
        for name, value in prompt.options.items():
            if (problem := self.problem(value)) is not None:
                raise InvalidInput("validation_error", f"input.{name} {problem}", details={"path": f"input.{name}"})
        return prompt.to_input()

    def argv(self, options: Mapping[str, Any], session: str | None) -> list[str]:
        """How the program is called, to go on with `session` if there is one."""
        raise NotImplementedError

    def reading(self, context: AgentContext) -> Reading:
        return Reading(context)

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        conversation = await context.conversation()
        _check_continuation(conversation)
        native = conversation.native.id if conversation.native else None
        if native is not None:
            resumed = False
            async with aclosing(self._work(context, conversation, native)) as events:
                async for event in events:
                    if isinstance(event, ResumeDegraded):
                        if conversation.mode is Continuation.NATIVE:
                            raise AgentFailed(
                                "resume_failed", f"{self.type} did not go on with {native}: {event.reason}"
                            )
                        yield event
                        break
                    resumed = True
                    yield event
            if resumed:
                return
            conversation = await _without_native(context, conversation)
        async with aclosing(self._work(context, conversation, None)) as events:
            async for event in events:
                yield event

    async def _work(
        self, context: AgentContext, conversation: Conversation, native: str | None
    ) -> AsyncGenerator[EventData, None]:
        """One call of the program. A single `resume_degraded` says that it does not know the session."""
        prompt = prompt_of(context.run.input, self.of_a_run)
        text, told = _asked(context, conversation, prompt.prompt)
        argv = self.argv(chosen(self._options, prompt), native)
        reading = self.reading(context)
        async with Program.start(context, argv, cwd=context.cwd, env=environment(self._env, self._allow)) as program:
            with suppress(BrokenPipeError):  # it has ended, and what it said tells why
                await program.process.write(text.encode() + b"\n")
            program.close_stdin()
            async for frame in program.messages():
                if not isinstance(frame, dict):
                    raise AgentFailed("protocol", f"{self.type} wrote {frame!r:.200}, which is no object")
                await program.heard(self.type, frame)
                session = _text(frame.get("session_id"))
                if reading.session is None and session is not None:
                    if native not in (None, session):
                        yield ResumeDegraded(reason="another session came back", native_session_id=native)
                        return
                    reading.session = session
                    model = _text(frame.get("model"))
                    yield AgentSessionLinked(native_session_id=session, model=model, resumed=native is not None)
                    for event in told:
                        yield event
                for event in reading.events(frame):
                    yield event
                if reading.ending is not None:
                    break
            if reading.ending is None:
                error = await program.crash()
                if native is not None and reading.session is None:
                    yield ResumeDegraded(reason=error.message, native_session_id=native)
                    return
                raise _refined(error, program.stderr)
        for id in list(reading.tools):
            for event in reading.tool_ended(id, "it was not told how it ended", failed=True):
                yield event
        yield reading.ending


def _asked(context: AgentContext, conversation: Conversation, prompt: str) -> tuple[str, list[EventData]]:
    """What the program is told, and what the log is told of it."""
    native = conversation.native
    if context.run.attempt > 1 and native is not None and native.run_id == context.run.id:
        prompt = INTERRUPTED + prompt
    if not conversation.missed.messages:
        return prompt, []
    handover = hand_over(conversation, context.session)
    earlier = handover.text()
    return (f"{earlier}\n\n{prompt}" if earlier else prompt), [handover.report]


async def _without_native(context: AgentContext, conversation: Conversation) -> Conversation:
    """The conversation for a new session of the agent, which has heard nothing."""
    whole = await context.transcript()
    before = [message for message in whole.messages if message.run_id != context.run.id]
    return Conversation(
        mode=conversation.mode,
        missed=Transcript(messages=before, last_seq=whole.last_seq),
        previous_agents=conversation.previous_agents,
    )


def _check_continuation(conversation: Conversation) -> None:
    if conversation.mode is Continuation.FORK:
        raise InvalidInput("capability_not_supported", "this agent cannot fork its session; use another continuation")
    if conversation.mode is Continuation.NATIVE and conversation.native is None and conversation.missed.messages:
        raise AgentFailed("resume_failed", "there is no session of this agent to go on with; use `auto` or `replay`")


def _refined(error: AgentFailed, stderr: str) -> AgentFailed:
    """The failure that the program told on its way out, if it is a known one."""
    code = code_of(None, stderr)
    return error if code == "agent_failed" else AgentFailed(code, error.message, details=error.details)


def _blocks(frame: Mapping[str, Any]) -> list[dict[str, Any]]:
    message = frame.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def on_path(program: str, environ: Mapping[str, str], keys: Sequence[str]) -> Found | None:
    """The program, and whether there is a key for it; without one only the program knows whether it is logged in."""
    path = shutil.which(program, path=environ.get("PATH", ""))
    if path is None:
        return None
    return Found(path, None, True if any(environ.get(key) for key in keys) else None, "on PATH")
