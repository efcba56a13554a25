"""Commands that change sessions."""

from __future__ import annotations

from typing import Any

from .program import Cli


def session_of(cli: Cli, id: str) -> dict[str, Any]:
    found: dict[str, Any] = cli.ok("--json", "show", id).json
    return found


def test_a_session_is_paused_and_goes_on(cli: Cli) -> None:
    session = cli.echo("one")
    assert cli.ok("pause", session[:25], "--reason", "lunch").out == f"paused {session}\n"
    assert session_of(cli, session)["status"] == "paused"
    paused = cli.ok("--json", "events", session, "--type", "session_paused").json
    assert paused["data"] == {"reason": "lunch"}
    cli.queued("echo", "two", session)
    resumed = cli.ok("resume", session)
    assert resumed.out == f"resumed {session}\n"
    assert resumed.err == f"nobody works on it yet: `sessionry worker --once --session {session}` does\n"
    again = cli("resume", session)
    assert again.code == 6
    assert "invalid_transition" in again.err


def test_a_session_is_forked_and_both_go_on(cli: Cli) -> None:
    session = cli.echo("one")
    at = next(each["seq"] for each in cli.ok("--json", "events", session).jsons if each["type"] == "run_completed")
    cli.ok("run", "-s", session, "two")
    fork = cli.ok("fork", session[:25], "--seq", str(at), "--title", "Another way").out.strip()
    made = session_of(cli, fork)
    assert (made["parent_session_id"], made["title"]) == (session, "Another way")
    forked = cli.ok("--json", "events", fork, "--type", "session_forked").json
    assert forked["data"] == {"source_session_id": session, "source_seq": at}
    cli.ok("run", "-s", fork, "three")
    assert cli.ok("--json", "fork", session).json["title"] == session_of(cli, session)["title"]
    beyond = cli("fork", session, "--seq", "1000")
    assert (beyond.code, beyond.out) == (2, "")
    assert "must be an event of the session" in beyond.err


def test_a_session_is_completed_when_nothing_is_left_to_do(cli: Cli) -> None:
    session = cli.echo("one")
    cli.queued("echo", "two", session)
    refused = cli("complete", session)
    assert refused.code == 6
    assert "unfinished" in refused.err
    cli.ok("worker", "--once")
    assert cli.ok("complete", session).out == f"completed {session}\n"
    ended = cli("run", "-s", session, "three")
    assert ended.code == 6
    assert "takes no more runs" in ended.err


def test_a_session_fails_with_those_below_it(cli: Cli) -> None:
    root = cli.echo("root")
    child, kept = (
        cli.ok("--json", "run", "-a", "echo", "--parent", root, "x").jsons[0]["session_id"] for _ in range(2)
    )
    cli.ok("fail", kept, "--keep-children", "not", "this", "one")
    cli.ok("fail", root, "the", "wrong", "branch")
    assert [session_of(cli, id)["status"] for id in (root, child, kept)] == ["failed", "cancelled", "failed"]
    failed = cli.ok("--json", "events", root, "--type", "session_failed").json
    assert failed["data"]["error"]["message"] == "the wrong branch"


def test_a_cancelled_session_cancels_those_below_it_unless_they_are_kept(cli: Cli) -> None:
    roots = [cli.echo("root") for _ in range(2)]
    children = [cli.ok("--json", "run", "-a", "echo", "--parent", root, "x").jsons[0]["session_id"] for root in roots]
    cli.ok("cancel", roots[0])
    cli.ok("cancel", roots[1], "--keep-children")
    assert [session_of(cli, child)["status"] for child in children] == ["cancelled", "active"]


def test_a_queued_run_is_cancelled_here_and_now(cli: Cli) -> None:
    session = cli.echo("one")
    run = cli.queued("echo", "two", session)
    assert cli.ok("cancel", run).out == f"cancelled {run}\n"
    assert cli.ok("--json", "show", run).json["status"] == "cancelled"


def test_what_can_be_updated(cli: Cli) -> None:
    session = cli.ok("--json", "run", "-a", "echo", "-t", "a", "-t", "b", "x").jsons[0]["session_id"]
    cli.ok("update", session, "--title", "New", "--add-tag", "c", "--remove-tag", "a", "--metadata", '{"k": [1, null]}')
    cli.ok("update", session, "--context", '{"system_prompt": "be brief"}', "--slots", "2", "--queue-limit", "7")
    updated = cli.ok("--json", "update", session, "--cwd", cli.folder).json
    wanted = {
        "title": "New",
        "tags": ["b", "c"],
        "metadata": {"k": [1, None]},
        "context": {"system_prompt": "be brief"},
        "slots": 2,
        "queue_limit": 7,
        "cwd": str(cli.folder),
    }
    assert {name: updated[name] for name in wanted} == wanted
    assert cli.ok("--json", "update", session, "--title", "", "--tag", "z").json["title"] is None
    assert session_of(cli, session)["tags"] == ["z"]


def test_an_update_can_be_tied_to_a_version(cli: Cli) -> None:
    session = cli.echo("one")
    version = session_of(cli, session)["version"]
    cli.ok("update", session, "--title", "a", "--if-version", str(version))
    stale = cli("update", session, "--title", "b", "--if-version", str(version))
    assert stale.code == 6
    assert "stale_version" in stale.err


def test_an_update_must_say_what(cli: Cli) -> None:
    session = cli.echo("one")
    for words, told in {
        (): "nothing to change: give --title, --tag or another option",
        ("--metadata", "[1]"): "is no JSON object",
        ("--slots", "0"): "slots must be a whole number of at least 1",
    }.items():
        done = cli("update", session, *words)
        assert done.code == 2
        assert told in done.err


def test_sessions_are_hidden_brought_back_and_removed_for_ever(cli: Cli) -> None:
    one, two = cli.echo("one"), cli.echo("two")
    assert cli.ok("rm", one, two[:26], "--reason", "tidy").lines == [f"removed {one}", f"removed {two}"]
    assert cli.ok("--json", "ls").out == ""
    assert [each["id"] for each in cli.ok("--json", "ls", "--deleted").jsons] == [two, one]
    assert "deleted" in cli.ok("ls", "--deleted").out
    assert "status   deleted" in cli.ok("show", one).out
    assert cli.ok("--json", "restore", one).json["deleted_at"] is None
    refused = cli("purge", one)
    assert refused.code == 6
    assert "delete it first" in refused.err
    purged = cli.ok("--json", "purge", two).json
    assert (purged["id"], purged["purged"], purged["events"] > 5) == (two, True, True)
    assert cli("show", two).code == 5


def test_a_mistyped_id_among_several_changes_nothing(cli: Cli) -> None:
    one = cli.echo("one")
    assert cli("rm", one, "ses_nope").code == 5
    assert session_of(cli, one)["deleted_at"] is None
