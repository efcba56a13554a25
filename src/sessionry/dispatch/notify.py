"""A bus for all processes and machines that share a PostgreSQL database: pokes by LISTEN and NOTIFY.

A NOTIFY makes the commit that it belongs to wait for every other such commit of the database, so no transaction that writes
has one. What was committed is told afterwards, in one NOTIFY for all sessions that have grown meanwhile, and the busier a
process is, the more of them share it. A notification that is lost, with its connection or with its process, costs the
watchers of other processes the slow poll and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import psycopg
from psycopg import sql

from sessionry.dispatch.bus import Listener, PollBus
from sessionry.domain.errors import StoreFailed
from sessionry.store.postgres import CHANNEL

log = logging.getLogger("sessionry.bus")

#: Seconds between two notifications of this process, at least.
INTERVAL = 0.01
#: Seconds between two looks at the change token, which find what no notification told of.
POLL = 1.0
#: Bytes of a payload, at most: PostgreSQL refuses 8,000.
LARGEST = 7999
#: Seconds until a lost connection is tried again, at first and at most.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: Seconds that the end waits for what has still to be told.
LAST_WORDS = 2.0

_payload = msgspec.json.Decoder(tuple[str, list[str] | None])


class NotifyBus:
    """Tells the watchers of this process about its own pokes at once, and about those of others when they are notified.

    One connection to `conninfo` listens while anybody watches, and there is none otherwise. Whenever it had to be made anew
    the watchers are told "any session". `notify` sends a payload. Lives in one event loop.
    """

    def __init__(
        self,
        conninfo: str,
        notify: Callable[[str], Awaitable[None]],
        change_token: Callable[[], Awaitable[int]],
        *,
        poll: float = POLL,
        interval: float = INTERVAL,
    ) -> None:
        self._conninfo = conninfo
        self._notify = notify
        self._interval = interval
        self._here = PollBus(change_token, poll)
        self._name = secrets.token_hex(4)
        self._watches: set[object] = set()
        self._closed = False
        self._untold: dict[str, None] = {}
        self._telling: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._pause = SHORTEST_PAUSE
        #: set while notifications of others are heard
        self.listens = asyncio.Event()

    def poke(self, session_ids: Sequence[str]) -> None:
        """Tell the watchers of this process, before it returns, and all others soon."""
        if not session_ids or self._closed:
            return
        self._here.poke(session_ids)
        self._untold |= dict.fromkeys(session_ids)
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_others(), name="bus: notify")

    def watch(self, listener: Listener) -> Callable[[], None]:
        """See `ports.Bus`. Must be called in the event loop. An error of one listener does not reach the others."""
        watch = object()
        self._watches.add(watch)
        unwatch = self._here.watch(listener)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="bus: listen")

        def end() -> None:
            self._watches.discard(watch)
            unwatch()
            self._rest()

        return end

    async def close(self) -> None:
        """End every watch, tell what has not been told yet, and leave no task and no connection."""
        self._closed = True
        self._watches.clear()
        listening, telling = self._listening, self._telling
        self._rest()
        await self._here.close()
        if listening is not None:
            await asyncio.wait([listening])
        if telling is not None:
            await asyncio.wait([telling], timeout=LAST_WORDS)
            telling.cancel()
            await asyncio.wait([telling])

    def _rest(self) -> None:
        if not self._watches and self._listening is not None:
            self._listening.cancel()
            self._listening = None

    # --- telling ------------------------------------------------------------------------------------------------------

    async def _tell_others(self) -> None:
        try:
            while self._untold:
                ids, self._untold = list(self._untold), {}
                try:
                    await self._notify(payload(self._name, ids))
                except StoreFailed as error:
                    log.debug("a notification was lost: %s", error)
                await asyncio.sleep(self._interval)
        finally:
            self._telling = None

    # --- listening ----------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except psycopg.Error as error:
                log.debug("the connection that listens was lost: %s", error)
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _hear(self) -> None:
        """Until the connection is lost."""
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            channel = (await (await connection.execute(f"select {CHANNEL}")).fetchall())[0][0]
            await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            self._pause = SHORTEST_PAUSE
            self.listens.set()
            try:
                self._here.tell(None)  # for what was told while nobody listened
                async for notification in connection.notifies():
                    self._heard(notification.payload)
            finally:
                self.listens.clear()

    def _heard(self, text: str) -> None:
        try:
            name, session_ids = _payload.decode(text)
        except msgspec.DecodeError:
            name, session_ids = "", None  # of a later version
        if name != self._name:
            self._here.tell(session_ids)


def payload(name: str, session_ids: Sequence[str]) -> str:
    """Who tells it, and which sessions have grown; None, any, when there is no room for their ids."""
    encoded = msgspec.json.encode((name, session_ids))
    return (encoded if len(encoded) <= LARGEST else msgspec.json.encode((name, None))).decode()
