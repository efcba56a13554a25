"""The agents that ship with the product keep the promises of every agent."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.function import FunctionAgent
from sessionry.agents.process import MARKS
from sessionry.agents.scripted import ScriptedAgent
from sessionry.agents.shell import ShellAgent
from sessionry.domain.events import (
    EventData,
    MessageReceived,
    ReasoningReceived,
    RunCompleted,
    TokenUsageUpdated,
    ToolCallCompleted,
    ToolCallStarted,
)
from sessionry.domain.run import Takeover
from sessionry.domain.usage import Usage
from sessionry.ports import AgentContext
from sessionry.testing.agent_contract import AgentContract, Case


class TestShellAgent(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        return Case(ShellAgent(approve=True), ["sh", "-c", "echo out; echo err >&2"], [True])

    @pytest.fixture
    def badly(self) -> Case:
        return Case(ShellAgent(), ["sh", "-c", "exit 3"])

    @pytest.fixture
    def endless(self) -> Case:
        ignores = "trap '' INT TERM; (setsid sh -c 'trap \"\" INT TERM; while :; do sleep 0.1; done' &)"
        return Case(ShellAgent(kill_grace=1), ["sh", "-c", f"{ignores}; while :; do echo more; sleep 0.1; done"])

    @pytest.fixture
    def refused(self) -> Case:
        return Case(ShellAgent(), "git status")


class TestFunctionAgent(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        async def works(context: AgentContext, message: str) -> AsyncIterator[str | EventData]:
            call = f"{context.idempotency_key}-ls"
            yield f"you said {message} "
            yield ToolCallStarted(tool_call_id=call, tool_name="ls")
            yield ToolCallCompleted(tool_call_id=call, tool_name="ls", tool_output=[])
            yield "yes" if await context.approve("rm") else "no"

        able = ["streaming", "tools", "approvals"]
        return Case(FunctionAgent("works", works, capabilities=able, takeover=Takeover.RESTART), "hi", [True])

    @pytest.fixture
    def badly(self) -> Case:
        async def breaks() -> None:
            raise LookupError("broken")

        return Case(FunctionAgent("breaks", breaks))

    @pytest.fixture
    def endless(self) -> Case:
        async def hangs() -> AsyncIterator[str]:
            yield "waiting"
            await asyncio.Event().wait()

        return Case(FunctionAgent("hangs", hangs))


class TestSyncFunctionAgent(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        def words(message: str) -> Iterator[str]:
            yield from ("you ", "said ", message)

        return Case(FunctionAgent("words", words))

    @pytest.fixture
    def badly(self) -> Case:
        return Case(FunctionAgent("returns_a_set", lambda: {1}))


class TestScriptedAgent(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        return Case(ScriptedAgent("demo", pace=0), "go", [True] * 2)

    @pytest.fixture
    def badly(self) -> Case:
        return Case(ScriptedAgent("failure", pace=0))

    @pytest.fixture
    def endless(self) -> Case:
        return Case(ScriptedAgent([{"say": "one two"}, "hang"]))

    @pytest.fixture
    def refused(self) -> Case:
        return Case(ScriptedAgent("demo"), {"prompt": "go", "pace": 0})


class TestTheContractItself:
    """It finds what it is there to find."""

    async def run(self, name: str, case: Case, tmp_path: Path) -> None:
        await getattr(AgentContract(), name)(case, tmp_path)

    async def test_it_finds_a_dangling_tool_call(self, tmp_path: Path) -> None:
        async def dangles() -> AsyncIterator[EventData]:
            yield ToolCallStarted(tool_call_id="1", tool_name="ls")

        with pytest.raises(AssertionError):
            await self.run("test_every_tool_call_is_started_once_and_ended_once", Case(made(dangles)), tmp_path)

    async def test_it_finds_ids_that_come_again(self, tmp_path: Path) -> None:
        async def repeats() -> AsyncIterator[EventData]:
            yield MessageReceived(text="hi", message_id="1")

        with pytest.raises(AssertionError, match="unique in a session"):
            await self.run("test_runs_at_the_same_time_do_not_mix", Case(made(repeats)), tmp_path)

    async def test_it_finds_tokens_that_are_counted_for_the_wrong_run(self, tmp_path: Path) -> None:
        so_far = Usage()

        async def counts() -> AsyncIterator[EventData]:
            nonlocal so_far
            so_far += Usage(input_tokens=10)
            yield TokenUsageUpdated(usage=so_far)

        with pytest.raises(AssertionError, match="the same work takes the same"):
            await self.run("test_runs_at_the_same_time_do_not_mix", Case(made(counts)), tmp_path)

    async def test_it_finds_what_was_not_declared(self, tmp_path: Path) -> None:
        async def thinks() -> AsyncIterator[EventData]:
            yield ReasoningReceived(text="hm")

        with pytest.raises(AssertionError):
            await self.run("test_it_does_only_what_it_declares", Case(made(thinks)), tmp_path)

    async def test_it_finds_a_process_that_was_left_behind(self, tmp_path: Path) -> None:
        left: list[subprocess.Popen[bytes]] = []

        async def leaves(context: AgentContext) -> AsyncIterator[str]:
            left.append(subprocess.Popen(["sleep", "60"], env={**os.environ, MARKS: context.run.id}))
            yield "started"
            await asyncio.Event().wait()

        name = "test_a_cancelled_run_stops_soon_and_leaves_nothing_behind"
        with pytest.raises(AssertionError, match="1 processes"):
            await self.run(name, Case(made(leaves)), tmp_path)
        for process in left:
            process.kill()
            process.wait()

    async def test_it_finds_a_task_that_was_left_behind(self, tmp_path: Path) -> None:
        left: list[asyncio.Task[bool]] = []

        async def leaves() -> AsyncIterator[str]:
            left.append(asyncio.create_task(asyncio.Event().wait()))
            yield "started"

        with pytest.raises(pytest.fail.Exception, match="left behind: processes set"):
            await self.run("test_a_closed_run_stops_soon_and_leaves_nothing_behind", Case(made(leaves)), tmp_path)
        left[0].cancel()

    async def test_it_finds_an_attempt_that_repeats_itself(self, tmp_path: Path) -> None:
        async def forgets() -> AsyncIterator[EventData]:
            yield MessageReceived(text="one")
            yield MessageReceived(text="two")

        case = Case(made(forgets, Takeover.RESUME))
        with pytest.raises(AssertionError, match="repeated or left out"):
            await self.run("test_another_attempt_comes_to_the_same_end", case, tmp_path)

    async def test_it_finds_a_word_after_the_end(self, tmp_path: Path) -> None:
        class Talks(FunctionAgent):
            async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
                yield RunCompleted()
                yield MessageReceived(text="one more thing")

        with pytest.raises(AssertionError, match="the run has ended"):
            await self.run("test_a_run_ends_well", Case(Talks("talks", lambda: None)), tmp_path)


def made(function: Callable[..., Any], takeover: Takeover = Takeover.STOP) -> FunctionAgent:
    return FunctionAgent("made", function, takeover=takeover)
