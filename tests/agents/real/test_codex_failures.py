"""What can go wrong with Codex and its model, each told by what it is, and nothing waits for ever."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from sessionry.agents.codex import CodexAgent
from sessionry.domain import events as ev
from tests.agents.real.codex import codex, data, kept, log_of, nothing_left, provider, script, session_in, until
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "step", "code", "retryable"),
    [
        ("401", {"error": 401}, "auth", False),
        ("400", {"error": 400, "message": "no such thing"}, "request_rejected", False),
        ("too_long", {"error": 400, "code": "context_length_exceeded"}, "context_too_long", False),
        ("quota", {"error": 429, "code": "insufficient_quota"}, "quota", False),
        ("429", {"error": 429}, "rate_limited", True),
        ("500", {"error": 500}, "overloaded", True),
        ("cut", {"text": "one two three", "drop": True}, "agent_unavailable", True),
        ("sse_error", {"text": "one two three", "sse_error": True}, "agent_unavailable", True),
    ],
)
async def test_a_failing_model_fails_the_run(
    hermetic: Hermetic,
    sessions: OpenSessions,
    golden: Golden,
    name: str,
    step: dict[str, Any],
    code: str,
    retryable: bool,
) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run(script(step)))
    (failed,) = data(events, ev.RunFailed)
    assert (failed.error.code, failed.error.retryable) == (code, retryable)
    golden(f"codex/failed_{name}", kept(events))


async def test_two_refusals_for_the_rate_are_survived(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    agent = codex(hermetic, settings=provider(stream_max_retries=4))
    async with sessions({"codex": agent}) as opened:
        run = await (await session_in(opened, hermetic)).run(
            script({"error": 429, "times": 2, "retry_after": 1, "text": "fine"})
        )
        events = await log_of(run)
    assert data(events, ev.RunCompleted)[0].text == "fine"
    assert len(data(events, ev.RateLimited)) == 2
    golden("codex/429_twice", kept(events))


async def test_a_cut_stream_that_is_tried_again_is_told_as_recovered(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"codex": codex(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(
            script({"text": ["one ", "two"], "drop": True, "times": 1})
        )
        events = await log_of(run)
    assert [said.text for said in data(events, ev.MessageReceived)] == ["one two"]
    assert len(data(events, ev.ErrorOccurred)) == len(data(events, ev.ErrorRecovered)) == 1
    golden("codex/cut_once", kept(events))


async def test_a_stream_that_stalls_is_given_up(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    agent = codex(hermetic, settings=provider(stream_idle_timeout_ms=500, stream_max_retries=0))
    async with sessions({"codex": agent}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"text": "one two three", "stall": 30}))
        events = await log_of(run)
    assert data(events, ev.RunFailed)[0].error.code == "stalled"
    golden("codex/stalled", kept(events))


async def test_a_model_that_never_answers_is_told_as_a_stall_and_fails_the_run(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    known = psutil.Process().children(recursive=True)
    async with sessions({"codex": codex(hermetic, stall_after=1.5, on_stall="fail")}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run(script({"hang": 60, "text": "late"})))
    assert data(events, ev.RunStalled)
    assert data(events, ev.RunFailed)[0].error.code == "stalled"
    await until(lambda: nothing_left(hermetic, known))
    golden("codex/hung", kept(events))


async def test_a_model_that_is_not_there_is_told_as_a_stall_and_fails_the_run(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    agent = codex(hermetic, settings=provider(base_url="http://127.0.0.1:9/v1"))
    async with sessions({"codex": agent}) as opened:
        session = await session_in(opened, hermetic)
        events = await log_of(await session.run("hello", stall_after=2.5, on_stall="fail"))
    assert data(events, ev.ErrorOccurred)[0].error.code == "agent_unavailable"
    assert data(events, ev.RunFailed)[0].error.code == "stalled"
    golden("codex/refused", kept(events))


# --- the program ---


async def failure_of(agent: CodexAgent, hermetic: Hermetic, sessions: OpenSessions) -> tuple[Any, list[ev.Event]]:
    async with sessions({"codex": agent}) as opened:
        events = await log_of(await (await session_in(opened, hermetic)).run("hello"))
    return data(events, ev.RunFailed)[0].error, events


async def test_a_missing_program_is_named(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    error, events = await failure_of(codex(hermetic, program="/nowhere/codex"), hermetic, sessions)
    assert error.code == "command_not_found"
    assert "/nowhere/codex" in error.message
    golden("codex/program_missing", kept(events))


def program(folder: Path, text: str) -> str:
    made = folder / "codex"
    made.write_text(f"#!{sys.executable}\n{text}")
    made.chmod(made.stat().st_mode | stat.S_IXUSR)
    return str(made)


OLD = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        print(json.dumps({"id": asked["id"], "result": {"userAgent": "sessionry/0.20.0 (Linux)"}}), flush=True)
"""


async def test_an_old_version_is_refused(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    error, events = await failure_of(codex(hermetic, program=program(hermetic.home, OLD)), hermetic, sessions)
    assert error.code == "dependency_not_available"
    assert "0.20.0" in error.message
    golden("codex/program_old", kept(events))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("print('usage: codex PROMPT', flush=True)", "protocol"),
        ("import sys; sys.exit('unknown command app-server')", "crashed"),
        ('input(); print(\'{"id": 1, "result": {}}\', flush=True); input()', "protocol"),
        ('input(); print(\'{"id": 1, "error": {"code": -1, "message": "what?"}}\', flush=True); input()', "protocol"),
        ("input(); print('[1]', flush=True); input()", "protocol"),
    ],
)
async def test_what_is_no_codex_is_told_as_such(
    hermetic: Hermetic, sessions: OpenSessions, text: str, code: str
) -> None:
    error, _ = await failure_of(codex(hermetic, program=program(hermetic.home, text)), hermetic, sessions)
    assert error.code == code


async def test_a_configuration_that_codex_cannot_read_is_told(hermetic: Hermetic, sessions: OpenSessions) -> None:
    agent = codex(hermetic, config={"model_providers": {"scripted": {"wire_api": "telegraph"}}})
    error, _ = await failure_of(agent, hermetic, sessions)
    assert error.code in ("crashed", "request_rejected")
    assert "telegraph" in error.message + str(error.details)
