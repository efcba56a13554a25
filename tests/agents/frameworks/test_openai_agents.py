"""An Agent of the OpenAI Agents SDK, with the real SDK against the scripted model server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents")

from openai import AsyncOpenAI

from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    function_tool,
)
from sessionry.agents.frameworks.openai_agents import OpenAIAgentsAgent
from sessionry.domain import events as ev
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import CAREFUL, script
from tests.agents.real.conftest import Golden

MODEL = "gpt-5-mini"
Making = Callable[..., OpenAIAgentsAgent]


class Tools:
    """What the agent's tools did."""

    def __init__(self) -> None:
        self.added: list[tuple[int, int]] = []
        self.removed: list[str] = []

    def all(self) -> list[Any]:
        @function_tool
        async def add(a: int, b: int) -> int:
            """Add two numbers."""
            self.added.append((a, b))
            return a + b

        @function_tool(needs_approval=True)
        async def remove(path: str) -> str:
            """Remove a file."""
            self.removed.append(path)
            return f"{path} is gone"

        @function_tool
        async def wait() -> str:
            """Wait for ever."""
            await asyncio.Event().wait()
            return "never"

        @function_tool
        async def stumble() -> str:
            """Fail."""
            raise LookupError("nothing is there")

        return [add, remove, wait, stumble]


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def model(model_server: ModelServer) -> AsyncIterator[Callable[..., Model]]:
    clients: list[AsyncOpenAI] = []

    def made(retries: int = 0, kind: Any = OpenAIResponsesModel) -> Model:
        clients.append(AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="dummy", max_retries=retries))
        found: Model = kind(MODEL, clients[-1])
        return found

    yield made
    for client in clients:
        await client.close()


@pytest.fixture
def making(model: Callable[..., Model], tools: Tools) -> Making:
    """The agent under test; its SDK agent is made for each run, with a client of its own."""

    def make(
        retries: int = 0, kind: Any = OpenAIResponsesModel, *, options: dict[str, Any] | None = None, **more: Any
    ) -> OpenAIAgentsAgent:
        def object() -> Agent[Any]:
            return Agent(
                **{"name": "helper", "instructions": "Help.", "tools": tools.all(), "model": model(retries, kind)}
                | more
            )

        return OpenAIAgentsAgent("helper", object, **(options or {}))

    return make


class TestContract(AgentContract):
    @pytest.fixture
    def well(self, making: Making) -> Case:
        return Case(making(), script(*CAREFUL), lambda _: True)

    @pytest.fixture
    def badly(self, making: Making) -> Case:
        return Case(making(), script({"error": 401}))

    @pytest.fixture
    def endless(self, making: Making) -> Case:
        return Case(making(), script({"text": "waiting", "tools": [{"name": "wait"}]}))

    @pytest.fixture
    def refused(self, making: Making) -> Case:
        return Case(making(), {"prompt": "hello", "temperature": 1})

    @pytest.mark.slow
    async def test_another_attempt_comes_to_the_same_end(self, well: Case, tmp_path: Path) -> None:
        await super().test_another_attempt_comes_to_the_same_end(well, tmp_path)


@pytest.mark.parametrize("kind", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
async def test_a_run_tells_everything(
    making: Making, kind: Any, tmp_path: Path, golden: Golden, tools: Tools, model_server: ModelServer
) -> None:
    context = RecordingContext(script(*CAREFUL), cwd=tmp_path, answers=[True])
    events = await context.play(making(kind=kind))
    assert tools.added == [(1, 2)]
    assert tools.removed == ["notes.txt"]
    assert [question.tool_input for question in context.questions] == [{"path": "notes.txt"}]
    assert events[-1] == ev.RunCompleted(text="all done")
    golden(
        f"openai-agents/careful-{model_server.requests[0].protocol}",
        [e for e in events if not isinstance(e, ev.CustomRecorded)],
    )
