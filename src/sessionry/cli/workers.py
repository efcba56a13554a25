"""Commands on who works on runs: workers, worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from sessionry.cli.identify import one_of
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.options import Address, Names, Seconds
from sessionry.cli.render import Column, age, by_status, duration, table
from sessionry.domain.records import utc_now
from sessionry.settings import MOST

if TYPE_CHECKING:
    from sessionry.cli.reading import Ask
    from sessionry.domain.queries import Worker

_WORKER_COLUMNS = (
    Column("WORKER"),
    Column("STATUS", look=by_status),
    Column("HOST", least=8),
    Column("PID", right=True),
    Column("RUNS", right=True),
    Column("LEASE"),
    Column("STARTED", extra=True),
    Column("QUEUES", least=8, extra=True),
    Column("AGENTS", least=10, extra=True),
)
#: Seconds between two looks whether a worker that drains is gone.
_LOOK = 0.2


@command()
@click.argument("what", type=click.Choice(["list", "drain"]), default="list")
@click.argument("names", metavar="[WORKER]...", nargs=-1)
@click.option("--wait", is_flag=True, help="Of drain: until they are gone.")
def workers(invocation: Invocation, what: str, names: Sequence[str], wait: bool) -> None:
    """List the processes that work on runs, or let some go.

    \b
    sessionry workers
    sessionry workers drain wrk_01a2 --wait

    RUNS is how many runs a worker has in hand, of how many at once; LEASE, how long it counts as alive without another
    sign of life. Who is told to drain takes no more runs, and leaves when those in hand have ended; a worker hears of it
    with its next sign of life.
    """
    if (what == "drain") != bool(names):
        raise click.UsageError(
            "say which: sessionry workers drain WORKER" if what == "drain" else "a list takes no ids"
        )
    return _drain(invocation, names, wait) if what == "drain" else _list(invocation)


def _list(invocation: Invocation) -> None:
    from sessionry.cli.reading import reading

    output = invocation.output
    with reading(invocation) as ask:
        found = _all(ask)
    if output.json:
        for worker in found:
            output.object(worker.to_dict())
        return None
    if not found:
        return output.note("no workers; `sessionry worker` is one, and so is every `sessionry run`")
    now = utc_now()
    rows = [
        (
            worker.id,
            _state(worker),
            worker.host,
            worker.pid,
            f"{worker.runs}/{worker.slots}",
            _rest(worker, now),
            age(worker.started_at, now),
            " ".join(worker.queues),
            " ".join(worker.agents),
        )
        for worker in found
    ]
    for line in table(_WORKER_COLUMNS, rows, width=output.width, style=output.style):
        output.line(line)
    return None


def _drain(invocation: Invocation, names: Sequence[str], wait: bool) -> None:
    from sessionry.store.operations import leases

    output = invocation.output
    with invocation.open() as sessions:
        known = {worker.id: worker for worker in _all(sessions.execute)}
        meant = [known[one_of(known, name, "worker")] for name in names]
        for worker in meant:
            sessions.execute(leases.ask_to_drain(invocation.scope, worker.id))
        ids = {worker.id for worker in meant}
        while wait and any(worker.alive for worker in _all(sessions.execute) if worker.id in ids):
            time.sleep(_LOOK)
    for worker in meant:
        output.object({"id": worker.id, "draining": True, "runs": worker.runs}) if output.json else output.line(
            worker.id
        )


def _all(ask: Ask) -> list[Worker]:
    from sessionry.store.operations import leases

    return [worker for worker, _ in ask(leases.workers())]


def _rest(worker: Worker, now: datetime) -> str:
    """How long it counts as alive, or has not."""
    seconds = (worker.expires_at - now).total_seconds()
    return f"{duration(seconds)} left" if seconds > 0 else f"over for {duration(-seconds)}"


def _state(worker: Worker) -> str:
    if not worker.alive:
        return "lost"
    return "draining" if worker.draining else "active"


@command()
@click.option("--slots", type=click.IntRange(1, MOST), help="How many runs at once; else what is set.")
@click.option("--once", is_flag=True, help="Until the queue is empty.")
@click.option("--agents", "work_with", type=Names(), metavar="ID,...", help="With these agents only; else all it has.")
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="Of this queue; may be repeated. Else default.")
@click.option("--session", "sessions", metavar="SESSION", multiple=True, help="Of this session only; may be repeated.")
@click.option(
    "--grace", type=Seconds(), help="Seconds for runs at work to end when it is to leave; else until they have."
)
@click.option(
    "--health", type=Address(), metavar="HOST:PORT", help="Tell how it is there: /healthz, /readyz, /metrics."
)
def worker(
    invocation: Invocation,
    slots: int | None,
    once: bool,
    work_with: Sequence[str] | None,
    queues: Sequence[str],
    sessions: Sequence[str],
    grace: float | None,
    health: tuple[str, int] | None,
) -> int:
    """Work on the runs that wait in the store.

    \b
    sessionry worker --agents claude,codex
    sessionry worker --queue gpu --queue default

    A run that was sent to a queue by its name is for the workers that serve it: those that have what it needs. Without
    --queue a worker serves the queue `default`, where the runs are that name none.

    SIGTERM or Ctrl-C, and `sessionry workers drain`: take no more and leave when those at work have ended, or --grace is
    over; what has not ended by then is given back, and a question to a person waits without it. A second signal
    gives them back at once.
    """
    invocation.stay_local()
    from sessionry.cli.asynchronous import run_async
    from sessionry.cli.serving import Serving

    serving = Serving(
        invocation, once=once, grace=grace, health=health, slots=slots, queues=queues, work_with=work_with
    )
    return run_async(invocation, serving.work(sessions), interrupted=serving.interrupted)
