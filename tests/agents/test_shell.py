"""The shell agent runs one command and tells what it wrote, how it ended, and why."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.shell import ShellAgent
from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import (
    EventData,
    PolicyViolation,
    RunCompleted,
    RunFailed,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallInterrupted,
    ToolCallStarted,
    ToolOutputStreamed,
)
from sessionry.domain.json_values import Json
from sessionry.domain.run import Takeover
from sessionry.ports import Decision
from sessionry.testing.context import Answers, RecordingContext
from tests.agents.processes import alive, until


async def play(tmp_path: Path, input: Json, *, answers: Answers = (), **options: Any) -> list[EventData]:
    agent = ShellAgent(**options)
    return await RecordingContext(agent.check(input), cwd=tmp_path, answers=answers).play(agent)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def streamed(events: list[EventData], stream: str = "stdout") -> str:
    return "".join(event.text for event in events if isinstance(event, ToolOutputStreamed) and event.stream == stream)


def completed(events: list[EventData]) -> RunCompleted:
    assert isinstance(events[-1], RunCompleted), events[-1]
    return events[-1]


def failed(events: list[EventData]) -> RunFailed:
    assert isinstance(events[-1], RunFailed), events[-1]
    return events[-1]


async def test_a_command_becomes_one_tool_call_and_a_result(tmp_path: Path) -> None:
    events = await play(tmp_path, ["echo", "hello"])
    started, piece, ended, end = events
    assert isinstance(started, ToolCallStarted)
    assert (started.tool_name, started.tool_input) == ("shell", {"argv": ["echo", "hello"], "cwd": str(tmp_path)})
    assert piece == ToolOutputStreamed(tool_call_id=started.tool_call_id, text="hello\n")
    assert isinstance(ended, ToolCallCompleted)
    assert ended.tool_output == {"exit_code": 0, "stdout": "hello\n", "stderr": "", "truncated": False}
    assert isinstance(end, RunCompleted)
    assert (end.text, end.stop_reason) == ("hello", "exit_code_0")
    assert end.output["exit_code"] == 0
    assert end.output["duration"] > 0


async def test_the_streams_are_told_apart(tmp_path: Path) -> None:
    events = await play(tmp_path, sh("echo out; echo err >&2"))
    assert (streamed(events), streamed(events, "stderr")) == ("out\n", "err\n")


async def test_words_are_words_and_no_shell_reads_them(tmp_path: Path) -> None:
    events = await play(tmp_path, ["echo", "$HOME; *", "a  b"])
    assert completed(events).text == "$HOME; * a  b"


async def test_input_may_have_an_environment_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    events = await play(tmp_path, {"argv": sh("echo $GREETING; pwd"), "env": {"GREETING": "hi"}, "cwd": "sub"})
    assert completed(events).text == f"hi\n{tmp_path / 'sub'}"


async def test_the_program_gets_the_listed_environment_and_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    monkeypatch.setenv("LET_IN", "1")
    events = await play(tmp_path, ["env"], env_allow=["PATH", "LET_*"], env={"SET": "2"})
    lines = (completed(events).text or "").splitlines()
    assert {"LET_IN=1", "SET=2"} < set(lines)
    assert {line.partition("=")[0] for line in lines} == {
        "PATH",
        "LET_IN",
        "SET",
        "SESSIONRY_RUN_ID",
        "SESSIONRY_MARKS",
    }


@pytest.mark.parametrize(
    ("input", "path"),
    [
        ("git status", "input"),
        (None, "input"),
        ({"prompt": "git status"}, "input"),
        ([], "input"),
        ({"argv": []}, "input.argv"),
        ({"argv": "git status"}, "input.argv"),
        (["git", 1], "input[1]"),
        ({"argv": [""]}, "input.argv[0]"),
        (["echo", "a\0b"], "input[1]"),
        (["echo", "\ud800"], "input[1]"),
        ({"argv": ["ls"], "shell": True}, "input.shell"),
        ({"argv": ["ls"], "env": {"A": 1}}, "input.env.A"),
        ({"argv": ["ls"], "env": {"A=B": "1"}}, "input.env"),
        ({"argv": ["ls"], "cwd": 1}, "input.cwd"),
    ],
)
def test_what_is_no_command_is_refused_before_anything_is_queued(input: Json, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ShellAgent().check(input)
    assert refused.value.code == "validation_error"
    assert refused.value.details == {"path": path}


def test_the_refusal_of_a_string_says_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r'"argv": \["git", "status"\].*`-- git status`.*shell_string'):
        ShellAgent().check("git status")


async def test_a_string_runs_in_a_shell_where_that_was_asked_for(tmp_path: Path) -> None:
    events = await play(tmp_path, "echo one | tr o 0", shell_string=True)
    assert completed(events).text == "0ne"


def test_checking_a_checked_input_changes_nothing() -> None:
    checked = ShellAgent().check(["ls"])
    assert checked == {"argv": ["ls"]} == ShellAgent().check(checked)


async def test_another_exit_code_fails_the_run_with_the_end_of_stderr(tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; echo the reason >&2; exit 3"
    events = await play(tmp_path, sh(script))
    error = failed(events).error
    assert (error.code, error.message) == ("command_failed", "sh exited with code 3: the reason")
    assert error.details["exit_code"] == 3
    assert error.details["stderr"].endswith("line 1999\nthe reason\n")
    assert error.details["stderr"].startswith("line ")
    assert len(error.details["stderr"]) <= 4096
    call = events[-2]
    assert isinstance(call, ToolCallFailed)
    assert call.tool_output["exit_code"] == 3


async def test_other_exit_codes_can_be_a_success(tmp_path: Path) -> None:
    events = await play(tmp_path, sh("exit 1"), success_exit_codes=[0, 1])
    assert completed(events).stop_reason == "exit_code_1"


async def test_a_program_that_a_signal_ended_names_it(tmp_path: Path) -> None:
    error = failed(await play(tmp_path, sh("echo oh >&2; kill -SEGV $$"))).error
    assert (error.code, error.message) == ("command_failed", "sh was ended by SIGSEGV: oh")
    assert error.details == {"exit_code": None, "signal": "SIGSEGV", "stderr": "oh\n"}


async def test_a_missing_program_says_what_to_do(tmp_path: Path) -> None:
    error = failed(await play(tmp_path, ["no-such-program-here"])).error
    assert error.code == "command_not_found"
    assert error.message == "no-such-program-here was not found on the PATH; install it, or give its full path"


async def test_a_file_that_is_no_program_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("just text")
    assert failed(await play(tmp_path, ["./notes"])).error.code == "command_not_found"
    (tmp_path / "notes").chmod(0o755)
    error = failed(await play(tmp_path, ["./notes"])).error
    assert (error.code, error.message) == ("command_failed", "./notes cannot be started: Exec format error")


async def test_a_missing_folder_is_told_so(tmp_path: Path) -> None:
    error = failed(await play(tmp_path, {"argv": ["ls"], "cwd": "nowhere"})).error
    assert error.message == f"the directory {tmp_path / 'nowhere'} does not exist; create it first"


async def test_too_many_words_are_told_so(tmp_path: Path) -> None:
    error = failed(await play(tmp_path, ["echo", "x" * 3_000_000])).error
    assert (error.code, error.message) == ("command_failed", "echo cannot be started: Argument list too long")


async def test_nul_and_broken_characters_are_kept_as_far_as_text_can(tmp_path: Path) -> None:
    events = await play(tmp_path, ["printf", r"a\000b \377 \303\244\342\202"])
    assert streamed(events) == "a\0b \ufffd ä\ufffd"
    assert completed(events).text == "a\0b \ufffd ä\ufffd"


async def test_a_character_that_comes_in_two_pieces_is_one(tmp_path: Path) -> None:
    events = await play(tmp_path, sh(r"printf '\303'; sleep 0.15; printf '\244'"))
    assert streamed(events) == "ä"


async def test_a_flood_is_bounded_in_memory_in_events_and_in_the_result(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    events = await play(tmp_path, sh("echo first; yes | head -c 200000000; echo; echo last"), max_output_bytes=100_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    call = events[-2]
    assert isinstance(call, ToolCallCompleted)
    kept = call.tool_output["stdout"]
    assert kept.startswith("first\ny\n")
    assert kept.endswith("y\n\nlast\n")
    assert "\n[... 199900012 bytes dropped ...]\n" in kept
    assert len(kept) < 100_100
    assert call.tool_output["truncated"]
    shown = streamed(events)
    assert shown.endswith("\n[the output goes on past 100000 bytes; no more of it is streamed]\n")
    assert len(shown) < 100_100
    assert (completed(events).text or "").endswith("\nlast")


async def test_little_pieces_are_merged_and_big_ones_are_cut(tmp_path: Path) -> None:
    lines = await play(tmp_path, sh("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done"))
    pieces = [event for event in lines if isinstance(event, ToolOutputStreamed)]
    assert streamed(lines) == "".join(f"{i}\n" for i in range(3000))
    assert len(pieces) < 300
    big = await play(tmp_path, sh("yes | head -c 200000"))
    assert {len(event.text) for event in big if isinstance(event, ToolOutputStreamed)} >= {8192}
    assert max(len(event.text) for event in big if isinstance(event, ToolOutputStreamed)) == 8192


async def test_output_is_shown_while_the_program_still_works(tmp_path: Path) -> None:
    agent = ShellAgent()
    context = RecordingContext(agent.check(sh("echo now; sleep 60")), cwd=tmp_path)
    begin = time.monotonic()
    events = await context.play(agent, until=lambda event: isinstance(event, ToolOutputStreamed))
    assert streamed(events) == "now\n"
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_stopped_run_leaves_no_process_behind_even_if_it_ignores_signals(tmp_path: Path, how: str) -> None:
    script = (
        "trap '' INT TERM; (setsid sh -c 'echo $$; trap \"\" INT TERM; while :; do sleep 0.1; done') & echo $$; wait"
    )
    agent = ShellAgent(kill_grace=1)
    context = RecordingContext(agent.check(sh(script)), cwd=tmp_path)

    def pids() -> list[int]:
        return [int(word) for word in streamed(context.data(EventData)).split()]

    stop = (lambda _: len(pids()) == 2) if how == "close" else None
    playing = asyncio.create_task(context.play(agent, until=stop))
    await until(lambda: len(pids()) == 2)
    begin = time.monotonic()
    if how == "cancel":
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
    else:
        await playing
    assert time.monotonic() - begin < 3
    assert not any(map(alive, pids()))


async def test_a_daemon_left_behind_is_ended_and_told(tmp_path: Path) -> None:
    events = await play(tmp_path, sh("setsid sleep 60 >/dev/null 2>&1 & echo $!"))
    assert completed(events).output["left_behind"] == 1
    assert not alive(int(completed(events).text or ""))


# --- who may run what ---


@pytest.mark.parametrize("name", ["ls", "/bin/ls", "/bin/../bin/ls"])
async def test_an_allowed_command_may_be_named_in_any_way(tmp_path: Path, name: str) -> None:
    assert completed(await play(tmp_path, [name], allowed_commands=["ls"]))


async def test_what_is_not_allowed_is_not_started(tmp_path: Path) -> None:
    events = await play(tmp_path, ["touch", "file"], allowed_commands=["ls", "git"])
    violation, end = events
    assert isinstance(violation, PolicyViolation)
    assert violation.details == {"argv": ["touch", "file"]}
    assert isinstance(end, RunFailed)
    assert end.error.code == "policy_violation"
    assert end.error.message.endswith("touch is not an allowed command; allowed: ls, git")
    assert not (tmp_path / "file").exists()


async def test_a_file_with_an_allowed_name_is_not_the_allowed_command(tmp_path: Path) -> None:
    impostor = tmp_path / "ls"
    impostor.write_text("#!/bin/sh\necho gotcha")
    impostor.chmod(0o755)
    assert failed(await play(tmp_path, ["./ls"], allowed_commands=["ls"])).error.code == "policy_violation"
    search = {"argv": ["ls"], "env": {"PATH": str(tmp_path)}}
    events = await play(tmp_path, search, allowed_commands=["ls"], input_env=True)
    assert failed(events).error.code == "policy_violation"
    with pytest.raises(InvalidInput, match="set input_env"):
        ShellAgent(allowed_commands=["ls"]).check(search)


@pytest.mark.parametrize("name", ["touch", "/usr/bin/touch", "./link"])
async def test_a_denied_command_is_denied_through_links_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/usr/bin/touch")
    events = await play(tmp_path, [name, "file"], denied_commands=["touch"])
    assert failed(events).error.code == "policy_violation"
    assert not (tmp_path / "file").exists()
    assert completed(await play(tmp_path, ["ls"], denied_commands=["touch"]))


async def test_a_person_is_asked_before_the_command_and_may_grant_it(tmp_path: Path) -> None:
    agent = ShellAgent(approve=True)
    context = RecordingContext(agent.check(["touch", "file"]), cwd=tmp_path, answers=[True])
    assert completed(await context.play(agent))
    assert context.questions[0].tool_name == "shell"
    assert context.questions[0].tool_input == {"argv": ["touch", "file"], "cwd": str(tmp_path)}
    assert "approvals" in agent.facts.capabilities


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision(approved=False, by="ann", note="not today"), "denied by ann: not today"),
        (Decision(approved=False, expired=True), "nobody decided in time"),
    ],
)
async def test_a_denied_command_is_not_started(tmp_path: Path, decision: Decision, message: str) -> None:
    events = await play(tmp_path, ["touch", "file"], approve=True, answers=[decision])
    assert (failed(events).error.code, failed(events).error.message) == ("policy_violation", message)
    assert not (tmp_path / "file").exists()


async def test_nobody_is_asked_about_what_cannot_be_run(tmp_path: Path) -> None:
    assert failed(await play(tmp_path, ["no-such-program-here"], approve=True)).error.code == "command_not_found"


@pytest.mark.parametrize(
    "options",
    [
        {"shell_string": True, "denied_commands": ["rm"]},
        {"max_output_bytes": 0},
        {"kill_grace": 0},
        {"kill_grace": float("nan")},
    ],
)
def test_options_that_cannot_be_honoured_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        ShellAgent(**options)
    assert refused.value.code == "invalid_configuration"


# --- after a crash ---


def test_a_command_whose_worker_was_lost_is_not_repeated_unasked() -> None:
    assert ShellAgent().takeover is Takeover.STOP
    assert ShellAgent().takeover_waiting is Takeover.RESTART


async def test_another_attempt_ends_what_the_first_one_left_and_has_a_call_of_its_own(tmp_path: Path) -> None:
    agent = ShellAgent()
    context = RecordingContext(agent.check(sh("cat pid 2>/dev/null || echo $$ > pid; sleep 0.1")), cwd=tmp_path)
    orphan = subprocess.Popen(["sleep", "60"], env={**os.environ, "SESSIONRY_MARKS": context.run.id})
    await context.play(agent, until=lambda event: isinstance(event, ToolCallStarted))
    again = context.after_a_crash()
    assert again.run.attempt == 2
    assert completed(await again.play(agent))
    assert await asyncio.to_thread(orphan.wait) != 0
    calls = [call.tool_call_id for call in again.data(ToolCallStarted)]
    assert len(set(calls)) == 2
    assert again.data(ToolCallInterrupted)[0].tool_call_id == calls[0]
