"""The agent's tool calls, which it tells of in pieces, as events: one start, what it writes meanwhile, one end."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessionry.agents.acp.terminals import Seen
from sessionry.agents.failures import failure
from sessionry.agents.output import PIECE, Kept
from sessionry.domain.events import EventData, ToolCallCompleted, ToolCallFailed, ToolCallStarted, ToolOutputStreamed
from sessionry.domain.json_values import Json

#: Bytes of a tool's output that are kept, and that are streamed.
OUTPUT_KEPT = 1 << 20
#: Gemini's ids of calls begin with the name of the tool.
_NAMED_ID = re.compile(r"^([A-Za-z][\w.-]*?)(?:__|-\d{10,})")
#: A fence around the whole output, which Claude's adapter adds for editors.
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)


class ToolCall:
    """One call, as far as it is known. `id` is ours: the agent's own comes again in other runs.

    `seen` tells what is in a terminal of ours, for a call that works in one.
    """

    def __init__(
        self, id: str, native_id: str, name: str | None, parent: str | None, seen: Callable[[str], Seen | None]
    ) -> None:
        self.id = id
        self.native_id = native_id
        self.name = name
        self.parent = parent
        self.kind: str | None = None
        self.title: str | None = None
        self.input: Any = None
        self.raw_output: Any = None
        self.text = ""
        self.diffs: list[dict[str, Any]] = []
        self.locations: list[dict[str, Any]] = []
        self.exit_code: Any = None
        self.frames = 0
        self.working = False
        self.started = False
        self.ended = False
        self.denied: str | None = None
        self._seen = seen
        self._terminals: list[str] = []
        self._streamed = 0
        self._kept = Kept(OUTPUT_KEPT)
        self._deltas = False

    # --- what the agent says of it ---

    def learn(self, told: dict[str, Any]) -> list[EventData]:
        """A `tool_call`, a `tool_call_update`, or the call that comes with a question."""
        if self.ended:
            return []
        self.frames += 1
        self.kind = _text(told.get("kind")) or self.kind
        self.title = _text(told.get("title")) or self.title
        if told.get("rawInput") not in (None, {}):
            self.input = told["rawInput"]
        if told.get("rawOutput") is not None:
            self.raw_output = told["rawOutput"]
        if isinstance(told.get("locations"), list) and told["locations"]:
            self.locations = [place for place in told["locations"] if isinstance(place, dict)]
        status = told.get("status")
        self.working = self.working or status in ("in_progress", "completed", "failed")
        events = self.start() if self._known_enough(status) else []
        final = status in ("completed", "failed")
        events += self._content(told.get("content"), final)
        events += self._terminal(told.get("_meta"))
        return [*events, *self._end(str(status))] if final else events

    def granted(self) -> None:
        """A person allowed it: what comes from now on is its output."""
        self.working = True

    def deny(self, why: str) -> list[EventData]:
        """A person did not allow it. That is its end, whatever the agent says of it later."""
        self.denied = why
        return self._end("failed")

    def start(self) -> list[EventData]:
        """Its start, unless that was told."""
        if self.started:
            return []
        self.started = True
        return [
            ToolCallStarted(
                tool_call_id=self.id,
                tool_name=self.tool_name,
                tool_input=self.tool_input,
                parent_tool_call_id=self.parent,
            )
        ]

    def give_up(self) -> list[EventData]:
        """The turn is over and the agent never said how the call ended."""
        return [] if self.ended or not (self.started or self.working) else [*self.start(), *self._end("unknown")]

    @property
    def tool_name(self) -> str:
        return self.name or self.kind or "tool"

    @property
    def tool_input(self) -> Json:
        """What it is called with; its title where the agent says no more. The same in every attempt."""
        if isinstance(self.input, dict | list | str):
            return self.input
        told: dict[str, Json] = {"title": self.title} if self.title else {}
        changes = self.changes()
        return told | ({"changes": changes} if changes else {}) or None

    def changes(self) -> list[Json]:
        return [change_of({**diff, "path": self._whole_path(diff["path"])}) for diff in self.diffs]

    def _whole_path(self, path: str) -> str:
        """Some agents name a file in the diff, and say where it is elsewhere."""
        given = self.input.values() if isinstance(self.input, dict) else ()
        known = [str(place.get("path")) for place in self.locations] + [each for each in given if isinstance(each, str)]
        return next((each for each in known if Path(each).is_absolute() and each.endswith(f"/{path}")), path)

    def _known_enough(self, status: Any) -> bool:
        """Whether its start can be told. The first word of many agents comes before the model has said the arguments."""
        if self.started:
            return False
        said = isinstance(self.input, dict) and bool(set(self.input) - {"cwd"})
        return (
            status in ("in_progress", "completed", "failed") if self.frames == 1 and not said else said or self.working
        )

    def _content(self, content: Any, final: bool) -> list[EventData]:
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        diffs = [block for block in blocks if block.get("type") == "diff" and isinstance(block.get("path"), str)]
        self.diffs = diffs or self.diffs
        self._terminals += [str(block.get("terminalId")) for block in blocks if block.get("type") == "terminal"]
        texts = [_block_text(block.get("content")) for block in blocks if block.get("type") == "content"]
        text = "".join(filter(None, texts))
        if not text or not self.working or self._deltas:
            return []
        events = [] if final or self.kind != "execute" else self._stream(text)
        self.text = text
        return events

    def _stream(self, text: str) -> list[EventData]:
        """What is new in a content that replaces the one before."""
        before = self.text[: self._streamed]
        if not text.startswith(before):
            return []
        new = text[len(before) :]
        self._streamed = len(text)
        return [*self.start(), *self._pieces(new)]

    def _terminal(self, meta: Any) -> list[EventData]:
        """Codex's adapter tells what a command writes, and its exit code, in a side channel."""
        if not isinstance(meta, dict):
            return []
        leaving = meta.get("terminal_exit")
        if isinstance(leaving, dict):
            self.exit_code = leaving.get("exit_code")
        delta = meta.get("terminal_output_delta") or meta.get("terminal_output")
        data = delta.get("data") if isinstance(delta, dict) else None
        if not isinstance(data, str) or not data:
            return []
        self._deltas = True
        self._kept.add(data.encode(errors="replace"))
        self.text = self._kept.text()
        return [*self.start(), *self._pieces(data)]

    def _pieces(self, text: str) -> list[EventData]:
        return [
            ToolOutputStreamed(tool_call_id=self.id, text=text[begin : begin + PIECE])
            for begin in range(0, min(len(text), OUTPUT_KEPT), PIECE)
        ]

    # --- its end ---

    def _end(self, status: str) -> list[EventData]:
        self.ended = True
        events = [*self.start(), *self._of_terminals()]
        output = self.output()
        if status == "completed" and self.denied is None:
            ended: EventData = ToolCallCompleted(
                tool_call_id=self.id, tool_name=self.tool_name, tool_output=output, parent_tool_call_id=self.parent
            )
        else:
            ended = ToolCallFailed(
                tool_call_id=self.id,
                tool_name=self.tool_name,
                error=self._error(status),
                tool_output=output,
                parent_tool_call_id=self.parent,
            )
        return [*events, ended]

    def _of_terminals(self) -> list[EventData]:
        """What its commands wrote into our terminals; the agent only says which these were."""
        found = [seen for id in dict.fromkeys(self._terminals) if (seen := self._seen(id)) is not None]
        if not found:
            return []
        self.text = "".join(seen.text for seen in found)
        self.exit_code = found[-1].exit_code if self.exit_code is None else self.exit_code
        return self._pieces(self.text)

    def _error(self, status: str) -> Any:
        if self.denied is not None:
            return failure("policy_violation", self.denied)
        said = self._output_text()
        default = "the agent did not say how it ended" if status == "unknown" else "the tool failed"
        return failure("command_failed" if self.kind == "execute" else "agent_failed", (said or default)[:2000])

    def output(self) -> Json:
        """`output` (text), `exit_code`, `changes`, and whatever else the agent returned, as far as there is any."""
        result: dict[str, Json] = {}
        if text := self._output_text():
            result["output"] = text
        elif isinstance(self.raw_output, dict | list) and not self.diffs:
            result["result"] = self.raw_output
        exit_code = self.exit_code if self.exit_code is not None else _exit_code(self.raw_output)
        if isinstance(exit_code, int):
            result["exit_code"] = exit_code
        if changes := self.changes():
            result["changes"] = changes
        return result or None

    def _output_text(self) -> str:
        raw = self.raw_output
        if isinstance(raw, dict):
            raw = next(
                (raw[key] for key in ("output", "content", "stdout", "error") if isinstance(raw.get(key), str)), None
            )
        text = raw if isinstance(raw, str) and raw else self.text
        if fenced := _FENCE.match(text):
            text = fenced[1]
        kept = Kept(OUTPUT_KEPT)
        kept.add(text.encode(errors="replace"))
        return kept.text()


class ToolCalls:
    """All calls of a run, by the agent's own ids. `prefix` makes ids that no other attempt has."""

    def __init__(
        self,
        prefix: str,
        *,
        titles_are_names: bool = False,
        seen: Callable[[str], Seen | None] = lambda _: None,
    ) -> None:
        self._prefix = prefix
        self._seen = seen
        self._titles_are_names = titles_are_names
        self._calls: dict[str, ToolCall] = {}

    def of(self, told: dict[str, Any]) -> ToolCall:
        native_id = str(told.get("toolCallId") or f"call-{len(self._calls) + 1}")
        call = self._calls.get(native_id)
        if call is None:
            name = self._name(told, native_id)
            id = f"{self._prefix}-{native_id.removeprefix(f'{name}__')}"
            call = ToolCall(id, native_id, name, self.id_of(parent_of(told)), self._seen)
            self._calls[native_id] = call
        elif (name := _meta_name(told)) is not None and not call.started:
            call.name = name
        return call

    def id_of(self, native_id: str | None) -> str | None:
        """Ours for the agent's own id of a call; it need not have told of that call."""
        if native_id is None:
            return None
        return self._calls[native_id].id if native_id in self._calls else f"{self._prefix}-{native_id}"

    def unstarted(self) -> list[ToolCall]:
        """Those that were announced, and of which nothing was told yet."""
        return [call for call in self._calls.values() if not call.started and not call.ended]

    def give_up(self) -> list[EventData]:
        return [event for call in self._calls.values() for event in call.give_up()]

    def _name(self, told: dict[str, Any], native_id: str) -> str | None:
        named = _NAMED_ID.match(native_id)
        looks: tuple[Callable[[], str | None], ...] = (
            lambda: _meta_name(told),
            lambda: _text(told.get("name")),
            lambda: named[1] if named and named[1] not in ("toolu", "call", "tool", "fc") else None,
            lambda: _text(told.get("title")) if self._titles_are_names else None,
        )
        return next(filter(None, (look() for look in looks)), None)


def change_of(diff: dict[str, Any]) -> Json:
    """A change of a file, with a unified diff, of the old and the new text."""
    path, meta = str(diff["path"]), diff.get("_meta")
    old, new = str(diff.get("oldText") or ""), str(diff.get("newText") or "")
    kind = meta.get("kind") if isinstance(meta, dict) else None
    if kind not in ("add", "update", "delete"):
        kind = "add" if not old else "update" if new or diff.get("newText") is not None else "delete"
    names = ("/dev/null" if kind == "add" else path, "/dev/null" if kind == "delete" else path)
    return {"path": path, "kind": kind, "diff": unified(old, new, *names)}


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """A unified diff that `patch` reads: a last line without its end is marked."""
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), old_name, new_name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def table(value: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of that name, empty where there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def parent_of(told: dict[str, Any]) -> str | None:
    """The call whose sub-agent this is from: adapters tell it beside the protocol."""
    for name in ("parentToolUseId", "parentToolCallId"):
        if found := _in_meta(told, name):
            return found
    return None


def _meta_name(told: dict[str, Any]) -> str | None:
    return _in_meta(told, "toolName")


def _in_meta(told: dict[str, Any], name: str) -> str | None:
    meta = told.get("_meta")
    if not isinstance(meta, dict):
        return None
    places = [meta, *(place for place in meta.values() if isinstance(place, dict))]
    return next((place[name] for place in places if isinstance(place.get(name), str) and place[name]), None)


def _exit_code(raw: Any) -> Any:
    """Wherever agents put it."""
    if not isinstance(raw, dict):
        return None
    contents = raw.get("contents")
    places = [raw, raw.get("metadata"), *(contents if isinstance(contents, list) else [])]
    for place in places:
        if isinstance(place, dict):
            for name in ("exit_code", "exitCode", "exit"):
                if isinstance(place.get(name), int):
                    return place[name]
    return None


def _block_text(block: Any) -> str | None:
    return block.get("text") if isinstance(block, dict) and isinstance(block.get("text"), str) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
