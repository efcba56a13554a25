"""What is true of the agents of all frameworks, with the real libraries, the scripted model server and a real store."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents")
pytest.importorskip("pydantic_ai")
pytest.importorskip("langgraph")

from openai import AsyncOpenAI

from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput
from sessionry.domain.lifecycle import RunStatus
from sessionry.ports import Agent, Capability, Decision
from sessionry.runtime.context import Context
from sessionry.runtime.handles import RunHandle
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.frameworks.asking import ADDING, CAREFUL, HELLO, SOON, ended, said, script
from tests.agents.frameworks.builders import KINDS, Deeds, built
from tests.agents.frameworks.conftest import OpenSessions
from tests.agents.real.conftest import Golden

Making = Callable[..., Agent]
WAITING: list[dict[str, Any]] = [{"text": "wait a moment", "tools": [{"name": "wait"}]}, {"text": "waited"}]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def deeds(tmp_path: Path) -> Deeds:
    (tmp_path / "work").mkdir()
    return Deeds(tmp_path / "work")


@pytest.fixture
async def making(kind: str, deeds: Deeds, model_server: ModelServer) -> AsyncIterator[Making]:
    clients: list[AsyncOpenAI] = []

    def make(retries: int = 0, **more: Any) -> Agent:
        def client() -> AsyncOpenAI:
            clients.append(AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="dummy", max_retries=retries))
            return clients[-1]

        return built(kind, deeds.folder, client, **more)

    yield make
    for client in clients:
        await client.close()


async def until(true: Callable[[], Any], seconds: float = 40.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


async def waiting(run: RunHandle) -> None:
    async with asyncio.timeout(40):
        while not await run.approvals(status="pending"):
            await asyncio.sleep(0.02)


# --- a run ---


async def test_hello_with_usage_and_cost(making: Making, sessions: OpenSessions) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        run = await ended(await session.run(script({**HELLO[0], "usage": {"input": 7, "output": 5, "cache_read": 3}})))
        assert run.status is RunStatus.COMPLETED
        assert run.turn_count == 1
        assert (run.usage.input_tokens, run.usage.output_tokens, run.usage.cache_read_tokens) == (7, 5, 3)
        assert run.cost is not None
        assert run.cost > Decimal()
        assert "".join(piece.text for piece in await said(session, ev.MessageStreamed)) == "Hello there, friend"
        assert [message.text for message in await said(session, ev.MessageReceived)] == ["Hello there, friend"]
        assert run.agent is not None
        assert run.agent.native_session_id == session.id


@pytest.mark.parametrize(("case", "steps"), [("hello", HELLO), ("denied", CAREFUL), ("unauthorised", [{"error": 401}])])
async def test_the_log_is_as_it_was(
    making: Making, kind: str, case: str, steps: list[dict[str, Any]], tmp_path: Path, golden: Golden
) -> None:
    decision = Decision(approved=False, by="ann", note="not today")
    context = RecordingContext(script(*steps), cwd=tmp_path, answers=[decision])
    events = await context.play(making())
    golden(f"{kind}/{case}", [event for event in events if not isinstance(event, ev.CustomRecorded)])


async def test_the_second_run_has_exactly_what_the_first_had(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        first = await ended(await session.run(script(*ADDING)))
        before = model_server.requests[-1].body
        second = await ended(await session.run(script({"text": "once more"})))
        after = model_server.requests[-1].body
        assert (first.status, second.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)
        key = "messages" if "messages" in before else "input"
        assert after[key][: len(before[key])] == before[key]
        assert len(after[key]) == len(before[key]) + 2
        assert not await said(session, ev.ContinuityReport)
        links = await said(session, ev.AgentSessionLinked, second)
        assert links[0].resumed
        assert links[-1].items is not None


async def test_the_conversation_outlives_the_process(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        await ended(await session.run(script(*ADDING)))
    async with sessions({"helper": making()}) as opened:
        await ended(await opened.session(session.id).run(script({"text": "again"})))
    assert len(model_server.requests[-1].prompts) == 2


async def test_what_another_agent_said_meanwhile_is_handed_over(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async def parrot(message: str) -> str:
        return f"the parrot says {message}"

    async with sessions({"helper": making(), "parrot": FunctionAgent("parrot", parrot)}) as opened:
        session = await opened.create("helper")
        await ended(await session.run(script(*HELLO)))
        await ended(await session.run("polly", agent="parrot"))
        run = await ended(await session.run(script({"text": "I see"})))
        (report,) = await said(session, ev.ContinuityReport, run)
        assert (report.mode, report.carried, report.previous_agents) == ("both", 2, ["parrot"])
        assert "the parrot says polly" in str(model_server.requests[-1].body)


@pytest.mark.parametrize("continuation", ["replay", "fresh"])
async def test_a_conversation_begins_anew(
    making: Making, sessions: OpenSessions, model_server: ModelServer, continuation: str
) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        await ended(await session.run(script(*HELLO)))
        run = await ended(await session.run(script({"text": "anew"}), continuation=continuation))
        assert run.status is RunStatus.COMPLETED
        replayed = "assistant" in str(model_server.requests[-1].body)
        assert replayed is (continuation == "replay")
        assert run.agent is not None
        assert run.agent.native_session_id != session.id
        third = await ended(await session.run(script({"text": "and on"})))
        assert third.agent is not None
        assert third.agent.native_session_id == run.agent.native_session_id


async def test_a_fork_is_refused_by_its_name(making: Making, sessions: OpenSessions) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        await ended(await session.run(script(*HELLO)))
        run = await ended(await session.run(script(*HELLO), continuation="fork"))
        assert run.error is not None
        assert run.error.code == "capability_not_supported"


async def test_a_typed_output_is_the_output_of_the_run(making: Making, kind: str, sessions: OpenSessions) -> None:
    if kind == "langgraph":
        pytest.skip("a graph has its own ways: test_langgraph.py")
    async with sessions({"helper": making(typed=True)}) as opened:
        session = await opened.create("helper")
        result = await (await session.run(script({"text": '{"city": "Oslo", "degrees": 4}'}))).result(SOON)
        assert result.output == {"city": "Oslo", "degrees": 4}


# --- approvals ---


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_person_decides(making: Making, deeds: Deeds, sessions: OpenSessions, allowed: bool) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        run = await session.run(script(*CAREFUL))
        await waiting(run)
        (approval,) = await run.approvals()
        assert (await approval.get()).tool_name == "remove"
        await (approval.approve("ann") if allowed else approval.deny("ann", "not today"))
        done = await ended(run)
        assert done.status is RunStatus.COMPLETED
        assert deeds.done() == ["add 1 2", *(["remove notes.txt"] if allowed else [])]
        started = await said(session, ev.ToolCallStarted)
        over = [each.tool_call_id for each in await said(session, ev.ToolCallCompleted)]
        over += [each.tool_call_id for each in await said(session, ev.ToolCallFailed)]
        assert sorted(each.tool_call_id for each in started) == sorted(over)


async def test_no_answer_in_time_is_a_denial(making: Making, deeds: Deeds, sessions: OpenSessions) -> None:
    async with sessions({"helper": making(approval_timeout=0.2)}) as opened:
        session = await opened.create("helper")
        run = await ended(await session.run(script(*CAREFUL)))
        assert run.status is RunStatus.COMPLETED
        assert len(await said(session, ev.ApprovalExpired)) == 1
        assert deeds.done() == ["add 1 2"]


async def test_an_answer_after_a_restart_is_enough(
    making: Making, deeds: Deeds, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"helper": making()}, grace=0) as opened:
        session = await opened.create("helper")
        run = await session.run(script(*CAREFUL))
        await waiting(run)
    asked_before = len(model_server.requests)
    async with sessions({"helper": making()}) as opened:
        (approval,) = await opened.approvals()
        await approval.approve("ann")
        done = await ended(opened.run(run.id))
    assert done.status is RunStatus.COMPLETED
    assert done.attempt == 2
    assert done.usage.input_tokens == 100 + 110 + 120
    assert deeds.done() == ["add 1 2", "remove notes.txt"]
    assert len(model_server.requests) == asked_before + 1, "no turn of the model was played again"


# --- being stopped and steered ---


async def test_a_cancelled_run_leaves_a_conversation_to_go_on_with(
    making: Making, deeds: Deeds, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        run = await session.run(script(*WAITING))
        await until(deeds.done)
        await run.cancel()
        assert (await ended(run)).status is RunStatus.CANCELLED
        following = await ended(await session.run(script({"text": "never mind"})))
        assert following.status is RunStatus.COMPLETED
        assert "interrupted" in str(model_server.requests[-1].body)


async def test_a_run_can_be_steered(
    making: Making,
    deeds: Deeds,
    sessions: OpenSessions,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard, next_steering = asyncio.Event(), Context.next_steering

    async def listens(context: Context) -> str:
        text = await next_steering(context)
        heard.set()
        return text

    monkeypatch.setattr(Context, "next_steering", listens)
    agent = making()
    if Capability.STEER not in agent.facts.capabilities:
        pytest.skip("it does not listen")
    async with sessions({"helper": agent}) as opened:
        session = await opened.create("helper")
        run = await session.run(script(*WAITING))
        await until(deeds.done)
        await run.steer("and be quick")
        await asyncio.wait_for(heard.wait(), 30)
        (deeds.folder / "go").touch()
        assert (await ended(run)).status is RunStatus.COMPLETED
        assert model_server.requests[-1].prompts[-1] == "and be quick"


async def test_turns_have_a_limit(making: Making, kind: str, sessions: OpenSessions) -> None:
    limit = {"recursion_limit": 2} if kind == "langgraph" else {"max_turns": 1}
    async with sessions({"helper": making(**limit)}) as opened:
        session = await opened.create("helper")
        run = await ended(await session.run(script(*ADDING)))
        assert run.error is not None
        assert run.error.code == "limit_reached"


# --- failures of the model ---


@pytest.mark.parametrize(
    ("step", "code", "retryable"),
    [
        ({"error": 401}, "auth", False),
        ({"error": 429, "retry_after": 7}, "rate_limited", True),
        ({"error": 500}, "overloaded", True),
        ({"text": "one two three four", "drop": True}, "agent_unavailable", True),
        ({"text": "one two", "sse_error": True}, "overloaded", True),
    ],
)
async def test_a_failure_of_the_model_is_told_by_its_kind(
    making: Making, sessions: OpenSessions, step: dict[str, Any], code: str, retryable: bool
) -> None:
    async with sessions({"helper": making()}) as opened:
        session = await opened.create("helper")
        run = await ended(await session.run(script(step)))
        assert run.error is not None
        assert (run.error.code, run.error.retryable) == (code, retryable), run.error
        assert run.error.retry_after == step.get("retry_after")
        following = await ended(await session.run(script({"text": "better"})))
        assert following.status is RunStatus.COMPLETED


async def test_the_client_of_the_model_tries_again(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"helper": making(retries=2)}) as opened:
        session = await opened.create("helper")
        run = await ended(await session.run(script({"error": 429, "times": 1, "retry_after": 0, "text": "fine"})))
        assert run.status is RunStatus.COMPLETED
        assert [request.status for request in model_server.requests] == [429, 200]


async def test_a_server_that_is_not_there_is_unavailable(kind: str, deeds: Deeds, sessions: OpenSessions) -> None:
    async with (
        AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="dummy", max_retries=0) as client,
        sessions({"helper": built(kind, deeds.folder, lambda: client)}) as opened,
    ):
        run = await ended(await (await opened.create("helper")).run("hello"))
    assert run.error is not None
    assert run.error.code == "agent_unavailable"


# --- kill -9 ---


@pytest.fixture
def worker(kind: str, deeds: Deeds, model_server: ModelServer, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    started: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "TEST_MODEL_URL": model_server.url,
        "TEST_FOLDER": str(deeds.folder),
        "TEST_KIND": kind,
    }

    def start() -> subprocess.Popen[bytes]:
        url = f"sqlite:///{tmp_path / 'store.db'}"
        command = [sys.executable, "-m", "tests.agents.frameworks.worker", url]
        started.append(subprocess.Popen(command, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
async def test_a_killed_worker_loses_no_answer_and_repeats_no_tool(
    making: Making, deeds: Deeds, sessions: OpenSessions, worker: Callable[[], Any], model_server: ModelServer
) -> None:
    async with sessions({"helper": making()}, worker=False) as opened:
        session = await opened.create("helper")
        run = await session.run(script(*CAREFUL))
        process = worker()
        await waiting(run)
        process.kill()
        process.wait()
        (approval,) = await run.approvals()
        await approval.approve("ann")
        asked_before = len(model_server.requests)
        worker()
        done = await ended(run)
        assert done.status is RunStatus.COMPLETED
        assert deeds.done() == ["add 1 2", "remove notes.txt"]
        assert len(model_server.requests) == asked_before + 1
        assert [message.text for message in await said(session, ev.MessageReceived)] == ["working on it", "all done"]
        assert done.usage.input_tokens == 100 + 110 + 120


@pytest.mark.slow
async def test_a_worker_that_is_killed_in_a_tool_goes_on_from_there(
    making: Making, kind: str, deeds: Deeds, sessions: OpenSessions, worker: Callable[[], Any]
) -> None:
    steps = [ADDING[0], WAITING[0], {"text": "done"}]
    async with sessions({"helper": making()}, worker=False) as opened:
        session = await opened.create("helper")
        run = await session.run(script(*steps))
        process = worker()
        await until(lambda: "wait" in deeds.done())
        process.kill()
        process.wait()
        (deeds.folder / "go").touch()
        worker()
        done = await ended(run)
        assert done.status is RunStatus.COMPLETED
        assert [message.text for message in await said(session, ev.MessageReceived)] == [
            "adding",
            "wait a moment",
            "done",
        ]
        again = ["wait"] if kind == "langgraph" else []  # LangGraph begins a node that was at work anew
        assert deeds.done() == ["add 1 2", "wait", *again]


def test_what_is_no_agent_is_refused_by_the_name_of_the_option(kind: str) -> None:
    from sessionry.agents.entries import Entry, make

    with pytest.raises(InvalidInput) as told:
        make(Entry("x", kind, {"object": "json:decoder"}))
    assert told.value.details["option"] == "object"


async def test_a_quota_is_known_by_the_code_in_the_body(making: Making, tmp_path: Path) -> None:
    step = {"error": 429, "message": "You exceeded it", "code": "insufficient_quota"}
    (*_, ending) = await RecordingContext(script(step), cwd=tmp_path).play(making())
    assert isinstance(ending, ev.RunFailed)
    assert (ending.error.code, ending.error.message) == ("quota", "You exceeded it")
