"""A graph of LangGraph, with the real library and a model that asks the scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest

pytest.importorskip("langgraph")

from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from openai import AsyncOpenAI

from sessionry.agents.frameworks import framework_agent
from sessionry.agents.frameworks.langgraph import LangGraphAgent
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_payload
from sessionry.ports import Decision
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import CAREFUL, SOON, said, script
from tests.agents.frameworks.chat_model import Chat, looping
from tests.agents.frameworks.conftest import OpenSessions
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


# --- what LangGraph has and others have not ---


class Counting(TypedDict):
    number: int
    topic: str


def counting(checkpointer: Any = None) -> Any:
    async def count(state: Counting) -> dict[str, Any]:
        return {"number": state.get("number", 0) + 1}

    builder = StateGraph(Counting)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    return builder.compile(checkpointer=checkpointer) if checkpointer else builder


async def test_a_graph_without_messages_gives_its_state(tmp_path: Path) -> None:
    agent = LangGraphAgent("x", counting(), prompt_key="topic")
    input = {"prompt": "geese", "state": {"number": 41}}
    events = await RecordingContext(input, cwd=tmp_path).play(agent)
    assert events[-1] == ev.RunCompleted(output={"number": 42, "topic": "geese"})


class Wanting(TypedDict):
    who: str


async def test_a_graph_reads_its_config_and_its_context(tmp_path: Path) -> None:
    async def read(state: Counting, *, runtime: Runtime[Wanting]) -> dict[str, Any]:
        return {"topic": f"{get_config()['configurable']['flavour']} for {runtime.context['who']}"}

    builder = StateGraph(Counting, context_schema=Wanting)
    builder.add_node("read", read)
    builder.add_edge(START, "read")
    options: dict[str, Any] = {"configurable": {"flavour": "mint"}, "context": lambda: {"who": "ann"}}
    events = await RecordingContext("x", cwd=tmp_path).play(LangGraphAgent("x", builder, prompt_key="topic", **options))
    assert events[-1] == ev.RunCompleted(output={"topic": "mint for ann"})


async def test_the_state_of_a_graph_goes_on_in_the_next_run(sessions: OpenSessions) -> None:
    agent = LangGraphAgent("x", counting(), prompt_key="topic")
    async with sessions({"x": agent}) as opened:
        session = await opened.create("x")
        results = [await (await session.run("geese")).result(SOON) for _ in range(3)]
    assert [result.output["number"] for result in results if isinstance(result.output, dict)] == [1, 2, 3]


async def test_a_graph_may_have_its_own_checkpointer(sessions: OpenSessions) -> None:
    saver = InMemorySaver()
    agent = LangGraphAgent("x", counting(saver), prompt_key="topic")
    async with sessions({"x": agent}) as opened:
        session = await opened.create("x")
        results = [await (await session.run("geese")).result(SOON) for _ in range(2)]
        kinds = {event.name async for data in session.events() if isinstance(event := data.data, ev.CustomRecorded)}
    assert [result.output["number"] for result in results if isinstance(result.output, dict)] == [1, 2]
    assert kinds == {"langgraph.input"}
    assert list(saver.storage) == [session.id]


async def test_a_function_may_be_a_graph(tmp_path: Path) -> None:
    @entrypoint()
    async def shout(text: str) -> str:
        return text.upper()

    events = await RecordingContext("hello", cwd=tmp_path).play(LangGraphAgent("x", shout, prompt_key=""))
    assert events[-1] == ev.RunCompleted(text="HELLO")


@pytest.mark.parametrize(
    ("answers", "allowed", "expected"),
    [
        ("bool", True, "True"),
        ("bool", False, "False"),
        ("note", True, "'go on'"),
        ("decision", True, "{'approved': True, 'by': 'ann', 'note': 'go on'}"),
    ],
)
async def test_an_interrupt_gets_the_answer_that_it_expects(
    tmp_path: Path, answers: Any, allowed: bool, expected: str
) -> None:
    @entrypoint()
    async def ask(text: str) -> str:
        return repr(interrupt(f"{text}?"))

    decision = Decision(approved=allowed, by="ann", note="go on")
    context = RecordingContext("really", cwd=tmp_path, answers=[decision])
    events = await context.play(LangGraphAgent("x", ask, prompt_key="", answers=answers))
    assert events[-1] == ev.RunCompleted(text=expected)
    assert (context.questions[0].tool_name, context.questions[0].reason) == ("interrupt", "really?")


async def test_the_interrupts_of_langchains_agents_are_questions_about_tools(tmp_path: Path) -> None:
    @entrypoint()
    async def ask(text: str) -> str:
        requests = [{"name": "send", "args": {"to": text}}, {"name": "remove", "args": {}, "description": "Remove?"}]
        return repr(interrupt({"action_requests": requests, "review_configs": []}))

    context = RecordingContext("ann", cwd=tmp_path, answers=lambda question: question.tool_name == "send")
    events = await context.play(LangGraphAgent("x", ask, prompt_key=""))
    assert {question.tool_name: question.tool_input for question in context.questions} == {
        "send": {"to": "ann"},
        "remove": {},
    }
    refused = {"type": "reject", "message": "The call was not allowed: denied by tester"}
    assert events[-1] == ev.RunCompleted(text=repr({"decisions": [{"type": "approve"}, refused]}))


async def test_the_log_of_a_long_conversation_grows_with_it_and_not_with_its_square(
    making: Making, sessions: OpenSessions
) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        sizes = []
        for _ in range(8):
            run = await session.run(script({"text": "word " * 200}))
            await run.result(SOON)
            recorded = await said(session, ev.CustomRecorded, await run.get())
            sizes.append(sum(len(encode_payload(data)) for data in recorded))
    assert sizes[-1] < sizes[0] * 1.3


def test_an_object_finds_its_agent() -> None:
    assert isinstance(framework_agent("x", counting(InMemorySaver())), LangGraphAgent)
