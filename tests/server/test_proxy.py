"""Behind a proxy: what it says of who asks is believed when it is that proxy, and of nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessionry.server.limits import Limits

from .conftest import Server, serving

#: The proxy's address; everybody else is at 127.0.0.1.
PROXY = "127.0.0.2"
SAID = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(f"sqlite:///{tmp_path}/server.db", proxy=PROXY) as running:
        yield running


def at(address: str) -> httpx.AsyncHTTPTransport:
    """A way to the server from that address of this machine."""
    return httpx.AsyncHTTPTransport(local_address=address)


async def origins(client: httpx.AsyncClient, headers: dict[str, str]) -> set[str]:
    """From where a command is said to have come, in its event and in its deed, without the token."""
    session = (await client.post("/v1/sessions", json={"agent_id": "echo"}, headers=headers)).json()["id"]
    (created,) = (await client.get(f"/v1/sessions/{session}/events")).json()["items"]
    await client.post("/v1/tokens", json={"name": "x", "permissions": ["read"]}, headers=headers)
    deed = (await client.get("/v1/deeds", params={"limit": 1})).json()["items"][0]
    return {each["origin"].rpartition(" ")[0] for each in (created, deed)}


async def test_the_proxy_says_who_asks(behind: Server) -> None:
    client = await behind.client(transport=at(PROXY))
    assert await origins(client, SAID) == {"http 203.0.113.9"}
    assert await origins(client, {}) == {f"http {PROXY}"}


async def test_what_a_caller_told_the_proxy_is_not_what_the_proxy_says(behind: Server) -> None:
    """A proxy adds the address that it sees to what it was told."""
    client = await behind.client(transport=at(PROXY))
    assert await origins(client, {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}) == {"http 203.0.113.9"}


async def test_nobody_else_says_who_asks(behind: Server, server: Server) -> None:
    assert await origins(await behind.client(), SAID) == {"http 127.0.0.1"}
    for address in ("127.0.0.1", PROXY):  # and no proxy is believed that was not named
        assert await origins(await server.client(transport=at(address)), SAID) == {f"http {address}"}


async def cookie(server: Server, address: str, headers: dict[str, str]) -> str:
    answer = await server.anybody(transport=at(address)).get(
        "/login", params={"token": await server.secret()}, headers=headers
    )
    assert answer.headers["location"] == "/"
    return answer.headers["set-cookie"]


async def test_a_cookie_is_for_tls_alone_where_the_proxy_says_that_it_speaks_it(behind: Server, server: Server) -> None:
    assert "Secure" in await cookie(behind, PROXY, SAID)
    assert "Secure" not in await cookie(behind, PROXY, {})
    assert "Secure" not in await cookie(behind, "127.0.0.1", SAID)
    assert "Secure" not in await cookie(server, PROXY, SAID)


@pytest.mark.parametrize("proxy", [None, PROXY])
async def test_no_address_gets_a_token_more_requests(tmp_path: Path, proxy: str | None) -> None:
    """The limit is the token's, wherever it is used and whatever is said of that."""
    async with serving(f"sqlite:///{tmp_path}/server.db", proxy=proxy, quota=60) as server:
        server.doorkeeper.limits = Limits(60, clock=lambda: 100.0)
        client = await server.client(transport=at(PROXY))
        left = [
            (await client.get("/v1/me", headers={"X-Forwarded-For": f"203.0.113.{number}"})).headers["ratelimit"]
            for number in range(10)
        ]
        assert [int(each.partition("r=")[2].partition(";")[0]) for each in left] == list(range(59, 49, -1))


def test_the_option_names_the_proxy(serve: Callable[..., Any]) -> None:
    for words, origin in (((), f"http {PROXY}"), (("--trust-proxy", PROXY), "http 203.0.113.9")):
        url, token = serve(*words)
        client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} | SAID,
            transport=httpx.HTTPTransport(local_address=PROXY),
            trust_env=False,
        )
        with client:
            session = client.post("/v1/sessions", json={"agent_id": "echo"}).json()["id"]
            (created,) = client.get(f"/v1/sessions/{session}/events").json()["items"]
        assert created["origin"].rpartition(" ")[0] == origin
