"""Which agent works when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionry.domain.errors import InvalidInput

if TYPE_CHECKING:
    from sessionry.agents.catalog import Catalog
    from sessionry.cli.output import Output


def default_agent(catalog: Catalog, output: Output) -> str:
    """The catalog's default, else the first agent that is found on this machine and can be used; that is said.

    There is no agent of last resort: one that plays a script would only look as if it did the work.
    """
    if catalog.default is not None:
        return catalog.default
    from sessionry.agents.discovery import KNOWN, first_usable

    id = first_usable(filter(catalog.is_found, catalog.ids()))
    if id is None:
        first = next(iter(KNOWN.values()))
        raise InvalidInput(
            "validation_error",
            f"no agent is named, and none is usable here; install one, such as {first.id} with `{first.install}`, or name"
            " one with --agent: `sessionry agents` lists them, and `--agent scripted` plays a demo",
            details={"path": "agent"},
        )
    output.note(f"the agent is {id}, the first that is usable here; --agent or SESSIONRY_AGENT names another")
    return id
