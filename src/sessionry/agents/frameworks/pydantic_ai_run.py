"""One attempt at one run of an agent of Pydantic AI.

The journal has messages as Pydantic AI writes them down: `input` (what goes before the model's first turn, the prompt in
it), `turn` (what came since, a response of the model at its end) and `output` (of one tool call, until it is part of a
message). Each is durable before what follows from it happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability, ReinjectSystemPrompt
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ToolFailedError, ToolRetryError, UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolReturn,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.run import AgentRunResultEvent
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolDenied
from pydantic_ai.usage import UsageLimits
from pydantic_core import to_jsonable_python

from sessionry.agents.accounting import Account
from sessionry.agents.failures import failure
from sessionry.agents.frameworks import pydantic_ai_messages as native
from sessionry.agents.frameworks.journal import Entry, Journal, Opening, opened
from sessionry.agents.frameworks.mishaps import mishap
from sessionry.agents.frameworks.pydantic_ai import Options
from sessionry.agents.frameworks.relay import Relay
from sessionry.agents.frameworks.telling import (
    INTERRUPTED,
    Calls,
    Question,
    ask_all,
    refusal,
    refused,
    tool_error,
    unsaid,
    words,
)
from sessionry.agents.prompts import Prompt, image_bytes
from sessionry.domain import events as ev
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage
from sessionry.ports import AgentContext, Decision

FRAMEWORK = "pydantic-ai"


class PydanticAIRun:
    """`events` once."""

    def __init__(self, context: AgentContext, agent: Agent[Any, Any], prompt: Prompt, options: Options) -> None:
        self._context = context
        self._agent = agent
        self._prompt = prompt
        self._options = options
        self._ids = f"{context.run.id.removeprefix('run_')}-{context.run.attempt}"
        self._turns_told = 0
        self._known = 0
        self._used = Usage()
        self._running: RunContext[Any] | None = None
        self._unheard: list[str] = []
        self._relay: Relay[Any]
        self._journal: Journal
        self._calls: Calls

    async def events(self) -> AsyncGenerator[EventData, None]:
        opening = await opened(self._context, FRAMEWORK)
        self._journal = opening.journal
        history = await self._context.history()
        self._calls = Calls(history)
        for event in await self._begin(opening, history):
            yield event
        ending = self._finished()
        if ending is None:
            async with aclosing(self._work()) as events:
                async for event in events:
                    if isinstance(event, ev.RunCompleted | ev.RunFailed):
                        ending = event
                    else:
                        yield event
        for event in self._turns():
            yield event
        yield self._journal.link(self._model, resumed=opening.again)
        if ending is not None:
            yield ending

    # --- the beginning ---

    async def _begin(self, opening: Opening, history: Sequence[ev.Event]) -> list[EventData]:
        """The input is in the journal before anything else; another attempt first says what the log lacks."""
        if opening.again:
            self._turns_told = sum(isinstance(event.data, ev.TurnCompleted) for event in history)
            told: list[EventData] = []
            for kept in self._journal.of_run("turn", "output"):
                told += self._told(kept.kind, kept.value)
            return unsaid(history, told)
        resumed = bool(opening.journal.entries)
        healed = native.healed(self._journal.entries)
        carried = native.messages_of(words(opening.carried))
        entry = await self._input([*healed, *carried, await self._user(self._prompt)])
        await self._context.emit(entry, *opening.events, self._journal.link(self._model, resumed=resumed))
        return []

    async def _input(self, messages: Sequence[ModelMessage]) -> EventData:
        value: Json = {"messages": ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")}
        return await self._journal.entry("input", value)

    async def _user(self, prompt: Prompt) -> ModelRequest:
        content: list[UserContent] = [prompt.prompt]
        for image in prompt.images:
            data, media_type = await image_bytes(self._context, image)
            content.append(BinaryContent(data=data, media_type=media_type))
        return ModelRequest(parts=[UserPromptPart(content if prompt.images else prompt.prompt)])

    @property
    def _model(self) -> str | None:
        turns = self._journal.of_run("turn")
        if turns:
            return native.text_or_none(native.at(turns[-1], "model"))
        model = self._options.model or self._agent.model
        return model if isinstance(model, str) or model is None else str(model.model_name)

    # --- the work ---

    async def _work(self) -> AsyncGenerator[EventData, None]:
        """Pydantic AI's loop; again, when people said something that it did not hear any more."""
        while True:
            self._relay = Relay(self._context)
            try:
                async with aclosing(self._relay.follow(self._play())) as events:
                    async for event in events:
                        yield event
            except Exception as error:
                info = mishap(error) or failure("agent_failed", f"{type(error).__name__}: {error}")
                yield ev.RunFailed(error=info)
                return
            said = [*self._unheard, *self._context.steering()]
            self._unheard.clear()
            if not said:
                yield self._completed(self._relay.result)
                return
            await self._context.emit(await self._input([ModelRequest(parts=[UserPromptPart(text) for text in said])]))

    async def _play(self) -> Any:
        """The output of the agent."""
        messages = native.history_of(self._journal.entries)
        self._known, self._used = len(messages), Usage()
        listening = asyncio.create_task(self._listen())
        prompt = self._context.session.context.get("system_prompt")
        try:
            async with self._agent.run_stream_events(
                None,
                message_history=messages,
                model=self._options.model,
                deps=self._options.deps,
                usage_limits=self._limits(),
                instructions=prompt if isinstance(prompt, str) and prompt else None,
                capabilities=[_Journalling(self), ReinjectSystemPrompt()],
            ) as stream:
                async for event in stream:
                    if isinstance(event, AgentRunResultEvent):
                        self._others(event.result.usage)
                        return event.result.output
                    self._heard(event)
        finally:
            self._running = None
            listening.cancel()
            await asyncio.wait([listening])
        raise AgentFailed("protocol", "the agent ended without a result")

    def _others(self, total: Any) -> None:
        """The tokens of agents that the tools have asked, where they shared the usage."""
        if used := Account().add(native.usage_of(native.usage_json(total)) - self._used):
            self._relay.tell(used)

    def _limits(self) -> UsageLimits | None:
        limits: UsageLimits | None = self._options.usage_limits
        if self._options.max_turns is None:
            return limits
        left = max(self._options.max_turns - len(self._journal.of_run("turn")), 0)
        return replace(limits or UsageLimits(), request_limit=left)

    async def _listen(self) -> None:
        """What people say to the run goes into the next request to the model."""
        while True:
            text = await self._context.next_steering()
            try:
                if self._running is None:
                    self._unheard.append(text)
                else:
                    self._running.enqueue(text)
            except UserError:  # it has just ended
                self._unheard.append(text)

    def _heard(self, event: Any) -> None:
        """Pieces of words and thoughts."""
        number = len(self._journal.of_run("turn")) + 1
        if isinstance(event, PartStartEvent | PartDeltaEvent):
            part = event.part if isinstance(event, PartStartEvent) else event.delta
            id = f"{self._ids}-{number}-{event.index}"
            text = part.content if isinstance(part, TextPart | ThinkingPart) else getattr(part, "content_delta", None)
            if not text:
                return
            if isinstance(part, TextPart | TextPartDelta):
                self._relay.tell(ev.MessageStreamed(text=text, message_id=id))
            elif isinstance(part, ThinkingPart | ThinkingPartDelta):
                self._relay.tell(ev.ReasoningStreamed(text=text, message_id=id))

    def began(self, running: RunContext[Any]) -> None:
        self._running = running

    def turn_begins(self) -> None:
        self._relay.tell(*self._turns())

    async def answered(self, before: Sequence[ModelMessage], response: ModelResponse) -> None:
        """The model has said all of a turn: its words are durable before any tool begins."""
        new = [*before[self._known :], response]
        self._known = len(before) + 1
        value: dict[str, Json] = {
            "id": f"{self._ids}-{len(self._journal.of_run('turn')) + 1}",
            "model": response.model_name,
            "usage": native.usage_json(response.usage),
            "messages": ModelMessagesTypeAdapter.dump_python(new, mode="json"),
        }
        self._used += native.usage_of(native.usage_json(response.usage))
        entry = await self._journal.entry("turn", value)
        await self._relay.say(entry, *self._told("turn", value))

    def _told(self, kind: str, value: Any) -> list[EventData]:
        """What the log shows of an entry; the same in every attempt."""
        if kind == "turn":
            used = Account(model=value.get("model")).add(native.usage_of(value["usage"]))
            return [*native.shown(value["messages"][-1], value["id"]), *([used] if used else [])]
        if value.get("silent"):
            return []
        id, name = value["id"], value["name"]
        if "error" in value:
            return [ev.ToolCallFailed(tool_call_id=id, tool_name=name, error=tool_error(value["error"]))]
        return [ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=value.get("output"))]

    # --- tools ---

    async def execute(self, call: str, name: str, args: Any, work: Any) -> Any:
        """Run a tool, unless an earlier attempt has, or had begun to."""
        for entry in self._journal.of_run("output"):
            if native.at(entry, "call") == call and not self._calls.is_open(call):
                return self._again(entry)
        if call in self._calls.begun_before and not self._calls.is_open(call) and not self._deferred(call):
            value: Json = {"call": call, "silent": True, "output": INTERRUPTED}
            await self._relay.say(await self._journal.entry("output", value))
            return INTERRUPTED
        if not self._calls.is_open(call):
            id, input = self._calls.begin(call), to_jsonable_python(args, fallback=str)
            await self._relay.say(ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=input))
        value = {"call": call, "id": self._calls.of(call), "name": name}
        try:
            result = await work(args)
        except (ApprovalRequired, CallDeferred):
            await self._relay.say(await self._journal.entry("deferred", {"call": call}))
            raise
        except Exception as error:
            retry = isinstance(error, ToolRetryError | ToolFailedError)
            await self._ended({**value, "error": str(error), "lasting": not retry})
            raise
        plain = result.return_value if isinstance(result, ToolReturn) else result
        await self._ended({**value, "output": to_jsonable_python(plain, fallback=str)})
        return result

    async def _ended(self, value: dict[str, Json]) -> None:
        await self._relay.say(await self._journal.entry("output", value), *self._told("output", value))

    def _again(self, entry: Entry) -> Any:
        """What the tool gave in an earlier attempt."""
        error = native.at(entry, "error")
        if error is None:
            return native.at(entry, "output")
        if native.at(entry, "lasting"):
            raise AgentFailed("agent_failed", str(error))
        return f"The tool failed: {error}"

    def _deferred(self, call: str) -> bool:
        return any(native.at(entry, "call") == call for entry in self._journal.of_run("deferred"))

    async def decide(self, requests: DeferredToolRequests) -> DeferredToolResults:
        """Ask people about the calls that need it. Results from elsewhere are nothing that a run can wait for."""
        if requests.calls:
            names = ", ".join(call.tool_name for call in requests.calls)
            raise AgentFailed(
                "capability_not_supported", f"the results of {names} would have to come from outside of the run"
            )
        asked = [call for call in requests.approvals if not self._settled(call.tool_call_id)]
        questions = [Question(call.tool_name, native.arguments(call), call.tool_call_id) for call in asked]
        decisions: list[Decision] = []
        if asked:
            decisions = await self._relay.do(lambda: ask_all(self._context, questions, self._options.approval_timeout))
        approvals: dict[str, Any] = {call.tool_call_id: True for call in requests.approvals}
        for call, decision in zip(asked, decisions, strict=True):
            if not decision:
                approvals[call.tool_call_id] = ToolDenied(refusal(decision))
                await self._refused(call, refusal(decision))
        return requests.build_results(approvals=approvals)

    def _settled(self, call: str) -> bool:
        """It was allowed before, and had begun."""
        return call in self._calls.begun_before and not self._deferred(call)

    async def _refused(self, call: Any, why: str) -> None:
        told = refused(self._calls.begin(call.tool_call_id), call.tool_name, native.arguments(call), why)
        await self._relay.say(*(told[1:] if call.tool_call_id in self._calls.begun_before else told))

    # --- the end ---

    def _turns(self) -> list[EventData]:
        """The ends of the turns that are over and were not told of yet."""
        over = max(len(self._journal.of_run("turn")) - self._turns_told, 0)
        self._turns_told += over
        return [ev.TurnCompleted()] * over

    def _finished(self) -> EventData | None:
        """The end of a run that lacks nothing else: its worker died after the last words."""
        mine = self._journal.of_run()
        if not mine or mine[-1].kind != "turn":
            return None
        response = native.response_of(mine[-1])
        if response.tool_calls or not response.text:
            return None
        if self._agent.output_type is str:
            return ev.RunCompleted(text=response.text)
        output = native.json_in(response.text)
        return ev.RunCompleted(text=response.text, output=output) if isinstance(output, dict) else None

    def _completed(self, output: Any) -> EventData:
        if isinstance(output, str):
            return ev.RunCompleted(text=output)
        turns = self._journal.of_run("turn")
        text = native.response_of(turns[-1]).text if turns else None
        return ev.RunCompleted(text=text or None, output=to_jsonable_python(output, fallback=str))


class _Journalling(AbstractCapability[Any]):
    """Called by Pydantic AI, which waits until it returns."""

    def __init__(self, run: PydanticAIRun) -> None:
        self._run = run

    async def before_run(self, ctx: RunContext[Any]) -> None:
        self._run.began(ctx)

    async def before_model_request(self, ctx: RunContext[Any], request_context: Any) -> Any:
        self._run.began(ctx)
        self._run.turn_begins()
        return request_context

    async def after_model_request(
        self, ctx: RunContext[Any], *, request_context: Any, response: ModelResponse
    ) -> ModelResponse:
        del request_context
        await self._run.answered(ctx.messages, response)
        return response

    async def wrap_tool_execute(
        self, ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any, handler: Any
    ) -> Any:
        del ctx, tool_def
        return await self._run.execute(call.tool_call_id, call.tool_name, args, handler)

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        del ctx
        return await self._run.decide(requests)
