"""`sessionry doctor`: what it finds, and what it puts right."""

from __future__ import annotations

import json
import signal
import sqlite3
from typing import Any

from .program import Cli


def findings(cli: Cli, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What it found, by what it looked at; of several findings of a check the worst."""
    done = cli("--json", "doctor", *words)
    assert (done.code, done.err) == (code, ""), done
    rank = ["ok", "repaired", "warning", "problem"]
    return {each["check"]: each for each in sorted(done.jsons, key=lambda each: rank.index(each["status"]))}


def left_by_a_kill(cli: Cli, *options: str) -> str:
    """A run whose process was killed; its id."""
    cli.script("hangs", "hang")
    run = cli.start("--json", "run", "-a", "hangs", *options, "x")
    run.until('"run_started"')
    run.signal(signal.SIGKILL)
    run.wait()
    return str(json.loads(run.seen.splitlines()[0])["run_id"])


def stored(cli: Cli, run: str) -> str:
    """The status in the file, which no command has looked at."""
    with sqlite3.connect(cli.store) as store:
        found = store.execute("select status from sessionry_run where id = ?", (run,)).fetchone()
    store.close()
    return str(found[0])


def test_a_sound_store_is_told_so_line_by_line(cli: Cli) -> None:
    cli.echo("hello")
    done = cli.ok("doctor")
    assert {line.split()[0] for line in done.lines} == {"ok"}
    told = "versions settings agents store permissions disk schema runs queue integrity"
    assert " ".join(line.split()[1] for line in done.lines) == told
    assert {each["status"] for each in findings(cli).values()} == {"ok"}


def test_a_store_that_is_not_there_is_no_problem_and_is_not_made(cli: Cli) -> None:
    assert "is not there yet" in findings(cli)["store"]["message"]
    assert not cli.store.exists()


def test_what_others_may_read_is_a_warning_and_can_be_closed(cli: Cli) -> None:
    cli.echo("hello")
    cli.store.chmod(0o644)
    found = findings(cli)["permissions"]
    assert found["status"] == "warning"
    assert found["remedy"].startswith(f"chmod 600 {cli.store}")
    assert findings(cli, "--repair")["permissions"]["status"] == "repaired"
    assert cli.store.stat().st_mode & 0o777 == 0o600


def test_a_stuck_run_is_found_and_left_alone_until_repaired(cli: Cli) -> None:
    run = left_by_a_kill(cli, "--takeover", "stop")
    found = findings(cli, code=1)["runs"]
    assert found["message"] == "work was left behind by 1 processes that are gone"
    assert stored(cli, run) == "running"
    assert findings(cli, "--repair")["runs"]["status"] == "repaired"
    assert stored(cli, run) == "failed"


def test_runs_that_nobody_takes_are_a_warning(cli: Cli) -> None:
    cli.queued("echo", "more")
    found = findings(cli)["queue"]
    assert (found["status"], found["message"]) == ("warning", "1 runs for echo wait, and nobody takes them")


def test_an_agent_that_cannot_be_made_is_a_warning(cli: Cli) -> None:
    cli.agent("broken", type="shell", max_output_bytes=1)
    assert "broken cannot be used: " in findings(cli)["agents"]["message"]


def test_settings_that_cannot_be_read_are_a_problem(cli: Cli) -> None:
    cli.env["SESSIONRY_SLOTS"] = "many"
    assert "SESSIONRY_SLOTS" in findings(cli, code=1)["settings"]["message"]


def test_a_file_that_is_no_database_is_a_problem(cli: Cli) -> None:
    cli.store.write_bytes(b"x" * 10_000)
    assert findings(cli, code=1)["store"]["status"] == "problem"


def test_a_damaged_page_is_found(cli: Cli) -> None:
    session = cli.echo("hello " * 5000)
    cli.ok("transcript", session)
    with sqlite3.connect(cli.store) as store:
        store.execute("pragma wal_checkpoint(truncate)")
        (page,) = store.execute("select rootpage from sqlite_master where name = 'sessionry_event_seq'").fetchone()
        (size,) = store.execute("pragma page_size").fetchone()
    store.close()
    with cli.store.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 200)
    done = cli("--json", "doctor")
    assert done.code == 1
    assert [each for each in done.jsons if each["status"] == "problem" and each["check"] in ("integrity", "store")]


def test_a_store_of_a_later_program_is_a_problem(cli: Cli) -> None:
    cli.echo("hello")
    with sqlite3.connect(cli.store) as store:
        store.execute("insert into sessionry_schema (version, name, applied_at) values (9999, 'later', 0)")
    store.close()
    found = findings(cli, code=1)["schema"]
    assert found["remedy"] == "upgrade Sessionry"


def test_a_database_that_can_only_be_read_is_a_problem(cli: Cli, postgres_url: str) -> None:
    cli.env["SESSIONRY_STORE"] = postgres_url
    cli.echo("hello")
    assert findings(cli)["store"]["status"] == "ok"
    separator = "&" if "?" in postgres_url else "?"
    cli.env["SESSIONRY_STORE"] = f"{postgres_url}{separator}options=-cdefault_transaction_read_only%3Don"
    found = findings(cli, code=1)
    assert found["writing"]["status"] == "problem"
    assert "the store can only be read; connect to the primary, as a role that may write" in found["writing"]["message"]
    assert (found["store"]["status"], found["integrity"]["status"]) == ("ok", "ok")
    assert "runs" not in found, "nobody has put right what was left behind"
    assert findings(cli, "--repair", code=1)["writing"]["status"] == "problem"
    refused = cli("--json", "worker", "--once")
    assert (refused.code, refused.error["code"]) == (7, "store_read_only")


def test_rows_that_contradict_the_log_are_found_and_written_anew(cli: Cli) -> None:
    session = cli.echo("hello")
    with sqlite3.connect(cli.store) as store:
        store.execute("update sessionry_session set title = 'something else', status = 'paused'")
    store.close()
    found = findings(cli, code=1)["integrity"]
    assert found["message"] == f"session {session} differs from its log in status, title"
    assert found["remedy"] == "--repair puts it right"
    assert findings(cli, "--sample", "0")["integrity"]["status"] == "ok"
    assert findings(cli, "--repair")["integrity"]["status"] == "repaired"
    assert findings(cli)["integrity"]["status"] == "ok"
    assert cli.ok("--json", "show", session).json["title"] == "hello"


def test_an_event_that_cannot_be_read_is_a_problem_that_stays(cli: Cli) -> None:
    session = cli.echo("hello")
    with sqlite3.connect(cli.store) as store:
        store.execute("update sessionry_event set data = '{' where type = 'message_received'")
    store.close()
    for words in ((), ("--repair",)):
        found = findings(cli, *words, code=1)["integrity"]
        assert session in found["message"]
        assert found["remedy"].startswith("restore a back-up")


def test_a_person_at_a_terminal_sees_how_far_it_is(cli: Cli) -> None:
    with cli.library(worker=False) as sessions:
        for _ in range(60):
            sessions.create("echo")
    terminal = cli.terminal("doctor")
    terminal.until("\r\x1b[Klooked at 50 sessions")
    assert terminal.end() == 0
    assert "\x1b[32mok      \x1b[0m  integrity" in terminal.shown
