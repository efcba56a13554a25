"""Handing a conversation over to an agent that does not know it, as far as it fits.

Messages stay whole and in order; a tool call and its result are one message, so neither comes alone. What has to go goes
from the old end: the system prompt, the pinned messages and the newest ones stay. A message is pinned by its `seq` in the
session's context: `{"pinned": [12, 40]}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sessionry.domain.codec import encode_json
from sessionry.domain.continuity import Conversation
from sessionry.domain.events import (
    ContinuityReport,
    Event,
    EventData,
    MessageReceived,
    MessageStreamed,
    ToolCallCompleted,
    ToolCallFailed,
)
from sessionry.domain.json_values import Json
from sessionry.domain.session import Session
from sessionry.domain.transcript import Message, Transcript, characters, transcript, truncated

#: Tokens of a conversation that are handed over, unless an adapter knows better.
MAX_TOKENS = 24_000
#: The usual rule of thumb for English and code.
CHARACTERS_PER_TOKEN = 4.0
#: Entries of a report; more are counted in its last one.
MOST_LEFT_OUT = 50

#: Said to an agent whose own session has the prompt, when the worker that it worked for was lost.
GO_ON = (
    "Your work was interrupted before it was done. Look at what is there already, go on where it stopped, and do not repeat"
    " what is done. A call that failed or was refused only because of the interruption is not done: make it again."
)
#: What an agent answers that is asked to go on and has nothing left to do, and how it is told so, where an agent cannot say
#: nothing. The word is told to nobody.
FINISHED = "FINISHED"
IF_FINISHED = f"If nothing at all is left to do or say, answer with this one word: {FINISHED}"
#: Said before the prompt, when the agent's own session does not have it.
BEGUN_BEFORE = (
    "Your work on the following was interrupted, and nobody knows how much of it is done. Look at what is there already,"
    " then go on with it."
)


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """The messages that fit, and what the log is told of it."""

    messages: list[Message]
    report: ContinuityReport

    def text(self) -> str:
        """The messages as one text, to be put before a prompt; empty when there are none."""
        rules = [_told(message) for message in self.messages if message.role == "system"]
        said = [_told(message) for message in self.messages if message.role != "system"]
        parts = ["<instructions>", *rules, "</instructions>"] if rules else []
        if said:
            begin = "This conversation began without you. What was said and done in it:"
            parts += ["<earlier_conversation>", begin, *said, "</earlier_conversation>"]
        return "\n\n".join(parts)


def hand_over(
    conversation: Conversation,
    session: Session,
    *,
    max_tokens: int = MAX_TOKENS,
    characters_per_token: float = CHARACTERS_PER_TOKEN,
    native: bool | None = None,
) -> Handover:
    """What of `conversation.missed` is given to the agent. `native`: its own session is resumed as well."""
    native = conversation.native is not None if native is None else native
    before = conversation.missed
    pinned = session.context.get("pinned")
    kept = truncated(
        before,
        max_tokens=max_tokens,
        characters_per_token=characters_per_token,
        pinned=[seq for seq in pinned if isinstance(seq, int)] if isinstance(pinned, list) else [],
    ).messages
    carried = [message for message in kept if message.role != "system"]
    report = ContinuityReport(
        mode=("both" if carried else "native") if native else "replay",
        carried=len(carried),
        tokens=round(sum(map(characters, kept)) / characters_per_token),
        left_out=_left_out(before.messages, kept),
        previous_agents=conversation.previous_agents,
    )
    return Handover(messages=kept, report=report)


def go_on(lost: Sequence[Message] = ()) -> str:
    """What an agent is told that goes on in its own session. `lost` is what the log has of its work and that has not."""
    return "\n\n".join([GO_ON, *_work(lost, "What you said and did besides what you see above:")])


def begin_again(lost: Sequence[Message] = ()) -> str:
    """What an agent is told before the prompt, when an earlier attempt at it left nothing in a session of its own."""
    return "\n\n".join([BEGUN_BEFORE, *_work(lost, "What was said and done until then:"), "What you were asked:"])


def own_work(events: Iterable[Event]) -> list[Message]:
    """What was said and done in a run so far, by its events, without messages that were never whole."""
    whole = transcript(event for event in events if not isinstance(event.data, MessageStreamed))
    return [message for message in whole.messages if message.role in ("assistant", "tool")]


def was_interrupted(message: Message) -> bool:
    """Whether it is a tool call of which nobody knows what it did."""
    return message.role == "tool" and message.failed and (message.text or "").startswith("interrupted")


def is_told(told: Sequence[EventData], message: Message) -> bool:
    """Whether what an agent tells of its own session has the message too: the same words, or the call with its result."""
    if message.role == "assistant":
        return any(isinstance(event, MessageReceived) and event.text == message.text for event in told)
    ends = (event for event in told if isinstance(event, ToolCallCompleted | ToolCallFailed))
    ended = any(event.tool_call_id == message.tool_call_id for event in ends)
    return ended and not was_interrupted(message)


def own_id(event: EventData) -> str | None:
    """The agent's own name for the message or the call."""
    return getattr(event, "message_id", None) or getattr(event, "tool_call_id", None)


def _work(lost: Sequence[Message], heading: str) -> list[str]:
    if not lost:
        return []
    kept = truncated(Transcript(messages=list(lost)), max_tokens=MAX_TOKENS).messages
    return ["<interrupted_work>", heading, *map(_told, kept), "</interrupted_work>"]


def _left_out(before: Sequence[Message], kept: Sequence[Message]) -> list[dict[str, Json]]:
    stayed = {message.seq: message for message in kept}
    gone: list[dict[str, Json]] = []
    for message in before:
        if message.seq not in stayed:
            gone.append({"what": _name(message), "seq": message.seq, "reason": "too long"})
            continue
        if stayed[message.seq] != message:
            gone.append({"what": f"a part of {_name(message)}", "seq": message.seq, "reason": "too long"})
        if _has_images(message.content):
            gone.append({"what": f"images of {_name(message)}", "seq": message.seq, "reason": "only text is carried"})
    if len(gone) > MOST_LEFT_OUT:
        more = len(gone) - MOST_LEFT_OUT + 1
        gone[MOST_LEFT_OUT - 1 :] = [{"what": f"{more} more", "seq": None, "reason": "too long"}]
    return gone


def _has_images(content: Json) -> bool:
    return isinstance(content, dict) and bool(content.get("images"))


def _name(message: Message) -> str:
    return f"call of {message.tool_name}" if message.role == "tool" else f"{message.role} message"


def _told(message: Message) -> str:
    if message.role == "system":
        return message.text or ""
    if message.role != "tool":
        return f"[{message.role}]\n{message.text or ''}"
    result = message.text if message.failed else _plain(message.tool_output)
    head = f"[tool {message.tool_name} {_plain(message.tool_input)}]".replace(" ]", "]")
    return f"{head}\n{'failed: ' if message.failed else ''}{result or ''}".rstrip()


def _plain(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value)
