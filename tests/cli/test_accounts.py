"""`sessionry usage` and `sessionry deeds`, on a store and over a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .program import Cli
from .test_server import far

__all__ = ["far"]

SPENT = {"input_tokens": 1000, "output_tokens": 20, "cache_read_tokens": 5, "cost": "0.25"}


@pytest.fixture(params=["store", "server"])
def ask(cli: Cli, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A command that must succeed: where the store is, or far from it."""
    env = request.getfixturevalue("far") if request.param == "server" else {}

    def ok(*words: str) -> Any:
        done = cli(*words, env=env)
        assert done.code == 0, done
        return done

    return ok


def test_tokens_and_money_are_added_up(cli: Cli, ask: Callable[..., Any]) -> None:
    assert ask("usage").err == "no runs; `sessionry run` makes one\n"
    cli.script("spends", {"usage": SPENT}, {"say": "done"})
    cli.script("thrifty", {"usage": {"input_tokens": 7}}, {"say": "done"})
    spent = cli.ok("--json", "run", "-a", "spends", "--title", "Dear", "x").jsons[0]["session_id"]
    cli.ok("run", "-a", "spends", "x")
    cli.ok("run", "-a", "thrifty", "x")
    head, first, second, total = ask("usage", "--by", "agent").lines
    assert " ".join(head.split()) == "AGENT RUNS TOKENS INPUT OUTPUT CACHE READ CACHE WRITTEN COST UNPRICED"
    assert first.split() == ["spends", "2", "2,050", "2,000", "40", "10", "0", "$0.5000"]
    assert second.split() == ["thrifty", "1", "7", "7", "0", "0", "0", "1"]
    assert total.split() == ["total", "3", "2,057", "2,007", "40", "10", "0", "$0.5000", "1"]
    report = ask("--json", "usage", "--by", "session", "--session", spent[:20]).json
    assert [(each["key"], each["title"], each["tokens"]) for each in report["items"]] == [(spent, "Dear", 1025)]
    assert (report["by"], report["total"]["cost"]) == ("session", "0.25")
    assert ask("usage", "--by", "model").lines[1].split()[:2] == ["(unknown)", "3"]
    chosen = {("--agent", "thrifty"): 1, ("--model", "large-2"): 0, ("--after", "1h"): 3, ("--before", "1h"): 0}
    for words, runs in chosen.items():
        assert ask("--json", "usage", *words).json["total"]["runs"] == runs, words
    limited = ask("usage", "--by", "agent", "--limit", "1")
    assert (len(limited.lines), limited.err) == (3, "there are more; --limit lists them\n")


def test_what_was_done_beside_the_sessions_is_listed(cli: Cli, ask: Callable[..., Any]) -> None:
    hook = ask("webhooks", "add", "https://agents.example/hook")
    assert hook.out
    id = ask("--json", "webhooks").json["id"]
    ask("webhooks", "rm", id)
    newest, before = ask("--json", "deeds", "--limit", "2").jsons
    assert [(each["type"], each["subject"]) for each in (newest, before)] == [
        ("webhook_deleted", id),
        ("webhook_created", id),
    ]
    assert newest["origin"].startswith(("cli ", "http 127.0.0.1 "))
    head, first, *_ = ask("deeds").lines
    assert head.split()[:3] == ["AT", "DEED", "SUBJECT"]
    assert "webhook_deleted" in first
    assert ask("deeds", "--limit", "1").err == "there are more; --limit or --all lists them\n"


def test_deeds_are_an_administrators(cli: Cli, far: dict[str, str]) -> None:
    token = cli.ok("tokens", "create", "reader", "--permission", "read").out.strip()
    refused = cli("--json", "deeds", env=far | {"SESSIONRY_TOKEN": token})
    assert (refused.error["code"], refused.out) == ("forbidden", "")
    assert cli("usage", env=far | {"SESSIONRY_TOKEN": token}).code == 0
