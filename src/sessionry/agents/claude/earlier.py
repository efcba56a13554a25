"""What earlier attempts at a run left in Claude Code's session, next to what the log has of them.

Either may lack the newest of it: a worker dies before it tells, and Claude Code writes its session with a delay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sessionry.agents.claude.native import Kept, message_uuid
from sessionry.agents.claude.results import of_message
from sessionry.agents.claude.telling import Teller
from sessionry.agents.handover import is_told, own_id, own_work
from sessionry.domain import events as ev
from sessionry.domain.events import Event, EventData
from sessionry.domain.transcript import Message
from sessionry.domain.usage import Usage
from sessionry.ports import AgentContext

E = TypeVar("E", bound=EventData)

#: Messages that a run may have sent in one attempt and that are looked for after a crash.
MOST_MESSAGES = 64

#: The results of calls that came to nothing only because nobody was there any more. What was said to them does not count.
_BROKEN_OFF = ("[Tool call interrupted", "The user doesn't want to proceed", "Tool permission request failed")
#: The model of the words that Claude Code puts into the model's mouth.
_NOBODY = "<synthetic>"


class Earlier(NamedTuple):
    """`prompted`: the session has the run's prompt. `untold` is what only the session has of the work, `lost` what only the
    log has, `heard` what people said meanwhile. `said` is the last word; with `finished`, there is nothing left to do.
    `cost` is that of the session so far.
    """

    prompted: bool = False
    untold: Sequence[EventData] = ()
    lost: Sequence[Message] = ()
    heard: Sequence[str] = ()
    said: str | None = None
    finished: bool = False
    cost: float | None = None


async def earlier_attempts(context: AgentContext, session: Kept | None) -> Earlier:
    """`session` is None where there is none to go on with."""
    log = await context.history()
    work = own_work(log)
    messages = session.since(_sent(context)) if session is not None else None
    if session is None or messages is None:
        return Earlier(lost=work)
    frames = list(_frames(messages, session.results()))
    interrupted = {call.tool_call_id for call in _of(log, ev.ToolCallInterrupted)}
    broken = next((number for number, frame in enumerate(frames) if _broken_off(frame, interrupted)), None)
    told = list(_told(frames[:broken]))
    words = [event.text for event in told if isinstance(event, ev.MessageReceived)]
    heard = [*_prompts(messages), *session.heard()]
    counted = sum((update.usage for update in _of(log, ev.TokenUsageUpdated)), Usage())
    uncounted = ev.TokenUsageUpdated(usage=_used(messages) - counted, model=_model(messages))
    return Earlier(
        prompted=True,
        untold=[*_untold(told, log), *([uncounted] if uncounted.usage else [])],
        lost=[message for message in work if not is_told(told, message)],
        heard=heard,
        said=words[-1] if words else None,
        cost=session.cost(),
        finished=broken is None
        and _at_an_end(messages)
        and {said.text for said in _of(log, ev.InputReceived)} <= set(heard),
    )


def _sent(context: AgentContext) -> set[str]:
    """The ids of everything that earlier attempts may have said."""
    attempts = range(1, context.run.attempt)
    return {message_uuid(context.run.id, attempt, number) for attempt in attempts for number in range(MOST_MESSAGES)}


def _model(messages: Sequence[Any]) -> str | None:
    models = [str(message.message.get("model")) for message in messages if message.type == "assistant"]
    return next((model for model in models if model != _NOBODY), None)


def _frames(messages: Sequence[Any], results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages as they were told, without those that were cut off."""
    for message in messages:
        said: dict[str, Any] = message.message
        own = message.type == "assistant" and said.get("model") != _NOBODY and said.get("stop_reason") is not None
        if own or blocks(message, "tool_result"):
            yield {"type": message.type, "message": said, "tool_use_result": results.get(message.uuid)}


def _told(frames: Sequence[dict[str, Any]]) -> Iterator[EventData]:
    teller = Teller("")
    for frame in frames:
        yield from teller.tell(frame)
    yield from teller.rest()
    yield from teller.open_calls()


def _untold(told: Sequence[EventData], log: Sequence[Event]) -> Iterator[EventData]:
    """What is not in the log, by the ids of messages and calls; a message that broke once has the id of its first try."""
    known = {
        own_id(event.data) for event in log if not isinstance(event.data, ev.MessageStreamed | ev.ReasoningStreamed)
    }
    texts = {said.text for said in _of(log, ev.MessageReceived)}
    new = True
    for event in told:
        if isinstance(event, _NAMED):
            new = own_id(event) not in known and getattr(event, "text", None) not in texts
        if new:
            yield event


_NAMED: tuple[type[EventData], ...] = (ev.MessageReceived, ev.ReasoningReceived, ev.ToolCallStarted, *ev.TOOL_ENDINGS)


def _broken_off(frame: dict[str, Any], interrupted: Collection[str]) -> bool:
    failed = (
        [block for block in frame["message"]["content"] if block.get("is_error")] if frame["type"] == "user" else []
    )
    return any(
        block.get("tool_use_id") in interrupted or str(block.get("content")).startswith(_BROKEN_OFF) for block in failed
    )


def _prompts(messages: Sequence[Any]) -> list[str]:
    """What was said to it by itself, without the one that began it all."""
    contents = [message.message.get("content") for message in messages[1:] if message.type == "user"]
    return [content for content in contents if isinstance(content, str)]


def _of(log: Sequence[Event], kind: type[E]) -> list[E]:
    return [event.data for event in log if isinstance(event.data, kind)]


def _used(messages: Sequence[Any]) -> Usage:
    """Each answer is kept block by block, and counted with each."""
    answers = {message.message.get("id"): message.message for message in messages if message.type == "assistant"}
    return sum(map(of_message, answers.values()), Usage())


def _at_an_end(messages: Sequence[Any]) -> bool:
    """Whether the newest thing that was said to it has had its whole answer."""
    last = messages[-1]
    ended = last.type == "assistant" and last.message.get("stop_reason") == "end_turn"
    return ended and last.message.get("model") != _NOBODY and bool(blocks(last, "text"))


def blocks(message: Any, kind: str) -> list[dict[str, Any]]:
    content = message.message.get("content")
    found = content if isinstance(content, list) else []
    return [block for block in found if isinstance(block, dict) and block.get("type") == kind]
