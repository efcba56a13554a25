"""Hooks as they are configured: at an event of Claude Code, for the tools that a matcher names, something is run.

    [reviewer.hooks]
    PreToolUse = [{ matcher = "Bash", command = "./check.sh" }, { function = "my_hooks:guard", timeout = 5 }]

A command is run by Claude Code itself and dies with it. A function `module:name` is called here with what happened, in a
thread unless it is asynchronous; what it returns is the hook's output in Claude Code's own format, None for "go on".
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import msgspec

from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json

EVENTS = (
    *("PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "UserPromptSubmit", "Notification"),
    *("SessionStart", "SessionEnd", "Stop", "SubagentStart", "SubagentStop", "PreCompact"),
)


class Hook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of `command` and `function`. `timeout` in seconds."""

    matcher: str | None = None
    command: str | None = None
    function: str | None = None
    timeout: float | None = None


class Hooks:
    """The hooks of an agent, split by who runs them."""

    def __init__(self, given: Mapping[str, Sequence[Hook]]) -> None:
        self._given = {event: list(hooks) for event, hooks in given.items()}
        self._functions: dict[str, Callable[[Any], Any]] = {}
        for event, hooks in self._given.items():
            if event not in EVENTS:
                raise unusable("hooks", f"has no event {event!r}; the events are {', '.join(EVENTS)}")
            for hook in hooks:
                self._check(event, hook)

    def __bool__(self) -> bool:
        return any(self._given.values())

    def settings(self) -> dict[str, Json]:
        """The commands, as a settings file has them."""
        return {
            event: [
                {
                    **({"matcher": hook.matcher} if hook.matcher is not None else {}),
                    "hooks": [{"type": "command", "command": hook.command, **_timeout(hook)}],
                }
                for hook in hooks
                if hook.command is not None
            ]
            for event, hooks in self._given.items()
            if any(hook.command is not None for hook in hooks)
        }

    def registration(self) -> dict[str, Json] | None:
        """The functions, as they are announced when the program has started."""
        announced: dict[str, Json] = {}
        for event, hooks in self._given.items():
            ours: list[Json] = [
                {"matcher": hook.matcher, "hookCallbackIds": [_callback(event, hook)], **_timeout(hook)}
                for hook in hooks
                if hook.function is not None
            ]
            if ours:
                announced[event] = ours
        return announced or None

    async def call(self, callback: str, happened: Any) -> dict[str, Any]:
        """Run the function. What it raises is for the caller to tell."""
        function = self._functions[callback]
        if inspect.iscoroutinefunction(function):
            answer = await function(happened)
        else:
            answer = await asyncio.to_thread(function, happened)
        if answer is None:
            return {}
        if not isinstance(answer, dict):
            raise TypeError(f"the hook {callback} returned a {type(answer).__name__}, and not a dict or None")
        return answer

    def _check(self, event: str, hook: Hook) -> None:
        if (hook.command is None) == (hook.function is None):
            raise unusable("hooks", f"of {event} needs exactly one of command and function in each entry")
        if hook.timeout is not None and hook.timeout <= 0:
            raise unusable("hooks", f"of {event} has a timeout that is not positive")
        if hook.function is not None:
            self._functions[_callback(event, hook)] = _imported(hook.function)


def _callback(event: str, hook: Hook) -> str:
    return f"{event}:{hook.matcher or '*'}:{hook.function}"


def _timeout(hook: Hook) -> dict[str, Json]:
    return {} if hook.timeout is None else {"timeout": hook.timeout}


def _imported(name: str) -> Callable[[Any], Any]:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise unusable("hooks", f"names {name!r}, which cannot be imported: {error}; write module:name") from error
    if not callable(function):
        raise unusable("hooks", f"names {name!r}, which cannot be called")
    called: Callable[[Any], Any] = function
    return called


def unusable(option: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"option {option!r} {problem}", details={"option": option})
