"""A foreign attacker reads the description and tries everything that it promises, and everything that it forbids.

All its checks are on, but for one that takes a hidden session for a deleted one. What counts as right is told for each
operation, from what the description says of it: no status that is not in there, and for what is well formed only those with
which it can be refused all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.program import SESSIONRY

#: What is well formed may be refused for what it means: it names nothing, its state forbids it, what was to be read is
#: gone, another version is there, or a value is none of those that there are.
MEANING = ("404", "409", "410", "412", "422")
#: Where as many as there may be are made.
BOUNDED = ("submit_run", "create_webhook")
#: What is not well formed: not as JSON, without its token, by a name in its address, as a type of content, in a value, or
#: without its version.
MALFORMED = ("400", "401", "404", "415", "422", "428")
#: The values of each operation, and the walks along the links. These are the description's own: what else the attacker
#: takes for one (556 more) leads nowhere. What is well formed gets far; the other phases try what is not.
HOW = """
hooks = "sense.py"
request-timeout = 65
generation.max-examples = 8

[phases.stateful]
max-steps = 20
inference.algorithms = []
generation = { mode = "positive", max-examples = 100 }

[[operations]]
include-path-regex = "^/v1/sessions/"
# to delete a session is to hide it: it can still be restored, purged, and looked at by who asks for that
checks.use_after_free.enabled = false

[checks.missing_required_header]
expected-statuses = ["428"]

[checks.negative_data_rejection]"""
#: Agents that do something for the attacker: one that speaks, one that asks, one that goes on until it is stopped.
AGENTS = """
[asks]
type = "scripted"
script = '[{"approve": {"tool": "delete"}}, {"say": "done"}]'
[ticks]
type = "scripted"
script = '[{"repeat": {"times": 1000, "steps": [{"say": "tick "}, "turn", {"sleep": 0.05}]}}]'
"""
#: What no description can say: which agents there are, what they can do, that a key is used once, that the worker and the
#: attacker's own token are needed later, and that there is no time. Else nearly all that is well formed would be refused
#: for its meaning, and nobody would ever walk from a session to a run that works.
SENSE = """
import itertools, re, schemathesis

NUMBERS, AGENTS = itertools.count(), itertools.cycle(["echo", "asks", "ticks", None])


@schemathesis.hook
def before_call(context, case, kwargs):
    body, operation = case.body, case.operation.definition.raw["operationId"]
    if operation == "revoke_token" and case.path_parameters.get("token_id") == MINE:
        case.path_parameters["token_id"] = "tok_" + "f" * 32
    if operation == "drain_worker" and re.fullmatch("wrk_[0-9a-f]{32}", str(case.path_parameters.get("worker_id"))):
        case.path_parameters["worker_id"] = "wrk_" + "f" * 32
    if case.meta is None or case.meta.phase.name.value not in ("fuzzing", "stateful"):
        return
    key, wait = (case.headers or {}).get("Idempotency-Key"), (case.query or {}).get("wait")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,200}", key):
        case.headers["Idempotency-Key"] = f"{key}{next(NUMBERS)}"
    if isinstance(wait, int | float) and 1 < wait <= 60:
        case.query["wait"] = 1
    if not isinstance(body, dict):
        return
    if operation == "create_session" and isinstance(body.get("agent_id"), str):
        body["agent_id"] = next(AGENTS) or body["agent_id"]
    if operation == "submit_run" and next(NUMBERS) % 4:
        body.update({name: value for name, value in MEANT.items() if type(body.get(name)) is type(value)})


MEANT = {"agent": "echo", "input": "hello", "require": [], "prefer": [], "queue": "default"}
"""


def operations(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in description["paths"].values():
        yield from methods.values()


def without_catch_all(description: dict[str, Any]) -> dict[str, Any]:
    """The same without `default`, which would allow every status."""
    for operation in operations(description):
        del operation["responses"]["default"]
    return description


def configuration(description: dict[str, Any]) -> str:
    """What counts as right, as the attacker's own file says it."""
    lines = [HOW, f"expected-statuses = {json.dumps(MALFORMED)}"]
    for operation in operations(description):
        id, told = operation["operationId"], operation["responses"]
        right = ["2xx", *(status for status in MEANING if status in told), *(["429"] if id in BOUNDED else [])]
        lines += ["[[operations]]", f"include-operation-id = {json.dumps(id)}"]
        lines += [f"checks.positive_data_acceptance.expected-statuses = {json.dumps(right)}"]
    return "\n".join(lines)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    words = [SESSIONRY, "--store", f"sqlite:///{folder}/st.db", "--json", "serve", "--port", "0"]
    (folder / "agents.toml").write_text(AGENTS)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SESSIONRY_AGENTS": str(folder / "agents.toml")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=folder, env=env, text=True) as server:
        try:
            assert server.stdout is not None
            told = json.loads(server.stdout.readline())
            yield told["url"], told["token"]
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_that_the_description_does_not_say(tmp_path: Path, seed: int) -> None:
    """In all its phases, the stateful one too, which walks along the links from a session to its runs and events."""
    with serving(tmp_path) as (url, token):
        headers = {"Authorization": f"Bearer {token}"}
        description = without_catch_all(httpx.get(f"{url}/openapi.json", trust_env=False).json())
        (tmp_path / "openapi.json").write_text(json.dumps(description))
        (tmp_path / "schemathesis.toml").write_text(configuration(description))
        me = httpx.get(f"{url}/v1/me", headers=headers, trust_env=False).json()
        (tmp_path / "sense.py").write_text(f"MINE = {me['id']!r}\n{SENSE}")
        words = [str(Path(sys.executable).parent / "st"), "run", "openapi.json", "--url", url]
        words += ["-H", f"Authorization: {headers['Authorization']}", "--seed", str(seed), "--no-color"]
        found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 0, f"{found.stdout[-12_000:]}\n{found.stderr[-2000:]}"
        assert httpx.get(f"{url}/readyz", headers=headers, trust_env=False).status_code == 200
        walked = {event["type"] for event in events(url, headers)}
        assert walked >= {"session_created", "run_queued", "run_started"}, f"it has come nowhere: {walked}"


def events(url: str, headers: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Everything that the attacker has brought about."""
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        following: str | None = "/v1/events?limit=1000"
        while following:
            page = client.get(following)
            yield from page.json()["items"]
            following = page.links.get("next", {}).get("url")
