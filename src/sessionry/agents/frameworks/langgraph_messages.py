"""Messages and interrupts of LangGraph, as the log shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from pydantic_core import to_jsonable_python

from sessionry.agents.accounting import Account
from sessionry.agents.frameworks.telling import INTERRUPTED, Question, refusal, tool_error
from sessionry.domain import events as ev
from sessionry.domain.events import Event, EventData
from sessionry.domain.json_values import Json
from sessionry.domain.usage import Usage
from sessionry.ports import Decision


def messages_in(values: Any, key: str = "messages") -> list[BaseMessage]:
    """The messages of a state, or of what a node changed in it."""
    found = values.get(key) if isinstance(values, dict) else getattr(values, key, None)
    if isinstance(values, BaseMessage):
        found = values
    listed = found if isinstance(found, list) else [found]
    return [message for message in listed if isinstance(message, BaseMessage)]


def healed(messages: Sequence[BaseMessage]) -> list[ToolMessage]:
    """The results that calls of an earlier run lack: no model takes a call without one."""
    done = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    return [
        ToolMessage(INTERRUPTED, tool_call_id=call["id"], name=call["name"], status="error")
        for call in calls
        if call["id"] is not None and call["id"] not in done
    ]


class Told:
    """What the log has of the run's messages, by their ids; of tokens and turns, which have none, by their number."""

    def __init__(self, history: Sequence[Event]) -> None:
        self.model: str | None = None
        self._said: set[tuple[type[EventData], str | None]] = set()
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._names: dict[str, str] = {}
        self._streamed: dict[str, AIMessageChunk] = {}
        self._whole: set[str | None] = set()
        self._uses = self._turns = 0
        for event in history:
            self._note(event.data)

    def _note(self, data: EventData) -> None:
        match data:
            case ev.MessageReceived(message_id=id) | ev.ReasoningReceived(message_id=id):
                self._said.add((type(data), id))
            case ev.ToolCallStarted(tool_call_id=id, tool_name=name):
                self._begun.add(id)
                self._names[id] = name
            case ev.ToolCallCompleted(tool_call_id=id) | ev.ToolCallFailed(tool_call_id=id):
                self._ended.add(id)
            case ev.TokenUsageUpdated():
                self._uses += 1
            case ev.TurnCompleted():
                self._turns -= 1

    def pieces(self, chunk: AIMessageChunk) -> list[EventData]:
        """The words and thoughts of a piece."""
        assert chunk.id is not None
        if chunk.id in self._whole:
            return []
        before = self._streamed.get(chunk.id)
        self._streamed[chunk.id] = chunk if before is None else before + chunk
        events: list[EventData] = []
        for kind, text in _blocks(chunk):
            if kind == "text":
                events.append(ev.MessageStreamed(text=text, message_id=chunk.id))
            else:
                events.append(ev.ReasoningStreamed(text=text, message_id=chunk.id))
        return events

    def whole(self, message: BaseMessage) -> list[EventData]:
        """What the log lacks of a message of the model or of a tool."""
        if isinstance(message, ToolMessage):
            return self._result(message)
        if not isinstance(message, AIMessage) or message.id in self._whole:
            return []
        self._whole.add(message.id)
        self._streamed.pop(message.id or "", None)
        events: list[EventData] = []
        blocks = _blocks(message)
        for kind, event in (("reasoning", ev.ReasoningReceived), ("text", ev.MessageReceived)):
            text = "".join(text for found, text in blocks if found == kind)
            if text and (event, message.id) not in self._said:
                events.append(event(text=text, message_id=message.id))
        events += [self._begin(call) for call in message.tool_calls if (call["id"] or "") not in self._begun]
        self._turns += 1
        return [*events, *self._used(message)]

    def _begin(self, call: Any) -> EventData:
        id = str(call["id"])
        self._begun.add(id)
        self._names[id] = call["name"]
        given = to_jsonable_python(call["args"], fallback=str)
        return ev.ToolCallStarted(tool_call_id=id, tool_name=call["name"], tool_input=given)

    def _result(self, message: ToolMessage) -> list[EventData]:
        id = message.tool_call_id
        if id in self._ended or id not in self._begun:
            return []
        self._ended.add(id)
        name = message.name or self._names.get(id, "tool")
        if message.status == "error":
            return [
                ev.ToolCallFailed(tool_call_id=id, tool_name=name, error=tool_error(str(message.text))),
                *self.turns(),
            ]
        output = to_jsonable_python(message.content, fallback=str)
        completed = ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=output)
        return [completed, *self.turns()]

    def turns(self) -> list[EventData]:
        """The ends of the model's turns whose tools have all ended."""
        if self._begun - self._ended:
            return []
        over = max(self._turns, 0)
        self._turns -= over
        return [ev.TurnCompleted()] * over

    def ends(self) -> list[EventData]:
        """Messages that were streamed and are in no node's result: a whole for each."""
        left, self._streamed = list(self._streamed.values()), {}
        return [event for chunk in left for event in self.whole(chunk)]

    def _used(self, message: AIMessage) -> list[EventData]:
        self.model = message.response_metadata.get("model_name") or message.response_metadata.get("model") or self.model
        used = Account(model=self.model).add(_usage(message))
        if used is not None and self._uses > 0:  # an earlier attempt has told it
            self._uses -= 1
            return []
        return [used] if used is not None else []


def _blocks(message: AIMessage) -> list[tuple[str, str]]:
    """(text or reasoning, the words) in order."""
    found: list[tuple[str, str]] = []
    for block in message.content_blocks:
        if block["type"] == "text" and block["text"]:
            found.append(("text", block["text"]))
        elif block["type"] == "reasoning" and block.get("reasoning"):
            found.append(("reasoning", block["reasoning"]))
    return found


def _usage(message: AIMessage) -> Usage:
    """The tokens of a message in our buckets; LangChain counts the cached ones into the input."""
    used: Any = message.usage_metadata
    if not used:
        return Usage()
    given, taken = used.get("input_token_details") or {}, used.get("output_token_details") or {}
    read, written = given.get("cache_read") or 0, given.get("cache_creation") or 0
    return Usage(
        input_tokens=max(used.get("input_tokens", 0) - read - written, 0),
        output_tokens=used.get("output_tokens", 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=taken.get("reasoning") or 0,
    )


# --- interrupts -------------------------------------------------------------------------------------------------------

_NAMES = ("tool_name", "tool", "action", "name")
_REASONS = ("description", "question", "reason", "message", "prompt")


def questions(value: Any) -> list[Question]:
    """What an interrupt asks: a tool call each where it has the shape that LangChain's agents give it, else one."""
    if isinstance(value, dict) and isinstance(value.get("action_requests"), list) and value["action_requests"]:
        return [_question(request.get("name"), request.get("args"), request) for request in value["action_requests"]]
    if isinstance(value, dict):
        name = next((value[name] for name in _NAMES if isinstance(value.get(name), str)), None)
        return [_question(name, value, value)]
    return [_question(None, value, {"message": value})]


def _question(name: Any, given: Any, told: Any) -> Question:
    reason = next((told[key] for key in _REASONS if isinstance(told.get(key), str)), None)
    return Question(str(name or "interrupt"), to_jsonable_python(given, fallback=str), None, reason)


def answer(value: Any, decisions: Sequence[Decision], answers: str) -> Any:
    """What the interrupt gets back."""
    if isinstance(value, dict) and value.get("action_requests"):
        return {"decisions": [_decided(decision) for decision in decisions]}
    (decision,) = decisions
    if answers == "note":
        return decision.note
    if answers == "decision":
        return {"approved": decision.approved, "by": decision.by, "note": decision.note}
    return decision.approved


def _decided(decision: Decision) -> Json:
    return {"type": "approve"} if decision else {"type": "reject", "message": refusal(decision)}
