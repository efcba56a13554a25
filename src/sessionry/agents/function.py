"""The function agent: any Python function, sync or async, or generator, is an agent; and the `agent` decorator."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, overload

from sessionry.agents.threads import in_thread
from sessionry.domain import records
from sessionry.domain.errors import AgentFailed, Conflict, InvalidInput
from sessionry.domain.events import (
    EventData,
    MessageReceived,
    MessageStreamed,
    RunCompleted,
    RunFailed,
    TurnCompleted,
)
from sessionry.domain.json_values import Json, json_value, text_value
from sessionry.domain.run import AgentFacts, Takeover
from sessionry.ports import AgentContext, Capability

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

CONTEXT, MESSAGE = "context", "message"
_NAMED_CONTEXT = frozenset({"context", "ctx"})
_OVER: Any = object()


class FunctionAgent:
    """Runs a function of `(context, message)`, `(context)`, `(message)` or nothing: by name, else in this order.

    It may yield text (`str`), a piece at a time, and events (`EventData`). The pieces become one message at the end, or at
    a yielded `TurnCompleted`. It may return text, which is a message and the run's text, any other JSON value, which is the
    run's output, or a `RunCompleted` or `RunFailed`. What it raises fails the run.

    A function that is not async runs in a thread of its own, which a cancelled run abandons: it cannot be stopped.
    A run whose worker was lost fails, unless `takeover` says that it can be done again (RESTART), or that the function
    does its work in `context.step`s (RESUME).
    """

    def __init__(
        self,
        id: str,
        function: Callable[..., Any],
        *,
        takeover: Takeover = Takeover.STOP,
        takeover_waiting: Takeover = Takeover.RESTART,
        capabilities: Sequence[str] = (Capability.STREAMING,),
    ) -> None:
        self.id = records.required_text(id, "id")
        if not callable(function):
            raise _unusable(id, f"must be a function, not {type(function).__name__}")
        self.function = function
        self._wants = _wanted(id, function)
        self._takeover = Takeover(takeover)
        self._takeover_waiting = Takeover(takeover_waiting)
        self._capabilities = [str(name) for name in capabilities]

    @property
    def facts(self) -> AgentFacts:
        return AgentFacts(type="function", capabilities=self._capabilities)

    @property
    def takeover(self) -> Takeover:
        return self._takeover

    @property
    def takeover_waiting(self) -> Takeover:
        return self._takeover_waiting

    def check(self, input: Json) -> Json:
        return input

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        message = _Message(f"msg-{context.run.id.removeprefix('run_')}-{context.run.attempt}")
        result = await self._call(context)
        if isinstance(result, AsyncIterator):
            try:
                async for item in result:
                    for event in self._said(message, item):
                        yield event
                        if isinstance(event, RunCompleted | RunFailed):
                            return
            finally:
                if isinstance(result, AsyncGenerator):
                    await result.aclose()
            result = None
        for event in (*message.end(), *self._returned(message, result)):
            yield event

    async def _call(self, context: AgentContext) -> Any:
        """The function's result; a generator of either kind as an async iterator."""
        values = {CONTEXT: context, MESSAGE: context.message}
        call = partial(self.function, **{name: values[role] for name, role in self._wants.items()})
        result = call() if _is_async(self.function) else await in_thread(call, daemon=True)
        if inspect.isawaitable(result):
            result = await result
        return _in_threads(result) if isinstance(result, Iterator) else result

    def _said(self, message: _Message, item: object) -> list[EventData]:
        """The events of one yielded thing."""
        if isinstance(item, str):
            return [message.add(self._checked(text_value, item, "its text"))] if item else []
        if isinstance(item, RunCompleted | RunFailed | TurnCompleted):
            return [*message.end(), item]
        if isinstance(item, EventData):
            return [item]
        raise AgentFailed(
            "agent_misbehaved",
            f"agent {self.id!r} yielded a {type(item).__name__}; it may yield text (str) and events (such as "
            "ToolCallStarted); to give the run an output, return it or yield RunCompleted(output=...)",
        )

    def _returned(self, message: _Message, result: object) -> list[EventData]:
        """The events of what the function returned."""
        if result is None:
            return []
        if isinstance(result, RunCompleted | RunFailed):
            return [result]
        if isinstance(result, str):
            text = self._checked(text_value, result, "its result")
            return [*(message.whole(text) if text else ()), RunCompleted(text=text)]
        return [RunCompleted(output=self._checked(json_value, result, "its result"))]

    def _checked(self, door: Callable[[Any, str], T], value: object, what: str) -> T:
        """What JSON and UTF-8 can hold; anything else is the agent's fault, not its caller's."""
        try:
            return door(value, what)
        except InvalidInput as error:
            raise AgentFailed(
                "agent_misbehaved", f"agent {self.id!r}: {error.message}", details=error.details
            ) from None


class _Message:
    """The message whose pieces are being yielded."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._number = 1
        self._pieces: list[str] = []

    def add(self, text: str) -> EventData:
        self._pieces.append(text)
        return MessageStreamed(text=text, message_id=self._id)

    def end(self) -> list[EventData]:
        """The whole message, if there is one; the next piece begins another."""
        return self.whole("".join(self._pieces)) if self._pieces else []

    def whole(self, text: str) -> list[EventData]:
        received = MessageReceived(text=text, message_id=self._id)
        self._number += 1
        self._pieces.clear()
        return [received]

    @property
    def _id(self) -> str:
        return f"{self._prefix}-{self._number}"


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it blocks nobody: it is a coroutine function or makes an async generator."""
    inner = function.func if isinstance(function, partial) else function
    kinds = (inner, getattr(inner, "__call__", None))  # noqa: B004  the method itself, for an object that is callable
    return any(inspect.iscoroutinefunction(kind) or inspect.isasyncgenfunction(kind) for kind in kinds)


async def _in_threads(items: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """A sync iterator's items; each is waited for in a thread."""
    try:
        while (item := await in_thread(lambda: next(items, _OVER), daemon=True)) is not _OVER:
            yield item
    finally:
        close = getattr(items, "close", lambda: None)
        with contextlib.suppress(ValueError):  # it is at work in a thread that was abandoned
            await in_thread(close, daemon=True)


def _wanted(id: str, function: Callable[..., Any]) -> dict[str, str]:
    """What the function is given: parameter name -> CONTEXT or MESSAGE."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise _unusable(id, "has a signature that cannot be read; wrap it in a def") from None
    known = {p.name: role for p in parameters if (role := _role(p)) is not None}
    free = [p.name for p in parameters if p.name not in known and _required(p)]
    open_roles = [role for role in (CONTEXT, MESSAGE) if role not in known.values()]
    if len(free) == 1 and not known:
        open_roles = [MESSAGE]
    if any(p.kind is p.POSITIONAL_ONLY for p in parameters) or len(free) > len(open_roles):
        raise _unusable(id, "must take (context, message), (context), (message) or nothing")
    return known | dict(zip(free, open_roles, strict=False))


def _role(parameter: inspect.Parameter) -> str | None:
    """What the parameter is for, if its name or its annotation says so."""
    annotation = parameter.annotation
    told = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if parameter.name in _NAMED_CONTEXT or told.rpartition(".")[2] == AgentContext.__name__:
        return CONTEXT
    return MESSAGE if parameter.name == MESSAGE else None


def _required(parameter: inspect.Parameter) -> bool:
    optional = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in optional


def _unusable(id: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"the function of agent {id!r} {problem}", details={"agent": id})


# --- the decorator ----------------------------------------------------------------------------------------------------

_registered: dict[str, FunctionAgent] = {}


def registered() -> Mapping[str, FunctionAgent]:
    """The agents that `agent` made in this process, by id. Every catalog has them."""
    return dict(_registered)


@overload
def agent(id: F) -> F: ...
@overload
def agent(id: str | None = None, **options: Any) -> Callable[[F], F]: ...
def agent(id: str | F | None = None, **options: Any) -> F | Callable[[F], F]:
    """Make the decorated function an agent of this process, under `id` or its own name; the options of `FunctionAgent`.

    The function stays what it was. The same function again, as when a module is loaded again, replaces itself;
    another one under the same id is refused with `already_exists`.
    """
    if id is not None and not isinstance(id, str):
        return agent()(id)

    def register(function: F) -> F:
        made = FunctionAgent(id or function.__name__, function, **options)
        old = _registered.get(made.id)
        if old is not None and _origin(old.function) != _origin(function):
            raise Conflict("already_exists", f"there is an agent {made.id!r} already, made by {_origin(old.function)}")
        _registered[made.id] = made
        return function

    return register


def unregister(id: str) -> None:
    """Forget the agent; for tests."""
    _registered.pop(id, None)


def _origin(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
