"""What one process does, seen and steered from another one; and what is left when one is killed."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from .program import Cli, Started

TICKS = {"repeat": {"times": 1000, "steps": [{"say": "tick "}, "turn", {"sleep": 0.05}]}}


def begun(cli: Cli, *words: str) -> tuple[Started, dict[str, Any]]:
    """A run in the background, and its first event."""
    started = cli.start("--json", "run", *words)
    started.until('"run_started"')
    return started, json.loads(started.seen.splitlines()[0])


def statuses(cli: Cli) -> list[str]:
    return [run["status"] for run in cli.ok("--json", "runs").jsons]


def test_a_run_is_seen_from_elsewhere_while_it_streams(cli: Cli) -> None:
    cli.script("ticks", TICKS)
    run, event = begun(cli, "-a", "ticks", "count")
    (session,) = cli.ok("--json", "ls").jsons
    assert (session["id"], session["running_runs"]) == (event["session_id"], 1)
    assert "running" in cli.ok("ls").out
    (worker,) = cli.ok("--json", "workers").jsons
    assert (worker["pid"], worker["runs"], worker["alive"]) == (run.process.pid, 1, True)
    assert "1/" in cli.ok("workers").out
    run.signal(signal.SIGINT)
    assert run.wait().code == 130


def test_watching_shows_what_was_and_what_comes_and_ends_with_the_session(cli: Cli) -> None:
    cli.script("slow", {"say": "first words. "}, {"sleep": 0.5}, {"say": "last words."})
    run, event = begun(cli, "-a", "slow", "go")
    watched = cli.start("watch", event["session_id"][:26])
    in_json = cli.start("--json", "watch", event["session_id"])
    watched.until("first words. ")
    assert run.wait().code == 0
    cli.ok("complete", event["session_id"])
    shown, events = watched.wait(), in_json.wait()
    assert (shown.code, events.code) == (0, 0)
    assert shown.out == "first words. \nlast words.\n"
    assert shown.err.startswith("» go\n")
    assert "completed · " in shown.err
    assert [event["seq"] for event in events.jsons] == list(range(1, len(events.jsons) + 1))
    assert events.jsons[-1]["type"] == "session_completed"


def test_watching_a_run_ends_with_the_run(cli: Cli) -> None:
    session = cli.echo("one")
    run = cli.ok("--json", "runs", session).json["id"]
    assert cli.ok("watch", run).out == "one\n"
    assert cli.ok("--json", "events", "--follow", run).jsons[-1]["type"] == "run_completed"


def test_following_the_whole_store_has_every_session(cli: Cli) -> None:
    follower = cli.start("--json", "events", "--follow", "--limit", "12")
    sessions = {cli.echo("one"), cli.echo("two")}
    done = follower.wait()
    assert {event["session_id"] for event in done.jsons} == sessions
    assert [event["position"] for event in done.jsons] == sorted(event["position"] for event in done.jsons)


def test_an_approval_is_told_and_can_be_given_elsewhere(cli: Cli) -> None:
    cli.script("careful", {"approve": {"tool": "deploy", "input": {"to": "prod"}}}, {"say": "deployed"})
    run = cli.start("run", "-a", "careful", "go")
    (approval,) = cli.until(lambda: cli.ok("--json", "approvals").jsons)
    assert "waiting for you" in cli.ok("ls").out
    assert 'deploy  {"to":"prod"}' in cli.ok("approvals").out
    watched = cli.terminal("watch", approval["session_id"])
    watched.until(f"answer with `sessionry approve {approval['id']}`")
    assert cli.ok("approve", approval["run_id"], "--note", "go on").out == f"approved deploy {approval['id']}\n"
    done = run.wait()
    assert (done.code, done.out) == (0, "deployed\n")
    assert f"`sessionry deny {approval['id']}`" in done.err
    watched.until("go on")
    watched.until("deployed")
    again = cli("deny", approval["id"])
    assert again.code == 6
    assert "already_decided" in again.err


def test_a_denial_reaches_the_run(cli: Cli) -> None:
    cli.script("careful", {"approve": {"tool": "deploy"}}, {"say": "deployed"})
    run = cli.start("run", "-a", "careful", "go")
    (approval,) = cli.until(lambda: cli.ok("--json", "approvals").jsons)
    denied = cli.ok("--json", "deny", approval["session_id"], "--by", "ann", "--note", "no").json
    assert (denied["status"], denied["decided_by"], denied["note"]) == ("denied", "ann", "no")
    done = run.wait()
    assert done.code == 1
    assert "denied by ann: no" in done.err


def test_a_question_that_expires_is_denied(cli: Cli) -> None:
    cli.script("careful", {"approve": {"tool": "deploy", "timeout": 0.2}})
    done = cli("run", "-a", "careful", "go")
    assert done.code == 1
    assert "nobody answered in time: denied" in done.err


def test_several_questions_of_a_run_must_be_named(cli: Cli) -> None:
    session = cli.echo("one")
    done = cli("approve", session)
    assert done.code == 5
    assert "waits for no answer" in done.err


@pytest.mark.parametrize("target", ["run_id", "session_id"])
def test_a_run_is_cancelled_from_elsewhere(cli: Cli, target: str) -> None:
    cli.script("ticks", TICKS)
    run, event = begun(cli, "-a", "ticks", "count")
    told = cli.ok("cancel", event[target][:28], "--reason", "wrong branch").out
    assert event[target] in told
    done = run.wait()
    assert done.code == 3
    assert done.jsons[-1]["type"] == "run_cancelled"
    assert statuses(cli) == ["cancelled"]
    assert cli.ok("--json", "show", event["session_id"]).json["status"] == (
        "active" if target == "run_id" else "cancelled"
    )


def test_a_run_can_be_cancelled_after_its_turn(cli: Cli) -> None:
    cli.script("ticks", TICKS)
    run, event = begun(cli, "-a", "ticks", "count")
    cli.ok("cancel", event["run_id"], "--mode", "after_turn")
    done = run.wait()
    assert done.code == 3
    assert [each["type"] for each in done.jsons][-2:-1] == ["turn_completed"]


def test_a_run_that_has_ended_cannot_be_cancelled(cli: Cli) -> None:
    cli.echo("one")
    run = cli.ok("--json", "runs").json["id"]
    done = cli("cancel", run)
    assert done.code == 6
    assert "a completed run cannot become cancelled" in done.err


@pytest.mark.parametrize("target", ["run_id", "session_id"])
def test_a_run_hears_what_it_is_told(cli: Cli, target: str) -> None:
    cli.script("listener", {"wait_for_input": 100})
    run, event = begun(cli, "-a", "listener", "go")
    cli.ok("steer", event[target], "use", "pytest")
    done = run.wait()
    assert done.code == 0
    said = [each["data"]["text"] for each in done.jsons if each["type"] in ("input_received", "message_received")]
    assert said[0] == "use pytest"


def test_only_who_is_at_work_can_be_told_something(cli: Cli) -> None:
    session = cli.echo("one")
    done = cli("steer", session, "hello")
    assert done.code == 6
    assert "has no run at work; `sessionry send` queues another run" in done.err


def until_there_is(name: str) -> tuple[str, ...]:
    """A command that ends when the test makes that file."""
    return ("--", "sh", "-c", f"while [ ! -e {name} ]; do sleep 0.02; done")


def test_what_is_sent_meanwhile_is_worked_on_as_well(cli: Cli) -> None:
    run, event = begun(cli, "-a", "shell", *until_there_is("one"))
    sent = cli.ok("send", event["session_id"], "-a", "echo", "second").out.strip()
    (cli.cwd / "one").touch()
    done = run.wait()
    assert done.code == 0
    assert {each["run_id"] for each in done.jsons} == {event["run_id"]}
    assert cli.ok("--json", "show", sent).json["status"] == "completed"


def test_ctrl_c_at_what_was_sent_waits_for_its_end(cli: Cli) -> None:
    terminal = cli.terminal("run", "-a", "shell", *until_there_is("one"))
    (session,) = cli.until(lambda: cli.ok("--json", "ls").jsons)
    sent = cli.ok("send", session["id"], *until_there_is("two")).out.strip()
    (cli.cwd / "one").touch()
    terminal.until(f"{sent} of the same session: is worked on here")
    terminal.type("\x03")
    terminal.until("leaves when the run at work has ended")
    (cli.cwd / "two").touch()
    assert terminal.end() == 130
    assert statuses(cli) == ["completed", "completed"]


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def killed(cli: Cli, *words: str) -> dict[str, Any]:
    run, event = begun(cli, *words)
    run.signal(signal.SIGKILL)
    run.wait()
    return event


_SLOWER = [("show", "RUN"), ("workers",), ("transcript", "SES")]


@pytest.mark.parametrize(
    "look", [("ls",), ("runs",), ("events", "RUN"), *(pytest.param(look, marks=pytest.mark.slow) for look in _SLOWER)]
)
def test_after_kill_9_the_next_command_finds_nothing_running(cli: Cli, look: tuple[str, ...]) -> None:
    cli.script("ticks", TICKS)
    event = killed(cli, "-a", "ticks", "--takeover", "stop", "count")
    names = {"RUN": event["run_id"], "SES": event["session_id"]}
    shown = cli.ok("--json", *(names.get(word, word) for word in look)).jsons
    (run,) = cli.ok("--json", "runs").jsons
    assert (run["status"], run["error"]["code"]) == ("failed", "worker_lost")
    if look[0] == "ls":
        assert shown[0]["running_runs"] == 0
    if look[0] == "runs":
        assert shown[0]["status"] == "failed"
    if look[0] == "events":
        assert shown[-1]["type"] == "run_failed"


def test_a_run_that_was_killed_goes_on_where_it_was(cli: Cli) -> None:
    steps: list[Any] = [{"say": "one "}, {"sleep": 5}, {"say": "two"}]
    cli.script("resumes", *steps)
    run = cli.start("run", "-a", "resumes", "go")
    run.until("one ")
    run.signal(signal.SIGKILL)
    run.wait()
    (left,) = cli.ok("--json", "runs").jsons
    assert left["status"] == "pending"
    done = cli.ok("worker", "--once")
    assert f"completed  {left['id']}" in done.out
    events = cli.ok("--json", "events", left["id"]).jsons
    assert [event["data"]["text"] for event in events if event["type"] == "message_received"] == ["one ", "two"]
    assert "attempt 2" in cli.ok("watch", left["id"]).err


def test_a_question_survives_its_worker_and_the_answer_brings_the_run_back(cli: Cli) -> None:
    cli.script("careful", {"approve": {"tool": "deploy"}}, {"say": "deployed"})
    run = cli.start("run", "-a", "careful", "go")
    (approval,) = cli.until(lambda: cli.ok("--json", "approvals").jsons)
    run.signal(signal.SIGKILL)
    run.wait()
    assert statuses(cli) == ["waiting"]
    cli.ok("approve", approval["id"])
    assert statuses(cli) == ["pending"]
    cli.ok("worker", "--once")
    assert statuses(cli) == ["completed"]


@pytest.mark.slow
def test_no_program_of_a_killed_run_is_left_when_it_is_run_again(cli: Cli) -> None:
    marker = cli.folder / "alive"
    beat = f"while :; do date +%N > {marker}; sleep 0.05; done"
    run, event = begun(cli, "-a", "shell", "--takeover", "restart", "--timeout", "10", "--", "sh", "-c", beat)
    cli.until(marker.exists)
    run.signal(signal.SIGKILL)
    run.wait()
    cli.ok("worker", "--once")
    assert statuses(cli) == ["timeout"]
    last = marker.read_text()
    time.sleep(0.3)  # for longer than a beat: there must be none
    assert marker.read_text() == last
    assert event["run_id"]
