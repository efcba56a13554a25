"""The pages about agents: every type has one, and the table over all of them says what the agents say of themselves."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sessionry.agents.discovery import KNOWN
from sessionry.agents.entries import TYPES, Entry, make
from sessionry.ports import Capability

from .pages import ROOT

FOLDER = ROOT / "docs" / "agents"
#: What an entry of the type needs at least. Types that wrap an object of the user's own say what they can by that object.
NEEDED: dict[str, dict[str, Any]] = {
    "acp": {"preset": "opencode"},
    "openai": {"model": "some-model"},
    "anthropic": {"model": "some-model"},
}
WRAPPING = {"function", "openai-agents", "pydantic-ai", "langgraph"}


#: Columns of the table -> the capability that they are about.
SHOWN = {str(name).replace("_", " "): str(name) for name in Capability}


def rows() -> list[list[str]]:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def table() -> dict[str, dict[str, str]]:
    """Type -> capability -> what its row says of it."""
    head = next(row for row in rows() if "streaming" in row)
    found = {}
    for row in rows():
        if len(row) == len(head) and (match := re.match(r"\[([\w-]+)\]\(", row[0])):
            found[match[1]] = {SHOWN[name]: cell for name, cell in zip(head, row, strict=True) if name in SHOWN}
    return found


def test_every_type_has_a_row_and_a_page() -> None:
    assert set(table()) == set(TYPES)


@pytest.mark.parametrize("type", sorted(set(TYPES) - WRAPPING))
def test_a_row_says_what_the_agent_says_of_itself(type: str) -> None:
    able = set(map(str, make(Entry(type, type, NEEDED.get(type, {}))).facts.capabilities))
    assert {name: cell == "yes" for name, cell in table()[type].items()} == {
        name: name in able for name in table()[type]
    }


def test_every_known_agent_is_named_with_how_to_get_it() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for known in KNOWN.values():
        assert f"`{known.id}`" in text
        assert f"`{known.install}`" in text or known.install.startswith("see the pages")
