"""`sessionry doctor`: looks at everything that can be wrong, and says what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.render import one_line

if TYPE_CHECKING:
    from sessionry.cli.checks import Finding

_COLOURS = {"ok": "green", "repaired": "green", "warning": "yellow", "problem": "red"}


@command()
@click.option("--repair", is_flag=True, help="Put right what can be put right without losing anything.")
@click.option(
    "--sample", type=click.IntRange(0), metavar="N", help="Compare only the N latest sessions with their logs."
)
@click.option("--agents", "ask", is_flag=True, help="Ask each agent a tiny question as well, which may cost a little.")
def doctor(invocation: Invocation, repair: bool, sample: int | None, ask: bool) -> int:
    """Check the store and its surroundings.

    Looks at versions, settings and agents, at the store's permissions, schema and integrity, and for runs that are stuck.
    With --agents, each agent that can be used answers a question in a session that is kept nowhere, within a minute; one
    that is not logged in is told without asking it. Exit code 1 when there is a problem; a warning is none.
    """
    invocation.stay_local()
    status = 0
    for finding in _findings(invocation, repair, sample, ask):
        _show(invocation, finding)
        if finding.status == "problem":
            status = 1
    return status


def _findings(invocation: Invocation, repair: bool, sample: int | None, ask: bool) -> Iterator[Finding]:
    from sessionry.cli import checks

    yield from checks.findings(invocation, repair=repair, sample=sample)
    if ask:
        from sessionry.cli import agent_checks

        yield from agent_checks.findings(invocation)


def _show(invocation: Invocation, finding: Finding) -> None:
    output = invocation.output
    output.progress("")
    if output.json:
        output.object(finding._asdict())
    else:
        mark = output.style(f"{finding.status:<8}", fg=_COLOURS[finding.status])
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        output.line(f"{mark}  {finding.check:<11}  {one_line(finding.message + remedy)}")
    output.flush()
