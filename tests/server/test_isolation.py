"""Two tenants at one server: with the token of one nothing of the other can be read, changed, guessed or counted.

The operations are those of the description: one that is added there is attacked here, or the suite says that it is not.
"""

from __future__ import annotations

import inspect
import json
import random
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import httpx
import pytest

from sessionry.domain.scope import Scope
from sessionry.ports import Operation, Steps
from sessionry.server.cursors import Cursors
from sessionry.server.openapi import OPERATIONS
from sessionry.store import wire
from sessionry.store.operations import reading

from .conftest import Server, until

#: What an address names, by the parameter that it is in.
NAMED = ("session_id", "run_id", "approval_id", "token_id", "webhook_id", "notice_id")
#: Operations that name nothing: what they answer is about the caller's own, or about the server.
OPEN = {
    *("list_sessions", "create_session", "list_runs", "read_all_events", "list_approvals", "list_webhooks"),
    *("create_webhook", "list_tokens", "create_token", "list_deeds", "read_stats", "read_usage", "metrics", "read_me"),
    *("list_agents", "list_workers", "list_event_schemas", "read_event_schema", "healthz", "readyz"),
    *("execute_operation", "drain_worker"),
}


class Tenants(NamedTuple):
    """`mine` attacks; `theirs` has something of everything, named in `ids`."""

    server: Server
    mine: httpx.AsyncClient
    theirs: httpx.AsyncClient
    ids: dict[str, str]


@pytest.fixture
async def tenants(server: Server) -> Tenants:
    mine, theirs = await server.client(scope=Scope("a")), await server.client(scope=Scope("b"))
    await mine.get("/v1/me")  # the first request of a scope finds out what hides its cursors
    session = (await theirs.post("/v1/sessions", json={"agent_id": "asks", "title": "private"})).json()["id"]
    webhook = (await theirs.post("/v1/webhooks", json={"url": "http://127.0.0.1:1"})).json()["id"]
    token = (await theirs.post("/v1/tokens", json={"name": "ci", "permissions": ["read"]})).json()["id"]
    run = (await theirs.post(f"/v1/sessions/{session}/runs", json={"input": "x"})).json()["id"]

    async def asked() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await theirs.get("/v1/approvals")).json()["items"]
        return items

    async def owed() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await theirs.get(f"/v1/webhooks/{webhook}/notices")).json()["items"]
        return items

    (approval,), notices = await until(asked), await until(owed)
    ids = {"session_id": session, "run_id": run, "approval_id": approval["id"], "token_id": token}
    return Tenants(server, mine, theirs, ids | {"webhook_id": webhook, "notice_id": notices[0]["id"]})


async def described(client: httpx.AsyncClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    found = (await client.get("/openapi.json")).json()
    return (
        (method.upper(), path, each) for path, methods in found["paths"].items() for method, each in methods.items()
    )


def missing(id: str) -> str:
    """An id of that form that nothing has."""
    return id[:4] + "f" * (len(id) - 4)


def body_of(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


def neutral(answer: httpx.Response, *ids: str) -> tuple[int, dict[str, str], bytes]:
    """An answer, byte by byte, but for the ids that were asked for, which it may repeat, and its date."""
    content = answer.content
    for id in ids:
        content = content.replace(id.encode(), b"ID")
    return answer.status_code, {name: value for name, value in answer.headers.items() if name != "date"}, content


async def asked_of_the_store(
    server: Server, monkeypatch: pytest.MonkeyPatch, asking: Awaitable[httpx.Response]
) -> tuple[list[str], httpx.Response]:
    """Which statements an answer takes, without their values: what takes the same ones takes the same time."""
    seen: list[str] = []
    execute = type(server.sessions.store).execute

    async def watched(store: Any, operation: Operation[Any]) -> Any:
        if operation.function.__name__ in _BACKGROUND:
            return await execute(store, operation)
        telling = told(operation.function, seen)
        return await execute(store, Operation(telling, operation.arguments, operation.keywords, operation.writes))

    with monkeypatch.context() as patched:
        patched.setattr(type(server.sessions.store), "execute", watched)
        answer = await asking
    return seen, answer


def told(function: Callable[..., Steps[Any]], seen: list[str]) -> Callable[..., Steps[Any]]:
    """The same, telling what it asks of the database and how many rows it is given."""

    def steps(*arguments: Any, **keywords: Any) -> Steps[Any]:
        asking, rows = function(*arguments, **keywords), None
        while True:
            try:
                request = asking.send(rows)
            except StopIteration as stop:
                return stop.value
            rows = yield request
            what = request[0] if type(request) is tuple else type(request).__name__
            seen.append(f"{function.__name__}: {what}: {len(rows) if isinstance(rows, list) else ''}")

    return steps


#: What a worker, its sweeper and a notifier ask all the time.
_BACKGROUND = {
    *("claimable", "renew", "workers", "orphans", "overdue", "lost_heads", "next_end", "unpruned", "commands"),
    *("endpoints", "ahead", "owed", "settle", "enter", "lead"),
}


class Asked(NamedTuple):
    """An operation, asked for a thing of theirs and for one that is not there."""

    name: str
    method: str
    theirs: str
    nobodys: str
    ids: Sequence[str]
    options: dict[str, Any]


async def naming(tenants: Tenants) -> list[Asked]:
    """Every operation that names a thing in its address."""
    found = []
    for method, path, operation in await described(tenants.mine):
        theirs = nobodys = path
        names = [name for name in re.findall(r"\{(\w+)\}", path) if name in NAMED]
        for name in names:
            theirs = theirs.replace(f"{{{name}}}", tenants.ids[name])
            nobodys = nobodys.replace(f"{{{name}}}", missing(tenants.ids[name]))
        ids = [id for name in names for id in (tenants.ids[name], missing(tenants.ids[name]))]
        options: dict[str, Any] = {"headers": {"If-Match": "*"}, "json": body_of(operation)}
        if names:
            found.append(Asked(operation["operationId"], method, theirs, nobodys, ids, options))
    return found


async def test_every_operation_that_names_a_thing_answers_as_for_what_is_not_there(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte, and by the very same statements with as many rows: neither the answer nor its time tells them apart."""
    for asked in await naming(tenants):
        theirs, nobodys = [
            await asked_of_the_store(
                *(tenants.server, monkeypatch, tenants.mine.request(asked.method, url, **asked.options))
            )
            for url in (asked.theirs, asked.nobodys)
        ]
        assert theirs[1].status_code == 404, f"{asked.name}: {theirs[1].text}"
        assert neutral(theirs[1], *asked.ids) == neutral(nobodys[1], *asked.ids), asked.name
        assert theirs[0] == nobodys[0], f"{asked.name} does not take the same way for both"
        assert len(theirs[0]) > 1, "the token, and at least one look for the thing"
    assert {asked.name for asked in await naming(tenants)} | OPEN == set(OPERATIONS)
    assert (await tenants.theirs.get(f"/v1/runs/{tenants.ids['run_id']}")).json()["status"] == "waiting"


#: Rounds of a measurement, and how often some more are made before what was found is believed.
ROUNDS, TRIES = 60, 10


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_clock_does_not_tell_what_is_theirs_from_what_is_not_there(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both in turns, and one that asks the database one question more: what that takes is what would be seen."""
    execute, more = type(tenants.server.sessions.store).execute, False

    async def executed(store: Any, operation: Operation[Any]) -> Any:
        if more and operation.function.__name__ == "of_hash":
            await execute(store, reading.last_position())
        return await execute(store, operation)

    async def measure(asked: Asked, times: dict[str, list[float]]) -> None:
        nonlocal more
        for _ in range(ROUNDS):
            for kind in random.sample(list(times), 3):
                more = kind == "more"
                url = asked.theirs if kind == "theirs" else asked.nobodys
                begun = time.perf_counter()
                await tenants.mine.request(asked.method, url, **asked.options)
                times[kind].append((time.perf_counter() - begun) * 1e6)
        more = False

    monkeypatch.setattr(type(tenants.server.sessions.store), "execute", executed)
    for asked in await naming(tenants):
        times: dict[str, list[float]] = {"theirs": [], "nobodys": [], "more": []}
        for _ in range(TRIES):
            await measure(asked, times)
            quick = {kind: statistics.fmean(sorted(found)[: len(found) // 4]) for kind, found in times.items()}
            difference, seen = quick["theirs"] - quick["nobodys"], quick["more"] - quick["nobodys"]
            print(f"{asked.name}: {difference:+.0f} us; one question more would be {seen:+.0f} us")
            if abs(difference) < seen / 2:
                break
        else:
            pytest.fail(f"{asked.name} takes {difference:+.0f} us longer for what is theirs")


async def test_every_operation_that_lists_shows_nothing_of_theirs(tenants: Tenants) -> None:
    """Nor when it is asked for by name, in any parameter that takes an id."""
    secrets = {*tenants.ids.values(), "private"}
    for method, path, operation in await described(tenants.mine):
        if method != "GET" or "{" in path:
            continue
        queries: list[dict[str, str]] = [{}]
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and parameter["name"] in ("session", "parent", "text", "agent"):
                queries += [{parameter["name"]: value} for value in secrets]
        for query in queries:
            answer = await tenants.mine.get(path, params=query)
            assert answer.status_code == 200, answer.text
            assert not any(secret in answer.text for secret in secrets - set(query.values())), f"{path} {query}"
    empty = (await tenants.mine.get("/v1/stats")).json()
    assert (empty["sessions"], empty["runs"], empty["pending_approvals"]) == ({}, {}, 0)


async def test_the_pythons_operations_show_and_change_nothing_of_theirs(tenants: Tenants) -> None:
    arguments = {
        "session_id": tenants.ids["session_id"],
        "run_id": tenants.ids["run_id"],
        "approval_id": tenants.ids["approval_id"],
        "webhook_id": tenants.ids["webhook_id"],
        "prefix": tenants.ids["session_id"][:20],
    }
    more: dict[str, Any] = {
        "runs.submit": {"submission": {"input": "x"}},
        "runs.steer": {"text": "x"},
        "runs.cancel": {"request": {"type": "run_cancel_requested", "data": {}}},
        "approvals.decide": {"approved": True},
        "sessions.update": {"changes": {"title": "mine"}},
        "sessions.change_status": {"data": {"type": "session_paused", "data": {}}},
        "sessions.end": {"data": {"type": "session_cancelled", "data": {}}},
        "reading.is_over": {"cursor": 0},
        "webhooks.update": {"changes": {"url": "https://evil.example"}},
        "webhooks.replay": {"after": 0},
    }
    for name, known in wire.OPERATIONS.items():
        taken = set(inspect.signature(inspect.unwrap(known.make)).parameters)
        naming = {key: value for key, value in arguments.items() if key in taken}
        if not naming or name == "approvals.list_approvals":
            continue
        asked = {"operation": name, "arguments": naming | more.get(name, {})}
        answer = await tenants.mine.post("/v1/operations", json=asked)
        assert answer.status_code == 404, f"{name}: {answer.text}"


async def test_their_cursors_mean_nothing(tenants: Tenants) -> None:
    for _ in range(2):
        await tenants.mine.post("/v1/sessions", json={"agent_id": "echo"})
        await tenants.theirs.post("/v1/sessions", json={"agent_id": "echo"})
    for path in ("/v1/sessions", "/v1/runs", "/v1/approvals", "/v1/deeds"):
        cursor = (await tenants.theirs.get(path, params={"limit": 1})).json()["cursor"]
        if cursor is not None:
            answer = await tenants.mine.get(path, params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor"), path
    theirs = (await tenants.theirs.get("/v1/events")).json()
    for options in ({"params": {"after": theirs["cursor"]}}, {"headers": {"Last-Event-ID": str(theirs["cursor"])}}):
        answer = await tenants.mine.get("/v1/events", **options)
        assert answer.json()["items"] == []


async def test_a_key_of_theirs_is_free(tenants: Tenants) -> None:
    key = {"Idempotency-Key": "same"}
    one = await tenants.theirs.post("/v1/sessions", json={"agent_id": "echo"}, headers=key)
    two = await tenants.mine.post("/v1/sessions", json={"agent_id": "boom"}, headers=key)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json()["id"] != two.json()["id"]


async def test_a_stream_has_nothing_of_theirs(tenants: Tenants) -> None:
    async with tenants.mine.stream("GET", "/v1/events", headers={"Accept": "application/x-ndjson"}) as answer:
        await tenants.theirs.post("/v1/sessions", json={"agent_id": "echo"})
        mine = (await tenants.mine.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
        async for line in answer.aiter_lines():
            if line:
                assert json.loads(line)["session_id"] == mine
                break


async def test_a_worker_that_works_for_all_is_sent_away_by_nobody_but_its_own(tenants: Tenants) -> None:
    (worker,) = (await tenants.mine.get("/v1/workers")).json()["items"]
    asked = {"operation": "leases.ask_to_drain", "arguments": {"worker_id": worker["id"]}}
    for answer in (
        await tenants.mine.post(f"/v1/workers/{worker['id']}/drain"),
        await tenants.mine.post(f"/v1/workers/{missing(worker['id'])}/drain"),
        await tenants.mine.post("/v1/operations", json=asked),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not (await tenants.mine.get("/v1/workers")).json()["items"][0]["draining"]


async def test_a_worker_of_the_whole_tenant_is_not_a_users_to_send_away(server: Server) -> None:
    (worker,) = await server.sessions.workers()
    ann, operator = await server.client(scope=Scope("local", "ann")), await server.client()
    assert (await ann.post(f"/v1/workers/{worker.id}/drain")).status_code == 403
    assert (await operator.post(f"/v1/workers/{worker.id}/drain")).json()["draining"]


async def test_no_number_counts_what_others_do(tenants: Tenants) -> None:
    """Of two events with nothing or much in between, a tenant is shown numbers that say nothing of it."""
    await tenants.mine.post("/v1/sessions", json={"agent_id": "echo"})
    before = (await tenants.mine.get("/v1/events")).json()
    quiet = [await tenants.mine.get("/v1/workers"), await tenants.mine.get("/v1/stats")]
    session = (await tenants.theirs.post("/v1/sessions", json={"agent_id": "slow"})).json()["id"]
    await tenants.theirs.post(f"/v1/sessions/{session}/runs", json={"input": "x"})

    async def at_work() -> bool:
        return bool((await tenants.theirs.get("/v1/workers")).json()["items"][0]["runs"] > 1)

    await until(at_work)
    assert [each["runs"] for each in (await tenants.mine.get("/v1/workers")).json()["items"]] == [0]
    assert (await tenants.mine.get("/v1/stats")).json() == quiet[1].json()
    assert (await tenants.mine.get("/v1/events")).json() == before
    assert (await tenants.mine.get("/v1/events", params={"after": before["cursor"]})).json()["items"] == []
    assert "position" not in (await tenants.mine.get("/openapi.json")).json()["paths"]


def test_a_cursor_is_another_number_for_each_scope_and_can_be_read_by_its_own_alone() -> None:
    mine, theirs = Cursors(b"k" * 32, Scope("a")), Cursors(b"k" * 32, Scope("b"))
    shown = [mine.shown(position) for position in range(1, 2000)]
    assert len(set(shown)) == len(shown)
    assert [mine.place(each) for each in shown] == list(range(1, 2000))
    assert not set(shown) & {theirs.shown(position) for position in range(1, 2000)}
    steps = [second - first for first, second in pairwise(shown)]
    assert len({step > 0 for step in steps}) == 2, "they rise and fall"
    assert max(shown) < 1 << 53, "JavaScript can count to it"
    for position in (1, (1 << 53) - 1):
        assert mine.place(mine.shown(position)) == position
    assert mine.shown(0) == mine.place(0) == 0
    assert mine.opened(mine.sealed("[1,2]")) == "[1,2]"
