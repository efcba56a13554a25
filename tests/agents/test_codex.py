"""What can be told of the Codex adapter without Codex: its options, what it makes of failures and items, where it looks."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.codex import CodexAgent, found
from sessionry.agents.codex.faults import error_of, survived
from sessionry.agents.codex.items import Items, changes
from sessionry.agents.codex.options import Options
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import EventData

# --- options ---


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"sandbox": "none"}, "sandbox"),
        ({"approval_policy": "always"}, "approval_policy"),
        ({"summary": "long"}, "summary"),
        ({"model": " "}, "model"),
        ({"effort": ""}, "effort"),
        ({"writable_dirs": ["/srv"]}, "writable_dirs"),
        ({"writable_dirs": ["/srv"], "sandbox": "read-only"}, "writable_dirs"),
        ({"writable_dirs": ["srv"], "sandbox": "workspace-write"}, "writable_dirs"),
        ({"network_access": True, "sandbox": "read-only"}, "network_access"),
        ({"output_schema": {"dependentSchemas": {}}}, "output_schema"),
        ({"config": {"model": "o3"}, "model": "gpt-5.5"}, "config"),
        ({"config": {"sandbox_mode": "read-only"}, "sandbox": "read-only"}, "config"),
        ({"config": {"tools": {"view_image": None}}}, "config"),
        ({"mcp_servers": {"calc": {"command": None}}}, "mcp_servers"),
        ({"approval_timeout": 0}, "approval_timeout"),
        ({"stall_after": 0}, "stall_after"),
        ({"kill_grace": 60}, "kill_grace"),
        ({"codex_home": Path("/srv"), "env": {"CODEX_HOME": "/opt"}}, "codex_home"),
    ],
)
def test_an_option_that_cannot_be_kept_is_refused_by_its_name(options: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidInput) as told:
        CodexAgent(**options)
    assert told.value.code == "invalid_configuration"
    assert told.value.details == {"option": option}
    assert option in told.value.message


@pytest.mark.parametrize(
    ("input", "path"),
    [
        ({"prompt": "hi", "temperature": 1}, "input.temperature"),
        ({"prompt": "hi", "sandbox": "none"}, "input.sandbox"),
        ({"prompt": "hi", "sandbox": "read-only"}, "input.network_access"),
        ({"prompt": "hi", "output_schema": []}, "input.output_schema"),
        ({"prompt": " "}, "input.prompt"),
    ],
)
def test_an_option_of_a_run_that_cannot_be_kept_is_refused_by_its_name(input: Any, path: str) -> None:
    agent = CodexAgent(sandbox="workspace-write", network_access=True)
    with pytest.raises(InvalidInput) as told:
        agent.check(input)
    assert told.value.code == "validation_error"
    assert told.value.details["path"] == path


def test_overrides_are_toml_as_deep_as_keys_are_words() -> None:
    config: dict[str, Any] = {
        "model_verbosity": "high",
        "tools": {"web_search": False},
        "notify": ["say", 'it "loud"\n\x7f'],
        "projects": {"/srv/a.b": {"trust_level": "trusted"}},
        "tui.theme": "dark ☾ 😀",
    }
    words = Options(config=config).arguments()
    assert words[::2] == ["-c"] * 5
    pairs = [word.partition("=") for word in words[1::2]]
    read = {key: tomllib.loads(f"value = {value}")["value"] for key, _, value in pairs}
    assert read == {
        "model_verbosity": "high",
        "tools.web_search": False,
        "notify": ["say", 'it "loud"\n\x7f'],
        "projects": {"/srv/a.b": {"trust_level": "trusted"}},
        "tui.theme": "dark ☾ 😀",
    }


def test_a_thread_that_is_not_as_it_was_asked_for_is_refused_by_the_option() -> None:
    options = Options(model="gpt-5.5", sandbox="workspace-write", writable_dirs=["/srv"], approval_policy="never")
    kept = {
        "model": "gpt-5.5",
        "approvalPolicy": "never",
        "sandbox": {"type": "workspaceWrite", "writableRoots": ["/srv"]},
    }
    options.check_kept(kept)
    for change, option in (
        ({"model": "other"}, "model"),
        ({"approvalPolicy": "untrusted"}, "approval_policy"),
        ({"sandbox": {"type": "readOnly"}}, "sandbox"),
        ({"sandbox": {"type": "workspaceWrite", "writableRoots": []}}, "writable_dirs"),
    ):
        with pytest.raises(InvalidInput) as told:
            options.check_kept({**kept, **change})
        assert told.value.details == {"option": option}


# --- failures ---


@pytest.mark.parametrize(
    ("info", "message", "code"),
    [
        ({"httpConnectionFailed": {"httpStatusCode": 401}}, "unexpected status 401 Unauthorized", "auth"),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 429}}, "last status: 429", "rate_limited"),
        ({"httpConnectionFailed": {"httpStatusCode": 529}}, "unexpected status 529", "overloaded"),
        ({"responseStreamDisconnected": {"httpStatusCode": None}}, "Connection failed", "agent_unavailable"),
        ("unauthorized", "log in", "auth"),
        ("usageLimitExceeded", "Quota exceeded.", "quota"),
        ("rateLimitExceeded", "slow down", "rate_limited"),
        ("serverOverloaded", "at capacity", "overloaded"),
        ("internalServerError", "high demand", "overloaded"),
        ("contextWindowExceeded", "too long", "context_too_long"),
        ("sessionBudgetExceeded", "no budget", "limit_reached"),
        ("cyberPolicy", "no", "refused"),
        ("badRequest", "no such parameter", "request_rejected"),
        ("other", '{"error": {"message": "bad input", "code": "invalid"}}', "request_rejected"),
        ("other", '{"error": {"message": "no", "code": "context_length_exceeded"}}', "context_too_long"),
        ("other", "stream disconnected before completion: idle timeout waiting for SSE", "stalled"),
        ("other", "stream disconnected before completion: cut", "agent_unavailable"),
        ("sandboxError", "it broke", "agent_failed"),
        (None, "nobody knows", "agent_unavailable"),
    ],
)
def test_a_failed_turn_has_the_code_of_what_went_wrong(info: Any, message: str, code: str) -> None:
    error = error_of({"message": message, "codexErrorInfo": info})
    assert error.code == code
    assert error.message


def test_a_wait_for_the_rate_limit_is_told_as_such_and_another_trouble_as_an_error() -> None:
    waits = survived(
        {
            "message": "Reconnecting... 1/4",
            "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": 429}},
            "additionalDetails": "exceeded retry limit, last status: 429 Too Many Requests",
        }
    )
    assert isinstance(waits, ev.RateLimited)
    cut = survived({"message": "Reconnecting... 1/1", "codexErrorInfo": {"responseStreamDisconnected": {}}})
    assert isinstance(cut, ev.ErrorOccurred)
    assert cut.error.code == "agent_unavailable"


# --- items ---


def test_changes_become_unified_diffs() -> None:
    added, deleted, updated = changes(
        [
            {"path": "/w/a", "kind": {"type": "add"}, "diff": "one\ntwo\n"},
            {"path": "/w/b", "kind": {"type": "delete"}, "diff": "last"},
            {"path": "/w/c", "kind": {"type": "update", "move_path": "/w/d"}, "diff": "@@ -1 +1 @@\n-x\n+y\n"},
        ]
    )
    assert added["diff"] == "--- /dev/null\n+++ /w/a\n@@ -0,0 +1,2 @@\n+one\n+two\n"
    assert deleted["diff"] == "--- /w/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-last\n\\ No newline at end of file\n"
    assert updated == {
        "path": "/w/c",
        "kind": "update",
        "diff": "--- /w/c\n+++ /w/d\n@@ -1 +1 @@\n-x\n+y\n",
        "moved_to": "/w/d",
    }


def test_the_same_id_in_another_turn_or_answer_is_another_message() -> None:
    items = Items()
    ids = set()
    for turn in ("turn-00000001", "turn-00000001", "turn-00000002"):
        whole = {"type": "agentMessage", "id": "msg_0", "text": "hi"}
        told = [*items.started(whole, turn), *items.piece("msg_0", turn, "hi"), *items.completed(whole, turn)]
        assert [event.type for event in told] == ["message_streamed", "message_received"]
        ids |= {event.message_id for event in told if isinstance(event, ev.MessageReceived)}
        items = Items() if turn.endswith("2") else items
    assert len(ids) >= 2


def test_reasoning_is_the_paragraphs_that_were_streamed() -> None:
    items = Items()
    told: list[EventData] = []
    for part, text in ((0, "first"), (0, " thought"), (1, "second")):
        told += items.thought("rs", "turn", text, part)
    told += items.completed({"type": "reasoning", "id": "rs", "summary": ["first thought", "second"]}, "turn")
    assert isinstance(told[-1], ev.ReasoningReceived)
    assert told[-1].text == "first thought\n\nsecond"
    assert told[-1].text == "".join(event.text for event in told if isinstance(event, ev.ReasoningStreamed))


def test_a_tool_that_was_never_begun_is_told_as_begun_and_ended() -> None:
    whole = {"type": "commandExecution", "id": "c", "command": "ls", "cwd": "/", "status": "failed", "exitCode": 2}
    told = list(Items("parent").completed({**whole, "aggregatedOutput": "no"}, "turn"))
    assert isinstance(told[0], ev.ToolCallStarted)
    assert isinstance(told[1], ev.ToolCallFailed)
    assert told[0].parent_tool_call_id == told[1].parent_tool_call_id == "parent"
    assert told[1].tool_output == {"output": "no", "exit_code": 2}


# --- where it is ---


def test_it_is_found_with_its_version_and_its_login(tmp_path: Path) -> None:
    nothing = found({"HOME": str(tmp_path), "PATH": ""})
    assert nothing is not None
    assert nothing.program is not None
    assert nothing.version
    assert nothing.logged_in is False
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text("")
    assert found({"HOME": str(tmp_path), "PATH": ""}).logged_in is None  # type: ignore[union-attr]
    (tmp_path / ".codex" / "auth.json").write_text('{"OPENAI_API_KEY": "sk-x"}')
    assert found({"HOME": str(tmp_path), "PATH": ""}).logged_in is True  # type: ignore[union-attr]
    assert found({"CODEX_HOME": str(tmp_path / "other"), "CODEX_API_KEY": "x"}).logged_in is True  # type: ignore[union-attr]
