"""Every command does the same at a server as on the store itself, or says that it works on the store."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionry.cli.program import COMMANDS

from .program import Cli, Finished

#: Commands that work on the store itself, or on this machine, and say so to who names a server.
LOCAL = {"worker", "serve", "tokens", "demo", "doctor", "backup", "migrate"}
#: Commands that ask nobody.
ALONE = {"completion"}
#: Command -> what it is asked, in this order. SESSION, RUN ... are what is there already.
WORDS: Mapping[str, Sequence[Sequence[str]]] = {
    "ls": [["ls"], ["ls", "--counts"], ["ls", "--status", "active"], ["ls", "--limit", "1"], ["ls", "--tag", "a"]],
    "show": [["show", "SESSION"], ["show", "RUN"], ["show", "APPROVAL"], ["show", "ses_none"]],
    "runs": [["runs"], ["runs", "SESSION", "--order", "created"], ["runs", "--status", "odd"]],
    "tree": [["tree", "SESSION"]],
    "events": [["events"], ["events", "SESSION", "--after", "2"], ["events", "RUN", "-t", "run_completed"]],
    "watch": [["watch", "RUN"]],
    "transcript": [["transcript", "SESSION"]],
    "approvals": [["approvals"], ["approvals", "--status", "odd"]],
    "workers": [["workers"], ["workers", "drain", "wrk_none"]],
    "agents": [["agents", "--installed"]],
    "webhooks": [
        *(["webhooks", "add", "https://agents.example/hook", "--type", "run_failed"], ["webhooks"]),
        *(["webhooks", "disable", "whk_"], ["webhooks", "dead", "whk_"], ["webhooks", "replay", "whk_"]),
        *(["webhooks", "rm", "whk_"], ["webhooks", "rm", "whk_none"], ["webhooks", "list", "foo"]),
    ],
    "usage": [["usage"], ["usage", "--by", "agent"], ["usage", "--by", "session", "--session", "SESSION"]],
    "deeds": [["deeds"], ["deeds", "--limit", "1"]],
    "update": [["update", "SESSION", "--title", "New", "--add-tag", "b"], ["update", "SESSION", "--if-version", "1"]],
    "pause": [["pause", "SESSION", "--reason", "lunch"], ["pause", "ses_none"]],
    "resume": [["resume", "SESSION"], ["resume", "SESSION"]],
    "approve": [["approve", "APPROVAL", "--note", "go on"], ["approve", "APPROVAL"], ["approve", "apr_none"]],
    "deny": [["deny", "APPROVAL"], ["deny", "apr_none"]],
    "send": [["send", "QUEUE", "two"], ["send", "ses_none", "x"]],
    "steer": [["steer", "QUEUE", "left"], ["steer", "run_none", "x"]],
    "cancel": [["cancel", "WAITING"], ["cancel", "WAITING"], ["cancel", "run_none"]],
    "run": [["run", "-a", "echo", "--title", "Mine", "hello"], ["run", "-a", "nobody", "x"]],
    "fork": [["fork", "SESSION", "--seq", "2", "--title", "Another"], ["fork", "SESSION", "--seq", "999"]],
    "complete": [["complete", "SESSION"], ["complete", "SESSION"]],
    "fail": [["fail", "OTHER", "the branch is gone"], ["fail", "OTHER", "again"]],
    "rm": [["rm", "SESSION"], ["rm", "SESSION"]],
    "restore": [["restore", "SESSION"], ["rm", "SESSION"]],
    "purge": [["purge", "SESSION"], ["show", "SESSION"], ["purge", "ses_none"]],
}


def test_each_command_is_looked_at_here() -> None:
    assert WORDS.keys() | LOCAL | ALONE == {name for named in COMMANDS.values() for name in named}


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_a_command_that_works_on_the_store_says_so_to_who_names_a_server(cli: Cli, name: str) -> None:
    more = {"backup": ["x.db"], "migrate": ["--to", "sqlite:///x.db"], "tokens": ["list"]}.get(name, [])
    done = cli("--json", name, *more, "--server", "http://127.0.0.1:1")
    assert done.code == 2, done
    assert "works on the store itself" in done.error["message"] or "--server" in done.error["message"]
    assert not (cli.cwd / "x.db").exists()


class Place(NamedTuple):
    """Where a command is called: on a store, or far from one, whose server it asks."""

    cli: Cli
    env: Mapping[str, str]

    def __call__(self, words: Sequence[str]) -> Finished:
        return self.cli("--json", *words, env=self.env)


@pytest.fixture
def places(cli: Cli, tmp_path: Path) -> Iterator[tuple[Place, Place, dict[str, str]]]:
    """Two copies of one store: one that is worked on here, and one that a server has; and what is in them."""
    cli.script("asks", {"approve": {"tool": "deploy", "input": {"to": "prod"}}}, {"say": "deployed"})
    session, other = cli.echo("hello"), cli.echo("other")
    cli.ok("update", session, "--tag", "a")
    queue, waiting = cli.queued("asks", "x"), cli.queued("asks", "one")
    worker = cli.start("worker", env={"SESSIONRY_LEASE": "600"})
    approvals = cli.until(lambda: found if len(found := cli.ok("--json", "approvals").jsons) == 2 else None)
    worker.signal(signal.SIGSTOP)  # it keeps its runs, and says nothing more
    of = {each["run_id"]: each["id"] for each in approvals}
    for name in ("near", "far"):
        cli.ok("backup", tmp_path / f"{name}.db")
    far_store = {"SESSIONRY_STORE": f"sqlite:///{tmp_path}/far.db", "SESSIONRY_LEASE": "600"}
    server = cli.start("--json", "serve", "--port", "0", env=far_store)
    told = json.loads(server.until("\n"))
    far = {
        "SESSIONRY_SERVER": told["url"],
        "SESSIONRY_TOKEN": told["token"],
        "SESSIONRY_STORE": "sqlite:////no/where.db",
    }
    known = {"SESSION": session, "OTHER": other, "APPROVAL": of[queue], "WAITING": waiting}
    known["RUN"] = cli.ok("--json", "runs", session).json["id"]
    known["QUEUE"] = cli.ok("--json", "show", queue).json["session_id"]
    yield Place(cli, {"SESSIONRY_STORE": f"sqlite:///{tmp_path}/near.db"}), Place(cli, far), known
    server.signal(signal.SIGTERM)
    worker.signal(signal.SIGCONT)


def same(text: str) -> list[str]:
    """What a command says, without what is another one each time it is done: ids that are new, moments, positions."""
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "MOMENT", text)
    text = re.sub(r'"position":\d+|"cursor":\d+|"last_event_at":"MOMENT",?', "", text)
    text = re.sub(r"\b(evt|whk|wrk)_[0-9a-f]{32}", r"\1_NEW", text)
    return text.splitlines()


@pytest.mark.slow
def test_each_command_says_and_does_the_same_at_a_server_as_on_the_store(
    places: tuple[Place, Place, dict[str, str]],
) -> None:
    near, far, known = places
    for name, calls in WORDS.items():
        for call in calls:
            words = [known.get(word, word) for word in call]
            here, there = near(words), far(words)
            assert here.code == there.code, f"{call}\n{here}\n{there}"
            if name in LOOSE:
                assert LOOSE[name](here) == LOOSE[name](there), f"{call}\n{here}\n{there}"
            else:
                assert same(here.out) == same(there.out), call
                assert same(here.err) == same(there.err), call


def _kinds(done: Finished) -> list[str]:
    return [line["type"] for line in done.jsons if line["type"] not in ("message_streamed", "worker_lost")]


#: What is compared of commands whose every word is another one: new sessions and runs, processes, agents of a machine.
LOOSE: Mapping[str, Callable[[Finished], Any]] = {
    "run": lambda done: (_kinds(done), done.err and json.loads(done.err.splitlines()[-1])["error"]["code"]),
    "fork": lambda done: ([(line["title"], line["parent_session_id"]) for line in done.jsons], done.err),
    "send": lambda done: [(line["agent_id"], line["input"]) for line in done.jsons],
    "workers": lambda done: done.err,
    "cancel": lambda done: ([line["id"] for line in done.jsons], done.err),  # who has the run answers in its own time
    "agents": lambda done: [(line["id"], line["type"], line["capabilities"]) for line in done.jsons],
    "deeds": lambda done: [line["type"] for line in done.jsons if not line["type"].startswith("token_")],
    "webhooks": lambda done: [{key: line.get(key) for key in ("url", "types", "enabled")} for line in done.jsons],
}
