"""What the agent tells in a turn (`session/update`), turned into events."""

from __future__ import annotations

from typing import Any

from sessionry.agents.acp.failing import info_of_words
from sessionry.agents.acp.presets import Preset
from sessionry.agents.acp.spending import Spending
from sessionry.agents.acp.terminals import Terminals
from sessionry.agents.acp.tools import ToolCall, ToolCalls, parent_of, table
from sessionry.domain.events import (
    ErrorOccurred,
    EventData,
    MessageReceived,
    MessageStreamed,
    PlanUpdated,
    RateLimited,
    ReasoningReceived,
    ReasoningStreamed,
)
from sessionry.domain.json_values import Json

#: The kind of update, and what its pieces and its whole are called.
_WORDS: dict[
    str, tuple[type[MessageStreamed] | type[ReasoningStreamed], type[MessageReceived] | type[ReasoningReceived]]
]
_WORDS = {
    "agent_message_chunk": (MessageStreamed, MessageReceived),
    "agent_thought_chunk": (ReasoningStreamed, ReasoningReceived),
}


class Teller:
    """The updates of one attempt. Kinds that nobody knows are passed over: the protocol grows.

    `unsaid` is a word that is told to nobody when it is all of a message. `terminals` are those that the agent may use.
    """

    def __init__(
        self,
        prefix: str,
        preset: Preset,
        spending: Spending,
        terminals: Terminals,
        *,
        unsaid: str | None = None,
    ) -> None:
        self.calls = ToolCalls(prefix, titles_are_names=preset.titles_are_names, seen=terminals.seen)
        self.spending = spending
        #: the last whole message of the agent itself
        self.text = ""
        #: what the agent said of a failure that it tells as if it was an answer; None: it tells none
        self.broken: str | None = None
        self._prefix = prefix
        self._unsaid = unsaid
        self._number = 0
        self._open: _Words | None = None
        #: what came beside words, and is told after the whole of these
        self._later: list[EventData] = []

    def tell(self, update: dict[str, Any]) -> list[EventData]:
        kind = str(update.get("sessionUpdate"))
        if kind in _WORDS:
            events = self._words(kind, update)
            self._later += self.spending.aside(update)
            return events
        if kind in ("tool_call", "tool_call_update"):
            return [*self.close(), *self.calls.of(update).learn(update)]
        if kind == "plan":
            return [*self.close(), PlanUpdated(entries=_entries(update.get("entries")))]
        if kind == "usage_update":
            return self.spending.update(update)
        return self._aside(update) if kind == "session_info_update" else []

    def asked(self, told: dict[str, Any]) -> tuple[ToolCall, list[EventData]]:
        """The call that a question is about, and what is to be told before it is asked."""
        call = self.calls.of(told)
        return call, [*self.close(), *call.learn({**told, "status": None}), *call.start()]

    def close(self) -> list[EventData]:
        """The whole of what is being said, if anything is."""
        words, self._open = self._open, None
        later, self._later = self._later, []
        if words is None or not words.text or _bare(words.text) == self._unsaid:
            return later
        whole = _WORDS[words.kind][1](text=words.text, message_id=words.id, parent_tool_call_id=words.parent)
        if isinstance(whole, MessageReceived) and words.parent is None:
            self.text = whole.text
        return [whole, *later]

    def whole(self, text: str) -> MessageReceived:
        """A message that the agent said where nobody listened."""
        self._number += 1
        self.text = text
        return MessageReceived(text=text, message_id=f"{self._prefix}-{self._number}")

    def quiet(self) -> list[EventData]:
        """Nothing came for a moment: calls that were announced without all their arguments are at work by now."""
        return [event for call in self.calls.unstarted() for event in call.start()]

    def end(self) -> list[EventData]:
        """The turn is over."""
        return [*self.close(), *self.calls.give_up()]

    def _aside(self, update: dict[str, Any]) -> list[EventData]:
        """Codex's adapter tells of errors beside the protocol, and says the last one as if it was an answer."""
        codex = table(table(update, "_meta"), "codex")
        if table(codex, "threadStatus").get("type") == "systemError":
            self.broken = ""
        error = table(codex, "error")
        if not error.get("willRetry"):
            return []
        said = [str(error[name]) for name in ("message", "additionalDetails") if error.get(name)]
        info = info_of_words(": ".join(said))
        if info.code == "rate_limited":
            return [RateLimited(retry_after=info.retry_after, message=info.message)]
        return [ErrorOccurred(error=info)]

    def _words(self, kind: str, update: dict[str, Any]) -> list[EventData]:
        text = text_of(update.get("content"))
        if not text:
            return []
        if self.broken is not None:
            self.broken += text
            return []
        native, parent = update.get("messageId"), self.calls.id_of(parent_of(update))
        events: list[EventData] = []
        if self._open is None or (self._open.kind, self._open.native, self._open.parent) != (kind, native, parent):
            events = self.close()
            self._number += 1
            self._open = _Words(kind, f"{self._prefix}-{self._number}", native, parent)
        if not (piece := self._open.add(text, self._unsaid)):
            return events
        return [*events, _WORDS[kind][0](text=piece, message_id=self._open.id, parent_tool_call_id=parent)]


class _Words:
    """A message, or a thought, that is not over yet."""

    def __init__(self, kind: str, id: str, native: Any, parent: str | None) -> None:
        self.kind = kind
        self.id = id
        self.native = native
        self.parent = parent
        self.text = ""
        self._held_back = ""

    def add(self, piece: str, unsaid: str | None) -> str:
        """What is to be told now: nothing as long as it may become the word that is told to nobody."""
        self.text += piece
        self._held_back += piece
        if unsaid is not None and unsaid.startswith(_bare(self.text) or " "):
            return ""
        told, self._held_back = self._held_back, ""
        return told


def _bare(text: str) -> str:
    return text.strip().rstrip(".")


def text_of(content: Any) -> str:
    """The text of a content block; a link stands for what it points at, and what cannot be read is named."""
    if not isinstance(content, dict):
        return ""
    match content.get("type"):
        case "text":
            return str(content.get("text") or "")
        case "resource_link":
            return f"[{content.get('name') or content.get('uri')}]({content.get('uri')})"
        case "resource":
            resource = content.get("resource")
            return str(resource.get("text") or "") if isinstance(resource, dict) else ""
        case "image" | "audio" as kind:
            return f"[{kind}: {content.get('mimeType')}]"
    return ""


def _entries(given: Any) -> list[dict[str, Json]]:
    entries = [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []
    known = ("pending", "in_progress", "completed")
    return [
        {
            "text": str(entry.get("content") or ""),
            "status": entry["status"] if entry.get("status") in known else "pending",
            **({"priority": entry["priority"]} if isinstance(entry.get("priority"), str) else {}),
        }
        for entry in entries
    ]
