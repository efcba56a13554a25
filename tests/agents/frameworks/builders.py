"""One agent in three frameworks, with the same tools: what is true of all of them is tested once.

`add` and `remove` write down what they did, so that a test in another process sees it; `remove` has to be allowed; `wait`
says that it has begun and waits until the file `go` is there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from openai import AsyncOpenAI
from pydantic import BaseModel

from sessionry.ports import Agent

KINDS = ("openai-agents", "pydantic-ai", "langgraph")
MODEL = "gpt-5-mini"


class Weather(BaseModel):
    city: str
    degrees: int


class Deeds(NamedTuple):
    """What the tools do, in a folder."""

    folder: Path

    async def add(self, a: int, b: int) -> int:
        """Add two numbers."""
        self.note(f"add {a} {b}")
        return a + b

    async def remove(self, path: str) -> str:
        """Remove a file."""
        self.note(f"remove {path}")
        return f"{path} is gone"

    async def wait(self) -> str:
        """Wait."""
        self.note("wait")
        while not (self.folder / "go").exists():
            await asyncio.sleep(0.02)
        return "waited"

    def note(self, what: str) -> None:
        with (self.folder / "deeds").open("a") as file:
            file.write(what + "\n")

    def done(self) -> list[str]:
        path = self.folder / "deeds"
        return path.read_text().split("\n")[:-1] if path.exists() else []


def built(kind: str, folder: Path, client: Callable[[], AsyncOpenAI], *, typed: bool = False, **options: Any) -> Agent:
    """The agent, made anew for each run. `typed`: its output is a `Weather`."""
    deeds = Deeds(folder)
    makers: dict[str, Callable[[], Any]] = {
        "openai-agents": lambda: _openai(deeds, client(), typed),
        "pydantic-ai": lambda: _pydantic(deeds, client(), typed),
        "langgraph": lambda: _langgraph(deeds, client()),
    }
    from sessionry.agents.entries import TYPES, imported

    made: Agent = imported(TYPES[kind])("helper", makers[kind], **options)
    return made


def _openai(deeds: Deeds, client: AsyncOpenAI, typed: bool) -> Any:
    from agents import Agent as SdkAgent
    from agents import OpenAIResponsesModel, function_tool

    tools = [
        function_tool(deeds.add),
        function_tool(deeds.remove, needs_approval=True),
        function_tool(deeds.wait),
    ]
    return SdkAgent(
        name="helper",
        instructions="Help.",
        model=OpenAIResponsesModel(MODEL, client),
        tools=list(tools),
        output_type=Weather if typed else None,
    )


def _pydantic(deeds: Deeds, client: AsyncOpenAI, typed: bool) -> Any:
    from pydantic_ai import Agent as PydanticAgent
    from pydantic_ai import NativeOutput, Tool
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    output: Any = NativeOutput(Weather) if typed else str
    tools = [Tool(deeds.add), Tool(deeds.remove, requires_approval=True), Tool(deeds.wait)]
    model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(openai_client=client))
    return PydanticAgent(model, instructions="Help.", tools=tools, output_type=output)


def _langgraph(deeds: Deeds, client: AsyncOpenAI) -> Any:
    from langchain_core.tools import tool
    from langgraph.types import interrupt

    from tests.agents.frameworks.chat_model import Chat, looping

    async def remove(path: str) -> str:
        """Remove a file."""
        if not interrupt({"tool": "remove", "path": path}):
            return "it stays"
        return await deeds.remove(path)

    return looping(Chat(client=client), [tool(deeds.add), tool(remove), tool(deeds.wait)])


def of_environment() -> Agent:
    """The agent of a worker in another process."""
    url, folder = os.environ["TEST_MODEL_URL"], Path(os.environ["TEST_FOLDER"])
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="dummy", max_retries=0)
    return built(os.environ["TEST_KIND"], folder, lambda: client)
