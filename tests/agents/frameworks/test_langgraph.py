"""A graph of LangGraph, with the real library and a model that asks the scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph")

from langchain_core.tools import tool
from langgraph.types import interrupt
from openai import AsyncOpenAI

from sessionry.agents.frameworks.langgraph import LangGraphAgent
from sessionry.domain import events as ev
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import CAREFUL, script
from tests.agents.frameworks.chat_model import Chat, looping
from tests.agents.real.conftest import Golden

Making = Callable[..., LangGraphAgent]


class Tools:
    """What the graph's tools did."""

    def __init__(self) -> None:
        self.added: list[tuple[int, int]] = []
        self.removed: list[str] = []

    def all(self) -> list[Any]:
        @tool
        async def add(a: int, b: int) -> int:
            """Add two numbers."""
            self.added.append((a, b))
            return a + b

        @tool
        async def remove(path: str) -> str:
            """Remove a file."""
            if not interrupt({"tool": "remove", "path": path, "question": f"Remove {path}?"}):
                return "it stays"
            self.removed.append(path)
            return f"{path} is gone"

        @tool
        async def wait() -> str:
            """Wait for ever."""
            await asyncio.Event().wait()
            return "never"

        return [add, remove, wait]


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def chat(model_server: ModelServer) -> AsyncIterator[Callable[..., Chat]]:
    clients: list[AsyncOpenAI] = []

    def made(retries: int = 0) -> Chat:
        clients.append(AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="dummy", max_retries=retries))
        return Chat(client=clients[-1])

    yield made
    for client in clients:
        await client.close()


@pytest.fixture
def making(chat: Callable[..., Chat], tools: Tools) -> Making:
    """The agent under test; its graph is made for each run, with a client of its own."""

    def make(retries: int = 0, *, saver: Any = None, **options: Any) -> LangGraphAgent:
        return LangGraphAgent("helper", lambda: looping(chat(retries), tools.all(), saver), **options)

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


async def test_a_run_tells_everything(making: Making, tmp_path: Path, golden: Golden, tools: Tools) -> None:
    context = RecordingContext(script(*CAREFUL), cwd=tmp_path, answers=[True])
    events = await context.play(making())
    assert tools.added == [(1, 2)]
    assert tools.removed == ["notes.txt"]
    assert events[-1] == ev.RunCompleted(text="all done")
    golden("langgraph/careful", [event for event in events if not isinstance(event, ev.CustomRecorded)])
