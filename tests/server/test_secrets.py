"""A secret is told once: it is in no log, in no address after the first exchange, in no list, and not in the store."""

from __future__ import annotations

import hmac
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessionry.domain.errors import InvalidInput
from sessionry.domain.scope import Scope
from sessionry.server import cursors
from tests.cli.program import SESSIONRY

from .conftest import Server


@pytest.fixture
def talkative(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A server that logs all it can, into `log`; and what it told on its first line."""
    words = [SESSIONRY, "--debug", "--store", f"sqlite:///{tmp_path}/s.db", "--json", "serve", "--port", "0"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONASYNCIODEBUG": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, env=env, cwd=tmp_path, text=True)
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        process.kill()
        process.communicate()


def test_no_secret_is_in_a_log_an_address_a_list_or_the_store(
    tmp_path: Path, talkative: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    process, told = talkative
    secrets = [told["token"]]
    with httpx.Client(base_url=told["url"], trust_env=False) as browser:
        entered = browser.get("/login", params={"token": told["token"]})
        assert (entered.headers["location"], entered.headers["cache-control"]) == ("/", "no-store")
        assert entered.headers["referrer-policy"] == "no-referrer", "the address with the token is told to nobody"
        made = browser.post("/v1/tokens", json={"name": "ci", "permissions": ["read"]})
        hook = browser.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/hook"})
        assert made.headers["cache-control"] == hook.headers["cache-control"] == "no-store"
        secrets += [made.json()["secret"], hook.json()["secret"]]
        answers = [
            browser.get(path)
            for path in (*("/v1/tokens", "/v1/webhooks", "/v1/deeds", "/v1/events", "/v1/me", "/metrics", "/"),)
        ]
        answers += [browser.get(made.headers["location"]), browser.get(hook.headers["location"])]
        answers += [
            browser.get("/login", params={"token": secrets[1][:-1] + "x"}),
            browser.get("/v1/me", params={"token": secrets[1]}),
            browser.get(f"/v1/sessions/{secrets[1]}x", headers={"Authorization": f"Bearer {secrets[1]}"}),
            browser.post("/v1/sessions", content=b"{", headers={"Authorization": f"Bearer {secrets[1]}"}),
        ]
        for answer in answers:
            shown = str(answer.headers) + answer.text
            asked = f"/v1/sessions/{secrets[1]}x"  # what was asked for is repeated to who has asked
            assert not any(secret in shown.replace(asked, "").replace(f"{secrets[1]}x", "") for secret in secrets)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert "asyncio" in log or "DEBUG" in log, "it logs what it can"
    assert not any(secret in log for secret in secrets), log
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("s.db*"))
    assert not any(secret.encode() in stored for secret in secrets[:2]), "of a token its hash is kept"


async def test_a_token_is_found_by_its_hash_so_that_no_time_tells_how_much_of_it_is_right(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the database compares is a hash: one more letter that is right makes all of that another one."""
    asked: list[tuple[Any, ...]] = []
    execute = type(server.sessions.store).execute

    async def watched(store: Any, operation: Any) -> Any:
        if operation.function.__name__ == "of_hash":
            asked.append(operation.arguments)
        return await execute(store, operation)

    secret = await server.secret()
    monkeypatch.setattr(type(server.sessions.store), "execute", watched)
    for shown in (secret, secret[:-1] + ("A" if secret[-1] != "A" else "B"), "sry_" + "A" * 43):
        await server.anybody(headers={"Authorization": f"Bearer {shown}"}).get("/v1/me")
    assert not any(secret[:12] in str(each) for each in asked)
    right, nearly, wrong = (str(each[0]) for each in asked)
    assert len({right, nearly, wrong}) == 3
    assert sum(one == other for one, other in zip(right, nearly, strict=True)) < len(right) / 2


def test_what_is_compared_here_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, digest = [], hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return digest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    mine = cursors.Cursors(b"k" * 32, Scope("a"))
    sealed = str(mine.sealed("[1]"))
    assert mine.opened(sealed) == "[1]"
    with pytest.raises(InvalidInput):
        mine.opened(sealed[:-1] + ("A" if sealed[-1] != "A" else "B"))
    assert len(compared) == 2
