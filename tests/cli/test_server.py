"""Commands that ask a server do the same as on the store itself."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import httpx
import pytest

from .program import Cli, Finished, Started


@pytest.fixture
def far(cli: Cli) -> Iterator[dict[str, str]]:
    """A server over the store of the test; the environment of somebody far away, who has nothing but its address."""
    cli.script("ticks", {"repeat": {"times": 1000, "steps": [{"say": "tick "}, "turn", {"sleep": 0.05}]}})
    cli.script("careful", {"approve": {"tool": "deploy", "input": {"to": "prod"}}}, {"say": "deployed"})
    server = cli.start("--json", "serve", "--port", "0")
    told = json.loads(server.until("\n"))
    yield {
        "SESSIONRY_SERVER": told["url"],
        "SESSIONRY_TOKEN": told["token"],
        "SESSIONRY_STORE": "sqlite:////nowhere/at/all.db",
        "SESSIONRY_AGENTS": "",
        "HOME": str(cli.folder / "far"),
        "XDG_CONFIG_HOME": str(cli.folder / "far"),
    }
    server.signal(signal.SIGINT)
    assert server.wait().code == 130


def there(cli: Cli, far: dict[str, str], *words: str) -> Finished:
    done = cli(*words, env=far)
    assert done.code == 0, done
    return done


def same(out: str) -> str:
    """Without positions: over HTTP they are numbers that say nothing of what others do."""
    return re.sub(r'"position":\d+', "", out)


def test_every_list_and_every_thing_reads_the_same(cli: Cli, far: dict[str, str]) -> None:
    session = there(cli, far, "--json", "run", "-a", "echo", "--title", "Far", "hello").jsons[-1]["session_id"]
    run = there(cli, far, "--json", "runs", session).json["id"]
    for words in (
        ["ls"],
        ["runs"],
        ["show", session[:20]],
        ["show", run],
        ["tree", session],
        ["events", session],
        ["transcript", session],
        ["approvals"],
        ["watch", run],
    ):
        assert same(there(cli, far, "--json", *words).out) == same(cli.ok("--json", *words).out), words


def test_a_worker_is_let_go_from_afar(cli: Cli, far: dict[str, str]) -> None:
    worker = cli.start("worker", env={"SESSIONRY_HEARTBEAT": "0.2"})
    ids = cli.until(
        lambda: [each["id"] for each in cli.ok("--json", "workers").jsons if each["pid"] == worker.process.pid]
    )
    drained = there(cli, far, "--json", "workers", "drain", ids[0]).json
    assert drained == {"id": ids[0], "draining": True, "runs": 0}
    assert worker.wait().code == 0


def test_a_run_is_shown_as_it_goes(cli: Cli, far: dict[str, str]) -> None:
    done = there(cli, far, "run", "-a", "echo", "hello")
    assert done.out == "hello\n"
    assert "completed" in done.err
    refused = cli("run", "-a", "nobody", "hello", env=far)
    assert refused.code == 5
    assert "no agent 'nobody'" in refused.err
    assert cli("run", "hello", env=far).code == 2, "the server has no default agent"


def test_a_run_can_be_left_and_watched_and_cancelled(cli: Cli, far: dict[str, str]) -> None:
    run = there(cli, far, "run", "-d", "-a", "ticks", "x").out.strip()
    watched = cli.start("watch", run, env=far)
    watched.until("tick \ntick ")
    there(cli, far, "cancel", run)
    assert watched.wait().code == 0
    assert cli.ok("--json", "show", run).json["status"] == "cancelled"


def test_ctrl_c_cancels_the_run_at_the_server(cli: Cli, far: dict[str, str]) -> None:
    started: Started = cli.start("--json", "run", "-a", "ticks", "x", env=far)
    started.until('"run_started"')
    started.signal(signal.SIGINT)
    done = started.wait()
    assert done.code == 130
    assert done.jsons[-1]["type"] == "run_cancelled"


def test_a_question_is_answered_from_far_away(cli: Cli, far: dict[str, str]) -> None:
    run = there(cli, far, "run", "-d", "-a", "careful", "x").out.strip()
    (approval,) = cli.until(lambda: cli.ok("--json", "approvals").jsons)
    there(cli, far, "approve", approval["id"], "--note", "go on")
    assert there(cli, far, "watch", run).out == "deployed\n"


def test_sessions_live_their_lives_from_far_away(cli: Cli, far: dict[str, str]) -> None:
    session = there(cli, far, "--json", "run", "-a", "echo", "x").jsons[-1]["session_id"]
    for words in (
        ["pause", session],
        ["resume", session],
        ["update", session, "--title", "New"],
        ["complete", session],
    ):
        there(cli, far, *words)
    assert cli.ok("--json", "show", session).json["status"] == "completed"
    there(cli, far, "rm", session)
    assert cli.ok("--json", "ls").out == ""
    there(cli, far, "restore", session)


def test_what_is_wrong_is_told_with_the_same_codes(cli: Cli, far: dict[str, str]) -> None:
    assert cli("show", "ses_none", env=far).code == 5
    assert cli("ls", env=far | {"SESSIONRY_TOKEN": "sry_wrong"}).code == 2
    gone = cli("ls", env=far | {"SESSIONRY_SERVER": "http://127.0.0.1:1"})
    assert gone.code == 7
    assert "cannot be reached" in gone.err
    kept = cli("worker", "--once", "--server", far["SESSIONRY_SERVER"])
    assert kept.code == 2
    assert "works on the store itself" in kept.err


def test_tokens_are_made_listed_and_revoked(cli: Cli, far: dict[str, str]) -> None:
    secret = cli.ok("tokens", "create", "ci", "-p", "run").out.strip()
    assert secret.startswith("sry_")
    assert "ci" in cli.ok("tokens").out
    headers = {"Authorization": f"Bearer {secret}"}
    me = httpx.get(f"{far['SESSIONRY_SERVER']}/v1/me", headers=headers, trust_env=False).json()
    assert (me["name"], me["permissions"]) == ("ci", ["run"])
    assert cli("tokens", "revoke", "").code == 5
    assert cli.ok("tokens", "revoke", me["id"][:20]).out.strip() == me["id"]
    assert httpx.get(f"{far['SESSIONRY_SERVER']}/v1/me", headers=headers, trust_env=False).status_code == 401
    assert "revoked" in cli.ok("tokens", "list").out


def test_a_first_run_that_is_refused_is_told_so_whatever_the_token_may(cli: Cli, far: dict[str, str]) -> None:
    secret = cli.ok("tokens", "create", "ci", "-p", "run").out.strip()
    refused = cli("run", "-a", "echo", "--require", "steer", "hello", env=far | {"SESSIONRY_TOKEN": secret})
    assert refused.code == 2
    assert "missing_required_capability" in refused.err
    assert cli.ok("--json", "ls").out == ""


def test_the_token_of_this_machine_is_kept_where_only_its_owner_reads(cli: Cli, far: dict[str, str]) -> None:
    (file,) = (cli.folder / "data" / "sessionry").glob("server-*.token")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() == far["SESSIONRY_TOKEN"]
    again = cli.start("--json", "serve", "--port", "0")
    assert json.loads(again.until("\n"))["token"] == far["SESSIONRY_TOKEN"]
    again.signal(signal.SIGTERM)
    assert again.wait().code == 0


def test_a_port_that_is_taken_is_told(cli: Cli, far: dict[str, str]) -> None:
    port = far["SESSIONRY_SERVER"].rpartition(":")[2]
    done = cli("serve", "--port", port)
    assert done.code == 7
    assert "address already in use" in done.err
