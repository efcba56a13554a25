"""The logs of a scope as callers read them: what is there, page by page, and what comes, as long as something may come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar

from sessionry.domain.events import Event
from sessionry.domain.queries import is_wanted, place_in_session
from sessionry.domain.records import invalid
from sessionry.domain.scope import Scope
from sessionry.ports import Bus, Operation
from sessionry.runtime.endings import Endings
from sessionry.runtime.feed import Feed
from sessionry.runtime.hub import Hub
from sessionry.store.operations import reading

T = TypeVar("T")

_PAGE = 500


class Execute(Protocol):
    """Runs an operation, as `Sessions.execute` does."""

    async def __call__(self, operation: Operation[T]) -> T: ...


class Logs:
    """Reads by `execute`, in one scope. `feed` is what follows; whoever has followed closes it."""

    def __init__(self, execute: Execute, scope: Scope, bus: Bus, hub: Hub | None) -> None:
        self._execute = execute
        self._scope = scope
        self._endings = Endings(self._is_over)
        self.feed = Feed(
            self.read_session,
            bus,
            read_all=self.read_all,
            unsettled=None if hub is None else self._unsettled,
            hub=hub,
            scope=scope,
        )

    async def all_events(
        self, after: int, types: Sequence[str] = (), *, follow: bool = False
    ) -> AsyncGenerator[Event, None]:
        """What `Sessions.events` gives."""
        if follow:
            async with aclosing(_one_by_one(self.batches(None, after, types=types))) as events:
                async for event in events:
                    yield event
        while not follow:
            page = await self._execute(reading.all_events(self._scope, after=after, types=types, limit=_PAGE))
            for event in page:
                after = event.position
                yield event
            if len(page) < _PAGE:
                return

    async def read(
        self,
        session_id: str,
        *,
        after: int = 0,
        before: int | None = None,
        types: Sequence[str] = (),
        run_id: str | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """What `SessionHandle.events` gives."""
        place_in_session(after, "after")
        if before is not None:
            place_in_session(before, "before")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise invalid("limit", f"must be a whole number of at least 1, not {limit!r}")
        if follow:
            source = _one_by_one(self._followed(session_id, after))
        else:
            source = self._pages(session_id, after, before, types, run_id)
        given = 0
        async with aclosing(source):
            async for event in source:
                if before is not None and event.seq >= before:
                    return
                if not _wanted(event, types, run_id):
                    continue
                yield event
                given += 1
                if given == limit:
                    return

    async def batches(
        self, session_id: str | None, after: int = 0, *, types: Sequence[str] = (), run_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """What followers get, in lists of what is there at once, never empty; of all sessions (None) without end."""
        source = self.feed.batches(None, after) if session_id is None else self._followed(session_id, after)
        async with aclosing(source):
            async for batch in source:
                if types or run_id is not None:
                    batch = [event for event in batch if _wanted(event, types, run_id)]
                if batch:
                    yield batch

    async def _pages(
        self, session_id: str, after: int, before: int | None, types: Sequence[str], run_id: str | None
    ) -> AsyncGenerator[Event, None]:
        while True:
            page = await self._execute(
                reading.events(
                    self._scope, session_id, after=after, before=before, types=types, run_id=run_id, limit=_PAGE
                )
            )
            for event in page:
                after = event.seq
                yield event
            if len(page) < _PAGE:
                return

    async def _followed(self, session_id: str, after: int) -> AsyncGenerator[list[Event], None]:
        """The log and what comes, until the session and all its runs have ended."""
        if await self._endings.is_over(session_id, after):
            return
        first = True  # what ended the session may be before the cursor
        async with aclosing(self.feed.batches(session_id, after)) as batches:
            async for batch in batches:
                last, may_end = batch[-1].seq, first or self._endings.may_be_in(batch)
                first = False
                yield batch
                if may_end and await self._endings.is_over(session_id, last):
                    return

    async def _is_over(self, place: tuple[str, int]) -> bool:
        session_id, cursor = place
        return await self._execute(reading.is_over(self._scope, session_id, cursor))

    async def read_session(self, session_id: str, after: int, limit: int) -> list[Event]:
        """A page of one log. See `feed.ReadPage`."""
        return await self._execute(reading.events(self._scope, session_id, after=after, limit=limit))

    async def read_all(self, after: int, limit: int) -> list[Event]:
        """A page of all logs. See `tail.ReadLog`."""
        return await self._execute(reading.all_events(self._scope, after=after, limit=limit))

    async def _unsettled(self) -> bool:
        return await self._execute(reading.unsettled())


def _wanted(event: Event, types: Sequence[str], run_id: str | None) -> bool:
    return is_wanted(event.type, types) and (run_id is None or event.run_id == run_id)


async def _one_by_one(batches: AsyncGenerator[list[Event], None]) -> AsyncGenerator[Event, None]:
    async with aclosing(batches):
        async for batch in batches:
            for event in batch:
                yield event
