"""Every option of the agents that are objects of a framework arrives: in the requests that left, or in what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import pytest

pytest.importorskip("agents")
pytest.importorskip("pydantic_ai")
pytest.importorskip("langgraph")

import pydantic_ai
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIResponsesModel as PydanticModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

import agents
from sessionry.agents.entries import TYPES, imported
from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.ports import Decision
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer, Received
from tests.agents.arrivals import Arrival, arrives, named, of_runs
from tests.agents.frameworks.asking import script
from tests.agents.frameworks.builders import MODEL

#: What the SDK's tracing was told.
TRACED: list[Any] = []


class Left(NamedTuple):
    asked: list[Received]
    traced: list[Any]
    context: RecordingContext
    problem: SessionryError | None

    @property
    def done(self) -> ev.RunCompleted:
        return self.context.data(ev.RunCompleted)[0]

    @property
    def error(self) -> str:
        return self.context.data(ev.RunFailed)[0].error.code

    @property
    def output(self) -> Any:
        """What the only tool gave, or the graph."""
        calls = self.context.data(ev.ToolCallCompleted)
        return calls[0].tool_output if calls else self.done.output


class Tracing(agents.TracingProcessor):
    def on_trace_start(self, trace: Any) -> None:
        TRACED.append(trace)

    def on_trace_end(self, trace: Any) -> None: ...
    def on_span_start(self, span: Any) -> None: ...
    def on_span_end(self, span: Any) -> None: ...
    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


@agents.function_tool
async def who(context: agents.RunContextWrapper[Any]) -> str:
    """Say who it is for."""
    return str(context.context)


@agents.function_tool(needs_approval=True)
async def remove() -> str:
    """Remove everything."""
    return "gone"


def openai_agent(client: AsyncOpenAI, instructions: str = "Help.") -> Any:
    model = agents.OpenAIResponsesModel(MODEL, client)
    return agents.Agent(name="helper", instructions=instructions, model=model, tools=[who, remove])


def pydantic_agent(client: AsyncOpenAI, instructions: str = "Help.") -> Any:
    model = PydanticModel(MODEL, provider=OpenAIProvider(openai_client=client))
    made = pydantic_ai.Agent(model, instructions=instructions, deps_type=str)

    @made.tool
    async def who(context: pydantic_ai.RunContext[str]) -> str:
        return str(context.deps)

    @made.tool_plain(requires_approval=True)
    async def remove() -> str:
        return "gone"

    return made


class State(TypedDict, total=False):
    topic: str
    told: str
    more: str


class Wanting(TypedDict):
    who: str


def graph(_client: AsyncOpenAI, instructions: str = "Help.") -> Any:
    """Tells what it is given. Of the topic `ask`, it asks a person, and tells what it was answered."""

    async def tell(state: State, *, runtime: Runtime[Wanting]) -> dict[str, Any]:
        configured = get_config()["configurable"].get("flavour")
        wanted = (runtime.context or {}).get("who")
        answered = repr(interrupt("Really?")) if state.get("topic") == "ask" else None
        return {"told": f"{instructions} {configured} {wanted} {answered}"}

    async def pause(_: State) -> dict[str, Any]:
        return {}

    builder: Any = StateGraph(State, context_schema=Wanting)
    builder.add_node("tell", tell)
    builder.add_node("pause", pause)
    builder.add_edge(START, "tell")
    builder.add_edge("tell", "pause")
    return builder


def told(left: Left) -> list[str]:
    return str(left.output["told"]).split()


#: In the place of an object, the name of one that is made with a client of the test's own.
OTHER = "other"
WHO = script({"tools": [{"name": "who"}]}, {"text": "done"})
REMOVES = script({"tools": [{"name": "remove"}]}, {"text": "done"})
OF_BOTH = [
    Arrival("max_turns", 1, lambda left: left.error, "limit_reached", input=WHO),
]
OPENAI_MODEL = Arrival("model", "gpt-5-nano", lambda left: left.asked[0].model, "gpt-5-nano")
#: Pydantic AI's own, which asks nobody.
PYDANTIC_MODEL = Arrival("model", "test", lambda left: len(left.asked), 0)
RECURSION = Arrival("recursion_limit", 1, lambda left: left.error, "limit_reached", beside={"prompt_key": "topic"})
STATE = Arrival(
    "state", {"more": "x"}, lambda left: left.output["more"], "x", of_run=True, beside={"prompt_key": "topic"}
)
ASKED = Arrival("approval_timeout", 9.0, lambda left: left.context.questions[0].timeout, 9.0, input=REMOVES)
OBJECT = Arrival("object", OTHER, lambda left: left.asked[0].body["instructions"], "Be another.")
ARRIVALS = {
    "openai-agents": [
        *(*OF_BOTH, OPENAI_MODEL, *of_runs([*OF_BOTH, OPENAI_MODEL], "model", "max_turns"), ASKED, OBJECT),
        Arrival("tracing", True, lambda left: len(left.traced), 1),
        Arrival("context", "ann", lambda left: left.output, "ann", input=WHO),
        Arrival("context", lambda: "bea", lambda left: left.output, "bea", input=WHO),
        Arrival(
            "run_config",
            agents.RunConfig(model_settings=agents.ModelSettings(temperature=0.25)),
            lambda left: left.asked[0].body["temperature"],
            0.25,
        ),
    ],
    "pydantic-ai": [
        *(*OF_BOTH, PYDANTIC_MODEL, *of_runs([*OF_BOTH, PYDANTIC_MODEL], "model", "max_turns"), ASKED, OBJECT),
        Arrival("deps", "ann", lambda left: left.output, "ann", input=WHO),
        Arrival("usage_limits", UsageLimits(tool_calls_limit=0), lambda left: left.error, "limit_reached", input=WHO),
    ],
    "langgraph": [
        *(RECURSION, *of_runs([RECURSION], "recursion_limit"), STATE),
        Arrival("object", OTHER, lambda left: told(left)[1], "another.", beside={"prompt_key": "topic"}),
        Arrival("prompt_key", "topic", lambda left: left.output["topic"], "hello"),
        Arrival("answers", "note", lambda left: told(left)[-1], "'fine'", beside={"prompt_key": "topic"}, input="ask"),
        Arrival(
            "approval_timeout",
            9.0,
            lambda left: left.context.questions[0].timeout,
            9.0,
            beside={"prompt_key": "topic"},
            input="ask",
        ),
        Arrival(
            "configurable", {"flavour": "mint"}, lambda left: told(left)[1], "mint", beside={"prompt_key": "topic"}
        ),
        Arrival("context", {"who": "ann"}, lambda left: told(left)[2], "ann", beside={"prompt_key": "topic"}),
    ],
}
MAKERS: dict[str, Callable[..., Any]] = {
    "openai-agents": openai_agent,
    "pydantic-ai": pydantic_agent,
    "langgraph": graph,
}


@pytest.mark.parametrize(
    ("type", "arrival"),
    [(type, row) for type, table in ARRIVALS.items() for row in table],
    ids=[f"{type}-{named(row)}" for type, table in ARRIVALS.items() for row in table],
)
async def test_every_option_arrives(type: str, arrival: Arrival, model_server: ModelServer, tmp_path: Path) -> None:
    agents.set_trace_processors([Tracing()])  # and not the one that sends

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        TRACED.clear()
        before = len(model_server.asked)
        async with AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="dummy", max_retries=0) as client:
            agents.set_default_openai_client(client, use_for_tracing=False)
            words = ["Be another."] if options.pop("object", None) else []
            agent = imported(TYPES[type])("x", MAKERS[type](client, *words), **options)
            answer = Decision(approved=True, by="ann", note="fine")
            context = RecordingContext(agent.check(input), cwd=folder, answers=lambda _: answer)
            problem = None
            try:
                await context.play(agent)
            except SessionryError as error:
                problem = error
        return Left(model_server.asked[before:], list(TRACED), context, problem)

    await arrives(arrival, tmp_path, play)
    agents.set_trace_processors([])
