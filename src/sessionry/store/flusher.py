"""Group commit for PostgreSQL: what all the runs of a process have to append goes out in one statement.

While a statement is under way, more requests gather for the next one, so the group grows with the load and a lone request
never waits for company.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sessionry.domain import ids
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import SCHEMA_VERSION
from sessionry.ports import Appending

#: What one statement takes at most; a single request may be larger.
MOST_REQUESTS, MOST_EVENTS, MOST_CHARACTERS = 1000, 2000, 8_000_000
#: Statements under way. While the database is at one, the next one is made ready.
AT_ONCE = 2
#: A control character, which JSON only holds escaped.
SEPARATOR = "\x1f"


class Request:
    """One append with its encoded payloads."""

    __slots__ = ("appending", "future", "payloads", "size")

    def __init__(self, appending: Appending, payloads: Sequence[tuple[str, str]]) -> None:
        self.appending = appending
        self.payloads = payloads
        self.size = sum(len(text) for _, text in payloads)
        self.future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

    @property
    def plain(self) -> bool:
        """Whether it can be a part of the one statement, and cannot make that fail for the others."""
        run_id, fence, after = self.appending.run_id, self.appending.fence, self.appending.after
        return run_id.isascii() and run_id.isprintable() and 0 <= min(fence, after) <= max(fence, after) < 1 << 63


class Flusher:
    """Takes requests and answers them. `append_many` writes a group, `append_one` whatever cannot be in it.

    A request that is refused does not fail its neighbours. A run has at most one request in a group.
    """

    STATEMENT = (
        "select * from sessionry_append(%s, %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s, %s, %b, %s)"
    )

    def __init__(
        self,
        append_many: Callable[[Sequence[Any]], Awaitable[list[tuple[int, int]]]],
        append_one: Callable[[Appending], Awaitable[list[int]]],
    ) -> None:
        self._append_many = append_many
        self._append_one = append_one
        self._queue: deque[Request] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing = 0
        self._entropy = ids.Entropy()

    def put(self, request: Request) -> asyncio.Future[list[int]]:
        self._queue.append(request)
        if self._flushing < AT_ONCE:
            self._flushing += 1
            self._start(self._flush_all())
        return request.future

    async def drain(self) -> None:
        """Wait until all requests are answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name="flusher")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _flush_all(self) -> None:
        try:
            while self._queue:
                await self._flush(self._next_group())
        finally:
            self._flushing -= 1

    def _next_group(self) -> list[Request]:
        group: list[Request] = []
        runs: set[str] = set()
        events = characters = 0
        while self._queue and len(group) < MOST_REQUESTS:
            request = self._queue[0]
            events += len(request.payloads)
            characters += request.size
            if group and (request.appending.run_id in runs or events > MOST_EVENTS or characters > MOST_CHARACTERS):
                break
            runs.add(request.appending.run_id)
            group.append(self._queue.popleft())
        return group

    async def _flush(self, group: list[Request]) -> None:
        try:
            first_seqs = dict(await self._append_many(self._parameters(group)))
        except Exception as error:  # whatever it is, those who wait must hear of it
            for request in group:
                if isinstance(error, InvalidInput) and len(group) > 1:
                    self._start(self._answer_alone(request))
                elif not request.future.done():
                    request.future.set_exception(error)
            return
        for number, request in enumerate(group, 1):
            first = first_seqs.get(number)
            if first is None:
                self._start(self._answer_alone(request))
            elif not request.future.done():
                request.future.set_result(list(range(first, first + len(request.payloads))))

    async def _answer_alone(self, request: Request) -> None:
        """Its lease is over, or it was written before, or it is out of step: the operation says which."""
        try:
            seqs = await self._append_one(request.appending)
        except Exception as error:
            if not request.future.done():
                request.future.set_exception(error)
        else:
            if not request.future.done():
                request.future.set_result(seqs)

    def _parameters(self, group: list[Request]) -> Sequence[Any]:
        """Those of `STATEMENT`."""
        skipped, counts, total, now = [], [], 0, time.time_ns() // 1_000_000
        for request in group:
            skipped.append(total)
            counts.append(len(request.payloads))
            total += len(request.payloads)
        payloads = [payload for request in group for payload in request.payloads]
        return (
            SEPARATOR.join([request.appending.run_id for request in group]),
            _array([request.appending.fence for request in group]),
            _array([request.appending.after for request in group]),
            _array(counts),
            _array(skipped),
            _array([number for number, request in enumerate(group, 1) for _ in request.payloads]),
            SEPARATOR.join([type for type, _ in payloads]),
            SEPARATOR.join([text for _, text in payloads]),
            b"".join([ids.uuid7_bytes(now, self._entropy.draw(10)) for _ in range(total)]),
            SCHEMA_VERSION,
        )


def _array(numbers: list[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
