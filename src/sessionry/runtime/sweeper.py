"""The sweeper: finds what was left behind, by a crash or by a lost word, and puts it right.

Every process with a worker sweeps now and then, and every process sweeps once when it opens a store, so nothing stays
`running` after a crash. Sweeping twice, or in two processes at once, does nothing twice.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from sessionry.domain.errors import NotFound, StoreFailed
from sessionry.ports import Store
from sessionry.runtime.processes import Process, is_gone
from sessionry.store.operations import approvals, leases, pruning, recovery

log = logging.getLogger("sessionry.sweeper")

#: Seconds after the end of its lease for which a worker without runs stays in the list.
FORGET_AFTER = 3600.0


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep did: run -> requeued, parked, stopped, cancelled or timeout; questions expired; heads found
    again; ended runs whose streamed pieces went."""

    runs: dict[str, str] = {}
    expired_approvals: int = 0
    found_heads: int = 0
    pruned_runs: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.expired_approvals or self.found_heads)


class Sweeper:
    """Sweeps `store`; `start` does it every `interval` seconds until `close`."""

    def __init__(self, store: Store, interval: float, prune_after: float) -> None:
        self._store = store
        self._interval = interval
        self._prune_after = prune_after
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
            await asyncio.sleep(self._interval)
            try:
                await self.sweep()
            except StoreFailed as error:
                log.warning("the sweep failed and will be repeated: %s", error)

    async def sweep(self) -> Recovery:
        """Take over or end all that lost its worker or its time; wake what lost its wake."""
        runs = await self._take_over()
        for run_id in await self._store.execute(recovery.overdue()):
            if await self._store.execute(recovery.end_overdue(run_id)):
                runs[run_id] = "timeout"
        expired = await self._expire()
        heads = await self._store.execute(recovery.lost_heads())
        for key in heads:
            await self._store.execute(recovery.promote_again(key))
        pruned = await self._prune()
        return Recovery(runs=runs, expired_approvals=expired, found_heads=len(heads), pruned_runs=pruned)

    async def _prune(self) -> int:
        """A bounded share of the work in each sweep, a run in each transaction: writers do not wait for it."""
        runs = await self._store.execute(pruning.unpruned(self._prune_after))
        for run_id in runs:
            await self._store.execute(pruning.prune(run_id))
        return len(runs)

    async def _take_over(self) -> dict[str, str]:
        workers = await self._store.execute(leases.workers())
        if not workers and not await self._store.execute(recovery.orphans(())):
            return {}
        gone = [
            worker.id
            for worker, boot_id in workers
            if self._is_gone(worker.host, worker.pid, worker.process_start, boot_id)
        ]
        done: dict[str, str] = {}
        for run_id, worker_id in await self._store.execute(recovery.orphans(gone)):
            reason = "process_gone" if worker_id in gone else "lease_expired"
            if action := await self._store.execute(recovery.take_over(run_id, worker_id, reason)):
                log.info("run %s of worker %s was %s (%s)", run_id, worker_id, action, reason)
                done[run_id] = action
        for worker_id in gone:
            await self._store.execute(leases.leave(worker_id))
        if any(not worker.alive for worker, _ in workers):
            await self._store.execute(recovery.forget_workers(FORGET_AFTER))
        return done

    def _is_gone(self, host: str, pid: int, start: float, boot_id: str) -> bool:
        return self._store.shared_machine and is_gone(Process(host, pid, start, boot_id))

    async def _expire(self) -> int:
        expired = 0
        for approval_id in await self._store.execute(approvals.overdue()):
            try:
                expired += await self._store.execute(approvals.expire(approval_id))
            except NotFound:
                continue  # its session was purged meanwhile
        return expired
