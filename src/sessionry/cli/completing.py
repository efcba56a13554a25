"""What the shell completes ids with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sessionry.cli.invocation import Invocation
from sessionry.cli.render import one_line

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from sessionry.cli.reading import Ask
    from sessionry.domain.scope import Scope

#: How many of each kind are offered.
_OFFERED = 50


def ids_that_begin_with(context: click.Context, incomplete: str, kinds: Sequence[str]) -> list[CompletionItem]:
    """The newest ids of these kinds that begin so. Nothing when the store cannot be read: the shell cannot show why."""
    from click.shell_completion import CompletionItem

    from sessionry.cli.reading import reading
    from sessionry.domain.errors import SessionryError

    invocation = context.ensure_object(Invocation)
    try:
        with reading(invocation) as ask:
            found = [pair for kind in kinds for pair in _offered(ask, invocation.scope, kind)]
    except SessionryError:
        return []
    return [CompletionItem(id, help=one_line(text)[:60]) for id, text in found if id.startswith(incomplete)]


def _offered(ask: Ask, scope: Scope, kind: str) -> list[tuple[str, str]]:
    from sessionry.domain.approval import ApprovalStatus
    from sessionry.domain.queries import RunFilter, SessionFilter
    from sessionry.store.operations import approvals, listing

    if kind == "session":
        sessions = ask(listing.list_sessions(scope, SessionFilter(), limit=_OFFERED)).items
        return [(item.session.id, item.session.title or item.session.agent_id) for item in sessions]
    if kind == "run":
        runs = ask(listing.list_runs(scope, RunFilter(), limit=_OFFERED)).items
        return [(run.id, f"{run.status} {run.agent_id}") for run in runs]
    waiting = ask(approvals.list_approvals(scope, status=[ApprovalStatus.PENDING], limit=_OFFERED)).items
    return [(approval.id, approval.tool_name) for approval in waiting]
