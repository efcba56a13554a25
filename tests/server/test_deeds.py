"""Who did what, when, and from where: with every command, and beyond the word of whoever gives it."""

from __future__ import annotations

import socket
from typing import Any

import httpx

import sessionry
from sessionry.domain.scope import Scope

from .conftest import Server, until

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "X-Actor": "root",
    "From": "root@example.com",
}


async def command(client: httpx.AsyncClient, url: str, body: Any = None) -> None:
    answer = await client.post(url, json=body, headers=FORGED)
    assert answer.is_success, answer.text


async def test_every_command_says_who_gave_it_and_from_where(server: Server) -> None:
    ann = await server.client(name="ann's laptop")
    token = (await ann.get("/v1/me")).json()["id"]
    url = f"/v1/sessions/{(await ann.post('/v1/sessions', json={'agent_id': 'asks'}, headers=FORGED)).json()['id']}"
    for verb in ("start", "pause", "resume"):
        await command(ann, f"{url}/{verb}")
    run = (await ann.post(f"{url}/runs", json={"input": "x"}, headers=FORGED)).json()["id"]

    async def asked() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await ann.get("/v1/approvals")).json()["items"]
        return items

    (approval,) = await until(asked)
    decision = {"approval_id": approval["id"], "approved": True, "by": "the boss"}
    await command(ann, "/v1/operations", {"operation": "approvals.decide", "arguments": decision})
    await ann.get(f"/v1/runs/{run}", headers={"Prefer": "wait=10"})
    await command(ann, f"{url}/cancel", {"reason": "done"})
    events = (await ann.get(f"{url}/events")).json()["items"]
    commands = [event for event in events if "origin" in event]
    assert {event["type"] for event in commands} >= {
        *("session_created", "session_started", "session_paused", "session_resumed", "run_queued"),
        *("tool_approval_granted", "session_cancelled"),
    }
    for event in commands:
        assert (event["actor"], event["origin"]) == ("ann's laptop", f"http 127.0.0.1 {token}"), event
    assert all(event["actor"] is None for event in events if event["type"] in ("run_started", "message_received"))


async def test_a_users_token_acts_as_that_user(server: Server) -> None:
    ann = await server.client(scope=Scope("local", "ann"), name="laptop")
    session = (await ann.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
    (created,) = (await ann.get(f"/v1/sessions/{session}/events")).json()["items"]
    assert created["actor"] == "ann"


async def test_the_library_says_where_it_runs(tmp_path: Any) -> None:
    async with sessionry.open(f"sqlite:///{tmp_path}/s.db", worker=False) as sessions:
        session = await sessions.create("echo")
        (created,) = await session.tail()
    assert created.origin == f"python {socket.gethostname()}"


async def test_what_leaves_no_event_is_kept_as_a_deed(server: Server) -> None:
    ann = await server.client(name="ann")
    me = (await ann.get("/v1/me")).json()["id"]
    token = (await ann.post("/v1/tokens", json={"name": "ci", "permissions": ["read"]})).json()["id"]
    await ann.delete(f"/v1/tokens/{token}")
    webhook = (await ann.post("/v1/webhooks", json={"url": "https://a.example"})).json()["id"]
    await ann.patch(f"/v1/webhooks/{webhook}", json={"enabled": False})
    await command(ann, f"/v1/webhooks/{webhook}/retry")
    await command(ann, f"/v1/webhooks/{webhook}/replay", {"after": 0})
    await ann.delete(f"/v1/webhooks/{webhook}")
    session = (await ann.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
    await ann.delete(f"/v1/sessions/{session}")
    await command(ann, f"/v1/sessions/{session}/purge")
    first = (await ann.get("/v1/deeds", params={"limit": 5})).json()
    rest = (await ann.get("/v1/deeds", params={"cursor": first["cursor"]})).json()
    deeds = [*first["items"], *rest["items"]][::-1]
    done = [(each["type"], each["subject"]) for each in deeds if each["actor"] == "ann"]
    assert done == [
        ("token_created", token),
        ("token_revoked", token),
        ("webhook_created", webhook),
        ("webhook_updated", webhook),
        ("notices_retried", webhook),
        ("webhook_replayed", webhook),
        ("webhook_deleted", webhook),
        ("session_purged", session),
    ]
    assert {each["origin"] for each in deeds if each["actor"] == "ann"} == {f"http 127.0.0.1 {me}"}
    stranger = await server.client(scope=Scope("b"))
    assert me not in (await stranger.get("/v1/deeds")).text
