"""Runs at work in a store, as a worker sees them: what the tests of the store append and read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.run import AgentFacts
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Appending, Delivery, Store
from sessionry.store.operations import leases, reading, runs, sessions
from sessionry.store.operations.leases import Lease

SCOPE = Scope()
LISTENS = AgentFacts(type="function", capabilities=["steer"])


class AtWork:
    """A run and its lease. `after` is the `seq` of the newest event that it has appended."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self.store = store
        self.session_id = lease.session.id
        self.run_id = lease.run.id
        self.fence = lease.fence
        self.after = lease.seq

    def saying(self, *texts: str) -> Appending:
        """The request to append messages."""
        return Appending(self.run_id, self.fence, self.after, [ev.MessageReceived(text=text) for text in texts])

    async def say(self, *texts: str) -> list[int]:
        return await self.append(self.saying(*texts))

    async def append(self, appending: Appending) -> list[int]:
        seqs = await self.store.append(appending)
        self.after = seqs[-1]
        return seqs

    async def finish(self) -> Event:
        return await self.store.execute(leases.finish(self.run_id, self.fence, ev.RunCompleted(text="done")))

    async def said(self) -> list[str]:
        """The messages of the run that are in the log."""
        return said(await log_of(self.store, self.session_id), self.run_id)


async def new_session(store: Store, **fields: object) -> str:
    session = Session.new(agent_id="echo", **fields)  # type: ignore[arg-type]  # a test says only what it is about
    return (await store.execute(sessions.create(SCOPE, session))).session_id


async def at_work(store: Store, session_id: str | None = None, *, worker: str = "wrk_test") -> AtWork:
    """A run that was submitted and begun, in a session of its own unless one is given."""
    session_id = session_id or await new_session(store)
    queued = await store.execute(runs.submit(SCOPE, session_id, runs.Submission(input="go")))
    assert queued.run_id is not None
    lease = await store.execute(leases.begin(Delivery(session_id, queued.run_id, 1), worker, LISTENS))
    assert lease is not None
    return AtWork(store, lease)


async def log_of(store: Store, session_id: str) -> list[Event]:
    """The whole log of a session, in pages."""
    log: list[Event] = []
    while page := await store.execute(
        reading.events(SCOPE, session_id, after=log[-1].seq if log else 0, limit=1000),
    ):
        log += page
    return log


def said(log: Sequence[Event], run_id: str) -> list[str]:
    return [
        event.data.text or "" for event in log if event.run_id == run_id and isinstance(event.data, ev.MessageReceived)
    ]


def open_files() -> list[str]:
    """What this process has open, by name."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself is gone again
            names.append(str(link.readlink()))
    return sorted(names)
