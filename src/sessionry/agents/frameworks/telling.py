"""What the agents of all frameworks have in common in the way they tell of their work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from sessionry.agents.failures import failure
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.events import Event, EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo
from sessionry.domain.transcript import Message
from sessionry.ports import AgentContext, Decision

#: What a model is told of a tool that was at work when the run was interrupted.
INTERRUPTED = "The run was interrupted while this tool was at work: what it did is unknown. Look before you repeat it."

#: Events of which the log knows how many there are, and no more.
_COUNTED = (ev.MessageReceived, ev.ReasoningReceived, ev.TokenUsageUpdated, ev.TurnCompleted)


class Question:
    """A tool call that a person has to allow."""

    def __init__(self, tool_name: str, tool_input: Json, tool_call_id: str | None, reason: str | None = None) -> None:
        self.tool_name, self.tool_input = tool_name, tool_input
        self.tool_call_id, self.reason = tool_call_id, reason

    async def ask(self, context: AgentContext, timeout: float | None) -> Decision:
        return await context.approve(
            self.tool_name, self.tool_input, tool_call_id=self.tool_call_id, reason=self.reason, timeout=timeout
        )


async def ask_all(context: AgentContext, questions: Sequence[Question], timeout: float | None) -> list[Decision]:
    """All of them at once: a person may answer in any order."""
    if len(questions) == 1:
        return [await questions[0].ask(context, timeout)]
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(question.ask(context, timeout)) for question in questions]
    return [task.result() for task in asking]


def refusal(decision: Decision) -> str:
    """Why a tool was not run, for the model and for the log."""
    who = "nobody decided in time" if decision.expired else f"denied by {decision.by or 'a person'}"
    return f"The call was not allowed: {who}{f': {decision.note}' if decision.note else ''}"


def refused(tool_call_id: str, tool_name: str, tool_input: Json, why: str) -> list[EventData]:
    """A call that was not allowed, in the log: it began and failed."""
    return [
        ev.ToolCallStarted(tool_call_id=tool_call_id, tool_name=tool_name, tool_input=tool_input),
        ev.ToolCallFailed(tool_call_id=tool_call_id, tool_name=tool_name, error=failure("policy_violation", why)),
    ]


def tool_error(message: str) -> ErrorInfo:
    return failure("agent_failed", message or "the tool failed")


class Calls:
    """The ids of a run's tool calls. Models may use the same one twice; in the log each is used once."""

    def __init__(self, history: Iterable[Event]) -> None:
        self._used = {event.data.tool_call_id for event in history if isinstance(event.data, ev.ToolCallStarted)}
        self._of: dict[str, str] = {}
        #: those that an earlier attempt had begun
        self.begun_before = frozenset(self._used)

    def begin(self, native: str) -> str:
        """The id under which the call is told from now on."""
        id, number = native, 1
        while id in self._used:
            number += 1
            id = f"{native}~{number}"
        self._used.add(id)
        self._of[native] = id
        return id

    def of(self, native: str) -> str:
        return self._of.get(native, native)

    def is_open(self, native: str) -> bool:
        """It was begun, in this attempt."""
        return native in self._of


def unsaid(history: Sequence[Event], told: Sequence[EventData]) -> list[EventData]:
    """What of `told`, which is all that the journal gives rise to, the log lacks: a process died in between."""
    said = Counter(type(event.data) for event in history if getattr(event.data, "parent_tool_call_id", None) is None)
    ended = {_call(event.data) for event in history if isinstance(event.data, ev.ToolCallCompleted | ev.ToolCallFailed)}
    started = {_call(event.data) for event in history if isinstance(event.data, ev.ToolCallStarted)}
    missing: list[EventData] = []
    for event in told:
        if isinstance(event, _COUNTED):
            said[type(event)] -= 1
            if said[type(event)] < 0:
                missing.append(event)
        elif _call(event) not in (started if isinstance(event, ev.ToolCallStarted) else ended):
            missing.append(event)
    return missing


def _call(event: EventData) -> str | None:
    return getattr(event, "tool_call_id", None)


def words(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """An earlier conversation as (role, text), role user or assistant, for a model that has none of its tools."""
    said: list[tuple[str, str]] = []
    for message in messages:
        if message.role == "system":
            continue
        role, text = ("user" if message.role == "user" else "assistant"), _text(message)
        if said and said[-1][0] == role:
            said[-1] = (role, f"{said[-1][1]}\n\n{text}")
        elif text:
            said.append((role, text))
    return said


def _text(message: Message) -> str:
    if message.role != "tool":
        return message.text or ""
    result = message.text if message.failed else _plain(message.tool_output)
    state = "failed: " if message.failed else ""
    return f"[tool {message.tool_name} {_plain(message.tool_input)}]\n{state}{result or ''}".rstrip()


def _plain(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value)
