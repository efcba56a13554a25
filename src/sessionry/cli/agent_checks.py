"""What `sessionry doctor --agents` does: a tiny run with each agent that can be used, all at once and not for long.

Only a real answer shows that program, login and model work together. An agent that is known not to be logged in is not
asked: that costs nothing, and the remedy is known.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sessionry.agents.catalog import Catalog
from sessionry.agents.discovery import KNOWN, Found, examine
from sessionry.cli.checks import Finding
from sessionry.compose import open_sessions
from sessionry.domain.errors import SessionryError
from sessionry.domain.lifecycle import RunStatus

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation
    from sessionry.runtime.results import RunResult
    from sessionry.runtime.sessions import Sessions

PROMPT = "Answer with one word: ready. Use no tools."
#: Seconds for which an agent is waited for, and how many are asked at once.
PATIENCE, AT_ONCE = 60.0, 3
#: These do what they are told by us: they have no login and no model, and a prompt is nothing for them.
_OWN_TYPES = ("shell", "function", "scripted")


def findings(invocation: Invocation) -> Iterator[Finding]:
    """One for each agent with a model, in the order of their ids."""
    settings = invocation.settings
    catalog = Catalog.load(settings.agents, default=settings.default_agent)
    found = examine(KNOWN[known] for id in catalog.ids() if (known := catalog.known(id)))
    asked = []
    for id in catalog.ids():
        if catalog.entry(id).type in _OWN_TYPES:
            continue
        if (refusal := _refusal(catalog, id, found)) is not None:
            yield refusal
        else:
            asked.append(id)
    if not asked:
        yield Finding("agent", "warning", "no agent can be asked anything", "`sessionry agents` tells how to get one")
        return
    invocation.output.progress(f"asking {', '.join(asked)}")
    yield from asyncio.run(_ask_all(invocation, catalog, asked))


def _refusal(catalog: Catalog, id: str, found: Mapping[str, Found]) -> Finding | None:
    """Why it need not be asked, and what to do."""
    known = catalog.known(id) or ""
    if known in found and found[known].logged_in is False:
        return Finding("agent", "warning", f"{id} is not logged in, so it was not asked", KNOWN[known].login)
    try:
        catalog.agent(id)
    except SessionryError as error:
        return Finding("agent", "problem", f"{id}: {error.message}")
    return None


async def _ask_all(invocation: Invocation, catalog: Catalog, ids: list[str]) -> list[Finding]:
    opening = open_sessions("memory://", agents=catalog, settings=invocation.settings, slots=AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="sessionry-doctor-") as folder:
        async with opening as sessions:
            return list(await asyncio.gather(*(_ask(sessions, catalog, id, folder) for id in ids)))


async def _ask(sessions: Sessions, catalog: Catalog, id: str, folder: str) -> Finding:
    try:
        session = await sessions.create(id, title="Are you there?", cwd=folder)
        run = await session.run(PROMPT, timeout=PATIENCE)
        result = await run.result()
        at = await run.get()
    except SessionryError as error:
        return Finding("agent", "problem", f"{id}: {error.message}", _remedy(catalog, id, error.code))
    if not result:
        return _failed(catalog, id, result)
    begun = at.started_at or at.created_at
    seconds = ((at.ended_at or begun) - begun).total_seconds()
    cost = "at an unknown price" if at.cost is None else f"for ${at.cost.normalize():f}"
    return Finding("agent", "ok", f"{id} answered in {seconds:.1f} s, with {at.usage.total_tokens:,} tokens {cost}")


def _failed(catalog: Catalog, id: str, result: RunResult) -> Finding:
    if result.status is RunStatus.TIMEOUT:
        return Finding("agent", "problem", f"{id} gave no answer within {PATIENCE:g} s", "try it by itself")
    error = result.error
    message = f"{error.message} [{error.code}]" if error else f"its run ended as {result.status}"
    return Finding("agent", "problem", f"{id}: {message}", _remedy(catalog, id, error.code if error else ""))


def _remedy(catalog: Catalog, id: str, code: str) -> str | None:
    known = KNOWN.get(catalog.known(id) or "")
    if known is None:
        return None
    return {"auth": known.login, "command_not_found": known.install}.get(code)
