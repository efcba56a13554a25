"""Every type of agent that ships passes the suite that ships, with all of its cases."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from importlib import import_module

import pytest

from sessionry.agents.entries import TYPES
from sessionry.testing.agent_contract import AgentContract

#: The suites by type: `module:class`.
SUITES: Mapping[str, list[str]] = {
    "claude": ["tests.agents.real.test_claude_contract:TestClaude"],
    "codex": ["tests.agents.real.test_codex_contract:TestCodex"],
    "acp": ["tests.agents.real.test_acp_contract:TestAcp", "tests.agents.acp.test_contract:TestContract"],
    "openai": [f"tests.agents.models.test_models_contract:{name}" for name in ("TestChat", "TestResponses")],
    "anthropic": ["tests.agents.models.test_models_contract:TestAnthropic"],
    "local": ["tests.agents.test_local:TestLocalAgent"],
    "openai-agents": ["tests.agents.frameworks.test_openai_agents:TestContract"],
    "pydantic-ai": ["tests.agents.frameworks.test_pydantic_ai:TestContract"],
    "langgraph": ["tests.agents.frameworks.test_langgraph:TestContract"],
    "amp": ["tests.agents.test_amp:TestAmp"],
    "cursor": ["tests.agents.test_cursor:TestCursor"],
    "shell": ["tests.agents.test_contract:TestShellAgent"],
    "scripted": ["tests.agents.test_contract:TestScriptedAgent"],
    "function": ["tests.agents.test_contract:TestFunctionAgent"],
}
CASES = {"well", "badly", "endless", "refused"}
#: A function is given whatever is said.
REFUSES_NOTHING = {"function"}


def suites() -> list[tuple[str, type[AgentContract]]]:
    found = []
    for type, names in SUITES.items():
        for name in names:
            module, _, suite = name.partition(":")
            found.append((type, getattr(import_module(module), suite)))
    return found


def test_every_type_has_a_suite() -> None:
    assert SUITES.keys() == TYPES.keys()


@pytest.mark.parametrize("type", sorted(TYPES))
def test_a_suite_has_all_cases_and_leaves_no_promise_out(type: str) -> None:
    for of_type, suite in suites():
        if of_type != type:
            continue
        assert issubclass(suite, AgentContract)
        given = {name for name in CASES if where(suite, name) is not AgentContract}
        assert given == (CASES - {"refused"} if type in REFUSES_NOTHING else CASES), suite
        for name in (name for name in vars(AgentContract) if name.startswith("test_")):
            unchanged = where(suite, name) is AgentContract or calls_super(getattr(suite, name))
            assert unchanged, f"{suite} alters {name}"


def where(suite: type, name: str) -> type:
    """The class that defines it."""
    return next(each for each in suite.__mro__ if name in vars(each))


def calls_super(function: object) -> bool:
    """It is the promise as it stands, marked in some way."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body  # type: ignore[arg-type]
    assert isinstance(definition, ast.AsyncFunctionDef)
    (statement,) = definition.body
    return ast.unparse(statement) == f"await super().{definition.name}(well, tmp_path)"
