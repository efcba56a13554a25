"""Commands on runs: runs, send, steer, cancel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.identify import find, kind_of
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.missing import tell_who_is_missed
from sessionry.cli.options import id_argument, session_argument
from sessionry.cli.paging import paging, show_listing
from sessionry.cli.submitting import input_of, known_agent, order_of, order_options, prompt_argument, with_advice
from sessionry.domain.errors import NotFound

if TYPE_CHECKING:
    from sessionry.domain.queries import Page
    from sessionry.domain.run import Run
    from sessionry.ports import Operation
    from sessionry.sync import SyncSessions


@command()
@session_argument(required=False)
@click.option("-s", "--status", multiple=True, help="Only in this status; may be repeated.")
@click.option("-a", "--agent", metavar="ID", help="Only of this agent.")
@click.option(
    "--order",
    type=click.Choice(["-created", "created"]),
    default="-created",
    show_default=True,
    help="A minus: the newest first.",
)
@paging
def runs(
    invocation: Invocation,
    session: str | None,
    status: Sequence[str],
    agent: str | None,
    order: str,
    limit: int,
    everything: bool,
) -> None:
    """List runs, the newest first.

    Of all sessions, or of one.
    """
    from sessionry.cli.details import run_table
    from sessionry.cli.reading import reading
    from sessionry.domain.queries import RunFilter
    from sessionry.store.operations import listing

    with reading(invocation) as ask:
        of = None if session is None else find(ask, invocation.scope, session, "session")
        filter = RunFilter(session=of, status=status, agent=agent)

        def page(limit: int, cursor: str | None) -> Operation[Page[Run]]:
            return listing.list_runs(invocation.scope, filter, order=order, limit=limit, cursor=cursor)

        def lines(found: list[Run]) -> Iterator[str]:
            return run_table(found, invocation.output, session=of is None)

        everything_or = None if everything else limit
        show_listing(
            invocation.output, ask, page, everything_or, lines=lines, empty="no runs; `sessionry run` makes one"
        )


@command()
@session_argument()
@prompt_argument
@order_options
def send(invocation: Invocation, session: str, words: Sequence[str], agent: str | None, **options: Any) -> None:
    """Queue another run in a session.

    Prints the run's id and does not wait. Whoever works on the session takes it when its turn has come: a `sessionry run`
    that is still there, or a `sessionry worker`. For the shell agent the words after -- are the command.
    """
    order, output = order_of(words, agent, options), invocation.output
    with invocation.open() as sessions:
        handle = sessions.session(find(sessions.execute, invocation.scope, session, "session"))
        known = known_agent(sessions.catalog, order.agent or handle.get().agent_id)
        try:
            run = handle.run(input_of(known, order), agent=order.agent, **order.options)
        except NotFound as error:
            raise with_advice(error, order.agent) from None
        if output.json:
            output.object(run.get().to_dict())
            return
        output.line(run.id)
        tell_who_is_missed(output, sessions, handle.id)


@command()
@id_argument("id", ["run", "session"])
@click.argument("words", metavar="TEXT...", nargs=-1, required=True)
def steer(invocation: Invocation, id: str, words: Sequence[str]) -> None:
    """Say something to an agent while it works.

    ID is a run, or a session with one run at work.
    """
    with invocation.open() as sessions:
        run_id = _run_at_work(sessions, find(sessions.execute, invocation.scope, id, "run", "session"))
        sessions.run(run_id).steer(" ".join(words))
        if invocation.json:
            invocation.output.object(sessions.run(run_id).get().to_dict())
        else:
            invocation.output.line(f"told {run_id}")


def _run_at_work(sessions: SyncSessions, id: str) -> str:
    from sessionry.domain.errors import Conflict, InvalidInput

    if kind_of(id) == "run":
        return id
    at_work = [run.id for run in sessions.session(id).runs(status=("running", "waiting")).items]
    if not at_work:
        raise Conflict("invalid_operation", f"session {id} has no run at work; `sessionry send` queues another run")
    if len(at_work) > 1:
        some = ", ".join(at_work)
        raise InvalidInput("ambiguous_id", f"session {id} has several runs at work; name one: {some}")
    return at_work[0]


@command()
@id_argument("id", ["run", "session"])
@click.option(
    "--mode",
    type=click.Choice(["now", "after_turn"]),
    default="now",
    show_default=True,
    help="Of a run: at once, or when its turn is over.",
)
@click.option("--reason", metavar="TEXT", help="Why; it is kept in the log.")
@click.option("--keep-children", is_flag=True, help="Of a session: do not cancel the sessions below it.")
def cancel(invocation: Invocation, id: str, mode: str, reason: str | None, keep_children: bool) -> None:
    """Cancel a run, or a session with all its runs.

    A run in the queue is cancelled here and now; one at work is stopped by its worker. A cancelled session takes no more
    runs.
    """
    with invocation.open() as sessions:
        id = find(sessions.execute, invocation.scope, id, "run", "session")
        handle: Any
        if kind_of(id) == "run":
            handle = sessions.run(id)
            handle.cancel(mode, reason)
        else:
            handle = sessions.session(id)
            handle.cancel(reason, cascade=not keep_children)
        now = handle.get()
        if invocation.json:
            invocation.output.object(now.to_dict())
        else:
            done = "cancelled" if now.status == "cancelled" else "its worker was asked to cancel"
            invocation.output.line(f"{done} {id}")
