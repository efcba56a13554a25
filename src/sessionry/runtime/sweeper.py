"""The sweeper: finds what was left behind, by a crash or by a lost word, and puts it right.

Every process with a worker sweeps now and then, and as soon as a lease has run out; and every process sweeps once when it
opens a store, so nothing stays `running` after a crash. Sweeping twice, or in two processes at once, does nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from sessionry.domain.errors import NotFound, SessionryError, StoreFailed
from sessionry.domain.events import AgentProcessStarted
from sessionry.domain.queries import Worker
from sessionry.ports import Operation, Store
from sessionry.runtime.processes import Process, is_gone, is_here
from sessionry.store.operations import approvals, leases, pruning, recovery

log = logging.getLogger("sessionry.sweeper")
T = TypeVar("T")

#: Seconds after the end of its lease for which a worker without runs stays in the list.
FORGET_AFTER = 3600.0
#: Seconds for which a notice that was given up can be looked at, and tried again.
KEEP_GIVEN_UP = 30 * 86_400.0
#: Seconds between two looks for what nobody can find again.
TIDY_EVERY = 3600.0
#: Runs that are taken over at once: together they cost one commit, and others wait no longer than for one.
AT_ONCE = 50
#: Seconds after the end of a lease within which each process looks at what it left, so that not all do it at once.
SPREAD = 0.3


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep did: run -> requeued, parked, stopped, cancelled or timeout; questions expired; heads found
    again; ended runs whose streamed pieces went."""

    runs: dict[str, str] = {}
    expired_approvals: int = 0
    found_heads: int = 0
    pruned_runs: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.expired_approvals or self.found_heads)


async def _nothing() -> None:
    """What a process without a worker, or one without files, does before it sweeps."""


async def _nothing_lost(_: float) -> int | None:
    """How many lost wakes are found where every worker looks for heads by itself."""
    return 0


class Sweeper:
    """Sweeps `store`; `start` does it every `interval` seconds, and when a lease ends, until `close`.

    `renew` is awaited before each sweep: it renews the lease of this process's own worker, which may have ended while the
    machine slept or the event loop was blocked. For the same reason a worker of this machine that is late, but whose
    process lives, is given up only when it is still late after `patience` seconds.

    `tidy` is awaited with a sweep every `TIDY_EVERY` seconds: it removes what nobody can find again.

    `mend` wakes the heads again whose wake was lost, and says how many; None when any process has done so within the given
    number of seconds.
    """

    def __init__(
        self,
        store: Store,
        interval: float,
        prune_after: float,
        *,
        patience: float = 0.0,
        renew: Callable[[], Awaitable[object]] = _nothing,
        tidy: Callable[[], Awaitable[object]] = _nothing,
        mend: Callable[[float], Awaitable[int | None]] = _nothing_lost,
    ) -> None:
        self._store = store
        self._interval = interval
        self._prune_after = prune_after
        self._patience = patience
        self._renew = renew
        self._tidy = tidy
        self._tidied = -math.inf
        self._mend = mend
        #: worker -> what its lease ended at, and since when we know (by `time.monotonic()`)
        self._late: dict[str, tuple[object, float]] = {}
        #: when the first lease ends of those that had not ended at the last sweep (by `time.monotonic()`)
        self._next_end = math.inf
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            await self._try_to(self._sweep_in_turn)

    def _pause(self) -> float:
        """Seconds until the next sweep. Who is alive renews a lease long before it ends, and does not make it earlier."""
        return min(self._interval, max(self._next_end - time.monotonic(), 0.0) + random.uniform(0.0, SPREAD))

    async def open(self) -> None:
        """The first sweep. What cannot be written now can still be read."""
        await self._try_to(self._put_right)

    async def _sweep_in_turn(self) -> None:
        await self._put_right()
        await self._prune()
        if time.monotonic() - self._tidied >= TIDY_EVERY:
            self._tidied = time.monotonic()
            await self._tidy()

    async def _try_to(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except SessionryError as error:
            level = logging.INFO if error.code == "store_read_only" else logging.WARNING
            log.log(level, "the sweep failed and will be repeated: %s", error)
        except Exception:  # without sweeps, what is lost stays lost
            log.exception("the sweep failed and will be repeated")

    async def sweep(self) -> Recovery:
        """Put right what was left behind, and let go of some of what nobody needs any more."""
        done = await self._put_right(pause=0.0)
        return msgspec.structs.replace(done, pruned_runs=await self._prune())

    async def _put_right(self, pause: float | None = None) -> Recovery:
        """Take over or end all that lost its worker or its time; wake what lost its wake."""
        self._next_end = math.inf
        await self._renew()
        await self._note_next_end()
        runs = await self._take_over()
        for run_id in await self._store.execute(recovery.overdue()):
            if await self._try(recovery.end_overdue(run_id)):
                runs[run_id] = "timeout"
        expired = 0
        for approval_id in await self._store.execute(approvals.overdue()):
            if await self._try(approvals.expire(approval_id)):
                expired += 1
        heads = await self._find_heads(self._interval / 2 if pause is None else pause)
        return Recovery(runs=runs, expired_approvals=expired, found_heads=heads)

    async def _note_next_end(self) -> None:
        """Before the look for what is lost: a lease that ends after that look is one that had not ended now."""
        left = await self._store.execute(recovery.next_end())
        if left is not None:
            self._next_end = time.monotonic() + left

    async def _find_heads(self, pause: float) -> int:
        """Wake what lost its wake, however that was. Of many processes that share a database one does it: it looks through
        everything that waits.
        """
        woken = await self._mend(pause)
        if woken is None:
            return 0
        heads = await self._store.execute(recovery.lost_heads())
        for key in heads:
            await self._try(recovery.promote_again(key))
        return woken + len(heads)

    async def _prune(self) -> int:
        """A bounded share of the work in each sweep, a run in each transaction: writers do not wait for it."""
        runs = await self._store.execute(pruning.unpruned(self._prune_after))
        for run_id in runs:
            await self._try(pruning.prune(run_id))
        if notices := await self._store.execute(pruning.given_up(KEEP_GIVEN_UP)):
            await self._try(pruning.forget_notices(notices))
        return len(runs)

    async def _take_over(self) -> dict[str, str]:
        workers = await self._store.execute(leases.workers())
        gone = [worker.id for worker, boot_id in workers if self._is_gone(worker, boot_id)]
        spared = [worker.id for worker, boot_id in workers if worker.id not in gone and self._may_come_back(worker)]
        orphans = await self._store.execute(recovery.orphans(gone, spared))
        programs = await self._store.execute(recovery.programs([run_id for run_id, _ in orphans])) if orphans else []
        await _end_processes([orphan for orphan in orphans if orphan[1] in gone], programs)
        done: dict[str, str] = {}
        for first in range(0, len(orphans), AT_ONCE):
            some = orphans[first : first + AT_ONCE]
            taken = await asyncio.gather(*(self._take_over_one(*orphan, gone) for orphan in some))
            done |= {run_id: action for (run_id, _), action in zip(some, taken, strict=True) if action}
        here = {worker.id for worker, _ in workers if worker.id not in gone and is_here(worker.host)}
        await _end_processes([orphan for orphan in orphans if orphan[0] in done and orphan[1] in here], programs)
        await self._forget(gone, workers)
        return done

    async def _take_over_one(self, run_id: str, worker_id: str, gone: Sequence[str]) -> str | None:
        reason = "process_gone" if worker_id in gone else "lease_expired"
        action = await self._try(recovery.take_over(run_id, worker_id, reason))
        if action:
            log.info("run %s of worker %s was %s (%s)", run_id, worker_id, action, reason)
        return action

    def _is_gone(self, worker: Worker, boot_id: str) -> bool:
        process = Process(worker.host, worker.pid, worker.process_start, boot_id)
        return self._store.shared_machine and is_gone(process)

    def _may_come_back(self, worker: Worker) -> bool:
        """Whether a worker whose process was not found dead is late, but not for long."""
        if worker.alive:
            self._late.pop(worker.id, None)
            return False
        if not (self._store.shared_machine and is_here(worker.host)):
            return False
        now = time.monotonic()
        expired_at, since = self._late.get(worker.id, (None, now))
        if expired_at != worker.expires_at:
            self._late[worker.id], since = (worker.expires_at, now), now
        return now - since < self._patience

    async def _forget(self, gone: Sequence[str], workers: Sequence[tuple[Worker, str]]) -> None:
        for worker_id in gone:
            await self._store.execute(leases.leave(worker_id))
        if any(not worker.alive for worker, _ in workers):
            await self._store.execute(recovery.forget_workers(FORGET_AFTER))
        known = {worker.id for worker, _ in workers}
        self._late = {id: late for id, late in self._late.items() if id in known}

    async def _try(self, operation: Operation[T]) -> T | None:
        """What comes of it; None when that one thing cannot be done, which must not keep us from the others."""
        try:
            return await self._store.execute(operation)
        except NotFound:
            return None  # it was purged meanwhile
        except Exception as error:
            if isinstance(error, StoreFailed) and error.code != "store_corrupt":
                raise
            log.error("%r failed: %s", operation, error)
            return None


async def _end_processes(
    orphans: Sequence[tuple[str, str]], programs: Sequence[tuple[str, AgentProcessStarted]]
) -> None:
    """End what lost workers of this machine left running, so that nothing of an attempt works on while the next one does.

    That is what carries the mark of the worker, and those `programs` that the log named before the runs were taken over.
    """
    if not orphans:
        return
    from sessionry.agents.descendants import kill_leftovers, kill_programs  # it loads psutil, and is hardly ever wanted

    runs = {run_id for run_id, _ in orphans}
    named = [
        (program.pid, program.started_at) for run_id, program in programs if run_id in runs and is_here(program.host)
    ]
    ended = await asyncio.to_thread(kill_programs, named)  # first, while their pids still lead to their groups
    ended += await asyncio.to_thread(kill_leftovers, {worker_id for _, worker_id in orphans})
    if ended:
        log.info("%s processes of lost workers were ended", ended)
