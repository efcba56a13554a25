"""Commands that look at sessions: ls, show, tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.options import When, id_argument, session_argument
from sessionry.cli.paging import paging, show_listing
from sessionry.cli.render import Column, age, by_status, one_line, short_ids, table

if TYPE_CHECKING:
    from sessionry.cli.reading import Ask
    from sessionry.domain.queries import Page, SessionSummary
    from sessionry.domain.session import Session
    from sessionry.ports import Operation

_COLUMNS = (
    Column("SESSION"),
    Column("STATUS", look=by_status),
    Column("NOW", least=7, look=by_status),
    Column("AGENT", least=8, extra=True),
    Column("TITLE", least=12),
    Column("UPDATED", extra=True),
    Column("RUNS", right=True, extra=True),
    Column("TAGS", least=6, extra=True),
)


@command()
@click.option("-s", "--status", multiple=True, help="Only in this status; may be repeated.")
@click.option("-a", "--agent", metavar="ID", help="Only of this agent.")
@click.option("-t", "--tag", "tags", metavar="TAG", multiple=True, help="Only with this tag; with all of several.")
@click.option("--parent", metavar="SESSION", help="Only children of this session.")
@click.option("--text", help="Only with this text in the title.")
@click.option("--created-after", type=When(), help="A time, or how long ago: 2h, 3d.")
@click.option("--created-before", type=When())
@click.option("--updated-after", type=When())
@click.option("--updated-before", type=When())
@click.option("--deleted", is_flag=True, help="Those that were removed as well.")
@click.option(
    "--order",
    type=click.Choice(["-updated", "updated", "-created", "created"]),
    default="-updated",
    show_default=True,
    help="A minus: the newest first.",
)
@click.option("--counts", is_flag=True, help="Only how many sessions and runs there are, by status.")
@paging
def ls(
    invocation: Invocation,
    parent: str | None,
    deleted: bool,
    counts: bool,
    order: str,
    limit: int,
    everything: bool,
    **filters: Any,
) -> None:
    """List sessions, the latest first.

    NOW tells what a session is doing: running, waiting for an answer of yours, or how many runs wait in its queue.
    """
    from sessionry.cli.reading import reading
    from sessionry.domain.queries import SessionFilter
    from sessionry.store.operations import listing

    with reading(invocation) as ask:
        if counts:
            _show_counts(invocation, ask)
            return
        if parent is not None:
            from sessionry.cli.identify import find

            parent = find(ask, invocation.scope, parent, "session")
        filter = SessionFilter(parent=parent, include_deleted=deleted, **filters)

        def page(limit: int, cursor: str | None) -> Operation[Page[SessionSummary]]:
            return listing.list_sessions(invocation.scope, filter, order=order, limit=limit, cursor=cursor)

        def lines(found: list[SessionSummary]) -> Iterator[str]:
            return _table(invocation, found)

        show_listing(
            invocation.output,
            ask,
            page,
            None if everything else limit,
            lines=lines,
            empty="no sessions; `sessionry run` begins one",
        )


def _table(invocation: Invocation, found: list[SessionSummary]) -> Iterator[str]:
    ids = short_ids(summary.session.id for summary in found)
    rows = [
        (
            ids[session.id],
            "deleted" if session.deleted_at else session.status,
            _now(summary),
            session.agent_id,
            session.title or "",
            age(session.updated_at),
            summary.runs,
            " ".join(session.tags),
        )
        for summary in found
        for session in (summary.session,)
    ]
    return table(_COLUMNS, rows, width=invocation.output.width, style=invocation.output.style)


def _now(summary: SessionSummary) -> str:
    if summary.pending_approvals:
        return "waiting for you"
    if summary.running_runs or summary.waiting_runs:
        return "running" if summary.running_runs else "waiting"
    return f"{summary.pending_runs} queued" if summary.pending_runs else ""


def _show_counts(invocation: Invocation, ask: Ask) -> None:
    from sessionry.store.operations import listing

    counts = ask(listing.counts(invocation.scope))
    output = invocation.output
    if invocation.json:
        return output.object(counts.to_dict())
    for what, by in (("sessions", counts.sessions), ("runs", counts.runs)):
        parts = ", ".join(f"{number} {status}" for status, number in sorted(by.items()))
        output.line(f"{what}: {sum(by.values())}{f' ({parts})' if parts else ''}")
    return output.line(f"approvals waiting: {counts.pending_approvals}")


@command()
@id_argument("id", ["session", "run", "approval"])
def show(invocation: Invocation, id: str) -> None:
    """Show a session, a run or an approval.

    A session is shown with its newest runs, a run with its input and its outcome.
    """
    from sessionry.cli import details
    from sessionry.cli.identify import find, kind_of
    from sessionry.cli.reading import reading

    with reading(invocation) as ask:
        id = find(ask, invocation.scope, id)
        shown = {"session": details.of_session, "run": details.of_run, "approval": details.of_approval}[kind_of(id)]
        value, lines = shown(ask, invocation.scope, id, invocation.output)
        if invocation.json:
            return invocation.output.object(value)
        for line in lines:
            invocation.output.line(line)
    return None


@command()
@session_argument()
def tree(invocation: Invocation, session: str) -> None:
    """Show a session and its descendants."""
    from sessionry.cli.identify import find
    from sessionry.cli.reading import reading
    from sessionry.store.operations import sessions

    with reading(invocation) as ask:
        found = ask(sessions.tree(invocation.scope, find(ask, invocation.scope, session, "session")))
    if invocation.json:
        for each in found:
            invocation.output.object(each.to_dict())
        return
    ids = short_ids(each.id for each in found)
    children: dict[str | None, list[Session]] = {}
    for each in found[1:]:
        children.setdefault(each.parent_session_id, []).append(each)
    output = invocation.output
    for prefix, each in _branches(found[0], children):
        status = output.style(each.status, **by_status(each.status))
        line = f"{prefix}{ids[each.id]}  {status}  {one_line(each.agent_id)}  {one_line(each.title or '')}".rstrip()
        output.line(line)


def _branches(root: Session, children: dict[str | None, list[Session]]) -> Iterator[tuple[str, Session]]:
    """Each session of the tree with the lines that lead to it."""
    waiting = [("", "", root)]
    while waiting:
        first, rest, session = waiting.pop()
        yield first, session
        below = children.get(session.id, [])
        for child in reversed(below):
            last = child is below[-1]
            waiting.append((rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), child))
