"""From the frames of Claude Code to the events of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sessionry.agents.claude.changes import output_of, text_of
from sessionry.agents.claude.voices import Voice
from sessionry.agents.failures import code_of, failure
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.records import utc_now
from sessionry.domain.run import ErrorInfo

Frame = dict[str, Any]

#: What TodoWrite's words are in a plan.
_STATUS = {"pending": "pending", "in_progress": "in_progress", "completed": "completed"}


class Teller:
    """What one process says, frame by frame. `tell` returns the events of a frame, in order."""

    def __init__(self, agent_id: str) -> None:
        self._agent_id = agent_id
        self._voices: dict[str | None, Voice] = {}
        self._calls: dict[str, tuple[str, str | None]] = {}
        self._in_background: set[str] = set()
        self._held: list[EventData] = []
        self._retrying: ErrorInfo | None = None
        self._resets_at: datetime | None = None
        self._stop_reason: str | None = None
        self._in_turn = False
        self._version: str | None = None
        #: how the model is called that the session works with
        self.model: str | None = None
        #: the newest words of the agent itself
        self.said: str | None = None

    def tell(self, frame: Frame) -> list[EventData]:
        """A whole message of the agent itself is held until the next event: what was told of a run whose worker is lost
        must not end with a message that its session may not have yet.
        """
        told = list(self._told(frame))
        words: list[EventData] = []
        others: list[EventData] = []
        for event in told:
            last = isinstance(event, ev.MessageReceived) and event.parent_tool_call_id is None
            (words if last and event is told[-1] else others).append(event)
        if others:
            others = [*self._held, *others]
            self._held = []
        if words:
            others += self._held
            self._held = words
        return others

    def after_words(self, events: Iterable[EventData]) -> list[EventData]:
        """These, but not before the words that are held."""
        if self._held:
            self._held += events
            return []
        return list(events)

    def rest(self) -> list[EventData]:
        held, self._held = self._held, []
        return held

    def retry_after(self) -> float | None:
        """Seconds until the model's provider takes requests again, as far as it said so."""
        if self._resets_at is None:
            return None
        return max((self._resets_at - utc_now()).total_seconds(), 0.0)

    def _told(self, frame: Frame) -> Iterable[EventData]:
        parent = frame.get("parent_tool_use_id")
        match frame.get("type"):
            case "stream_event":
                return self._streamed(frame.get("event") or {}, parent)
            case "assistant":
                return self._said(frame, parent)
            case "user":
                return self._results(frame, parent)
            case "system":
                tell = self._of_system.get(str(frame.get("subtype")))
                return tell(self, frame) if tell else ()
            case "rate_limit_event":
                return self._limited(frame.get("rate_limit_info") or {})
        return ()

    # --- words ---

    def _voice(self, parent: str | None) -> Voice:
        return self._voices.setdefault(parent, Voice())

    def _streamed(self, event: Frame, parent: str | None) -> Iterator[EventData]:
        voice = self._voice(parent)
        match event.get("type"):
            case "message_start":
                voice.begin(str(event["message"]["id"]))
                self._in_turn = self._in_turn or parent is None
                yield from self._recovered()
            case "content_block_start":
                voice.block(event["index"], str(event["content_block"].get("type")))
            case "content_block_delta":
                block, delta = voice.streamed(event["index"]), event["delta"]
                piece = delta.get("text") or delta.get("thinking")
                if block is not None and piece and (fresh := block.more(piece)):
                    kind = ev.MessageStreamed if block.kind == "text" else ev.ReasoningStreamed
                    yield kind(text=fresh, message_id=block.id, parent_tool_call_id=parent)
            case "message_delta" if parent is None:
                self._stop_reason = event["delta"].get("stop_reason")

    def _said(self, frame: Frame, parent: str | None) -> Iterator[EventData]:
        message = frame["message"]
        if frame.get("error") or frame.get("aborted"):
            return  # the words of Claude Code itself, which come again in the result; or a message that is cut off
        self._in_turn = self._in_turn or parent is None
        yield from self._recovered()
        for content in message.get("content") or []:
            block = self._voice(parent).whole(str(message.get("id")), str(content.get("type")))
            match content.get("type"):
                case "text" if text := content.get("text"):
                    self.said = text if parent is None else self.said
                    if block.told and (fresh := block.rest(text)):
                        yield ev.MessageStreamed(text=fresh, message_id=block.id, parent_tool_call_id=parent)
                    yield ev.MessageReceived(text=text, message_id=block.id, parent_tool_call_id=parent)
                case "thinking" if text := content.get("thinking"):
                    yield ev.ReasoningReceived(text=text, message_id=block.id, parent_tool_call_id=parent)
                case "tool_use" | "server_tool_use":
                    yield from self._called(content, parent)
                case kind if str(kind).endswith("_tool_result"):
                    yield from self._ended(content, None)

    # --- tools ---

    def _called(self, call: Frame, parent: str | None) -> Iterator[EventData]:
        id, name = str(call["id"]), str(call["name"])
        self._calls[id] = (name, parent)
        yield ev.ToolCallStarted(
            tool_call_id=id, tool_name=name, tool_input=call.get("input"), parent_tool_call_id=parent
        )
        todos = (call.get("input") or {}).get("todos") if name == "TodoWrite" and parent is None else None
        if isinstance(todos, list):
            yield ev.PlanUpdated(entries=[_entry(todo) for todo in todos if isinstance(todo, dict)])

    def _results(self, frame: Frame, parent: str | None) -> Iterator[EventData]:
        content = frame["message"].get("content")
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_result":
                yield from self._ended(block, frame.get("tool_use_result"))
        own = [name for name, whose in self._calls.values() if whose is None]
        if self._stop_reason == "tool_use" and parent is None and len(own) == len(self._in_background):
            self._stop_reason, self._in_turn = None, False
            yield ev.TurnCompleted(stop_reason="tool_use")

    def _ended(self, block: Frame, result: Any) -> Iterator[EventData]:
        id = str(block.get("tool_use_id"))
        if id not in self._calls:
            return
        if isinstance(result, dict) and result.get("isAsync") and not block.get("is_error"):
            self._in_background.add(id)  # it has only begun: a task_notification will tell its end
            return
        name, whose = self._calls.pop(id)
        if block.get("is_error"):
            said = text_of(block.get("content"))
            error = failure("agent_failed", said[:2000] or f"{name} failed")
            yield ev.ToolCallFailed(
                tool_call_id=id, tool_name=name, error=error, tool_output=said, parent_tool_call_id=whose
            )
            return
        output = output_of(block.get("content"), result)
        yield ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=output, parent_tool_call_id=whose)

    def _task_ended(self, frame: Frame) -> Iterator[EventData]:
        id = str(frame.get("tool_use_id"))
        if id not in self._in_background:
            return
        self._in_background.discard(id)
        block = {"tool_use_id": id, "is_error": frame.get("status") != "completed", "content": frame.get("summary")}
        yield from self._ended(block, None)

    def open_calls(self) -> Iterator[EventData]:
        """The ends of calls that nobody ended, for a run that ends well all the same."""
        for id, (name, _) in list(self._calls.items()):
            del self._calls[id]
            yield ev.ToolCallInterrupted(tool_call_id=id, tool_name=name, reason="no result was told")

    # --- facts ---

    def _begun(self, frame: Frame) -> Iterator[EventData]:
        first = self.model is None
        self.model = frame.get("model") or self.model
        if not first:
            return
        for server in frame.get("mcp_servers") or []:
            if server.get("status") in ("failed", "needs-auth"):
                message = f"the MCP server {server.get('name')} is not there: {server.get('status')}"
                yield ev.ErrorOccurred(error=failure("agent_failed", message, server=server.get("name")))

    def _retried(self, frame: Frame) -> Iterator[EventData]:
        status, wait = frame.get("error_status"), frame.get("retry_delay_ms")
        seconds = wait / 1000 if isinstance(wait, int | float) else None
        said = f"{frame.get('error')}: try {frame.get('attempt')} of {frame.get('max_retries')} follows"
        if status == 429:
            self._resets_at = utc_now() + timedelta(seconds=seconds or 0.0)
            yield ev.RateLimited(retry_after=seconds, resets_at=self._resets_at, message=said)
            return
        code = code_of(status, said) if status else "agent_unavailable"
        self._retrying = failure(code, said, retry_after=seconds, status=status)
        yield ev.ErrorOccurred(error=self._retrying)

    def _recovered(self) -> Iterator[EventData]:
        if self._retrying is not None:
            yield ev.ErrorRecovered(error=self._retrying)
            self._retrying = None

    def _limited(self, info: Frame) -> Iterator[EventData]:
        resets = info.get("resetsAt")
        if info.get("status") != "rejected":
            return
        self._resets_at = datetime.fromtimestamp(resets, UTC) if isinstance(resets, int | float) else None
        kind = str(info.get("rateLimitType") or "limit")
        yield ev.RateLimited(retry_after=self.retry_after(), resets_at=self._resets_at, message=f"{kind} reached")

    def _denied(self, frame: Frame) -> Iterator[EventData]:
        what: dict[str, Json] = {"tool_name": frame.get("tool_name"), "reason": frame.get("decision_reason")}
        details = {name: value for name, value in what.items() if value is not None}
        yield ev.PolicyViolation(policy=self._agent_id, kind="permission", action="denied", details=details)

    def _hooked(self, frame: Frame) -> Iterator[EventData]:
        happened: dict[str, Json] = {
            "event": frame.get("hook_event"),
            "name": frame.get("hook_name"),
            "outcome": frame.get("outcome"),
            "output": str(frame.get("output") or "")[:4096],
        }
        yield ev.CustomRecorded(name="hook", value=happened)

    def _compacted(self, frame: Frame) -> Iterator[EventData]:
        yield ev.CustomRecorded(name="compacted", value=frame.get("compact_metadata"))

    def _noted(self, frame: Frame) -> Iterator[EventData]:
        yield ev.CustomRecorded(name="notice", value={"level": frame.get("level"), "text": frame.get("content")})

    def turn_over(self, result: Frame) -> Iterator[EventData]:
        for voice in self._voices.values():
            voice.forget()
        if self._in_turn:
            yield ev.TurnCompleted(stop_reason=result.get("stop_reason"))
        self._stop_reason, self._in_turn = None, False

    _of_system: ClassVar[dict[str, Callable[[Teller, Frame], Iterator[EventData]]]] = {
        "init": _begun,
        "api_retry": _retried,
        "permission_denied": _denied,
        "hook_response": _hooked,
        "compact_boundary": _compacted,
        "informational": _noted,
        "task_notification": _task_ended,
    }


def _entry(todo: Frame) -> dict[str, Json]:
    return {"text": str(todo.get("content") or ""), "status": _STATUS.get(str(todo.get("status")), "pending")}
