"""The options of agents: those that a page tells of are those that there are, and each is asserted where it has to arrive.

Where that is differs: the command line, the environment, what is said to the program, the request to the model, or, for
what is kept by Sessionry itself, the run. The files below are the ones that look there.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from sessionry.agents.entries import TYPES, imported

from .pages import ROOT

TESTS = ROOT / "tests" / "agents"
PAGES = ROOT / "docs" / "agents"

_MODELS = ("test_requests", "test_tools", "test_answers", "test_failures")
#: The files with the tests that look at what became of an option, by type.
LOOKING: Mapping[str, Sequence[str]] = {
    "claude": ["real/test_claude_options.py", "real/test_claude.py", "real/test_claude_failures.py", "test_claude.py"],
    "codex": [
        "real/test_codex_options.py",
        "real/test_codex_approvals.py",
        "real/test_codex_failures.py",
        "test_codex.py",
    ],
    "acp": sorted(
        str(file.relative_to(TESTS)) for file in TESTS.rglob("test_*.py") if "acp" in str(file.relative_to(TESTS))
    ),
    "openai": [f"models/{name}.py" for name in ("conftest", *_MODELS)],
    "anthropic": [f"models/{name}.py" for name in _MODELS],
    "local": ["test_local.py"],
    "openai-agents": ["frameworks/test_openai_agents.py", "frameworks/test_frameworks.py"],
    "pydantic-ai": ["frameworks/test_pydantic_ai.py", "frameworks/test_frameworks.py"],
    "langgraph": ["frameworks/test_langgraph.py", "frameworks/test_frameworks.py"],
    "amp": ["test_amp.py", "test_program.py"],
    "cursor": ["test_cursor.py", "test_program.py"],
    "shell": ["test_shell.py"],
    "scripted": ["test_scripted.py"],
    "function": ["test_function.py", "test_catalog.py"],
}


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


@cache
def named_in(file: str) -> set[str]:
    """The names of arguments, and the texts, in the tests of a file and in what they share."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return arguments | texts


def test_every_type_is_looked_at() -> None:
    assert LOOKING.keys() == TYPES.keys()


@pytest.mark.parametrize("type", sorted(TYPES))
def test_a_page_tells_of_every_option_and_of_no_other(type: str) -> None:
    told = documented(type)
    assert options(type) <= told.keys()
    assert all(told[name] for name in told.keys() - options(type)), "what is no option of the agent is one of its runs"


@pytest.mark.parametrize(
    ("type", "option"), [(type, option) for type in sorted(TYPES) for option in sorted(options(type))]
)
def test_every_option_is_asserted_where_it_arrives(type: str, option: str) -> None:
    assert any(option in named_in(file) for file in LOOKING[type]), f"no test of {LOOKING[type]} names it"
