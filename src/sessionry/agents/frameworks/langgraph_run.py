"""One attempt at one run of a graph of LangGraph.

The graph's checkpoints are the truth; what the log shows is read from the messages in its state, each of which has an id.
So what a dead worker did not say any more is said when the run goes on.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot
from pydantic_core import to_jsonable_python

from sessionry.agents.failures import failure
from sessionry.agents.frameworks import langgraph_messages as native
from sessionry.agents.frameworks.journal import Journal, Opening, opened
from sessionry.agents.frameworks.langgraph import Options
from sessionry.agents.frameworks.langgraph_saver import LogSaver
from sessionry.agents.frameworks.mishaps import mishap
from sessionry.agents.frameworks.relay import Relay
from sessionry.agents.frameworks.telling import ask_all, words
from sessionry.agents.prompts import Prompt, image_bytes
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext

FRAMEWORK = "langgraph"
#: Under this name the metadata of each checkpoint has the run that it is of.
RUN_KEY = "sessionry_run"


class LangGraphRun:
    """`events` once."""

    def __init__(self, context: AgentContext, graph: Any, prompt: Prompt, options: Options) -> None:
        self._context = context
        self._given = graph
        self._prompt = prompt
        self._options = options
        self._graph: Any
        self._journal: Journal
        self._relay: Relay[list[Interrupt[Any]]]
        self._told: native.Told

    async def events(self) -> AsyncGenerator[EventData, None]:
        opening = await opened(self._context, FRAMEWORK)
        self._journal = opening.journal
        self._told = native.Told(await self._context.history())
        self._graph = self._compiled()
        resumed = bool(self._journal.entries)
        if not opening.again:
            entry = await self._journal.entry("input", {"prompt": self._prompt.prompt})
            await self._context.emit(entry, *opening.events, self._journal.link(self._told.model, resumed=resumed))
        state = await self._graph.aget_state(self._config)
        ours = (state.metadata or {}).get(RUN_KEY) == self._context.run.id
        if ours:
            for event in self._unsaid(state):
                yield event
        async with aclosing(self._work(opening, state, ours=ours)) as events:
            ending: EventData | None = None
            async for event in events:
                if isinstance(event, ev.RunCompleted | ev.RunFailed):
                    ending = event
                else:
                    yield event
        yield self._journal.link(self._told.model, resumed=opening.again)
        if ending is not None:
            yield ending

    # --- the graph and its input ---

    def _compiled(self) -> Any:
        """The graph with a checkpointer: its own, or ours."""
        graph = self._given
        own = graph.checkpointer if isinstance(graph, Pregel) else None
        if own:
            return graph
        saver = LogSaver(self._journal.thread, self._journal.entries, self._record)
        if isinstance(graph, StateGraph):
            return graph.compile(checkpointer=saver)
        return graph.copy({"checkpointer": saver})

    async def _record(self, kind: str, value: Json) -> None:
        await self._relay.say(await self._journal.entry(kind, value))

    @property
    def _config(self) -> RunnableConfig:
        config = RunnableConfig(
            configurable={**self._options.configurable, "thread_id": self._journal.thread},
            metadata={RUN_KEY: self._context.run.id},
        )
        if self._options.recursion_limit is not None:
            config["recursion_limit"] = self._options.recursion_limit
        return config

    async def _input(self, opening: Opening, state: StateSnapshot) -> Any:
        key = self._options.prompt_key
        if not key:
            return self._prompt.prompt
        if key != "messages":
            return {**self._options.state, key: self._prompt.prompt}
        before = native.messages_in(state.values)
        system = self._context.session.context.get("system_prompt")
        head: list[BaseMessage] = []
        if not before and isinstance(system, str) and system:
            head = [SystemMessage(system)]
        carried = [HumanMessage(text) if role == "user" else AIMessage(text) for role, text in words(opening.carried)]
        healed = native.healed(before)
        return {**self._options.state, key: [*head, *healed, *carried, await self._user()]}

    async def _user(self) -> HumanMessage:
        id = self._context.run.id
        if not self._prompt.images:
            return HumanMessage(self._prompt.prompt, id=id)
        content: list[Any] = [{"type": "text", "text": self._prompt.prompt}]
        for image in self._prompt.images:
            data, media_type = await image_bytes(self._context, image)
            content.append({"type": "image", "base64": base64.b64encode(data).decode(), "mime_type": media_type})
        return HumanMessage(content=content, id=id)

    # --- the work ---

    async def _work(self, opening: Opening, state: StateSnapshot, *, ours: bool) -> AsyncGenerator[EventData, None]:
        """The graph, again and again, until no person has to be asked any more."""
        try:
            given: Any = None
            waiting = list(state.interrupts) if ours else []
            if not ours:
                given = await self._input(opening, state)
            while True:
                if waiting:
                    given = await self._answers(waiting)
                elif ours and not state.tasks:
                    break
                ours = False
                self._relay = Relay(self._context)
                async with aclosing(self._relay.follow(self._stream(given))) as events:
                    async for event in events:
                        yield event
                waiting, given = self._relay.result, None
                if not waiting:
                    break
            state = await self._graph.aget_state(self._config)
            for event in (*self._told.ends(), *self._unsaid(state), *self._told.turns()):
                yield event
            yield self._completed(state)
        except Exception as error:
            for event in self._told.ends():
                yield event
            info = mishap(error) or failure("agent_failed", f"{type(error).__name__}: {error}")
            yield ev.RunFailed(error=info)

    async def _stream(self, given: Any) -> list[Interrupt[Any]]:
        """Play the graph; the interrupts with which it stopped."""
        waiting: list[Interrupt[Any]] = []
        stream = self._graph.astream(
            given,
            self._config,
            context=self._options.context,
            stream_mode=["messages", "updates"],
            durability="sync",
        )
        async with aclosing(stream) as items:
            async for mode, data in items:
                if mode == "messages":
                    self._piece(data[0])
                elif "__interrupt__" in data:
                    waiting += data["__interrupt__"]
                else:
                    await self._updated(data)
        return waiting

    def _piece(self, message: Any) -> None:
        if isinstance(message, AIMessageChunk) and message.id is not None:
            self._relay.tell(*self._told.pieces(message))

    async def _updated(self, update: dict[str, Any]) -> None:
        """What the nodes gave; their messages are whole."""
        for given in update.values():
            for part in given if isinstance(given, list) else [given]:
                for message in native.messages_in(part, self._options.prompt_key or "messages"):
                    if events := self._told.whole(message):
                        await self._relay.say(*events)

    def _unsaid(self, state: StateSnapshot) -> list[EventData]:
        """What the log lacks of the run's messages that are in the state."""
        messages = native.messages_in(state.values, self._options.prompt_key or "messages")
        begin = next((at for at, message in enumerate(messages) if message.id == self._context.run.id), len(messages))
        return [event for message in messages[begin:] for event in self._told.whole(message)]

    async def _answers(self, waiting: Sequence[Interrupt[Any]]) -> Command[Any]:
        """What people say to the interrupts, in the words that each expects."""
        questions = [question for interrupt in waiting for question in native.questions(interrupt.value)]
        decisions = await ask_all(self._context, questions, self._options.approval_timeout)
        resume: dict[str, Any] = {}
        for interrupt in waiting:
            count = len(native.questions(interrupt.value))
            mine, decisions = decisions[:count], decisions[count:]
            resume[interrupt.id] = native.answer(interrupt.value, mine, self._options.answers)
        return Command(resume=resume)

    # --- the end ---

    def _completed(self, state: StateSnapshot) -> EventData:
        key = self._options.prompt_key or "messages"
        values = state.values
        if not isinstance(values, dict):
            return _returned(values)
        messages = native.messages_in(values, key)
        last = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
        channels = self._graph.output_channels
        if isinstance(channels, str):
            return _returned(values.get(channels))
        rest = {name: values[name] for name in channels if name in values and not (messages and name == key)}
        output = rest.get("structured_response", rest or None)
        return ev.RunCompleted(
            text=str(last.text) if last is not None else None,
            output=None if output is None else to_jsonable_python(output, fallback=str),
        )


def _returned(value: Any) -> EventData:
    if isinstance(value, str):
        return ev.RunCompleted(text=value)
    return ev.RunCompleted(output=to_jsonable_python(value, fallback=str))
