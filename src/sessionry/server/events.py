"""The log over HTTP: one address, read as a page, as lines, by waiting, or live, as the Accept header asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from operator import attrgetter
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromQuery, QueryParameter

from sessionry.domain.errors import InvalidInput, NotFound
from sessionry.domain.events import EVENT_TYPES, Event
from sessionry.domain.queries import known_types, place_in_log
from sessionry.runtime.sessions import Sessions
from sessionry.server.access import caller_of
from sessionry.server.paging import answer
from sessionry.server.sessions import Id, Limit, Req
from sessionry.server.streams import EVENT_STREAM, NDJSON, Live, Streaming
from sessionry.store.operations import reading

After = Annotated[int, QueryParameter(ge=0, le=(1 << 63) - 1, description="The cursor: events after this one.")]
Before = Annotated[
    int | None, QueryParameter(ge=1, le=(1 << 63) - 1, description="With `newest`: events before this one.")
]
Wait = Annotated[float, QueryParameter(ge=0, le=60, description="Seconds to wait for the first event of a page.")]
Types = Annotated[list[str] | None, QueryParameter(description="Only events of these types.")]


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
    ) -> Response[bytes]:
        """The session's log after the cursor, which is `seq`; with `newest` its last events, those before `before`."""
        sessions = caller_of(request).sessions
        _last_seen(request, after)
        await sessions.session(session_id).get(deleted=True)
        if newest:
            tail = await sessions.execute(
                reading.events(
                    sessions.scope,
                    session_id,
                    before=before,
                    types=known_types(types or ()),
                    run_id=run,
                    limit=limit,
                    newest=True,
                )
            )
            shown = [event.to_dict() for event in tail]
            return answer({"items": shown, "cursor": tail[-1].seq if tail else after})
        reader = _SessionReader(sessions, session_id, known_types(types or ()), run)
        return await _answered(request, reader, after, limit, wait)

    @get("/events", operation_id="read_all_events")
    async def read_all_events(
        self, request: Req, after: After = 0, types: Types = None, limit: Limit = 100, wait: Wait = 0
    ) -> Response[bytes]:
        """The log of all sessions after the cursor, which is `position`."""
        reader = _StoreReader(caller_of(request).sessions, known_types(types or ()))
        return await _answered(request, reader, after, limit, wait)

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

    cursor = attrgetter("seq")

    def __init__(self, sessions: Sessions, session_id: str, types: Sequence[str], run: str | None) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._types = types
        self._run = run

    def stream(self, after: int, *, follow: bool, limit: int | None = None) -> AsyncGenerator[Event, None]:
        return self._sessions.read(
            self._session_id, after=after, types=self._types, run_id=self._run, follow=follow, limit=limit
        )


class _StoreReader:
    """The log of all sessions in scope."""

    cursor = attrgetter("position")

    def __init__(self, sessions: Sessions, types: Sequence[str]) -> None:
        self._sessions = sessions
        self._types = types

    async def stream(self, after: int, *, follow: bool, limit: int | None = None) -> AsyncGenerator[Event, None]:
        given = 0
        async with aclosing(self._sessions.events(after=after, types=self._types, follow=follow)) as events:
            async for event in events:
                yield event
                given += 1
                if given == limit:
                    return


_Reader = _SessionReader | _StoreReader


async def _answered(request: Req, reader: _Reader, after: int, limit: int, wait: float) -> Response[bytes]:
    accept, seen = request.headers.get("accept", ""), _last_seen(request, after)
    if EVENT_STREAM in accept or NDJSON in accept:
        batches = batched(reader.stream(seen, follow=True))
        doorkeeper = request.app.state.doorkeeper
        sse = EVENT_STREAM in accept
        allowed = partial(doorkeeper.still_good, caller_of(request).hash)
        return Live(Streaming(batches, reader.cursor, sse=sse, cut=lambda: doorkeeper.closing, allowed=allowed))
    events = await _page(reader, after, limit, wait)
    cursor = reader.cursor(events[-1]) if events else after
    headers = {}
    if len(events) == limit:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
        following = urlencode([*query, ("after", cursor)])
        headers["Link"] = f'<{request.url.path}?{following}>; rel="next"'
    return answer({"items": [event.to_dict() for event in events], "cursor": cursor}, headers=headers)


async def _page(reader: _Reader, after: int, limit: int, wait: float) -> list[Event]:
    """A page; when there is nothing yet, the first events that come in time."""
    async with aclosing(reader.stream(after, follow=False, limit=limit)) as events:
        page = [event async for event in events]
    if page or not wait:
        return page
    async with aclosing(batched(reader.stream(after, follow=True))) as batches:
        try:
            async with asyncio.timeout(wait):
                return (await anext(batches, []))[:limit]
        except TimeoutError:
            return []


async def batched(events: AsyncGenerator[Event, None], most: int = 256) -> AsyncGenerator[list[Event], None]:
    """What is there at once, in one list: an event that comes alone is not kept waiting for more."""
    async with aclosing(events):
        following: asyncio.Future[Event | None] | None = None
        batch: list[Event] = []
        try:
            while True:
                following = following or asyncio.ensure_future(anext(events, None))
                if not following.done():
                    # a feed that has more gives it without waiting for anything: within one turn of the loop
                    await asyncio.sleep(0)
                if not following.done() or len(batch) >= most:
                    if batch:
                        yield batch
                        batch = []
                    await asyncio.wait([following])
                event, following = following.result(), None
                if event is None:
                    break
                batch.append(event)
            if batch:
                yield batch
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait([following])


def _last_seen(request: Req, after: int) -> int:
    """Where a stream goes on: after the id that the reader saw last, if it comes again."""
    seen = request.headers.get("last-event-id")
    if not seen:
        return after
    if not (seen.isascii() and seen.isdigit()):
        raise InvalidInput(
            "invalid_cursor",
            f"Last-Event-ID must be the id of an event, not {seen!r}",
            details={"path": "header.last-event-id"},
        )
    return max(after, place_in_log(int(seen[:20]), "header.last-event-id"))


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(EVENT_TYPES[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
