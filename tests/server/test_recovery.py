"""A server that is gone and comes back, and one that is none."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

import sessionry
from sessionry import InvalidInput, StoreFailed
from tests.cli.program import SESSIONRY
from tests.ports import lasting_port

from .conftest import serving, until
from .receiver import receiving


def start(folder: Path, port: int, **more: str) -> tuple[subprocess.Popen[str], str, str]:
    words = [SESSIONRY, "--store", f"sqlite:///{folder}/p.db", "--json", "serve", "--port", str(port)]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)} | more
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env=env, cwd=folder, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return process, told["url"], told["token"]


@pytest.mark.slow
async def test_who_follows_a_session_outlives_the_servers_death(tmp_path: Path) -> None:
    process, url, token = await asyncio.to_thread(start, tmp_path, lasting_port())
    try:
        async with sessionry.connect(url, token=token) as remote:
            session = await remote.create("echo", queue_limit=100)
            seen: list[int] = []

            async def follow() -> None:
                async for event in session.events(follow=True):
                    seen.append(event.seq)  # noqa: PERF401  it is looked at meanwhile

            following = asyncio.create_task(follow())
            for number in range(10):
                await session.run(f"{number}")
            process.kill()
            process.communicate()
            process, _, again = await asyncio.to_thread(start, tmp_path, int(url.rpartition(":")[2]))
            assert again == token
            run = await session.run("after")
            assert (await run.result(timeout=30)).text == "after"
            last = (await session.tail(1))[0].seq

            async def all_seen() -> bool:
                return bool(seen) and seen[-1] >= last

            await until(all_seen)
            assert seen == list(range(1, len(seen) + 1))
            assert not following.done()
            following.cancel()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
async def test_webhooks_and_waiting_readers_outlive_the_servers_death(tmp_path: Path) -> None:
    """Killed again and again while it works and delivers: every event is told, each under one id, and none is missed."""
    process, url, token = await asyncio.to_thread(start, tmp_path, lasting_port(), SESSIONRY_WEBHOOK_PRIVATE="on")
    try:
        async with receiving() as receiver, sessionry.connect(url, token=token) as remote:
            await remote.create_webhook(receiver.url, types=["run_queued", "run_completed"])
            session = await remote.create("echo", queue_limit=1000)
            waited: list[int] = []
            waiting = asyncio.create_task(_wait_for_events(url, token, session.id, waited))
            for round in range(3):
                runs = [await session.run(f"{round} {number}") for number in range(10)]
                process.kill()
                process.communicate()
                port = int(url.rpartition(":")[2])
                process, _, _ = await asyncio.to_thread(start, tmp_path, port, SESSIONRY_WEBHOOK_PRIVATE="on")
                await runs[-1].result(timeout=60)
            wanted = {event.id async for event in session.events(types=["run_queued", "run_completed"])}
            last = (await session.tail(1))[0].seq

            async def all_told() -> bool:
                return {got.id for got in receiver.got} >= wanted and bool(waited) and waited[-1] >= last

            await until(all_told, seconds=60)
            assert {got.id for got in receiver.got} == wanted
            assert waited == list(range(1, len(waited) + 1))
            waiting.cancel()
    finally:
        process.kill()
        process.communicate()


async def _wait_for_events(url: str, token: str, session_id: str, seqs: list[int]) -> None:
    """A program that knows nothing but HTTP: it asks for what comes after the last event, and waits for it."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        while True:
            asked = {"after": seqs[-1] if seqs else 0, "wait": 5}
            try:
                page = await client.get(f"/v1/sessions/{session_id}/events", params=asked, timeout=20)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            seqs += [event["seq"] for event in page.json()["items"]]


async def test_reads_wait_for_a_server_that_was_there(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/r.db"
    port = lasting_port()
    async with serving(store, port=port, worker=False) as first:
        token = await first.secret()
        connecting = sessionry.connect(first.url, token=token)
        remote = await connecting.__aenter__()
        session = await remote.create("echo")
    asking = asyncio.create_task(session.get())
    async with serving(store, port=port, worker=False):
        assert (await asyncio.wait_for(asking, 60)).id == session.id
        await connecting.__aexit__(None, None, None)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Something that gives this answer to whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "is it a Sessionry server"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "is it a Sessionry server"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", "answered 502"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "answered 302"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 40\r\n\r\n" + b'{"code":"route_not_found","detail":"no"} ',
            "answered 404",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{", "cannot be reached"),
        (b"", "cannot be reached"),
    ],
)
async def test_what_is_no_server_of_ours_is_told_so(answer: bytes, said: str) -> None:
    async with answering(answer) as url:
        with pytest.raises(StoreFailed, match=said):
            async with sessionry.connect(url, token="sry_x"):
                pass


@pytest.mark.parametrize(("url", "token"), [("http://[::1", "x"), ("http://127.0.0.1:x", "x"), ("http://a", "é\n")])
async def test_an_address_or_token_that_is_none_is_told_so(url: str, token: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        async with sessionry.connect(url, token=token):
            pass
    assert wrong.value.code == "invalid_configuration"
