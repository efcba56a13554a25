"""Python functions as tools: what a model is told of them, how they are called, and who is asked before."""

from __future__ import annotations

import asyncio
import threading
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from sessionry.agents.models.tools import Tool, Toolbox, tool
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput
from sessionry.ports import AgentContext, Decision
from sessionry.testing.context import Question, RecordingContext
from tests.agents.models.conftest import Making, script
from tests.agents.models.host_tools import add, deploy, traces
from tests.agents.models.test_answers import completed


class Point(msgspec.Struct):
    x: int
    y: int = 0


def everything(
    text: str,
    number: float,
    points: list[Point],
    kind: Literal["a", "b"] = "a",
    *,
    day: date | None = None,
    tags: list[str] = [],  # noqa: B006  a default like people write it
    limit: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3,
) -> dict[str, Any]:
    """Do everything.

    It takes its time.

    Args:
        text: what it is about,
            in as many words as it takes
        number (float): how many

    Returns:
        what came of it
    """
    return {"day": day, "points": points, "tags": tags, "limit": limit}


def sphinx(path: str, depth: int = 1) -> None:
    """List a folder.

    :param path: where
    :param int depth: how deep
    :return: nothing
    """


# --- what the model is told ---


def test_the_schema_comes_from_types_and_docstring() -> None:
    spec = Tool(everything).spec
    properties = spec.parameters["properties"]
    assert spec.description == "Do everything.\n\nIt takes its time."
    assert properties["text"] == {"type": "string", "description": "what it is about, in as many words as it takes"}
    assert properties["number"] == {"type": "number", "description": "how many"}
    assert properties["kind"]["enum"] == ["a", "b"]
    assert properties["tags"] == {"type": "array", "items": {"type": "string"}, "default": []}
    assert (properties["limit"]["minimum"], properties["limit"]["maximum"]) == (1, 9)
    assert spec.parameters["required"] == ["text", "number", "points"]
    assert spec.parameters["$defs"]["Point"]["properties"]["x"] == {"type": "integer"}


def test_docstrings_may_be_those_of_sphinx() -> None:
    spec = Tool(sphinx).spec
    assert spec.description == "List a folder."
    assert spec.parameters["properties"]["path"]["description"] == "where"
    assert spec.parameters["properties"]["depth"]["description"] == "how deep"


def test_the_context_is_no_parameter() -> None:
    def by_type(thing: AgentContext, a: int) -> None: ...
    def by_name(context, a): ...  # type: ignore[no-untyped-def]

    for function in (by_type, by_name):
        assert list(Tool(function).spec.parameters["properties"]) == ["a"]


def test_the_decorator_gives_another_name_and_description() -> None:
    @tool(name="rm", description="Remove a file.", approve=True)
    def remove(path: str) -> None: ...

    made = Tool(remove)
    assert (made.spec.name, made.spec.description, made.approve) == ("rm", "Remove a file.", True)


def test_objects_that_can_be_called_are_tools() -> None:
    class Search:
        def __call__(self, words: str) -> str:
            """Search."""
            return words

    assert Tool(Search()).spec.name == "Search"
    assert list(Tool(Search()).spec.parameters["properties"]) == ["words"]


def test_a_partial_is_a_tool_with_what_is_left() -> None:
    spec = Tool(partial(add, b=5)).spec
    assert (spec.name, spec.description) == ("add", "Add two numbers.")
    assert spec.parameters["required"] == ["a"]


def positional(a: int, /) -> None: ...
def many(*names: str) -> None: ...
def anything(**fields: str) -> None: ...
def odd(thing: threading.Thread) -> None: ...


@pytest.mark.parametrize("function", [positional, many, anything, odd, lambda x: x])
def test_what_cannot_be_a_tool_is_refused(function: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        Toolbox([function])
    assert told.value.details["option"] == "tools"


# --- how it is called ---


async def play(making: Making, tmp_path: Path, functions: list[Any], *calls: dict[str, Any], **options: Any) -> Any:
    answers = options.pop("answers", ())
    context = RecordingContext(script({"tools": list(calls)}, {"text": "{last_tool}"}), cwd=tmp_path, answers=answers)
    events = await context.play(making(tools=functions, **options))
    return context, completed(events).text


async def test_arguments_become_what_the_types_say(making: Making, tmp_path: Path) -> None:
    call: dict[str, Any] = {"text": "t", "number": 1, "points": [{"x": 1}], "day": "2026-02-03"}
    context, _ = await play(making, tmp_path, [everything], {"name": "everything", "input": call})
    (done,) = context.data(ev.ToolCallCompleted)
    assert done.tool_output == {"day": "2026-02-03", "points": [{"x": 1, "y": 0}], "tags": [], "limit": 3}


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ({"a": "one"}, "Expected `int`, got `str` - at `$.a`"),
        ({}, "missing required field `a`"),
        ({"a": 1, "c": 2}, "unknown field `c`"),
    ],
)
async def test_wrong_arguments_go_back_to_the_model(
    making: Making, tmp_path: Path, input: dict[str, Any], said: str
) -> None:
    context, text = await play(making, tmp_path, [add], {"name": "add", "input": input})
    assert said in text
    assert [failed.error.code for failed in context.data(ev.ToolCallFailed)] == ["validation_error"]


async def test_a_tool_that_is_not_there_is_told_of(making: Making, tmp_path: Path) -> None:
    _, text = await play(making, tmp_path, [add], {"name": "subtract"})
    assert text == "there is no tool 'subtract'; the tools are add"


async def test_what_a_tool_raises_goes_back_to_the_model(making: Making, tmp_path: Path) -> None:
    def breaks() -> None:
        raise LookupError("nothing there")

    context, text = await play(making, tmp_path, [breaks], {"name": "breaks"})
    assert text == "LookupError: nothing there"
    assert [failed.error.code for failed in context.data(ev.ToolCallFailed)] == ["agent_failed"]


async def test_what_json_cannot_hold_is_a_failure_of_the_tool(making: Making, tmp_path: Path) -> None:
    def gives() -> Any:
        return {1, object()}

    context, _ = await play(making, tmp_path, [gives], {"name": "gives"})
    assert len(context.data(ev.ToolCallFailed)) == 1


async def test_nothing_is_told_as_done(making: Making, tmp_path: Path) -> None:
    async def nothing() -> None: ...

    _, text = await play(making, tmp_path, [nothing], {"name": "nothing"})
    assert text == "done"


async def test_a_sync_tool_works_in_a_thread_and_blocks_nobody(making: Making, tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=30)

    def meets() -> str:
        together.wait()
        return threading.current_thread().name

    context, _ = await play(making, tmp_path, [meets], {"name": "meets"}, {"name": "meets"})
    threads = {done.tool_output for done in context.data(ev.ToolCallCompleted)}
    assert len(threads) == 2
    assert threading.main_thread().name not in threads


async def test_results_keep_the_order_of_the_calls(making: Making, tmp_path: Path, model_server: Any) -> None:
    begun = asyncio.Barrier(3)

    async def slow(seconds: float) -> float:
        async with asyncio.timeout(30):
            await begun.wait()
        await asyncio.sleep(seconds)
        return seconds

    calls = [{"name": "slow", "id": f"t{n}", "input": {"seconds": n / 50}} for n in (3, 1, 2)]
    context, _ = await play(making, tmp_path, [slow], *calls)
    done = [done.tool_output for done in context.data(ev.ToolCallCompleted)]
    assert done == sorted(done), "they worked at the same time"
    told = str(model_server.requests[1].body).split("t3', ")[-1]
    assert told.index("0.06") < told.index("0.02") < told.index("0.04")


async def test_no_more_work_at_once_than_allowed(making: Making, tmp_path: Path) -> None:
    at_work, most = 0, 0

    async def works() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        at_work -= 1

    await play(making, tmp_path, [works], *[{"name": "works"}] * 5, parallel_tools=2)
    assert most == 2


# --- who is asked ---

DEPLOY = {"name": "deploy", "input": {"to": "staging"}}


async def test_a_marked_tool_waits_for_a_person(making: Making, tmp_path: Path) -> None:
    context, text = await play(making, tmp_path, [deploy], DEPLOY, answers=[True])
    assert text == "deployed to staging"
    (question,) = context.questions
    assert (question.tool_name, question.tool_input) == ("deploy", {"to": "staging"})
    assert question.tool_call_id == context.data(ev.ToolCallStarted)[0].tool_call_id


async def test_a_denial_goes_back_to_the_model_with_its_note(making: Making, tmp_path: Path) -> None:
    no = Decision(approved=False, by="ann", note="not on Fridays")
    context, text = await play(making, tmp_path, [deploy], DEPLOY, answers=[no])
    assert text == "not allowed: denied by ann: not on Fridays"
    assert traces(tmp_path, "deploy") == 0
    assert [failed.error.code for failed in context.data(ev.ToolCallFailed)] == ["policy_violation"]


async def test_no_answer_in_time_is_a_denial(making: Making, tmp_path: Path, sessions: Any) -> None:
    async with sessions({"model": making(tools=[deploy], approval_timeout=0.1)}) as opened:
        session = await opened.create("model", cwd=str(tmp_path))
        run = await session.run(script({"tools": [DEPLOY]}, {"text": "{last_tool}"}))
        result = await run.result()
        assert result.text == "not allowed: nobody decided in time"
        types = [event.type async for event in run.events(follow=False)]
    assert "approval_expired" in types
    assert traces(tmp_path, "deploy") == 0


@pytest.mark.parametrize(
    ("approve", "asked"),
    [(None, ["deploy"]), ("always", ["add", "deploy"]), ("never", []), (["add"], ["add", "deploy"]), ([], ["deploy"])],
)
async def test_who_is_asked_is_an_option(making: Making, tmp_path: Path, approve: Any, asked: list[str]) -> None:
    def yes(_: Question) -> bool:
        return True

    calls = [{"name": "add", "input": {"a": 1}}, DEPLOY]
    context, _ = await play(making, tmp_path, [add, deploy], *calls, approve=approve, answers=yes)
    assert [question.tool_name for question in context.questions] == asked
    able = making(tools=[add, deploy], approve=approve).facts.capabilities
    assert ("approvals" in able) == bool(asked)


async def test_nobody_is_asked_about_a_call_that_cannot_be_made(making: Making, tmp_path: Path) -> None:
    call = {"name": "deploy", "input": {"to": "the moon"}}
    context, text = await play(making, tmp_path, [deploy], call)
    assert context.questions == []
    assert "Invalid enum value" in text
