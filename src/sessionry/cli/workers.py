"""Commands on agents and on who works on runs: agents, workers, worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.render import Column, age, by_status, one_line, table

if TYPE_CHECKING:
    from sessionry.agents.catalog import Catalog
    from sessionry.domain.queries import Worker

_AGENT_COLUMNS = (
    Column("AGENT"),
    Column("TYPE"),
    Column("CAN", least=16),
    Column("FROM", least=10, extra=True),
)


@command()
def agents(invocation: Invocation) -> None:
    """List the agents of the catalog.

    A star marks the one that is taken when none is named. An agent that cannot be made is listed with the reason.
    """
    from sessionry.agents.catalog import Catalog

    settings = invocation.settings
    catalog = Catalog.load(settings.agents, default=settings.default_agent)
    found = [_agent(catalog, id) for id in catalog.ids()]
    output = invocation.output
    if output.json:
        for agent in found:
            output.object(agent)
        return
    rows = [
        (
            agent["id"] + (" *" if agent["default"] else ""),
            agent["type"],
            agent["error"] or " ".join(agent["capabilities"]),
            agent["source"] or "built in",
        )
        for agent in found
    ]
    for line in table(_AGENT_COLUMNS, rows, width=output.width, style=output.style):
        output.line(line)


def _agent(catalog: Catalog, id: str) -> dict[str, Any]:
    from sessionry.domain.errors import SessionryError

    entry = catalog.entry(id)
    capabilities: list[str] = []
    error = None
    try:
        capabilities = list(map(str, catalog.agent(id).facts.capabilities))
    except SessionryError as problem:
        error = one_line(problem.message)
    return {
        "id": id,
        "type": entry.type,
        "default": id == catalog.default,
        "capabilities": capabilities,
        "options": entry.options,
        "source": str(entry.source) if entry.source else None,
        "error": error,
    }


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
@click.option("--session", "sessions", metavar="SESSION", multiple=True, help="Of this session only; may be repeated.")
def worker(invocation: Invocation, slots: int | None, once: bool, sessions: Sequence[str]) -> int:
    """Work on the runs that wait in the store.

    SIGTERM or Ctrl-C: take no more and leave when those at work have ended. A second one gives them back and leaves.
    """
    from sessionry.cli.asynchronous import run_async
    from sessionry.cli.serving import Serving

    serving = Serving(invocation, slots, once)
    return run_async(invocation, serving.work(sessions), interrupted=serving.interrupted)
