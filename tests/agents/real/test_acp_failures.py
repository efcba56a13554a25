"""What real agents of the Agent Client Protocol make of a model's server that fails, and what we make of that."""

from __future__ import annotations

from typing import Any

import pytest

from sessionry.domain import events as ev
from tests.agents.real.acp import acp, data, kept, log_of, script
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow

AGENTS = ("qwen", "claude-agent-acp", "codex-acp")
#: So long as it takes an agent to give up, if it does.
PATIENCE = 12


async def failed(
    name: str, step: dict[str, Any], hermetic: Hermetic, sessions: OpenSessions, **options: Any
) -> list[ev.Event]:
    async with sessions({"acp": acp(hermetic, name)}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        return await log_of(await session.run(script(step), **options))


def code(events: list[ev.Event]) -> str:
    ended = events[-1].data
    return ended.error.code if isinstance(ended, ev.RunFailed) else ended.type


@pytest.mark.parametrize("name", [*AGENTS, "gemini"])
@pytest.mark.parametrize(("status", "means"), [(400, "request_rejected"), (401, "auth")])
async def test_a_refused_request_is_not_retryable(
    name: str, status: int, means: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    events = await failed(name, {"error": status}, hermetic, sessions)
    (ended,) = data(events, ev.RunFailed)
    assert (ended.error.code, ended.error.retryable) == (means, False)
    golden(f"acp-{name}/error_{status}", kept(events))


@pytest.mark.parametrize("name", AGENTS)
async def test_two_refusals_for_too_many_requests_are_survived(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    more: dict[str, Any] = {"CLAUDE_CODE_MAX_RETRIES": "4"} if name == "claude-agent-acp" else {}
    agent = acp(hermetic, name, env=more)
    if name == "codex-acp":
        hermetic.codex(config={"model_providers": {"scripted": {"request_max_retries": 4, "stream_max_retries": 4}}})
    async with sessions({"acp": agent}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        step = {"text": "after all", "error": 429, "times": 2, "retry_after": 0}
        events = await log_of(await session.run(script(step)))
    (ended,) = data(events, ev.RunCompleted)
    assert ended.text == "after all"
    golden(f"acp-{name}/error_429", kept(events))


@pytest.mark.parametrize("name", AGENTS)
async def test_a_server_that_fails_for_ever_is_given_up(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    events = await failed(name, {"error": 500}, hermetic, sessions, timeout=PATIENCE)
    assert code(events) == ("run_timeout" if name == "qwen" else "overloaded"), "Qwen tries for minutes"
    golden(f"acp-{name}/error_500", kept(events))


@pytest.mark.parametrize("name", AGENTS)
async def test_a_stream_that_breaks_off_is_a_failure_that_may_pass(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    step = {"text": ["one ", "two"], "stall": 0.5, "drop": True}  # it has read the first piece by then
    events = await failed(name, step, hermetic, sessions, timeout=PATIENCE)
    (ended,) = data(events, ev.RunFailed)
    assert ended.error.code in ("agent_unavailable", "overloaded")
    assert ended.error.retryable
    golden(f"acp-{name}/cut", kept(events))


@pytest.mark.parametrize(
    ("name", "means"),
    # Claude asks once more without a stream; Qwen says no more than what the server said
    [("claude-agent-acp", "run_completed"), ("qwen", "agent_failed"), ("codex-acp", "agent_unavailable")],
)
async def test_an_error_in_the_stream_is_survived_or_told(
    name: str, means: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    events = await failed(name, {"text": ["one ", "two"], "sse_error": True}, hermetic, sessions, timeout=PATIENCE)
    assert code(events) == means
    golden(f"acp-{name}/sse_error", kept(events))


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("how", ["hang", "stall"])
async def test_silence_is_told_and_ends_the_run_when_that_is_wanted(
    name: str, how: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    step = {"text": ["one ", "two"], how: 60}
    events = await failed(name, step, hermetic, sessions, stall_after=6, on_stall="fail")
    assert data(events, ev.RunStalled)
    assert code(events) == "stalled"
    golden(f"acp-{name}/{how}", kept(events))
