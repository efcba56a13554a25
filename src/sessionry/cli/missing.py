"""Tells who queues something when nobody is there to work on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessionry.cli.output import Output
    from sessionry.sync import SyncSessions


def tell_who_is_missed(output: Output, sessions: SyncSessions, session_id: str) -> None:
    """A note when the session has a run in its queue and the store has no worker at all."""
    if any(worker.alive for worker in sessions.workers()):
        return
    if sessions.session(session_id).runs(status="pending", limit=1).items:
        output.note(f"nobody works on it yet: `sessionry worker --once --session {session_id}` does")
