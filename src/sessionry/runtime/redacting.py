"""Where redaction happens: at the door for what agents say, and before the store for what people ask.

Nothing else writes words, so nothing that is stored, shown or streamed can hold a secret that the redactor knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.redaction import KEPT_FIELDS, Redactor, Stream
from sessionry.domain.session import Session
from sessionry.ports import Operation, Store
from sessionry.runtime.aside import aside, length_of
from sessionry.store.decorator import StoreDecorator
from sessionry.store.operations import approvals, leases, runs, sessions, webhooks

T = TypeVar("T")

#: The operations that write what somebody said.
WORDY: frozenset[Callable[..., Any]] = frozenset(
    vars(operation)["__wrapped__"]
    for operation in (
        sessions.create,
        sessions.fork,
        sessions.change_status,
        sessions.end,
        sessions.update,
        sessions.delete,
        sessions.record,
        runs.submit,
        runs.cancel,
        runs.steer,
        approvals.ask,
        approvals.decide,
        leases.finish,
        webhooks.create,
        webhooks.update,
    )
)
#: Texts of which the end is watched at once.
MOST_OPEN = 256
_WORDS = frozenset({"text", "note", "reason", "by", "title", "description"})
#: Of what is changed, what is no words: the address of a webhook is called as it is.
_AS_IT_IS = KEPT_FIELDS | {"url"}
#: The loggers of the library: some are made only when they are needed, and a logger above does not filter for those below.
LOGGERS = (
    "sessionry",
    *(f"sessionry.{name}" for name in ("worker", "sweeper", "server", "webhooks", "dispatch", "bus")),
)


class RedactingStore(StoreDecorator):
    """A store that is asked without secrets. What a lease holder appends was redacted by its `Speech`."""

    def __init__(self, store: Store, redactor: Redactor) -> None:
        super().__init__(store)
        self._redactor = redactor

    async def execute(self, operation: Operation[T]) -> T:
        if operation.function in WORDY:
            said = (operation.arguments, operation.keywords)
            operation = await aside(length_of(said), partial(self._redacted, operation))
        return await super().execute(operation)

    def _redacted(self, operation: Operation[T]) -> Operation[T]:
        names = operation.function.__code__.co_varnames
        given = [self._argument(name, value) for name, value in zip(names, operation.arguments, strict=False)]
        named = {name: self._argument(name, value) for name, value in operation.keywords.items()}
        return Operation(operation.function, tuple(given), named, operation.writes)

    def _argument(self, name: str, value: Any) -> Any:
        match value:
            case str():
                return self._redactor.text(value) if name in _WORDS else value
            case EventData():
                return self._redactor.event(value)
            case Session() | runs.Submission() | approvals.Question():
                return self._redactor.struct(value)
            case dict():  # the changes of an update
                return {key: item if key in _AS_IT_IS else self._redactor.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self._argument(name, item) for item in value]
        return value


class Speech:
    """What an agent says in one attempt, without secrets. Of a text in pieces the end is kept back that may become one.

    It is given with the next piece of its text, and at the latest before whatever ends the text: the whole message, the
    end of the tool call, of the turn, of the attempt, a question to a person.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._open: dict[tuple[Any, ...], tuple[EventData, Stream]] = {}

    def heard(self, data: EventData) -> list[EventData]:
        """The events that can be told now."""
        if isinstance(data, ev.MessageStreamed | ev.ReasoningStreamed | ev.ToolOutputStreamed):
            return self._piece(data)
        return [*self._ended_by(data), self._redactor.event(data)]

    def rest(self) -> list[EventData]:
        """All that was kept back."""
        return self._finish(list(self._open))

    def _piece(self, data: Any) -> list[EventData]:
        place = _place(data)
        ended = (
            self._finish([next(iter(self._open))]) if len(self._open) >= MOST_OPEN and place not in self._open else []
        )
        _, stream = self._open.pop(place, None) or (data, Stream(self._redactor))
        text = stream.feed(data.text)
        self._open[place] = data, stream  # the newest is the last
        return [*ended, msgspec.structs.replace(data, text=text)] if text else ended

    def _ended_by(self, data: EventData) -> list[EventData]:
        if not self._open:
            return []
        match data:
            case ev.MessageReceived() | ev.ReasoningReceived():
                kind = ev.MessageStreamed if isinstance(data, ev.MessageReceived) else ev.ReasoningStreamed
                ids = (kind, data.parent_tool_call_id)
                same = [key for key in self._open if key[:2] == ids and _may_be_one(key[2], data.message_id)]
                return self._finish(same)
            case ev.ToolCallCompleted() | ev.ToolCallFailed() | ev.ToolCallInterrupted():
                return self._finish([key for key in self._open if data.tool_call_id in key[1:3]])
            case ev.TurnCompleted():
                return self.rest()
        return []

    def _finish(self, places: Iterable[tuple[Any, ...]]) -> list[EventData]:
        finished = []
        for place in places:
            data, stream = self._open.pop(place)
            if text := stream.finish():
                finished.append(msgspec.structs.replace(data, text=text))
        return finished


def _may_be_one(piece: str | None, message: str | None) -> bool:
    return piece == message or piece is None or message is None


def _place(data: Any) -> tuple[Any, ...]:
    """Which text the piece belongs to: its kind, who says it, and which one of theirs it is."""
    if isinstance(data, ev.ToolOutputStreamed):
        return type(data), (data.tool_call_id, data.stream), data.tool_call_id
    return type(data), data.parent_tool_call_id, data.message_id


class RedactingFilter(logging.Filter):
    """Takes the secrets out of log records."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redactor.text(record.getMessage()), None
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            if not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_text = self._redactor.text(record.exc_text)
            if self._redactor.text(str(error)) != str(error):
                record.exc_info = None  # a formatter may show the error itself; its text stays in `exc_text`
        return True


def guard_logs(redactor: Redactor) -> None:
    """Let no secret into what our loggers write; the newest redactor counts."""
    found = [name for name in logging.root.manager.loggerDict if name.startswith("sessionry.")]
    for name in {*LOGGERS, *found}:
        logger = logging.getLogger(name)
        for old in [each for each in logger.filters if isinstance(each, RedactingFilter)]:
            logger.removeFilter(old)
        logger.addFilter(RedactingFilter(redactor))
