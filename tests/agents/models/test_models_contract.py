"""Agents over all three protocols keep the promises of every agent."""

from __future__ import annotations

import pytest

from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.fakellm import ModelServer
from tests.agents.models.conftest import made, script
from tests.agents.models.host_tools import add, deploy


class Contract(AgentContract):
    kind = ""

    @pytest.fixture
    def well(self, model_server: ModelServer) -> Case:
        prompt = script(
            {
                "text": "Let me see. ",
                "thinking": "two of them",
                "tools": [
                    {"name": "add", "input": {"a": 1}},
                    {"name": "deploy", "input": {"to": "staging"}},
                    {"name": "add", "input": {"a": "x"}},
                ],
            },
            {"tools": [{"name": "add", "input": {"a": 2}}]},
            {"text": "That is all."},
        )
        return Case(made(self.kind, model_server.url, tools=[add, deploy]), prompt, [True])

    @pytest.fixture
    def badly(self, model_server: ModelServer) -> Case:
        return Case(made(self.kind, model_server.url), script({"error": 401}))

    @pytest.fixture
    def endless(self, model_server: ModelServer) -> Case:
        return Case(made(self.kind, model_server.url), script({"text": ["one ", "two"], "stall": 60}))

    @pytest.fixture
    def refused(self, model_server: ModelServer) -> Case:
        return Case(made(self.kind, model_server.url), {"prompt": "hello", "colour": "red"})


class TestChat(Contract):
    kind = "chat"


class TestResponses(Contract):
    kind = "responses"


class TestAnthropic(Contract):
    kind = "anthropic"


del Contract
