"""What has to be shown of each real agent, and where it is: a test that looks at the world, and the log that it left.

A golden log counts only if what the cell is about happened in it, so that no file of another name can stand in for it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.agents.real.golden import FOLDER

HERE = Path(__file__).parent

Log = list[dict[str, Any]]


def happened(*types: str) -> Callable[[Log], bool]:
    """Events of these types, in this order."""

    def look(log: Log) -> bool:
        told = iter(event["type"] for event in log)
        return all(type in told for type in types)

    return look


def failed(*codes: str) -> Callable[[Log], bool]:
    """The run failed, for one of these reasons."""
    return lambda log: log[-1]["type"] == "run_failed" and log[-1]["error"]["code"] in codes


def either(*looks: Callable[[Log], bool]) -> Callable[[Log], bool]:
    return lambda log: any(look(log) for look in looks)


def linked(field: str) -> Callable[[Log], bool]:
    return lambda log: any(event.get(field) for event in log if event["type"] == "agent_session_linked")


def counted(log: Log) -> bool:
    return any(event["usage"].get("input_tokens") for event in log if event["type"] == "token_usage_updated")


def refused_twice(log: Log) -> bool:
    """By the model's server. Whether the agent says so is its own choice, but the run is well in the end."""
    scripted = all(word in log[0]["input"] for word in ('"error": 429', '"times": 2'))
    return scripted and log[-1]["type"] == "run_completed"


#: What has to be seen in the log of each cell.
CELLS: Mapping[str, Callable[[Log], bool]] = {
    "hello": happened("run_queued", "run_started", "message_received", "run_completed"),
    "streaming": happened("message_streamed", "message_received"),
    "reasoning": happened("reasoning_streamed", "reasoning_received"),
    "command": happened("tool_call_started", "tool_call_completed", "run_completed"),
    "file": happened("tool_call_started", "tool_call_completed", "run_completed"),
    "allowed": happened("tool_approval_requested", "tool_approval_granted", "tool_call_completed"),
    "denied": happened("tool_approval_requested", "tool_approval_denied", "tool_call_failed"),
    "expired": happened("tool_approval_requested", "approval_expired"),
    "answered after a restart": happened("tool_approval_requested", "tool_approval_granted", "run_completed"),
    "steer": happened("input_received", "run_completed"),
    "cancelled": happened("tool_call_started", "run_cancelled"),
    "deadline": happened("run_started", "run_timeout"),
    "resumed": linked("resumed"),
    "forked": linked("forked_from"),
    "usage": counted,
    "401": failed("auth"),
    "429 twice": refused_twice,
    "500": either(failed("overloaded"), happened("run_timeout")),
    "cut": either(failed("agent_unavailable", "overloaded"), happened("message_received", "run_completed")),
    "hang": failed("agent_unavailable", "stalled"),
    "stall": failed("stalled"),
    "sse error": either(failed("agent_unavailable", "overloaded", "agent_failed"), happened("run_completed")),
    "program missing": failed("command_not_found"),
    "wrong version": failed("dependency_not_available", "agent_failed", "protocol"),
    "agent killed": failed("crashed"),
    "worker killed": happened("worker_lost", "run_requeued", "run_started", "run_completed"),
}

Cell = tuple[str, str]

CLAUDE: Mapping[str, Cell] = {
    "hello": ("test_claude.py::test_it_says_hello_piece_by_piece", "hello"),
    "streaming": ("test_claude.py::test_it_says_hello_piece_by_piece", "hello"),
    "reasoning": ("test_claude.py::test_it_thinks_aloud", "reasoning"),
    "command": ("test_claude.py::test_commands_and_changes_of_files_are_told", "tools"),
    "file": ("test_claude.py::test_commands_and_changes_of_files_are_told", "tools"),
    "allowed": ("test_claude.py::test_a_person_allows_a_command", "approval_allowed"),
    "denied": ("test_claude.py::test_a_person_denies_a_command_and_says_why", "approval_denied"),
    "expired": ("test_claude.py::test_no_answer_is_a_denial", "approval_expired"),
    "answered after a restart": (
        "test_claude_sessions.py::test_an_answer_after_a_restart_is_heard",
        "approval_after_restart",
    ),
    "steer": ("test_claude.py::test_it_hears_what_is_said_while_it_works", "steer"),
    "cancelled": ("test_claude.py::test_cancelling_ends_the_tool_too", "cancelled"),
    "deadline": ("test_claude.py::test_a_deadline_ends_it", "deadline"),
    "resumed": ("test_claude_sessions.py::test_it_goes_on_in_its_own_session", "resume"),
    "forked": ("test_claude_sessions.py::test_a_fork_leaves_its_session_as_it_was", "fork"),
    "usage": ("test_claude.py::test_tokens_and_money_are_those_of_the_run", "usage"),
    "401": ("test_claude_failures.py::test_a_failure_of_the_model_has_its_code", "failure_auth"),
    "429 twice": (
        "test_claude_failures.py::test_two_refusals_for_too_many_requests_are_survived",
        "rate_limited_twice",
    ),
    "500": ("test_claude_failures.py::test_a_failure_of_the_model_has_its_code", "failure_overloaded"),
    "cut": ("test_claude_failures.py::test_a_stream_that_is_cut_once_is_told_once", "cut_stream"),
    "hang": ("test_claude_failures.py::test_a_failure_of_the_model_has_its_code", "failure_hanging"),
    "stall": ("test_claude_failures.py::test_a_model_that_stops_in_the_middle_of_a_word_is_noticed", "stalled"),
    "sse error": ("test_claude_failures.py::test_an_error_in_the_stream_is_survived", "error_in_stream"),
    "program missing": ("test_claude_failures.py::test_a_missing_program_is_named", "program_missing"),
    "wrong version": ("test_claude_failures.py::test_a_program_of_a_wrong_version_is_not_started", "version_old"),
    "agent killed": ("test_claude_failures.py::test_a_killed_program_is_told_and_takes_its_tools_along", "killed"),
    "worker killed": (
        "test_claude_sessions.py::test_a_run_whose_worker_was_killed_goes_on_in_its_session",
        "worker_killed",
    ),
}

CODEX: Mapping[str, Cell] = {
    "hello": ("test_codex.py::test_it_says_hello_piece_by_piece", "hello"),
    "streaming": ("test_codex.py::test_it_says_hello_piece_by_piece", "hello"),
    "reasoning": ("test_codex.py::test_it_thinks_aloud", "reasoning"),
    "command": ("test_codex.py::test_it_runs_commands_and_writes_files", "commands"),
    "file": ("test_codex.py::test_it_patches_files", "patches"),
    "allowed": ("test_codex.py::test_a_person_allows_a_command", "approval_allowed"),
    "denied": (
        "test_codex_approvals.py::test_a_denied_command_does_not_run_and_the_reason_is_told",
        "approval_denied",
    ),
    "expired": ("test_codex_approvals.py::test_no_answer_in_time_is_a_no", "approval_expired"),
    "answered after a restart": (
        "test_codex_continuity.py::test_a_question_that_waited_through_the_death_of_its_worker_is_answered_afterwards",
        "approval_after_restart",
    ),
    "steer": ("test_codex.py::test_a_word_of_a_person_reaches_the_turn_at_work", "steered"),
    "cancelled": ("test_codex.py::test_a_cancelled_run_takes_its_command_along", "cancelled"),
    "deadline": ("test_codex.py::test_a_run_whose_time_is_over_takes_its_command_along", "deadline"),
    "resumed": ("test_codex_continuity.py::test_it_resumes_in_a_new_process_and_another_folder", "resumed"),
    "forked": (
        "test_codex_continuity.py::test_a_fork_has_an_id_of_its_own_and_leaves_the_thread_alone",
        "forked",
    ),
    "usage": ("test_codex.py::test_usage_and_cost_are_the_run_s_own", "usage"),
    "401": ("test_codex_failures.py::test_a_failing_model_fails_the_run", "failed_401"),
    "429 twice": ("test_codex_failures.py::test_two_refusals_for_the_rate_are_survived", "429_twice"),
    "500": ("test_codex_failures.py::test_a_failing_model_fails_the_run", "failed_500"),
    "cut": ("test_codex_failures.py::test_a_failing_model_fails_the_run", "failed_cut"),
    "hang": (
        "test_codex_failures.py::test_a_model_that_never_answers_is_told_as_a_stall_and_fails_the_run",
        "hung",
    ),
    "stall": ("test_codex_failures.py::test_a_stream_that_stalls_is_given_up", "stalled"),
    "sse error": ("test_codex_failures.py::test_a_failing_model_fails_the_run", "failed_sse_error"),
    "program missing": ("test_codex_failures.py::test_a_missing_program_is_named", "program_missing"),
    "wrong version": ("test_codex_failures.py::test_an_old_version_is_refused", "program_old"),
    "agent killed": ("test_codex_continuity.py::test_codex_itself_killed_is_a_crash", "killed"),
    "worker killed": (
        "test_codex_continuity.py::test_a_run_whose_worker_was_killed_goes_on_in_its_thread",
        "worker_killed",
    ),
}

#: The same tests run for each agent that speaks the Agent Client Protocol.
ACP: Mapping[str, Cell] = {
    "hello": ("test_acp_each.py::test_it_thinks_and_says_hello", "hello"),
    "streaming": ("test_acp_each.py::test_it_thinks_and_says_hello", "hello"),
    "reasoning": ("test_acp_each.py::test_it_thinks_and_says_hello", "hello"),
    "command": ("test_acp_each.py::test_an_allowed_command_is_run", "allow"),
    "file": ("test_acp_each.py::test_a_written_file_is_told_with_its_diff", "write"),
    "allowed": ("test_acp_each.py::test_an_allowed_command_is_run", "allow"),
    "denied": ("test_acp_each.py::test_a_denied_command_is_not_run", "deny"),
    "expired": ("test_acp_runs.py::test_a_question_that_nobody_answers_in_time_is_a_denial", "expired"),
    "answered after a restart": (
        "test_acp_runs.py::test_a_question_that_waited_through_the_death_of_its_worker_is_answered_afterwards",
        "answered_later",
    ),
    "steer": ("test_acp_runs.py::test_a_word_of_a_person_reaches_the_agent_at_work", "steer"),
    "cancelled": ("test_acp_each.py::test_a_cancelled_run_ends_the_tools_own_child", "cancelled"),
    "deadline": ("test_acp_runs.py::test_a_run_whose_time_is_over_takes_its_command_along", "deadline"),
    "resumed": ("test_acp_each.py::test_its_session_goes_on_in_a_new_process_and_another_folder", "resume"),
    "forked": ("test_acp_each.py::test_a_fork_is_a_copy_where_it_can_copy", "fork"),
    "usage": ("test_acp_runs.py::test_usage_and_cost_are_the_run_s_own", "usage"),
    "401": ("test_acp_failures.py::test_a_refused_request_is_not_retryable", "error_401"),
    "429 twice": ("test_acp_failures.py::test_two_refusals_for_too_many_requests_are_survived", "error_429"),
    "500": ("test_acp_failures.py::test_a_server_that_fails_for_ever_is_given_up", "error_500"),
    "cut": ("test_acp_failures.py::test_a_stream_that_breaks_off_is_a_failure_that_may_pass", "cut"),
    "hang": ("test_acp_failures.py::test_silence_is_told_and_ends_the_run_when_that_is_wanted", "hang"),
    "stall": ("test_acp_failures.py::test_silence_is_told_and_ends_the_run_when_that_is_wanted", "stall"),
    "sse error": ("test_acp_failures.py::test_an_error_in_the_stream_is_survived_or_told", "sse_error"),
    "program missing": (
        "test_acp_programs.py::test_a_missing_program_is_named_with_what_installs_it",
        "program_missing",
    ),
    "wrong version": (
        "test_acp_programs.py::test_a_program_of_another_version_of_the_protocol_is_not_spoken_with",
        "version_other",
    ),
    "agent killed": (
        "test_acp_runs.py::test_an_agent_that_is_killed_has_crashed_and_its_command_is_ended",
        "killed",
    ),
    "worker killed": ("test_acp_runs.py::test_a_run_whose_worker_was_killed_goes_on", "worker_killed"),
}

#: What an agent cannot do, and the test that shows what becomes of it then.
LACKING: Mapping[str, Mapping[str, str]] = {
    "acp-qwen": {
        "steer": "test_acp_runs.py::test_an_agent_that_takes_no_word_at_work_says_so_and_works_on",
        "forked": "test_acp_each.py::test_a_fork_is_a_copy_where_it_can_copy",
    },
}

AGENTS: Mapping[str, Mapping[str, Cell]] = {
    "claude": CLAUDE,
    "codex": CODEX,
    "acp-claude-agent-acp": ACP,
    "acp-codex-acp": ACP,
    "acp-qwen": ACP,
}

#: Not shown yet.
OPEN: Mapping[str, set[str]] = {}


def cells() -> Iterable[tuple[str, str]]:
    return [
        (agent, cell)
        for agent in AGENTS
        for cell in CELLS
        if cell not in OPEN.get(agent, ()) and cell not in LACKING.get(agent, {})
    ]


@pytest.mark.parametrize(("agent", "cell"), cells())
def test_each_cell_has_a_test_and_the_log_that_it_left(agent: str, cell: str) -> None:
    where, name = AGENTS[agent][cell]
    assert "golden(" in source_of(where), f"{where} keeps no golden log"
    assert seen(agent, cell), f"{cell} cannot be seen in {agent}/{name}"


@pytest.mark.parametrize(("agent", "cell"), [(agent, cell) for agent, lacks in LACKING.items() for cell in lacks])
def test_what_an_agent_cannot_do_is_shown_too(agent: str, cell: str) -> None:
    assert source_of(LACKING[agent][cell])
    assert not (FOLDER / agent / f"{ACP[cell][1]}.jsonl").exists(), f"{agent} can do it: {cell}"


def test_what_is_shown_is_not_open_any_more() -> None:
    assert not [
        (agent, cell) for agent, open in OPEN.items() for cell in open if cell in AGENTS[agent] and seen(agent, cell)
    ]


def seen(agent: str, cell: str) -> bool:
    file = FOLDER / agent / f"{AGENTS[agent][cell][1]}.jsonl"
    return file.exists() and CELLS[cell]([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])


def source_of(where: str) -> str:
    """The text of a test, `file::name`."""
    file, _, name = where.partition("::")
    found = functions(HERE / file)
    assert name in found, f"{file} has no {name}"
    return found[name]


@cache
def functions(path: Path) -> Mapping[str, str]:
    text = path.read_text(encoding="utf-8")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}
