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
    GuardrailFunctionOutput,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunContextWrapper,
    function_tool,
    input_guardrail,
)
from sessionry.agents.frameworks import framework_agent
from sessionry.agents.frameworks.openai_agents import OpenAIAgentsAgent
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import ADDING, CAREFUL, HELLO, script
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
            fields: dict[str, Any] = {"instructions": "Help.", "tools": tools.all(), "model": model(retries, kind)}
            fields |= more
            return Agent(name="helper", **fields)

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


# --- what the SDK has and others have not ---


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


async def test_a_tool_that_fails_is_told_and_the_model_goes_on(making: Making, tmp_path: Path) -> None:
    context = RecordingContext(script({"tools": [{"name": "stumble"}]}, {"text": "oh: {last_tool}"}), cwd=tmp_path)
    events = await context.play(making())
    (failed,) = [event for event in events if isinstance(event, ev.ToolCallFailed)]
    assert failed.error.message == "nothing is there"
    assert isinstance(events[-1], ev.RunCompleted)
    assert "error" in str(events[-1].text), "the SDK tells the model that it failed, and not why"


async def test_a_handoff_is_a_tool_call_and_the_next_attempt_goes_on_with_the_new_agent(
    model: Callable[..., Model], tmp_path: Path, model_server: ModelServer
) -> None:
    def object() -> Agent[Any]:
        expert = Agent(name="expert", instructions="You are the expert.", model=model())
        return Agent(name="triage", instructions="You hand over.", model=model(), handoffs=[expert])

    agent = OpenAIAgentsAgent("triage", object)
    prompt = script({"tools": [{"name": "transfer_to_expert"}]}, {"text": "the expert speaks"})
    context = RecordingContext(prompt, cwd=tmp_path)
    await context.play(agent, until=lambda event: isinstance(event, ev.ToolCallCompleted))
    (done,) = context.data(ev.ToolCallCompleted)
    assert (done.tool_name, done.tool_output) == ("transfer_to_expert", {"agent": "expert"})
    events = await context.after_a_crash().play(agent)
    assert events[-1] == ev.RunCompleted(text="the expert speaks")
    assert model_server.requests[-1].body["instructions"] == "You are the expert."


async def test_the_tokens_of_an_agent_that_is_a_tool_are_counted(
    model: Callable[..., Model], tmp_path: Path, model_server: ModelServer
) -> None:
    def object() -> Agent[Any]:
        inner = Agent(name="inner", model=model())
        return Agent(name="outer", model=model(), tools=[inner.as_tool("ask_inner", "Ask.")])

    prompt = script({"tools": [{"name": "ask_inner", "input": {"input": "hi"}}]}, {"text": "done"})
    events = await RecordingContext(prompt, cwd=tmp_path).play(OpenAIAgentsAgent("outer", object))
    used = [event for event in events if isinstance(event, ev.TokenUsageUpdated)]
    assert len(model_server.requests) == 3
    assert [each.usage.input_tokens for each in used] == [100, 110, 100]
    assert used[-1].cost is None, "whose tokens these are is not told"


async def test_a_guardrail_ends_the_run_and_says_which(making: Making, tmp_path: Path) -> None:
    @input_guardrail
    async def never(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info={"why": "no"}, tripwire_triggered=True)

    events = await RecordingContext(script(*HELLO), cwd=tmp_path).play(making(input_guardrails=[never]))
    violation = next(event for event in events if isinstance(event, ev.PolicyViolation))
    assert (violation.policy, violation.kind, violation.details) == (
        "never",
        "input_guardrail",
        {"info": {"why": "no"}},
    )
    assert isinstance(events[-1], ev.RunFailed)
    assert events[-1].error.code == "policy_violation"


async def test_options_are_in_the_request(making: Making, tmp_path: Path, model_server: ModelServer) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    input = {"prompt": script(*HELLO), "images": [{"data": pixel, "media_type": "image/png"}]}
    system: dict[str, Json] = {"system_prompt": "Speak like a pirate."}
    context = RecordingContext(input, cwd=tmp_path, session_context=system)
    await context.play(making())
    body = model_server.requests[-1].body
    assert model_server.requests[-1].images == 1
    assert body["input"][0] == {"role": "system", "content": "Speak like a pirate."}
    assert body["instructions"] == "Help."


async def test_a_turn_limit_of_a_run_goes_before_that_of_the_agent(making: Making, tmp_path: Path) -> None:
    agent = making(options={"max_turns": 5})
    events = await RecordingContext({"prompt": script(*ADDING), "max_turns": 1}, cwd=tmp_path).play(agent)
    assert isinstance(events[-1], ev.RunFailed)
    assert events[-1].error.code == "limit_reached"


@pytest.mark.parametrize("tracing", [False, True])
async def test_tracing_sends_nothing_unless_it_is_wanted(making: Making, tmp_path: Path, *, tracing: bool) -> None:
    from agents.tracing import set_trace_processors
    from agents.tracing.processor_interface import TracingProcessor

    seen: list[Any] = []

    class Seeing(TracingProcessor):
        def on_trace_start(self, trace: Any) -> None:
            seen.append(trace)

        def on_trace_end(self, trace: Any) -> None: ...
        def on_span_start(self, span: Any) -> None:
            seen.append(span)

        def on_span_end(self, span: Any) -> None: ...
        def shutdown(self) -> None: ...
        def force_flush(self) -> None: ...

    set_trace_processors([Seeing()])  # and not the one that sends
    await RecordingContext(script(*ADDING), cwd=tmp_path).play(making(options={"tracing": tracing}))
    assert bool(seen) is tracing
    set_trace_processors([])


async def test_its_tools_get_the_context_and_its_model_the_settings(
    making: Making, tmp_path: Path, model_server: ModelServer
) -> None:
    from agents import ModelSettings, RunConfig

    @function_tool
    async def who(context: RunContextWrapper[dict[str, str]]) -> str:
        """Say who it is for."""
        return context.context["who"]

    config = RunConfig(model_settings=ModelSettings(temperature=0.25))
    agent = making(tools=[who], options={"context": lambda: {"who": "ann"}, "run_config": config})
    events = await RecordingContext(script({"tools": [{"name": "who"}]}, {"text": "done"}), cwd=tmp_path).play(agent)
    assert [event.tool_output for event in events if isinstance(event, ev.ToolCallCompleted)] == ["ann"]
    assert model_server.asked[0].body["temperature"] == 0.25


def test_an_object_finds_its_agent() -> None:
    made = framework_agent("x", Agent(name="x"), max_turns=3)
    assert isinstance(made, OpenAIAgentsAgent)
    with pytest.raises(InvalidInput, match="none of the frameworks"):
        framework_agent("x", object())
