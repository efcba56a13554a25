"""A real server on a port of this machine, and clients that talk HTTP with it."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import sessionry
from sessionry import Sessions
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission, new_secret, secret_hash
from sessionry.server.access import Doorkeeper
from sessionry.server.app import create_app
from sessionry.server.listening import Listener
from sessionry.store.operations import tokens
from tests.cli.program import SESSIONRY
from tests.runtime.conftest import AGENTS, until

__all__ = ["Server", "until"]


class Server:
    """A server that runs, and what a test does with it."""

    def __init__(self, sessions: Sessions, url: str, doorkeeper: Doorkeeper) -> None:
        self.sessions = sessions
        self.url = url
        self.doorkeeper = doorkeeper
        self.clients: list[httpx.AsyncClient] = []

    async def secret(self, *permissions: Permission, scope: Scope | None = None, name: str = "test") -> str:
        secret = new_secret()
        allowed = list(permissions or (Permission.ADMIN,))
        await self.sessions.execute(tokens.create(scope or self.sessions.scope, name, allowed, secret_hash(secret)))
        return secret

    async def client(
        self, *permissions: Permission, scope: Scope | None = None, name: str = "test", **options: Any
    ) -> httpx.AsyncClient:
        secret = await self.secret(*permissions, scope=scope, name=name)
        return self.anybody(headers={"Authorization": f"Bearer {secret}"}, **options)

    def anybody(self, **options: Any) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False, **options)
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(
    store: str, *, port: int = 0, quota: int | None = None, proxy: str | None = None, **options: Any
) -> AsyncIterator[Server]:
    """A server over that store until the block ends, which believes that proxy."""
    async with sessionry.open(store, agents=AGENTS, grace=0.1, **options) as sessions:
        began: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        listening = {"host": "127.0.0.1", "port": port} | ({"forwarded_allow_ips": proxy} if proxy else {})
        served = create_app(sessions, quota=quota)
        listener = Listener(served, began=began.set_result, **listening)
        running = asyncio.create_task(listener.serve())
        server = Server(sessions, f"http://127.0.0.1:{await began}", served.api.state.doorkeeper)
        try:
            yield server
        finally:
            for client in server.clients:
                await client.aclose()
            listener.should_exit = True
            await running


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Nobody else can write into the file until the block ends: whoever wants to waits."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("begin immediate")
        yield


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(f"sqlite:///{tmp_path}/server.db") as running:
        yield running


@pytest.fixture
async def client(server: Server) -> httpx.AsyncClient:
    """One who may do everything."""
    return await server.client()


@pytest.fixture
def started(client: httpx.AsyncClient) -> Callable[..., Any]:
    """Makes a session for an agent, and submits a run to it; the two as JSON."""

    async def start(agent: str, input: Any = "hello", **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        session = (await client.post("/v1/sessions", json={"agent_id": agent})).json()
        answer = await client.post(f"/v1/sessions/{session['id']}/runs", json={"input": input, **fields})
        assert answer.status_code == 202, answer.text
        return session, answer.json()

    return start


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[str, str]]]:
    """Starts `sessionry serve` in a process of its own; its address and its token."""
    started: list[subprocess.Popen[str]] = []

    def start(*more: str) -> tuple[str, str]:
        words = [SESSIONRY, "--store", f"sqlite:///{tmp_path}/p.db", "--json", "serve", "--port", "0", *more]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        process = subprocess.Popen(words, stdout=subprocess.PIPE, env=env, cwd=tmp_path, text=True)
        started.append(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        return told["url"], told["token"]

    yield start
    for process in started:
        process.kill()
        process.communicate()
