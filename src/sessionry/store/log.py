"""One session's log inside one transaction: events go in, the fold says what they change, all is written together.

`open_log` locks the session first, as every write does, so that two writers of one session wait for each other and never
deadlock. The next `seq` is read from the log itself, under that lock: there is no counter that could go stale.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.errors import Conflict, Exhausted, InvalidInput, NotFound
from sessionry.domain.events import Event, EventData, checked
from sessionry.domain.fold import fold_run, fold_session
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.domain.queries import Appended
from sessionry.domain.records import from_microseconds, required_text, to_microseconds
from sessionry.domain.run import Run
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Many, Now, Rest, Steps, Touched, Wake
from sessionry.store import rows
from sessionry.store.transaction import LOCK, marks

#: Bytes of JSON that one event may have. More belongs into the blob store.
MAX_EVENT_BYTES = 4 * 1024 * 1024

#: The same request always makes the same bytes, in whatever order its fields came.
_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="string")

#: Who may see a row: of the session `s`, or of a table that has no session. A tenant sees what its users have.
IN_SCOPE = "s.tenant = ? and (cast(? as text) is null or s.owner = ?)"
OWNED = "tenant = ? and (cast(? as text) is null or owner = ?)"


def scope_values(scope: Scope) -> tuple[Any, ...]:
    """The parameters of `IN_SCOPE` and of `OWNED`."""
    return (scope.tenant, scope.user, scope.user)


class SessionLog:
    """The log of one locked session: `add` events, then `flush`.

    `add` folds each event at once and raises, before anything is written, when it does not fit. Written rows are always
    what the fold made: nothing else sets a status.
    """

    def __init__(
        self,
        session_id: str,
        session: Session | None,
        key: int | None,
        next_seq: int,
        now: datetime,
        scope: Scope | None,
    ) -> None:
        self.session_id = session_id
        self._session = self._stored_session = session
        self.key = key
        self.next_seq = next_seq
        self.now = now
        self.actor, self.origin = scope.signature if scope else (None, None)
        self.runs: dict[str, Run] = {}
        self.run_keys: dict[str, int] = {}
        #: the slot that a run takes when it is next written
        self.slots: dict[str, int] = {}
        self.events: list[Event] = []
        self._flushed = 0
        self._stored_runs: dict[str, Run] = {}

    @property
    def session(self) -> Session:
        assert self._session is not None, "a log begins with session_created"
        return self._session

    def add(self, data: EventData, *, run_id: str | None = None, fence: int = 0, actor: str | None = None) -> Event:
        """The next event of the log, folded into the session and the run. Raises what the fold raises."""
        event = Event(
            id=ids.new_id(ids.EVENT),
            session_id=self.session_id,
            at=self.now,
            data=checked(data),
            seq=self.next_seq,
            run_id=run_id,
            fence=fence,
            actor=self.actor or actor,
            origin=self.origin,
        )
        session = fold_session(self._session, event)
        if run_id is not None:
            self.runs[run_id] = fold_run(self.runs.get(run_id), event)
        self._session = session
        self.next_seq += 1
        self.events.append(event)
        return event

    def run(self, run_id: str) -> Run:
        return self.runs[run_id]

    def load_run(self, run_id: str) -> Steps[Run]:
        """The run of this session. Raises `run_not_found`."""
        found = yield (
            f"select r.key, {rows.RUN_COLUMNS} from sessionry_run r join sessionry_session s on s.key = r.session"
            " where r.id = ? and r.session = ?",
            (run_id, self.key),
        )
        if not found:
            raise run_not_found(run_id)
        self._keep(found[0])
        return self.runs[run_id]

    def load_unfinished_runs(self) -> Steps[list[Run]]:
        """The session's runs that have not ended, in the order of the queue."""
        found = yield (
            f"select r.key, {rows.RUN_COLUMNS} from sessionry_run r join sessionry_session s on s.key = r.session"
            " where r.session = ? and r.status in ('pending', 'running', 'waiting') order by r.priority desc, r.key",
            (self.key,),
        )
        for row in found:
            self._keep(row)
        return [self.runs[row[1]] for row in found]

    def inserted(self, key: int) -> None:
        """The session's row was just made, under that key."""
        self.key = key
        self._stored_session = self._session

    def _keep(self, row: rows.Row) -> None:
        run = rows.run_from_row(row[1:])
        self.run_keys[run.id] = row[0]
        self.runs[run.id] = self._stored_runs[run.id] = run

    def rewrite(self, runs: dict[str, Run], run_keys: dict[str, int]) -> None:
        """Let the next flush write every row, whatever is in it now."""
        self._stored_session, self._stored_runs = None, {}
        self.runs, self.run_keys = dict(runs), run_keys

    def flush(self) -> Steps[None]:
        """Write what was added since the last flush: rows first, then events, then say that the session was touched."""
        yield from self._write_session()
        new = self.events[self._flushed :]
        grown = {event.run_id for event in new}
        for run_id, run in self.runs.items():
            if self._stored_runs.get(run_id) != run or (run.ended and run_id in grown):
                yield from self._write_run(run)
        if new:
            yield Many(rows.INSERT_EVENT, [self._event_values(event) for event in new])
            self._flushed = len(self.events)
            if self.origin is not None:
                yield (
                    "update sessionry_event set origin = ? where session = ? and seq >= ?",
                    (self.origin, self.key, new[0].seq),
                )
        assert self.key is not None
        yield Touched(self.session.id, self.key)

    def _event_values(self, event: Event) -> tuple[Any, ...]:
        assert self.key is not None
        values = rows.event_values(event, self.key, self.run_keys[event.run_id] if event.run_id else None)
        check_size(event.type, values[-1])
        return values

    def _write_session(self) -> Steps[None]:
        if self.session == self._stored_session:
            return
        values = rows.session_values(self.session)
        sets = ", ".join(f"{name} = ?" for name in values)
        yield f"update sessionry_session set {sets} where key = ?", (*values.values(), self.key)
        self._stored_session = self.session

    def _write_run(self, run: Run) -> Steps[None]:
        values = rows.run_values(run)
        if not run.live:
            values["slot"] = None
        elif run.id in self.slots:
            values["slot"] = self.slots[run.id]
        if run.status is not RunStatus.PENDING:
            values["ready"] = 0
        values["deadline_at"] = deadline_of(run)
        values["last_seq"] = self.next_seq - 1 if run.ended else None
        if run.id in self.run_keys:
            sets = ", ".join(f"{name} = ?" for name in values)
            yield f"update sessionry_run set {sets} where key = ?", (*values.values(), self.run_keys[run.id])
        else:
            values |= {"id": run.id, "session": self.key, "first_seq": self._first_seq(run.id)}
            found = yield (
                f"insert into sessionry_run ({', '.join(values)}) values ({marks(list(values))}) returning key",
                tuple(values.values()),
            )
            self.run_keys[run.id] = found[0][0]
        before = self._stored_runs.get(run.id)
        if before is not None and before.status is RunStatus.PENDING is not run.status:
            yield Rest(run.id)
        self._stored_runs[run.id] = run

    def _first_seq(self, run_id: str) -> int:
        """Where the run begins in the log: nothing of it has to be looked for before."""
        return next(event.seq for event in self.events if event.run_id == run_id)

    def next_fence(self) -> Steps[int]:
        """A new lease of this session: every earlier holder of one of its runs is fenced once that run carries it."""
        found = yield "update sessionry_session set fence = fence + 1 where key = ? returning fence", (self.key,)
        fence: int = found[0][0]
        return fence

    def promote(self) -> Steps[None]:
        """Mark the runs at the head of the queue, as many as there are free slots, and wake the newly marked ones."""
        heads: list[rows.Row] = []
        if self.session.status is SessionStatus.ACTIVE and self.session.deleted_at is None:
            live = yield "select count(*) from sessionry_run where session = ? and slot is not null", (self.key,)
            free = self.session.slots - live[0][0]
            if free > 0:
                heads = yield (
                    "select key, id, agent_id, queue, priority, delivery + 1, ready from sessionry_run"
                    " where session = ? and status = 'pending' order by priority desc, key limit ?",
                    (self.key, free),
                )
        keys = [row[0] for row in heads]
        beyond = f" and key not in ({marks(keys)})" if keys else ""
        overtaken = yield (
            "update sessionry_run set ready = 0 where session = ? and status = 'pending' and ready = 1"
            f"{beyond} returning id",
            (self.key, *keys),
        )
        for (run_id,) in overtaken:
            yield Rest(run_id)
        for key, *wake, ready in heads:
            if not ready:
                yield "update sessionry_run set ready = 1 where key = ?", (key,)
                yield Wake(self.session.id, *wake)

    def appended(self, **fields: Any) -> Appended:
        return Appended(session_id=self.session.id, events=tuple(self.events), **fields)


def check_size(type: str, payload: str) -> None:
    """Raise `payload_too_large` when the payload is over `MAX_EVENT_BYTES`."""
    if len(payload) > MAX_EVENT_BYTES or (
        len(payload) * 4 > MAX_EVENT_BYTES and len(payload.encode()) > MAX_EVENT_BYTES
    ):
        raise Exhausted(
            "payload_too_large",
            f"a {type} event of {len(payload):,} characters is over the limit of {MAX_EVENT_BYTES:,} bytes;"
            " keep it as an artifact and store its hash",
            details={"limit": MAX_EVENT_BYTES, "type": type},
        )


def deadline_of(run: Run) -> int | None:
    """The moment at which the run's time is over, by its deadline or its timeout; None when it may take for ever."""
    if run.ended:
        return None
    moments = [to_microseconds(run.options.deadline)] if run.options.deadline else []
    if run.options.timeout is not None and run.started_at is not None:
        moments.append(to_microseconds(run.started_at) + int(run.options.timeout * 1_000_000))
    return min(moments, default=None)


def clock() -> Steps[datetime]:
    micros = yield Now()
    return from_microseconds(micros)


def open_log(scope: Scope, session_id: str, *, deleted: bool = False) -> Steps[SessionLog]:
    """Lock the session and open its log. Raises `session_not_found`, also for a deleted one unless `deleted`."""
    found = yield (
        f"select s.key, {rows.SESSION_COLUMNS} from sessionry_session s where s.id = ? and {IN_SCOPE} {LOCK}",
        (session_id, *scope_values(scope)),
    )
    if not found or (found[0][rows.SESSION_WIDTH - 1] is not None and not deleted):
        raise session_not_found(session_id)
    return (yield from _opened(found[0], scope))


def open_log_by_key(key: int, scope: Scope | None = None) -> Steps[SessionLog]:
    """Lock the session of that key, which an earlier statement of this transaction found."""
    found = yield f"select s.key, {rows.SESSION_COLUMNS} from sessionry_session s where s.key = ? {LOCK}", (key,)
    if not found:
        raise session_not_found(str(key))
    return (yield from _opened(found[0], scope))


def open_log_of_run(run_id: str) -> Steps[SessionLog]:
    """Lock the session of a run, for its worker. Raises `run_not_found`."""
    found = yield "select session from sessionry_run where id = ?", (run_id,)
    if not found:
        raise run_not_found(run_id)
    log = yield from open_log_by_key(found[0][0])
    yield from log.load_run(run_id)
    return log


def _opened(row: rows.Row, scope: Scope | None) -> Steps[SessionLog]:
    now = yield from clock()
    newest = yield "select max(seq) from sessionry_event where session = ?", (row[0],)
    session = rows.session_from_row(row[1:])
    return SessionLog(session.id, session, row[0], (newest[0][0] or 0) + 1, now, scope)


def idempotently(scope: Scope, key: str | None, request: Any, work: Steps[Appended]) -> Steps[Appended]:
    """Do `work` once for each `key` of the scope; the same key again gives what was appended then.

    Raises `idempotency_conflict` when the key was used for another request.
    """
    if key is None:
        return (yield from work)
    owned_key = (scope.tenant, scope.user or "", required_text(key, "idempotency_key"))
    digest = _digest(request)
    now = yield Now()
    mine = yield (
        "insert into sessionry_idempotency (tenant, owner, key, digest, result, created_at) values (?, ?, ?, ?, '', ?)"
        " on conflict (tenant, owner, key) do nothing returning 1",
        (*owned_key, digest, now),
    )
    if not mine:
        return (yield from _earlier(owned_key, digest))
    appended = yield from work
    result = {
        "session": appended.session_id,
        "run": appended.run_id,
        "approval": appended.approval_id,
        "seqs": [event.seq for event in appended.events if event.session_id == appended.session_id],
    }
    yield (
        "update sessionry_idempotency set result = ? where tenant = ? and owner = ? and key = ?",
        (encode_json(result), *owned_key),
    )
    return appended


def _digest(request: Any) -> str:
    import hashlib  # slow to load, and who only looks needs none

    try:
        return hashlib.sha256(_canonical.encode(request)).hexdigest()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput("validation_error", f"the request holds what JSON cannot: {error}") from None


def _earlier(owned_key: tuple[str, str, str], digest: str) -> Steps[Appended]:
    found = yield (
        "select digest, result from sessionry_idempotency where tenant = ? and owner = ? and key = ?",
        owned_key,
    )
    if found[0][0] != digest:
        raise Conflict(
            "idempotency_conflict",
            f"the idempotency key {owned_key[-1]!r} was used for another request; use a new key",
            details={"idempotency_key": owned_key[-1]},
        )
    result = decode_json(found[0][1])
    events = []
    for seq in result["seqs"]:
        row = yield (
            f"select {rows.EVENT_COLUMNS} from sessionry_event e join sessionry_session s on s.key = e.session"
            " left join sessionry_run r on r.key = e.run where s.id = ? and e.seq = ?",
            (result["session"], seq),
        )
        events += [msgspec.structs.replace(rows.event_from_row(found), position=0) for found in row]
    return Appended(
        session_id=result["session"], run_id=result["run"], approval_id=result["approval"], events=tuple(events)
    )


def remember_gone(session_key: int | None, position: int | None) -> Steps[None]:
    """Events of the session up to that position are being removed: who reads from below it will miss something."""
    if position is not None:
        yield (
            "insert into sessionry_gone (tenant, owner, position)"
            " select tenant, coalesce(owner, ''), ? from sessionry_session where key = ? on conflict (tenant, owner)"
            " do update set position = excluded.position where sessionry_gone.position < excluded.position",
            (position, session_key),
        )


def expire_approvals(log: SessionLog, run_id: str) -> Steps[None]:
    """The open questions of a run that ends: nobody will read an answer any more."""
    open_questions = yield (
        "update sessionry_approval set status = 'expired', decided_at = ? where run = ? and status = 'pending'"
        " returning id, tool_name",
        (to_microseconds(log.now), log.run_keys[run_id]),
    )
    for approval_id, tool_name in open_questions:
        log.add(ev.ApprovalExpired(approval_id=approval_id, tool_name=tool_name), run_id=run_id)


def interrupt_tools(log: SessionLog, run_id: str, reason: str) -> Steps[None]:
    """No tool call dangles: every started one of the run that has no end gets `tool_call_interrupted`."""
    found = yield (
        "select type, data from sessionry_event where session = ? and run = ?"
        " and seq >= (select first_seq from sessionry_run where key = ?)"
        " and type in ('tool_call_started', 'tool_call_completed', 'tool_call_failed', 'tool_call_interrupted')"
        " order by seq",
        (log.key, log.run_keys[run_id], log.run_keys[run_id]),
    )
    for call_id, tool_name in open_tools(found).items():
        log.add(ev.ToolCallInterrupted(tool_call_id=call_id, tool_name=tool_name, reason=reason), run_id=run_id)


def open_tools(found: list[tuple[Any, ...]]) -> dict[str, str]:
    """Id -> tool name of the calls that were started and have no end, from (type, payload) in order."""
    started: dict[str, str] = {}
    for type, text in found:
        fields = decode_json(text)
        if type == ev.ToolCallStarted.type:
            started[fields["tool_call_id"]] = fields["tool_name"]
        else:
            started.pop(fields["tool_call_id"], None)
    return started


def session_not_found(session_id: str) -> NotFound:
    return NotFound("session_not_found", f"there is no session {session_id}", details={"session_id": session_id})


def run_not_found(run_id: str) -> NotFound:
    return NotFound("run_not_found", f"there is no run {run_id}", details={"run_id": run_id})
