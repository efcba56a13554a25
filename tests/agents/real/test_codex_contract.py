"""Codex keeps the promises of every agent."""

from __future__ import annotations

import subprocess

import pytest

from sessionry.agents.codex import CodexAgent
from sessionry.testing.agent_contract import AgentContract, Case
from tests.agents.real.codex import codex, script
from tests.agents.real.hermetic import Hermetic, codex_program


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestCodex(AgentContract):
    @pytest.fixture
    def agent(self, hermetic: Hermetic) -> CodexAgent:
        agent = codex(hermetic, sandbox="danger-full-access", approval_policy="untrusted")
        # Two that begin at once in a new home would get in each other's way, and one of them begin twice.
        subprocess.run([codex_program(), "app-server"], env=hermetic.codex(), stdin=subprocess.DEVNULL, check=True)
        return agent

    @pytest.fixture
    def well(self, agent: CodexAgent) -> Case:
        steps = [{"thinking": "hm", "text": "Let me see.", "shell": "touch made"}, {"text": "this is done"}]
        return Case(agent, script(*steps), [True])

    @pytest.fixture
    def badly(self, agent: CodexAgent) -> Case:
        return Case(agent, script({"error": 400}))

    @pytest.fixture
    def endless(self, agent: CodexAgent) -> Case:
        steps = [{"text": "one two", "shell": "echo begun; sleep 60"}, {"text": "never"}]
        return Case(agent, script(*steps), [True])

    @pytest.fixture
    def refused(self, agent: CodexAgent) -> Case:
        return Case(agent, {"prompt": "hello", "temperature": 1})
