"""What an earlier attempt did, read from the log: what is there is not done again."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from sessionry.agents.models.talk import Recorded
from sessionry.domain import events as ev
from sessionry.domain.events import Event, EventData
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext

_RECORD = "model_answer_"
#: What is read of the log.
_READ: tuple[type[EventData], ...] = (
    ev.StepCompleted,
    ev.MessageSent,
    ev.MessageStreamed,
    ev.MessageReceived,
    ev.ReasoningStreamed,
    ev.ReasoningReceived,
    ev.TokenUsageUpdated,
    ev.TurnCompleted,
    ev.ContinuityReport,
    ev.ToolApprovalRequested,
    ev.ToolCallStarted,
    *ev.TOOL_ENDINGS,
)
TYPES = tuple(kind.type for kind in _READ)


def record(turn: int, recorded: Recorded, streamed: tuple[str, str] = ("", "")) -> ev.StepCompleted:
    """The event that keeps an answer. It comes before everything that is told of the answer.

    What was streamed to the log, of its text and of its reasoning, is not kept a second time.
    """
    if streamed == (recorded.answer.text, recorded.answer.reasoning):
        answer = msgspec.structs.replace(recorded.answer, text="", reasoning="")
        recorded = msgspec.structs.replace(recorded, answer=answer, told=True)
    return ev.StepCompleted(name=f"{_RECORD}{turn}", result=msgspec.to_builtins(recorded))


def message_id(run_id: str, turn: int) -> str:
    """The same in every attempt: what is streamed again is the same message."""
    return f"msg-{run_id.removeprefix('run_')}-{turn}"


def reasoning_id(run_id: str, turn: int) -> str:
    return f"{message_id(run_id, turn)}-reasoning"


class Past:
    """The run so far, of all attempts before this one. Empty in a first one."""

    def __init__(self) -> None:
        self.answers: dict[int, Recorded] = {}
        #: what was streamed, by message
        self.pieces: dict[str | None, str] = defaultdict(str)
        #: the whole messages and reasonings
        self.received: set[str | None] = set()
        #: the answers whose usage was told
        self.counted: set[int] = set()
        self.turns = 0
        self.reported = False
        #: what the agent was given, with its images
        self.given: Json = None
        #: the calls about which a person was asked
        self.asked: set[str | None] = set()
        self.started: set[str] = set()
        self.ended: dict[str, EventData] = {}

    @classmethod
    async def of(cls, context: AgentContext) -> Past:
        past = cls()
        if context.run.attempt > 1:
            for event in await context.history(TYPES):
                await past._add(context, event)
        return past

    async def _add(self, context: AgentContext, event: Event) -> None:
        match event.data:
            case ev.StepCompleted(name=name, result=result) if name.startswith(_RECORD):
                turn = int(name.removeprefix(_RECORD))
                recorded = msgspec.convert(await restored(context, result), Recorded)
                self.answers[turn] = self._with_words(recorded, context.run.id, turn)
            case ev.MessageSent(content=content):
                self.given = content
            case ev.MessageStreamed(text=text, message_id=id) | ev.ReasoningStreamed(text=text, message_id=id):
                self.pieces[id] += text
            case ev.MessageReceived(message_id=id) | ev.ReasoningReceived(message_id=id):
                self.received.add(id)
            case ev.TokenUsageUpdated(usage=usage):
                newest = max(self.answers, default=0)
                if newest and self.answers[newest].answer.usage == usage:
                    self.counted.add(newest)
            case ev.TurnCompleted():
                self.turns += 1
            case ev.ContinuityReport():
                self.reported = True
            case ev.ToolApprovalRequested(tool_call_id=id):
                self.asked.add(id)
            case ev.ToolCallStarted(tool_call_id=id):
                self.started.add(id)
            case ev.ToolCallCompleted(tool_call_id=id, tool_output=output):
                whole = await restored(context, output)
                self.ended[id] = msgspec.structs.replace(event.data, tool_output=whole)
            case ev.ToolCallFailed(tool_call_id=id) | ev.ToolCallInterrupted(tool_call_id=id):
                self.ended[id] = event.data

    def _with_words(self, recorded: Recorded, run_id: str, turn: int) -> Recorded:
        if not recorded.told:
            return recorded
        text, reasoning = (self.pieces[id] for id in (message_id(run_id, turn), reasoning_id(run_id, turn)))
        answer = msgspec.structs.replace(recorded.answer, text=text, reasoning=reasoning)
        return msgspec.structs.replace(recorded, answer=answer)

    def newest(self, call_id: str, attempt: int) -> tuple[str, EventData | None] | None:
        """The newest try of a call and how it ended; None when it was never started."""
        tries = [call_id, *(again(call_id, number) for number in range(2, attempt))]
        begun = [id for id in tries if id in self.started]
        return (begun[-1], self.ended.get(begun[-1])) if begun else None


def again(call_id: str, attempt: int) -> str:
    """The id of a call that is made again in that attempt."""
    return f"{call_id}_{attempt}"


async def restored(context: AgentContext, value: Any) -> Any:
    """A value of the log with what was too big for it, and was moved to the blobs, back in its place."""
    if isinstance(value, list):
        return [await restored(context, item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"preview", "artifact", "size"} and isinstance(value["artifact"], str):
        return await _moved(context, value)
    return {name: await restored(context, item) for name, item in value.items()}


async def _moved(context: AgentContext, value: dict[str, Any]) -> Any:
    text = (await context.blob(value["artifact"])).decode(errors="replace")
    if value["preview"][:1] in ("{", "["):  # a whole value was moved as its JSON; a text may look like it
        try:
            decoded = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
        return await restored(context, decoded) if isinstance(decoded, dict) and "answer" in decoded else text
    return text
