"""The model's answer to a request, before a protocol gives it its form."""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from sessionry.agents.handover import FINISHED
from sessionry.testing.fakellm.asked import Asked, Due
from sessionry.testing.fakellm.script import Step

#: The shell tools of agents, and what they want to be given for a command.
SHELL_TOOLS: dict[str, Callable[[str], dict[str, Any]]] = {
    "Bash": lambda command: {"command": command, "description": "run a scripted command"},
    "bash": lambda command: {"command": command, "description": "run a scripted command"},
    "exec_command": lambda command: {"cmd": command},
    "shell_command": lambda command: {"command": command},
    "shell": lambda command: {"command": ["bash", "-lc", command]},
    "local_shell": lambda command: {"command": ["bash", "-lc", command]},
    "run_shell_command": lambda command: {
        "command": command,
        "description": "run a scripted command",
        "is_background": False,
    },
    "developer__shell": lambda command: {"command": command},
    "execute_bash": lambda command: {"command": command},
    "terminal": lambda command: {"command": command},
    "execute": lambda command: {"command": command},
}
#: The tools of agents that write a file, and what they want to be given.
WRITE_TOOLS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "Write": lambda path, content: {"file_path": path, "content": content},
    "write": lambda path, content: {"filePath": path, "content": content},
    "write_file": lambda path, content: {"file_path": path, "content": content},
    "create": lambda path, content: {"path": path, "file_text": content},
}
#: The tools by which an agent takes an answer of a given schema.
ANSWER_TOOLS = ("StructuredOutput", "final_result")

_WORDS = re.compile(r"\S+\s*|\s+")
_FILLED = re.compile(r"\{(last_tool|last_user|turn|model|images)\}")
_DEEPEST = 12


class ToolCall(NamedTuple):
    """A call that the model makes. `input` is a text for a free-form tool."""

    id: str
    name: str
    input: dict[str, Any] | str
    namespace: str | None = None

    @property
    def arguments(self) -> str:
        return self.input if isinstance(self.input, str) else json.dumps(self.input)


class Tokens(NamedTuple):
    """As in `Usage`: no token is in two of them, but `reasoning` is a part of `output`."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def whole_input(self) -> int:
        return self.input + self.cache_read + self.cache_write


class Answer(msgspec.Struct, kw_only=True):
    """What the model says. `step` tells how the answer fares on its way."""

    id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex[:20])
    model: str
    pieces: list[str]
    calls: list[ToolCall]
    tokens: Tokens
    thinking: str = ""
    step: Step = Step()

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thoughts(self) -> list[str]:
        """The thinking in pieces."""
        return _WORDS.findall(self.thinking)


def answer(asked: Asked, due: Due) -> Answer:
    """The answer that the due step is to this request."""
    step, filled = due.step, _filler(asked, due.turn)
    calls = _calls(step, asked.tools)
    pieces = _pieces(step, asked, has_calls=bool(calls))
    pieces = [filled(piece) for piece in pieces] if isinstance(pieces, list) else _WORDS.findall(filled(pieces))
    thinking = filled(step.thinking or "")
    if "".join(pieces) in asked.repeated:
        pieces, thinking = [FINISHED] if asked.may_be_finished and not calls else [], ""
    used = step.usage
    return Answer(
        model=asked.model,
        pieces=pieces,
        calls=calls,
        thinking=thinking,
        tokens=Tokens(
            input=100 + 10 * due.turn if used.input is None else used.input,
            output=max(1, len(pieces)) + 20 * len(calls) if used.output is None else used.output,
            cache_read=used.cache_read,
            cache_write=used.cache_write,
            reasoning=used.reasoning,
        ),
        step=step,
    )


def aside(asked: Asked) -> Answer:
    """The answer to what an agent asks besides its work: a title, a topic, a route."""
    pieces = ["A ", "title"] if asked.schema is None else [json.dumps(smallest(asked.schema))]
    return Answer(model=asked.model, pieces=pieces, calls=[], tokens=Tokens(5, 2))


def _pieces(step: Step, asked: Asked, *, has_calls: bool) -> str | list[str]:
    if step.text is not None:
        return step.text
    if step.json is not msgspec.UNSET and not _answer_tool(asked.tools):
        return [json.dumps(step.json)]
    return "" if has_calls else "ok"


def _calls(step: Step, tools: list[str]) -> list[ToolCall]:
    calls = [ToolCall(call.id or _new_id(), call.name, call.input, call.namespace) for call in step.tools]
    if step.shell is not None:
        calls.append(_shell(step.shell, tools))
    if step.write is not None:
        path, content = step.write.path, step.write.content
        name = next((name for name in tools if name in WRITE_TOOLS), None)
        if name is None:
            calls.append(_shell(f"printf %s {shlex.quote(content)} > {shlex.quote(path)}", tools))
        else:
            calls.append(ToolCall(_new_id(), name, WRITE_TOOLS[name](path, content)))
    if step.json is not msgspec.UNSET and (name := _answer_tool(tools)):
        calls.append(ToolCall(_new_id(), name, step.json if isinstance(step.json, dict) else {"response": step.json}))
    return calls


def _shell(command: str, tools: list[str]) -> ToolCall:
    name = next((name for name in tools if name in SHELL_TOOLS), "Bash")
    return ToolCall(_new_id(), name, SHELL_TOOLS[name](command))


def _answer_tool(tools: list[str]) -> str | None:
    return next((name for name in tools if name in ANSWER_TOOLS), None)


def _new_id() -> str:
    return f"toolu_{uuid.uuid4().hex[:20]}"


def _filler(asked: Asked, turn: int) -> Callable[[str], str]:
    prompts = asked.prompts
    values = {
        "last_tool": asked.last_result.strip()[-300:],
        "last_user": prompts[-1][-200:] if prompts else "",
        "turn": str(turn),
        "model": asked.model,
        "images": str(asked.images),
    }
    return lambda text: _FILLED.sub(lambda name: values[name[1]], text)


def smallest(schema: dict[str, Any], whole: dict[str, Any] | None = None, depth: int = 0) -> Any:
    """About the smallest value of a JSON Schema."""
    whole = schema if whole is None else whole
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if depth > _DEEPEST:
        return None
    if isinstance(schema.get("$ref"), str):
        return smallest(_referred(schema["$ref"], whole), whole, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return smallest(schema[key][0], whole, depth + 1)
    kind = schema.get("type", "object")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        fields = schema.get("properties", {})
        wanted = schema.get("required", fields)
        return {name: smallest(fields.get(name, {}), whole, depth + 1) for name in wanted}
    if kind == "array":
        return [smallest(schema.get("items", {}), whole, depth + 1)] * schema.get("minItems", 0)
    number = schema.get("minimum", 1)
    return {"integer": number, "number": number, "boolean": False, "null": None}.get(kind, "text")


def _referred(reference: str, whole: dict[str, Any]) -> dict[str, Any]:
    found: Any = whole
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}
