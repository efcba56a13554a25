"""The log over HTTP: one address, read as a page, as lines, by waiting, or live, as the Accept header asks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromQuery, QueryParameter

from sessionry.domain.errors import InvalidInput, NotFound
from sessionry.domain.events import EVENT_TYPES, FIRST, Event
from sessionry.domain.queries import known_types, place_in_session
from sessionry.runtime.sessions import Sessions
from sessionry.server.access import Doorkeeper, caller_of
from sessionry.server.cursors import Cursors
from sessionry.server.paging import answer
from sessionry.server.sessions import Id, Limit, Req
from sessionry.server.streams import EVENT_STREAM, NDJSON, Encode, Live, Streaming, as_ndjson, as_sse
from sessionry.store.operations import reading

After = Annotated[
    int,
    QueryParameter(
        ge=FIRST, le=(1 << 63) - 1, description="The cursor: events after this one; below 0 what a fork goes on from."
    ),
]
AfterOrNow = Annotated[
    int, QueryParameter(ge=-1, le=(1 << 53) - 1, description="The cursor: events after this one; -1: only what comes.")
]
Exact = Annotated[
    bool, QueryParameter(description="Refuse (410) when any event after the cursor is gone, pieces of messages too.")
]
Before = Annotated[
    int | None, QueryParameter(ge=FIRST, le=(1 << 63) - 1, description="With `newest`: events before this one.")
]
Wait = Annotated[float, QueryParameter(ge=0, le=60, description="Seconds to wait for the first event of a page.")]
Types = Annotated[
    list[str] | None, QueryParameter(description="Only events of these types; `-frame_received`: all but those.")
]
_LAST_SEEN = "header.last-event-id"
_AN_ID = re.compile("-?[0-9]{1,19}")


class EventController(Controller):
    """Events."""

    path = "/v1"
    tags = ["events"]  # noqa: RUF012  the framework's own way

    @get("/sessions/{session_id:str}/events", operation_id="read_events")
    async def read_events(
        self,
        request: Req,
        session_id: Id,
        after: After = 0,
        types: Types = None,
        run: FromQuery[str | None] = None,
        before: Before = None,
        newest: FromQuery[bool] = False,
        limit: Limit = 100,
        wait: Wait = 0,
        exact: Exact = False,
    ) -> Response[bytes]:
        """The session's log after the cursor, which is `seq`; with `newest` the last events after it, before `before`."""
        sessions = caller_of(request).sessions
        seen = place_in_session(_last_seen(request, after), _LAST_SEEN)
        await _readable(sessions, session_id)
        if exact:
            refuse_gap(await sessions.execute(reading.gap(sessions.scope, session_id, seen)))
        if newest:
            tail = await sessions.execute(
                reading.events(
                    sessions.scope,
                    session_id,
                    after=seen,
                    before=before,
                    types=known_types(types or ()),
                    run_id=run,
                    limit=limit,
                    newest=True,
                )
            )
            shown = [caller_of(request).cursors.event(event) for event in tail]
            return answer({"items": shown, "cursor": tail[-1].seq if tail else seen})
        reader = _SessionReader(sessions, session_id, known_types(types or ()), run)
        return await _answered(request, reader, seen, limit, wait)

    @get("/events", operation_id="read_all_events")
    async def read_all_events(
        self,
        request: Req,
        after: AfterOrNow = 0,
        types: Types = None,
        limit: Limit = 100,
        wait: Wait = 0,
        exact: Exact = False,
    ) -> Response[bytes]:
        """The log of all sessions after the cursor, which is `position`: a number that only this server can read."""
        caller = caller_of(request)
        seen = _last_seen(request, after)
        place = -1 if seen == -1 else caller.cursors.place(seen)
        if exact:
            gap = await caller.sessions.execute(reading.store_gap(caller.sessions.scope, max(place, 0)))
            refuse_gap(None if gap is None or place == -1 else caller.cursors.shown(gap))
        now = await caller.sessions.execute(reading.last_position()) if seen == -1 else 0
        reader = _StoreReader(caller.sessions, known_types(types or ()), caller.cursors, now)
        return await _answered(request, reader, seen, limit, wait)

    @get("/schemas/events", operation_id="list_event_schemas")
    async def list_event_schemas(self) -> Response[bytes]:
        """The JSON Schema (2020-12) of the data of every event type, by type."""
        return answer({name: _schema(name) for name in EVENT_TYPES})

    @get("/schemas/events/{event_type:str}", operation_id="read_event_schema")
    async def read_event_schema(self, event_type: Id) -> Response[bytes]:
        """The JSON Schema (2020-12) of the data of one event type."""
        if event_type not in EVENT_TYPES:
            raise NotFound("event_type_not_found", f"there is no event type {event_type!r}")
        return answer(_schema(event_type))


class _SessionReader:
    """One session's log."""

    kind = "session"

    def __init__(self, sessions: Sessions, session_id: str, types: Sequence[str], run: str | None) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._types = types
        self._run = run

    def cursor(self, event: Event) -> int:
        return event.seq

    def stored(self, after: int, limit: int) -> AsyncGenerator[Event, None]:
        return self._sessions.logs.read(self._session_id, after=after, types=self._types, run_id=self._run, limit=limit)

    def followed(self, after: int) -> AsyncGenerator[list[Event], None]:
        return self._sessions.logs.batches(self._session_id, after, types=self._types, run_id=self._run)


class _StoreReader:
    """The log of all sessions in scope. `now` is where -1 begins: set before the answer does, so who sees that a stream
    is open misses nothing that happens from then on.
    """

    kind = "store"

    def __init__(self, sessions: Sessions, types: Sequence[str], cursors: Cursors, now: int) -> None:
        self._sessions = sessions
        self._types = types
        self._cursors = cursors
        self._now = now

    def cursor(self, event: Event) -> int:
        return self._cursors.shown(event.position)

    async def stored(self, after: int, limit: int) -> AsyncGenerator[Event, None]:
        given = 0
        async with aclosing(self._sessions.events(after=self._place(after), types=self._types)) as events:
            async for event in events:
                yield event
                given += 1
                if given == limit:
                    return

    def followed(self, after: int) -> AsyncGenerator[list[Event], None]:
        return self._sessions.logs.batches(None, self._place(after), types=self._types)

    def _place(self, after: int) -> int:
        return self._now if after == -1 else self._cursors.place(after)


_Reader = _SessionReader | _StoreReader


async def _answered(request: Req, reader: _Reader, after: int, limit: int, wait: float) -> Response[bytes]:
    accept, caller = request.headers.get("accept", ""), caller_of(request)
    if EVENT_STREAM in accept or NDJSON in accept:
        batches = reader.followed(after)
        doorkeeper: Doorkeeper = request.app.state.doorkeeper
        sse = EVENT_STREAM in accept
        pieces = doorkeeper.pieces(caller, reader.kind if sse else NDJSON, _encoder(caller.cursors, reader, sse=sse))
        allowed = partial(doorkeeper.still_good, caller.hash)
        return Live(Streaming(batches, pieces, sse=sse, cut=lambda: doorkeeper.closing, allowed=allowed))
    events = await _page(reader, after, limit, wait)
    cursor = reader.cursor(events[-1]) if events else after
    headers = {}
    if len(events) == limit:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
        following = urlencode([*query, ("after", cursor)])
        headers["Link"] = f'<{request.url.path}?{following}>; rel="next"'
    return answer({"items": [caller.cursors.event(event) for event in events], "cursor": cursor}, headers=headers)


def _encoder(cursors: Cursors, reader: _Reader, *, sse: bool) -> Encode:
    encode = as_sse if sse else as_ndjson
    return lambda event: encode(cursors.event(event), reader.cursor(event))


async def _readable(sessions: Sessions, session_id: str) -> None:
    """Raises `session_not_found`; `gone` when it was purged."""
    try:
        await sessions.session(session_id).get(deleted=True)
    except NotFound:
        await sessions.execute(reading.gap(sessions.scope, session_id, 0))
        raise


def refuse_gap(cursor: int | None) -> None:
    """Raises `gone` for a reader that wants every event, when there is one that it cannot get any more."""
    if cursor is not None:
        raise reading.gone("events after the cursor were removed", cursor)


async def _page(reader: _Reader, after: int, limit: int, wait: float) -> list[Event]:
    """A page; when there is nothing yet, the first events that come in time."""
    async with aclosing(reader.stored(after, limit)) as events:
        page = [event async for event in events]
    if page or not wait:
        return page
    async with aclosing(reader.followed(after)) as batches:
        try:
            async with asyncio.timeout(wait):
                return (await anext(batches, []))[:limit]
        except TimeoutError:
            return []


def _last_seen(request: Req, after: int) -> int:
    """Where a stream goes on: after the id that the reader saw last, if it comes again."""
    seen = request.headers.get("last-event-id")
    if not seen:
        return after
    if not _AN_ID.fullmatch(seen):
        raise InvalidInput(
            "invalid_cursor",
            f"Last-Event-ID must be the id of an event, not {seen!r}",
            details={"path": _LAST_SEEN},
        )
    return int(seen)


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(EVENT_TYPES[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
