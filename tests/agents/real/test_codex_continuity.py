"""Codex goes on: in its own thread, in a copy of it, or with what our log knows, whatever died in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from sessionry import Sessions
from sessionry.agents.codex import CodexAgent
from sessionry.agents.handover import BEGUN_BEFORE, GO_ON
from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.runtime.handles import RunHandle
from sessionry.testing.context import RecordingContext
from tests.agents.real.codex import (
    ASKS,
    FREE,
    alive,
    codex,
    data,
    first,
    kept,
    log_of,
    nothing_left,
    pid_in,
    script,
    session_in,
    until,
)
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


async def test_it_resumes_in_a_new_process_and_another_folder(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    agent = codex(hermetic, **FREE)
    async with sessions({"codex": agent}) as opened:
        session = await session_in(opened, hermetic)
        (linked, *_) = data(await log_of(await session.run("my name is Ann")), ev.AgentSessionLinked)
    elsewhere = hermetic.work / "elsewhere"
    elsewhere.mkdir()
    async with sessions({"codex": agent}) as opened:
        session = opened.session(session.id)
        await session.update(cwd=str(elsewhere))
        events = await log_of(await session.run(script({"shell": "pwd"}, {"text": "done"})))
    resumed = data(events, ev.AgentSessionLinked)[0]
    assert resumed.resumed
    assert resumed.native_session_id == linked.native_session_id
    assert resumed.items == 2
    assert data(events, ev.ToolCallCompleted)[0].tool_output["output"].strip() == str(elsewhere)
    assert hermetic.server.asked[-1].prompts[0] == "my name is Ann"
    golden("codex/resumed", kept(events))


async def test_a_fork_has_an_id_of_its_own_and_leaves_the_thread_alone(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        (begun, *_) = data(await log_of(await session.run("remember blue")), ev.AgentSessionLinked)
        events = await log_of(await session.run("and now?", continuation="fork"))
        forked = data(events, ev.AgentSessionLinked)[0]
    assert forked.forked_from == begun.native_session_id
    assert forked.native_session_id != begun.native_session_id
    assert not forked.resumed
    assert hermetic.server.asked[-1].prompts == ["remember blue", "and now?"]
    golden("codex/forked", kept(events))


@pytest.mark.parametrize("continuation", ["fork", "native"])
async def test_what_cannot_be_gone_on_with_is_refused(
    hermetic: Hermetic, sessions: OpenSessions, continuation: str
) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        await (await session.run("hello")).result(60)
        forget(hermetic)
        run = await session.run("again", continuation=continuation)
        events = await log_of(run)
    (failed,) = data(events, ev.RunFailed)
    assert failed.error.code == "resume_failed"
    assert "no rollout" in failed.error.message
    assert not data(events, ev.MessageReceived)


async def test_a_thread_that_is_gone_is_replaced_by_the_transcript(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        await (await session.run("remember blue")).result(60)
        forget(hermetic)
        events = await log_of(await session.run("which one?"))
    (degraded,) = data(events, ev.ResumeDegraded)
    assert "no rollout" in degraded.reason
    (report,) = data(events, ev.ContinuityReport)
    assert (report.mode, report.carried) == ("replay", 2)
    said = json.dumps(hermetic.server.asked[-1].body["input"])
    assert "remember blue" in said
    assert "which one?" in said
    golden("codex/degraded", kept(events))


async def test_a_thread_that_has_lost_items_is_not_taken_for_the_same(
    hermetic: Hermetic, sessions: OpenSessions
) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        await (await session.run("one")).result(60)
        saved = {path: path.read_text() for path in rollouts(hermetic)}
        await (await session.run("two")).result(60)
        for path in hermetic.home.glob(".codex/*.sqlite*"):
            path.unlink()
        for path, text in saved.items():
            path.write_text(text)
        events = await log_of(await session.run("three"))
    (degraded,) = data(events, ev.ResumeDegraded)
    assert "fewer than the 4" in degraded.reason
    assert "two" in json.dumps(hermetic.server.asked[-1].body["input"])


async def test_what_another_agent_did_is_told_when_it_comes_back(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async def other(message: str) -> str:
        return "the word is heron"

    async with sessions({"codex": codex(hermetic), "other": other}) as opened:
        session = await session_in(opened, hermetic)
        for agent in ("codex", "other", "codex"):
            events = await log_of(await session.run("go on", agent=agent))
    assert data(events, ev.AgentSessionLinked)[0].resumed
    (report,) = data(events, ev.ContinuityReport)
    assert (report.mode, report.previous_agents) == ("both", ["other"])
    assert "the word is heron" in json.dumps(hermetic.server.asked[-1].body["input"])


# --- death of a worker ---


class Worker:
    """A worker in a process of its own, at work on one run."""

    def __init__(self, tmp_path: Path, hermetic: Hermetic, prompt: str, **options: Any) -> None:
        self.options = {"env": hermetic.codex(), "env_allow": ["PATH"], **options}
        given = {"url": f"sqlite:///{tmp_path / 'store.db'}", "cwd": str(hermetic.work), "prompt": prompt}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.agents.real.codex_worker", json.dumps({**given, "agent": self.options})],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        ids = json.loads(self.process.stdout.readline())
        self.run_id: str = ids["run"]

    def agent(self) -> CodexAgent:
        """The same agent for another worker."""
        return CodexAgent(**self.options)

    def kill(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.kill()


async def watched(opened: Sessions, worker: Worker) -> RunHandle:
    """The run as one sees it who does not work on it."""
    return opened.run(worker.run_id)


async def test_a_question_that_waited_through_the_death_of_its_worker_is_answered_afterwards(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden, tmp_path: Path, workers: list[Worker]
) -> None:
    prompt = script({"shell": "echo made >> made.txt"}, {"text": "done"})
    workers.append(worker := Worker(tmp_path, hermetic, prompt, **ASKS))
    async with sessions({}, worker=False) as opened:
        await first(await watched(opened, worker), ev.ToolApprovalRequested)
        worker.kill()
        await (await opened.approvals())[0].approve(by="ann")
    assert not (hermetic.work / "made.txt").exists()
    async with sessions({"codex": worker.agent()}) as opened:
        events = await log_of(opened.run(worker.run_id))
    assert (hermetic.work / "made.txt").read_text() == "made\n"
    assert len(data(events, ev.ToolApprovalRequested)) == 1
    assert isinstance(events[-1].data, ev.RunCompleted)
    assert data(events, ev.AgentSessionLinked)[1].resumed
    golden("codex/approval_after_restart", uncounted(events))


async def test_a_run_whose_worker_was_killed_goes_on_in_its_thread(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden, tmp_path: Path, workers: list[Worker]
) -> None:
    steps = [{"shell": "echo $$ >> pids; [ $(wc -l < pids) = 2 ] || exec sleep 60"}, {"text": "done"}]
    workers.append(worker := Worker(tmp_path, hermetic, script(*steps), **FREE))
    pids = hermetic.work / "pids"
    command = await pid_in(pids)
    async with sessions({}, worker=False) as opened:
        await first(await watched(opened, worker), ev.ToolCallStarted)
    worker.kill()
    async with sessions({"codex": worker.agent()}) as opened:
        events = await log_of(opened.run(worker.run_id))
        result = await opened.run(worker.run_id).result()
    assert result.text == "done"
    assert not alive(command)
    assert [call.reason for call in data(events, ev.ToolCallInterrupted)] == ["worker_lost"]
    linked = data(events, ev.AgentSessionLinked)
    assert len({link.native_session_id for link in linked}) == 1
    assert GO_ON in json.dumps(hermetic.server.asked[-1].body["input"])
    golden("codex/worker_killed", uncounted(events))


async def test_a_result_that_its_model_may_not_know_is_told_from_the_log(hermetic: Hermetic) -> None:
    agent = codex(hermetic, **FREE)
    # its model is slow at first, so that the turn is not over before the end of the attempt
    steps = script({"text": "on it", "shell": "echo one"}, {"text": "done", "hang": 3, "times": 1})
    context = RecordingContext(agent.check(steps), cwd=hermetic.work)
    await context.play(agent, until=lambda event: isinstance(event, ev.ToolCallCompleted))
    again = context.after_a_crash()
    await again.play(agent)
    asked = [json.dumps(each.body["input"]) for each in hermetic.server.asked]
    (_, told) = next(body for body in asked if GO_ON in body).split(GO_ON)
    assert "[tool shell " in told
    assert "on it" not in told, "that it knows"
    assert [said.text for said in again.data(ev.MessageReceived)] == ["on it", "done"]


async def test_nobody_is_told_twice_what_people_said(hermetic: Hermetic) -> None:
    agent = codex(hermetic, **FREE)
    context = RecordingContext(agent.check(script({"shell": "sleep 0.5"}, {"text": "done"})), cwd=hermetic.work)

    def steer(event: ev.EventData) -> bool:
        if isinstance(event, ev.ToolCallStarted):
            context.say("one more thing")
        return isinstance(event, ev.MessageStreamed)

    await context.play(agent, until=steer)
    await context.after_a_crash().play(agent)
    assert hermetic.server.asked[-1].prompts.count("one more thing") == 1


async def test_work_that_its_thread_never_had_is_told_from_the_log(hermetic: Hermetic) -> None:
    agent = codex(hermetic, **FREE)
    context = RecordingContext(
        agent.check(script({"text": "on it", "shell": "true"}, {"text": "done"})), cwd=hermetic.work
    )
    await context.play(agent, until=lambda event: isinstance(event, ev.ToolCallCompleted))
    forget(hermetic)
    again = context.after_a_crash()
    await again.play(agent)
    assert again.data(ev.ResumeDegraded)
    told = hermetic.server.asked[-1].prompts[-1]
    assert BEGUN_BEFORE in told
    assert "on it" in told.partition("What you were asked:")[0] or "on it" in str(
        hermetic.server.asked[-1].body["input"]
    )


async def test_a_turn_that_was_done_when_its_worker_died_is_not_done_again(
    hermetic: Hermetic, sessions: OpenSessions, tmp_path: Path
) -> None:
    agent = codex(hermetic, **FREE)
    prompt = script({"shell": "echo once >> made.txt"}, {"text": "all done"})
    context = RecordingContext(agent.check(prompt), cwd=hermetic.work)
    await context.play(agent, until=lambda event: isinstance(event, ev.TurnCompleted))
    asked = len(hermetic.server.asked)
    again = context.after_a_crash()
    events = await again.play(agent)
    assert isinstance(events[-1], ev.RunCompleted)
    assert events[-1].text == "all done"
    assert len(hermetic.server.asked) == asked
    assert (hermetic.work / "made.txt").read_text() == "once\n"
    assert len(again.data(ev.MessageReceived)) == 1


async def test_codex_itself_killed_is_a_crash(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    known = psutil.Process().children(recursive=True)
    prompt = script({"shell": "echo $$ > pid; exec sleep 60"}, {"text": "never"})
    async with sessions({"codex": codex(hermetic, **FREE)}) as opened:
        run = await (await session_in(opened, hermetic)).run(prompt)
        command = await pid_in(hermetic.work / "pid")
        await first(run, ev.ToolCallStarted)
        started = await first(run, ev.AgentProcessStarted)
        os.kill(started.pid, signal.SIGKILL)
        events = await log_of(run)
        assert not alive(command)
        (failed,) = data(events, ev.RunFailed)
        assert failed.error.code == "crashed"
        assert failed.error.retryable
        again = await (await (await run.session()).run("still there?")).result(60)
    assert again.text == "echo: still there?"
    await until(lambda: nothing_left(hermetic, known))
    golden("codex/killed", kept(events))


def uncounted(events: Iterable[Event]) -> list[ev.EventData]:
    """How many items Codex had written down when it was killed is chance."""
    return [
        msgspec.structs.replace(each, items=None) if isinstance(each, ev.AgentSessionLinked) else each
        for each in kept(events)
    ]


# --- what Codex keeps ---


def rollouts(hermetic: Hermetic) -> list[Path]:
    return list((hermetic.home / ".codex" / "sessions").rglob("*.jsonl"))


def forget(hermetic: Hermetic) -> None:
    """Codex does not know its threads any more."""
    for path in [*rollouts(hermetic), *hermetic.home.glob(".codex/*.sqlite*")]:
        path.unlink()
