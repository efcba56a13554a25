"""Transactions that compare what is stored with what must hold, and put right what the log can put right.

The log is the truth: rows of sessions, runs and approvals are what the fold makes of it, so a row that says something else
is written anew. What is wrong with the log itself can only be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import Event, EventData
from sessionry.domain.fold import fold_run, fold_session
from sessionry.domain.records import to_microseconds
from sessionry.domain.run import Run
from sessionry.domain.session import Session
from sessionry.ports import Many, Steps
from sessionry.store import rows
from sessionry.store.log import SessionLog, clock, deadline_of
from sessionry.store.transaction import LOCK, marks, reads, writes

PAGE = 1000

_ANSWERS: dict[type[EventData], ApprovalStatus] = {
    ev.ToolApprovalRequested: ApprovalStatus.PENDING,
    ev.ToolApprovalGranted: ApprovalStatus.GRANTED,
    ev.ToolApprovalDenied: ApprovalStatus.DENIED,
    ev.ApprovalExpired: ApprovalStatus.EXPIRED,
}

#: (table, column, the table whose key it names). Events have no such rule in the database: they are written too often.
_REFERENCES = (
    ("event", "session", "session"),
    ("event", "run", "run"),
    ("run", "session", "session"),
    ("approval", "session", "session"),
    ("approval", "run", "run"),
    ("tag", "session", "session"),
    ("session", "parent", "session"),
)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it must be. `repairable`: it can be put right and nothing is lost.

    `kind`: damaged_file, damaged_event, damaged_row, broken_reference, impossible_log, missing_events, stale_row,
    open_tool_call, lost_worker or lost_head.
    """

    kind: str
    message: str
    session_id: str | None = None
    repairable: bool = False

    def __str__(self) -> str:
        return self.message


# --- the whole store --------------------------------------------------------------------------------------------------


@reads
def damaged_pages() -> Steps[list[Problem]]:
    """What SQLite finds wrong with the file, apart from what only a comparison of indexes and tables would show."""
    found = yield "pragma quick_check(20)", ()
    return [Problem(kind="damaged_file", message=row[0]) for row in found if row[0] != "ok"]


@reads
def broken_references() -> Steps[list[Problem]]:
    """Rows that name a row which is not there."""
    problems = []
    for table, column, target in _REFERENCES:
        found = yield (
            f"select distinct t.{column} from sessionry_{table} t left join sessionry_{target} o on o.key = t.{column}"
            f" where t.{column} is not null and o.key is null limit 20",
            (),
        )
        for (key,) in found:
            message = f"{table}s refer to {target} {key} in their column {column}, which is not there"
            problems.append(Problem(kind="broken_reference", message=message))
    return problems


@reads
def without_worker() -> Steps[list[Problem]]:
    """Runs at work whose worker is not registered. The sweeper of any process that has the store open deals with them."""
    found = yield (
        "select r.id, s.id, r.worker from sessionry_run r join sessionry_session s on s.key = r.session"
        " left join sessionry_worker w on w.id = r.worker"
        " where (r.worker is not null and w.id is null) or (r.status = 'running' and r.worker is null)"
        " order by r.key limit 1000",
        (),
    )
    return [
        Problem(
            kind="lost_worker", session_id=row[1], message=f"run {row[0]} is at work for {row[2]}, which is not there"
        )
        for row in found
    ]


@reads
def without_head(keys: Sequence[int]) -> Steps[list[Problem]]:
    """What it means that `recovery.lost_heads` found these sessions."""
    found = yield f"select id from sessionry_session where key in ({marks(keys)}) order by key", tuple(keys)
    return [
        Problem(
            kind="lost_head", message=f"runs of session {id} wait, and none is offered", session_id=id, repairable=True
        )
        for (id,) in found
    ]


@reads
def session_keys(after: int, limit: int) -> Steps[list[int]]:
    """The keys of sessions, in order."""
    found = yield "select key from sessionry_session where key > ? order by key limit ?", (after, limit)
    return [row[0] for row in found]


@reads
def newest_session_keys(limit: int) -> Steps[list[int]]:
    """The keys of the sessions that changed last."""
    found = yield "select key from sessionry_session order by updated_at desc, key desc limit ?", (limit,)
    return [row[0] for row in found]


# --- what a log says --------------------------------------------------------------------------------------------------


class _Told:
    """What a session's log says, event by event. `whole` is false when it cannot be read to its end."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.runs: dict[str, Run] = {}
        self.bounds: dict[str, tuple[int, int]] = {}
        self.open_calls: dict[str, dict[str, str]] = {}
        self.answers: dict[str, Event] = {}
        self.missing: list[tuple[int, int]] = []
        self.fence = 0
        self.last_seq = 0
        self.last_position = 0
        self.whole = True
        self.problems: list[Problem] = []

    def read(self, row: rows.Row) -> None:
        """From `EVENT_COLUMNS`. What cannot be read, or cannot follow on what was before, is a problem."""
        session_id, position, seq = row[0], row[2], row[3]
        if seq > self.last_seq + 1:
            self.missing.append((self.last_seq + 1, seq - 1))
        if position < self.last_position:
            message = (
                f"event {seq} of session {session_id} comes before event {self.last_seq} among those of all sessions"
            )
            self.problems.append(Problem(kind="impossible_log", message=message, session_id=session_id))
        self.last_seq, self.last_position = seq, position
        try:
            event = rows.event_from_row(row)
        except SessionryError as error:
            self._fail("damaged_event", error.message, session_id)
            return
        if not self.whole:
            return
        try:
            self._fold(event)
        except SessionryError as error:
            message = f"event {seq} of session {session_id} cannot follow on those before it: {error.message}"
            self._fail("impossible_log", message, session_id)

    def _fail(self, kind: str, message: str, session_id: str) -> None:
        self.whole = False
        self.problems.append(Problem(kind=kind, message=message, session_id=session_id))

    def _fold(self, event: Event) -> None:
        self.session = fold_session(self.session, event)
        self.fence = max(self.fence, event.fence)
        run_id = event.run_id or ""
        if not run_id and not event.type.startswith("run_"):
            return
        self.runs[run_id] = fold_run(self.runs.get(run_id), event)
        self.bounds[run_id] = (self.bounds.get(run_id, (event.seq, 0))[0], event.seq)
        match event.data:
            case ev.ToolCallStarted(tool_call_id=call_id, tool_name=tool_name):
                self.open_calls.setdefault(run_id, {})[call_id] = tool_name
            case ev.ToolCallCompleted() | ev.ToolCallFailed() | ev.ToolCallInterrupted():
                self.open_calls.get(run_id, {}).pop(event.data.tool_call_id, None)
            case ev.ToolApprovalRequested() | ev.ToolApprovalGranted() | ev.ToolApprovalDenied() | ev.ApprovalExpired():
                self.answers[event.data.approval_id] = event

    def dangling(self) -> Iterator[tuple[str, str, str]]:
        """(run, call, tool) of the calls that have no end, in runs that have."""
        for run_id, calls in self.open_calls.items():
            if self.runs[run_id].ended:
                for call_id, tool_name in calls.items():
                    yield run_id, call_id, tool_name


def _tell(key: int) -> Steps[_Told]:
    told = _Told()
    while True:
        found = yield (
            f"select {rows.EVENT_COLUMNS} from sessionry_event e join sessionry_session s on s.key = e.session"
            " left join sessionry_run r on r.key = e.run where e.session = ? and e.seq > ? order by e.seq limit ?",
            (key, told.last_seq, PAGE),
        )
        for row in found:
            told.read(row)
        if len(found) < PAGE:
            return told


# --- one session ------------------------------------------------------------------------------------------------------


@reads
def examine(key: int) -> Steps[list[Problem]]:
    """What is wrong with a session: its log, and its rows compared with the log. Nothing when it is gone by now."""
    found = yield f"select s.fence, {rows.SESSION_COLUMNS} from sessionry_session s where s.key = ?", (key,)
    if not found:
        return []
    fence, row = found[0][0], found[0][1:]
    session_id = str(row[0])
    told = yield from _tell(key)
    problems = [*told.problems, *(yield from _missing(key, session_id, told))]
    if told.session is None and told.whole:
        problems.append(
            Problem(kind="impossible_log", message=f"session {session_id} has no log", session_id=session_id)
        )
    if told.session is None or not told.whole:
        return [*problems, *_damaged_rows([row], rows.session_from_row)]
    stale = [*_differences("session", row, rows.session_from_row, told.session)]
    if fence < told.fence:
        stale.append(f"session {session_id} would give out lease {fence + 1} again, and its log has {told.fence}")
    stale += yield from _stale_tags(key, told.session)
    stale += yield from _stale_runs(key, told)
    stale += yield from _stale_approvals(key, told)
    problems += [Problem(kind="stale_row", message=text, session_id=session_id, repairable=True) for text in stale]
    problems += yield from _unknown_runs(key, session_id, told)
    for run_id, call_id, tool_name in told.dangling():
        message = f"run {run_id} has ended, and its call {call_id} of {tool_name} has not"
        problems.append(Problem(kind="open_tool_call", message=message, session_id=session_id, repairable=True))
    return problems


def _missing(key: int, session_id: str, told: _Told) -> Steps[list[Problem]]:
    """Events that are not there, and were not removed as pieces of whole messages of ended runs."""
    if not told.missing:
        return []
    pruned = yield (
        "select first_seq, last_seq from sessionry_run where session = ? and pruned = 1 order by first_seq",
        (key,),
    )
    problems = []
    for first, last in told.missing:
        if not _covered(first, last, pruned):
            some = f"events {first} to {last}" if last > first else f"event {first}"
            message = f"{some} of session {session_id}: not there, and not pruned"
            problems.append(Problem(kind="missing_events", message=message, session_id=session_id))
    return problems


def _covered(first: int, last: int, spans: Sequence[Sequence[int]]) -> bool:
    """Whether each number from `first` to `last` is inside one of the spans, which are in the order of their beginnings."""
    for begin, end in spans:
        if begin < first <= (end or 0):  # a run's first event is never a piece
            first = end + 1
    return first > last


def _damaged_rows(found: Sequence[rows.Row], reader: rows.Reader) -> list[Problem]:
    problems = []
    for row in found:
        try:
            reader(row)
        except SessionryError as error:
            problems.append(Problem(kind="damaged_row", message=error.message))
    return problems


def _differences(what: str, row: rows.Row, reader: rows.Reader, expected: msgspec.Struct) -> list[str]:
    """What the row says otherwise than the log."""
    try:
        stored = reader(row)
    except SessionryError as error:
        return [error.message]
    fields = [name for name in expected.__struct_fields__ if getattr(stored, name) != getattr(expected, name)]
    return [f"{what} {row[0]} differs from its log in {', '.join(fields)}"] if fields else []


def _stale_tags(key: int, session: Session) -> Steps[list[str]]:
    found = yield "select tag from sessionry_tag where session = ?", (key,)
    if {row[0] for row in found} == set(session.tags):
        return []
    return [f"session {session.id} is not found by its tags"]


def _stale_runs(key: int, told: _Told) -> Steps[list[str]]:
    found = yield (
        f"select r.first_seq, r.last_seq, r.deadline_at, {rows.RUN_COLUMNS} from sessionry_run r"
        " join sessionry_session s on s.key = r.session where r.session = ? order by r.key",
        (key,),
    )
    stale = []
    for first, last, deadline, *row in found:
        run = told.runs.get(row[0])
        if run is None:
            continue  # see `_unknown_runs`
        stale += _differences("run", row, rows.run_from_row, run)
        bounds = told.bounds[run.id]
        if first != bounds[0] or (last is not None) != run.ended or (last is not None and last < bounds[1]):
            stale.append(f"run {run.id} is looked for from {first} to {last}, and is from {bounds[0]} to {bounds[1]}")
        if deadline != deadline_of(run):
            stale.append(f"run {run.id} would not end when its time is over")
    return stale


def _unknown_runs(key: int, session_id: str, told: _Told) -> Steps[list[Problem]]:
    """Runs that the log does not know. Nothing says what they should be."""
    found = yield "select id from sessionry_run where session = ? order by key", (key,)
    messages = [f"run {row[0]} is not in the log of session {session_id}" for row in found if row[0] not in told.runs]
    return [Problem(kind="impossible_log", message=message, session_id=session_id) for message in messages]


def _stale_approvals(key: int, told: _Told) -> Steps[list[str]]:
    found = yield "select id, status from sessionry_approval where session = ? order by key", (key,)
    stale = []
    for approval_id, status in found:
        answer = told.answers.get(approval_id)
        if answer is not None and status != _ANSWERS[type(answer.data)]:
            stale.append(f"approval {approval_id} is {status}, and {_ANSWERS[type(answer.data)]} in the log")
    return stale


# --- repair -----------------------------------------------------------------------------------------------------------


@writes
def repair(key: int) -> Steps[bool]:
    """Write the session's rows as its log says, end what dangles, and find its heads. False when the log is not whole."""
    found = yield f"select s.key from sessionry_session s where s.key = ? {LOCK}", (key,)
    told = yield from _tell(key)
    if not found or told.session is None or not told.whole:
        return False
    yield from _repair_session(key, told, told.session)
    log = yield from _log(key, told, told.session)
    for run_id, call_id, tool_name in [*told.dangling()]:
        call = ev.ToolCallInterrupted(tool_call_id=call_id, tool_name=tool_name, reason="repaired")
        told.bounds[run_id] = (told.bounds[run_id][0], log.add(call, run_id=run_id).seq)
    yield from log.flush()
    yield from _repair_bounds(log, told)
    yield from _repair_approvals(told)
    yield from log.promote()
    return True


def _repair_session(key: int, told: _Told, session: Session) -> Steps[None]:
    """What no change of a session changes, and so no flush writes."""
    values = (session.agent_id, session.parent_session_id, to_microseconds(session.created_at))
    yield "update sessionry_session set agent_id = ?, parent_id = ?, created_at = ? where key = ?", (*values, key)
    yield "update sessionry_session set fence = ? where key = ? and fence < ?", (told.fence, key, told.fence)
    yield "delete from sessionry_tag where session = ?", (key,)
    if session.tags:
        yield Many("insert into sessionry_tag (tag, session) values (?, ?)", [(tag, key) for tag in session.tags])


def _log(key: int, told: _Told, session: Session) -> Steps[SessionLog]:
    """A log that will write every row anew. A run that holds a slot keeps it; one that should and does not gets another."""
    now = yield from clock()
    found = yield "select id, key, slot from sessionry_run where session = ?", (key,)
    log = SessionLog(session.id, session, key, told.last_seq + 1, now, None)
    log.rewrite(told.runs, {row[0]: row[1] for row in found})
    slots = {row[0]: row[2] for row in found if row[2] is not None}
    for run in told.runs.values():
        if run.live and run.id not in slots:
            slots[run.id] = next(slot for slot in range(1, len(slots) + 2) if slot not in slots.values())
    log.slots = {run_id: slot for run_id, slot in slots.items() if run_id in told.runs}
    return log


def _repair_bounds(log: SessionLog, told: _Told) -> Steps[None]:
    for run in told.runs.values():
        first, last = told.bounds[run.id]
        values = (first, last if run.ended else None, log.run_keys[run.id])
        yield "update sessionry_run set first_seq = ?, last_seq = ? where key = ?", values


def _repair_approvals(told: _Told) -> Steps[None]:
    for approval_id, event in told.answers.items():
        status = _ANSWERS[type(event.data)]
        pending = status is ApprovalStatus.PENDING
        values = (
            status.value,
            None if pending else to_microseconds(event.at),
            getattr(event.data, "by", None),
            getattr(event.data, "note", None),
        )
        yield (
            "update sessionry_approval set status = ?, decided_at = ?, decided_by = ?, note = ?"
            " where id = ? and status <> ?",
            (*values, approval_id, status.value),
        )
