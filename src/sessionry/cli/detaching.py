"""Runs that go on when their terminal is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.missing import missed_by
from sessionry.domain.run import DEFAULT_QUEUE

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation
    from sessionry.cli.submitting import Order


async def detached(invocation: Invocation, order: Order, session: str | None, about: dict[str, Any]) -> int:
    """Queue the run and start a worker for its session, which ends when the session's queue is empty.

    No worker is started for what is sent to a named queue: it is for those that serve that one.
    """
    from sessionry.cli.running import submitted

    if invocation.settings.store.startswith("memory:"):
        raise click.UsageError("--detach needs a store that others can open; memory:// ends with this process")
    async with invocation.open_async(worker=False) as sessions:
        handle, run = await submitted(sessions, invocation.output, order, session, about)
        queued = await run.get()
        missed = await missed_by(sessions, handle)
    here = queued.options.queue == DEFAULT_QUEUE
    if here:
        start_worker(invocation, handle.id)
    if invocation.json:
        invocation.output.object(queued.to_dict())
        return 0
    invocation.output.line(run.id)
    where = "in the background" if here else f"where the queue {queued.options.queue!r} is served"
    invocation.output.note(f"goes on {where}; `sessionry watch {handle.id}` shows it")
    if missed is not None and not here:
        invocation.output.note(missed)
    return 0


def start_worker(invocation: Invocation, session_id: str) -> None:
    """A process of its own, which no terminal can take with it. The store's URL may hold a password: it goes unseen."""
    settings = invocation.settings
    environment = os.environ | {"SESSIONRY_STORE": settings.store, "SESSIONRY_TENANT": settings.tenant}
    for name, value in (("SESSIONRY_USER", settings.user), ("SESSIONRY_AGENTS", settings.agents)):
        if value is not None:
            environment[name] = str(value)
    subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-m", "sessionry", "worker", "--once", "--session", session_id],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
