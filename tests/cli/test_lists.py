"""Commands that only look: each as text and as JSON."""

from __future__ import annotations

import re
import subprocess

import pytest

from .program import SESSIONRY, Cli


def short(id: str) -> str:
    return id[:20]


def test_a_new_home_has_nothing_and_says_how_to_begin(cli: Cli) -> None:
    for words, told in {
        "ls": "no sessions; `sessionry run` begins one",
        "runs": "no runs; `sessionry run` makes one",
        "approvals": "nothing waits for an answer",
        "workers": "no workers; `sessionry worker` is one, and so is every `sessionry run`",
    }.items():
        done = cli.ok(words)
        assert (done.out, done.err) == ("", told + "\n")
        assert cli.ok(words, "--json").out == ""


def test_the_default_store_is_a_private_file_in_the_data_folder(cli: Cli) -> None:
    cli.env.pop("SESSIONRY_STORE")
    cli.ok("run", "-a", "echo", "hello")
    path = cli.folder / "data" / "sessionry" / "sessionry.db"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_sessions_are_listed_the_latest_first(cli: Cli) -> None:
    first, second = cli.echo("first"), cli.echo("second")
    done = cli.ok("ls")
    head, *rows = done.lines
    assert head.split() == ["SESSION", "STATUS", "AGENT", "TITLE", "UPDATED", "RUNS"]
    assert [row.split()[0] for row in rows] == [short(second), short(first)]
    assert [each["title"] for each in cli.ok("ls", "--json", "--order", "created").jsons] == ["first", "second"]


def test_sessions_can_be_chosen(cli: Cli) -> None:
    one = cli.echo("one")
    two = cli.ok("--json", "run", "-a", "shell", "-t", "a", "-t", "b", "--parent", one, "--", "true").jsons[0][
        "session_id"
    ]
    cli.ok("complete", one)
    chosen = {
        ("--status", "completed"): [one],
        ("-s", "active", "-s", "completed"): [two, one],
        ("--agent", "shell"): [two],
        ("--tag", "a", "--tag", "b"): [two],
        ("--tag", "a", "--tag", "c"): [],
        ("--parent", one[:24]): [two],
        ("--text", "ON"): [one],
        ("--created-after", "1h"): [two, one],
        ("--updated-before", "2020-01-01"): [],
        ("--limit", "1", "--order", "created"): [one],
    }
    for options, wanted in chosen.items():
        found = [each["id"] for each in cli.ok("--json", "ls", *options).jsons]
        assert sorted(found) == sorted(wanted), options


def test_a_long_list_is_cut_and_says_so(cli: Cli) -> None:
    session = cli.echo("1")
    for number in range(3):
        cli.queued("echo", str(number), session)
    done = cli.ok("runs", "--limit", "2")
    assert len(done.lines) == 3
    assert done.err == "there are more; --limit or --all lists them\n"
    assert len(cli.ok("runs", "--limit", "4").lines) == 5
    assert cli.ok("runs", "--limit", "4").err == ""
    assert len(cli.ok("--json", "runs", "--limit", "2").lines) == 2
    assert len(cli.ok("runs", "--limit", "2", "--all").lines) == 5


def test_counts(cli: Cli) -> None:
    cli.queued("echo", "2", cli.echo("1"))
    assert cli.ok("ls", "--counts").lines == [
        "sessions: 1 (1 active)",
        "runs: 2 (1 completed, 1 pending)",
        "approvals waiting: 0",
    ]
    assert cli.ok("ls", "--counts", "--json").json["runs"] == {"completed": 1, "pending": 1}


def test_a_session_is_shown_with_its_runs(cli: Cli) -> None:
    session = cli.echo("hello")
    shown = cli.ok("show", session[:25]).out
    assert f"session  {session}\nstatus   active\ntitle    hello\nagent    echo\n" in shown
    assert re.search(r"run_\w{16}  completed  echo   hello", shown)
    in_json = cli.ok("show", session, "--json").json
    assert (in_json["id"], len(in_json["runs"]), in_json["approvals"]) == (session, 1, [])


def test_a_run_is_shown_with_its_outcome(cli: Cli) -> None:
    cli("run", "-a", "shell", "--", "sh", "-c", "exit 3")
    run = cli.ok("--json", "runs").json
    shown = cli.ok("show", run["id"]).out
    assert f"run      {run['id']}\nsession  {run['session_id']}\nstatus   failed\n" in shown
    assert "input    $ sh -c 'exit 3'\n" in shown
    assert "error    [command_failed] sh exited with code 3\n" in shown
    assert cli.ok("--json", "show", run["id"]).json == run


def test_an_approval_is_shown(cli: Cli) -> None:
    cli.script("careful", {"approve": {"tool": "deploy", "input": {"to": "prod"}, "reason": "r"}})
    run = cli.start("run", "-a", "careful", "go")
    (approval,) = cli.until(lambda: cli.ok("--json", "approvals").jsons)
    shown = cli.ok("show", approval["id"]).out
    assert 'status    pending\ntool      deploy\ninput     {"to":"prod"}\nreason    r\n' in shown
    assert cli.ok("--json", "show", approval["id"]).json == approval
    assert f"sessionry approve {approval['id']}" in cli.ok("show", approval["session_id"]).out
    cli.ok("deny", approval["id"])
    run.wait()
    assert short(approval["id"]) in cli.ok("approvals", "-s", "denied", "-s", "granted").out


def test_events_are_a_line_each(cli: Cli) -> None:
    session = cli.echo("hello")
    lines = cli.ok("events", session).lines
    assert [line.split()[0] for line in lines] == [str(number) for number in range(1, len(lines) + 1)]
    assert lines[-1].split()[3:] == ["run_completed", "text=hello"]
    assert cli.ok("events", session, "--after", "2", "--limit", "1").out.split()[0] == "3"
    events = cli.ok("--json", "events", session, "--type", "run_started", "--type", "run_completed").jsons
    assert [event["type"] for event in events] == ["run_started", "run_completed"]
    assert list(events[0])[:6] == ["seq", "type", "session_id", "run_id", "at", "data"]


def test_events_of_a_run_and_of_the_store(cli: Cli) -> None:
    one, two = cli.echo("one"), cli.echo("two")
    run = cli.ok("--json", "runs", two).json["id"]
    assert {event["run_id"] for event in cli.ok("--json", "events", run).jsons} == {run}
    everything = cli.ok("--json", "events").jsons
    assert [event["session_id"] for event in everything] == sorted(event["session_id"] for event in everything)
    assert {event["session_id"] for event in everything} == {one, two}
    assert short(one) in cli.ok("events").out
    after = cli.ok("--json", "events", "--after", str(everything[-2]["position"])).json
    assert after == everything[-1]


def test_a_fork_is_read_with_what_it_goes_on_from(cli: Cli) -> None:
    source = cli.echo("hello")
    with cli.library(worker=False) as sessions:
        fork = sessions.session(source).fork().id
    told = [event["id"] for event in cli.ok("--json", "events", source).jsons]
    whole = cli.ok("--json", "events", fork, "--after", "-1000").jsons
    assert [event["id"] for event in whole[:-2]] == told
    assert [event["seq"] for event in whole] == list(range(1 - len(told), 3))
    assert cli.ok("--json", "events", fork, "--after", "-1").jsons == whole[-3:]
    assert cli.ok("--json", "events", fork).jsons == whole[-2:]
    assert "hello" in cli.ok("events", fork, "--after", "-1000", "-n", "3").out
    assert cli("events", "--after", "-1").code == 2, "the store has no past"


def test_more_events_than_a_page_has(cli: Cli) -> None:
    cli.script("long", {"repeat": {"times": 600, "steps": [{"say": {"text": "x", "pieces": 1}}]}})
    session = cli.ok("--json", "run", "-a", "long", "go").jsons[0]["session_id"]
    seqs = [event["seq"] for event in cli.ok("--json", "events", session).jsons]
    assert len(seqs) > 1000
    assert seqs == sorted(set(seqs))


def test_a_tree_shows_who_is_below_whom(cli: Cli) -> None:
    root = cli.echo("root")

    def child(parent: str, title: str) -> str:
        run = cli.ok("--json", "run", "-a", "echo", "--parent", parent, "--title", title, "x").jsons[0]
        return str(run["session_id"])

    left = child(root, "left")
    below, right = child(left, "below"), child(root, "right")
    assert cli.ok("tree", root).lines == [
        f"{short(root)}  active  echo  root",
        f"├─ {short(left)}  active  echo  left",
        f"│  └─ {short(below)}  active  echo  below",
        f"└─ {short(right)}  active  echo  right",
    ]
    assert [each["id"] for each in cli.ok("--json", "tree", root).jsons] == [root, left, right, below]


def test_a_transcript_reads_like_a_conversation(cli: Cli) -> None:
    cli.script(
        "worker", {"tool": {"name": "search", "input": {"for": "x"}, "output": "found"}}, {"say": "Done.\nReally."}
    )
    session = cli.ok("--json", "run", "-a", "worker", "Find x").jsons[0]["session_id"]
    assert cli.ok("transcript", session).lines == [
        "user",
        "Find x",
        "",
        'tool  search {"for":"x"}  ok',
        '      "found"',
        "",
        "assistant",
        "Done.",
        "Really.",
        "",
    ]
    roles = [message["role"] for message in cli.ok("--json", "transcript", session).jsons]
    assert roles == ["user", "tool", "assistant"]


def test_unicode_comes_through_everywhere(cli: Cli) -> None:
    text = "Grüße 日本語 🙂 \u00e9 e\u0301"
    session = cli.echo(text)
    for words in (("ls",), ("show", session), ("events", session), ("transcript", session), ("watch", "RUN")):
        run = cli.ok("--json", "runs").json["id"]
        assert text in cli.ok(*(run if word == "RUN" else word for word in words)).out
    assert cli.ok("--json", "show", session).json["title"] == text


def test_a_terminal_that_speaks_ascii_only_gets_marks_instead_and_json_is_utf_8(cli: Cli) -> None:
    cli.echo("日本")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = cli("ls", env=ascii_only)
    assert done.code == 0
    assert " ?? " in done.out
    assert cli("--json", "ls", env=ascii_only).json["title"] == "日本"


@pytest.mark.parametrize("words", ["events", "ls --json", "--help", "runs"])
def test_a_reader_that_leaves_early_ends_it_quietly(cli: Cli, words: str) -> None:
    cli.ok("run", "-a", "shell", "-q", "--", "seq", "60000")  # far more than a pipe holds
    command = f"{SESSIONRY} {words} | head -c 10; echo ' '${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=cli.cwd, env=cli.env, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    code = int(done.stdout.split()[-1])
    assert code == 141 if words == "events" else code in (0, 141)


def test_a_run_whose_reader_leaves_is_cancelled(cli: Cli) -> None:
    cli.script("chatty", {"repeat": {"times": 1000, "steps": [{"say": "tick\n"}, {"sleep": 0.05}]}})
    command = f"{SESSIONRY} -q run -a chatty go | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=cli.cwd, env=cli.env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("tick\n141\n", "")
    run = cli.ok("--json", "runs").json
    assert (run["status"], run["cancel_request"]["reason"]) == ("cancelled", "nobody reads its output any more")


def test_output_that_cannot_be_written_is_an_error(cli: Cli) -> None:
    cli.echo("x")
    done = subprocess.run(
        ["bash", "-c", f"{SESSIONRY} ls > /dev/full"],
        cwd=cli.cwd,
        env=cli.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the output could not be written: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_works_without_any_stdout_or_stderr(cli: Cli) -> None:
    cli.echo("x")
    for redirection, code in ((">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)):
        command = ["bash", "-c", f"{SESSIONRY} ls {redirection}"]
        assert subprocess.run(command, cwd=cli.cwd, env=cli.env, capture_output=True, check=False).returncode == code


def test_tenants_and_users_see_their_own(cli: Cli) -> None:
    ann = cli.ok("--json", "--user", "ann", "run", "-a", "echo", "hers").jsons[0]["session_id"]
    cli.ok("--user", "bob", "run", "-a", "echo", "his")
    cli.ok("run", "-a", "echo", "theirs", "--tenant", "other")
    assert [each["id"] for each in cli.ok("ls", "--json", "--user", "ann").jsons] == [ann]
    assert len(cli.ok("ls", "--json").jsons) == 2
    assert len(cli.ok("ls", "--json", "--tenant", "other").jsons) == 1
    assert cli("--user", "bob", "show", ann).code == 5
