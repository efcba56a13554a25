"""The agent catalog: which agents there are, by id, and how each is made.

Without any file there are the built-in ones, and those that are found on this machine (`discovery.KNOWN`). A file adds to
them:

    [defaults]
    agent = "tests"

    [tests]
    type = "shell"
    allowed_commands = ["pytest"]
    env = { API_KEY = "${env:API_KEY}" }

An entry is a type and the options of that type, which are the keyword parameters of what makes it. `${env:NAME}` stands
for a variable of the worker's environment; it is put in when the agent is made and is never logged. Relative paths of
options that are paths start at the folder of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from sessionry.agents.discovery import KNOWN, how_to_get, is_there
from sessionry.agents.entries import TYPES, Entry, make, read_entry, read_table, references, unusable
from sessionry.agents.function import FunctionAgent, registered
from sessionry.domain.errors import InvalidInput, NotFound
from sessionry.domain.redaction import named_secrets, secret_values
from sessionry.ports import Agent, Capability

#: The table of the file that is no agent.
DEFAULTS = "defaults"


async def echo(message: str) -> str:
    """Says back what it is told."""
    return message


_BUILT_IN = (
    Entry("shell", "shell"),
    Entry("scripted", "scripted", {"script": "demo"}),
    Entry("echo", "function", {"function": "sessionry.agents.catalog:echo"}),
)


class Catalog:
    """The agents by id. Of several with one id, the one counts that was added, then that of the file, then that of the
    `agent` decorator, then the built-in one, then the one that is found on this machine. That is looked for once: what is
    installed later is seen by the next process.
    """

    def __init__(self, entries: Iterable[Entry] = (), *, default: str | None = None) -> None:
        self._configured = {entry.id: entry for entry in entries}
        self._built_in = {entry.id: entry for entry in _BUILT_IN}
        self._added: dict[str, Agent] = {}
        self._made: dict[str, Agent] = {}
        #: the agent of a session that names none
        self.default = default

    @classmethod
    def load(cls, path: Path | None, *, default: str | None = None) -> Catalog:
        """The catalog of a file; None: without one. `default` goes before the file's own.

        Raises `invalid_configuration` naming the file and the entry. Options are looked at when an agent is made.
        """
        if path is None:
            return cls(default=default)
        content = read_table(path)
        defaults = content.pop(DEFAULTS, {})
        if not isinstance(defaults, dict) or not all(
            key == "agent" and isinstance(id, str) for key, id in defaults.items()
        ):
            raise unusable(f"[{DEFAULTS}] in {path} may have one key: agent, the id of an agent")
        entries = [read_entry(id, value, path) for id, value in content.items()]
        return cls(entries, default=default or defaults.get("agent"))

    def ids(self) -> list[str]:
        return sorted({*self._added, *self._configured, *registered(), *self._built_in, *self._found})

    @cached_property
    def _found(self) -> dict[str, Entry]:
        there = (known for known in KNOWN.values() if known.type in TYPES and is_there(known))
        return {known.id: Entry(known.id, known.type, dict(known.options)) for known in there}

    def known(self, id: str) -> str | None:
        """Which of the known agents it is, found or configured by its type; None for any other."""
        entry = self._entry(id)
        if entry is None:
            return None
        if entry.type == "acp":
            preset = entry.options.get("preset")
            return preset if isinstance(preset, str) and preset in KNOWN else None
        return entry.type if entry.type in KNOWN else None

    def is_found(self, id: str) -> bool:
        """Whether it is in the catalog only because it was found on this machine."""
        return id in self._found and self._entry(id) is self._found[id]

    def entry(self, id: str) -> Entry:
        """How the agent is configured; where its options refer to the environment, they are not resolved."""
        entry = self._entry(id)
        return Entry(id, self.agent(id).facts.type) if entry is None else entry

    def secrets(self, environ: Mapping[str, str]) -> set[str]:
        """The values that the entries take from the environment, or have under a telling name."""
        used = [reference for entry in self._configured.values() for reference in references(entry.options)]
        written = [value for entry in self._configured.values() for value in named_secrets(entry.options)]
        return secret_values(dict(environ) | {f"{n}_password": value for n, value in enumerate(written)}, used)

    def agent(self, id: str) -> Agent:
        """The agent of that id, made when it is first asked for. Raises `agent_not_found`, `invalid_configuration`."""
        entry = self._entry(id)
        if entry is None:
            return self._added[id] if id in self._added else registered()[id]
        if id not in self._made:
            self._made[id] = make(entry)
        return self._made[id]

    def add(self, id: str, agent: Agent | Callable[..., Any]) -> None:
        """Put an agent, or a function that becomes one, under that id."""
        if not isinstance(id, str) or not id.strip():
            raise unusable("an agent needs an id")
        self._added[id] = agent if isinstance(agent, Agent) else FunctionAgent(id, agent)

    def _entry(self, id: str) -> Entry | None:
        """The entry that counts; None for an agent that needs no making. Raises `agent_not_found`."""
        if id in self._added:
            return None
        if id in self._configured:
            return self._configured[id]
        if id in registered():
            return None
        if id in self._built_in:
            return self._built_in[id]
        if id in self._found:
            return self._found[id]
        ids = self.ids()
        if (advice := how_to_get(id)) is not None:
            raise NotFound(
                "agent_not_found", f"the agent {id!r} is not here; {advice}", details={"agent": id, "agents": ids}
            )
        close = get_close_matches(id, ids, n=1)
        meant = f"did you mean {close[0]}? the" if close else "the"
        raise NotFound(
            "agent_not_found",
            f"there is no agent {id!r}; {meant} agents are {', '.join(ids)}",
            details={"agent": id, "agents": ids},
        )


def negotiate(agent: Agent, require: Iterable[str]) -> None:
    """Raises `missing_required_capability` when the agent lacks one of them."""
    able = set(agent.facts.capabilities)
    if missing := [name for name in require if name not in able]:
        known = [str(name) for name in Capability]
        odd = [name for name in missing if name not in known]
        hint = f"; {odd[0]!r} is no capability that Sessionry knows, which are {', '.join(known)}" if odd else ""
        raise InvalidInput(
            "missing_required_capability",
            f"a {agent.facts.type} agent cannot do {', '.join(missing)}; it can do {', '.join(sorted(able))}{hint}",
            details={"missing": missing, "capabilities": sorted(able)},
        )
