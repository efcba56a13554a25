"""One attempt at one run of an agent of the OpenAI Agents SDK.

The journal has the items in the order in which the SDK would give them to a model: `input` (a prompt and what goes before
it), `response` (all that a model said in one turn) and `output` (of one tool call). A `state` is the SDK's own RunState,
which waits for people. Each is durable before what follows from it happens.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from agents.items import HandoffOutputItem, ToolCallOutputItem
from agents.result import RunResultStreaming
from agents.run_config import ToolErrorFormatterArgs
from pydantic_core import to_jsonable_python

from agents import Agent, ItemHelpers, ModelResponse, RunConfig, Runner, RunState
from sessionry.agents.accounting import Account
from sessionry.agents.failures import failure
from sessionry.agents.frameworks import openai_agents_items as native
from sessionry.agents.frameworks.journal import Journal, Opening, opened
from sessionry.agents.frameworks.mishaps import mishap
from sessionry.agents.frameworks.openai_agents import Options
from sessionry.agents.frameworks.openai_agents_sdk import Hooks, carried, let_go, parsed, reachable, violations
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
)
from sessionry.agents.prompts import Prompt, image_bytes
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage
from sessionry.ports import AgentContext

FRAMEWORK = "openai-agents"


class OpenAIAgentsRun:
    """`events` once."""

    def __init__(self, context: AgentContext, agent: Agent[Any], prompt: Prompt, options: Options) -> None:
        self._context = context
        self._agent = self._first = agent
        self._prompt = prompt
        self._options = options
        self._ids = f"{context.run.id.removeprefix('run_')}-{context.run.attempt}"
        self._refusals: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._steered: list[str] = []
        self._turns_told = 0
        #: the tokens that the SDK's loop had counted when it began, and those that were told since
        self._used_before = self._used = Usage()
        #: set when the response with that tool call is in the journal
        self._recorded: dict[str, asyncio.Event] = {}
        self._relay: Relay[None]
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
        if not opening.again:
            resumed = bool(opening.journal.entries)
            healed = native.healed(native.items_of(self._journal.entries))
            input = [*healed, *carried(opening.carried), await self._user(self._prompt)]
            entry = await self._journal.entry("input", {"items": input})
            await self._context.emit(entry, *opening.events, self._journal.link(self._model, resumed=resumed))
            return []
        self._turns_told = sum(isinstance(event.data, ev.TurnCompleted) for event in history)
        self._agent = self._named(self._journal.of_run("response")) or self._agent
        told: list[EventData] = []
        for entry_ in self._journal.of_run("response", "output"):
            told += self._told(entry_.kind, entry_.value)
        return unsaid(history, told)

    async def _user(self, prompt: Prompt) -> Json:
        if not prompt.images:
            return {"role": "user", "content": prompt.prompt}
        content: list[Json] = [{"type": "input_text", "text": prompt.prompt}]
        for image in prompt.images:
            data, media_type = await image_bytes(self._context, image)
            url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        return {"role": "user", "content": content}

    @property
    def _model(self) -> str | None:
        model = self._options.model or self._agent.model
        name = model if isinstance(model, str) or model is None else getattr(model, "model", None)
        return str(name) if name is not None else None

    def _named(self, responses: Sequence[Any]) -> Agent[Any] | None:
        """The agent that was at work when the journal ends."""
        known = reachable(self._first)
        outputs = [entry.value for entry in self._journal.of_run("output")]
        names = [entry.value["agent"] for entry in responses] + [
            value["to"] for value in outputs if isinstance(value, dict) and "to" in value
        ]
        return next((known[name] for name in reversed(names) if name in known), None)

    # --- the work ---

    async def _work(self) -> AsyncGenerator[EventData, None]:
        """The SDK's loop, again and again: after the people have answered, and after they said more."""
        given: Any = await self._input()
        while True:
            result = None
            try:
                result = self._start(given)
                self._relay = Relay(self._context)
                async with aclosing(self._relay.follow(self._pump(result))) as events:
                    async for event in events:
                        yield event
            except Exception as error:
                for event in self._failed(error):
                    yield event
                return
            finally:
                await let_go(result)
            total = native.usage_of(native.usage_json(result.context_wrapper.usage))
            if others := Account().add(total - self._used_before - self._used):
                yield others
            if result.interruptions:
                self._used_before = total
                given = await self._decided(await self._waiting(result))
                continue
            said = [*self._steered, *self._context.steering()]
            self._steered.clear()
            if not said:
                yield self._completed(result.final_output)
                return
            self._agent = result.last_agent
            await self._context.emit(
                await self._journal.entry("input", {"items": [{"role": "user", "content": text} for text in said]})
            )
            given = self._items()

    def _start(self, given: Any) -> RunResultStreaming:
        turns = len(self._journal.of_run("response"))
        limit = self._options.max_turns
        self._used = Usage()
        if not isinstance(given, RunState):
            self._used_before = Usage()
            limit = None if limit is None else max(limit - turns, 0)
        return Runner.run_streamed(
            self._agent,
            given,
            context=self._options.context,
            max_turns=limit,
            hooks=Hooks(self),
            run_config=self._run_config(),
        )

    def _run_config(self) -> RunConfig:
        from dataclasses import replace

        config = self._options.run_config or RunConfig()
        changes: dict[str, Any] = {"tracing_disabled": not self._options.tracing}
        if self._options.model is not None:
            changes["model"] = self._options.model
        if config.tool_error_formatter is None:
            changes["tool_error_formatter"] = self._note_error
        return replace(config, **changes)

    def _note_error(self, args: ToolErrorFormatterArgs[Any]) -> str | None:
        """Takes down which calls failed; what the model is told stays the SDK's own words."""
        if args.kind == "tool_exception":
            self._errors[args.call_id] = str(args.error or args.default_message)
        return None

    def _items(self) -> list[Any]:
        """All that was said, as the input of the next model turn."""
        system = self._context.session.context.get("system_prompt")
        head = [{"role": "system", "content": system}] if isinstance(system, str) and system else []
        return [*head, *native.items_of(self._journal.entries)]

    async def _input(self) -> Any:
        """Where to begin: with the state that waits for people, when nothing came after it; else with the items."""
        mine = self._journal.of_run()
        if mine and mine[-1].kind == "state":
            self._used_before = native.usage_in_state(mine[-1].value)
            state = await RunState.from_json(self._first, dict(mine[-1].value), context_override=self._options.context)
            return await self._decided(state)
        items = native.items_of(self._journal.entries)
        for call in native.open_calls(items):
            value = {"item": native.output_of(call, INTERRUPTED), "id": call["call_id"], "interrupted": True}
            await self._context.emit(await self._journal.entry("output", value))
        return self._items()

    async def _waiting(self, result: RunResultStreaming) -> RunState[Any]:
        state = result.to_state()
        value = state.to_json(context_serializer=lambda _: {})
        await self._context.emit(await self._journal.entry("state", value))
        return state

    async def _decided(self, state: RunState[Any]) -> RunState[Any]:
        """Ask people about every call that waits; one that was begun before is not begun again."""
        waiting = state.get_interruptions()
        asked = [item for item in waiting if item.call_id not in self._calls.begun_before]
        questions = [
            Question(item.tool_name or "tool", native.arguments(item.arguments), item.call_id) for item in asked
        ]
        decisions = await ask_all(self._context, questions, self._options.approval_timeout) if asked else []
        for item, decision in zip(asked, decisions, strict=True):
            if decision:
                state.approve(item)
            else:
                self._refusals[item.call_id or ""] = refusal(decision)
                state.reject(item, rejection_message=refusal(decision))
        for item in waiting:
            if item not in asked:
                state.reject(item, rejection_message=INTERRUPTED)
        return state

    # --- what the SDK says ---

    async def _pump(self, result: RunResultStreaming) -> None:
        listening = asyncio.create_task(self._listen(result))
        stream = result.stream_events()
        try:
            async for event in stream:
                if event.type == "raw_response_event":
                    await self._raw(event.data)
                elif event.type == "run_item_stream_event":
                    await self._item(event.item)
        except BaseException:
            result.cancel()
            raise
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator

    async def _listen(self, result: RunResultStreaming) -> None:
        """What people say to the run is heard at the end of the turn."""
        self._steered.append(await self._context.next_steering())
        result.cancel(mode="after_turn")

    async def _raw(self, data: Any) -> None:
        number = len(self._journal.of_run("response")) + 1
        if data.type == "response.output_text.delta" and data.delta:
            id = f"{self._ids}-{number}-{data.output_index}"
            self._relay.tell(ev.MessageStreamed(text=data.delta, message_id=id))
        elif data.type in native.REASONING_DELTAS and data.delta:
            id = f"{self._ids}-{number}-{data.output_index}"
            self._relay.tell(ev.ReasoningStreamed(text=data.delta, message_id=id))
        elif data.type in ("response.completed", "response.incomplete"):
            await self._response(data.response, f"{self._ids}-{number}")

    async def _response(self, response: Any, id: str) -> None:
        items = ModelResponse(output=response.output, usage=native.no_usage(), response_id=None).to_input_items()
        value: dict[str, Json] = {
            "id": id,
            "agent": self._agent.name,
            "model": response.model,
            "items": to_jsonable_python(items),
            "usage": native.usage_json(response.usage),
        }
        self._used += native.usage_of(native.usage_json(response.usage))
        entry = await self._journal.entry("response", value)
        await self._relay.say(entry, *self._told("response", value))
        for call in native.calls_in(value["items"]):
            self._recorded.setdefault(call["call_id"], asyncio.Event()).set()

    def _told(self, kind: str, value: Any) -> list[EventData]:
        """What the log shows of an entry; the same in every attempt."""
        if kind == "response":
            account = Account(model=value.get("model"))
            used = account.add(native.usage_of(value.get("usage") or {}))
            return [*native.shown(value["items"], value["id"]), *([used] if used else [])]
        if value.get("interrupted") or "name" not in value:
            return []
        id, name = value["id"], value["name"]
        if value.get("error"):
            return [ev.ToolCallFailed(tool_call_id=id, tool_name=name, error=tool_error(value["error"]))]
        return [ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=value.get("output"))]

    async def _item(self, item: Any) -> None:
        """Outputs that no hook told of: of a call that was refused, of a handoff."""
        if isinstance(item, HandoffOutputItem):
            self._agent = item.target_agent
            raw: Any = to_jsonable_python(item.to_input_item())
            await self._handed_over(raw, item.target_agent.name)
        elif isinstance(item, ToolCallOutputItem):
            raw = to_jsonable_python(item.to_input_item())
            call = raw.get("call_id")
            if call is not None and call in native.open_ids(self._journal.entries):
                await self._without_hooks(raw, call)

    async def _handed_over(self, raw: dict[str, Any], to: str) -> None:
        call = raw["call_id"]
        name = native.name_of(self._journal.entries, call)
        id = self._calls.begin(call)
        value: dict[str, Json] = {"item": raw, "id": id, "name": name, "output": {"agent": to}, "to": to}
        started = ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=None)
        await self._relay.say(started, await self._journal.entry("output", value), *self._told("output", value))

    async def _without_hooks(self, raw: dict[str, Any], call: str) -> None:
        name = native.name_of(self._journal.entries, call)
        why = self._refusals.get(call)
        value: dict[str, Json] = {"item": raw, "id": call, "interrupted": True}
        events: list[EventData] = []
        if why is not None:
            events = refused(self._calls.begin(call), name, native.input_of(self._journal.entries, call), why)
        elif call not in self._calls.begun_before:
            id, output = self._calls.begin(call), native.output_text(raw)
            input = native.input_of(self._journal.entries, call)
            events = [
                ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=input),
                ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=output),
            ]
        await self._relay.say(await self._journal.entry("output", value), *events)

    async def tool_started(self, call: str, name: str) -> None:
        await self._recorded.setdefault(call, self._set_if_known(call)).wait()
        id = self._calls.begin(call)
        input = native.input_of(self._journal.entries, call)
        await self._relay.say(ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=input))

    def _set_if_known(self, call: str) -> asyncio.Event:
        known = asyncio.Event()
        if call in native.open_ids(self._journal.entries):
            known.set()
        return known

    async def tool_ended(self, call: str, name: str, result: object, tool_call: Any) -> None:
        if not self._calls.is_open(call):
            return
        item: Any = native.output_of({"call_id": call}, result)
        if tool_call is not None:
            item = to_jsonable_python(ItemHelpers.tool_call_output_item(tool_call, result))
        value: dict[str, Json] = {"item": item, "id": self._calls.of(call), "name": name}
        if call in self._errors:
            value["error"] = self._errors.pop(call)
        else:
            value["output"] = to_jsonable_python(result, fallback=str)
        await self._relay.say(await self._journal.entry("output", value), *self._told("output", value))

    def turn_begins(self) -> None:
        self._relay.tell(*self._turns())

    def _turns(self) -> list[EventData]:
        """The ends of the turns that are over and were not told of yet."""
        over = len(self._journal.of_run("response")) - self._turns_told
        self._turns_told += max(over, 0)
        return [ev.TurnCompleted()] * max(over, 0)

    # --- the end ---

    def _finished(self) -> EventData | None:
        """The end of a run that lacks nothing else: its worker died after the last words."""
        mine = self._journal.of_run()
        if not mine or mine[-1].kind != "response":
            return None
        value: Any = mine[-1].value
        text = native.text_in(value["items"])
        if native.calls_in(value["items"]) or text is None:
            return None
        return self._completed(parsed(self._agent, text))

    def _completed(self, output: Any) -> EventData:
        if isinstance(output, str):
            return ev.RunCompleted(text=output)
        responses = self._journal.of_run("response")
        last: Any = responses[-1].value if responses else {"items": []}
        return ev.RunCompleted(
            text=native.text_in(last["items"]), output=to_jsonable_python(output, fallback=str), stop_reason=None
        )

    def _failed(self, error: Exception) -> list[EventData]:
        info = mishap(error) or failure("agent_failed", f"{type(error).__name__}: {error}")
        return [*violations(error), ev.RunFailed(error=info)]
