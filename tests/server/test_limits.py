"""How many requests a token may make."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sessionry
from sessionry.domain.errors import Exhausted
from sessionry.server.limits import WINDOW, Limits

from .conftest import Server, serving


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
    client, other = await narrow.client(), await narrow.client(name="other")
    first = await client.get("/v1/me")
    assert first.headers["ratelimit-policy"] == f'"token";q=60;w={WINDOW}'
    assert first.headers["ratelimit"] == '"token";r=59;t=1'
    answers = [await client.get("/v1/me") for _ in range(70)]
    refused = next(answer for answer in answers if answer.status_code == 429)
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
