"""`sessionry usage`: what runs used, added up."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.options import When
from sessionry.cli.render import Column, money, table, tokens

if TYPE_CHECKING:
    from sessionry.domain.usage import Used

_COLUMNS = ("RUNS", "TOKENS", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITTEN", "COST", "UNPRICED")


@command()
@click.option(
    "--by",
    type=click.Choice(["day", "agent", "model", "session"]),
    default="day",
    show_default=True,
    help="What it is added up by; days are those of UTC.",
)
@click.option("--after", type=When(), help="Only of runs that started since; a time, or how long ago: 2h, 3d.")
@click.option("--before", type=When(), help="Only of runs that started earlier.")
@click.option("-a", "--agent", metavar="ID", help="Only of this agent.")
@click.option("-m", "--model", metavar="NAME", help="Only of this model.")
@click.option("--session", metavar="SESSION", help="Only of this session.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
def usage(
    invocation: Invocation,
    by: str,
    after: datetime | None,
    before: datetime | None,
    agent: str | None,
    model: str | None,
    session: str | None,
    limit: int,
) -> None:
    """Add up the tokens and the money that runs used.

    \b
    sessionry usage --after 7d
    sessionry usage --by model --session ses_01a2

    Days come in order, everything else by tokens, the most first. The total is of all runs, also of those that are not
    listed. COST is of the runs that know theirs; UNPRICED counts the others that used any tokens. Hidden sessions count.
    """
    from sessionry.cli.identify import find
    from sessionry.cli.reading import reading
    from sessionry.domain.usage import UsageFilter, usage_by
    from sessionry.store.operations.usage import used

    output = invocation.output
    with reading(invocation) as ask:
        if session is not None:
            session = find(ask, invocation.scope, session, "session")
        filter = UsageFilter(after=after, before=before, agent=agent, model=model, session=session)
        report = ask(used(invocation.scope, usage_by(by), filter, limit=limit))
    if output.json:
        return output.object(report.to_dict())
    if not report.total.runs:
        return output.note("no runs; `sessionry run` makes one")
    columns = (Column(by.upper(), least=10), *(Column(title, right=True, extra=True) for title in _COLUMNS))
    rows = [*map(_row, report.items), ("total", *_row(report.total)[1:])]
    for line in table(columns, rows, width=output.width, style=output.style):
        output.line(line)
    if sum(each.runs for each in report.items) < report.total.runs:
        output.note("there are more; --limit lists them")
    return None


def _row(used: Used) -> tuple[str, ...]:
    buckets = used.usage
    counts = (buckets.input_tokens, buckets.output_tokens, buckets.cache_read_tokens, buckets.cache_write_tokens)
    key = used.title or used.key or "(unknown)"
    return (
        key,
        str(used.runs),
        *(tokens(count) for count in (used.tokens, *counts)),
        money(used.cost),
        str(used.unpriced) if used.unpriced else "",
    )
