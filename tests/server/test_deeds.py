"""Who did what, when, and from where: with every command, and beyond the word of whoever gives it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sessionry
from sessionry import Session
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission
from sessionry.store import wire
from sessionry.store.operations import deeds, leases
from sessionry.store.operations.leases import Registration

from .conftest import Server, serving, until

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
    await ann.get(f"/v1/runs/{run}", headers={"Prefer": "wait=30"})
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


# --- every one of them ------------------------------------------------------------------------------------------------

#: What a command is given, where the example of the description does not do.
GIVEN: dict[str, Any] = {"fork_session": {}, "update_webhook": {"enabled": False}, "execute_operation": None}
#: The operations of the Python client that change something, as it asks for them; the others are the same ones.
ASKED: dict[str, dict[str, Any]] = {
    "sessions.create": {"session": Session.new(agent_id="echo").to_dict()},
    "sessions.change_status": {"session_id": "ID", "data": {"type": "session_started", "data": {}}},
    "sessions.end": {"session_id": "ID", "data": {"type": "session_cancelled", "data": {}}},
    "sessions.update": {"session_id": "ID", "changes": {"title": "x"}},
    "sessions.delete": {"session_id": "ID"},
    "sessions.restore": {"session_id": "DELETED"},
    "sessions.fork": {"session_id": "ID"},
    "sessions.purge": {"session_id": "DELETED"},
    "runs.submit": {"session_id": "ID", "submission": {"input": "x"}},
    "runs.cancel": {"run_id": "RUN", "request": {"type": "run_cancel_requested", "data": {}}},
    "runs.steer": {"run_id": "RUN", "text": "left"},
    "approvals.decide": {"approval_id": "APPROVAL", "approved": False},
    "webhooks.create": {"url": "https://a.example", "secret": "whsec_" + "A" * 32},
    "webhooks.update": {"webhook_id": "WEBHOOK", "changes": {"enabled": False}},
    "webhooks.delete": {"webhook_id": "WEBHOOK"},
    "webhooks.retry": {"webhook_id": "WEBHOOK"},
    "webhooks.replay": {"webhook_id": "WEBHOOK", "after": 0},
    "leases.ask_to_drain": {"worker_id": "WORKER"},
}


class Trail:
    """What is in the logs and among the deeds since it was begun."""

    def __init__(self, server: Server) -> None:
        self._sessions = server.sessions
        self._seen: set[tuple[str, ...]] = set()

    async def new(self) -> list[tuple[str, ...]]:
        """(type, subject, actor, origin) of each command that came since this was asked for the last time."""
        told: list[tuple[str, ...]] = [
            (event.type, event.id, str(event.actor), str(event.origin))
            async for event in self._sessions.events()
            if event.origin is not None
        ]
        page = await self._sessions.execute(deeds.of_scope(self._sessions.scope, limit=1000))
        told += [(deed.type, f"{deed.subject} {deed.at}", str(deed.actor), str(deed.origin)) for deed in page.items]
        found = [each for each in told if each not in self._seen]
        self._seen.update(told)
        return found


async def prepared(server: Server, setting: httpx.AsyncClient, name: str) -> dict[str, str]:
    """Something of everything that a command may be about, made by somebody else, in the state that it needs."""
    agent = "listens" if "steer" in name else "asks" if name in ("approve", "deny", "approvals.decide") else "silent"
    session, hidden = await server.sessions.create(agent), await server.sessions.create("echo")
    await hidden.delete()
    if name not in ("start_session", "sessions.change_status"):
        await session.start()
    if name == "resume_session":
        await session.pause()
    at_work = await server.sessions.create(agent)
    run = await at_work.run("x")
    wanted = "waiting" if agent == "asks" else "running"

    async def working() -> bool:
        return ("run" not in name and agent == "silent") or (await run.get()).status == wanted

    await until(working)
    approvals = await server.sessions.approvals(session=at_work.id)
    webhook = (await setting.post("/v1/webhooks", json={"url": "http://127.0.0.1:1"})).json()["id"]
    token = (await setting.post("/v1/tokens", json={"name": "x", "permissions": ["read"]})).json()["id"]
    await hidden.restore()
    await hidden.delete()

    async def owed() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await setting.get(f"/v1/webhooks/{webhook}/notices")).json()["items"]
        return items if "notice" in name else [{"id": ""}]

    return {
        "session_id": hidden.id if name in ("restore_session", "purge_session") else session.id,
        "deleted": hidden.id,
        "run_id": run.id,
        "approval_id": approvals[0].id if approvals else "",
        "webhook_id": webhook,
        "token_id": token,
        "notice_id": (await until(owed))[0]["id"],
        "worker_id": "wrk_idle",
    }


@pytest.fixture
async def roomy(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(f"sqlite:///{tmp_path}/server.db", slots=200) as running:
        yield running


@pytest.mark.slow
async def test_there_is_no_control_action_that_leaves_no_trace_of_who_when_and_from_where(roomy: Server) -> None:
    """Every operation of the description that is no GET, and every one of the Python client that needs more than `read`."""
    server = roomy
    idle = Registration(worker_id="wrk_idle", host="there", pid=1, process_start=1.0, boot_id="boot", slots=1)
    await server.sessions.execute(leases.register(idle, 600))
    ann, setting, trail = await server.client(name="ann"), await server.client(name="setting"), Trail(server)
    origin = f"http 127.0.0.1 {(await ann.get('/v1/me')).json()['id']}"

    async def check(name: str, answer: httpx.Response) -> None:
        assert answer.is_success, f"{name}: {answer.text}"
        signed = {each[2:] for each in await trail.new()}
        assert signed == {("ann", origin)}, f"{name} left {signed or 'nothing'}"

    paths = (await ann.get("/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            name = operation["operationId"]
            if method == "get" or name == "execute_operation":
                continue
            ids = await prepared(server, setting, name)
            await trail.new()
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            body = GIVEN.get(name, content.get("example"))
            await check(
                name,
                await ann.request(method.upper(), path.format(**ids), json=body, headers=FORGED | {"If-Match": "*"}),
            )
    assert {name for name, known in wire.OPERATIONS.items() if known.needs is not Permission.READ} - ASKED.keys() == {
        *(
            "deeds.of_scope",
            "webhooks.get",
            "webhooks.of_scope",
            "webhooks.notices",
        ),  # they need `admin`, and change nothing
    }
    for name, arguments in ASKED.items():
        ids = await prepared(server, setting, name)
        await trail.new()
        marks = {"ID": "session_id", "DELETED": "deleted", "RUN": "run_id", "APPROVAL": "approval_id"}
        marks |= {"WEBHOOK": "webhook_id", "WORKER": "worker_id"}
        filled = {key: ids[marks[value]] if str(value) in marks else value for key, value in arguments.items()}
        asked = {"operation": name, "arguments": filled}
        await check(name, await ann.post("/v1/operations", json=asked, headers=FORGED))
