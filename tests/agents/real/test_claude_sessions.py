"""Claude Code's own sessions: resumed and copied with proof, and what follows where there is none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.testing.context import RecordingContext
from tests.agents.real.claude import (
    alive,
    asks,
    claude,
    data,
    first,
    log_of,
    pid_in,
    said_to_model,
    script,
    session_in,
    sleeper,
    until,
)
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow


def hello(word: str, **more: Any) -> str:
    return script({"text": word, "usage": {"input": 1000, "output": 100}, **more})


async def test_it_goes_on_in_its_own_session(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    elsewhere = hermetic.home / "elsewhere"
    elsewhere.mkdir()
    async with sessions({"claude": claude(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        first_run = await session.run(hello("the first word"))
        await first_run.result()
    async with sessions({"claude": claude(hermetic)}) as opened:  # nothing of the agent is in memory any more
        session = opened.session(session.id)
        await session.update(cwd=str(elsewhere))
        second = await session.run(hello("the second word"), continuation="native")
        events = await log_of(second)
        runs = [await run.get() for run in (opened.run(first_run.id), second)]
    linked = data(events, ev.AgentSessionLinked)
    assert all(link.resumed for link in linked)
    assert linked[-1].items == 4
    assert {run.agent.native_session_id for run in runs if run.agent} == {linked[0].native_session_id}
    assert "the first word" in said_to_model(hermetic.server.asked[-1])
    assert [run.cost for run in runs] == [runs[0].cost] * 2, "Claude Code counts on over runs, the log does not"
    assert [run.usage.input_tokens for run in runs] == [1000, 1000]
    golden("claude/resume", events)


async def test_a_fork_leaves_its_session_as_it_was(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        original = await session.run(hello("the first word"))
        await original.result()
        fork = await session.run(hello("another word"), continuation="fork")
        events = await log_of(fork)
        runs = [await run.get() for run in (original, fork)]
    link = data(events, ev.AgentSessionLinked)[-1]
    assert runs[0].agent
    assert link.forked_from == runs[0].agent.native_session_id != link.native_session_id
    assert "the first word" in said_to_model(hermetic.server.asked[-1])
    assert runs[0].cost == runs[1].cost
    assert len(lines(hermetic, str(link.forked_from), "assistant")) == 1
    golden("claude/fork", events)


async def test_a_session_that_is_gone_is_replayed_from_the_log(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        await (await session.run(hello("the first word"))).result()
        for file in (hermetic.home / ".claude" / "projects").glob("*/*.jsonl"):
            file.unlink()
        again = await session.run(hello("the second word"))
        events = await log_of(again)
        assert (await again.result()).text == "the second word"
        strict = await (await session.run("x", continuation="native", metadata={})).result()
    assert data(events, ev.ResumeDegraded)[0].reason == "it is not there any more"
    assert data(events, ev.ContinuityReport)[0].mode == "replay"
    assert "the first word" in said_to_model(hermetic.server.asked[1])
    assert strict.status == "completed", "the new session is there"
    golden("claude/resume_degraded", events)


async def test_a_session_that_has_lost_something_is_not_trusted(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        for word in ("the first word", "the second word"):
            await (await session.run(hello(word))).result()
        (file,) = (hermetic.home / ".claude" / "projects").glob("*/*.jsonl")
        kept = file.read_bytes().splitlines(keepends=True)
        cut = next(number for number, line in enumerate(kept) if b"the second word" in line)
        file.write_bytes(b"".join(kept[:cut]))
        strict = await session.run("x", continuation="native")
        error = (await strict.result()).error
        again = await session.run(hello("the third word"))
        events = await log_of(again)
    assert error is not None
    assert error.code == "resume_failed"
    assert "had 4" in error.message
    assert "had 4" in data(events, ev.ResumeDegraded)[0].reason
    assert "the second word" in said_to_model(hermetic.server.asked[-1])


async def test_replay_and_fresh_begin_new_sessions(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        session = await session_in(opened, hermetic)
        runs = [await session.run(hello("the first word"))]
        await runs[0].result()
        for mode in ("replay", "fresh"):
            runs.append(await session.run(hello("more"), continuation=mode))
            await runs[-1].result()
        natives = {run.agent.native_session_id for run in [await run.get() for run in runs] if run.agent}
    assert len(natives) == 3
    heard = ["the first word" in said_to_model(asked) for asked in hermetic.server.asked]
    assert heard == [True, True, False], "the first one is the prompt itself"


async def test_what_others_did_meanwhile_is_told(hermetic: Hermetic, sessions: OpenSessions) -> None:
    async def other(message: str) -> str:
        return f"other heard {message}"

    async with sessions({"claude": claude(hermetic), "other": other}) as opened:
        session = await session_in(opened, hermetic)
        await (await session.run(hello("the first word"))).result()
        await (await session.run("between", agent="other")).result()
        last = await session.run(hello("the last word"))
        events = await log_of(last)
    (report,) = data(events, ev.ContinuityReport)
    assert report.mode == "both"
    assert report.previous_agents == ["other"]
    assert data(events, ev.AgentSessionLinked)[0].resumed
    assert "other heard between" in said_to_model(hermetic.server.asked[-1])


async def test_an_answer_after_a_restart_is_heard(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    """The worker is killed with -9 while the run waits for a person; they answer; another worker completes it."""
    worker = Worker(hermetic, "default")
    async with sessions({"claude": asks(hermetic)}, worker=False) as opened:
        run = await (await session_in(opened, hermetic)).run(
            script({"shell": "echo made > made.txt"}, {"text": "done"})
        )
        worker.start()
        await first(run, ev.ToolApprovalRequested)
        worker.kill()
        await (await run.approvals())[0].approve(by="ann")
        worker.start()
        try:
            events = await log_of(run)
            result = await run.result()
        finally:
            worker.kill()
    assert result.text == "done"
    assert (hermetic.work / "made.txt").read_text() == "made\n"
    assert len(data(events, ev.ToolApprovalRequested)) == 1, "it is not asked twice"
    assert [link.resumed for link in data(events, ev.AgentSessionLinked)] == [False, True, True]
    counted = [
        event for event in events if not isinstance(event.data, ev.TokenUsageUpdated)
    ]  # how far it came alone is chance
    golden("claude/approval_after_restart", counted)


async def test_a_run_whose_worker_was_killed_goes_on_in_its_session(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    worker = Worker(hermetic)
    async with sessions({"claude": claude(hermetic)}, worker=False) as opened:
        used = {"input": 1000, "output": 100}
        command = f"[ -e tool.pid ] || {sleeper()}; echo second > out.txt"
        steps = script({"shell": command, "usage": used}, {"text": "done", "usage": used})
        run = await (await session_in(opened, hermetic)).run(steps)
        worker.start()
        program = await first(run, ev.AgentProcessStarted)
        tool = await until(lambda: pid_in(hermetic.work / "tool.pid"))
        worker.kill()
        assert alive(tool)
        worker.start()
        try:
            events = await log_of(run)
            result = await run.result()
        finally:
            worker.kill()
    assert result.text == "done"
    assert not alive(tool), "the tool of the lost attempt"
    assert not alive(program.pid)
    links = data(events, ev.AgentSessionLinked)
    assert len({link.native_session_id for link in links}) == 1
    assert "was interrupted" in said_to_model(hermetic.server.asked[-1])
    assert result.usage.input_tokens == sum(1000 for _ in hermetic.server.asked) == 3000, (
        "the lost attempt's are counted"
    )
    golden("claude/worker_killed", events, {sys.executable: "python"})


async def test_a_run_that_ended_while_nobody_listened_is_not_done_again(
    hermetic: Hermetic, sessions: OpenSessions
) -> None:
    """The worker is killed in the middle of the answer; Claude Code completes its turn alone."""
    worker = Worker(hermetic)
    async with sessions({"claude": claude(hermetic)}, worker=False) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"text": "one two three four", "delay": 0.3}))
        worker.start()
        program = await first(run, ev.AgentProcessStarted)
        await first(run, ev.AgentSessionLinked)
        worker.kill()
        await until(lambda: not alive(program.pid))
        worker.start()
        try:
            result = await run.result(timeout=60)
            events = await log_of(run)
        finally:
            worker.kill()
    assert result.text == "one two three four"
    assert [said.text for said in data(events, ev.MessageReceived)] == ["one two three four"]
    assert len(hermetic.server.asked) == 1
    assert (result.usage.input_tokens, result.usage.output_tokens) == (100, 4), "nobody heard the end, and it counts"
    assert result.cost
    assert not list(Path(tempfile.gettempdir()).glob(f"*{run.id[-12:]}*")), "the folder of the lost attempt"


async def test_what_its_session_has_lost_of_a_run_is_told_from_the_log(hermetic: Hermetic) -> None:
    """Claude Code writes its session with a delay: what a killed one did last is in our log alone."""
    steps = script({"text": "Let me see.", "shell": "echo one > out.txt"}, {"text": "Then more.", "shell": "sleep 9"})
    context = RecordingContext(steps, cwd=hermetic.work)
    await context.play(claude(hermetic), until=lambda event: getattr(event, "text", None) == "Then more.")
    link = context.data(ev.AgentSessionLinked)[0]
    (file,) = (hermetic.home / ".claude" / "projects").glob(f"*/{link.native_session_id}.jsonl")
    kept = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(kept[: next(n for n, line in enumerate(kept) if b"tool_result" in line)]))
    again = context.after_a_crash()
    await again.play(claude(hermetic), until=lambda event: isinstance(event, ev.TokenUsageUpdated))
    told = said_to_model(hermetic.server.asked[-1])
    assert "Your work was interrupted before it was done." in told
    assert "[tool Bash " in told, "its result is not in the session"
    assert "[assistant]\\nLet me see." not in told, "that is"


async def test_nobody_is_told_twice_what_people_said(hermetic: Hermetic) -> None:
    wait = "while [ ! -e go ]; do sleep 0.05; done"
    context = RecordingContext(script({"shell": wait}, {"text": "done"}), cwd=hermetic.work)

    def steer(event: ev.EventData) -> bool:
        if isinstance(event, ev.ToolCallStarted):
            context.say("and use pytest")
            asyncio.get_running_loop().call_later(1, (hermetic.work / "go").touch)
        return isinstance(event, ev.ToolCallCompleted)

    await context.play(claude(hermetic), until=steer)
    await context.after_a_crash().play(claude(hermetic))
    assert said_to_model(hermetic.server.asked[-1]).count("and use pytest") == 1


class Worker:
    """`sessionry worker` in a process of its own, with the agent as an agents.toml has it."""

    def __init__(self, hermetic: Hermetic, mode: str = "bypassPermissions") -> None:
        self._mode = mode
        self._folder = hermetic.home.parent.parent
        self._hermetic = hermetic
        self._program: Any = None

    def start(self) -> None:
        agents = self._folder / "agents.toml"
        env = "\n".join(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in self._hermetic.claude().items())
        agents.write_text(f'[claude]\ntype = "claude"\npermission_mode = "{self._mode}"\n[claude.env]\n{env}\n')
        settings = {
            "SESSIONRY_STORE": f"sqlite:///{self._folder / 'store.db'}",
            "SESSIONRY_AGENTS": str(agents),
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._hermetic.home),
        }
        command = [sys.executable, "-m", "sessionry", "worker", "--json"]
        null = subprocess.DEVNULL
        self._program = subprocess.Popen(command, env=settings, stdin=null, stdout=null, stderr=null)

    def kill(self) -> None:
        self._program.kill()
        self._program.wait()


def lines(hermetic: Hermetic, session_id: str, type: str) -> list[Any]:
    """The entries of a type in a session of Claude Code."""
    found = []
    for file in (hermetic.home / ".claude" / "projects").glob(f"*/{session_id}.jsonl"):
        found += [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    return [entry for entry in found if entry.get("type") == type]
