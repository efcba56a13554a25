"""Commands that answer what agents ask: approvals, approve, deny."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from sessionry.cli.identify import find, kind_of
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.missing import tell_who_is_missed
from sessionry.cli.options import id_argument, session_argument
from sessionry.cli.paging import paging, show_listing
from sessionry.cli.render import Column, age, by_status, short_ids, table

if TYPE_CHECKING:
    from sessionry.domain.approval import Approval
    from sessionry.domain.queries import Page
    from sessionry.ports import Operation
    from sessionry.sync import SyncSessions

_COLUMNS = (
    Column("APPROVAL"),
    Column("SESSION", extra=True),
    Column("STATUS", look=by_status),
    Column("TOOL", least=8),
    Column("INPUT", least=12),
    Column("REASON", least=10, extra=True),
    Column("ASKED", extra=True),
)


@command()
@session_argument(required=False)
@click.option(
    "-s",
    "--status",
    multiple=True,
    type=click.Choice(["pending", "granted", "denied", "expired"]),
    default=["pending"],
    show_default=True,
    help="Those in this status; may be repeated.",
)
@paging
def approvals(invocation: Invocation, session: str | None, status: Sequence[str], limit: int, everything: bool) -> None:
    """List the questions that wait for an answer.

    Of all sessions, or of one; the oldest first.
    """
    from sessionry.cli.reading import reading
    from sessionry.domain.approval import ApprovalStatus
    from sessionry.store.operations.approvals import list_approvals

    with reading(invocation) as ask:
        of = None if session is None else find(ask, invocation.scope, session, "session")

        def page(limit: int, cursor: str | None) -> Operation[Page[Approval]]:
            wanted = [ApprovalStatus(name) for name in status]
            return list_approvals(invocation.scope, status=wanted, session_id=of, limit=limit, cursor=cursor)

        show_listing(
            invocation.output,
            ask,
            page,
            None if everything else limit,
            lines=lambda found: _table(invocation, found),
            empty="nothing waits for an answer" if list(status) == ["pending"] else "no approvals",
        )


def _table(invocation: Invocation, found: list[Approval]) -> Iterator[str]:
    from sessionry.cli.details import compact

    ids = short_ids(approval.id for approval in found)
    of = short_ids(approval.session_id for approval in found)
    rows = [
        (
            ids[approval.id],
            of[approval.session_id],
            approval.status,
            approval.tool_name,
            compact(approval.tool_input),
            approval.reason or "",
            age(approval.requested_at),
        )
        for approval in found
    ]
    return table(_COLUMNS, rows, width=invocation.output.width, style=invocation.output.style)


_question = id_argument("approval", ["approval"])
_note = click.option("--note", metavar="TEXT", help="What the agent and the log are told with it.")
_by = click.option("--by", metavar="NAME", help="Who decides; else you.")


@command()
@_question
@_note
@_by
def approve(invocation: Invocation, approval: str, note: str | None, by: str | None) -> None:
    """Say yes to what an agent asks.

    APPROVAL may also be a run or a session that waits for one answer only.
    """
    _decide(invocation, approval, True, note, by)


@command()
@_question
@_note
@_by
def deny(invocation: Invocation, approval: str, note: str | None, by: str | None) -> None:
    """Say no to what an agent asks.

    APPROVAL may also be a run or a session that waits for one answer only.
    """
    _decide(invocation, approval, False, note, by)


def _decide(invocation: Invocation, text: str, approved: bool, note: str | None, by: str | None) -> None:
    with invocation.open() as sessions:
        handle = sessions.approval(_the_one(invocation, sessions, text))
        decide = handle.approve if approved else handle.deny
        decide(by=by or decider(invocation), note=note)
        decided = handle.get()
        output = invocation.output
        if output.json:
            return output.object(decided.to_dict())
        output.line(f"{'approved' if approved else 'denied'} {decided.tool_name} {decided.id}")
        return tell_who_is_missed(output, sessions, decided.session_id)


def _the_one(invocation: Invocation, sessions: SyncSessions, text: str) -> str:
    """The approval of that id, or the only one that a run or a session of that id waits for."""
    from sessionry.domain.errors import InvalidInput, NotFound

    id = find(sessions.execute, invocation.scope, text, "approval", "run", "session")
    if kind_of(id) == "approval":
        return id
    session = id if kind_of(id) == "session" else sessions.run(id).get().session_id
    waiting = [handle.get() for handle in sessions.approvals(session=session)]
    ids = [each.id for each in waiting if id in (each.run_id, each.session_id)]
    if not ids:
        raise NotFound("approval_not_found", f"{id} waits for no answer", details={"id": id})
    if len(ids) > 1:
        some = ", ".join(ids[:5])
        raise InvalidInput("ambiguous_id", f"{id} waits for {len(ids)} answers; name one: {some}", details={"ids": ids})
    return ids[0]


def decider(invocation: Invocation) -> str | None:
    """Who is at the keyboard: the user of the scope, else the one who is logged in."""
    if invocation.scope.user is not None:
        return invocation.scope.user
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # there is none in some containers
        return None
