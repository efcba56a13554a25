"""Tells who queues something when nobody is there to work on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sessionry.domain.run import DEFAULT_QUEUE

if TYPE_CHECKING:
    from sessionry.cli.output import Output
    from sessionry.domain.queries import Worker
    from sessionry.domain.run import Run
    from sessionry.runtime.handles import SessionHandle
    from sessionry.runtime.sessions import Sessions
    from sessionry.sync import SyncSessions

#: How many of the runs that wait in a session are looked at.
_MOST = 1000


def who_is_missed(workers: Iterable[Worker], pending: Iterable[Run]) -> str | None:
    """Which worker could be started for the runs that none of these takes; None when each has somebody."""
    alone = [run for run in pending if not any(worker.takes(run) for worker in workers)]
    if not alone:
        return None
    queue = alone[0].options.queue
    if queue == DEFAULT_QUEUE:
        return f"nobody works on it yet: `sessionry worker --once --session {alone[0].session_id}` does"
    return f"nobody with {alone[0].agent_id} serves the queue {queue!r} yet: `sessionry worker --queue {queue}` does"


def tell_who_is_missed(output: Output, sessions: SyncSessions, session_id: str) -> None:
    """A note when the session has a run in its queue that no worker takes."""
    pending = sessions.session(session_id).runs(status="pending", order="created", limit=_MOST).items
    if missed := who_is_missed(sessions.workers(), pending):
        output.note(missed)


async def missed_by(sessions: Sessions, session: SessionHandle) -> str | None:
    """The same for who is in an event loop: what there is to tell."""
    pending = (await session.runs(status="pending", order="created", limit=_MOST)).items
    return who_is_missed(await sessions.workers(), pending)
