"""What goes wrong with an agent of the protocol, in our codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.acp import AcpAgent
from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from tests.agents.acp.player import error, play, player, script, texts


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"code": -32000, "message": "Authentication required"}, "auth"),
        ({"code": -32603, "message": "Internal error", "data": {"errorKind": "rate_limit"}}, "rate_limited"),
        ({"code": -32603, "message": "Internal error", "data": {"details": "prompt is too long"}}, "context_too_long"),
        ({"code": 401, "message": "API key not valid"}, "auth"),
        ({"code": 500, "message": "[API Error: status 529 overloaded]"}, "overloaded"),
        ({"code": -32603, "message": "API Error: 429 Too Many Requests, retry after 7 s"}, "rate_limited"),
        ({"code": -32603, "message": "fetch failed"}, "agent_unavailable"),
        ({"code": -32603, "message": "failed to initialize sqlite state runtime under /h"}, "agent_unavailable"),
        ({"code": -32601, "message": "Method not found"}, "protocol"),
        ({"code": -32603, "message": "Internal error"}, "agent_failed"),
    ],
)
async def test_an_error_of_the_agent_has_one_of_our_codes(tmp_path: Path, step: dict[str, Any], code: str) -> None:
    context = await play(player(), script({"fail": step}), tmp_path)
    assert error(context).code == code
    assert error(context).retry_after == (7 if "retry" in step["message"] else None)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("refusal", "refused"),
        ("max_tokens", "limit_reached"),
        ("max_turn_requests", "limit_reached"),
        ("cancelled", "cancelled"),
    ],
)
async def test_a_turn_that_stops_for_another_reason_fails(tmp_path: Path, reason: str, code: str) -> None:
    context = await play(player(), script({"say": "hm"}, {"answer": {"stopReason": reason}}), tmp_path)
    assert error(context).code == code


async def test_a_failure_that_is_said_as_an_answer_is_a_failure(tmp_path: Path) -> None:
    def aside(**told: Any) -> dict[str, Any]:
        return {"update": {"sessionUpdate": "session_info_update", "_meta": {"codex": told}}}

    again = {"message": "Reconnecting... 1/1", "additionalDetails": "high demand", "willRetry": True}
    busy = {"message": "Reconnecting... 1/1", "additionalDetails": "last status: 429", "willRetry": True}
    steps = [
        aside(error=again),
        aside(error=busy),
        aside(threadStatus={"type": "systemError"}),
        {"say": "last status: 429 Too Many"},
    ]
    context = await play(player(), script(*steps), tmp_path)
    assert context.data(ev.ErrorOccurred)[0].error.code == "overloaded"
    assert context.data(ev.RateLimited)[0].message == "Reconnecting... 1/1: last status: 429"
    assert (error(context).code, error(context).message) == ("rate_limited", "last status: 429 Too Many")
    assert not context.data(ev.MessageReceived)


async def test_a_program_that_dies_has_crashed(tmp_path: Path) -> None:
    context = await play(player(), script({"say": "oh"}, {"exit": 3}), tmp_path)
    assert error(context).code == "crashed"
    assert "exit code 3" in error(context).message
    assert "it broke" in error(context).message
    assert texts(context) == ["oh"], "what was said before is kept whole"


async def test_what_is_no_protocol_is_told(tmp_path: Path) -> None:
    for raw in ("Loading...", "[1, 2]"):
        context = await play(player(), script({"raw": raw}, {"hang": True}), tmp_path)
        assert error(context).code == "protocol"


async def test_another_version_of_the_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionryError, match="speaks version 2 of the protocol, and not 1") as told:
        await play(player({"version": 2}), "hello", tmp_path)
    assert told.value.code == "protocol"


async def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SessionryError, match="nowhere/agent was not found") as told:
        await play(AcpAgent(command="/nowhere/agent"), "hello", tmp_path)
    assert told.value.code == "command_not_found"


async def test_a_program_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(SessionryError, match=r"did not answer initialize within 0\.3 seconds") as told:
        await play(player({"silent": "initialize"}, start_timeout=0.3), "hello", tmp_path)
    assert told.value.code == "stalled"
