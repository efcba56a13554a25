"""What strangers send: nothing of it is an error of ours, writes a header of theirs, or fills our memory."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

import sessionry
from sessionry import InvalidInput, Session
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission
from sessionry.server import access, streams
from sessionry.server.streams import PIECE, Pieces, Streaming, as_sse

from .conftest import Server, until


@pytest.mark.parametrize("host", ["[::1", "a]b", "localhost/", "x@localhost", "localhost:x"])
async def test_a_host_that_is_none_is_refused(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/v1/me", headers={"Host": host})).status_code == 403


async def raw(server: Server, head: str) -> str:
    """The first line of the answer to a request that no client would write."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(head.encode("latin-1"))
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return line.decode()


async def test_two_hosts_are_refused(server: Server) -> None:
    answer = await raw(server, "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n")
    assert " 403 " in answer


async def test_an_origin_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sessions", json={}, headers={"Origin": "http://[::1"})
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["%00", "a%00.js", "a" * 5000])
async def test_a_name_that_no_file_has_is_not_there(server: Server, name: str) -> None:
    assert (await server.anybody().get(f"/static/{name}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"agent_id":"ec\xffho"}',
        b'{"agent_id":"\xed\xa0\x80"}',
        b'{"metadata":{"a":NaN}}',
    ],
)
async def test_a_body_that_is_no_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/v1/sessions", content=body)).status_code == 400


async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ";;"):
        answer = await client.post("/v1/sessions", content=b'{"agent_id":"echo"}', headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_headers_without_end_are_refused(server: Server, client: httpx.AsyncClient) -> None:
    assert " 400 " in await raw(server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + "a" * 100_000)
    assert (await client.get("/v1/me", headers={"X": "a" * 10_000})).status_code == 200


async def test_what_is_asked_writes_no_header(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        made = await client.post("/v1/sessions", json={"agent_id": "echo", "title": "a\r\nX-Evil: yes €"})
        assert made.status_code == 201
    answer = await client.get("/v1/sessions?limit=1&text=%0d%0aX-Evil:%20yes%20%E2%82%AC")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    assert "%0D%0A" in answer.headers["link"]


@pytest.mark.parametrize(
    ("url", "name", "known"),
    [
        ("/v1/sessions?stauts=failed", "stauts", "status"),
        ("/v1/sessions/ses_x?deleted=1", "deleted", "include_deleted"),
        ("/v1/events?after=0&type=run_failed", "type", "types"),
        ("/v1/runs/run_x?session_id=ses_x", "session_id", ""),
        ("/v1/me?token=sry_x", "token", ""),
        ("/metrics?format=json", "format", ""),
    ],
)
async def test_a_parameter_that_is_none_is_refused_by_its_name(
    client: httpx.AsyncClient, url: str, name: str, known: str
) -> None:
    answer = await client.get(url)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["path"]) == (
        *(422, "validation_error"),
        f"query.{name}",
    )
    assert known in problem["details"]["known"] if known else problem["details"]["known"] == []
    assert (await client.options(url)).status_code == 204


async def test_a_parameter_that_has_one_value_is_given_once(client: httpx.AsyncClient) -> None:
    for query in ("limit=1&limit=2", "limit=1&limit=1", "text=a&limit=1&text="):
        refused = await client.get(f"/v1/sessions?{query}")
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_error"), query
        assert refused.json()["errors"][0]["path"] == f"query.{query.partition('=')[0]}"
    for several in ("sessions?status=active&status=failed&tag=a&tag=b", "events?types=run_failed&types=run_timeout"):
        assert (await client.get(f"/v1/{several}")).status_code == 200


async def test_nobody_who_may_not_ask_learns_which_parameters_there_are(server: Server) -> None:
    assert (await server.anybody().get("/v1/sessions?stauts=failed")).status_code == 401
    assert (await server.anybody().get("/healthz?from=balancer")).status_code == 200


async def test_the_description_of_a_webhook_has_an_end(client: httpx.AsyncClient) -> None:
    body = {"url": "https://agents.example/hook", "description": "a" * 1000}
    id = (await client.post("/v1/webhooks", json=body)).json()["id"]
    for answer in (
        await client.post("/v1/webhooks", json=body | {"description": "a" * 1001}),
        await client.patch(f"/v1/webhooks/{id}", json={"description": "a" * 1001}),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "body.description")
    changing = {"webhook_id": id, "changes": {"description": "a" * 1001}}
    answer = await client.post("/v1/operations", json={"operation": "webhooks.update", "arguments": changing})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "description")


async def test_a_server_gives_sessions_their_ids(server: Server, client: httpx.AsyncClient) -> None:
    """Whoever could choose one would learn from a refusal which ids others have."""
    refused = await client.post("/v1/sessions", json={"agent_id": "echo", "id": "mine"})
    assert refused.status_code == 422
    theirs = (await server.sessions.of(Scope("b")).create("echo")).id
    async with sessionry.connect(server.url, token=await server.secret()) as remote:
        for id in ("mine", "a/b", "..", "ses_" + "€" * 32):
            with pytest.raises(InvalidInput, match="cannot be chosen"):
                await remote.create("echo", id=id)
        with pytest.raises(InvalidInput, match="cannot be chosen"):
            await (await remote.create("echo")).fork(id="mine")
    made = Session.new(agent_id="echo", id=theirs).to_dict()
    asked = {"operation": "sessions.create", "arguments": {"session": made}}
    answer = await client.post("/v1/operations", json=asked)
    assert answer.status_code == 200
    assert answer.json()["result"]["session_id"] != theirs


async def test_times_filter_sessions(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sessions", json={"agent_id": "echo"})
    for query, count in (("created_after=2020-01-01T00:00:00Z", 1), ("created_before=2020-01-01T00:00:00Z", 0)):
        assert len((await client.get(f"/v1/sessions?{query}")).json()["items"]) == count
    wrong = await client.get("/v1/sessions?created_after=1")
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "query.created_after")


async def test_a_search_without_end_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/v1/sessions?text={'a' * 55_000}")
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "text")


async def test_approvals_have_a_second_page(server: Server, client: httpx.AsyncClient, started: Any) -> None:
    for _ in range(2):
        await started("asks")

    async def two() -> bool:
        return len((await client.get("/v1/approvals")).json()["items"]) == 2

    await until(two)
    first = (await client.get("/v1/approvals?limit=1")).json()
    second = (await client.get("/v1/approvals", params={"limit": 1, "cursor": first["cursor"]})).json()
    assert first["items"][0]["id"] != second["items"][0]["id"]
    assert second["cursor"] is None


async def test_the_newest_events_are_of_the_types_that_are_asked_for(client: httpx.AsyncClient, started: Any) -> None:
    session, run = await started("echo")
    await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=30"})
    url = f"/v1/sessions/{session['id']}/events?newest=true&types=run_queued"
    assert [event["type"] for event in (await client.get(url)).json()["items"]] == ["run_queued"]


FORGED = [
    ("sessions.change_status", "session_cancelled", {}),
    ("sessions.change_status", "run_cancel_requested", {}),
    ("sessions.end", "session_started", {}),
    ("sessions.end", "run_cancel_requested", {}),
    ("sessions.change_status", "session_failed", {"error": {"code": "agent_failed", "message": "x"}}),
]


@pytest.mark.parametrize(("operation", "type", "data"), FORGED)
async def test_an_operation_takes_its_own_events_alone(
    client: httpx.AsyncClient, operation: str, type: str, data: dict[str, Any]
) -> None:
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"})).json()["id"]
    arguments = {"session_id": session, "data": {"type": type, "data": data}}
    answer = await client.post("/v1/operations", json={"operation": operation, "arguments": arguments})
    assert answer.status_code == 422, answer.text
    assert (await client.get(f"/v1/sessions/{session}")).json()["status"] == "pending"


@pytest.mark.parametrize("limit", [-1, 0, 1001, 10**9, -(2**70)])
@pytest.mark.parametrize("operation", ["listing.list_sessions", "listing.list_runs", "reading.all_events"])
async def test_an_operation_gives_a_page_at_once(client: httpx.AsyncClient, operation: str, limit: int) -> None:
    arguments: dict[str, Any] = {"limit": limit} | ({} if operation == "reading.all_events" else {"filter": {}})
    answer = await client.post("/v1/operations", json={"operation": operation, "arguments": arguments})
    assert (answer.status_code, answer.json()["details"]["path"]) == (422, "limit")


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_ends_soon_after_its_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK", 0.05)
    monkeypatch.setattr(access, "LOOK", 0.05)
    admin, scope = await server.client(), Scope("local", "ann")
    for accept in ("text/event-stream", "application/x-ndjson"):
        secret = await server.client(Permission.READ, scope=scope)
        token = (await secret.get("/v1/me")).json()["id"]
        async with asyncio.timeout(30), secret.stream("GET", "/v1/events", headers={"Accept": accept}) as answer:
            assert answer.status_code == 200
            await admin.delete(f"/v1/tokens/{token}")
            text = "".join([piece async for piece in answer.aiter_text()])
        assert "event: end" not in text
        assert (await secret.get("/v1/events")).status_code == 401


async def test_one_who_does_not_read_costs_one_piece(server: Server) -> None:
    session = await server.sessions.create("echo")
    for _ in range(20):
        await session.update(title="x" * 50_000)
    batch = [event async for event in session.events()]

    async def batches() -> Any:
        yield batch

    sent: list[int] = []

    async def send(message: Any) -> None:
        sent.append(len(message.get("body", b"")))
        if sent[-1]:
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    dropped: list[bool] = []
    scope: Any = {streams.ABORT: lambda: dropped.append(True)}
    stream = Streaming(batches(), Pieces(lambda event: as_sse(event.to_dict(), event.seq)), sse=True, slowest=0.05)
    await asyncio.wait_for(stream(scope, receive, send), 30)
    assert 0 < max(sent) < 2 * PIECE
    assert dropped == [True]
