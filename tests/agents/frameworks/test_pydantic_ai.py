"""An Agent of Pydantic AI, with the real library against the scripted model server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai")

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from sessionry.agents.frameworks.pydantic_ai import PydanticAIAgent
from sessionry.domain import events as ev
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import CAREFUL, script
from tests.agents.real.conftest import Golden

Making = Callable[..., PydanticAIAgent]


class Tools:
    """What the agent's tools did."""

    def __init__(self) -> None:
        self.added: list[tuple[int, int]] = []
        self.removed: list[str] = []

    def into(self, agent: Agent[Any, Any]) -> Agent[Any, Any]:
        @agent.tool_plain
        async def add(a: int, b: int) -> int:
            self.added.append((a, b))
            return a + b

        @agent.tool_plain(requires_approval=True)
        async def remove(path: str) -> str:
            self.removed.append(path)
            return f"{path} is gone"

        @agent.tool_plain
        async def wait() -> str:
            await asyncio.Event().wait()
            return "never"

        @agent.tool_plain
        async def stumble() -> str:
            raise ModelRetry("nothing is there")

        return agent


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def model(model_server: ModelServer) -> AsyncIterator[Callable[..., Model]]:
    clients: list[AsyncOpenAI | AsyncAnthropic] = []

    def made(kind: str = "chat", retries: int = 0) -> Model:
        if kind == "anthropic":
            other = AsyncAnthropic(base_url=model_server.url, api_key="dummy", max_retries=retries)
            clients.append(other)
            return AnthropicModel("claude-opus-4-8", provider=AnthropicProvider(anthropic_client=other))
        client = AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="dummy", max_retries=retries)
        clients.append(client)
        provider = OpenAIProvider(openai_client=client)
        return (OpenAIChatModel if kind == "chat" else OpenAIResponsesModel)("gpt-5-mini", provider=provider)

    yield made
    for client in clients:
        await client.close()


@pytest.fixture
def making(model: Callable[..., Model], tools: Tools) -> Making:
    """The agent under test; its own agent is made for each run, with a client of its own."""

    def make(
        kind: str = "chat", retries: int = 0, *, options: dict[str, Any] | None = None, **more: Any
    ) -> PydanticAIAgent:
        def object() -> Agent[Any, Any]:
            return tools.into(Agent(model(kind, retries), instructions="Help.", **more))

        return PydanticAIAgent("helper", object, **(options or {}))

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


@pytest.mark.parametrize("kind", ["chat", "responses", "anthropic"])
async def test_a_run_tells_everything(making: Making, kind: str, tmp_path: Path, golden: Golden, tools: Tools) -> None:
    context = RecordingContext(script(*CAREFUL), cwd=tmp_path, answers=[True])
    events = await context.play(making(kind))
    assert tools.added == [(1, 2)]
    assert tools.removed == ["notes.txt"]
    assert [question.tool_input for question in context.questions] == [{"path": "notes.txt"}]
    assert events[-1] == ev.RunCompleted(text="all done")
    golden(f"pydantic-ai/careful-{kind}", [event for event in events if not isinstance(event, ev.CustomRecorded)])
