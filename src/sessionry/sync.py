"""The blocking face of the library: the same names, on an event loop in a thread of its own.

    with sessionry.open_sync() as sessions:
        session = sessions.create("shell")
        run = session.run({"argv": ["git", "status"]})
        for event in run.events():
            print(event.seq, event.type)

Written by scripts/generate_sync.py from runtime/sessions.py, the handles and compose.py: change those, then run
`make docs`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sessionry.compose import Agents, open_sessions
from sessionry.domain.approval import Approval
from sessionry.domain.errors import Conflict
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json
from sessionry.domain.queries import Counts, Page, SessionSummary, Worker
from sessionry.domain.run import CancelMode, Continuation, OnStall, Run, Takeover
from sessionry.domain.scope import Scope
from sessionry.domain.session import DEFAULT_QUEUE_LIMIT, Session
from sessionry.domain.transcript import Transcript
from sessionry.domain.usage import UsageReport
from sessionry.domain.webhook import Notice, NoticeStatus, Webhook
from sessionry.ports import Operation
from sessionry.runtime.execution import CANCEL_GRACE
from sessionry.runtime.handles import ApprovalHandle, Events, RunHandle, SessionHandle
from sessionry.runtime.portal import Portal
from sessionry.runtime.results import RunResult
from sessionry.runtime.sessions import F, Sessions
from sessionry.runtime.sweeper import Recovery
from sessionry.runtime.webhook_handles import WebhookHandle
from sessionry.settings import Settings

T = TypeVar("T")


@contextmanager
def open_sync(
    url: str | None = None,
    *,
    scope: Scope | None = None,
    agents: Agents | None = None,
    worker: bool = True,
    slots: int | None = None,
    only: frozenset[str] | None = None,
    queues: Sequence[str] | None = None,
    work_with: Sequence[str] | None = None,
    grace: float | None = 30.0,
    cancel_grace: float = CANCEL_GRACE,
    notify: bool | None = None,
    settings: Settings | None = None,
) -> Generator[SyncSessions, None, None]:
    """Open a store and everything around it; on leaving, let go of it in the right order.

    `url`: `sqlite:///path`, `postgresql://...` or `memory://`; default: the setting. `agents`: a mapping of id -> agent
    or callable, or the path of an agents.toml, in addition to the built-in ones. `worker`: work on runs in this process,
    at most `slots` at once; with `only`, on those sessions alone; in the named `queues`, or the default one; with the
    agents that `work_with` names, or all. `grace`: seconds for which leaving waits for the runs that are at work here
    (None: until all have ended) before they are given back to the queue; leaving by an exception does not wait.
    `notify`: bring webhooks what they are owed, if no other process does; default: as `worker`.

    All of it works on an event loop in a thread of its own. Raises `invalid_operation` where an event loop runs already.
    """
    opening = open_sessions(
        url,
        scope=scope,
        agents=agents,
        worker=worker,
        slots=slots,
        only=only,
        queues=queues,
        work_with=work_with,
        grace=grace,
        cancel_grace=cancel_grace,
        notify=notify,
        settings=settings,
    )
    with Portal() as portal, portal.entered(opening) as sessions:
        blocking = SyncSessions(sessions, portal)
        yield blocking


@contextmanager
def connect_sync(url: str | None = None, *, token: str | None = None) -> Generator[SyncSessions, None, None]:
    """The sessions of a server, as `sessionry.connect` gives them, for code without an event loop."""
    from sessionry.client import connect  # it loads an HTTP client

    with Portal() as portal, portal.entered(connect(url, token=token)) as sessions:
        yield SyncSessions(sessions, portal)


#: The open stores of this process, for handles that come out of a pickle.
_OPEN: WeakValueDictionary[tuple[str, Scope], SyncSessions] = WeakValueDictionary()


def _unpickled(kind: type[Any], id: str, url: str, scope: Scope) -> Any:
    owner = _OPEN.get((url, scope))
    if owner is None:
        raise Conflict(
            "invalid_operation", f"the store {url} is not open in this process; open it before you unpickle its handles"
        )
    return kind(owner, id)


class _Handle:
    """What all handles are: an id, and the `SyncSessions` that made it."""

    def __init__(self, owner: SyncSessions, id: str) -> None:
        self.id = id
        self._owner = owner
        self._portal = owner._portal

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        sessions = self._owner._async
        return _unpickled, (type(self), self.id, sessions.store.url, sessions.scope)


class SyncSessions:
    """An open store in a scope. Made by `sessionry.open_sync`; usable from any thread until that is left."""

    def __init__(self, sessions: Sessions, portal: Portal) -> None:
        self._async = sessions
        self._portal = portal
        self.scope = sessions.scope
        self.catalog = sessions.catalog
        _OPEN[sessions.store.url, sessions.scope] = self

    def execute(self, operation: Operation[T]) -> T:
        """Run one of `sessionry.store.operations`. For extensions; the methods below do the usual things."""
        return self._portal.call(self._async.execute, operation)

    def create(
        self,
        agent_id: str | None = None,
        *,
        id: str | None = None,
        title: str | None = None,
        cwd: str | Path | None = None,
        tags: Iterable[str] = (),
        metadata: dict[str, Json] | None = None,
        context: dict[str, Json] | None = None,
        parent: str | SyncSessionHandle | None = None,
        slots: int = 1,
        queue_limit: int = DEFAULT_QUEUE_LIMIT,
        idempotency_key: str | None = None,
    ) -> SyncSessionHandle:
        """A new session for that agent (default: the catalog's). `cwd` is made absolute.

        Raises `validation_error`, `already_exists`; `session_not_found` for an unknown parent.
        """
        return SyncSessionHandle(
            self,
            self._portal.call(
                self._async.create,
                agent_id,
                id=id,
                title=title,
                cwd=cwd,
                tags=tags,
                metadata=metadata,
                context=context,
                parent=parent.id if isinstance(parent, SyncSessionHandle) else parent,
                slots=slots,
                queue_limit=queue_limit,
                idempotency_key=idempotency_key,
            ).id,
        )

    def session(self, id: str) -> SyncSessionHandle:
        """A handle. Nothing is read; an id that does not exist shows at the first use."""
        return SyncSessionHandle(self, self._async.session(id).id)

    def run(self, id: str) -> SyncRunHandle:
        """A handle to a run of any session."""
        return SyncRunHandle(self, self._async.run(id).id)

    def approval(self, id: str) -> SyncApprovalHandle:
        """A handle to an approval."""
        return SyncApprovalHandle(self, self._async.approval(id).id)

    def find(self, prefix: str) -> str:
        """The full id of the one session, run or approval that begins so. Raises `ambiguous_id` or `..._not_found`."""
        return self._portal.call(self._async.find, prefix)

    def list(
        self,
        *,
        status: str | Sequence[str] = (),
        activity: str | Sequence[str] = (),
        agent: str | None = None,
        tags: str | Sequence[str] = (),
        parent: str | None = None,
        text: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        include_deleted: bool = False,
        order: str = "-updated",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[SessionSummary]:
        """A page of sessions; `order` is created, -created, updated or -updated.

        `activity` is what goes on in them: needs_you, working, queued, idle or ended.
        """
        return self._portal.call(
            self._async.list,
            status=status,
            activity=activity,
            agent=agent,
            tags=tags,
            parent=parent,
            text=text,
            created_after=created_after,
            created_before=created_before,
            updated_after=updated_after,
            updated_before=updated_before,
            include_deleted=include_deleted,
            order=order,
            limit=limit,
            cursor=cursor,
        )

    def runs(
        self,
        *,
        session: str | None = None,
        status: str | Sequence[str] = (),
        agent: str | None = None,
        order: str = "-created",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """A page of runs of all sessions; `order` is created or -created."""
        return self._portal.call(
            self._async.runs, session=session, status=status, agent=agent, order=order, limit=limit, cursor=cursor
        )

    def approvals(
        self,
        *,
        session: str | None = None,
        status: str | Iterable[str] = ("pending",),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Sequence[SyncApprovalHandle]:
        """Questions, oldest first; by default those that wait for an answer. `cursor` is the id of the last one seen."""
        return [
            SyncApprovalHandle(self, handle.id)
            for handle in self._portal.call(
                self._async.approvals, session=session, status=status, limit=limit, cursor=cursor
            )
        ]

    def counts(self) -> Counts:
        """Sessions and runs by status, sessions by what goes on in them, and how many questions wait."""
        return self._portal.call(self._async.counts)

    def usage(
        self,
        by: str = "day",
        *,
        after: datetime | None = None,
        before: datetime | None = None,
        agent: str | None = None,
        model: str | None = None,
        session: str | None = None,
        limit: int = 100,
    ) -> UsageReport:
        """Tokens and money by day, agent, model or session, of the runs that started in that time, without `before`."""
        return self._portal.call(
            self._async.usage, by, after=after, before=before, agent=agent, model=model, session=session, limit=limit
        )

    def webhooks(self) -> Sequence[Webhook]:
        """The webhooks of the scope, oldest first."""
        return self._portal.call(self._async.webhooks)

    def webhook(self, id: str) -> SyncWebhookHandle:
        """A handle to a webhook."""
        return SyncWebhookHandle(self, self._async.webhook(id).id)

    def create_webhook(
        self, url: str, *, types: str | Sequence[str] = (), description: str | None = None
    ) -> tuple[Webhook, str]:
        """A webhook for what happens from now on, and its secret, which is told here and never again.

        `types`: event types, or `person_needed`; none: all events but pieces of messages.
        """
        return self._portal.call(self._async.create_webhook, url, types=types, description=description)

    def events(
        self, *, after: int = 0, types: str | Sequence[str] = (), follow: bool = False
    ) -> Generator[Event, None, None]:
        """The events of all sessions in the order of their commits; the cursor is `event.position`."""
        return self._portal.iterate(self._async.events, after=after, types=types, follow=follow)

    def agent(self, id: str, **options: Any) -> Callable[[F], F]:
        """Make an async callable or generator an agent of this store's worker: `@sessions.agent("echo")`."""
        return self._async.agent(id, **options)

    def workers(self) -> Sequence[Worker]:
        """The processes that work on runs."""
        return self._portal.call(self._async.workers)

    def limit_slots(self, slots: int | None) -> None:
        """How many runs may be live in the whole store, over all processes; None: as many as the workers take."""
        self._portal.call(self._async.limit_slots, slots)

    def recover(self) -> Recovery:
        """Take over or end what dead workers left behind. Opening a store does it too."""
        return self._portal.call(self._async.recover)

    def drain(self, timeout: float | None = None) -> bool:
        """Take no more runs in this process and wait for those at work; false after `timeout` seconds."""
        return self._portal.call(self._async.drain, timeout)


class SyncSessionHandle(_Handle):
    """A session. Every method that changes it returns the events that it appended."""

    def __init__(self, owner: SyncSessions, id: str) -> None:
        super().__init__(owner, id)
        self._async = SessionHandle(owner._async, id)

    def get(self, *, deleted: bool = False) -> Session:
        """The session as it is now. Raises `session_not_found`."""
        return self._portal.call(self._async.get, deleted=deleted)

    def run(
        self,
        input: Json,
        *,
        agent: str | None = None,
        timeout: float | None = None,
        deadline: datetime | None = None,
        idle_timeout: float | None = None,
        stall_after: float | None = None,
        on_stall: OnStall | str | None = None,
        continuation: Continuation | str | None = None,
        priority: int = 0,
        takeover: Takeover | str | None = None,
        takeover_waiting: Takeover | str | None = None,
        max_attempts: int = 3,
        metadata: Mapping[str, Json] | None = None,
        require: Sequence[str] = (),
        prefer: Sequence[str] = (),
        queue: str | None = None,
        keep_raw: bool = False,
        idempotency_key: str | None = None,
    ) -> SyncRunHandle:
        """Queue a run; it is durable when this returns, and not tied to this process.

        `timeout`, `idle_timeout` and `stall_after` in seconds; after that long a silence, `on_stall` says whether it is
        told only, or fails the run. `continuation` says how it goes on with the conversation; `takeover` what becomes of
        it when its worker is lost, and `takeover_waiting` the same when it waits for a person then. `require`
        names capabilities without which it does not begin, `prefer` those of which `run.lacking` tells the missing ones.
        `queue`: the run is for the workers that serve the queue of that name. `keep_raw`: what the
        agent's provider really sends is kept in the log as well. Raises `queue_full`, `agent_not_found`,
        `missing_required_capability`, `validation_error`; `invalid_operation` when the session has ended.
        """
        return SyncRunHandle(
            self._owner,
            self._portal.call(
                self._async.run,
                input,
                agent=agent,
                timeout=timeout,
                deadline=deadline,
                idle_timeout=idle_timeout,
                stall_after=stall_after,
                on_stall=on_stall,
                continuation=continuation,
                priority=priority,
                takeover=takeover,
                takeover_waiting=takeover_waiting,
                max_attempts=max_attempts,
                metadata=metadata,
                require=require,
                prefer=prefer,
                queue=queue,
                keep_raw=keep_raw,
                idempotency_key=idempotency_key,
            ).id,
        )

    def start(self, *, idempotency_key: str | None = None) -> Events:
        """From pending to active. The first run does it by itself."""
        return self._portal.call(self._async.start, idempotency_key=idempotency_key)

    def pause(self, reason: str | None = None, *, idempotency_key: str | None = None) -> Events:
        """Begin no more runs until `resume`. A run that is at work goes on to its end."""
        return self._portal.call(self._async.pause, reason, idempotency_key=idempotency_key)

    def resume(self, *, idempotency_key: str | None = None) -> Events:
        """Go on with the queue after a pause."""
        return self._portal.call(self._async.resume, idempotency_key=idempotency_key)

    def complete(self, *, idempotency_key: str | None = None) -> Events:
        """End the session well. Raises `invalid_operation` while runs are unfinished."""
        return self._portal.call(self._async.complete, idempotency_key=idempotency_key)

    def cancel(self, reason: str | None = None, *, cascade: bool = True, idempotency_key: str | None = None) -> Events:
        """End the session and cancel its runs; with `cascade` its descendants as well."""
        return self._portal.call(self._async.cancel, reason, cascade=cascade, idempotency_key=idempotency_key)

    def fail(
        self, message: str, *, code: str = "agent_failed", cascade: bool = True, idempotency_key: str | None = None
    ) -> Events:
        """End the session as failed and cancel its runs."""
        return self._portal.call(self._async.fail, message, code=code, cascade=cascade, idempotency_key=idempotency_key)

    def update(self, *, if_version: int | None = None, idempotency_key: str | None = None, **changes: Any) -> Events:
        """Replace `title`, `cwd`, `tags`, `metadata`, `context`, `slots` or `queue_limit`.

        Raises `stale_version` when the session is not at `if_version` any more, `validation_error` for a bad value.
        """
        return self._portal.call(self._async.update, if_version=if_version, idempotency_key=idempotency_key, **changes)

    def delete(self, reason: str | None = None, *, idempotency_key: str | None = None) -> Events:
        """Hide the session. `restore` brings it back; `purge` removes it for ever."""
        return self._portal.call(self._async.delete, reason, idempotency_key=idempotency_key)

    def restore(self, *, idempotency_key: str | None = None) -> Events:
        """Bring a deleted session back."""
        return self._portal.call(self._async.restore, idempotency_key=idempotency_key)

    def fork(
        self,
        seq: int | None = None,
        *,
        title: str | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
    ) -> SyncSessionHandle:
        """A new session that goes on from this one as it was after its event `seq` (default: the newest one).

        It is a child of this one, which stays as it is; its agents know what was said until then. Raises
        `validation_error` for a `seq` that is not there, `already_exists`.
        """
        return SyncSessionHandle(
            self._owner,
            self._portal.call(self._async.fork, seq, title=title, id=id, idempotency_key=idempotency_key).id,
        )

    def purge(self) -> int:
        """Remove a deleted session for ever; how many events went with it."""
        return self._portal.call(self._async.purge)

    def events(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        types: str | Sequence[str] = (),
        run: str | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> Generator[Event, None, None]:
        """The log in order, from the cursor `after` on; with `follow`, what comes later as well.

        What a fork goes on from has numbers up to 0 in it, and is read with a cursor below 0.
        Following ends when the session has ended and all its runs have; `limit` and `before` end it earlier.
        """
        return self._portal.iterate(
            self._async.events, after=after, before=before, types=types, run=run, limit=limit, follow=follow
        )

    def tail(self, limit: int = 100, *, before: int | None = None) -> list[Event]:
        """The newest events, in order: what a viewer opens first."""
        return self._portal.call(self._async.tail, limit, before=before)

    def runs(
        self, *, status: str | Sequence[str] = (), order: str = "-created", limit: int = 50, cursor: str | None = None
    ) -> Page[Run]:
        """The session's runs, page by page."""
        return self._portal.call(self._async.runs, status=status, order=order, limit=limit, cursor=cursor)

    def tree(self) -> list[Session]:
        """The session and its descendants, parents before children."""
        return self._portal.call(self._async.tree)

    def transcript(self) -> Transcript:
        """The conversation so far."""
        return self._portal.call(self._async.transcript)


class SyncRunHandle(_Handle):
    """A run."""

    def __init__(self, owner: SyncSessions, id: str) -> None:
        super().__init__(owner, id)
        self._async = RunHandle(owner._async, id)

    def get(self) -> Run:
        """The run as it is now. Raises `run_not_found`."""
        return self._portal.call(self._async.get)

    def session(self) -> SyncSessionHandle:
        """The session that the run belongs to."""
        return SyncSessionHandle(self._owner, self._portal.call(self._async.session).id)

    def events(
        self, *, after: int = 0, types: str | Sequence[str] = (), follow: bool = True
    ) -> Generator[Event, None, None]:
        """The run's events from the cursor `after` on, up to and including its last; live while it works."""
        return self._portal.iterate(self._async.events, after=after, types=types, follow=follow)

    def result(self, timeout: float | None = None) -> RunResult:
        """Wait for the end. A failed run is a result, not an exception; raises `Timeout` after `timeout` seconds."""
        return self._portal.call(self._async.result, timeout)

    def cancel(
        self, mode: CancelMode | str = CancelMode.NOW, reason: str | None = None, *, idempotency_key: str | None = None
    ) -> Events:
        """Cancel the run: at once when it waits in the queue; its worker stops it otherwise, now or after the turn.

        Raises `invalid_transition` when it has ended.
        """
        return self._portal.call(self._async.cancel, mode, reason, idempotency_key=idempotency_key)

    def steer(self, text: str, *, idempotency_key: str | None = None) -> Events:
        """Say something to the agent while it works. Raises `capability_not_supported` when it cannot listen."""
        return self._portal.call(self._async.steer, text, idempotency_key=idempotency_key)

    def approvals(self, *, status: str | Iterable[str] = ()) -> list[SyncApprovalHandle]:
        """The run's questions, oldest first."""
        return [
            SyncApprovalHandle(self._owner, handle.id)
            for handle in self._portal.call(self._async.approvals, status=status)
        ]


class SyncApprovalHandle(_Handle):
    """A question of an agent."""

    def __init__(self, owner: SyncSessions, id: str) -> None:
        super().__init__(owner, id)
        self._async = ApprovalHandle(owner._async, id)

    def get(self) -> Approval:
        """The approval as it is now. Raises `approval_not_found`."""
        return self._portal.call(self._async.get)

    def approve(self, by: str | None = None, note: str | None = None, *, idempotency_key: str | None = None) -> Events:
        """Say yes. Raises `already_decided`: exactly one decision counts."""
        return self._portal.call(self._async.approve, by, note, idempotency_key=idempotency_key)

    def deny(self, by: str | None = None, note: str | None = None, *, idempotency_key: str | None = None) -> Events:
        """Say no. Raises `already_decided`."""
        return self._portal.call(self._async.deny, by, note, idempotency_key=idempotency_key)


class SyncWebhookHandle(_Handle):
    """A webhook: an address that is told of events."""

    def __init__(self, owner: SyncSessions, id: str) -> None:
        super().__init__(owner, id)
        self._async = WebhookHandle(owner._async, id)

    def get(self) -> Webhook:
        """The webhook as it is now. Raises `webhook_not_found`."""
        return self._portal.call(self._async.get)

    def update(self, **changes: Any) -> Webhook:
        """Replace `url`, `types`, `description` or `enabled`. One that is enabled again goes on where it stopped."""
        return self._portal.call(self._async.update, **changes)

    def delete(self) -> Webhook:
        """Remove it, with what it has not taken yet."""
        return self._portal.call(self._async.delete)

    def notices(
        self, *, status: NoticeStatus | str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Notice]:
        """What it has not taken, oldest first: `pending`, or given up, which is `dead`."""
        return self._portal.call(self._async.notices, status=status, limit=limit, cursor=cursor)

    def retry(self, notice_id: str | None = None) -> int:
        """Let what was given up be tried again: one notice, or all; how many. Raises `notice_not_found`."""
        return self._portal.call(self._async.retry, notice_id)

    def replay(self, after: int) -> Webhook:
        """Tell it again of all that is in the log after the position; a later one than its own skips what is between."""
        return self._portal.call(self._async.replay, after)
