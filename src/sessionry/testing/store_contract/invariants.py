"""What is true of every log in every store, whatever happened to it: `check_log` looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sessionry.domain import events as ev
from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.events import Event
from sessionry.domain.fold import fold
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.domain.queries import RunFilter
from sessionry.domain.run import Run
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Store, Wanted
from sessionry.store.operations import approvals, leases, listing, reading, runs, sessions

_ANSWERS = {
    ev.ToolApprovalGranted: ApprovalStatus.GRANTED,
    ev.ToolApprovalDenied: ApprovalStatus.DENIED,
    ev.ApprovalExpired: ApprovalStatus.EXPIRED,
}


async def check_log(store: Store, scope: Scope, session_id: str) -> None:
    """Assert that the session's log is whole, and that its rows are what the log says.

    That is: no gap in `seq`; positions in the same order; stored session and runs equal to the fold of the log; exactly one
    terminal event for every run that ended, after which nothing comes; no tool call without an end in a run that nobody
    works on; attempts and fences that rise; nothing written under a fence that was over; one answer to a question at most;
    never more live runs than slots, and offered to workers are the first of the queue, as many as there are free slots.
    """
    log = await read_log(store, scope, session_id)
    assert [event.seq for event in log] == list(range(1, len(log) + 1)), "seq has a gap"
    assert await store.execute(reading.last_seq(scope, session_id)) == len(log)
    positions = [event.position for event in log]
    assert positions == sorted(set(positions)), "positions are not in the order of the log"
    assert positions[0] > 0
    assert len({event.id for event in log}) == len(log), "an event id occurs twice"
    folded, folded_runs = fold(log)
    assert await store.execute(sessions.get(scope, session_id, deleted=True)) == folded
    for run in folded_runs.values():
        assert await store.execute(runs.get(scope, run.id)) == run
        _check_run(run, [event for event in log if event.run_id == run.id])
    _check_slots(log)
    await _check_heads(store, folded, list(folded_runs.values()))
    if folded.deleted_at is None:
        stored = await _pages_of_runs(store, scope, session_id)
        assert {run.id: run for run in stored} == folded_runs
        await _check_answers(store, scope, session_id, log)


async def read_log(store: Store, scope: Scope, session_id: str) -> list[Event]:
    """All events of the session."""
    log: list[Event] = []
    while page := await store.execute(reading.events(scope, session_id, after=log[-1].seq if log else 0, limit=500)):
        log += page
    return log


async def _pages_of_runs(store: Store, scope: Scope, session_id: str) -> list[Run]:
    found: list[Run] = []
    cursor = None
    while True:
        asking = listing.list_runs(scope, RunFilter(session=session_id), limit=100, cursor=cursor)
        page = await store.execute(asking)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def _check_run(run: Run, log: Sequence[Event]) -> None:
    endings = [event for event in log if isinstance(event.data, ev.RUN_ENDINGS)]
    assert len(endings) == (1 if run.ended else 0), f"run {run.id} is {run.status} with {len(endings)} terminal events"
    if endings:
        assert log[-1] == endings[0], f"{log[-1].type} follows the end of run {run.id}"
    if not (run.live and run.worker_id):
        assert not _open_tools(log), f"a tool call of run {run.id} dangles"
    attempts = [event.data.attempt for event in log if isinstance(event.data, ev.RunStarted)]
    assert attempts == list(range(1, run.attempt + 1))
    _check_fences(log)


def _check_fences(log: Iterable[Event]) -> None:
    """New fences are higher, and nothing is written under any but the newest; commands have none."""
    newest = 0
    for event in log:
        if isinstance(event.data, ev.RunStarted) or (event.fence > newest and _takes_over(event)):
            assert event.fence > newest, f"{event.type} has fence {event.fence} after {newest}"
            newest = event.fence
        assert event.fence in (0, newest), f"event {event.seq} was written under fence {event.fence}, not {newest}"


def _takes_over(event: Event) -> bool:
    return isinstance(event.data, ev.WorkerLost | ev.RunTimeout)


def _open_tools(log: Iterable[Event]) -> set[str]:
    open_calls: set[str] = set()
    for event in log:
        if isinstance(event.data, ev.ToolCallStarted):
            open_calls.add(event.data.tool_call_id)
        elif isinstance(event.data, ev.ToolCallCompleted | ev.ToolCallFailed | ev.ToolCallInterrupted):
            open_calls.discard(event.data.tool_call_id)
    return open_calls


def _check_slots(log: Iterable[Event]) -> None:
    """Never more live runs than slots, as many as there were when a run began."""
    slots = 1
    live: set[str | None] = set()
    for event in log:
        match event.data:
            case ev.SessionCreated(slots=given) | ev.SessionUpdated(slots=int(given)):
                slots = given
            case ev.RunStarted():
                assert len(live) < slots, f"event {event.seq} begins a run without a free slot"
                live.add(event.run_id)
            case ev.RunRequeued() | ev.RunCompleted() | ev.RunFailed() | ev.RunCancelled() | ev.RunTimeout():
                live.discard(event.run_id)


async def _check_heads(store: Store, session: Session, queue: Sequence[Run]) -> None:
    """`queue` are the session's runs in the order in which they were queued."""
    free = session.slots - sum(run.live for run in queue)
    pending = sorted((run for run in queue if run.status is RunStatus.PENDING), key=lambda run: -run.priority)
    works = session.status is SessionStatus.ACTIVE and session.deleted_at is None
    heads = [run.id for run in pending[: max(free, 0)]] if works else []
    wanted = Wanted(agents=sorted({run.agent_id or "" for run in queue}), sessions=[session.id])
    assert [each.run_id for each in await store.execute(leases.ready(wanted, 1000))] == heads


async def _check_answers(store: Store, scope: Scope, session_id: str, log: Iterable[Event]) -> None:
    """Every question has its row, and the row says what the log says; a question is answered once at most."""
    said: dict[str, ApprovalStatus] = {}
    for event in log:
        if isinstance(event.data, ev.ToolApprovalRequested):
            said[event.data.approval_id] = ApprovalStatus.PENDING
        elif (status := _ANSWERS.get(type(event.data))) is not None:
            approval_id: str = event.data.approval_id  # type: ignore[attr-defined]  # all of _ANSWERS have it
            assert said[approval_id] is ApprovalStatus.PENDING, f"question {approval_id} was answered twice"
            said[approval_id] = status
    page = await store.execute(approvals.list_approvals(scope, status=[], session_id=session_id, limit=1000))
    assert {approval.id: approval.status for approval in page.items} == said
    for approval in page.items:
        run = await store.execute(runs.get(scope, approval.run_id))
        assert approval.status is not ApprovalStatus.PENDING or not run.ended, "a question of an ended run is open"
        assert run.status is not RunStatus.PENDING or run.attempt > 0
