"""What a person sees on a terminal, and what the keys do there."""

from __future__ import annotations

import re
import time

import psutil
import pytest

from sessionry.cli.render import cells

from .program import SESSIONRY, Cli

ASKS = {"approve": {"tool": "deploy", "input": {"to": "production"}, "reason": "it is Friday", "if_denied": "fail"}}


def test_a_terminal_has_colours(cli: Cli) -> None:
    cli.echo("hello")
    terminal = cli.terminal("ls")
    assert terminal.end() == 0
    assert "\x1b[36mactive\x1b[0m" in terminal.shown


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(cli: Cli, variables: dict[str, str]) -> None:
    cli.echo("hello")
    for words in (("ls",), ("run", "-a", "echo", "hi"), ("show", "ses_nope"), ("events",)):
        terminal = cli.terminal(*words, env=variables)
        terminal.end()
        assert "\x1b[" not in terminal.shown.replace("\r\x1b[K", "")


def test_an_empty_no_color_turns_nothing_off(cli: Cli) -> None:
    terminal = cli.terminal("show", "ses_nope", env={"NO_COLOR": ""})
    assert terminal.end() == 5
    assert "\x1b[31m" in terminal.shown


def test_a_pipe_has_no_colours_and_is_not_cut(cli: Cli) -> None:
    title = "a long title " * 20
    cli.ok("run", "-a", "echo", "--title", title, "hello")
    done = cli.ok("ls")
    assert "\x1b" not in done.out
    assert title.strip() in done.out


@pytest.mark.parametrize("columns", [40, 133])
def test_tables_fit_the_terminal(cli: Cli, columns: int) -> None:
    cli.echo("日本語のタイトル " * 12)
    for words in ("ls", "runs", "agents", "events"):
        terminal = cli.terminal(words, columns=columns)
        assert terminal.end() == 0
        lines = terminal.text.splitlines()
        assert len(lines) >= 2
        assert max(cells(line) for line in lines) <= columns


def test_the_width_can_be_set_for_a_pipe(cli: Cli) -> None:
    cli.echo("a title that is longer than forty columns are wide")
    done = cli("ls", env={"COLUMNS": "40"})
    assert max(map(len, done.lines)) <= 40
    assert "…" in done.out


def test_a_tool_is_one_line_that_tells_when_it_ends(cli: Cli) -> None:
    cli.script("worker", {"tool": {"name": "search", "input": {"for": "x"}, "output": 1, "delay": 0.2}})
    terminal = cli.terminal("run", "-a", "worker", "go")
    assert terminal.end() == 0
    before, _, after = terminal.shown.partition("\r\x1b[K")
    assert before.endswith('search {"for":"x"}\x1b[0m')
    assert re.match(r'search {"for":"x"}  \x1b\[32mok \d+\.\d\d s\x1b\[0m\r\n', after)


def test_reasoning_is_dim_and_words_come_as_they_are_said(cli: Cli) -> None:
    cli.script("worker", {"think": "hm"}, {"say": {"text": "one two", "pieces": 2, "delay": 0.1}}, {"sleep": 30})
    terminal = cli.terminal("run", "-a", "worker", "go")
    terminal.until("\x1b[2mhm\x1b[0m")
    terminal.until("one two\r\n")
    terminal.type("\x03")
    assert terminal.end() == 130


def test_what_an_agent_says_cannot_command_the_terminal(cli: Cli) -> None:
    cli.script("worker", {"say": "\x1b]0;owned\x07\x1b[2J"}, {"tool": {"name": "x", "input": "\x1b[31m", "output": 1}})
    terminal = cli.terminal("run", "-a", "worker", "--title", "\x1b[2J\u202e", "go")
    assert terminal.end() == 0
    watched = cli.terminal("ls")
    assert watched.end() == 0
    for shown in (terminal.shown, watched.shown):
        assert "\x1b]" not in shown
        assert "\x1b[2J" not in shown
        assert "\u202e" not in shown


def test_what_a_command_prints_goes_straight_through(cli: Cli) -> None:
    terminal = cli.terminal("run", "-a", "shell", "--", "printf", r"\033[31mred\033[0m\n")
    assert terminal.end() == 0
    assert "\x1b[31mred\x1b[0m\r\n" in terminal.shown


# --- approvals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "status", "note", "code"),
    [
        ("y\n", "granted", None, 0),
        ("YES go ahead\n", "granted", "go ahead", 0),
        ("n\n", "denied", None, 1),
        ("\n", "denied", None, 1),
        ("no: not today\n", "denied", "not today", 1),
        ("use staging instead\n", "denied", "use staging instead", 1),
    ],
)
def test_a_question_is_asked_and_answered_in_place(
    cli: Cli, typed: str, status: str, note: str | None, code: int
) -> None:
    cli.script("careful", ASKS, {"say": "deployed"})
    terminal = cli.terminal("run", "-a", "careful", "go")
    terminal.until('asks for approval: deploy {"to":"production"} (it is Friday)')
    terminal.until("? [y/N/note] ")
    terminal.type(typed)
    assert terminal.end() == code
    (approval,) = cli.ok("--json", "approvals", "--status", status).jsons
    assert (approval["note"], approval["decided_by"]) == (note, psutil.Process().username())
    assert ("deployed" in terminal.text) == (status == "granted")


def test_what_was_typed_before_the_question_is_no_answer(cli: Cli) -> None:
    cli.script("careful", {"say": "wait"}, {"sleep": 0.5}, ASKS, {"say": "deployed"})
    terminal = cli.terminal("run", "-a", "careful", "go")
    terminal.until("wait")
    terminal.type("y\ny")
    terminal.until("? [y/N/note] ")
    terminal.type("\n")
    assert terminal.end() == 1
    assert len(cli.ok("--json", "approvals", "-s", "denied").jsons) == 1


def test_questions_are_asked_one_after_another(cli: Cli) -> None:
    cli.script("careful", ASKS, ASKS, {"say": "deployed twice"})
    terminal = cli.terminal("run", "-a", "careful", "--user", "ann", "go")
    for _ in range(2):
        terminal.until("? [y/N/note] ")
        terminal.type("y\n")
        terminal.until("approved by ann")
    terminal.until("deployed twice")
    assert terminal.end() == 0


def test_a_question_that_was_answered_elsewhere_is_not_waited_for(cli: Cli) -> None:
    cli.script("careful", ASKS, {"say": "deployed"})
    terminal = cli.terminal("run", "-a", "careful", "go")
    terminal.until("? [y/N/note] ")
    (approval,) = cli.ok("--json", "approvals").jsons
    cli.ok("approve", approval["id"][:24], "--note", "from here", "--by", "bob")
    terminal.until("approved by bob: from here")
    assert terminal.end() == 0


def test_the_end_of_input_leaves_the_question_to_others(cli: Cli) -> None:
    cli.script("careful", ASKS, {"say": "deployed"})
    terminal = cli.terminal("run", "-a", "careful", "go")
    terminal.until("? [y/N/note] ")
    terminal.type("\x04")
    terminal.until("answer with `sessionry approve apr_")
    (approval,) = cli.ok("--json", "approvals").jsons
    cli.ok("approve", approval["id"])
    assert terminal.end() == 0


def test_a_job_in_the_background_does_not_reach_for_the_keyboard(cli: Cli) -> None:
    cli.script("careful", ASKS, {"say": "deployed"})
    terminal = cli.terminal("-c", f"set -m; {SESSIONRY} run -a careful go & wait", program="bash")
    terminal.until("answer with `sessionry approve apr_")
    terminal.type("y\n")
    (approval,) = cli.ok("--json", "approvals").jsons
    cli.ok("approve", approval["id"])
    terminal.until("deployed")
    assert terminal.end() == 0


def test_quiet_still_asks(cli: Cli) -> None:
    cli.script("careful", ASKS, {"say": "deployed"})
    terminal = cli.terminal("run", "-q", "-a", "careful", "go")
    terminal.until("? [y/N/note] ")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert terminal.text.endswith("deployed\n")


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_ctrl_c_cancels_the_run_and_waits_for_its_end(cli: Cli) -> None:
    terminal = cli.terminal("run", "-a", "shell", "--", "sh", "-c", "echo begun; sleep 100")
    terminal.until("begun")
    terminal.type("\x03")
    terminal.until("cancelling the run; Ctrl-C again leaves at once")
    terminal.until("cancelled: interrupted · ")
    assert terminal.end() == 130
    (run,) = cli.ok("--json", "runs").jsons
    assert (run["status"], run["cancel_request"]["reason"]) == ("cancelled", "interrupted")


def test_a_second_ctrl_c_leaves_at_once_and_leaves_no_program_behind(cli: Cli) -> None:
    stubborn = "trap '' INT TERM; echo pid $$; while :; do sleep 0.1; done"
    terminal = cli.terminal("run", "-a", "shell", "--", "sh", "-c", stubborn)
    terminal.until("pid ")
    terminal.until("\n")
    found = re.search(r"pid (\d+)", terminal.text)
    assert found
    terminal.type("\x03")
    terminal.until("again leaves at once")
    terminal.type("\x03")
    assert terminal.end() == 130
    cli.until(lambda: not psutil.pid_exists(int(found[1])))
    (run,) = cli.ok("--json", "runs").jsons
    assert run["status"] == "cancelled"


def waits_for_keys(pid: int) -> bool:
    """It has slept for a while without a break, which nobody does who is still being started."""
    process = psutil.Process(pid)
    worked = process.cpu_times()
    for _ in range(25):
        if process.status() != psutil.STATUS_SLEEPING:
            return False
        time.sleep(0.02)
    return process.cpu_times() == worked


@pytest.mark.parametrize(
    "words", [("worker",), ("events", "--follow"), ("watch", "SESSION"), ("run", "-a", "echo", "-")]
)
def test_ctrl_c_is_130_everywhere(cli: Cli, words: tuple[str, ...]) -> None:
    session = cli.echo("hello")
    terminal = cli.terminal(*(session if word == "SESSION" else word for word in words))
    if words[0] == "run":
        cli.until(lambda: waits_for_keys(terminal.pid))
    else:
        terminal.until("works on" if words == ("worker",) else "hello")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.text
    assert "rror" not in terminal.text
