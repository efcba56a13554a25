"""What a thread's items and their pieces are in the words of our log.

An item is begun, maybe streamed, and completed. Codex's ids of items are the model server's own, and not every server
makes them unique; ours have the turn's in them as well. Codex lets the first piece of a command's output go, and tells
the whole of it in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sessionry.agents.failures import failure
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json

PLAN_STATUS = {"pending": "pending", "inProgress": "in_progress", "completed": "completed"}
#: Begun and completed as a call of a tool, with the fields that are its input.
_TOOLS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "webSearch": ("web_search", ("query", "action")),
    "imageView": ("view_image", ("path",)),
    "imageGeneration": ("generate_image", ("revisedPrompt",)),
    "sleep": ("sleep", ("durationMs",)),
}
SHELL, PATCH = "shell", "apply_patch"


class Items:
    """The items of one thread. `parent` is the tool call that began it, for the thread of a sub-agent."""

    def __init__(self, parent: str | None = None) -> None:
        self.parent = parent
        #: the text of the newest message that is complete
        self.said: str | None = None
        #: tool calls that are at work: our id -> name
        self.open_calls: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._pieces: dict[str, list[str]] = {}
        self._calls: dict[str, tuple[str, Json]] = {}
        self._parts: set[tuple[str, int]] = set()

    # --- ids ---

    def id_of(self, item: str, turn: str | None) -> str:
        """Our id of an item: the same for all that is said of it."""
        if item not in self._names:
            self._names[item] = f"{item}{turn[-8:]}" if turn else item
        return self._names[item]

    def call(self, item: str) -> tuple[str, Json] | None:
        """The name and the input of the tool call that the item is, if it was begun."""
        return self._calls.get(item)

    def begun(self, prefix: str, input: Json) -> str | None:
        """The newest call at work of a tool of that prefix with that input."""
        for item, (name, given) in reversed(self._calls.items()):
            if name.startswith(prefix) and given == input and self._names.get(item) in self.open_calls:
                return item
        return None

    def _renew(self, item: str, turn: str | None) -> None:
        """The same id once more is another item: the model server numbers them anew in each of its answers."""
        if item in self._names:
            self._names[item] = f"{self._names[item]}+"
            self._pieces.pop(self._names[item], None)
        self.id_of(item, turn)

    # --- what is said of items ---

    def started(self, item: Mapping[str, Any], turn: str | None) -> Iterator[EventData]:
        self._renew(item["id"], turn)
        if (tool := _tool(item)) is not None:
            yield from self._begin(item["id"], turn, tool)

    def piece(self, item: str, turn: str | None, text: str) -> Iterator[EventData]:
        """Of a message."""
        id = self.id_of(item, turn)
        if text:
            self._pieces.setdefault(id, []).append(text)
            yield ev.MessageStreamed(text=text, message_id=id, parent_tool_call_id=self.parent)

    def thought(self, item: str, turn: str | None, text: str, part: int) -> Iterator[EventData]:
        """A piece of a part of a reasoning item; parts are paragraphs."""
        id = self.id_of(item, turn)
        if not text:
            return
        if (id, part) not in self._parts and id in self._pieces:
            text = f"\n\n{text}"
        self._parts.add((id, part))
        self._pieces.setdefault(id, []).append(text)
        yield ev.ReasoningStreamed(text=text, message_id=id, parent_tool_call_id=self.parent)

    def output(self, item: str, turn: str | None, text: str) -> Iterator[EventData]:
        """Of a command, or the word of another tool on how it is getting on."""
        if (id := self.id_of(item, turn)) in self.open_calls and text:
            yield ev.ToolOutputStreamed(tool_call_id=id, text=text)

    def completed(self, item: Mapping[str, Any], turn: str | None) -> Iterator[EventData]:
        id = self.id_of(item["id"], turn)
        match item["type"]:
            case "agentMessage":
                yield from self._message(id, str(item.get("text") or ""))
            case "reasoning":
                yield from self._reasoning(id, item)
            case "plan":
                yield ev.PlanUpdated(entries=[{"text": str(item.get("text") or ""), "status": "pending"}])
            case "contextCompaction":
                yield ev.CustomRecorded(name="codex.context_compacted", value={"item": id})
            case _ if (tool := _tool(item)) is not None:
                if id not in self.open_calls:
                    yield from self._begin(item["id"], turn, tool)
                del self.open_calls[id]
                yield _ended(id, tool[0], item, self.parent)

    def interrupted(self, reason: str) -> Iterator[EventData]:
        """The calls that no end was told of, when the run goes on without them."""
        for id, name in self.open_calls.items():
            yield ev.ToolCallInterrupted(tool_call_id=id, tool_name=name, reason=reason)
        self.open_calls.clear()

    def broken_off(self) -> Iterator[EventData]:
        """What was said of messages that will not be completed, because a person spoke."""
        for id in list(self._pieces):
            yield from self._message(id, "") if not any(id == known for known, _ in self._parts) else ()
        self._pieces.clear()

    def forget(self) -> None:
        """What was begun is asked for anew: its pieces are superseded by what comes."""
        self._pieces.clear()

    # --- parts ---

    def _begin(self, item: str, turn: str | None, tool: tuple[str, Json]) -> Iterator[EventData]:
        id = self.id_of(item, turn)
        name, input = self._calls[item] = tool
        self.open_calls[id] = name
        yield ev.ToolCallStarted(tool_call_id=id, tool_name=name, tool_input=input, parent_tool_call_id=self.parent)

    def _message(self, id: str, text: str) -> Iterator[EventData]:
        streamed = "".join(self._pieces.pop(id, []))
        if streamed and text.startswith(streamed) and text != streamed:
            yield ev.MessageStreamed(text=text[len(streamed) :], message_id=id, parent_tool_call_id=self.parent)
        elif streamed:
            text = streamed
        if text:
            self.said = text
            yield ev.MessageReceived(text=text, message_id=id, parent_tool_call_id=self.parent)

    def _reasoning(self, id: str, item: Mapping[str, Any]) -> Iterator[EventData]:
        parts = [*(item.get("summary") or []), *(item.get("content") or [])]
        text = "".join(self._pieces.pop(id, [])) or "\n\n".join(filter(None, map(str, parts)))
        if text:
            yield ev.ReasoningReceived(text=text, message_id=id, parent_tool_call_id=self.parent)


def plan(steps: Any) -> ev.PlanUpdated:
    entries: list[dict[str, Json]] = [
        {"text": str(step.get("step", "")), "status": PLAN_STATUS.get(str(step.get("status")), "pending")}
        for step in steps or []
        if isinstance(step, dict)
    ]
    return ev.PlanUpdated(entries=entries)


def _tool(item: Mapping[str, Any]) -> tuple[str, Json] | None:
    """The name and the input of the tool call that an item is."""
    match item["type"]:
        case "commandExecution":
            return SHELL, {"command": item.get("command"), "cwd": item.get("cwd")}
        case "fileChange":
            return PATCH, {"changes": changes(item.get("changes"))}
        case "mcpToolCall":
            return f"mcp__{item.get('server')}__{item.get('tool')}", item.get("arguments")
        case "dynamicToolCall":
            return str(item.get("tool")), item.get("arguments")
        case "collabAgentToolCall":
            known = {name: item.get(name) for name in ("prompt", "receiverThreadIds") if item.get(name)}
            return _snake(str(item.get("tool"))), known
        case kind if kind in _TOOLS:
            name, fields = _TOOLS[kind]
            return name, {field: item[field] for field in fields if item.get(field) is not None}
    return None


def _ended(id: str, name: str, item: Mapping[str, Any], parent: str | None) -> EventData:
    output, problem = _OUTCOMES.get(item["type"], _any_outcome)(item)
    if problem is None:
        return ev.ToolCallCompleted(tool_call_id=id, tool_name=name, tool_output=output, parent_tool_call_id=parent)
    code, message = problem
    error = failure(code, message)
    return ev.ToolCallFailed(
        tool_call_id=id, tool_name=name, error=error, tool_output=output, parent_tool_call_id=parent
    )


Outcome = tuple[Json, tuple[str, str] | None]


def _command_outcome(item: Mapping[str, Any]) -> Outcome:
    code = item.get("exitCode")
    output: Json = {"output": item.get("aggregatedOutput") or "", "exit_code": code}
    match item.get("status"):
        case "declined":
            return None, ("policy_violation", "the command was declined")
        case "completed":
            return output, None
    if code == -1:
        return output, ("command_failed", "the command was ended before it was done")
    return output, ("command_failed", f"the command exited with code {code}")


def _patch_outcome(item: Mapping[str, Any]) -> Outcome:
    match item.get("status"):
        case "declined":
            return None, ("policy_violation", "the changes were declined")
        case "completed":
            return {"changes": changes(item.get("changes"))}, None
    return None, ("command_failed", "the changes could not be made")


def _mcp_outcome(item: Mapping[str, Any]) -> Outcome:
    result = item.get("result")
    output: Json = None
    if isinstance(result, dict):
        output = {name: result[name] for name in ("content", "structuredContent") if result.get(name) is not None}
    if item.get("status") == "failed" or item.get("error"):
        return output, ("command_failed", str((item.get("error") or {}).get("message") or "the tool failed"))
    return output, None


def _agents_outcome(item: Mapping[str, Any]) -> Outcome:
    if item.get("status") == "failed":
        return None, ("agent_failed", "it failed")
    return {name: item[name] for name in ("receiverThreadIds", "agentsStates") if item.get(name)}, None


def _any_outcome(item: Mapping[str, Any]) -> Outcome:
    if item.get("status") == "failed":
        return None, ("command_failed", "the tool failed")
    return item.get("contentItems"), None


_OUTCOMES: Mapping[str, Callable[[Mapping[str, Any]], Outcome]] = {
    "commandExecution": _command_outcome,
    "fileChange": _patch_outcome,
    "mcpToolCall": _mcp_outcome,
    "collabAgentToolCall": _agents_outcome,
}


def changes(given: Any) -> list[dict[str, Json]]:
    """Changes of files. Codex tells the content of a file that is added or deleted, and hunks of one that is updated."""
    found: list[dict[str, Json]] = []
    for change in given or []:
        kind, path, text = change["kind"]["type"], change["path"], change.get("diff") or ""
        moved = change["kind"].get("move_path")
        found.append({"path": path, "kind": kind, "diff": _unified(kind, path, moved, text)})
        if moved:
            found[-1]["moved_to"] = moved
    return found


def _unified(kind: str, path: str, moved: str | None, text: str) -> str:
    old = "/dev/null" if kind == "add" else path
    new = "/dev/null" if kind == "delete" else moved or path
    if kind == "update":
        return f"--- {old}\n+++ {new}\n{text}"
    lines = text.splitlines()
    sign = "+" if kind == "add" else "-"
    count = "1" if len(lines) == 1 else f"1,{len(lines)}"
    hunk = f"@@ -0,0 +{count} @@" if kind == "add" else f"@@ -{count} +0,0 @@"
    body = "".join(f"{sign}{line}\n" for line in lines)
    if text and not text.endswith("\n"):
        body += "\\ No newline at end of file\n"
    return f"--- {old}\n+++ {new}\n" + (f"{hunk}\n{body}" if lines else "")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
