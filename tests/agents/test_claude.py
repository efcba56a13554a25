"""The adapter of Claude Code without Claude Code: its options, its hooks, and what it makes of frames."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.accounting import Account
from sessionry.agents.catalog import Catalog
from sessionry.agents.claude import ClaudeAgent
from sessionry.agents.claude import found as finding
from sessionry.agents.claude.changes import output_of
from sessionry.agents.claude.hooks import Hook, Hooks
from sessionry.agents.claude.results import Bill, problem_of
from sessionry.agents.claude.telling import Teller
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import EventData
from sessionry.domain.run import Continuation
from sessionry.domain.usage import Usage
from sessionry.testing.context import RecordingContext


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_turns": 0}, "max_turns"),
        ({"max_budget_usd": -1.0}, "max_budget_usd"),
        ({"max_retries": -1}, "max_retries"),
        ({"api_timeout": 0.0}, "api_timeout"),
        ({"thinking": 12}, "thinking"),
        ({"kill_grace": 60}, "kill_grace"),
        ({"approval_timeout": 0}, "approval_timeout"),
        ({"approval_timeout": 5, "permissions": "deny"}, "approval_timeout"),
        ({"tools": ["Bash,Read"]}, "tools"),
        ({"allowed_tools": ["--dangerously-skip-permissions"]}, "allowed_tools"),
        ({"add_dirs": [" "]}, "add_dirs"),
        ({"mcp_servers": {"x": {"type": "sdk", "name": "x"}}}, "mcp_servers"),
        ({"mcp_servers": {"x": {"type": "stdio"}}}, "mcp_servers"),
        ({"settings": {"hooks": {}}}, "settings"),
        ({"output_schema": {}}, "output_schema"),
        ({"hooks": {"Before": []}}, "hooks"),
        ({"hooks": {"Stop": [Hook()]}}, "hooks"),
        ({"hooks": {"Stop": [Hook(command="a", function="b:c")]}}, "hooks"),
        ({"hooks": {"Stop": [Hook(function="no_such_module:guard")]}}, "hooks"),
        ({"hooks": {"Stop": [Hook(command="a", timeout=0)]}}, "hooks"),
    ],
)
def test_an_option_that_cannot_be_kept_is_refused_by_its_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput) as told:
        ClaudeAgent(**options)
    assert told.value.code == "invalid_configuration"
    assert told.value.details["option"] == named


@pytest.mark.parametrize(
    ("input", "path"),
    [
        ({"prompt": "x", "allowed_tools": ["Bash"]}, "input.allowed_tools"),
        ({"prompt": "x", "settings": {}}, "input.settings"),
        ({"prompt": "x", "effort": "enormous"}, "input.effort"),
        ({"prompt": "x", "max_turns": 11}, "input.max_turns"),
        ({"prompt": "x", "max_turns": 0}, "input.max_turns"),
        ({"prompt": "x", "max_budget_usd": 5.5}, "input.max_budget_usd"),
        ({"prompt": "x", "permission_mode": "bypassPermissions"}, "input.permission_mode"),
        ({"prompt": "x", "permission_mode": "acceptEdits"}, "input.permission_mode"),
        ({"prompt": "x", "output_schema": {}}, "input.output_schema"),
        ({"prompt": " "}, "input.prompt"),
        (None, "input"),
    ],
)
def test_a_run_may_not_do_more_than_its_agent(input: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as told:
        ClaudeAgent(max_turns=10, max_budget_usd=5).check(input)
    assert told.value.code == "validation_error"
    assert told.value.details["path"] == path


def test_a_run_may_do_less_than_its_agent() -> None:
    agent = ClaudeAgent(max_turns=10, permission_mode="acceptEdits")
    for less in ({"max_turns": 10}, {"permission_mode": "acceptEdits"}, {"permission_mode": "plan"}, {"effort": None}):
        assert agent.check({"prompt": "x", **less})


def test_it_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "agents.toml"
    file.write_text(
        """
        [reviewer]
        type = "claude"
        model = "opus"
        thinking = 2048
        allowed_tools = ["Read"]
        mcp_servers.docs = { type = "http", url = "http://127.0.0.1:1/mcp" }
        hooks.PreToolUse = [{ matcher = "Bash", command = "./check.sh", timeout = 5 }]
        on_stall = "fail"
        """
    )
    agent = Catalog.load(file).agent("reviewer")
    assert agent.facts.type == "claude"
    assert agent.facts.model == "opus"
    assert agent.facts.on_stall == "fail"
    file.write_text('[reviewer]\ntype = "claude"\npermision_mode = "plan"\n')
    with pytest.raises(InvalidInput, match="did you mean permission_mode"):
        Catalog.load(file).agent("reviewer")


def test_who_asks_nobody_declares_no_approvals() -> None:
    assert "approvals" in ClaudeAgent().facts.capabilities
    assert "approvals" not in ClaudeAgent(permissions="deny").facts.capabilities


# --- where it is ---


def test_it_is_found_on_path_where_its_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "bundled", lambda: None)
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert finding.found(env) is None
    program = tmp_path / "versions" / "2.1.400"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "claude").symlink_to(program)
    assert finding.found(env) == (str(tmp_path / "claude"), "2.1.400", False, "on PATH")
    (tmp_path / ".claude.json").write_text(json.dumps({"oauthAccount": {"emailAddress": "a@example.org"}}))
    assert finding.found(env) == (str(tmp_path / "claude"), "2.1.400", True, "on PATH")


def test_a_login_may_be_where_nobody_can_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    (tmp_path / "claude").write_text("#!/bin/sh\n")
    (tmp_path / "claude").chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    assert found_login(env) is False
    monkeypatch.setattr(sys, "platform", "darwin")
    assert found_login(env) is None, "it may be in the keychain"
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text('{"apiKeyHelper": "pass show claude"}')
    assert found_login(env) is None
    (tmp_path / ".claude" / ".credentials.json").write_text("{}")
    assert found_login(env) is True


def found_login(env: dict[str, str]) -> bool | None:
    there = finding.found(env)
    assert there is not None
    return there.logged_in


@pytest.mark.parametrize(
    ("env", "logged_in"),
    [
        ({}, False),
        ({"ANTHROPIC_API_KEY": "x"}, True),
        ({"ANTHROPIC_API_KEY": ""}, False),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "x"}, True),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, True),
    ],
)
def test_a_key_in_the_environment_is_a_login(env: dict[str, str], logged_in: bool, tmp_path: Path) -> None:
    there = finding.found({"HOME": str(tmp_path), "PATH": "", **env})
    assert there is None or there.logged_in is logged_in


def test_credentials_in_the_config_folder_are_a_login(tmp_path: Path) -> None:
    (tmp_path / ".credentials.json").write_text("{}")
    there = finding.found({"HOME": "/nonexistent", "CLAUDE_CONFIG_DIR": str(tmp_path), "PATH": ""})
    assert there is None or there.logged_in


# --- hooks ---


def sync_hook(happened: dict[str, Any]) -> dict[str, Any]:
    return {"decision": "block", "reason": happened["why"]}


async def wrong_hook(happened: dict[str, Any]) -> str:
    return "no dict"


async def test_functions_are_called_in_their_own_way() -> None:
    stop = [Hook(function=f"{__name__}:sync_hook"), Hook(function=f"{__name__}:wrong_hook", matcher="x")]
    hooks = Hooks({"Stop": stop})
    assert hooks.settings() == {}
    registered = hooks.registration()
    assert registered is not None
    ids = [entry["hookCallbackIds"][0] for entry in registered["Stop"]]
    assert await hooks.call(str(ids[0]), {"why": "because"}) == {"decision": "block", "reason": "because"}
    with pytest.raises(TypeError, match="returned a str"):
        await hooks.call(str(ids[1]), {})


# --- what it says ---


def streamed(event: dict[str, Any]) -> dict[str, Any]:
    return {"type": "stream_event", "event": event, "parent_tool_use_id": None}


def piece(text: str) -> dict[str, Any]:
    return streamed({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def begin(id: str) -> list[dict[str, Any]]:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return [streamed({"type": "message_start", "message": {"id": id}}), streamed(start)]


def said(id: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"id": id, "content": list(content)}, "parent_tool_use_id": None, **more}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def told(frames: list[dict[str, Any]]) -> list[EventData]:
    teller = Teller("claude")
    events = [event for frame in frames for event in teller.tell(frame)]
    return [*events, *teller.rest()]


def test_what_is_said_again_after_a_broken_stream_is_told_once() -> None:
    frames = [*begin("a"), piece("one "), piece("two "), *begin("b"), piece("one "), piece("two "), piece("three")]
    events = told([*frames, said("b", text("one two three"))])
    pieces = [event.text for event in events if isinstance(event, ev.MessageStreamed)]
    assert pieces == ["one ", "two ", "three"]
    assert {event.message_id for event in events} == {"a.0"}  # type: ignore[attr-defined]


def test_what_is_said_otherwise_after_a_broken_stream_counts_as_a_whole() -> None:
    events = told([*begin("a"), piece("one "), said("b", text("another answer"))])
    assert [
        (event.type, event.text) for event in events if isinstance(event, ev.MessageStreamed | ev.MessageReceived)
    ] == [
        ("message_streamed", "one "),
        ("message_received", "another answer"),
    ]


def test_the_last_message_waits_for_what_comes_after_it() -> None:
    teller = Teller("claude")
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    assert teller.tell(said("a", text("now"))) == []
    assert [event.type for event in teller.tell(said("a", call))] == ["message_received", "tool_call_started"]


def test_words_of_claude_code_itself_are_no_message() -> None:
    assert told([said("a", text("API Error: 500"), error="server_error"), said("b", text("half"), aborted=True)]) == []


def test_a_list_of_things_to_do_is_a_plan() -> None:
    todos = [{"content": "look", "status": "completed"}, {"content": "mend", "status": "in_progress"}]
    call = {"type": "tool_use", "id": "t1", "name": "TodoWrite", "input": {"todos": todos}}
    (plan,) = [event for event in told([said("a", call)]) if isinstance(event, ev.PlanUpdated)]
    assert plan.entries == [{"text": "look", "status": "completed"}, {"text": "mend", "status": "in_progress"}]


def test_a_plan_limit_that_is_used_up_is_told_with_its_reset() -> None:
    info = {"status": "rejected", "resetsAt": 4102444800, "rateLimitType": "five_hour"}
    (limited,) = told([{"type": "rate_limit_event", "rate_limit_info": info}])
    assert isinstance(limited, ev.RateLimited)
    assert limited.resets_at is not None
    assert limited.resets_at.year == 2100
    assert told([{"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning"}}]) == []


def test_frames_that_nobody_knows_say_nothing() -> None:
    assert told([{"type": "system", "subtype": "new"}, {"type": "new"}, {}, streamed({"type": "ping"})]) == []


# --- a program that is not what it should be ---

IMPOSTOR = """
import json, sys
def say(**frame): print(json.dumps(frame), flush=True)
if sys.argv[1:] == ["--version"]:
    sys.exit(print("9.9.9 (Claude Code)"))
resumed = any(word.startswith("--resume=") for word in sys.argv)
for line in sys.stdin:
    said = json.loads(line)
    if said["type"] == "control_request":
        answer = {"subtype": "success", "request_id": said["request_id"], "response": {}}
        say(type="control_response", response=answer)
    elif said["type"] == "user":
        say(type="system", subtype="init", session_id="another" if resumed else "new", model="m")
        say(type="control_request", request_id="q1", request={"subtype": "mcp_message"})
        prompt = said["message"]["content"]
    elif said["type"] == "control_response":
        text = prompt + " " + said["response"]["error"]
        block = {"type": "text", "text": text}
        say(type="assistant", message={"id": "a", "content": [block]}, parent_tool_use_id=None)
        say(type="result", subtype="success", is_error=False, result=text, stop_reason="end_turn", total_cost_usd=0.5)
"""
NATIVE = "0b2c8a52-5c2e-4f6e-9f0e-7d1a3f6b9c11"


@pytest.fixture
def impostor(tmp_path: Path) -> ClaudeAgent:
    """A program that comes back with another session than the one that it is to resume."""
    program = tmp_path / "claude"
    program.write_text(f"#!{sys.executable}{IMPOSTOR}")
    program.chmod(0o755)
    (tmp_path / "config" / "projects" / "work").mkdir(parents=True)
    (tmp_path / "config" / "projects" / "work" / f"{NATIVE}.jsonl").write_text("{}\n")
    return ClaudeAgent(program=str(program), env={"CLAUDE_CONFIG_DIR": str(tmp_path / "config")})


def resuming(tmp_path: Path, mode: Continuation) -> RecordingContext:
    native = NativeSession(id=NATIVE, run_id="run_of_before")
    return RecordingContext("hello", cwd=tmp_path, previous=Conversation(mode=mode, native=native))


async def test_a_session_that_comes_back_under_another_id_is_not_it(impostor: ClaudeAgent, tmp_path: Path) -> None:
    context = resuming(tmp_path, Continuation.AUTO)
    await context.play(impostor)
    (degraded,) = context.data(ev.ResumeDegraded)
    assert degraded.native_session_id == NATIVE
    assert "another" in degraded.reason
    assert [link.native_session_id for link in context.data(ev.AgentSessionLinked)] == ["new"]
    assert len(context.data(ev.AgentProcessStarted)) == 2
    (used,) = context.data(ev.TokenUsageUpdated)
    assert used.cost == Decimal("0.5")
    (done,) = context.data(ev.RunCompleted)
    assert done.text == "hello Sessionry knows no mcp_message"


async def test_who_wants_that_session_and_no_other_is_told(impostor: ClaudeAgent, tmp_path: Path) -> None:
    with pytest.raises(AgentFailed) as told:
        await resuming(tmp_path, Continuation.NATIVE).play(impostor)
    assert told.value.code == "resume_failed"


# --- what a result means ---


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"is_error": False, "subtype": "success"}, None),
        ({"is_error": False, "subtype": "success", "stop_reason": "refusal"}, "refused"),
        ({"is_error": True, "subtype": "success", "api_error_status": 401, "result": "no"}, "auth"),
        ({"is_error": True, "subtype": "success", "api_error_status": 529, "result": "no"}, "overloaded"),
        ({"is_error": True, "subtype": "success", "terminal_reason": "prompt_too_long"}, "context_too_long"),
        ({"is_error": True, "subtype": "success", "terminal_reason": "api_error", "result": "?"}, "agent_unavailable"),
        ({"is_error": True, "subtype": "error_max_turns", "errors": ["enough"]}, "limit_reached"),
        ({"is_error": True, "subtype": "error_max_structured_output_retries"}, "agent_failed"),
        ({"is_error": True, "subtype": "error_during_execution", "terminal_reason": "aborted_tools"}, "cancelled"),
        ({"is_error": True, "subtype": "error_during_execution", "errors": ["odd"]}, "agent_failed"),
    ],
)
def test_a_result_is_more_than_its_subtype(result: dict[str, Any], code: str | None) -> None:
    problem = problem_of(result)
    assert (problem.code if problem else None) == code


def counting(model: str, **counts: int) -> list[dict[str, Any]]:
    """The frames of an answer that count its tokens."""
    begun = {"type": "message_start", "message": {"model": model, "usage": {**counts, "output_tokens": 1}}}
    return [{"event": event} for event in (begun, {"type": "message_delta", "usage": counts})]


@pytest.mark.parametrize("name", ["opus", "opus-20260101"])
def test_each_token_is_told_once_whatever_its_model_is_called(name: str) -> None:
    bill = Bill(Account(priced=False))
    for _ in range(2):
        begun, ended = counting(name, input_tokens=100, output_tokens=20)
        assert not list(bill.streamed(begun))
        (told,) = bill.streamed(ended)
        assert told.usage == Usage(input_tokens=100, output_tokens=20)
        assert (told.model, told.cost) == (name, None)
    models = {"opus": {"inputTokens": 200, "outputTokens": 45}, "haiku": {"inputTokens": 7}}
    rest = list(bill.usage({"total_cost_usd": 0.5, "model_usage_since_last_result": models}))
    assert sum((event.usage for event in rest), Usage()) == Usage(input_tokens=7, output_tokens=5)
    assert [event.cost for event in rest if event.cost is not None] == [Decimal("0.5")]
    again = list(bill.usage({"total_cost_usd": 0.6, "model_usage_since_last_result": {"opus": {"inputTokens": 30}}}))
    assert sum((event.usage for event in again), Usage()) == Usage(input_tokens=30)


def test_money_counts_on_over_runs_and_tokens_are_told_by_model() -> None:
    bill = Bill(Account(cost_so_far=Decimal("0.5"), priced=False))
    models = {
        "opus": {"inputTokens": 10, "outputTokens": 2, "cacheReadInputTokens": 3, "thinkingTokens": 1},
        "haiku": {"inputTokens": 5, "cacheCreationInputTokens": 4},
    }
    opus, haiku = bill.usage({"total_cost_usd": 0.75, "model_usage_since_last_result": models})
    assert opus.usage == Usage(input_tokens=10, output_tokens=2, cache_read_tokens=3, reasoning_tokens=1)
    assert (opus.model, opus.cost) == ("opus", Decimal("0.25"))
    assert haiku.usage == Usage(input_tokens=5, cache_write_tokens=4)
    assert not haiku.cost
    assert list(bill.usage({"total_cost_usd": 0.75, "usage": {}})) == []


def test_changes_of_files_are_diffs() -> None:
    made: dict[str, Any] = {
        "type": "create",
        "filePath": "a",
        "content": "1\n2",
        "structuredPatch": [],
        "originalFile": None,
    }
    assert output_of("made", made) == {
        "changes": [
            {
                "path": "a",
                "kind": "add",
                "diff": "--- /dev/null\n+++ b/a\n@@ -0,0 +1,2 @@\n+1\n+2\n\\ No newline at end of file\n",
            }
        ]
    }
    assert output_of([{"type": "text", "text": "a"}, {"type": "image"}], None) == "a\n[image]"
