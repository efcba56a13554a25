"""`sessionry deeds`: what was done to the store beside its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.paging import paging, show_listing
from sessionry.cli.render import Column, clock, table

if TYPE_CHECKING:
    from sessionry.domain.deed import Deed
    from sessionry.domain.queries import Page
    from sessionry.ports import Operation

_COLUMNS = (
    Column("AT"),
    Column("DEED"),
    Column("SUBJECT", least=12),
    Column("BY", least=6),
    Column("FROM", least=10, extra=True),
)


@command()
@paging
def deeds(invocation: Invocation, limit: int, everything: bool) -> None:
    """List what was done beside the sessions, the newest first.

    By whom, and from where: tokens that were made or revoked, webhooks, sessions that were removed for ever, workers that
    were let go. What is done to a session or a run is in its log: `sessionry events`.
    """
    from sessionry.cli.reading import reading
    from sessionry.store.operations.deeds import of_scope

    def page(limit: int, cursor: str | None) -> Operation[Page[Deed]]:
        return of_scope(invocation.scope, limit=limit, cursor=cursor)

    def lines(found: list[Deed]) -> Iterator[str]:
        rows = [(clock(each.at), each.type, each.subject, each.actor or "", each.origin or "") for each in found]
        return table(_COLUMNS, rows, width=invocation.output.width, style=invocation.output.style)

    with reading(invocation) as ask:
        show_listing(
            invocation.output,
            ask,
            page,
            None if everything else limit,
            lines=lines,
            empty="nothing was done beside the sessions",
        )
