"""`sessionry run`: from the prompt to the exit code, as scripts see it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .program import SESSIONRY, Cli


def git(*words: str, cwd: Path) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(cli: Cli) -> Path:
    """A repository with one commit and one change that is not in it."""
    git("init", "-q", "-b", "main", cwd=cli.cwd)
    (cli.cwd / "readme.md").write_text("one\n")
    git("add", "readme.md", cwd=cli.cwd)
    git("commit", "-qm", "Begin", cwd=cli.cwd)
    (cli.cwd / "readme.md").write_text("two\n")
    return cli.cwd


def test_a_command_of_the_shell_agent_prints_what_it_prints_elsewhere(cli: Cli, repository: Path) -> None:
    done = cli.ok("run", "--agent", "shell", "--", "git", "status", "--short", "--branch")
    assert done.out == git("status", "--short", "--branch", cwd=repository) == "## main\n M readme.md\n"
    assert done.err.startswith("completed · ")


def test_both_streams_of_a_command_stay_apart(cli: Cli) -> None:
    done = cli("run", "--agent", "shell", "-q", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")


def test_a_command_that_fails_makes_exit_code_1_and_tells_its_own(cli: Cli) -> None:
    done = cli("run", "--agent", "shell", "--", "sh", "-c", "echo partial; exit 7")
    assert (done.code, done.out) == (1, "partial\n")
    assert "sh exited with code 7 [command_failed, exit code 7]" in done.err


def test_a_command_that_is_not_there_says_so(cli: Cli) -> None:
    done = cli("run", "--agent", "shell", "--", "no-such-program")
    assert done.code == 1
    assert "no-such-program was not found on the PATH" in done.err


def test_output_without_a_last_line_break_is_kept_so(cli: Cli) -> None:
    assert (
        cli.ok("run", "--agent", "shell", "--", "printf", "no line break: %s", "日本 é 🙂").out
        == "no line break: 日本 é 🙂"
    )


def test_a_shell_agent_that_takes_text_gets_a_single_text(cli: Cli) -> None:
    cli.agent("sh", type="shell", shell_string=True)
    assert cli.ok("run", "--agent", "sh", "echo a b | tr a-z A-Z").out == "A B\n"
    assert cli.ok("run", "--agent", "sh", "--", "echo", "a | b").out == "a | b\n"


def test_the_agents_words_go_to_stdout_and_everything_else_to_stderr(cli: Cli) -> None:
    cli.script(
        "worker",
        {"think": "hm"},
        {"say": {"text": "I look. ", "pieces": 2}},
        {"tool": {"name": "search", "input": {"pattern": "x"}, "output": 1}},
        {"tool": {"name": "build", "error": "no rule to make it"}},
        {"usage": {"input_tokens": 1000, "output_tokens": 234, "cost": "0.0142"}},
        {"say": "Done."},
    )
    done = cli.ok("run", "--agent", "worker", "go")
    assert done.out == "I look. \nDone.\n"
    notes = done.err.splitlines()
    assert notes[0] == "hm"
    assert notes[1].startswith('search {"pattern":"x"}  ok ')
    assert notes[2].startswith("build  failed ")
    assert notes[2].endswith(": no rule to make it")
    assert notes[3].startswith("completed · ")
    assert " · 1,234 tokens · $0.0142 · ses_" in notes[3]


def test_the_words_at_the_end_are_shown_when_there_were_no_others(cli: Cli) -> None:
    cli.script("mute", {"exit": "the result"})
    assert cli.ok("run", "--agent", "mute", "go").out == "the result\n"


def test_a_run_in_json_is_its_events_a_line_each(cli: Cli) -> None:
    events = cli.ok("run", "--agent", "echo", "--json", "hello", "world").jsons
    assert [event["type"] for event in events] == ["run_queued", "run_started", "message_received", "run_completed"]
    for event in events:
        assert list(event)[:6] == ["seq", "type", "session_id", "run_id", "at", "data"]
    assert len({(event["session_id"], event["run_id"]) for event in events}) == 1
    assert events[0]["data"]["input"] == "hello world"
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


def test_json_has_nothing_on_stderr(cli: Cli) -> None:
    cli.script("failing", {"fail": {"code": "agent_unavailable", "message": "come back later"}})
    done = cli("--json", "run", "--agent", "failing", "go")
    assert (done.code, done.err) == (1, "")
    assert done.jsons[-1]["data"]["error"]["code"] == "agent_unavailable"


@pytest.mark.parametrize(
    ("steps", "options", "code", "told"),
    [
        ([{"exit": "fine"}], [], 0, "completed"),
        ([{"fail": "no"}], [], 1, "no [agent_failed]"),
        ([{"raise": "oops"}], [], 1, "oops [agent_failed]"),
        (["hang"], ["--timeout", "0.2"], 4, "timeout of 0.20 s is over"),
        (["hang"], ["--idle-timeout", "0.3s"], 4, "idle timeout of 0.30 s is over"),
    ],
)
def test_the_exit_code_says_how_the_run_ended(
    cli: Cli, steps: list[Any], options: list[str], code: int, told: str
) -> None:
    cli.script("it", *steps)
    done = cli("run", "--agent", "it", *options, "go")
    assert done.code == code, done
    assert told in done.err


def test_a_prompt_can_come_from_stdin(cli: Cli) -> None:
    assert cli.ok("run", "-a", "echo", "-", stdin="first line\nsecond line\n").out == "first line\nsecond line\n"
    assert cli.ok("run", "-a", "echo", stdin="no dash\n").out == "no dash\n"


def test_without_a_prompt_it_says_how_to_give_one(cli: Cli) -> None:
    done = cli("run", "-a", "echo")
    assert done.code == 2
    assert "no prompt: stdin is empty" in done.err
    assert cli("run", "-a", "echo", "").code == 2


def test_options_are_options_until_the_dashes(cli: Cli) -> None:
    assert cli.ok("run", "-a", "echo", "-q", "--", "--json", "-q", "--help").out == "--json -q --help\n"


def test_a_session_is_made_as_it_is_wanted(cli: Cli) -> None:
    parent = cli.echo("parent")
    folder = cli.folder / "elsewhere"
    folder.mkdir()
    words = ("--title", "A title", "--tag", "one", "--tag", "two", "--cwd", folder, "--parent", parent[:26])
    run = cli.ok("--json", "run", "-a", "echo", *words, "--metadata", '{"n": 9007199254740993}', "hello").jsons[0]
    session = cli.ok("--json", "show", run["session_id"]).json
    assert {name: session[name] for name in ("title", "tags", "cwd", "parent_session_id", "agent_id")} == {
        "title": "A title",
        "tags": ["one", "two"],
        "cwd": str(folder),
        "parent_session_id": parent,
        "agent_id": "echo",
    }
    assert session["runs"][0]["metadata"] == {"n": 9007199254740993}


def test_a_session_without_a_title_gets_the_beginning_of_the_prompt_and_works_here(cli: Cli) -> None:
    run = cli.ok("--json", "run", "-a", "echo", "Fix the\ntest", "x" * 200).jsons[0]
    session = cli.ok("--json", "show", run["session_id"]).json
    assert session["title"].startswith("Fix the test xxx")
    assert len(session["title"]) == 80
    assert session["cwd"] == os.path.realpath(cli.cwd)


def test_a_session_goes_on_by_the_beginning_of_its_id(cli: Cli) -> None:
    session = cli.echo("one")
    done = cli.ok("run", "--session", session[:24], "two")
    assert done.out == "two\n"
    assert session in done.err
    assert [message["text"] for message in cli.ok("--json", "transcript", session).jsons] == [
        "one",
        "one",
        "two",
        "two",
    ]


def test_another_agent_can_work_in_a_session(cli: Cli) -> None:
    session = cli.echo("one")
    assert cli.ok("run", "-s", session, "-a", "shell", "--", "echo", "two").out == "two\n"
    assert [run["agent_id"] for run in cli.ok("--json", "runs", session).jsons] == ["shell", "echo"]


def test_what_is_for_a_new_session_is_refused_for_an_old_one(cli: Cli) -> None:
    done = cli("run", "-s", cli.echo("one"), "--title", "x", "two")
    assert done.code == 2
    assert "`sessionry update` changes one" in done.err


def test_a_run_that_is_refused_leaves_no_session(cli: Cli) -> None:
    cli.script("worker", {"say": "hi"})
    for words in (
        ("-a", "nobody", "x"),
        ("-a", "worker", "--require", "mcp", "x"),
        ("-a", "worker", "--timeout", "-1", "x"),
    ):
        assert cli("run", *words).code in (2, 5)
    assert cli.ok("--json", "ls", "--deleted").out == ""


def test_another_catalog_can_be_named(cli: Cli) -> None:
    (cli.cwd / "mine.toml").write_text('[hi]\ntype = "scripted"\nscript = "[{exit: hi there}]"\n')
    assert cli.ok("run", "--agents", "mine.toml", "-a", "hi", "x").out == "hi there\n"
    assert "hi" in [agent["id"] for agent in cli.ok("--agents", "mine.toml", "--json", "agents").jsons]


def test_the_same_idempotency_key_is_the_same_run(cli: Cli) -> None:
    session = cli.echo("one")
    first, again = (cli.ok("--json", "send", session, "--idempotency-key", "k", "two").json for _ in range(2))
    assert first == again


def test_a_run_takes_no_other_sessions_backlog(cli: Cli) -> None:
    other = cli.echo("one")
    waiting = cli.queued("echo", "waits", other)
    cli.ok("run", "-a", "echo", "two")
    assert cli.ok("--json", "show", waiting).json["status"] == "pending"


def test_what_waited_in_its_own_session_is_done_before(cli: Cli) -> None:
    session = cli.echo("one")
    before = cli.queued("echo", "before", session)
    done = cli.ok("run", "-s", session, "after")
    assert done.out == "after\n"
    assert f"{before} of the same session: completed" in done.err
    assert cli.ok("--json", "show", before).json["status"] == "completed"


def test_a_detached_run_goes_on_in_the_background(cli: Cli) -> None:
    cli.script("slow", {"sleep": 0.2}, {"exit": "done"})
    run = cli.ok("run", "-a", "slow", "--detach", "go").out.strip()
    assert run.startswith("run_")
    ended = cli.until(lambda: (shown := cli.ok("--json", "show", run).json)["status"] == "completed" and shown)
    assert ended["output"]["text"] == "done"
    cli.until(lambda: not cli.ok("--json", "workers").out)


def test_a_detached_run_in_json_is_the_run(cli: Cli) -> None:
    run = cli.ok("--json", "run", "-a", "echo", "-d", "hello").json
    assert (run["status"], run["input"]) == ("pending", "hello")


def test_a_store_in_memory_is_gone_with_its_run(cli: Cli) -> None:
    assert cli.ok("--store", "memory://", "run", "-a", "echo", "hello").out == "hello\n"
    assert not cli.store.exists()
    assert cli("--store", "memory://", "run", "-a", "echo", "-d", "hello").code == 2


def test_a_run_of_a_paused_session_waits_for_it(cli: Cli) -> None:
    session = cli.echo("one")
    cli.ok("pause", session)
    run = cli.start("run", "-s", session, "two")
    assert run.process.stderr is not None
    while "begins after `sessionry resume" not in run.process.stderr.readline():
        pass
    assert [each["status"] for each in cli.ok("--json", "runs", session).jsons] == ["pending", "completed"]
    cli.ok("resume", session)
    done = run.wait()
    assert (done.code, done.out) == (0, "two\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_whatever_asks_it_to_end_cancels_the_run(cli: Cli, number: int, code: int) -> None:
    run = cli.start("run", "-a", "shell", "--", "sh", "-c", "echo begun; sleep 100")
    run.until("begun")
    run.signal(number)
    done = run.wait()
    assert done.code == code
    assert "cancelled: interrupted · " in done.err
    assert cli.ok("--json", "runs").json["status"] == "cancelled"


def test_what_waits_behind_an_interrupted_run_is_not_begun(cli: Cli) -> None:
    cli.script("slow", {"say": "begun"}, {"sleep": 100})
    session = cli.echo("one")
    run = cli.start("run", "-s", session, "-a", "slow", "two")
    run.until("begun")
    behind = cli.queued("echo", "three", session)
    run.signal(signal.SIGINT)
    assert run.wait().code == 130
    assert cli.ok("--json", "show", behind).json["status"] == "pending"


def test_nohup_is_respected(cli: Cli) -> None:
    command = ["nohup", SESSIONRY, "-q", "run", "-a", "shell", "--", "sh", "-c", "kill -HUP $PPID; echo still here"]
    done = subprocess.run(command, cwd=cli.cwd, env=cli.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "still here\n")


def test_words_that_are_no_utf_8_are_refused(cli: Cli) -> None:
    command = [SESSIONRY.encode(), b"run", b"-a", b"shell", b"--", b"echo", b"\xff"]
    done = subprocess.run(command, cwd=cli.cwd, env=cli.env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "[validation_error]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_the_library_logs_is_one_line_each(cli: Cli) -> None:
    done = cli("run", "-a", "echo", "x", env={"SESSIONRY_LOG": "info"})
    assert (done.code, done.out) == (0, "x\n")
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_everything_works_on_postgresql(cli: Cli, postgres_url: str) -> None:
    cli.env["SESSIONRY_STORE"] = postgres_url
    cli.script("careful", {"approve": {"tool": "deploy"}}, {"say": "deployed"})
    run = cli.start("run", "-a", "careful", "go")
    (approval,) = cli.until(lambda: cli.ok("--json", "approvals").jsons)
    watched = cli.start("watch", approval["run_id"][:24])
    assert "waiting for you" in cli.ok("ls").out
    cli.ok("approve", approval["id"])
    assert run.wait().out == watched.wait().out == "deployed\n"
    assert cli("show", "ses_nope").code == 5
    assert {line.split()[0] for line in cli.ok("doctor").lines} == {"ok"}
    cli.ok("complete", approval["session_id"])
    assert cli.ok("events", approval["session_id"]).lines[-1].split()[-1] == "session_completed"


def test_what_becomes_of_a_run_whose_worker_is_lost_can_be_said(cli: Cli) -> None:
    said = {"takeover": "restart", "takeover_waiting": "stop", "max_attempts": 7}
    words = [word for name, value in said.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    cli.ok("run", "-a", "echo", *words, "hello")
    options = cli.ok("--json", "runs").json["options"]
    assert {name: options[name] for name in said} == said
