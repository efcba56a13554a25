"""When those who follow a session are through: it has ended, so have all its runs, and nothing comes after the cursor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.runtime.together import Together

#: What may be the last event of a log that is over: what ended something, and what is told of a session that has ended.
_LAST_WORDS = frozenset(
    (
        *ev.RUN_ENDINGS,
        *(ev.SessionCompleted, ev.SessionFailed, ev.SessionCancelled),
        *(ev.SessionUpdated, ev.SessionDeleted, ev.SessionRestored),
    )
)
_kind_of = attrgetter("data.__class__")


class Endings:
    """What many followers want to know at the same moment is found out once. `ask`: (session id, cursor) -> is it over?"""

    def __init__(self, ask: Callable[[tuple[str, int]], Awaitable[bool]]) -> None:
        self._together: Together[tuple[str, int], bool] = Together(ask)
        #: the first and the last event of the batch that was looked at last, and what was found
        self._seen: tuple[str, str] = ("", "")
        self._found = False

    async def is_over(self, session_id: str, cursor: int) -> bool:
        return bool(await self._together.ask((session_id, cursor)))

    def may_be_in(self, batch: Sequence[Event]) -> bool:
        """Whether the end of a log may be in a batch, so that it is worth asking.

        A batch is a slice of a log: its ends tell it from all others.
        """
        ends = (batch[0].id, batch[-1].id)
        if ends != self._seen:
            self._seen, self._found = ends, not _LAST_WORDS.isdisjoint(map(_kind_of, batch))
        return self._found
