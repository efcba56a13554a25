"""What an operator asks of a server: its numbers, its agents and workers, and whether it can do its work."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sessionry.domain.errors import StoreFailed

from .conftest import Server, until

_SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z_]+)="([^"\\]*)"\})? (-?[0-9.]+)')


async def test_the_numbers_are_prometheuss(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    _, asking = await started("asks")
    _, ended = await started("echo")
    await client.get(f"/v1/runs/{ended['id']}", headers={"Prefer": "wait=20"})

    async def asked() -> bool:
        return bool((await client.get(f"/v1/runs/{asking['id']}")).json()["status"] == "waiting")

    await until(asked)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples, described = {}, set()
    for line in answer.text.splitlines():
        if line.startswith("# "):
            described.add(line.split()[2])
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] in described
            samples[found[1], found[3]] = float(found[4])
    assert samples == {
        ("sessionry_sessions", "active"): 2,
        ("sessionry_runs", "completed"): 1,
        ("sessionry_runs", "waiting"): 1,
        ("sessionry_pending_approvals", None): 1,
        ("sessionry_workers", None): 1,
    }
    stats = (await client.get("/v1/stats")).json()
    assert (stats["sessions"], stats["runs"]) == ({"active": 2}, {"completed": 1, "waiting": 1})
    assert stats["pending_approvals"] == 1


async def test_agents_say_what_they_can_and_workers_what_they_do(
    client: httpx.AsyncClient, started: Callable[..., Any]
) -> None:
    agents = {each["id"]: each for each in (await client.get("/v1/agents")).json()["items"]}
    assert agents["listens"]["type"] == "function"
    assert "steer" in agents["listens"]["capabilities"]
    assert "steer" not in agents["echo"]["capabilities"]
    _, run = await started("asks")

    async def at_work() -> Any:
        (worker,) = (await client.get("/v1/workers")).json()["items"]
        return worker if worker["runs"] == 1 else None

    worker = await until(at_work)
    assert (worker["alive"], worker["draining"], worker["queues"]) == (True, False, ["default"])
    assert (await client.get(f"/v1/runs/{run['id']}")).json()["worker_id"] == worker["id"]


async def test_a_server_whose_store_does_not_answer_is_alive_and_not_ready(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(_: object) -> None:
        raise StoreFailed("store_unavailable", "it is gone")

    anybody = server.anybody()
    monkeypatch.setattr(server.doorkeeper.sessions, "execute", unavailable)
    ready = await anybody.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "code": "store_unavailable"})
    assert (await anybody.get("/healthz")).status_code == 200
