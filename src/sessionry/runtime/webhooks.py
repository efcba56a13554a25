"""The notifier: what webhooks are owed, brought to them by one process of all that serve or work.

Which process that is, a lease in the store says. Each webhook has a lane of its own: it enters what the log holds for it as
notices, and brings those that are due. So one that does not answer holds up nobody but itself; and while one fails, it
is tried with one notice at a time, among the few tries that all the failing ones share.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, NamedTuple

import msgspec

from sessionry.domain.errors import SessionryError
from sessionry.domain.events import Event
from sessionry.domain.webhook import PERSON_NEEDED, webhook_headers
from sessionry.ports import Bus, Store
from sessionry.runtime.posting import Answer, Poster
from sessionry.store.operations import webhooks
from sessionry.store.operations.webhooks import Endpoint, Found, Outcome, Owed

log = logging.getLogger("sessionry.webhooks")

_NAME = "webhooks"
#: Events that one look at the log enters, and notices that may be owed before the log is looked at further.
_BATCH, _MOST_OWED = 500, 1000
#: Seconds after which it is kept how far the log was looked at without finding anything.
_KEEP = 10.0


class Policy(NamedTuple):
    """How notices are tried, in seconds. The pauses grow from `first` by `factor` to `longest`, a bit apart from each
    other; after `tries` a notice is given up. A webhook that takes nothing for `patience` is disabled."""

    timeout: float = 15.0
    first: float = 5.0
    factor: float = 4.0
    longest: float = 6 * 3600.0
    tries: int = 10
    patience: float = 5 * 86_400.0
    #: notices of one webhook at once, of all that are well, and of all that fail
    at_once: int = 4
    well: int = 32
    failing: int = 8
    lease: float = 10.0
    #: between two looks at which webhooks there are, and at the log of one that nobody pokes
    look: float = 1.0
    poll: float = 1.0

    def pause(self, tries: int, wait: float | None) -> float | None:
        """Seconds after the `tries`-th try; None when that was the last. A longer pause that is asked for is made."""
        if tries >= self.tries:
            return None
        grown = min(self.first * self.factor ** (tries - 1), self.longest) * random.uniform(0.8, 1.2)
        return max(grown, min(wait or 0.0, 86_400.0))


_POLICY = Policy()


class Notifier:
    """Brings notices while it leads. `start`, then `close`."""

    def __init__(self, store: Store, bus: Bus, *, private: bool = False, policy: Policy = _POLICY) -> None:
        self.id = secrets.token_hex(8)
        self._store = store
        self._bus = bus
        self._private = private
        self._policy = policy
        self._poster: Poster | None = None
        self._lanes: dict[Endpoint, _Lane] = {}
        self._leads_until = 0.0
        self._slots = {False: asyncio.Semaphore(policy.well), True: asyncio.Semaphore(policy.failing)}
        self._unwatch: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Nothing happens where no HTTP client is installed: another process has to do it then."""
        if find_spec("httpx") is not None:
            self._task = asyncio.create_task(self._run(), name="webhooks")

    async def close(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        led = bool(self._lanes)
        await self._stop(list(self._lanes))
        if self._poster is not None:
            await self._poster.close()
        if led:
            with suppress(SessionryError):
                await self._store.execute(webhooks.resign(_NAME, self.id))

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except SessionryError as error:
                log.warning("webhooks wait: %s", error)
            except Exception:  # without it nobody is told anything any more
                log.exception("webhooks wait")
            if time.monotonic() > self._leads_until:
                await self._stop(list(self._lanes))
            await asyncio.sleep(self._policy.look * random.uniform(0.8, 1.2))

    async def _look(self) -> None:
        """A lane for every webhook that is enabled, as long as we lead."""
        found = await self._store.execute(webhooks.endpoints())
        if found and await self._leads():
            await self._stop([endpoint for endpoint in self._lanes if endpoint not in found])
            for endpoint in found:
                if endpoint not in self._lanes:
                    self._begin(endpoint)
        elif not found:
            await self._stop(list(self._lanes))

    async def _leads(self) -> bool:
        asked, lease = time.monotonic(), self._policy.lease
        if self._leads_until - asked > lease / 2:
            return True
        if await self._store.execute(webhooks.lead(_NAME, self.id, lease)):
            self._leads_until = asked + lease * 0.8
        return self._leads_until > time.monotonic()

    def _begin(self, endpoint: Endpoint) -> None:
        if self._poster is None:
            self._poster = Poster(timeout=self._policy.timeout, private=self._private)
        if self._unwatch is None:
            self._unwatch = self._bus.watch(self._poked)
        self._lanes[endpoint] = _Lane(self._store, endpoint, self._policy, self._poster.post, self._slots)

    async def _stop(self, endpoints: Sequence[Endpoint]) -> None:
        await asyncio.gather(*[self._lanes.pop(endpoint).close() for endpoint in endpoints])
        if not self._lanes and self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _poked(self, _: Sequence[str] | None) -> None:
        for lane in self._lanes.values():
            lane.poke()


class _Lane:
    """One webhook's notices."""

    def __init__(
        self,
        store: Store,
        endpoint: Endpoint,
        policy: Policy,
        post: Callable[[str, dict[str, str], bytes], Awaitable[Answer]],
        slots: dict[bool, asyncio.Semaphore],
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._policy = policy
        self._post = post
        self._slots = slots
        self._seen = Found(cursor=-1, upto=0)
        self._kept = time.monotonic()
        self._failing = False
        self._poked = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"webhook {endpoint.id}")

    def poke(self) -> None:
        self._poked.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._poked.clear()
            pause: float | None = self._policy.poll
            try:
                pause = await self._turn()
            except SessionryError as error:
                log.warning("webhook %s waits: %s", self._endpoint.id, error)
            except Exception:
                log.exception("webhook %s waits", self._endpoint.id)
            if pause is None or pause > 0:
                await self._wait(min(pause or self._policy.poll, self._policy.poll))

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(min(0.05, seconds))  # events come in swarms, and are entered together
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._poked.wait()

    async def _turn(self) -> float | None:
        """Enter what is new, bring what is due; the seconds until there may be more to do, None: until a poke."""
        more = await self._enter()
        due, later = await self._store.execute(webhooks.owed(self._endpoint.key, self._at_once()))
        if not due:
            return 0.0 if more else later
        outcomes = await asyncio.gather(*map(self._bring, due))
        if sent := [outcome for outcome in outcomes if not outcome.moot]:
            self._failing = all(outcome.problem is not None for outcome in sent)
        settling = webhooks.settle(self._endpoint.key, outcomes, self._policy.patience)
        if why := await self._store.execute(settling):
            log.warning("webhook %s was disabled: %s", self._endpoint.id, why)
        return 0.0

    def _at_once(self) -> int:
        return 1 if self._failing else self._policy.at_once

    async def _enter(self) -> bool:
        """Whether there may be more in the log."""
        found = await self._store.execute(webhooks.ahead(self._endpoint.key, self._seen, _BATCH))
        self._seen = found
        if not found.items and time.monotonic() - self._kept < _KEEP:
            return False
        self._kept = time.monotonic()
        if await self._store.execute(webhooks.enter(self._endpoint.key, found, _MOST_OWED)):
            self._seen = Found(cursor=found.upto, upto=found.upto)
            return len(found.items) >= _BATCH
        self._seen = Found(cursor=-1, upto=0)
        return False

    async def _bring(self, owed: Owed) -> Outcome:
        if owed.event is None:
            return Outcome(key=owed.key, moot=True)  # it was pruned or purged: nobody may read it any more
        async with self._slots[self._failing]:
            id, body = message(owed, owed.event)
            headers = webhook_headers(self._endpoint.secret, id, int(time.time()), body)
            headers |= {"content-type": "application/json", "user-agent": "Sessionry"}
            answer = await self._post(self._endpoint.url, headers, body)
        if answer.problem is None:
            return Outcome(key=owed.key)
        again = self._policy.pause(owed.tries + 1, answer.wait)
        if again is None:
            log.warning("webhook %s: gave up a notice: %s", self._endpoint.id, answer.problem)
        return Outcome(
            key=owed.key,
            problem=answer.problem,
            http_status=answer.status,
            again=again,
            gone=answer.status == 410,
        )


def message(owed: Owed, event: Event) -> tuple[str, bytes]:
    """The `webhook-id`, the same whenever it is sent, and the body: its type, its time, its data."""
    id, data = event.id, event.to_dict()
    del data["position"]  # it counts what others do
    if owed.type == PERSON_NEEDED:
        id, data = _question(owed, event, data["data"])
    return id, msgspec.json.encode({"type": owed.type, "timestamp": event.at, "data": data})


def _question(owed: Owed, event: Event, asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a person has to know to decide."""
    about = {"session_id": event.session_id, "run_id": event.run_id, "title": owed.title, "agent_id": owed.agent_id}
    return str(asked["approval_id"]), about | asked
