"""Claude Code keeps the promises of every agent."""

from __future__ import annotations

import pytest

from sessionry.agents.claude import ClaudeAgent
from sessionry.testing.agent_contract import AgentContract, Case
from tests.agents.real.claude import script
from tests.agents.real.hermetic import Hermetic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class TestClaude(AgentContract):
    @pytest.fixture
    def well(self, hermetic: Hermetic) -> Case:
        agent = ClaudeAgent(env=hermetic.claude())
        steps = script(
            {"thinking": "how?", "text": "Let me see.", "shell": "echo hi > out.txt"},
            {"text": "all done"},
        )
        return Case(agent, steps, lambda _: True)

    @pytest.fixture
    def badly(self, hermetic: Hermetic) -> Case:
        return Case(ClaudeAgent(env=hermetic.claude()), script({"error": 400}))

    @pytest.fixture
    def endless(self, hermetic: Hermetic) -> Case:
        agent = ClaudeAgent(env=hermetic.claude(), permission_mode="bypassPermissions", kill_grace=1)
        return Case(agent, script({"text": "working", "shell": "python3 -c 'import time; time.sleep(60)'"}))

    @pytest.fixture
    def refused(self, hermetic: Hermetic) -> Case:
        return Case(ClaudeAgent(env=hermetic.claude()), {"prompt": "hello", "temperature": 1})
