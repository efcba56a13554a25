"""Transactions of the sweeper: what a lost worker leaves behind is taken over or ended, and nothing waits for ever."""

from __future__ import annotations

from collections.abc import Sequence

from sessionry.domain import events as ev
from sessionry.domain.codec import decode_payload
from sessionry.domain.errors import Fenced
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.records import to_microseconds
from sessionry.domain.run import ErrorInfo, Run, Takeover
from sessionry.ports import Now, Steps
from sessionry.store.log import SessionLog, deadline_of, interrupt_tools, open_log_by_key, open_log_of_run
from sessionry.store.operations.leases import end_run
from sessionry.store.transaction import marks, reads, writes


@reads
def next_end() -> Steps[float | None]:
    """Seconds until the first of the leases ends that have not ended yet; None when there is none."""
    now = yield Now()
    found = yield "select min(expires_at) from sessionry_worker where expires_at >= ?", (now,)
    return None if found[0][0] is None else (found[0][0] - now) / 1_000_000


@reads
def orphans(dead_workers: Sequence[str], spared: Sequence[str] = ()) -> Steps[list[tuple[str, str]]]:
    """(run, worker) of the runs whose worker is not registered, has let its lease expire, or is in `dead_workers`.

    One in `spared` may still come back, and keeps its runs.
    """
    now = yield Now()
    dead = f" or w.id in ({marks(dead_workers)})" if dead_workers else ""
    kept = f" and r.worker not in ({marks(spared)})" if spared else ""
    found = yield (
        "select r.id, r.worker from sessionry_run r left join sessionry_worker w on w.id = r.worker"
        f" where r.worker is not null and (w.id is null or w.expires_at < ?{dead}){kept} order by r.key limit 1000",
        (now, *dead_workers, *spared),
    )
    return [(row[0], row[1]) for row in found]


@writes
def take_over(run_id: str, worker_id: str, reason: str) -> Steps[str | None]:
    """End or requeue a run that `worker_id` has lost, as its options say; what was done, None when nothing was to do.

    A run that somebody wanted cancelled is cancelled, one whose time is over gets its timeout. One that waits for a person
    is parked: it stays `waiting`, holds its place, and is requeued when the decision is there.
    """
    log = yield from open_log_of_run(run_id)
    run = log.run(run_id)
    if run.worker_id != worker_id or not run.live:
        return None
    return (yield from release(log, run, reason))


@writes
def give_back(run_id: str, fence: int, reason: str = "shutdown") -> Steps[str | None]:
    """The same by the worker itself, which works on it no more. Raises `Fenced`."""
    log = yield from open_log_of_run(run_id)
    run = log.run(run_id)
    if run.fence != fence or not run.live:
        raise Fenced(f"the lease {fence} on run {run_id} is over", run_id=run_id, fence=fence)
    return (yield from release(log, run, reason))


def release(log: SessionLog, run: Run, reason: str) -> Steps[str]:
    """Take the run from its worker under a new fence."""
    fence = yield from log.next_fence()
    action = yield from _action(log, run)
    worker_id = run.worker_id or "none"
    log.add(ev.WorkerLost(worker_id=worker_id, action=action, reason=reason), run_id=run.id, fence=fence)
    ending = _ending(run, action)
    if ending is not None:
        yield from end_run(log, run.id, ending, fence=fence, reason="worker_lost")
        return action
    yield from interrupt_tools(log, run.id, "worker_lost")
    if action == "requeued":
        log.add(ev.RunRequeued(reason=reason), run_id=run.id, fence=fence)
    yield from log.flush()
    yield from log.promote()
    return action


def _action(log: SessionLog, run: Run) -> Steps[str]:
    if run.cancel_request is not None:
        return "cancelled"
    deadline = deadline_of(run)
    if deadline is not None and deadline <= to_microseconds(log.now):
        return "timeout"
    waiting = run.status is RunStatus.WAITING
    if takeover_of(run, waiting=waiting) is Takeover.STOP:
        return "stopped"
    if waiting and (yield from _has_questions(log, run.id)):
        return "parked"
    return "requeued" if run.attempt < run.options.max_attempts else "stopped"


def takeover_of(run: Run, *, waiting: bool) -> Takeover:
    """The run's own choice, else its agent's, else the safe one."""
    agent = run.agent
    if waiting:
        return run.options.takeover_waiting or (agent and agent.takeover_waiting) or Takeover.RESTART
    return run.options.takeover or (agent and agent.takeover) or Takeover.STOP


def _has_questions(log: SessionLog, run_id: str) -> Steps[bool]:
    found = yield (
        "select 1 from sessionry_approval where run = ? and status = 'pending' limit 1",
        (log.run_keys[run_id],),
    )
    return bool(found)


def _ending(run: Run, action: str) -> ev.EventData | None:
    match action:
        case "cancelled":
            return ev.RunCancelled(reason=run.cancel_request.reason if run.cancel_request else None)
        case "timeout":
            return overdue_ending(run)
        case "stopped":
            return ev.RunFailed(error=_lost(run))
    return None


def _lost(run: Run) -> ErrorInfo:
    return ErrorInfo(
        code="worker_lost",
        message=f"the worker of attempt {run.attempt} was lost and the run is not to be started again; submit it anew",
        retryable=True,
        details={"attempt": run.attempt, "worker_id": run.worker_id, "max_attempts": run.options.max_attempts},
    )


def overdue_ending(run: Run) -> ev.RunTimeout:
    """The terminal event of a run whose `deadline` or `timeout` is over, naming the one that came first."""
    options = run.options
    deadline = to_microseconds(options.deadline) if options.deadline else None
    if deadline is not None and deadline_of(run) == deadline:
        return ev.RunTimeout(limit="deadline")
    return ev.RunTimeout(limit="timeout", seconds=options.timeout)


@reads
def overdue() -> Steps[list[str]]:
    """Runs without a worker whose time is over: queued past their deadline, or parked past their timeout."""
    now = yield Now()
    found = yield (
        "select id from sessionry_run where deadline_at is not null and deadline_at <= ? and worker is null limit 1000",
        (now,),
    )
    return [row[0] for row in found]


@writes
def end_overdue(run_id: str) -> Steps[bool]:
    """Append `run_timeout` to a run that nobody works on and whose time is over; false when it has changed meanwhile."""
    log = yield from open_log_of_run(run_id)
    run = log.run(run_id)
    deadline = deadline_of(run)
    if run.ended or run.worker_id is not None or deadline is None or deadline > to_microseconds(log.now):
        return False
    fence = yield from log.next_fence()
    yield from end_run(log, run_id, overdue_ending(run), fence=fence, reason="run_timeout")
    return True


@reads
def lost_heads() -> Steps[list[int]]:
    """Sessions that could go on but have no head marked: the trace of a lost wake."""
    found = yield (
        "select distinct r.session from sessionry_run r join sessionry_session s on s.key = r.session"
        " where r.status = 'pending' and r.ready = 0 and s.status = 'active' and s.deleted_at is null"
        " and not exists (select 1 from sessionry_run o"
        " where o.session = r.session and (o.ready = 1 or o.slot is not null)) limit 1000",
        (),
    )
    return [row[0] for row in found]


@writes
def promote_again(session_key: int) -> Steps[None]:
    """Find the session's heads anew."""
    log = yield from open_log_by_key(session_key)
    yield from log.promote()


@reads
def programs(run_ids: Sequence[str]) -> Steps[list[tuple[str, ev.AgentProcessStarted]]]:
    """(run, program) of what was started for these runs, of all attempts."""
    if not run_ids:
        return []
    found = yield (
        f"select r.id, e.type, e.data, e.schema from sessionry_run r join sessionry_event e on e.session = r.session"
        f" where r.id in ({marks(run_ids)}) and e.seq >= r.first_seq and e.run = r.key and e.type = ? order by e.position",
        (*run_ids, ev.AgentProcessStarted.type),
    )
    payloads = [(row[0], decode_payload(*row[1:])) for row in found]
    return [(run_id, data) for run_id, data in payloads if isinstance(data, ev.AgentProcessStarted)]


@writes
def forget_workers(grace: float) -> Steps[int]:
    """Remove workers whose lease is over for `grace` seconds and which have no runs left; how many."""
    now = yield Now()
    found = yield (
        "delete from sessionry_worker where expires_at < ?"
        " and not exists (select 1 from sessionry_run r where r.worker = sessionry_worker.id) returning id",
        (now - int(grace * 1_000_000),),
    )
    return len(found)
