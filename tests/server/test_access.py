"""Who may do what: tokens, permissions, hosts, origins, and tenants that do not exist for each other."""

from __future__ import annotations

import httpx
import pytest

from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission

from .conftest import Server

ROUTES = [
    ("GET", "/v1/sessions", Permission.READ),
    ("POST", "/v1/sessions", Permission.RUN),
    ("POST", "/v1/sessions/ses_x/runs", Permission.RUN),
    ("PATCH", "/v1/sessions/ses_x", Permission.RUN),
    ("DELETE", "/v1/sessions/ses_x", Permission.RUN),
    ("POST", "/v1/sessions/ses_x/purge", Permission.ADMIN),
    ("POST", "/v1/runs/run_x/cancel", Permission.RUN),
    ("POST", "/v1/approvals/apr_x/approve", Permission.APPROVE),
    ("POST", "/v1/approvals/apr_x/deny", Permission.APPROVE),
    ("GET", "/v1/events", Permission.READ),
    ("GET", "/metrics", Permission.READ),
    ("GET", "/v1/tokens", Permission.ADMIN),
    ("POST", "/v1/tokens", Permission.ADMIN),
    ("POST", "/v1/workers/wrk_x/drain", Permission.ADMIN),
]


@pytest.mark.parametrize(("method", "url", "needed"), ROUTES)
async def test_a_token_must_be_enough(server: Server, method: str, url: str, needed: Permission) -> None:
    for permission in Permission:
        client = await server.client(permission)
        answer = await client.request(method, url)
        enough = permission in (needed, Permission.ADMIN) or needed is Permission.READ
        assert (answer.status_code == 403) is not enough, f"{permission} for {method} {url}: {answer.text}"
    assert (await server.anybody().request(method, url)).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer wrong", "Basic YTpi", "sry_x", "Bearer sry_" + "x" * 43])
async def test_what_is_no_token_is_refused(server: Server, header: str) -> None:
    answer = await server.anybody(headers={"Authorization": header}).get("/v1/sessions")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_health_needs_no_token(server: Server) -> None:
    anybody = server.anybody()
    assert (await anybody.get("/healthz")).json() == {"status": "ok"}
    assert (await anybody.get("/readyz")).json() == {"status": "ok"}


async def test_a_revoked_token_is_refused_from_then_on(server: Server, client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/tokens", json={"name": "ci", "permissions": ["run"]})).json()
    other = server.anybody(headers={"Authorization": f"Bearer {made['secret']}"})
    assert (await other.get("/v1/me")).json()["name"] == "ci"
    listed = (await client.get("/v1/tokens")).json()["items"]
    assert made["id"] in {token["id"] for token in listed}
    assert all("secret" not in token and "hash" not in token for token in listed)
    assert (await client.delete(f"/v1/tokens/{made['id']}")).json()["revoked_at"]
    assert (await other.get("/v1/me")).status_code == 401


async def test_a_users_token_makes_tokens_of_that_user_only(server: Server) -> None:
    ann = await server.client(scope=Scope("local", "ann"))
    made = (await ann.post("/v1/tokens", json={"name": "ci", "permissions": ["read"]})).json()
    assert (made["tenant"], made["user"]) == ("local", "ann")
    refused = await ann.post("/v1/tokens", json={"name": "ci", "permissions": ["read"], "user": "bob"})
    assert refused.status_code == 403


async def test_the_address_with_the_token_becomes_a_cookie(server: Server) -> None:
    browser = server.anybody()
    answer = await browser.get("/login", params={"token": await server.secret()})
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert (await browser.get("/v1/sessions")).status_code == 200
    assert (await server.anybody().get("/login", params={"token": "sry_no"})).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example"])
async def test_another_host_is_refused(server: Server, client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/v1/sessions", headers={"Host": host})
    assert answer.status_code == 403


async def test_names_of_this_machine_are_ours(client: httpx.AsyncClient) -> None:
    for host in ("localhost:7433", "127.0.0.1", "[::1]:80"):
        assert (await client.get("/v1/sessions", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:1"},
    ],
)
async def test_a_page_of_another_origin_changes_nothing(
    server: Server, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/v1/sessions", json={"agent_id": "echo"}, headers=headers)
    assert answer.status_code == 403
    assert (await client.get("/v1/stats")).json()["sessions"] == {}


async def test_every_answer_has_the_headers_that_browsers_obey(client: httpx.AsyncClient) -> None:
    for url in ("/v1/sessions", "/nothing", "/healthz"):
        headers = (await client.get(url)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"


async def test_a_body_that_is_too_big_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sessions", content=b" " * (17 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
