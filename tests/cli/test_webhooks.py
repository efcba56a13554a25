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
