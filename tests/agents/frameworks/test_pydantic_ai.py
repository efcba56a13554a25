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
from pydantic_ai import Agent, ApprovalRequired, CallDeferred, ModelRetry, RunContext
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

from sessionry.agents.frameworks import framework_agent
from sessionry.agents.frameworks.pydantic_ai import PydanticAIAgent
from sessionry.domain import events as ev
from sessionry.domain.json_values import Json
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import CAREFUL, script
from tests.agents.frameworks.builders import Weather
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


# --- what Pydantic AI has and others have not ---


async def test_a_model_goes_before_the_agent_s_own(
    model: Callable[..., Model], tmp_path: Path, model_server: ModelServer
) -> None:
    agent = PydanticAIAgent("helper", lambda: Agent(model(), instructions="Help."), model="test")
    events = await RecordingContext("hello", cwd=tmp_path).play(agent)
    assert isinstance(events[-1], ev.RunCompleted)
    assert not model_server.asked, "another one was asked"


async def test_a_tool_that_wants_another_try_has_failed(making: Making, tmp_path: Path) -> None:
    context = RecordingContext(script({"tools": [{"name": "stumble"}]}, {"text": "oh: {last_tool}"}), cwd=tmp_path)
    events = await context.play(making())
    (failed,) = [event for event in events if isinstance(event, ev.ToolCallFailed)]
    assert failed.error.message == "nothing is there"
    assert isinstance(events[-1], ev.RunCompleted)
    assert "nothing is there" in str(events[-1].text)


async def test_calls_of_one_turn_run_together_and_only_the_careful_one_waits(
    making: Making, tmp_path: Path, tools: Tools
) -> None:
    calls = [{"name": "add", "input": {"a": 1, "b": 2}}, {"name": "remove", "input": {"path": "x"}}]
    context = RecordingContext(script({"tools": calls}, {"text": "done"}), cwd=tmp_path, answers=[False])
    events = await context.play(making())
    assert (tools.added, tools.removed) == ([(1, 2)], [])
    (failed,) = [event for event in events if isinstance(event, ev.ToolCallFailed)]
    assert (failed.tool_name, failed.error.code) == ("remove", "policy_violation")
    assert events[-1] == ev.RunCompleted(text="done")


async def test_a_typed_output_may_be_a_tool_call_of_which_the_log_shows_none(making: Making, tmp_path: Path) -> None:
    call = {"name": "final_result", "input": {"city": "Oslo", "degrees": 4}}
    context = RecordingContext(script({"tools": [call]}), cwd=tmp_path)
    events = await context.play(making(output_type=Weather))
    assert not [event for event in events if isinstance(event, ev.ToolCallStarted)]
    assert events[-1] == ev.RunCompleted(output={"city": "Oslo", "degrees": 4})


async def test_a_result_from_elsewhere_cannot_be_waited_for(model: Callable[..., Model], tmp_path: Path) -> None:
    def object() -> Agent[Any, Any]:
        agent = Agent(model())

        @agent.tool_plain
        async def elsewhere() -> str:
            raise CallDeferred

        return agent

    events = await RecordingContext(script({"tools": [{"name": "elsewhere"}]}), cwd=tmp_path).play(
        PydanticAIAgent("x", object)
    )
    assert isinstance(events[-1], ev.RunFailed)
    assert events[-1].error.code == "capability_not_supported"
    assert "elsewhere" in events[-1].error.message


async def test_a_tool_may_ask_while_it_works(model: Callable[..., Model], tmp_path: Path) -> None:
    did: list[str] = []

    def object() -> Agent[Any, Any]:
        agent = Agent(model())

        @agent.tool
        async def pay(context: RunContext[Any], amount: int) -> str:
            if amount > 10 and not context.tool_call_approved:
                raise ApprovalRequired
            did.append(f"paid {amount}")
            return "paid"

        return agent

    context = RecordingContext(
        script({"tools": [{"name": "pay", "input": {"amount": 99}}]}, {"text": "ok"}), cwd=tmp_path, answers=[True]
    )
    events = await context.play(PydanticAIAgent("x", object))
    assert did == ["paid 99"]
    assert len([event for event in events if isinstance(event, ev.ToolCallStarted)]) == 1
    assert events[-1] == ev.RunCompleted(text="ok")


async def test_the_tokens_of_an_agent_in_a_tool_are_counted_where_it_shares_the_usage(
    model: Callable[..., Model], tmp_path: Path
) -> None:
    def object() -> Agent[Any, Any]:
        inner, outer = Agent(model()), Agent(model())

        @outer.tool
        async def ask_inner(context: RunContext[Any]) -> str:
            return (await inner.run("hi", usage=context.usage)).output

        return outer

    prompt = script({"tools": [{"name": "ask_inner"}]}, {"text": "done"})
    events = await RecordingContext(prompt, cwd=tmp_path).play(PydanticAIAgent("outer", object))
    used = [event for event in events if isinstance(event, ev.TokenUsageUpdated)]
    assert [each.usage.input_tokens for each in used] == [100, 110, 100]


async def test_system_prompts_and_images_are_in_the_request(
    making: Making, tmp_path: Path, model_server: ModelServer
) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    input = {"prompt": script({"text": "yes"}), "images": [{"data": pixel, "media_type": "image/png"}]}
    system: dict[str, Json] = {"system_prompt": "Speak like a pirate."}
    context = RecordingContext(input, cwd=tmp_path, session_context=system)
    await context.play(making(system_prompt="You are a helper."))
    body = str(model_server.requests[-1].body)
    assert model_server.requests[-1].images == 1
    assert all(words in body for words in ("Speak like a pirate.", "You are a helper.", "Help."))


async def test_limits_and_dependencies_are_the_agents(model: Callable[..., Model], tmp_path: Path) -> None:
    def object() -> Agent[Any, Any]:
        agent = Agent(model(), deps_type=str)

        @agent.tool
        async def whoami(context: RunContext[str]) -> str:
            return context.deps

        return agent

    prompt = script({"tools": [{"name": "whoami"}]}, {"text": "you are {last_tool}"})
    made = PydanticAIAgent("x", object, deps="ann", usage_limits=UsageLimits(output_tokens_limit=10_000))
    assert (await RecordingContext(prompt, cwd=tmp_path).play(made))[-1] == ev.RunCompleted(text="you are ann")
    tight = PydanticAIAgent("x", object, deps="ann", usage_limits=UsageLimits(tool_calls_limit=0))
    ending = (await RecordingContext(prompt, cwd=tmp_path).play(tight))[-1]
    assert isinstance(ending, ev.RunFailed)
    assert ending.error.code == "limit_reached"


def test_an_object_finds_its_agent() -> None:
    assert isinstance(framework_agent("x", Agent("test"), max_turns=3), PydanticAIAgent)
