"""Transactions of workers: register, claim a run, append under the claim, finish it, give it back.

A claim is a *fence*: a number that rises with every claim in the session. Whoever appends names the fence; when the run
carries another one by then, the append is refused with `Fenced` and the work must stop.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json, encode_payload
from sessionry.domain.deed import DeedType
from sessionry.domain.errors import Conflict, Fenced, InvalidInput, NotFound
from sessionry.domain.events import EVENT_TYPES, Event, EventData, checked
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.queries import Worker
from sessionry.domain.records import from_microseconds
from sessionry.domain.run import DEFAULT_QUEUE, AgentFacts, Run
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Appending, Delivery, Now, Steps, Wanted
from sessionry.store import rows
from sessionry.store.log import (
    IN_SCOPE,
    SessionLog,
    check_size,
    expire_approvals,
    interrupt_tools,
    open_log_by_key,
    open_log_of_run,
    scope_values,
)
from sessionry.store.operations.deeds import did
from sessionry.store.transaction import LOCK, marks, reads, writes

GLOBAL_SLOTS = "global_slots"

#: What only operations append: they keep the rows, the queue and the questions in step with it.
RESERVED = frozenset({*EVENT_TYPES.values(), ev.Unknown} - ev.AGENT_EVENTS - {ev.RunStalled, ev.FrameReceived})


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to work on a run. `seq` is that of its `run_started`, the first event under this fence."""

    run: Run
    session: Session
    scope: Scope
    fence: int
    seq: int


# --- workers ----------------------------------------------------------------------------------------------------------


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process, as it introduces itself."""

    worker_id: str
    host: str
    pid: int
    process_start: float
    boot_id: str
    slots: int
    agents: Sequence[str] = ()
    queues: Sequence[str] = (DEFAULT_QUEUE,)


@writes
def register(worker: Registration, lease: float) -> Steps[None]:
    """Enter a worker, or enter it again, with a lease of so many seconds."""
    now = yield Now()
    yield (
        "insert into sessionry_worker (id, host, pid, process_start, boot_id, started_at, expires_at, slots, agents,"
        " queues) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict (id) do update set expires_at = excluded.expires_at, agents = excluded.agents,"
        " queues = excluded.queues",
        (
            worker.worker_id,
            worker.host,
            worker.pid,
            worker.process_start,
            worker.boot_id,
            now,
            now + int(lease * 1_000_000),
            worker.slots,
            encode_json(list(worker.agents)),
            encode_json(list(worker.queues)),
        ),
    )


class Renewal(msgspec.Struct, frozen=True):
    """`known` is false when the worker was given up: its runs belong to others. `draining`: take no more runs.

    `runs` are those that it holds: it works on no other, and gives back what it does not work on.
    """

    known: bool
    draining: bool = False
    runs: tuple[str, ...] = ()


@writes
def renew(worker_id: str, lease: float) -> Steps[Renewal]:
    """The worker's heartbeat: its lease, and with it the lease of all its runs, begins anew."""
    now = yield Now()
    found = yield (
        "update sessionry_worker set expires_at = ? where id = ? returning draining",
        (now + int(lease * 1_000_000), worker_id),
    )
    held = yield "select id from sessionry_run where worker = ?", (worker_id,)
    return Renewal(known=bool(found), draining=bool(found and found[0][0]), runs=tuple(row[0] for row in held))


@writes
def leave(worker_id: str) -> Steps[None]:
    """The worker is gone. Its runs, if it has any left, are for the sweeper."""
    yield "delete from sessionry_worker where id = ?", (worker_id,)


@writes
def drain(worker_id: str) -> Steps[bool]:
    """A worker takes no more runs; false when there is none of that id."""
    return (yield from _drain(worker_id))


@writes
def ask_to_drain(scope: Scope, worker_id: str) -> Steps[bool]:
    """Somebody wants that a worker takes no more runs; false when there is none of that id."""
    found = yield from _drain(worker_id)
    if found:
        yield from did(scope, DeedType.WORKER_DRAINED, worker_id)
    return found


def _drain(worker_id: str) -> Steps[bool]:
    found = yield "update sessionry_worker set draining = 1 where id = ? returning 1", (worker_id,)
    return bool(found)


@reads
def workers(scope: Scope | None = None) -> Steps[list[tuple[Worker, str]]]:
    """All registered workers with the boot id of their machine. With a scope, only the runs in it are counted."""
    now = yield Now()
    found = yield (
        "select w.id, w.host, w.pid, w.process_start, w.started_at, w.expires_at, w.slots, w.agents, w.draining, w.boot_id,"
        " (select count(*) from sessionry_run r join sessionry_session s on s.key = r.session where r.worker = w.id"
        f" and {IN_SCOPE if scope else 'true'}), w.queues from sessionry_worker w order by w.started_at, w.id",
        scope_values(scope) if scope else (),
    )
    return [(_worker(row, now), row[9]) for row in found]


def _worker(row: rows.Row, now: int) -> Worker:
    return Worker(
        id=row[0],
        host=row[1],
        pid=row[2],
        process_start=row[3],
        started_at=from_microseconds(row[4]),
        expires_at=from_microseconds(row[5]),
        slots=row[6],
        agents=msgspec.json.decode(row[7]),
        draining=bool(row[8]),
        alive=row[5] > now,
        runs=row[10],
        queues=msgspec.json.decode(row[11]),
    )


# --- claims -----------------------------------------------------------------------------------------------------------


@reads
def ready(wanted: Wanted, limit: int) -> Steps[list[Delivery]]:
    """Runs of that kind at the head of their session's queue, first things first."""
    return (yield from _ready(wanted, limit))


@reads
def claimable(wanted: Wanted, limit: int) -> Steps[list[Delivery]]:
    """The same, but no more of them than may be live in the whole store besides those that are."""
    free = yield from _free_in_store()
    return (yield from _ready(wanted, limit if free is None else min(limit, free)))


def _ready(wanted: Wanted, limit: int) -> Steps[list[Delivery]]:
    if not wanted.agents or limit <= 0:
        return []
    queues = f" and r.queue in ({marks(wanted.queues)})" if wanted.queues else ""
    sessions = f" and s.id in ({marks(wanted.sessions)})" if wanted.sessions else ""
    found = yield (
        "select s.id, r.id, r.delivery + 1 from sessionry_run r join sessionry_session s on s.key = r.session"
        f" where r.ready = 1 and r.agent_id in ({marks(wanted.agents)}){queues}{sessions}"
        " order by r.priority desc, r.key limit ?",
        (*wanted.agents, *wanted.queues, *wanted.sessions, limit),
    )
    return [Delivery(*row) for row in found]


@reads
def room() -> Steps[int | None]:
    """How many more runs may be live in the whole store; None: as many as the workers take."""
    return (yield from _free_in_store())


@reads
def agent_of(run_id: str) -> Steps[str | None]:
    """Which agent the run is for; None when there is no such run."""
    found = yield "select agent_id from sessionry_run where id = ?", (run_id,)
    return found[0][0] if found else None


@writes
def begin(delivery: Delivery, worker_id: str, agent: AgentFacts) -> Steps[Lease | None]:
    """Claim the run under a new fence. None when there is nothing to do.

    That is: the run has ended, is not at the head of its queue, is at work already, or this delivery is not newer than the
    last one that was begun; or all slots of the whole store are taken. The same worker asking again after a lost answer
    gets the lease that it has.
    """
    found = yield "select session from sessionry_run where id = ?", (delivery.run_id,)
    if not found:
        return None
    log = yield from open_log_by_key(found[0][0])
    run = yield from log.load_run(delivery.run_id)
    claim = yield (
        "select r.ready, r.delivery, s.tenant, s.owner from sessionry_run r join sessionry_session s on s.key = r.session"
        " where r.id = ?",
        (run.id,),
    )
    is_ready, last_delivery, tenant, owner = claim[0]
    scope = Scope(tenant, owner)
    if run.live and run.worker_id == worker_id and last_delivery == delivery.number:
        own = yield from last_seq_under(log, run.fence)
        return Lease(run=run, session=log.session, scope=scope, fence=run.fence, seq=own)
    if not is_ready or run.status is not RunStatus.PENDING or delivery.number <= last_delivery:
        return None
    free = yield from _free_in_store(LOCK)
    if free is not None and free <= 0:
        return None
    log.slots[run.id] = yield from _free_slot(log)
    fence = yield from log.next_fence()
    started = log.add(
        ev.RunStarted(attempt=run.attempt + 1, worker_id=worker_id, agent=agent), run_id=run.id, fence=fence
    )
    yield from log.flush()
    yield "update sessionry_run set delivery = ? where id = ?", (delivery.number, run.id)
    return Lease(run=log.run(run.id), session=log.session, scope=scope, fence=fence, seq=started.seq)


def _free_slot(log: SessionLog) -> Steps[int]:
    taken = yield "select slot from sessionry_run where session = ? and slot is not null", (log.key,)
    used = {row[0] for row in taken}
    return next(slot for slot in range(1, len(used) + 2) if slot not in used)


def _free_in_store(lock: str = "") -> Steps[int | None]:
    """How many more runs may be live in the whole store; None: as many as the workers take."""
    limit = yield f"select value from sessionry_setting where name = ? {lock}", (GLOBAL_SLOTS,)
    if not limit:
        return None
    live = yield "select count(*) from sessionry_run where slot is not null", ()
    return int(limit[0][0]) - int(live[0][0])


@writes
def limit_store(slots: int | None) -> Steps[None]:
    """How many runs may be live in the whole store, over all processes; None: as many as the workers take."""
    if slots is None:
        yield "delete from sessionry_setting where name = ?", (GLOBAL_SLOTS,)
        return
    yield (
        "insert into sessionry_setting (name, value) values (?, ?)"
        " on conflict (name) do update set value = excluded.value",
        (GLOBAL_SLOTS, str(slots)),
    )


# --- under a claim ----------------------------------------------------------------------------------------------------


@writes
def append(appending: Appending) -> Steps[list[int]]:
    """Append events under a lease, folding those that change the run. See `ports.Store.append`."""
    for data in appending.events:
        refuse_reserved(data)
    log = yield from leased(appending.run_id, appending.fence)
    own = yield from last_seq_under(log, appending.fence)
    if own != appending.after:
        return (yield from repeated(log, appending))
    events = [log.add(data, run_id=appending.run_id, fence=appending.fence) for data in appending.events]
    yield from log.flush()
    return [event.seq for event in events]


def payload(data: EventData) -> tuple[str, str]:
    """(type, JSON) of an event that a lease holder may append. Raises `InvalidInput`, `payload_too_large`."""
    refuse_reserved(data)
    text = encode_payload(checked(data))
    check_size(data.type, text)
    return data.type, text


def refuse_reserved(data: EventData) -> None:
    """Raise `invalid_event_type` for what is not for lease holders to append."""
    if type(data) in RESERVED:
        raise InvalidInput(
            "invalid_event_type",
            f"a {data.type} event is written by Sessionry itself; an agent cannot append one",
            details={"type": data.type},
        )


def leased(run_id: str, fence: int) -> Steps[SessionLog]:
    """The log of a run whose lease this is. Raises `Fenced`."""
    try:
        log = yield from open_log_of_run(run_id)
    except NotFound:
        raise fenced(run_id, fence, 0, "gone") from None
    run = log.run(run_id)
    if run.fence != fence or not run.live:
        raise fenced(run_id, fence, run.fence, run.status)
    return log


def fenced(run_id: str, fence: int, newest: int, status: str) -> Fenced:
    return Fenced(
        f"the lease {fence} on run {run_id} is over: the run is {status} under lease {newest}",
        run_id=run_id,
        fence=fence,
        newest_fence=newest,
        status=str(status),
    )


def last_seq_under(log: SessionLog, fence: int) -> Steps[int]:
    """The `seq` of the newest event that was appended under this fence."""
    found = yield (
        "select seq from sessionry_event where session = ? and fence = ? order by seq desc limit 1",
        (log.key, fence),
    )
    return found[0][0] if found else 0


def repeated(log: SessionLog, appending: Appending) -> Steps[list[int]]:
    """The `seq`s of an append that had been committed when its answer was lost. Raises `stale_sequence` when it was not."""
    found = yield (
        "select seq, type from sessionry_event where session = ? and fence = ? and seq > ? order by seq",
        (log.key, appending.fence, appending.after),
    )
    if [row[1] for row in found] != [data.type for data in appending.events]:
        raise stale_sequence(appending)
    return [row[0] for row in found]


def stale_sequence(appending: Appending) -> Conflict:
    return Conflict(
        "stale_sequence",
        f"event {appending.after} is not the last one under lease {appending.fence} of run {appending.run_id}",
        details={"run_id": appending.run_id, "fence": appending.fence, "after": appending.after},
    )


@writes
def finish(run_id: str, fence: int, data: EventData) -> Steps[Event]:
    """End the run: its one terminal event, its open tool calls and questions closed, the next head woken. All or nothing.

    The same request again, after a lost answer, gives the event that is there. Raises `Fenced`.
    """
    if not isinstance(data, ev.RUN_ENDINGS):
        raise InvalidInput("invalid_event_type", f"a {data.type} event does not end a run", details={"type": data.type})
    log = yield from open_log_of_run(run_id)
    run = log.run(run_id)
    if run.ended and run.fence == fence:
        ending = yield from _ending_under(log, fence, data)
        if ending is not None:
            return ending
    if run.fence != fence or not run.live:
        raise fenced(run_id, fence, run.fence, run.status)
    event = yield from end_run(log, run_id, data, fence=fence, reason=data.type)
    return event


def _ending_under(log: SessionLog, fence: int, data: EventData) -> Steps[Event | None]:
    found = yield (
        f"select {rows.EVENT_COLUMNS} from sessionry_event e join sessionry_session s on s.key = e.session"
        " left join sessionry_run r on r.key = e.run where e.session = ? and e.fence = ? and e.type = ?"
        " order by e.seq desc limit 1",
        (log.key, fence, data.type),
    )
    return msgspec.structs.replace(rows.event_from_row(found[0]), position=0) if found else None


def end_run(log: SessionLog, run_id: str, data: EventData, *, fence: int, reason: str) -> Steps[Event]:
    """Append the terminal event with all that must come before it, then promote the next head."""
    yield from interrupt_tools(log, run_id, reason)
    yield from expire_approvals(log, run_id)
    if log.run(run_id).status is RunStatus.WAITING and isinstance(data, ev.RunCompleted):
        log.add(ev.RunResumed(), run_id=run_id, fence=fence)
    event = log.add(data, run_id=run_id, fence=fence)
    yield from log.flush()
    yield from log.promote()
    return event
