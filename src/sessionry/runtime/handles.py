"""Handles: an id and the store that it lives in. They hold no state, cost nothing, and can be pickled.

A handle that was unpickled in another process finds the store again by its URL and scope, once that process has opened it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sessionry.domain import events as ev
from sessionry.domain.approval import Approval, approval_statuses
from sessionry.domain.errors import Conflict, Timeout
from sessionry.domain.events import Event, EventData
from sessionry.domain.json_values import Json, json_object
from sessionry.domain.queries import MAX_LIMIT, Page, RunFilter, is_wanted, known_types, page_limit
from sessionry.domain.records import invalid, optional_text, required_text, tag_list, waiting_time
from sessionry.domain.run import CancelMode, Continuation, ErrorInfo, OnStall, Run, Takeover
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.domain.transcript import Transcript, extend
from sessionry.runtime.results import RunResult
from sessionry.store.operations import approvals, listing, reading, runs, sessions

if TYPE_CHECKING:
    from sessionry.runtime.sessions import Sessions

Events = tuple[Event, ...]

#: The open stores of this process, for handles that come out of a pickle.
_OPEN: WeakSet[Sessions] = WeakSet()


def remember(owner: Sessions) -> None:
    _OPEN.add(owner)


def forget(owner: Sessions) -> None:
    _OPEN.discard(owner)


def _unpickled(kind: type[Any], id: str, url: str, scope: Scope, token: str) -> Any:
    """The handle, on the very store that it came from, if that is open here, else on one of the same URL."""
    here = [owner for owner in _OPEN if owner.process == os.getpid() and owner.scope == scope]
    same = [owner for owner in here if owner.token == token]
    others = [owner for owner in here if owner.store.url == url and not url.startswith("memory:")]
    for owner in (*same, *others):
        return kind(owner, id)
    raise Conflict(
        "invalid_operation", f"the store {url} is not open in this process; open it before you unpickle its handles"
    )


class Handle:
    """What all handles are: an id, and the `Sessions` that made it."""

    def __init__(self, owner: Sessions, id: str) -> None:
        self.id = id
        self._owner = owner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        owner = self._owner
        return _unpickled, (type(self), self.id, owner.store.url, owner.scope, owner.token)


class SessionHandle(Handle):
    """A session. Every method that changes it returns the events that it appended."""

    async def get(self, *, deleted: bool = False) -> Session:
        """The session as it is now. Raises `session_not_found`."""
        return await self._owner.execute(sessions.get(self._owner.scope, self.id, deleted=deleted))

    async def run(
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
    ) -> RunHandle:
        """Queue a run; it is durable when this returns, and not tied to this process.

        `timeout`, `idle_timeout` and `stall_after` in seconds; after that long a silence, `on_stall` says whether it is
        told only, or fails the run. `continuation` says how it goes on with the conversation; `takeover` what becomes of
        it when its worker is lost, and `takeover_waiting` the same when it waits for a person then. `require`
        names capabilities without which it does not begin, `prefer` those of which `run.lacking` tells the missing ones.
        `queue`: the run is for the workers that serve the queue of that name. `keep_raw`: what the
        agent's provider really sends is kept in the log as well. Raises `queue_full`, `agent_not_found`,
        `missing_required_capability`, `validation_error`; `invalid_operation` when the session has ended.
        """
        submission = await self._owner.submission(
            self.id,
            input,
            agent=agent,
            options={
                "timeout": timeout,
                "deadline": deadline,
                "idle_timeout": idle_timeout,
                "stall_after": stall_after,
                "on_stall": on_stall,
                "continuation": continuation,
                "takeover": takeover,
                "takeover_waiting": takeover_waiting,
                "max_attempts": max_attempts,
                "required_capabilities": require,
                "optional_capabilities": prefer,
                "queue": queue,
                "keep_raw": keep_raw,
            },
            priority=priority,
            metadata=metadata,
        )
        submitting = runs.submit(self._owner.scope, self.id, submission, idempotency_key=idempotency_key)
        appended = await self._owner.execute(submitting)
        assert appended.run_id is not None
        return RunHandle(self._owner, appended.run_id)

    async def start(self, *, idempotency_key: str | None = None) -> Events:
        """From pending to active. The first run does it by itself."""
        return await self._change(ev.SessionStarted(), idempotency_key)

    async def pause(self, reason: str | None = None, *, idempotency_key: str | None = None) -> Events:
        """Begin no more runs until `resume`. A run that is at work goes on to its end."""
        return await self._change(ev.SessionPaused(reason=optional_text(reason, "reason")), idempotency_key)

    async def resume(self, *, idempotency_key: str | None = None) -> Events:
        """Go on with the queue after a pause."""
        return await self._change(ev.SessionResumed(), idempotency_key)

    async def complete(self, *, idempotency_key: str | None = None) -> Events:
        """End the session well. Raises `invalid_operation` while runs are unfinished."""
        return await self._change(ev.SessionCompleted(), idempotency_key)

    async def cancel(
        self, reason: str | None = None, *, cascade: bool = True, idempotency_key: str | None = None
    ) -> Events:
        """End the session and cancel its runs; with `cascade` its descendants as well."""
        return await self._end(ev.SessionCancelled(reason=optional_text(reason, "reason")), cascade, idempotency_key)

    async def fail(
        self,
        message: str,
        *,
        code: str = "agent_failed",
        cascade: bool = True,
        idempotency_key: str | None = None,
    ) -> Events:
        """End the session as failed and cancel its runs."""
        error = ErrorInfo(code=code, message=required_text(message, "message"))
        return await self._end(ev.SessionFailed(error=error), cascade, idempotency_key)

    async def _change(self, data: EventData, key: str | None) -> Events:
        changing = sessions.change_status(self._owner.scope, self.id, data, idempotency_key=key)
        return (await self._owner.execute(changing)).events

    async def _end(self, data: EventData, cascade: bool, key: str | None) -> Events:
        ending = sessions.end(self._owner.scope, self.id, data, cascade=cascade, idempotency_key=key)
        return (await self._owner.execute(ending)).events

    async def update(
        self, *, if_version: int | None = None, idempotency_key: str | None = None, **changes: Any
    ) -> Events:
        """Replace `title`, `cwd`, `tags`, `metadata`, `context`, `slots` or `queue_limit`.

        Raises `stale_version` when the session is not at `if_version` any more, `validation_error` for a bad value.
        """
        updating = sessions.update(
            self._owner.scope,
            self.id,
            _checked_changes(changes),
            if_version=if_version,
            idempotency_key=idempotency_key,
        )
        return (await self._owner.execute(updating)).events

    async def delete(self, reason: str | None = None, *, idempotency_key: str | None = None) -> Events:
        """Hide the session. `restore` brings it back; `purge` removes it for ever."""
        deleting = sessions.delete(
            self._owner.scope, self.id, reason=optional_text(reason, "reason"), idempotency_key=idempotency_key
        )
        return (await self._owner.execute(deleting)).events

    async def restore(self, *, idempotency_key: str | None = None) -> Events:
        """Bring a deleted session back."""
        restoring = sessions.restore(self._owner.scope, self.id, idempotency_key=idempotency_key)
        return (await self._owner.execute(restoring)).events

    async def fork(
        self,
        seq: int | None = None,
        *,
        title: str | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
    ) -> SessionHandle:
        """A new session that goes on from this one as it was after its event `seq` (default: the newest one).

        It is a child of this one, which stays as it is; its agents know what was said until then. Raises
        `validation_error` for a `seq` that is not there, `already_exists`.
        """
        forking = sessions.fork(
            self._owner.scope,
            self.id,
            seq=seq,
            title=optional_text(title, "title"),
            id=id,
            idempotency_key=idempotency_key,
        )
        return SessionHandle(self._owner, (await self._owner.execute(forking)).session_id)

    async def purge(self) -> int:
        """Remove a deleted session for ever; how many events went with it."""
        return await self._owner.execute(sessions.purge(self._owner.scope, self.id))

    def events(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        types: str | Sequence[str] = (),
        run: str | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """The log in order, from the cursor `after` on; with `follow`, what comes later as well.

        What a fork goes on from has numbers up to 0 in it, and is read with a cursor below 0.
        Following ends when the session has ended and all its runs have; `limit` and `before` end it earlier.
        """
        return self._owner.logs.read(
            self.id, after=after, before=before, types=known_types(types), run_id=run, limit=limit, follow=follow
        )

    async def tail(self, limit: int = 100, *, before: int | None = None) -> list[Event]:
        """The newest events, in order: what a viewer opens first."""
        reading_ = reading.events(self._owner.scope, self.id, before=before, limit=page_limit(limit), newest=True)
        return await self._owner.execute(reading_)

    async def runs(
        self, *, status: str | Sequence[str] = (), order: str = "-created", limit: int = 50, cursor: str | None = None
    ) -> Page[Run]:
        """The session's runs, page by page."""
        filter = RunFilter(session=self.id, status=status)
        return await self._owner.execute(
            listing.list_runs(self._owner.scope, filter, order=order, limit=page_limit(limit), cursor=cursor)
        )

    async def tree(self) -> list[Session]:
        """The session and its descendants, parents before children."""
        return await self._owner.execute(sessions.tree(self._owner.scope, self.id))

    async def transcript(self) -> Transcript:
        """The conversation so far."""
        conversation = Transcript()
        page: list[Event] = []
        async for event in self.events(types=f"-{ev.FrameReceived.type}"):
            page.append(event)
            if len(page) == 1000:
                conversation, page = extend(conversation, page), []
        return extend(conversation, page)


def _checked_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `session_updated`, each checked. Raises `validation_error`."""
    checks: dict[str, Callable[[Any], Any]] = {
        "title": lambda value: optional_text(value, "title"),
        "cwd": lambda value: optional_text(value, "cwd"),
        "tags": tag_list,
        "metadata": lambda value: json_object(value, "metadata"),
        "context": lambda value: json_object(value, "context"),
        "slots": lambda value: _whole(value, "slots", 1),
        "queue_limit": lambda value: _whole(value, "queue_limit", 0),
    }
    if not changes:
        raise invalid("changes", f"must name at least one of {', '.join(checks)}")
    for name in changes:
        if name not in checks:
            raise invalid(name, f"cannot be updated; these can: {', '.join(checks)}")
    return {name: checks[name](value) for name, value in changes.items()}


def _whole(value: object, path: str, smallest: int) -> int:
    if type(value) is not int or value < smallest:
        raise invalid(path, f"must be a whole number of at least {smallest}, not {value!r}")
    return value


class RunHandle(Handle):
    """A run."""

    async def get(self) -> Run:
        """The run as it is now. Raises `run_not_found`."""
        return await self._owner.execute(runs.get(self._owner.scope, self.id))

    async def session(self) -> SessionHandle:
        """The session that the run belongs to."""
        return SessionHandle(self._owner, (await self.get()).session_id)

    async def events(
        self, *, after: int = 0, types: str | Sequence[str] = (), follow: bool = True
    ) -> AsyncGenerator[Event, None]:
        """The run's events from the cursor `after` on, up to and including its last; live while it works."""
        names = known_types(types)
        run = await self.get()
        log = self._owner.logs.read(run.session_id, after=after, run_id=self.id, follow=follow and not run.ended)
        async with aclosing(log):
            async for event in log:
                if is_wanted(event.type, names):
                    yield event
                if isinstance(event.data, ev.RUN_ENDINGS):
                    return

    async def result(self, timeout: float | None = None) -> RunResult:
        """Wait for the end. A failed run is a result, not an exception; raises `Timeout` after `timeout` seconds."""
        try:
            async with asyncio.timeout(waiting_time(timeout, "timeout")):
                return RunResult.of(await self._ended())
        except TimeoutError:
            raise Timeout(
                f"run {self.id} has not ended within {timeout} seconds; it goes on", run_id=self.id, seconds=timeout
            ) from None

    async def _ended(self) -> Run:
        run = await self.get()
        if run.ended:
            return run
        last = await self._owner.execute(reading.last_seq(self._owner.scope, run.session_id))
        async with aclosing(self._owner.logs.feed.follow(run.session_id, last)) as follower:
            while not (run := await self.get()).ended:
                async for event in follower:
                    if event.run_id == self.id and isinstance(event.data, ev.RUN_ENDINGS):
                        break
                else:
                    raise Conflict("invalid_operation", f"the store was closed while run {self.id} was waited for")
        return run

    async def cancel(
        self, mode: CancelMode | str = CancelMode.NOW, reason: str | None = None, *, idempotency_key: str | None = None
    ) -> Events:
        """Cancel the run: at once when it waits in the queue; its worker stops it otherwise, now or after the turn.

        Raises `invalid_transition` when it has ended.
        """
        try:
            request = ev.RunCancelRequested(mode=CancelMode(mode), reason=optional_text(reason, "reason"))
        except ValueError:
            raise invalid("mode", f"must be one of {', '.join(CancelMode)}, not {mode!r}") from None
        cancelling = runs.cancel(self._owner.scope, self.id, request, idempotency_key=idempotency_key)
        return (await self._owner.execute(cancelling)).events

    async def steer(self, text: str, *, idempotency_key: str | None = None) -> Events:
        """Say something to the agent while it works. Raises `capability_not_supported` when it cannot listen."""
        steering = runs.steer(self._owner.scope, self.id, required_text(text, "text"), idempotency_key=idempotency_key)
        return (await self._owner.execute(steering)).events

    async def approvals(self, *, status: str | Iterable[str] = ()) -> list[ApprovalHandle]:
        """The run's questions, oldest first."""
        wanted, found = approval_statuses(status), list[ApprovalHandle]()
        await self.get()
        while True:
            after = found[-1].id if found else None
            listing_ = approvals.list_approvals(
                self._owner.scope, status=wanted, run_id=self.id, limit=MAX_LIMIT, after=after
            )
            page = await self._owner.execute(listing_)
            found += [ApprovalHandle(self._owner, approval.id) for approval in page.items]
            if page.cursor is None:
                return found


class ApprovalHandle(Handle):
    """A question of an agent."""

    async def get(self) -> Approval:
        """The approval as it is now. Raises `approval_not_found`."""
        return await self._owner.execute(approvals.get(self._owner.scope, self.id))

    async def approve(
        self, by: str | None = None, note: str | None = None, *, idempotency_key: str | None = None
    ) -> Events:
        """Say yes. Raises `already_decided`: exactly one decision counts."""
        return await self._decide(True, by, note, idempotency_key)

    async def deny(
        self, by: str | None = None, note: str | None = None, *, idempotency_key: str | None = None
    ) -> Events:
        """Say no. Raises `already_decided`."""
        return await self._decide(False, by, note, idempotency_key)

    async def _decide(self, approved: bool, by: str | None, note: str | None, key: str | None) -> Events:
        deciding = approvals.decide(
            self._owner.scope,
            self.id,
            approved=approved,
            by=optional_text(by, "by"),
            note=optional_text(note, "note"),
            idempotency_key=key,
        )
        return (await self._owner.execute(deciding)).events
