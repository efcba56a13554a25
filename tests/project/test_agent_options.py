"""The options of agents: those that a page tells of are those that there are, and each is seen where it has to arrive.

Where that is differs: the command line, the environment, what is said to the program, the request to the model, or, for
what is kept by Sessionry itself, the run. The tables below say it, and the tests beside them play each row.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.agents.arrivals import Arrival

from sessionry.agents.catalog import Catalog
from sessionry.agents.entries import TYPES, imported
from sessionry.domain.errors import InvalidInput

from .pages import ROOT

PAGES = ROOT / "docs" / "agents"

#: The modules with the tables, by type.
TABLES: Mapping[str, str] = {
    "claude": "tests.agents.real.test_claude_options",
    "codex": "tests.agents.real.test_codex_options",
    "acp": "tests.agents.acp.test_options",
    "openai": "tests.agents.models.test_arrivals",
    "anthropic": "tests.agents.models.test_arrivals",
    "local": "tests.agents.test_local",
    **dict.fromkeys(("openai-agents", "pydantic-ai", "langgraph"), "tests.agents.frameworks.test_arrivals"),
    **dict.fromkeys(("shell", "scripted", "function", "amp", "cursor"), "tests.agents.test_arrivals"),
}
#: What an entry of the type needs at least.
NEEDED: Mapping[str, str] = {
    "function": 'function = "json:loads"',
    "acp": 'command = "agent"',
    "openai": 'model = "m"',
    "anthropic": 'model = "m"',
    "openai-agents": 'object = "json:loads"',
    "pydantic-ai": 'object = "json:loads"',
    "langgraph": 'object = "json:loads"',
}
#: Types whose input is whatever the user likes.
FREE = {"function"}


def options(type: str) -> set[str]:
    """The names that an entry of the type may have."""
    factory = imported(TYPES[type])
    parameters = inspect.signature(factory).parameters.values()
    return {each.name for each in parameters if each.kind is not each.VAR_KEYWORD} - {"id"}


def documented(type: str) -> dict[str, bool]:
    """The names in the first column of the page's table of options, else of the generated one of all types, and whether a
    run may set them.
    """
    told = re.search(r"^## Options\n.*?^(\| option .*?)\n\n", f"{page(type)}\n\n", re.DOTALL | re.MULTILINE)
    if told is None:
        told = re.search(rf"^#+ `?{type}`?\n.*?^(\| option .*?)\n\n", general(), re.DOTALL | re.MULTILINE)
    assert told is not None, f"nothing tells the options of {type}"
    rows = (line.split("|") for line in told[1].splitlines()[2:])
    return {name: row[2].strip().startswith("yes") for row in rows for name in re.findall(r"`(\w+)`", row[1])}


def page(type: str) -> str:
    return (PAGES / f"{type}.md").read_text(encoding="utf-8")


def general() -> str:
    return (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")


def table(type: str) -> list[Arrival]:
    """The rows that are played: of the type, if the module has tables of several."""
    module = import_module(TABLES[type])
    tables: list[Arrival] | dict[str, list[Arrival]] = module.ARRIVALS
    played: Any = module.test_every_option_arrives
    (mark,) = (mark for mark in played.pytestmark if mark.name == "parametrize")
    if isinstance(tables, list):
        assert mark.args[1] == tables
        return tables
    assert [row for _, row in mark.args[1]] == [row for rows in tables.values() for row in rows]
    return tables[type]


def test_every_type_has_a_table() -> None:
    assert TABLES.keys() == TYPES.keys()


@pytest.mark.parametrize("type", sorted(TYPES))
def test_a_page_tells_of_every_option_and_of_no_other(type: str) -> None:
    told = documented(type)
    assert options(type) <= told.keys()
    assert all(told[name] for name in told.keys() - options(type)), "what is no option of the agent is one of its runs"


@pytest.mark.parametrize("type", sorted(TYPES))
def test_every_option_is_seen_where_it_arrives(type: str) -> None:
    rows = table(type)
    assert {row.option for row in rows if not row.of_run} == options(type)
    assert {row.option for row in rows if row.of_run} == {name for name, of_run in documented(type).items() if of_run}


@pytest.mark.parametrize("type", sorted(TYPES))
def test_an_option_that_an_agent_does_not_have_is_refused_by_its_name(type: str, tmp_path: Path) -> None:
    """Those of all other types, in the file and beside the prompt of a run."""
    file = tmp_path / "agents.toml"
    entry = f'[tested]\ntype = "{type}"\n{NEEDED.get(type, "")}\n'
    everything = {name for other in TYPES for name in documented(other)}
    for name in everything - options(type):
        file.write_text(f"{entry}{name} = 1\n")
        with pytest.raises(InvalidInput) as told:
            Catalog.load(file).agent("tested")
        assert told.value.details["option"] == name
    if type in FREE:
        return
    file.write_text(entry)
    agent = Catalog.load(file).agent("tested")
    input: dict[str, Any] = {"argv": ["ls"]} if type == "shell" else {"prompt": "hello"}
    for name in everything - {name for name, of_run in documented(type).items() if of_run}:
        with pytest.raises(InvalidInput) as told:
            agent.check({**input, name: 1})
        assert told.value.details["path"] == f"input.{name}"
