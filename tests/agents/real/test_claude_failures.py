"""What goes wrong with Claude Code, with its model and with its program, and what the run says of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from sessionry.domain import events as ev
from sessionry.domain.run import ErrorInfo
from tests.agents.real.claude import (
    alive,
    claude,
    data,
    first,
    log_of,
    pid_in,
    played,
    script,
    session_in,
    settled,
    sleeper,
    until,
)
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "step", "code", "status"),
    [
        ("auth", {"error": 401}, "auth", 401),
        ("overloaded", {"error": 500}, "overloaded", 500),
        ("rejected", {"error": 400, "message": "nonsense"}, "request_rejected", 400),
        ("rate_limited", {"error": 429, "retry_after": 1}, "rate_limited", 429),
        ("quota", {"error": 400, "message": "Your credit balance is too low to access the API."}, "quota", 400),
        (
            "too_long",
            {"error": 400, "message": "prompt is too long"},
            "context_too_long",
            400,
        ),
        ("dropped", {"text": "first second third", "stall": 1.5, "drop": True}, "agent_unavailable", None),
        ("hanging", {"hang": 60}, "agent_unavailable", None),
    ],
)
async def test_a_failure_of_the_model_has_its_code(
    name: str,
    step: dict[str, Any],
    code: str,
    status: int | None,
    hermetic: Hermetic,
    sessions: OpenSessions,
    golden: Golden,
) -> None:
    agent = claude(hermetic, env=hermetic.claude(API_TIMEOUT_MS="1500"))
    result, events = await played(sessions, agent, hermetic, script(step))
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.code == code
    assert result.error.details.get("status") == status
    golden(f"claude/failure_{name}", settled(events))


async def test_two_refusals_for_too_many_requests_are_survived(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    agent = claude(hermetic, env={**hermetic.claude(), "CLAUDE_CODE_MAX_RETRIES": "3"})
    words = script({"error": 429, "retry_after": 1, "times": 2, "text": "at last"})
    result, events = await played(sessions, agent, hermetic, words)
    assert result.text == "at last"
    waits = data(events, ev.RateLimited)
    assert len(waits) == 2
    assert all(wait.retry_after and wait.retry_after >= 1 and wait.resets_at for wait in waits)
    golden("claude/rate_limited_twice", settled(events))


async def test_a_stream_that_is_cut_once_is_told_once(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    words = script({"text": "first second third", "stall": 1.5, "drop": True, "times": 1})
    result, events = await played(sessions, claude(hermetic), hermetic, words)
    assert result.text == "first second third"
    assert "".join(piece.text for piece in data(events, ev.MessageStreamed)) == "first second third"
    assert len(data(events, ev.MessageReceived)) == 1
    golden("claude/cut_stream", settled(events))


async def test_an_error_in_the_stream_is_survived(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    words = script({"text": "first second third", "sse_error": True, "times": 1})
    result, events = await played(sessions, claude(hermetic), hermetic, words)
    assert result.text == "first second third"
    assert len({said.message_id for said in data(events, ev.MessageStreamed)}) == 1
    assert "".join(piece.text for piece in data(events, ev.MessageStreamed)) == "first second third"
    golden("claude/error_in_stream", settled(events))


async def test_a_model_that_stops_in_the_middle_of_a_word_is_noticed(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    words = script({"text": "first second third", "stall": 60})
    result, events = await played(sessions, claude(hermetic), hermetic, words, stall_after=5, on_stall="fail")
    assert result.error is not None
    assert result.error.code == "stalled"
    assert data(events, ev.RunStalled)
    golden("claude/stalled", [event for event in events if not isinstance(event.data, ev.TokenUsageUpdated)])


async def test_a_missing_program_is_named(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    missing = str(hermetic.home / "no-claude")
    result, events = await played(sessions, claude(hermetic, program=missing), hermetic, "hello")
    assert result.error is not None
    assert result.error.code == "command_not_found"
    assert missing in result.error.message
    golden("claude/program_missing", events)


@pytest.mark.parametrize(("says", "told"), [("0.1.0 (Claude Code)", "0.1.0"), ("hello", "'hello'")])
async def test_a_program_of_a_wrong_version_is_not_started(
    says: str, told: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    program = executable(hermetic.home / "claude", f"echo '{says}'")
    result, events = await played(sessions, claude(hermetic, program=str(program)), hermetic, "hello")
    assert result.error is not None
    assert result.error.code == "agent_failed"
    assert told in result.error.message
    assert not data(events, ev.AgentProcessStarted)
    golden(f"claude/version_{'old' if '0.1' in says else 'none'}", events)


async def test_a_program_that_refuses_to_start_is_quoted(hermetic: Hermetic, sessions: OpenSessions) -> None:
    schema = {"type": "nonsense"}
    result, _ = await played(sessions, claude(hermetic, output_schema=schema), hermetic, "hello")
    assert error_of(result).code == "agent_failed"
    assert "not a valid JSON Schema" in error_of(result).message


@pytest.mark.parametrize(("says", "code"), [("not json", "protocol"), ('["a", "list"]', "protocol"), ("", "crashed")])
async def test_a_program_that_speaks_otherwise_is_no_claude_code(
    says: str, code: str, hermetic: Hermetic, sessions: OpenSessions
) -> None:
    program = executable(hermetic.home / "claude", f"[ $1 = --version ] && echo 9.9.9 && exit; echo '{says}'; read x")
    result, _ = await played(sessions, claude(hermetic, program=str(program)), hermetic, "hello")
    assert error_of(result).code == code


async def test_a_killed_program_is_told_and_takes_its_tools_along(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    async with sessions({"claude": claude(hermetic)}) as opened:
        run = await (await session_in(opened, hermetic)).run(script({"shell": sleeper()}, {"text": "never"}))
        started = await first(run, ev.AgentProcessStarted)
        tool = await until(lambda: pid_in(hermetic.work / "tool.pid"))
        psutil.Process(started.pid).kill()
        events = await log_of(run)
        error = error_of(await run.result())
    assert error.code == "crashed"
    assert error.retryable
    assert "signal 9" in error.message
    assert not alive(tool), "a shell command of Claude Code leaves its process group"
    golden("claude/killed", events, {sys.executable: "python"})


async def test_what_reached_a_limit_is_told(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    steps = script({"shell": "echo 1", "usage": {"input": 100_000}}, {"shell": "echo 2"}, {"text": "never"})
    for option in ({"max_turns": 1}, {"max_budget_usd": 0.01}):
        (name,) = option
        result, events = await played(sessions, claude(hermetic, **option), hermetic, steps)
        assert error_of(result).code == "limit_reached"
        assert error_of(result).details["limit"] == name
        assert not error_of(result).retryable
        golden(f"claude/limit_{name}", events)


async def test_an_mcp_server_that_is_not_there_is_told(hermetic: Hermetic, sessions: OpenSessions) -> None:
    agent = claude(hermetic, mcp_servers={"broken": {"command": "false"}})
    result, events = await played(sessions, agent, hermetic, script({"text": "hello"}))
    assert result.text == "hello"
    assert [told.error.details["server"] for told in data(events, ev.ErrorOccurred)] == ["broken"]


def executable(path: Path, code: str) -> Path:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return path


def error_of(result: Any) -> ErrorInfo:
    assert isinstance(result.error, ErrorInfo)
    return result.error
