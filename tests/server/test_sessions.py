"""Sessions and runs over HTTP, from their creation to their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from .conftest import Server, until


async def test_a_session_is_created_read_and_listed(client: httpx.AsyncClient) -> None:
    created = await client.post("/v1/sessions", json={"agent_id": "echo", "title": "Fix auth", "tags": ["a"]})
    assert created.status_code == 201
    session = created.json()
    assert created.headers["location"] == f"/v1/sessions/{session['id']}"
    read = await client.get(created.headers["location"])
    assert read.json() == session
    assert read.headers["etag"] == '"1"'
    listed = (await client.get("/v1/sessions", params={"tag": "a", "status": "pending"})).json()
    assert [item["id"] for item in listed["items"]] == [session["id"]]
    assert (await client.get("/v1/sessions", params={"tag": "b"})).json() == {"items": [], "cursor": None}


async def test_pages_are_linked(client: httpx.AsyncClient) -> None:
    made = [(await client.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"] for _ in range(5)]
    found, url = [], "/v1/sessions?limit=2&order=created"
    while url:
        page = await client.get(url)
        found += [item["id"] for item in page.json()["items"]]
        url = page.links.get("next", {}).get("url", "")
    assert found == made


async def test_a_change_needs_the_version_that_it_is_of(client: httpx.AsyncClient) -> None:
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()
    url = f"/v1/sessions/{session['id']}"
    assert (await client.patch(url, json={"title": "new"})).status_code == 428
    changed = await client.patch(url, json={"title": "new"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["title"], changed.headers["etag"]) == (200, "new", '"2"')
    odd = await client.patch(url, json={"title": "odd"}, headers={"If-Match": "odd"})
    assert (odd.status_code, odd.json()["errors"][0]["path"]) == (422, "header.if-match")
    bare = await client.patch(url, json={"title": "odd"}, headers={"If-Match": "2"})
    assert bare.status_code == 422, "an ETag has quotes"
    late = await client.patch(url, json={"title": "late"}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "stale_version")
    assert (await client.patch(url, json={"title": None}, headers={"If-Match": "*"})).json()["title"] is None


async def test_the_life_of_a_session(client: httpx.AsyncClient) -> None:
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()
    url = f"/v1/sessions/{session['id']}"
    for verb, status in (("start", "active"), ("pause", "paused"), ("resume", "active"), ("complete", "completed")):
        answer = await client.post(f"{url}/{verb}")
        assert answer.status_code == 200, answer.text
        assert [event["type"] for event in answer.json()["events"]] == [
            f"session_{verb}{'d' if verb[-1] == 'e' else 'ed'}"
        ]
        assert (await client.get(url)).json()["status"] == status
    refused = await client.post(f"{url}/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")
    assert (await client.delete(url)).status_code == 200
    assert (await client.get(url)).status_code == 404
    assert (await client.post(f"{url}/restore")).status_code == 200
    await client.delete(url)
    assert (await client.post(f"{url}/purge")).json()["events"] > 0
    assert (await client.get(url, params={"include_deleted": True})).status_code == 404


async def test_children_and_the_tree(client: httpx.AsyncClient) -> None:
    parent = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
    child = (await client.post("/v1/sessions", json={"agent_id": "echo", "parent_session_id": parent})).json()["id"]
    children = (await client.get(f"/v1/sessions/{parent}/children")).json()["items"]
    assert [item["id"] for item in children] == [child]
    tree = (await client.get(f"/v1/sessions/{parent}/tree")).json()["items"]
    assert [item["id"] for item in tree] == [parent, child]


async def test_a_run_is_submitted_and_waited_for(client: httpx.AsyncClient) -> None:
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
    submitted = await client.post(f"/v1/sessions/{session}/runs", json={"input": "hello"})
    assert submitted.status_code == 202
    ended = await client.get(submitted.headers["location"], headers={"Prefer": "wait=30"})
    assert ended.headers["preference-applied"] == "wait=30"
    assert (ended.json()["status"], ended.json()["output"]) == ("completed", {"text": "you said hello"})
    at_once = await client.post(f"/v1/sessions/{session}/runs", json={"input": "x"}, headers={"Prefer": "wait=30"})
    assert (at_once.status_code, at_once.json()["status"]) == (200, "completed")
    runs = (await client.get(f"/v1/sessions/{session}/runs", params={"status": "completed"})).json()["items"]
    assert [run["id"] for run in runs] == [at_once.json()["id"], submitted.json()["id"]]
    assert len((await client.get("/v1/runs", params={"agent": "echo"})).json()["items"]) == 2
    messages = (await client.get(f"/v1/sessions/{session}/transcript")).json()["messages"]
    assert [message["text"] for message in messages] == ["hello", "you said hello", "x", "you said x"]


async def test_waiting_has_an_end(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    _, run = await started("silent")
    read = await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=0.2"})
    assert read.json()["status"] in ("pending", "running")
    await client.post(f"/v1/runs/{run['id']}/cancel")


async def test_a_run_is_cancelled(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    _, run = await started("slow")
    cancelled = await client.post(f"/v1/runs/{run['id']}/cancel", json={"reason": "wrong branch"})
    assert cancelled.status_code == 202
    ended = await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=30"})
    assert ended.json()["status"] == "cancelled"
    again = await client.post(f"/v1/runs/{run['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")


async def test_a_run_hears_what_it_is_told(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    _, run = await started("listens")

    async def running() -> bool:
        return bool((await client.get(f"/v1/runs/{run['id']}")).json()["status"] == "running")

    await until(running)
    assert (await client.post(f"/v1/runs/{run['id']}/steer", json={"text": "left"})).status_code == 202
    ended = await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=30"})
    assert ended.json()["output"] == {"text": "left"}


async def test_the_same_key_is_the_same_request(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k1"}
    one = await client.post("/v1/sessions", json={"agent_id": "echo"}, headers=key)
    two = await client.post("/v1/sessions", json={"agent_id": "echo"}, headers=key)
    assert one.json() == two.json()
    other = await client.post("/v1/sessions", json={"agent_id": "boom"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    session = one.json()["id"]
    runs = [
        (
            await client.post(f"/v1/sessions/{session}/runs", json={"input": "x"}, headers={"Idempotency-Key": "r"})
        ).json()
        for _ in range(2)
    ]
    assert runs[0]["id"] == runs[1]["id"]


async def test_approvals_are_listed_and_decided_once(
    server: Server, client: httpx.AsyncClient, started: Callable[..., Any]
) -> None:
    _, run = await started("asks", "notes.txt")

    async def waiting() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await client.get("/v1/approvals")).json()["items"]
        return items

    (approval,) = await until(waiting)
    assert (approval["tool_name"], approval["tool_input"]) == ("delete", {"path": "notes.txt"})
    ann = await server.client(name="ann")
    decided = await ann.post(f"/v1/approvals/{approval['id']}/approve", json={"note": "go on"})
    assert (decided.json()["status"], decided.json()["decided_by"]) == ("granted", "ann")
    again = await client.post(f"/v1/approvals/{approval['id']}/deny")
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    ended = await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=30"})
    assert ended.json()["output"] == {"text": "deleted by ann"}
    assert (await client.get("/v1/approvals")).json()["items"] == []
    history = (await client.get("/v1/approvals", params={"status": "granted"})).json()["items"]
    assert [item["id"] for item in history] == [approval["id"]]


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "code", "path"),
    [
        ("POST", "/v1/sessions", {"agent": "echo"}, 422, "validation_error", "body"),
        ("POST", "/v1/sessions", {"agent_id": "echo", "slots": 0}, 422, "validation_error", "body.slots"),
        ("POST", "/v1/sessions", {"agent_id": ""}, 422, "validation_error", "agent_id"),
        ("POST", "/v1/sessions", None, 422, "validation_error", None),
        ("POST", "/v1/sessions/ses_x/cancel", {"cascade": 0}, 422, "validation_error", None),
        ("POST", "/v1/sessions/ses_x/runs", {"input": "x", "keep_raw": 1}, 422, "validation_error", None),
        ("GET", "/v1/sessions?limit=0", None, 422, "validation_error", "query.limit"),
        ("GET", "/v1/sessions?cursor=nonsense", None, 422, "invalid_cursor", None),
        ("GET", "/v1/sessions?status=odd", None, 422, "validation_error", "query.status"),
        ("GET", "/v1/sessions/ses_none", None, 404, "session_not_found", None),
        ("GET", "/v1/runs/run_none", None, 404, "run_not_found", None),
        ("GET", "/v1/approvals/apr_none", None, 404, "approval_not_found", None),
        ("GET", "/v1/events?types=odd", None, 422, "invalid_event_type", None),
        ("GET", "/v1/nothing", None, 404, "route_not_found", None),
        ("PUT", "/v1/sessions", None, 405, "method_not_allowed", None),
    ],
)
async def test_what_is_wrong_is_a_problem_with_its_code(
    client: httpx.AsyncClient, method: str, url: str, body: Any, status: int, code: str, path: str | None
) -> None:
    answer = await client.request(method, url, json=body) if body is not None else await client.request(method, url)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["detail"]
    if path is not None:
        assert problem["errors"][0]["path"] == path


async def test_a_run_can_be_for_the_workers_of_a_named_queue(client: httpx.AsyncClient) -> None:
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()
    url = f"/v1/sessions/{session['id']}/runs"
    run = (await client.post(url, json={"input": "x", "queue": "gpu"})).json()
    assert (run["status"], run["options"]["queue"]) == ("pending", "gpu")
    refused = await client.post(url, json={"input": "x", "queue": "two words"})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")


async def test_usage_is_added_up(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    session, run = await started("spends", "hello")
    await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=20"})
    for by, key in (("agent", "spends"), ("session", session["id"]), ("day", run["created_at"][:10])):
        report = (await client.get(f"/v1/usage?by={by}&after=2026-01-01T00:00:00Z")).json()
        assert [(item["key"], item["tokens"], item["cost"]) for item in report["items"]] == [(key, 12, "0.5")]
        assert report["total"]["usage"] == {"input_tokens": 10, "output_tokens": 2}
    assert (await client.get("/v1/usage?by=week")).status_code == 422
    assert (await client.get("/v1/usage?after=5")).status_code == 422


async def test_sessions_are_found_by_what_goes_on_in_them(
    client: httpx.AsyncClient, started: Callable[..., Any]
) -> None:
    session, run = await started("spends", "hello")
    await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=20"})
    (found,) = (await client.get("/v1/sessions?activity=idle&activity=working")).json()["items"]
    assert (found["id"], found["activity"], found["tokens"], found["cost"]) == (session["id"], "idle", 12, "0.5")
    assert (found["last_event_type"], found["last_run_status"]) == ("run_completed", "completed")
    assert (await client.get("/v1/sessions?activity=needs_you")).json()["items"] == []
    assert (await client.get("/v1/stats")).json()["activity"] == {"idle": 1}
    assert (await client.get("/v1/sessions?activity=asleep")).status_code == 422


async def test_a_session_is_forked(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    session, run = await started("echo", "hello")
    await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=20"})
    url = f"/v1/sessions/{session['id']}/fork"
    made = await client.post(url, json={"seq": 3, "title": "Another way"}, headers={"Idempotency-Key": "f"})
    assert made.status_code == 201
    fork = made.json()
    assert (fork["title"], fork["parent_session_id"]) == ("Another way", session["id"])
    events = (await client.get(f"{made.headers['location']}/events")).json()["items"]
    assert events[1]["data"] == {"source_session_id": session["id"], "source_seq": 3}
    again = await client.post(url, json={"seq": 3, "title": "Another way"}, headers={"Idempotency-Key": "f"})
    assert again.json()["id"] == fork["id"]
    assert (await client.post(url)).status_code == 201
    assert (await client.post(url, json={"seq": 999})).status_code == 422
    assert (await client.post("/v1/sessions/ses_unknown/fork")).status_code == 404


async def test_a_failed_session_can_leave_its_children_alone(client: httpx.AsyncClient) -> None:
    statuses = {}
    for cascade in (True, False):
        parent = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
        child = (await client.post("/v1/sessions", json={"agent_id": "echo", "parent_session_id": parent})).json()["id"]
        body = {"message": "the branch is gone", "cascade": cascade}
        assert (await client.post(f"/v1/sessions/{parent}/fail", json=body)).status_code == 200
        statuses[cascade] = (await client.get(f"/v1/sessions/{child}")).json()["status"]
    assert statuses == {True: "cancelled", False: "pending"}


async def test_a_run_says_what_becomes_of_it_while_it_waits_for_a_person(client: httpx.AsyncClient) -> None:
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
    body = {"input": "x", "takeover": "restart", "takeover_waiting": "stop"}
    run = (await client.post(f"/v1/sessions/{session}/runs", json=body)).json()
    assert (run["options"]["takeover"], run["options"]["takeover_waiting"]) == ("restart", "stop")
