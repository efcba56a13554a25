"""`Sessions`: everything that can be done with a store, in one scope."""

from __future__ import annotations

import asyncio
import copy
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sessionry.agents.catalog import Catalog, negotiate
from sessionry.agents.function import FunctionAgent
from sessionry.domain.approval import approval_statuses
from sessionry.domain.errors import Conflict, NotFound
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json, json_object
from sessionry.domain.queries import (
    Counts,
    Page,
    RunFilter,
    SessionFilter,
    SessionSummary,
    Worker,
    known_types,
    page_limit,
    place_in_log,
    several,
)
from sessionry.domain.records import convert, invalid, required_text, waiting_time
from sessionry.domain.run import Run, RunOptions
from sessionry.domain.scope import Acting, Scope
from sessionry.domain.session import DEFAULT_QUEUE_LIMIT, Session
from sessionry.domain.usage import UsageFilter, UsageReport, usage_by
from sessionry.domain.webhook import Webhook, new_webhook_secret
from sessionry.ports import Agent, Blobs, Bus, Operation, Store
from sessionry.runtime import worker as worker_
from sessionry.runtime.handles import ApprovalHandle, RunHandle, SessionHandle, remember
from sessionry.runtime.hub import Hub
from sessionry.runtime.logs import Logs
from sessionry.runtime.sweeper import Recovery, Sweeper
from sessionry.runtime.webhook_handles import WebhookHandle
from sessionry.store.operations import approvals as approval_operations
from sessionry.store.operations import leases, listing, usage
from sessionry.store.operations import runs as run_operations
from sessionry.store.operations import sessions as session_operations
from sessionry.store.operations import webhooks as webhook_operations

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Sessions:
    """An open store in a scope. Made by `sessionry.open`; usable from the event loop that opened it."""

    def __init__(
        self,
        store: Store,
        scope: Scope,
        catalog: Catalog,
        blobs: Blobs,
        bus: Bus,
        *,
        sweeper: Sweeper,
        worker: worker_.Worker | None = None,
        hub: Hub | None = None,
    ) -> None:
        self.store = store
        self.scope = scope
        self.catalog = catalog
        self.blobs = blobs
        self.worker = worker
        #: in this scope; for the handles and the server
        self.logs = Logs(self.execute, scope, bus, hub)
        self._bus = bus
        self._hub = hub
        #: tells this open store from every other one, in every process
        self.token = secrets.token_hex(8)
        #: the process that opened it: a forked child cannot use it
        self.process = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._sweeper = sweeper
        remember(self)

    def of(self, scope: Scope) -> Sessions:
        """The same open store in another scope. Whoever follows there ends it by `await other.logs.feed.close()`."""
        return Sessions(
            self.store,
            scope,
            self.catalog,
            self.blobs,
            self._bus,
            sweeper=self._sweeper,
            worker=self.worker,
            hub=self._hub,
        )

    def acting(self, actor: str | None, origin: str | None) -> Sessions:
        """The same, for somebody who acts in the same scope: the log keeps who it is, and from where."""
        other = copy.copy(self)
        other.scope = Acting(self.scope.tenant, self.scope.user, actor, origin)
        return other

    async def execute(self, operation: Operation[T]) -> T:
        """Run one of `sessionry.store.operations`. For extensions; the methods below do the usual things."""
        if os.getpid() != self.process:
            raise Conflict(
                "invalid_operation", f"{self.store.url} was opened before the fork; open it in the child again"
            )
        if asyncio.get_running_loop() is not self._loop:
            raise Conflict("invalid_operation", f"{self.store.url} was opened in another event loop; use it there")
        return await self.store.execute(operation)

    # --- sessions ---

    async def create(
        self,
        agent_id: str | None = None,
        *,
        id: str | None = None,
        title: str | None = None,
        cwd: str | Path | None = None,
        tags: Iterable[str] = (),
        metadata: dict[str, Json] | None = None,
        context: dict[str, Json] | None = None,
        parent: str | SessionHandle | None = None,
        slots: int = 1,
        queue_limit: int = DEFAULT_QUEUE_LIMIT,
        idempotency_key: str | None = None,
    ) -> SessionHandle:
        """A new session for that agent (default: the catalog's). `cwd` is made absolute.

        Raises `validation_error`, `already_exists`; `session_not_found` for an unknown parent.
        """
        parent_id = parent.id if isinstance(parent, SessionHandle) else parent
        session = Session.new(
            agent_id=self.catalog.default if agent_id is None else agent_id,
            id=id,
            parent_session_id=parent_id,
            title=title,
            cwd=None if cwd is None else _absolute(cwd),
            metadata=metadata,
            context=context,
            tags=tags,
            slots=slots,
            queue_limit=queue_limit,
        )
        creating = session_operations.create(self.scope, session, parent=parent_id, idempotency_key=idempotency_key)
        created = await self.execute(creating)
        if id is not None and created.session_id != id:
            raise Conflict(
                "idempotency_conflict",
                f"the idempotency key {idempotency_key!r} was used for another session; use a new key",
                details={"session_id": created.session_id},
            )
        return SessionHandle(self, created.session_id)

    def session(self, id: str) -> SessionHandle:
        """A handle. Nothing is read; an id that does not exist shows at the first use."""
        return SessionHandle(self, id)

    def run(self, id: str) -> RunHandle:
        """A handle to a run of any session."""
        return RunHandle(self, id)

    def approval(self, id: str) -> ApprovalHandle:
        """A handle to an approval."""
        return ApprovalHandle(self, id)

    async def find(self, prefix: str) -> str:
        """The full id of the one session, run or approval that begins so. Raises `ambiguous_id` or `..._not_found`."""
        return await self.execute(session_operations.find(self.scope, required_text(prefix, "prefix")))

    async def list(
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
        filter = SessionFilter(
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
        )
        asking = listing.list_sessions(self.scope, filter, order=order, limit=page_limit(limit), cursor=cursor)
        return await self.execute(asking)

    async def runs(
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
        filter = RunFilter(session=session, status=status, agent=agent)
        asking = listing.list_runs(self.scope, filter, order=order, limit=page_limit(limit), cursor=cursor)
        return await self.execute(asking)

    async def approvals(
        self,
        *,
        session: str | None = None,
        status: str | Iterable[str] = ("pending",),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Sequence[ApprovalHandle]:
        """Questions, oldest first; by default those that wait for an answer. `cursor` is the id of the last one seen."""
        asking = approval_operations.list_approvals(
            self.scope, status=approval_statuses(status), session_id=session, limit=page_limit(limit), after=cursor
        )
        return [ApprovalHandle(self, approval.id) for approval in (await self.execute(asking)).items]

    async def counts(self) -> Counts:
        """Sessions and runs by status, sessions by what goes on in them, and how many questions wait."""
        return await self.execute(listing.counts(self.scope))

    async def usage(
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
        filter = UsageFilter(after=after, before=before, agent=agent, model=model, session=session)
        return await self.execute(usage.used(self.scope, usage_by(by), filter, limit=page_limit(limit)))

    # --- webhooks ---

    async def webhooks(self) -> Sequence[Webhook]:
        """The webhooks of the scope, oldest first."""
        return await self.execute(webhook_operations.of_scope(self.scope))

    def webhook(self, id: str) -> WebhookHandle:
        """A handle to a webhook."""
        return WebhookHandle(self, id)

    async def create_webhook(
        self, url: str, *, types: str | Sequence[str] = (), description: str | None = None
    ) -> tuple[Webhook, str]:
        """A webhook for what happens from now on, and its secret, which is told here and never again.

        `types`: event types, or `person_needed`; none: all events but pieces of messages.
        """
        secret = new_webhook_secret()
        creating = webhook_operations.create(self.scope, url, secret, types=several(types), description=description)
        return await self.execute(creating), secret

    # --- the log ---

    def events(
        self, *, after: int = 0, types: str | Sequence[str] = (), follow: bool = False
    ) -> AsyncGenerator[Event, None]:
        """The events of all sessions in the order of their commits; the cursor is `event.position`."""
        return self.logs.all_events(place_in_log(after, "after"), known_types(types), follow=follow)

    # --- work ---

    def agent(self, id: str, **options: Any) -> Callable[[F], F]:
        """Make an async callable or generator an agent of this store's worker: `@sessions.agent("echo")`."""

        def register(function: F) -> F:
            self.catalog.add(id, FunctionAgent(id, function, **options))
            return function

        return register

    async def submission(
        self,
        session_id: str,
        input: Json,
        *,
        agent: str | None,
        options: dict[str, Any],
        priority: int,
        metadata: Mapping[str, Json] | None,
    ) -> run_operations.Submission:
        """A run as it will be queued: its input checked by its agent, its capabilities negotiated."""
        session = await self.session(session_id).get()
        agent_id = session.agent_id if agent is None else required_text(agent, "agent")
        checked = convert({name: value for name, value in options.items() if value is not None}, RunOptions, "options")
        known = self._known_agent(agent_id)
        if known is None:
            await self._require_worker_for(agent_id)
        else:
            input = known.check(input)
            negotiate(known, checked.required_capabilities)
        return run_operations.Submission(
            input=input,
            agent_id=agent_id,
            options=checked,
            priority=priority,
            metadata=json_object(dict(metadata) if isinstance(metadata, Mapping) else metadata or {}, "metadata"),
        )

    def _known_agent(self, agent_id: str) -> Agent | None:
        return self.catalog.agent(agent_id) if agent_id in self.catalog.ids() else None

    async def _require_worker_for(self, agent_id: str) -> None:
        """An agent that this process does not know must be known to a worker that is there."""
        if not any(agent_id in worker.agents for worker in await self.workers() if worker.alive):
            known = ", ".join(self.catalog.ids())
            raise NotFound(
                "agent_not_found",
                f"no agent {agent_id!r} is known here or to any worker; known are {known}",
                details={"agent_id": agent_id},
            )

    async def workers(self) -> Sequence[Worker]:
        """The processes that work on runs."""
        return [worker for worker, _ in await self.execute(leases.workers(self.scope))]

    async def limit_slots(self, slots: int | None) -> None:
        """How many runs may be live in the whole store, over all processes; None: as many as the workers take."""
        if slots is not None and (type(slots) is not int or slots < 1):
            raise invalid("slots", f"must be a whole number of at least 1, or None, not {slots!r}")
        await self.execute(leases.limit_store(slots))

    async def recover(self) -> Recovery:
        """Take over or end what dead workers left behind. Opening a store does it too."""
        return await self._sweeper.sweep()

    async def drain(self, timeout: float | None = None) -> bool:
        """Take no more runs in this process and wait for those at work; false after `timeout` seconds."""
        patience = waiting_time(timeout, "timeout")
        return True if self.worker is None else await self.worker.drain(patience)


def _absolute(path: str | Path) -> str:
    if not isinstance(path, str | Path):
        raise invalid("cwd", f"must be a path, not {type(path).__name__}")
    try:
        return str(Path(path).expanduser().absolute())
    except (OSError, RuntimeError) as error:  # our own directory is gone, or there is no such home
        raise invalid("cwd", f"cannot be made absolute: {error}; give a full path") from None
