"""Real agents of the Agent Client Protocol in runs of a real store: people answer late, speak up, and processes die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.acp import AcpAgent
from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.domain.usage import Usage
from sessionry.ports import Capability
from tests.agents.processes import alive, until
from tests.agents.real.acp import acp, data, first, kept, log_of, options_of, pid_in, script, shell
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow

FOUR = ("qwen", "gemini", "claude-agent-acp", "codex-acp")
four = pytest.mark.parametrize("name", FOUR)
#: Whether it finds a session again within the minute is chance: no golden logs of what follows.
LATE = ("gemini",)
#: Seconds of a run with a deadline.
TIME = 25.0
ROOT = Path(__file__).parents[3]


@four
async def test_a_question_that_nobody_answers_in_time_is_a_denial(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"acp": acp(hermetic, name, approval_timeout=0.2)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        events = await log_of(await session.run(script(shell(name, "echo hi > out.txt"), {"text": "then not"})))
    assert data(events, ev.ApprovalExpired)
    assert data(events, ev.ToolCallFailed)[0].error.message == "nobody decided in time"
    assert not (hermetic.work / "out.txt").exists()
    golden(f"acp-{name}/expired", kept(events))


@four
async def test_a_run_whose_time_is_over_takes_its_command_along(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    pid = hermetic.work / "pid"
    async with sessions({"acp": acp(hermetic, name)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        command = shell(name, "echo $$ > pid; exec sleep 78")
        if name == "codex-acp":  # which otherwise goes on after ten seconds while the command still runs
            command["tools"][0]["input"]["yield_time_ms"] = 30_000
        steps = script({"text": "on it"} | command, {"text": "never"})
        run = await session.run(steps, timeout=TIME)  # qwen thinks for seconds about a command, and machines are busy
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals())[0].approve()
        await until(lambda: pid_in(pid) is not None, 20)
        events = await log_of(run)
    child = pid_in(pid)
    assert child is not None
    assert not alive(child)
    assert isinstance(events[-1].data, ev.RunTimeout)
    assert data(events, ev.ToolCallInterrupted)
    (begun,) = (event.at for event in events if isinstance(event.data, ev.RunStarted))
    assert TIME - 0.5 < (events[-1].at - begun).total_seconds() < 77, "its time, and not the command's"
    golden(f"acp-{name}/deadline", kept(events))


@pytest.mark.parametrize("name", ["claude-agent-acp", "codex-acp"])
async def test_a_word_of_a_person_reaches_the_agent_at_work(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    agent = acp(hermetic, name)
    assert Capability.STEER in agent.facts.capabilities
    async with sessions({"acp": agent}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        run = await session.run(script({"text": ["one ", "two ", "three"], "delay": 1.2}))
        await first(run, ev.MessageStreamed)
        await run.steer("use pytest")
        events = await log_of(run)
    assert any("use pytest" in str(asked.body) for asked in hermetic.server.asked)
    assert data(events, ev.RunCompleted)[0].text == "echo: use pytest"
    golden(f"acp-{name}/steer", kept(events))


@pytest.mark.parametrize("name", ["qwen", "gemini"])
async def test_an_agent_that_takes_no_word_at_work_says_so_and_works_on(
    name: str, hermetic: Hermetic, sessions: OpenSessions
) -> None:
    """What the two in the test before can do, these two cannot: the protocol has no word for it."""
    async with sessions({"acp": acp(hermetic, name)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        run = await session.run(script({"text": ["one ", "two"], "delay": 0.6}))
        await first(run, ev.MessageStreamed)
        with pytest.raises(SessionryError, match="takes no input while it works"):
            await run.steer("use pytest")
        events = await log_of(run)
    assert data(events, ev.RunCompleted)[0].text == "one two"


@four
async def test_usage_and_cost_are_the_run_s_own(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    prompt = script({"text": "counted", "usage": {"input": 1000, "output": 200, "cache_read": 300}})
    async with sessions({"acp": acp(hermetic, name)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        runs = [await session.run(prompt) for _ in range(2)]
        results = [await run.result(60) for run in runs]
        events = await log_of(runs[-1])
    used = Usage(input_tokens=1000, output_tokens=200, cache_read_tokens=300)
    if name == "gemini":  # it tells no more than the sum of what went in
        used = Usage(input_tokens=1300, output_tokens=200)
    assert [result.usage for result in results] == [used, used]
    assert results[0].cost == results[1].cost
    if name == "qwen":  # nobody has a price for its scripted model
        assert results[0].cost is None
    else:
        assert isinstance(results[0].cost, Decimal)
        assert results[0].cost > 0
    if name not in LATE:
        golden(f"acp-{name}/usage", kept(events))


async def test_opencode_says_what_it_costs(hermetic: Hermetic, sessions: OpenSessions) -> None:
    agent = acp(hermetic, "opencode")
    model = {"cost": {"input": 1, "output": 2}, "limit": {"context": 128_000, "output": 8_192}}
    hermetic.opencode(config={"provider": {"scripted": {"models": {"scripted-model": model}}}})
    async with sessions({"acp": agent}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        prompt = script({"text": "counted", "usage": {"input": 1000, "output": 200}})
        result = await (await session.run(prompt)).result(60)
    assert result.cost == Decimal("0.0014")


# --- what dies ---


class Worker:
    """A worker in a process of its own, at work on one run."""

    def __init__(self, tmp_path: Path, hermetic: Hermetic, name: str, prompt: str) -> None:
        self.options = options_of(hermetic, name)
        given = {"url": f"sqlite:///{tmp_path / 'store.db'}", "cwd": str(hermetic.work), "prompt": prompt}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.agents.real.acp_worker", json.dumps({**given, "agent": self.options})],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.run_id: str = json.loads(self.process.stdout.readline())["run"]

    def agent(self) -> AcpAgent:
        """The same agent for another worker."""
        return AcpAgent(**self.options)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.kill()


@four
async def test_a_question_that_waited_through_the_death_of_its_worker_is_answered_afterwards(
    name: str, hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path, workers: list[Worker], golden: Golden
) -> None:
    prompt = script(shell(name, "echo made >> made.txt"), {"text": "done"})
    workers.append(worker := Worker(tmp_path, hermetic, name, prompt))
    async with sessions({}, worker=False) as opened:
        await first(opened.run(worker.run_id), ev.ToolApprovalRequested)
        worker.kill()
        await (await opened.approvals())[0].approve(by="ann")
    assert not (hermetic.work / "made.txt").exists()
    async with sessions({"acp": worker.agent()}) as opened:
        events = await log_of(opened.run(worker.run_id))
    assert (hermetic.work / "made.txt").read_text() == "made\n"
    assert len(data(events, ev.ToolApprovalRequested)) == 1
    assert isinstance(events[-1].data, ev.RunCompleted)
    assert "interrupted" in str(hermetic.server.asked[-1].body)
    if name not in LATE:
        golden(f"acp-{name}/answered_later", kept(events, counted=False))


@four
async def test_a_run_whose_worker_was_killed_goes_on(
    name: str, hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path, workers: list[Worker], golden: Golden
) -> None:
    command = "echo $$ >> pids; test -e again || { touch again; exec sleep 79; }"
    prompt = script(shell(name, command), {"text": "done"})
    workers.append(worker := Worker(tmp_path, hermetic, name, prompt))
    pids = hermetic.work / "pids"
    async with sessions({}, worker=False) as opened:
        await first(opened.run(worker.run_id), ev.ToolApprovalRequested)
        await (await opened.approvals())[0].approve()
        await until(lambda: pid_in(pids) is not None, 60)
    worker.kill()
    child = int(pids.read_text())
    async with sessions({"acp": worker.agent()}) as opened:
        run = opened.run(worker.run_id)
        answering = asyncio.create_task(_answer_all(run))
        events = await log_of(run)
        answering.cancel()
    assert data(events, ev.RunCompleted)[0].text == "done"
    assert not alive(child)
    assert [call.reason for call in data(events, ev.ToolCallInterrupted)] == ["worker_lost"]
    if name not in LATE:
        golden(f"acp-{name}/worker_killed", kept(events, counted=False))


async def _answer_all(run: Any) -> None:
    async for event in run.events(types="tool_approval_requested"):
        for approval in await run.approvals(status="pending"):
            if event:
                await approval.approve()


@four
async def test_an_agent_that_is_killed_has_crashed_and_its_command_is_ended(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    pid = hermetic.work / "pid"
    async with sessions({"acp": acp(hermetic, name)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        run = await session.run(script(shell(name, "echo $$ > pid; exec sleep 76"), {"text": "never"}))
        await first(run, ev.ToolApprovalRequested)
        await (await run.approvals())[0].approve()
        await until(lambda: pid_in(pid) is not None, 60)
        started = await first(run, ev.AgentProcessStarted)
        os.kill(started.pid, signal.SIGKILL)
        events = await log_of(run)
    child = pid_in(pid)
    assert child is not None
    assert not alive(child)
    (failed,) = data(events, ev.RunFailed)
    assert failed.error.code == "crashed"
    assert "signal 9" in failed.error.message
    assert failed.error.retryable
    golden(f"acp-{name}/killed", kept(events))
