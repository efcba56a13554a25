"""How it says no: one line with a remedy, or JSON; the exit code; never a traceback."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psycopg
import pytest

from .program import Cli

#: words -> exit code, error code, a part of what is told
MISTAKES: dict[tuple[str, ...], tuple[int, str, str]] = {
    ("lss",): (2, "validation_error", "no such command 'lss'"),
    ("ls", "--nope"): (2, "validation_error", "no such option '--nope' (did you mean"),
    ("ls", "--limit", "0"): (2, "validation_error", "'--limit'"),
    ("ls", "--status", "happy"): (2, "invalid_status", "'happy' is no session status; the statuses are pending,"),
    ("runs", "--status", "happy"): (2, "invalid_status", "'happy' is no run status"),
    ("ls", "--created-after", "yesterday"): (2, "validation_error", "'yesterday' is no time; write"),
    ("ls", "--parent", "ses_nope"): (5, "session_not_found", "`sessionry ls` lists the sessions"),
    ("show",): (2, "validation_error", "missing argument 'ID'"),
    ("show", "ses_nope"): (5, "session_not_found", "no session id begins with 'ses_nope'; `sessionry ls`"),
    ("show", "run_nope"): (5, "run_not_found", "no run id begins with 'run_nope'; `sessionry runs`"),
    ("show", "apr_nope"): (5, "approval_not_found", "no approval id begins with 'apr_nope'; `sessionry approvals`"),
    ("watch", "ses_nope"): (5, "session_not_found", "no session id begins"),
    ("events", "ses_nope", "-f"): (5, "session_not_found", "no session id begins"),
    ("events", "--type", "nope"): (2, "invalid_event_type", "'nope' is no event type"),
    ("events", "--after", "-1"): (2, "validation_error", "no events below 0"),
    ("pause", "ses_nope"): (5, "session_not_found", "no session id begins"),
    ("approve", "apr_nope"): (5, "approval_not_found", "no approval id begins"),
    ("cancel", "run_nope"): (5, "run_not_found", "no run id begins"),
    ("run", "-a", "nobody", "x"): (5, "agent_not_found", "nobody"),
    ("run", "-a", "echo", "--timeout", "soon", "x"): (2, "validation_error", "'soon' is no span of time; write"),
    ("run", "-a", "shell", "--cwd", "/no/such/folder", "--", "ls"): (2, "validation_error", "/no/such/folder"),
    ("run", "-a", "shell", "ls", "-l"): (
        2,
        "validation_error",
        "no such option '-l'; if it belongs to what is to be done, put --",
    ),
    ("run", "-a", "echo", "--require", "mcp", "x"): (2, "missing_required_capability", "cannot do mcp"),
    ("--store", "mysql://x", "ls"): (2, "invalid_configuration", "is no store URL; use sqlite:///path"),
    ("--store", "sqlite:///", "ls"): (2, "invalid_configuration", "names no file; use sqlite:///relative/path"),
    ("--store", "sqlite:///a?b/s.db", "ls"): (2, "invalid_configuration", "a path has %3F and %23 for ? and #"),
    ("--store", "sqlite:///a#b/s.db", "ls"): (2, "invalid_configuration", "a path has %3F and %23 for ? and #"),
    ("--store", "sqlite:////proc/none/x.db", "ls"): (7, "store_failed", "cannot be made"),
    ("--agents", "/no/agents.toml", "agents"): (2, "invalid_configuration", "/no/agents.toml"),
    ("completion", "tcsh"): (2, "validation_error", "'tcsh'"),
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_in_one_line(cli: Cli, words: tuple[str, ...]) -> None:
    code, name, told = MISTAKES[words]
    done = cli(*words)
    assert (done.code, done.out) == (code, ""), done
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f" [{name}]")
    assert told in line


@pytest.mark.parametrize("words", list(MISTAKES)[::3], ids=" ".join)
def test_a_mistake_is_told_in_json(cli: Cli, words: tuple[str, ...]) -> None:
    code, name, told = MISTAKES[words]
    done = cli("--json", *words)
    assert (done.code, done.out) == (code, "")
    assert done.error["code"] == name
    assert done.error["retryable"] is False
    assert told.split("; ")[0] in done.error["message"] + done.error.get("remedy", "")


def test_json_may_be_asked_for_anywhere_before_the_dashes(cli: Cli) -> None:
    assert cli("show", "ses_nope", "--json").error["code"] == "session_not_found"
    assert cli("show", "ses_nope", "--", "--json").err.startswith("error: ")


def test_global_options_may_stand_anywhere(cli: Cli) -> None:
    cli.echo("hello")
    url = cli.env.pop("SESSIONRY_STORE")
    assert len(cli.ok("ls", "--store", url, "--json").jsons) == 1
    assert len(cli.ok("--store", url, "--json", "ls").jsons) == 1
    assert cli.ok("--json", "ls").out == ""


def test_an_id_that_may_mean_several_things_is_refused(cli: Cli) -> None:
    one, two = cli.echo("one"), cli.echo("two")
    done = cli("show", "ses_")
    assert done.code == 2
    assert one in done.err
    assert two in done.err
    assert done.err.endswith("give more of it [ambiguous_id]\n")
    assert set(cli("--json", "show", "ses_").error["details"]["ids"]) == {one, two}


def test_the_kind_of_an_id_need_not_be_written_where_it_is_clear(cli: Cli) -> None:
    session = cli.echo("one")
    run = cli.ok("--json", "runs").json["id"]
    moment = session[4:12]
    assert run[4:].startswith(moment), "the two were born in about the same moment"
    assert cli.ok("--json", "pause", moment).json["id"] == session
    assert cli.ok("--json", "events", moment, "--limit", "1").json["session_id"] == session
    assert cli("show", moment).code == 2
    assert cli.ok("--json", "show", run[4:]).json["id"] == run


def test_an_id_of_another_kind_is_refused_by_name(cli: Cli) -> None:
    cli.echo("one")
    run = cli.ok("--json", "runs").json["id"]
    done = cli("pause", run)
    assert done.code == 2
    assert f"{run} is a run, and this takes a session" in done.err


def test_a_bad_setting_is_named(cli: Cli) -> None:
    done = cli("ls", env={"SESSIONRY_LEASE": "soon"})
    assert done.code == 2
    assert "SESSIONRY_LEASE must be a number of seconds" in done.err


def test_a_password_is_never_told(cli: Cli) -> None:
    url = "postgresql://me:very-secret@127.0.0.1:1/none"
    for words in (("ls",), ("doctor",), ("run", "-a", "echo", "x")):
        done = cli("--store", url, *words)
        assert done.code != 0
        assert "very-secret" not in done.out + done.err


def test_a_worker_does_not_tell_the_password_of_its_store(cli: Cli, postgres_url: str) -> None:
    done = cli.ok("--store", f"{postgres_url}&password=very-secret", "worker", "--once")
    assert "works on postgresql://" in done.err
    assert "very-secret" not in done.out + done.err


def test_the_address_of_a_server_with_a_password_is_refused_without_it(cli: Cli) -> None:
    done = cli("--server", "http://me:very-secret@127.0.0.1:1", "ls")
    assert done.code == 2
    assert "[invalid_configuration]" in done.err
    assert "very-secret" not in done.out + done.err


def test_a_token_that_expires_at_once_is_not_one_for_ever(cli: Cli) -> None:
    cli.ok("tokens", "create", "short", "--expires", "0")
    assert cli.ok("--json", "tokens").json["expires_at"] is not None


def test_a_span_is_not_negative_and_has_an_end(cli: Cli) -> None:
    for given in ("-1", "nan", "inf", "1e300"):
        assert cli("worker", "--once", "--grace", given).code == 2


def test_nobody_works_on_more_runs_at_once_than_there_may_be(cli: Cli) -> None:
    for command in ("serve", "worker"):
        done = cli(command, "--slots", str(10**20))
        assert (done.code, done.out) == (2, "")
        assert "1<=x<=100000" in done.err
    session = cli.echo("hello")
    done = cli("--json", "update", session, "--slots", str(10**20))
    assert (done.code, done.error["code"]) == (2, "validation_error")
    assert "slots" in done.error["message"]


def test_a_schema_that_is_not_there_is_told(cli: Cli, postgres_url: str) -> None:
    mark = "&" if "?" in postgres_url else "?"
    done = cli("--json", "ls", "--store", f"{postgres_url}{mark}options=-csearch_path%3Dnowhere")
    assert (done.code, done.error["code"]) == (7, "store_failed")
    assert "the search_path names no schema that is there" in done.error["message"]


def test_tables_of_somebody_else_are_left_alone(cli: Cli, empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("create table sessionry_session (theirs text)")
        done = cli("--json", "ls", "--store", empty_postgres_url)
        assert (done.code, done.error["code"]) == (7, "store_failed")
        assert "create schema sessionry" in done.error["message"]
        there = "select count(*) from pg_tables where schemaname = 'public'"
        assert connection.execute(there).fetchone() == (1,), "nothing of ours was left"


def test_a_damaged_file_is_told_and_not_touched(cli: Cli) -> None:
    cli.store.write_bytes(b"this is no database, and long enough to be read as one" * 50)
    before = cli.store.read_bytes()
    for words in (("ls",), ("run", "-a", "echo", "x")):
        done = cli(*words)
        assert done.code == 7, done
        assert "[store_corrupt]" in done.err
        assert len(done.err.splitlines()) == 1
    assert cli.store.read_bytes() == before


def test_a_store_from_a_later_program_is_refused(cli: Cli) -> None:
    import sqlite3

    cli.echo("one")
    with sqlite3.connect(cli.store) as store:
        store.execute("insert into sessionry_schema (version, name, applied_at) values (9999, 'later', 0)")
    store.close()
    for words in (("ls",), ("run", "-a", "echo", "x")):
        done = cli(*words)
        assert (done.code, "upgrade Sessionry [store_too_new]" in done.err) == (7, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_can_be_read(cli: Cli) -> None:
    session = cli.echo("one")
    cli.store.chmod(0o400)
    cli.folder.chmod(0o500)
    try:
        assert cli.ok("--json", "ls").json["id"] == session
        assert "[store_read_only]" in cli("pause", session).err
    finally:
        cli.folder.chmod(0o700)


def test_a_mistake_of_ours_is_one_line_and_debug_shows_where(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "from sessionry.store.operations import listing\n"
        "def fail(*_, **__): raise ZeroDivisionError('oops')\n"
        "listing.list_sessions = fail\n"
    )
    cli.echo("x")
    env = {"PYTHONPATH": str(broken)}
    done = cli("ls", env=env)
    assert done.code == 1
    assert re.fullmatch(
        r"error: ZeroDivisionError: oops; this is a mistake in Sessionry.*\[internal_error\]\n", done.err
    )
    assert cli("ls", "--json", env=env).error["details"] == {"type": "ZeroDivisionError"}
    assert "Traceback" in cli("ls", "--debug", env=env).err
