"""Agents of the protocol keep the promises of every agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionry.testing.agent_contract import AgentContract, Case
from tests.agents.acp.player import player, script

STEPS = script(
    {"think": "hm"},
    {"say": "I will run it."},
    {"ask": {"run": "echo one"}},
    {"update": {"sessionUpdate": "plan", "entries": [{"content": "do it", "status": "completed"}]}},
    {"say": "Done."},
    {"answer": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}},
)


class TestContract(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        return Case(player(), STEPS, [True] * 2)

    @pytest.fixture
    def badly(self) -> Case:
        return Case(player(), script({"fail": {"code": -32603, "message": "Internal error"}}))

    @pytest.fixture
    def endless(self) -> Case:
        ignores = "trap '' INT TERM; (setsid sh -c 'trap \"\" INT TERM; while :; do sleep 0.1; done' &)"
        return Case(player(), script({"say": "on it"}, {"run": {"command": f"{ignores}; sleep 60"}}))

    @pytest.fixture
    def refused(self) -> Case:
        return Case(player(), {"prompt": "hello", "effort": "high"})


class TestContractOfAnAgentThatLoads(TestContract):
    @pytest.fixture
    def well(self, tmp_path: Path) -> Case:
        return Case(player({"load": True}, tmp_path), STEPS, [True] * 2)
