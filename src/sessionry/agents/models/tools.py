"""Python functions as tools of a model.

    @tool(approve=True)
    def delete(path: str, force: bool = False) -> str:
        \"\"\"Delete a file.

        Args:
            path: what to delete
        \"\"\"

Any function will do, async or not; the decorator is for what the signature cannot say. The schema of the parameters is made
of their types, as msgspec knows them, and of the docstring. A parameter named `context`, or of the type `AgentContext`,
is given the context of the run.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints, overload

import msgspec

from sessionry.agents.entries import imported, unusable
from sessionry.agents.models.schemas import inlined
from sessionry.agents.models.talk import ToolSpec
from sessionry.agents.threads import in_thread
from sessionry.domain.json_values import Json, json_value
from sessionry.ports import AgentContext

F = TypeVar("F", bound=Callable[..., Any])

#: Where the decorator leaves what it was told.
_MARK = "__sessionry_tool__"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Marks(NamedTuple):
    """What the decorator says: another name or description, whether a person is asked first, and whether a call that was
    interrupted may simply be made again.
    """

    name: str | None = None
    description: str | None = None
    approve: bool = False
    idempotent: bool = False


@overload
def tool(function: F) -> F: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, approve: bool = False, idempotent: bool = False
) -> Callable[[F], F]: ...
def tool(function: F | None = None, **marks: Any) -> F | Callable[[F], F]:
    """Say of a function how it is to be used as a tool. It stays what it is."""

    def mark(marked: F) -> F:
        setattr(marked, _MARK, Marks(**marks))
        return marked

    return mark if function is None else mark(function)


class WrongArguments(Exception):
    """What the model gave is not what the tool takes."""


class Tool:
    """A function that a model may call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        inner = function.func if isinstance(function, partial) else function
        marks: Marks = getattr(function, _MARK, getattr(inner, _MARK, Marks()))
        self.function = function
        self.name: str = marks.name or getattr(inner, "__name__", "") or type(function).__name__
        self.approve: bool = marks.approve
        self.idempotent: bool = marks.idempotent
        if not _NAME.fullmatch(self.name):
            raise _unusable(self.name, "needs a name of up to 64 letters, digits, _ and -; give one: @tool(name=...)")
        described, parameters = _described(inspect.getdoc(inner) or "")
        self._fields, self._context = _fields(self.name, function, parameters)
        try:
            self._arguments = msgspec.defstruct(self.name, self._fields, kw_only=True, forbid_unknown_fields=True)
            schema = inlined(msgspec.json.schema(self._arguments))
        except TypeError as error:
            raise _unusable(self.name, f"has a parameter that no JSON Schema can be made of: {error}") from None
        schema.pop("title", None)
        self.spec = ToolSpec(self.name, marks.description or described, schema)

    def arguments(self, input: Json, context: AgentContext) -> dict[str, Any]:
        """What the function is called with. Raises `WrongArguments`."""
        try:
            given = msgspec.convert(input, self._arguments)
        except msgspec.ValidationError as error:
            raise WrongArguments(str(error)) from None
        values = {field[0]: getattr(given, field[0]) for field in self._fields}
        return values | ({self._context: context} if self._context else {})

    async def call(self, arguments: Mapping[str, Any]) -> Json:
        """What comes of it, as JSON. A function that is not async works in a thread of its own."""
        call = partial(self.function, **arguments)
        result = call() if _is_async(self.function) else await in_thread(call, daemon=True)
        if inspect.isawaitable(result):
            result = await result
        return json_value(msgspec.to_builtins(result, str_keys=True), f"the result of {self.name}")


class Toolbox:
    """The tools of an agent, by name. Raises `invalid_configuration` for what is no tool."""

    def __init__(
        self, tools: Sequence[str | Callable[..., Any]] = (), approve: str | Sequence[str] | None = None
    ) -> None:
        self._tools: dict[str, Tool] = {}
        for given in tools:
            function = imported(given) if isinstance(given, str) else given
            if not callable(function):
                raise unusable(f"option 'tools': {given!r} is no function", option="tools")
            made = Tool(function)
            if made.name in self._tools:
                raise unusable(f"option 'tools' has two tools named {made.name!r}", option="tools")
            self._tools[made.name] = made
        self._approve = self._checked(approve)

    def _checked(self, approve: str | Sequence[str] | None) -> str | frozenset[str] | None:
        if approve in (None, "always", "never"):
            return approve
        if isinstance(approve, str):
            raise unusable(
                f'option \'approve\' must be "always", "never" or a list of tools, not {approve!r}', option="approve"
            )
        for name in approve or ():
            if name not in self._tools:
                known = ", ".join(self._tools) or "none"
                raise unusable(
                    f"option 'approve' names {name!r}, which is no tool; the tools are {known}", option="approve"
                )
        return frozenset(approve or ())

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __bool__(self) -> bool:
        return bool(self._tools)

    def specs(self) -> list[ToolSpec]:
        return [made.spec for made in self._tools.values()]

    def names(self) -> list[str]:
        return list(self._tools)

    def asks(self, name: str) -> bool:
        """Whether a person is asked before that tool is called."""
        if name not in self._tools or self._approve == "never":
            return False
        if self._approve == "always" or self._tools[name].approve:
            return True
        return isinstance(self._approve, frozenset) and name in self._approve

    def may_ask(self) -> bool:
        return any(map(self.asks, self._tools))


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _fields(
    name: str, function: Callable[..., Any], described: Mapping[str, str]
) -> tuple[list[tuple[str, Any, Any]], str | None]:
    """The parameters as fields of a struct, and the name of the one that takes the context."""
    try:
        parameters = inspect.signature(function).parameters.values()
        inner = function.func if isinstance(function, partial) else function
        hints = get_type_hints(inner if inspect.isroutine(inner) else inner.__call__, include_extras=True)  # type: ignore[operator]
    except (TypeError, ValueError, NameError) as error:
        raise _unusable(name, f"has a signature that cannot be read: {error}") from None
    fields, context = [], None
    for parameter in parameters:
        hint = hints.get(parameter.name, Any)
        if parameter.name == "context" or hint is AgentContext:
            context = parameter.name
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise _unusable(name, f"has the parameter {parameter}, which cannot be given by name")
        if parameter.name in described:
            hint = Annotated[hint, msgspec.Meta(description=described[parameter.name])]
        fields.append((parameter.name, hint, _default(parameter.default)))
    return fields, context


def _default(value: Any) -> Any:
    if value is inspect.Parameter.empty:
        return msgspec.NODEFAULT
    if isinstance(value, list | dict | set) and value:
        return msgspec.field(default_factory=lambda: value.copy())
    return value


_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Return|Raises|Yields|Example|Examples|Note|Notes):\s*$")
_SPHINX = re.compile(r"^:param (?:[^:]* )?(\w+):\s*(.*)$")
_ENTRY = re.compile(r"^(\w+)(?: *\([^)]*\))?:\s*(.*)$")


def _described(doc: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of its parameters, in the style of Google or of Sphinx."""
    text: list[str] = []
    parameters: dict[str, str] = {}
    section, entry = None, None
    for line in doc.splitlines():
        stripped = line.strip()
        if begins := _SECTION.match(stripped):
            section, entry = begins[1], None
        elif sphinx := _SPHINX.match(stripped):
            entry, section = sphinx[1], "Args"
            parameters[entry] = sphinx[2]
        elif section is None and not stripped.startswith((":return", ":raise", ":rtype")):
            text.append(line)
        elif section in ("Args", "Arguments", "Parameters") and stripped:
            named = _ENTRY.match(stripped)
            if named and (entry is None or len(line) - len(line.lstrip()) <= 4):
                entry = named[1]
                parameters[entry] = named[2]
            elif entry is not None and not stripped.startswith(":"):
                parameters[entry] = f"{parameters[entry]} {stripped}".strip()
    return "\n".join(text).strip(), parameters


def _unusable(name: str, problem: str) -> Exception:
    return unusable(f"option 'tools': the function {name!r} {problem}", option="tools", tool=name)
