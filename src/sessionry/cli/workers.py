"""Commands on who works on runs: workers, worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.options import Names
from sessionry.cli.render import Column, age, by_status, table

if TYPE_CHECKING:
    from sessionry.domain.queries import Worker

_WORKER_COLUMNS = (
    Column("WORKER"),
    Column("STATUS", look=by_status),
    Column("HOST", least=8),
    Column("PID", right=True),
    Column("RUNS", right=True),
    Column("AGENTS", least=10, extra=True),
    Column("STARTED", extra=True),
)


@command()
def workers(invocation: Invocation) -> None:
    """List the processes that work on runs."""
    from sessionry.cli.reading import reading
    from sessionry.store.operations import leases

    output = invocation.output
    with reading(invocation) as ask:
        found = [worker for worker, _ in ask(leases.workers())]
    if output.json:
        for worker in found:
            output.object(worker.to_dict())
        return None
    if not found:
        return output.note("no workers; `sessionry worker` is one, and so is every `sessionry run`")
    rows = [
        (
            worker.id,
            _state(worker),
            worker.host,
            worker.pid,
            f"{worker.runs}/{worker.slots}",
            " ".join(worker.agents),
            age(worker.started_at),
        )
        for worker in found
    ]
    for line in table(_WORKER_COLUMNS, rows, width=output.width, style=output.style):
        output.line(line)
    return None


def _state(worker: Worker) -> str:
    if not worker.alive:
        return "lost"
    return "draining" if worker.draining else "active"


@command()
@click.option("--slots", type=click.IntRange(1), help="How many runs at once; else what is set.")
@click.option("--once", is_flag=True, help="Until the queue is empty.")
@click.option("--agents", "work_with", type=Names(), metavar="ID,...", help="With these agents only; else all it has.")
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="Of this queue; may be repeated. Else default.")
@click.option("--session", "sessions", metavar="SESSION", multiple=True, help="Of this session only; may be repeated.")
def worker(
    invocation: Invocation,
    slots: int | None,
    once: bool,
    work_with: Sequence[str] | None,
    queues: Sequence[str],
    sessions: Sequence[str],
) -> int:
    """Work on the runs that wait in the store.

    \b
    sessionry worker --agents claude,codex
    sessionry worker --queue gpu --queue default

    A run that was sent to a queue by its name is for the workers that serve it: those that have what it needs. Without
    --queue a worker serves the queue `default`, where the runs are that name none.

    SIGTERM or Ctrl-C: take no more and leave when those at work have ended. A second one gives them back and leaves.
    """
    invocation.stay_local()
    from sessionry.cli.asynchronous import run_async
    from sessionry.cli.serving import Serving

    serving = Serving(invocation, once=once, slots=slots, queues=queues, work_with=work_with)
    return run_async(invocation, serving.work(sessions), interrupted=serving.interrupted)
