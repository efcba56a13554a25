"""`sessionry agents`: which agents there are, which of them can be used here, and what the others want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.render import Column, one_line, table

if TYPE_CHECKING:
    from sessionry.agents.catalog import Catalog
    from sessionry.agents.discovery import Found

_COLUMNS = (
    Column("AGENT"),
    Column("STATUS"),
    Column("TYPE", extra=True),
    Column("VERSION", extra=True),
    Column("LOGIN", extra=True),
    Column("CAN", least=24),
    Column("FROM", least=10, extra=True),
)
#: What can be told of a login without asking anybody.
_LOGINS = {True: "yes", False: "no", None: ""}


@command()
@click.option("--installed", is_flag=True, help="Leave out those that are known and not installed.")
def agents(invocation: Invocation, installed: bool) -> None:
    """List the agents that can be used, or could be.

    Those of the catalog, and those that Sessionry knows: what is found of them on this machine, or how to get them. Nothing
    is asked of any network; whether an agent is logged in is told where that can be seen here. A star marks the one that is
    taken when none is named. An agent that cannot be made is listed with the reason.

    \b
    ready          can be used
    no login       it is there, but it is not logged in
    not installed  it is known, and not on this machine
    broken         it cannot be made as it is configured

    Of a server those of its catalog are listed, as `there` or `broken`: options, and who is logged in, are its own affair.
    """
    rows = _of_server(invocation) if invocation.remote else _here(invocation, installed)
    output = invocation.output
    if output.json:
        for row in rows:
            output.object(row)
        return
    for line in table(_COLUMNS, [_cells(row) for row in rows], width=output.width, style=output.style):
        output.line(line)


def _here(invocation: Invocation, installed: bool) -> list[dict[str, Any]]:
    from sessionry.agents.catalog import Catalog
    from sessionry.agents.discovery import KNOWN, examine

    settings = invocation.settings
    catalog = Catalog.load(settings.agents, default=settings.default_agent)
    ids = catalog.ids()
    found = examine(KNOWN[known] for id in ids if (known := catalog.known(id)))
    default = _default(catalog, found)
    rows = [_agent(catalog, id, found, default) for id in ids]
    return rows if installed else rows + [_missing(id) for id in KNOWN if id not in ids]


def _of_server(invocation: Invocation) -> list[dict[str, Any]]:
    from sessionry.client import RemoteCatalog

    with invocation.open() as sessions:
        catalog = sessions.catalog
    assert isinstance(catalog, RemoteCatalog)
    return [
        {
            "id": told["id"],
            "type": told.get("type", ""),
            "default": told["id"] == catalog.default,
            "status": "broken" if "error" in told else "there",
            "version": told.get("version"),
            "capabilities": told.get("capabilities", []),
            "options": {},
            "source": None,
            "found": None,
            "remedy": None,
            "error": one_line(told["error"]["message"]) if "error" in told else None,
        }
        for told in catalog.told
    ]


def _default(catalog: Catalog, found: Mapping[str, Found]) -> str | None:
    """The one that `sessionry run` takes."""
    from sessionry.agents.discovery import preferred

    return catalog.default or preferred({id: found[id] for id in found if catalog.is_found(id)})


def _agent(catalog: Catalog, id: str, found: Mapping[str, Found], default: str | None) -> dict[str, Any]:
    from sessionry.agents.discovery import KNOWN
    from sessionry.domain.errors import SessionryError

    entry, there = catalog.entry(id), found.get(catalog.known(id) or "")
    capabilities: list[str] = []
    error, version = None, there.version if there else None
    try:
        facts = catalog.agent(id).facts
        capabilities, version = list(map(str, facts.capabilities)), version or facts.version
    except SessionryError as problem:
        error = one_line(problem.message)
    status = "broken" if error else "no login" if there and there.logged_in is False else "ready"
    return {
        "id": id,
        "type": entry.type,
        "default": id == default,
        "status": status,
        "version": version,
        "capabilities": capabilities,
        "options": entry.options,
        "source": str(entry.source) if entry.source else None,
        "found": there._asdict() if there else None,
        "remedy": KNOWN[catalog.known(id) or ""].login if status == "no login" else None,
        "error": error,
    }


def _missing(id: str) -> dict[str, Any]:
    from sessionry.agents.discovery import KNOWN, how_to_get

    return {
        "id": id,
        "type": KNOWN[id].type,
        "default": False,
        "status": "not installed",
        "version": None,
        "capabilities": [],
        "options": dict(KNOWN[id].options),
        "source": None,
        "found": None,
        "remedy": how_to_get(id),
        "error": None,
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    found = row["found"] or {}
    return (
        row["id"] + (" *" if row["default"] else ""),
        row["status"],
        row["type"],
        row["version"] or "",
        _LOGINS[found.get("logged_in")],
        row["error"] or row["remedy"] or " ".join(row["capabilities"]),
        row["source"] or found.get("program") or found.get("how") or ("" if row["remedy"] else "built in"),
    )
