"""What one may send and how fast, what an address takes, and what one who does not read costs."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

import sessionry
from sessionry.domain.errors import Exhausted
from sessionry.domain.ids import RUN, SESSION, new_id
from sessionry.domain.scope import Scope
from sessionry.server import listening, streams
from sessionry.server.app import LARGEST_BODY
from sessionry.server.limits import WINDOW, Limits

from .conftest import Server, locked, serving, until


@pytest.fixture
async def narrow(tmp_path: Any) -> AsyncIterator[Server]:
    async with serving(f"sqlite:///{tmp_path}/server.db", quota=60) as running:
        yield running


def test_a_bucket_empties_and_fills_again() -> None:
    now = [100.0]
    limits = Limits(120, lambda: now[0])
    left = [limits.take("a") for _ in range(120)]
    assert [each.requests for each in left if each] == list(range(119, -1, -1))
    with pytest.raises(Exhausted) as refused:
        limits.take("a")
    assert refused.value.details["retry_after"] == pytest.approx(0.5)
    assert limits.take("b") == (120, 119, 1)
    now[0] += 1
    assert [limits.take("a"), limits.take("a")] == [(120, 1, WINDOW), (120, 0, WINDOW)]
    now[0] += 10 * WINDOW
    assert limits.left("a") == (120, 120, 0)
    assert Limits(None).take("a") is None


async def test_every_answer_tells_what_is_left_and_too_many_requests_are_refused(narrow: Server) -> None:
    narrow.doorkeeper.limits = Limits(60, clock=lambda: 100.0)
    client, other = await narrow.client(), await narrow.client(name="other")
    first = await client.get("/v1/me")
    assert first.headers["ratelimit-policy"] == f'"token";q=60;w={WINDOW}'
    assert first.headers["ratelimit"] == '"token";r=59;t=1'
    answers = [await client.get("/v1/me") for _ in range(70)]
    assert [answer.status_code for answer in answers] == [200] * 59 + [429] * 11
    refused = answers[-1]
    assert refused.json()["code"] == "too_many_requests"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["ratelimit"].startswith('"token";r=0;t=')
    assert int(refused.headers["retry-after"]) == 1
    assert (await other.get("/v1/me")).status_code == 200
    assert (await narrow.anybody().get("/healthz")).status_code == 200


async def test_the_client_waits_until_it_may_ask_again(narrow: Server) -> None:
    async with sessionry.connect(narrow.url, token=await narrow.secret()) as remote:
        session = await remote.create("echo")
        began = time.monotonic()
        for _ in range(62):
            assert (await session.get()).id == session.id
        assert time.monotonic() - began > 0.5


async def test_without_a_limit_nothing_is_told(server: Server) -> None:
    assert "ratelimit" not in (await (await server.client()).get("/v1/me")).headers


async def test_every_address_says_which_methods_it_has(client: httpx.AsyncClient) -> None:
    """To who asks, and with each refusal of another one."""
    for path, methods in (await client.get("/openapi.json")).json()["paths"].items():
        allowed = {*map(str.upper, methods), "OPTIONS"} | ({"HEAD"} if "get" in methods else set())
        url = path.format_map(AnyId())
        asked = await client.options(url)
        assert (asked.status_code, set(asked.headers["allow"].split(", "))) == (204, allowed), path
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            refused = await client.request(method, url)
            assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed"), f"{method} {path}"
            assert set(refused.headers["allow"].split(", ")) == allowed, f"{method} {path}"


async def test_the_head_of_an_answer_is_that_of_get(server: Server, client: httpx.AsyncClient) -> None:
    session = await server.sessions.create("echo")
    paths = (await client.get("/openapi.json")).json()["paths"]
    urls = [path.format_map(AnyId(session_id=session.id)) for path, methods in paths.items() if "get" in methods]
    assert len(urls) > 20
    for url in ["/", "/static/app.js", f"/v1/sessions/{session.id}", *urls]:
        whole, head = await client.get(url), await client.head(url)
        assert (head.status_code, head.content) == (whole.status_code, b""), url
        told = [{name: one.headers.get(name) for name in _TOLD} for one in (whole, head)]
        assert told[0] == told[1], url
    assert (await client.head(f"/v1/runs/{new_id(RUN)}/cancel")).status_code == 405


_TOLD = ("content-type", "etag", "link", "content-security-policy", "allow")


async def test_the_head_of_a_stream_does_not_wait_for_its_end(server: Server, client: httpx.AsyncClient) -> None:
    session = await server.sessions.create("echo")
    for kind in ("text/event-stream", "application/x-ndjson"):
        head = await client.head(f"/v1/sessions/{session.id}/events", headers={"Accept": kind})
        assert (head.status_code, head.headers["content-type"].partition(";")[0]) == (200, kind)
    feed = server.doorkeeper.within(server.sessions.scope).logs.feed

    async def let_go() -> bool:
        return not feed._tails

    await until(let_go)


class AnyId(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "x_1"


async def test_a_body_that_comes_in_pieces_and_does_not_say_how_long_it_is_has_the_same_end(
    client: httpx.AsyncClient,
) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        yield b'{"agent_id":"echo"}'
        for _ in range(count):
            yield b" " * (1 << 16)

    headers = {"Content-Type": "application/json"}
    fits, exceeds = (LARGEST_BODY >> 16) - 1, LARGEST_BODY >> 16
    assert (await client.post("/v1/sessions", content=pieces(fits), headers=headers)).status_code == 201
    answer = await client.post("/v1/sessions", content=pieces(exceeds), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert len((await client.get("/v1/sessions")).json()["items"]) == 1


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", f"Content-Length: {1 << 40}"])
@pytest.mark.parametrize("token", [True, False])
async def test_who_goes_on_with_a_body_that_was_refused_is_cut(
    server: Server, monkeypatch: pytest.MonkeyPatch, framing: str, token: bool
) -> None:
    monkeypatch.setattr(listening, "LINGER", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    secret = await server.secret() if token else "sry_none"
    head = f"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n{framing}\r\n\r\n"
    writer.write(head.encode())

    async def without_end() -> None:
        with suppress(OSError):
            while True:
                writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                await writer.drain()

    sending = asyncio.create_task(without_end())
    status = await asyncio.wait_for(reader.readline(), 20)
    assert status.split()[1] == (b"413" if token else b"401")
    await asyncio.wait_for(sending, 20)
    writer.close()


async def test_a_connection_whose_body_was_refused_and_ends_is_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LINGER", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    post = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
    for _ in range(2):
        writer.write(post + b"{")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).split()[1] == b"401"
        await asyncio.wait_for(reader.readuntil(b"}"), 20)
        writer.write(b"  }")
    late = time.monotonic() + 2 * listening.LINGER
    while time.monotonic() < late:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).split()[1] == b"200"
        await asyncio.wait_for(reader.readuntil(b"}"), 20)
    writer.close()


async def test_the_same_key_while_its_first_request_is_written_is_told_to_come_again(
    server: Server, client: httpx.AsyncClient
) -> None:
    def post(of: httpx.AsyncClient, key: str) -> asyncio.Task[httpx.Response]:
        request = of.post("/v1/sessions", json={"agent_id": "echo"}, headers={"Idempotency-Key": key})
        return asyncio.create_task(request)

    neighbour = await server.client(scope=Scope("neighbour"))
    for each in (client, neighbour):  # a tenant's first answer makes its key for cursors, which is written too
        await each.get("/v1/sessions")
    with locked(server.sessions.store.url):
        of_two = {post(client, "k"), post(client, "k")}
        others = [post(client, "l"), post(neighbour, "k")]
        (refused,), (written,) = await asyncio.wait(of_two, return_when=asyncio.FIRST_COMPLETED)
        answer = refused.result()
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_flight")
        assert answer.json()["retryable"] is True
        assert answer.headers["Retry-After"] == "1"
    made = await written
    assert made.status_code == 201
    assert (await post(client, "k")).json() == made.json()
    assert {(await other).status_code for other in others} == {201}
    assert len((await client.get("/v1/sessions")).json()["items"]) == 2


async def test_a_key_whose_request_failed_is_not_in_flight(client: httpx.AsyncClient) -> None:
    url, key = f"/v1/sessions/{new_id(SESSION)}/runs", {"Idempotency-Key": "k"}
    for _ in range(2):
        assert (await client.post(url, json={"input": "x"}, headers=key)).status_code == 404


async def test_the_same_key_of_twenty_is_one_request(client: httpx.AsyncClient) -> None:
    """Some are told to come again while the first is written, and then all are told the same."""

    async def post(url: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        while (answer := await client.post(url, json=body, headers=headers)).status_code == 409:
            assert answer.json()["code"] == "idempotency_in_flight"
        return answer

    key = {"Idempotency-Key": "k"}
    made = await asyncio.gather(*(post("/v1/sessions", {"agent_id": "echo"}, key) for _ in range(20)))
    assert {answer.status_code for answer in made} == {201}
    (session,) = {answer.json()["id"] for answer in made}
    assert len((await client.get("/v1/sessions")).json()["items"]) == 1
    url = f"/v1/sessions/{session}/runs"
    waiting = {"Idempotency-Key": "r", "Prefer": "wait=30"}
    runs = await asyncio.gather(*(post(url, {"input": "x"}, waiting) for _ in range(20)))
    assert {(answer.status_code, answer.json()["status"]) for answer in runs} == {(200, "completed")}
    assert len({answer.json()["id"] for answer in runs}) == len((await client.get(url)).json()["items"]) == 1


async def test_who_does_not_read_is_closed_and_comes_again_without_a_gap(
    server: Server, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.Streaming.__init__, "__kwdefaults__", _with(slowest=0.5))
    session = await server.sessions.create("echo")
    for _ in range(60):
        await session.update(metadata={"x": "x" * 200_000})
    url, token = f"/v1/sessions/{session.id}/events", client.headers["Authorization"]
    host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        reader.connect((host, port))
        reader.sendall(
            f"GET {url} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nAuthorization: {token}\r\n\r\n".encode()
        )
        opened = server.doorkeeper.within(server.sessions.scope).logs.feed

        async def dropped() -> bool:
            return not opened._tails

        async def open() -> bool:
            return bool(opened._tails)

        await until(open)
        await until(dropped)
        got = await asyncio.to_thread(everything, reader)
    seen = [int(number) for number in re.findall(rb"\nid: (\d+)\n", got)]
    assert 0 < len(seen) < 61, "a part was in the pipe, and the rest was not kept for it"
    whole = got.rpartition(b"\n\n")[0]
    last = [int(number) for number in re.findall(rb"id: (\d+)\n", whole)][-1]
    assert last == len(re.findall(rb"id: (\d+)\n", whole))
    page = await client.get(url, params={"after": last})
    assert [event["seq"] for event in page.json()["items"]] == list(range(last + 1, 62))


def everything(reader: socket.socket) -> bytes:
    got = b""
    with suppress(ConnectionResetError):
        while piece := reader.recv(1 << 16):
            got += piece
    return got


def _with(**changes: Any) -> dict[str, Any]:
    return (streams.Streaming.__init__.__kwdefaults__ or {}) | changes
