"""A session for the OpenAI Agents SDK that is kept in Sessionry: durable, and safe with many writers.

    session = SessionrySession("user-42", url="sqlite:///sessions.db")
    await Runner.run(agent, "hello", session=session)

Each item is an event `custom_recorded` of the Sessionry session of that id, which is made when the first one is added.
Nothing is ever changed: taking the last item away, and clearing, are events as well, and what is there follows from
reading them in order. So two writers, in two processes, never lose or mix up what the other one wrote.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

from sessionry.compose import open_sessions
from sessionry.domain import events as ev
from sessionry.domain import records
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.errors import Conflict, InvalidInput, NotFound, SessionryError
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json, json_value
from sessionry.runtime.portal import Portal
from sessionry.runtime.sessions import Sessions
from sessionry.store.operations import reading
from sessionry.store.operations import sessions as operations

if TYPE_CHECKING:
    from agents.memory import SessionSettings

T = TypeVar("T")

ITEM, POPPED, CLEARED = "openai_agents.item", "openai_agents.popped", "openai_agents.cleared"
#: Characters of JSON up to which an item is in the log itself; a bigger one is a blob.
LARGEST = 128 * 1024
_PAGE = 1000


class SessionrySession:
    """The SDK's session protocol over a store: either `sessions`, which is open in this event loop, or the `url` of one.

    With `url` it can be used from any thread and event loop; `close` it when it is not needed any more. `agent_id` is
    what the Sessionry session says of who works in it, when it is made here.
    """

    session_settings: SessionSettings | None = None

    def __init__(
        self,
        session_id: str,
        *,
        sessions: Sessions | None = None,
        url: str | None = None,
        agent_id: str = "openai-agents",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        if (sessions is None) == (url is None):
            raise InvalidInput(
                "validation_error", "give either the open sessions or the url of a store", details={"path": "url"}
            )
        self.session_id = records.required_text(session_id, "session_id")
        self.session_settings = _settings(session_settings)
        self._agent_id = agent_id
        self._sessions = sessions
        self._place = None if url is None else _Place.at(url)
        self._closed = False
        self._items: list[Json] = []
        self._cursor = 0
        #: one thing at a time: what a call took away is found where it left the cursor
        self._lock = asyncio.Lock()

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """The items, oldest first; with a limit the newest ones."""
        limit = limit if limit is not None or self.session_settings is None else self.session_settings.limit
        items = await self._with(self._read)
        return items if limit is None or limit < 0 else items[max(len(items) - limit, 0) :]

    async def add_items(self, items: list[Any]) -> None:
        """Add all of them next to each other, or none."""
        checked = [json_value(item, "item") for item in items]
        await self._with(lambda sessions: self._add(sessions, checked))

    async def pop_item(self) -> Any | None:
        """Take the last item away; each is given to one caller only."""
        return await self._with(self._pop)

    async def clear_session(self) -> None:
        """Take all items away. The log keeps them."""
        await self._with(self._clear)

    def close(self) -> None:
        """Let go of the store of `url`, when no other session of this process uses it."""
        place, self._place, self._closed = self._place, None, True
        if place is not None:
            place.leave()

    # --- the log ---

    async def _read(self, sessions: Sessions) -> list[Json]:
        await self._catch_up(sessions)
        return deepcopy(self._items)

    async def _add(self, sessions: Sessions, items: list[Json]) -> None:
        events: list[ev.CustomRecorded | ev.ArtifactAdded] = []
        for item in items:
            text, value = encode_json(item), {"item": item}
            if len(text) > LARGEST:
                blob = await sessions.blobs.put(text.encode())
                events.append(
                    ev.ArtifactAdded(hash=blob.hash, size=blob.size, name=ITEM, media_type="application/json")
                )
                value = {"artifact": blob.hash}
            events.append(ev.CustomRecorded(name=ITEM, value=value))
        if not events:
            return
        try:
            await sessions.execute(operations.record(sessions.scope, self.session_id, events))
        except NotFound:
            with suppress(Conflict):  # another writer was faster
                await sessions.create(self._agent_id, id=self.session_id)
            await sessions.execute(operations.record(sessions.scope, self.session_id, events))

    async def _pop(self, sessions: Sessions) -> Json:
        await self._catch_up(sessions)
        if not self._items:
            return None
        event = ev.CustomRecorded(name=POPPED)
        appended = await sessions.execute(operations.record(sessions.scope, self.session_id, [event]))
        return await self._catch_up(sessions, mine=appended.events[-1].seq)

    async def _clear(self, sessions: Sessions) -> None:
        await self._catch_up(sessions)
        if self._items:
            event = ev.CustomRecorded(name=CLEARED)
            await sessions.execute(operations.record(sessions.scope, self.session_id, [event]))

    async def _catch_up(self, sessions: Sessions, mine: int | None = None) -> Json:
        """Read what came since the last time; the item that the event number `mine` took away."""
        taken: Json = None
        page: list[Event] = []
        while not page or len(page) == _PAGE:
            asking = reading.events(
                sessions.scope, self.session_id, after=self._cursor, types=[ev.CustomRecorded.type], limit=_PAGE
            )
            try:
                page = await sessions.execute(asking)
            except NotFound:
                return None  # nobody has added anything yet
            if not page:
                return taken
            for event in page:
                gone = self._apply(event, await _item(sessions, event))
                taken = gone if event.seq == mine else taken
        return taken

    def _apply(self, event: Event, item: Json) -> Json:
        """Fold one event; what it took away."""
        assert isinstance(event.data, ev.CustomRecorded)
        self._cursor = event.seq
        match event.data.name:
            case "openai_agents.item":
                self._items.append(item)
            case "openai_agents.cleared":
                self._items.clear()
            case "openai_agents.popped" if self._items:
                return self._items.pop()
        return None

    async def _with(self, work: Callable[[Sessions], Awaitable[T]]) -> T:
        if self._closed:
            raise Conflict("invalid_operation", f"the session {self.session_id!r} is closed")
        if self._sessions is not None:
            return await self._alone(work, self._sessions)
        assert self._place is not None
        return await asyncio.to_thread(self._place.call, lambda sessions: self._alone(work, sessions))

    async def _alone(self, work: Callable[[Sessions], Awaitable[T]], sessions: Sessions) -> T:
        async with self._lock:
            return await work(sessions)


async def _item(sessions: Sessions, event: Event) -> Json:
    data = event.data
    if not isinstance(data, ev.CustomRecorded) or data.name != ITEM or not isinstance(data.value, dict):
        return None
    if "artifact" in data.value:
        pieces = [piece async for piece in sessions.blobs.open(str(data.value["artifact"]))]
        item: Json = decode_json(b"".join(pieces).decode())
        return item
    return data.value.get("item")


def _settings(given: SessionSettings | dict[str, Any] | None) -> SessionSettings:
    try:
        from agents.memory import SessionSettings
        from agents.memory.session_settings import coerce_session_settings
    except ImportError:
        raise SessionryError(
            "dependency_not_available", "openai-agents is not installed; pip install 'sessionry[openai-agents]'"
        ) from None
    return SessionSettings() if given is None else coerce_session_settings(given)


class _Place:
    """A store that is open in an event loop of its own, shared by the sessions of this process that name its url."""

    _open: dict[str, _Place] = {}  # noqa: RUF012
    _guard = threading.RLock()

    def __init__(self, url: str) -> None:
        self._url = url
        self._users = 0
        self._stack = ExitStack()
        self._portal: Portal | None = None
        self._sessions: Sessions | None = None

    @classmethod
    def at(cls, url: str) -> _Place:
        with cls._guard:
            place = cls._open.setdefault(url, cls(url))
            place._users += 1
            return place

    def call(self, work: Callable[[Sessions], Awaitable[T]]) -> T:
        """Do it in the store's own loop, and wait; not from a thread in which a loop runs."""
        with self._guard:
            if self._sessions is None or self._portal is None:
                self._portal = self._stack.enter_context(Portal("sessionry-openai-agents"))
                self._sessions = self._stack.enter_context(self._portal.entered(open_sessions(self._url, worker=False)))
        return self._portal.call(self._awaited, work, self._sessions)

    @staticmethod
    async def _awaited(work: Callable[[Sessions], Awaitable[T]], sessions: Sessions) -> T:
        return await work(sessions)

    def leave(self) -> None:
        with self._guard:
            self._users -= 1
            if self._users > 0 or self._open.get(self._url) is not self:
                return
            del self._open[self._url]
        with ThreadPoolExecutor(1) as elsewhere:  # here a loop may run, which must not be waited for
            elsewhere.submit(self._stack.close).result()


@atexit.register
def _close_all() -> None:
    for place in list(_Place._open.values()):
        with suppress(Exception):
            place._users = 1
            place.leave()
