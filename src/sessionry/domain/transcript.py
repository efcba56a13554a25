"""The conversation that a log holds: messages in order, with every tool call next to its result.

A pure reading of the log, made once with `transcript` or piece by piece with `extend`: both give the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import records
from sessionry.domain.codec import encode_json
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json

_READ: tuple[type[ev.EventData], ...] = (
    ev.SessionCreated,
    ev.SessionUpdated,
    ev.RunQueued,
    ev.RunStarted,
    ev.RunRequeued,
    *ev.RUN_ENDINGS,
    ev.MessageSent,
    ev.MessageStreamed,
    ev.MessageReceived,
    ev.InputReceived,
    ev.WordsSuperseded,
    ev.ToolCallStarted,
    *ev.TOOL_ENDINGS,
)
#: The event types that make a transcript; a reader may leave all others out.
TRANSCRIPT_TYPES: tuple[str, ...] = tuple(kind.type for kind in _READ)


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. A tool message has the call and what came of it; `role` is system, user, assistant or tool.

    `text` is what a person reads; `content` is what was said where that is more than text. `seq` is of the event with
    which it began. While it is `open`, later events may complete or replace it: an input whose run has not begun, a text
    that streams, a tool at work.
    """

    role: str
    text: str | None = None
    content: Json = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    tool_input: Json = None
    tool_output: Json = None
    failed: bool = False
    seq: int = 0
    run_id: str | None = None
    message_id: str | None = None
    open: bool = False


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The messages, oldest first, and the `seq` of the last event that they account for."""

    messages: list[Message] = []
    last_seq: int = 0


def transcript(events: Iterable[Event]) -> Transcript:
    """The conversation of one session's log, whose events come in the order of the log. Reasoning is left out."""
    return extend(Transcript(), events)


def extend(transcript: Transcript, events: Iterable[Event]) -> Transcript:
    """The transcript with later events added. Events that it accounts for already are passed over.

    Up to 0 count those that are in no log of the session: what it was forked from.
    """
    writer = _Writer(transcript)
    for event in events:
        if event.seq <= 0 or event.seq > writer.last_seq:
            writer.add(event)
    return writer.transcript()


def text_of(content: Json) -> str:
    """What a person reads of an input or a message.

    That is the string itself; the text blocks of a list; the `prompt`, the `text`, the `content` or the last of the
    `messages` of an object; else the JSON.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content and all(_is_text_block(block) for block in content):
        return "".join(block if isinstance(block, str) else block["text"] for block in content)
    if isinstance(content, dict):
        for key in ("prompt", "text", "content"):
            if isinstance(content.get(key), str | list):
                return text_of(content[key])
        messages = content.get("messages")
        if isinstance(messages, list) and messages:
            return text_of(messages[-1])
    return encode_json(content)


def _is_text_block(block: Json) -> bool:
    return isinstance(block, str) or (isinstance(block, dict) and isinstance(block.get("text"), str))


class _Writer:
    """A transcript while events are added to it.

    Messages keep their index for ever, a removed one leaves None; the first one is the system message's.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.last_seq = transcript.last_seq
        self.messages: list[Message | None] = [None]
        #: the open messages of each run, oldest first
        self.open: dict[str | None, list[int]] = {}
        #: the newest message of each tool call, and of any tool, of each run
        self.calls: dict[tuple[str | None, str], int] = {}
        self.newest_call: dict[str | None, int] = {}
        #: the runs that have a word of the agent
        self.answered: set[str | None] = set()
        #: what was streamed to a message and is not in its text yet
        self.pieces: dict[int, list[str]] = {}
        for message in transcript.messages:
            self._append(message)

    def transcript(self) -> Transcript:
        for index in list(self.pieces):
            self._join(index)
        messages = [message for message in self.messages if message is not None]
        return Transcript(messages=messages, last_seq=self.last_seq)

    def add(self, event: Event) -> None:
        self.last_seq = max(self.last_seq, event.seq)
        match event.data:
            case ev.SessionCreated(context=dict(context)) | ev.SessionUpdated(context=dict(context)):
                prompt = context.get("system_prompt")
                self.messages[0] = _said(event, "system", prompt) if prompt else None
            case ev.RunQueued(input=input) if input is not None:
                self._take_input(event.run_id)
                self._append(_said(event, "user", input, open=True))
            case ev.RunStarted():
                self._begin(event)
            case ev.RunCompleted(text=text):
                self._close(event.run_id)
                if text and event.run_id not in self.answered:
                    self._append(_said(event, "assistant", text))
            case ev.RunFailed() | ev.RunCancelled() | ev.RunTimeout():
                self._close(event.run_id)
            case ev.RunRequeued():
                self._take_back(event.run_id, lambda message: message.open)
                self._close(event.run_id)
            case ev.WordsSuperseded():
                self._take_back(event.run_id, lambda _: True)
            case data:
                self._add_words(event, data)

    def _add_words(self, event: Event, data: ev.EventData) -> None:
        if getattr(data, "parent_tool_call_id", None) is not None:
            return  # a sub-agent's: what comes of it is the result of the tool that it works for
        match data:
            case ev.MessageSent(content=content, role=role):
                self._take_input(event.run_id)
                self._append(_said(event, role, content))
            case ev.InputReceived(text=text):
                self._append(_said(event, "user", text))
            case ev.MessageStreamed(text=text, message_id=message_id):
                self._stream(event, text, message_id)
            case ev.MessageReceived():
                self._receive(event, data)
            case ev.ToolCallStarted():
                self._start_tool(event, data)
            case ev.ToolCallCompleted(tool_output=output):
                self._end_tool(event, data, tool_output=output)
            case ev.ToolCallFailed(tool_output=output, error=error):
                self._end_tool(event, data, tool_output=output, text=error.message, failed=True)
            case ev.ToolCallInterrupted(reason=reason) if (event.run_id, data.tool_call_id) in self.calls:
                self._end_tool(event, data, text=f"interrupted: {reason}", failed=True)

    # --- the input of a run ---

    def _begin(self, event: Event) -> None:
        """The run begins: an input that waited is said now."""
        waiting = self._take_input(event.run_id)
        if waiting is not None:
            self._append(msgspec.structs.replace(waiting, seq=event.seq))

    def _take_input(self, run_id: str | None) -> Message | None:
        """The open input of the run, taken out of the transcript to be said at another place."""
        index = self._open_input(run_id)
        if index is None:
            return None
        message = self._at(index)
        self.open[run_id].remove(index)
        self.messages[index] = None
        return message

    def _open_input(self, run_id: str | None) -> int | None:
        return next((index for index in self.open.get(run_id, ()) if self._at(index).role == "user"), None)

    # --- the words of the agent ---

    def _stream(self, event: Event, text: str, message_id: str | None) -> None:
        index = self._open_text(event.run_id, message_id)
        if index is None or (message_id is None and index < self.newest_call.get(event.run_id, 0)):
            index = self._append(_said(event, "assistant", "", message_id=message_id, open=True))
        self.pieces.setdefault(index, []).append(text)

    def _receive(self, event: Event, data: ev.MessageReceived) -> None:
        """A whole message takes the place of its pieces: those with its id, else the newest that may be its."""
        message = _said(event, data.role, data.text, message_id=data.message_id)
        index = None
        if data.role == "assistant":
            index = self._open_text(event.run_id, data.message_id)
            if index is None:
                index = self._open_text(event.run_id, None, any_id=data.message_id is None)
        if index is None:
            self._append(message)
            return
        self.pieces.pop(index, None)
        self.open[event.run_id].remove(index)
        self.messages[index] = msgspec.structs.replace(message, seq=self._at(index).seq)

    def _open_text(self, run_id: str | None, message_id: str | None, *, any_id: bool = False) -> int | None:
        """The newest message of the run that still streams, under that id."""
        for index in reversed(self.open.get(run_id, ())):
            message = self._at(index)
            if message.role == "assistant" and (any_id or message.message_id == message_id):
                return index
        return None

    def _take_back(self, run_id: str | None, which: Callable[[Message], bool]) -> None:
        """The agent's words of the run that are said anew by another attempt."""
        self.answered.discard(run_id)
        for index, message in enumerate(self.messages):
            if message is None or (message.run_id, message.role) != (run_id, "assistant"):
                continue
            if not which(message):
                self.answered.add(run_id)
                continue
            self.messages[index] = None
            self.pieces.pop(index, None)
            if message.open:
                self.open[run_id].remove(index)

    # --- its tools ---

    def _start_tool(self, event: Event, data: ev.ToolCallStarted) -> None:
        index = self.calls.get((event.run_id, data.tool_call_id))
        message = msgspec.structs.replace(_call(event, data), tool_input=data.tool_input)
        if index is None or not self._at(index).open:
            self._append(message)
        else:
            self.messages[index] = msgspec.structs.replace(message, seq=self._at(index).seq)

    def _end_tool(self, event: Event, data: Any, **result: Json) -> None:
        """The result goes into the message of the call. Of several results the last one counts."""
        index = self.calls.get((event.run_id, data.tool_call_id))
        if index is None:
            index = self._append(_call(event, data))
        message = self._at(index)
        if message.open:
            self.open[event.run_id].remove(index)
        ended = {"tool_output": None, "text": None, "failed": False, "open": False} | result
        self.messages[index] = msgspec.structs.replace(message, **ended)

    # --- places ---

    def _at(self, index: int) -> Message:
        message = self.messages[index]
        assert message is not None, "nothing refers to a message that was taken out"
        return message

    def _append(self, message: Message) -> int:
        index = len(self.messages)
        run_id = message.run_id
        if message.role == "system" and run_id is None and not any(self.messages):
            self.messages[0] = message
            return 0
        if message.role in ("assistant", "tool") and (said := self._open_input(run_id)) is not None:
            self._close_one(run_id, said)
        self.messages.append(message)
        if message.open:
            self.open.setdefault(run_id, []).append(index)
        if message.role == "assistant":
            self.answered.add(run_id)
        if message.role == "tool" and message.tool_call_id is not None:
            self.calls[run_id, message.tool_call_id] = self.newest_call[run_id] = index
        return index

    def _close(self, run_id: str | None) -> None:
        """Nothing more comes of what is open in the run. A tool that was at work did not end well."""
        for index in list(self.open.get(run_id, ())):
            self._join(index)
            self._close_one(run_id, index)

    def _close_one(self, run_id: str | None, index: int) -> None:
        message = self._at(index)
        self.open[run_id].remove(index)
        self.messages[index] = msgspec.structs.replace(message, open=False, failed=message.role == "tool")

    def _join(self, index: int) -> None:
        if pieces := self.pieces.pop(index, None):
            message = self._at(index)
            self.messages[index] = msgspec.structs.replace(message, text=(message.text or "") + "".join(pieces))


def _said(event: Event, role: str, content: Json, *, message_id: str | None = None, open: bool = False) -> Message:
    return Message(
        role=role,
        text=None if content is None else text_of(content),
        content=None if isinstance(content, str) else content,
        seq=event.seq,
        run_id=event.run_id,
        message_id=message_id,
        open=open,
    )


def _call(event: Event, data: Any) -> Message:
    """A tool at work. `data` is of its start, or of its end when the log has no start."""
    return Message(
        role="tool",
        tool_call_id=data.tool_call_id,
        tool_name=data.tool_name,
        seq=event.seq,
        run_id=event.run_id,
        open=True,
    )


# --- making it fit ----------------------------------------------------------------------------------------------------


def truncated(
    transcript: Transcript,
    *,
    max_messages: int | None = None,
    max_characters: int | None = None,
    max_tokens: int | None = None,
    characters_per_token: float = 4,
    pinned: Collection[int] = (),
) -> Transcript:
    """The system messages, those that are pinned by their `seq`, and the newest of the others that fit all limits.

    Characters are those of text, content, and the input and output of tools. A message stays whole or goes, but the
    newest one always stays: when it is too big on its own, its biggest parts are cut, and say so. System messages and
    pinned ones count, and are never cut.
    """
    staying = {
        index for index, message in enumerate(transcript.messages) if message.role == "system" or message.seq in pinned
    }
    room = _room(max_characters, max_tokens, characters_per_token)
    room -= sum(characters(transcript.messages[index]) for index in staying)
    count = math.inf
    if max_messages is not None:
        count = max(records.whole_number(max_messages, "max_messages", 1) - len(staying), 1)
    kept: dict[int, Message] = {}
    for index in range(len(transcript.messages) - 1, -1, -1):
        message = transcript.messages[index]
        if index in staying:
            continue
        if len(kept) >= count or (kept and characters(message) > room):
            break
        kept[index] = message if characters(message) <= room else _cut(message, int(room))
        room -= characters(message)
    kept.update((index, transcript.messages[index]) for index in staying)
    return msgspec.structs.replace(transcript, messages=[kept[index] for index in sorted(kept)])


def characters(message: Message) -> int:
    """How big a message is for `truncated`: what an agent would be given of it."""
    return sum(len(_part(message, name)) for name in _PARTS)


#: What of a message counts, and can be cut.
_PARTS = ("text", "tool_input", "tool_output")


def _room(max_characters: int | None, max_tokens: int | None, characters_per_token: float) -> float:
    room = math.inf
    if max_characters is not None:
        room = records.whole_number(max_characters, "max_characters", 1)
    if max_tokens is not None:
        if not characters_per_token > 0:
            raise records.invalid("characters_per_token", f"must be positive, not {characters_per_token!r}")
        room = min(room, int(records.whole_number(max_tokens, "max_tokens", 1) * characters_per_token))
    return room


def _part(message: Message, name: str) -> str:
    value = message.content if name == "text" and message.content is not None else getattr(message, name)
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value)


def _cut(message: Message, room: int) -> Message:
    """The message with its biggest parts shortened to text until it fits."""
    message = msgspec.structs.replace(message, content=None)
    for name in sorted(_PARTS, key=lambda name: -len(_part(message, name))):
        excess = characters(message) - room
        if excess > 0:
            part = _part(message, name)
            message = msgspec.structs.replace(message, **{name: _shortened(part, len(part) - excess)})
    return message


def _shortened(text: str, room: int) -> str:
    """The beginning and the end of `text`, and between them how much was left out."""
    notice = f"\n[... {len(text)} characters left out ...]\n"
    if len(notice) >= len(text):
        return text[: max(room - 1, 0)] + "…"
    half = max(room - len(notice), 0) // 2
    notice = f"\n[... {len(text) - 2 * half} characters left out ...]\n"
    return text[:half] + notice + text[len(text) - half :]
