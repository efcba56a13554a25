"""Real agents of the Agent Client Protocol keep the promises of every agent."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from sessionry.testing.agent_contract import AgentContract, Case
from tests.agents.real.acp import acp, script, shell
from tests.agents.real.hermetic import Hermetic, codex_program


@pytest.mark.slow
@pytest.mark.timeout(600)  # the attempts of the last test are some forty processes
@pytest.mark.parametrize("name", ["qwen", "claude-agent-acp", "codex-acp"])
class TestAcp(AgentContract):
    @pytest.fixture(autouse=True)
    def used(self, name: str, hermetic: Hermetic) -> None:
        """Two of Codex that begin at once in a new home get in each other's way."""
        if name == "codex-acp":
            env = hermetic.codex()
            subprocess.run([codex_program(), "app-server"], env=env, stdin=subprocess.DEVNULL, check=True)

    @pytest.fixture
    def well(self, name: str, hermetic: Hermetic) -> Case:
        act: dict[str, Any] = shell(name, "touch made")
        if name == "qwen":  # it thinks for seconds about a command
            act = {"tools": [{"name": "list_directory", "input": {"path": str(hermetic.work)}}]}
        return Case(acp(hermetic, name), script({"thinking": "hm", **act}, {"text": "this is done"}), lambda _: True)

    @pytest.fixture
    def badly(self, name: str, hermetic: Hermetic) -> Case:
        return Case(acp(hermetic, name), script({"error": 400}))

    @pytest.fixture
    def endless(self, name: str, hermetic: Hermetic) -> Case:
        steps = script({"text": "one two", **shell(name, "echo begun; sleep 60")}, {"text": "never"})
        return Case(acp(hermetic, name), steps, lambda _: True)

    @pytest.fixture
    def refused(self, name: str, hermetic: Hermetic) -> Case:
        return Case(acp(hermetic, name), {"prompt": "hello", "temperature": 1})
