"""The entries of the agent catalog: how an agent is configured, and how it is made of that."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from sessionry.agents.function import FunctionAgent
from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.json_values import Json
from sessionry.domain.run import Takeover
from sessionry.ports import Agent, Capability

#: Third parties add types here: a name, and a class or function that makes an `Agent` of keyword options.
ENTRY_POINTS = "sessionry.agents"

#: The types that ship with the product: `module:name`, imported when the first one is made.
TYPES: Mapping[str, str] = {
    "shell": "sessionry.agents.shell:ShellAgent",
    "scripted": "sessionry.agents.scripted:ScriptedAgent",
    "function": "sessionry.agents.entries:function_agent",
    "codex": "sessionry.agents.codex:CodexAgent",
    "anthropic": "sessionry.agents.anthropic:AnthropicAgent",
    "openai": "sessionry.agents.openai:OpenAIAgent",
    "claude": "sessionry.agents.claude:ClaudeAgent",
    "acp": "sessionry.agents.acp:AcpAgent",
    "local": "sessionry.agents.local.agent:LocalAgent",
    "amp": "sessionry.agents.amp:AmpAgent",
    "cursor": "sessionry.agents.cursor:CursorAgent",
    "langgraph": "sessionry.agents.frameworks.langgraph:LangGraphAgent",
    "openai-agents": "sessionry.agents.frameworks.openai_agents:OpenAIAgentsAgent",
    "pydantic-ai": "sessionry.agents.frameworks.pydantic_ai:PydanticAIAgent",
}

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


class Entry(msgspec.Struct, frozen=True):
    """An agent as it is configured. References to the environment are not resolved in it: it can be shown."""

    id: str
    type: str
    options: dict[str, Json] = {}
    #: the file that it is from; None for the built-in ones
    source: Path | None = None


def types() -> list[str]:
    """The names of all types of agents, with those that third parties add."""
    return sorted({*TYPES, *_entry_points()})


def function_agent(
    id: str,
    *,
    function: str,
    takeover: Takeover = Takeover.STOP,
    takeover_waiting: Takeover = Takeover.RESTART,
    capabilities: Sequence[str] = (Capability.STREAMING,),
) -> FunctionAgent:
    """A function agent of `module:name`."""
    return FunctionAgent(
        id, imported(function), takeover=takeover, takeover_waiting=takeover_waiting, capabilities=capabilities
    )


def read_table(path: Path) -> dict[str, Any]:
    import tomllib  # only who has such a file pays for it

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unusable(f"the agents file {path} cannot be read: {error.strerror}; unset SESSIONRY_AGENTS") from error
    except ValueError as error:
        raise unusable(f"the agents file {path} cannot be read: {error}") from error


def read_entry(id: str, value: Any, path: Path | None) -> Entry:
    if not isinstance(value, dict):
        raise unusable(f"{id!r} in {path} must be a table: [{id}] and below it type = ...", agent=id)
    options = dict(value)
    type = options.pop("type", None)
    if not isinstance(type, str):
        raise unusable(f'agent {id!r} in {path} needs a type, such as type = "shell"', agent=id)
    return Entry(id, type, options, path)


def make(entry: Entry) -> Agent:
    """The agent of an entry. Whatever goes wrong names the agent, and no secret."""
    secrets: dict[str, str] = {}
    try:
        factory = _factory(entry.type)
        agent = factory(**_arguments(entry, factory, secrets))
    except SessionryError as error:
        details = {name: _without(secrets, value) for name, value in error.details.items()}
        message = _without(secrets, f"agent {entry.id!r}: {error.message}")
        if error.code == "dependency_not_available":  # nothing is wrong with what was configured
            raise SessionryError(error.code, message, details=details | {"agent": entry.id}) from None
        raise unusable(message, **(details | {"agent": entry.id})) from None
    except Exception as error:
        message = f"agent {entry.id!r} cannot be made: {type(error).__name__}: {error}"
        raise unusable(_without(secrets, message), agent=entry.id) from None
    if not isinstance(agent, Agent):
        raise unusable(f"agent {entry.id!r}: type {entry.type!r} made a {type(agent).__name__}, which is no agent")
    return agent


def _factory(type: str) -> Callable[..., Any]:
    if type in TYPES:
        factory: Callable[..., Any] = imported(TYPES[type])
        return factory
    point = _entry_points().get(type)
    if point is None:
        raise unusable(f"the type {type!r} is unknown; the types are {', '.join(types())}", type=type)
    try:
        loaded: Callable[..., Any] = point.load()
    except Exception as error:
        raise unusable(f"the type {type!r} cannot be loaded from {point.value}: {error}", type=type) from error
    return loaded


def _entry_points() -> Mapping[str, Any]:
    from importlib.metadata import entry_points  # slow: it looks at everything that is installed

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _arguments(entry: Entry, factory: Callable[..., Any], secrets: dict[str, str]) -> dict[str, Any]:
    """The options as the factory takes them: known ones, of the right types, and the id if it wants that."""
    parameters, hints = _parameters(factory), _hints(factory)
    known = [name for name in parameters if name != "id"]
    for name in entry.options:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}? its" if close else "its"
            problem = f"is no option of type {entry.type!r}; {meant} options are {', '.join(known) or 'none'}"
            raise _option(name, problem)
    for name in known:
        if parameters[name].default is inspect.Parameter.empty and name not in entry.options:
            raise _option(name, f"is missing, and type {entry.type!r} needs it")
    arguments = {name: _argument(entry, name, hints.get(name, Any), secrets) for name in entry.options}
    return arguments | ({"id": entry.id} if "id" in parameters else {})


def _parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What can be given by name."""
    odd = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
    return {name: found for name, found in inspect.signature(factory).parameters.items() if found.kind not in odd}


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except Exception:  # a third party's annotations need not make sense; then its options are not checked here
        return {}


def _argument(entry: Entry, name: str, hint: Any, secrets: dict[str, str]) -> Any:
    """The value of an option, as its type wants it."""
    value = _resolved(entry.options[name], name, secrets)
    kinds = {hint, *get_args(hint)}
    if isinstance(value, str) and Path in kinds and str not in kinds:
        folder = entry.source.parent if entry.source else Path()
        return folder / Path(value).expanduser()
    try:
        return msgspec.convert(value, hint, strict=value == entry.options[name])  # a variable holds text only
    except msgspec.ValidationError as error:
        raise _option(name, f"is wrong: {error}") from None
    except TypeError:  # a type that msgspec does not know: whoever made it checks it
        return value


def _resolved(value: Any, option: str, secrets: dict[str, str]) -> Any:
    """`value` with the references replaced; what they stand for is added to `secrets`, by reference."""
    if isinstance(value, dict):
        return {name: _resolved(item, option, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, option, secrets) for item in value]
    if not isinstance(value, str):
        return value
    for name in _REFERENCE.findall(value):
        if name not in os.environ:
            problem = f"refers to the variable {name}, which is not set; set it where the worker runs"
            raise _option(option, problem)
        secrets[f"${{env:{name}}}"] = os.environ[name]
    return _REFERENCE.sub(lambda match: secrets[match[0]], value)


def references(value: Any) -> list[str]:
    """The variables that the options of an entry refer to."""
    if isinstance(value, dict):
        return [name for item in value.values() for name in references(item)]
    if isinstance(value, list):
        return [name for item in value for name in references(item)]
    return _REFERENCE.findall(value) if isinstance(value, str) else []


def _without(secrets: Mapping[str, str], text: Any) -> Any:
    if not isinstance(text, str):
        return text
    for reference, secret in secrets.items():
        text = text.replace(secret, reference) if secret else text
    return text


def imported(name: str) -> Any:
    """What `module:name` names."""
    module, separator, attribute = name.partition(":")
    if not separator:
        raise unusable(f"{name!r} must be module:name, such as my_agents:review")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise unusable(f"{name!r} cannot be imported: {error}") from error


def _option(name: str, problem: str) -> InvalidInput:
    return unusable(f"option {name!r} {problem}", option=name)


def unusable(message: str, **details: Json) -> InvalidInput:
    return InvalidInput("invalid_configuration", message, details=details)
