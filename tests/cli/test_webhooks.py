"""`sessionry webhooks`, on a store and over a server."""

from __future__ import annotations

import pytest

from .program import Cli
from .test_server import far

__all__ = ["far"]


@pytest.mark.parametrize("remote", [False, True])
def test_a_webhook_is_added_listed_disabled_and_removed(cli: Cli, remote: bool, request: pytest.FixtureRequest) -> None:
    env = request.getfixturevalue("far") if remote else {}

    def ok(*words: str) -> str:
        done = cli("webhooks", *words, env=env)
        assert done.code == 0, done
        return done.out

    assert ok() == ""
    secret = ok("add", "https://agents.example/hook", "--type", "run_failed", "--type", "person_needed").strip()
    assert secret.startswith("whsec_")
    listed = cli("--json", "webhooks", env=env).json
    assert (listed["types"], listed["enabled"]) == (["run_failed", "person_needed"], True)
    assert secret not in str(listed)
    id = listed["id"]
    assert ok("disable", id[:20]).strip() == id
    assert "disabled: by its owner" in ok()
    ok("enable", id)
    assert ok("dead", id) == ok("pending", id) == ""
    ok("retry", id)
    assert cli("webhooks", "retry", id, "ntc_none", env=env).code == 5
    assert cli("--json", "webhooks", "replay", id, "--after", "0", env=env).json["cursor"] == 0
    assert ok("rm", id).strip() == id
    assert ok() == ""


def test_what_is_wrong_is_told(cli: Cli) -> None:
    assert cli("webhooks", "add").code == 2
    assert cli("webhooks", "add", "ftp://agents.example").code == 2
    assert cli("webhooks", "add", "https://agents.example", "--type", "odd").code == 2
    assert cli("webhooks", "rm", "whk_none").code == 5


def test_what_a_word_does_not_take_is_refused(cli: Cli) -> None:
    for words in (
        ("list", "whk_1"),
        ("list", "--type", "run_failed"),
        ("list", "--after", "0"),
        ("add", "https://agents.example", "more"),
        ("dead", "whk_1", "ntc_1"),
        ("rm", "whk_1", "--type", "run_failed"),
        ("enable", "whk_1", "--description", "ours"),
        ("retry", "whk_1", "--after", "3"),
    ):
        done = cli("webhooks", *words)
        assert (done.code, done.out) == (2, ""), words
        assert words[0] in done.err


def test_a_beginning_that_several_webhooks_have_is_told_as_such(cli: Cli) -> None:
    cli.ok("webhooks", "add", "https://agents.example/1")
    cli.ok("webhooks", "add", "https://agents.example/2")
    one, two = (each["id"] for each in cli.ok("--json", "webhooks").jsons)
    done = cli("webhooks", "rm", "whk_")
    assert (done.code, one in done.err, two in done.err) == (2, True, True)
    assert cli.ok("webhooks", "rm", one.removeprefix("whk_")).out.strip() == one


def test_a_retry_says_in_json_how_many(cli: Cli) -> None:
    cli.ok("webhooks", "add", "https://agents.example/hook")
    assert cli.ok("--json", "webhooks", "retry", "whk_").json == {"notices": 0}
