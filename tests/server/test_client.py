"""The client: everything that the library does with a store, it does with a server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import sessionry
from sessionry import Conflict, InvalidInput, InvalidTransition, NotFound, Sessions, StoreFailed
from sessionry.client import StreamBus
from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission
from sessionry.store import wire
from tests.runtime.conftest import AGENTS

from .conftest import Server, locked, serving, until


@pytest.fixture
async def remote(server: Server) -> AsyncIterator[Sessions]:
    async with sessionry.connect(server.url, token=await server.secret()) as sessions:
        yield sessions


async def test_it_reads_like_the_library(remote: Sessions) -> None:
    session = await remote.create("echo", title="Fix auth", tags=["pr-42"], metadata={"a": [1, None]})
    run = await session.run("hello")
    types = [event.type async for event in run.events()]
    assert types[0] == "run_queued"
    assert types[-1] == "run_completed"
    result = await run.result(timeout=30)
    assert result.text == "you said hello"
    assert [message.text for message in (await session.transcript()).messages] == ["hello", "you said hello"]
    page = await remote.list(tags="pr-42")
    assert [summary.session.id for summary in page.items] == [session.id]
    assert page.items[0].session == await session.get()
    assert await remote.find(run.id[:24]) == run.id
    assert (await remote.counts()).runs == {"completed": 1}
    assert (await remote.workers())[0].alive


async def test_what_was_really_sent_is_read_like_other_events(remote: Sessions) -> None:
    session = await remote.create("streams")
    run = await session.run("hello!", keep_raw=True)
    assert (await run.result(timeout=30)).status == "completed"
    assert (await run.get()).options.keep_raw
    frames = [event.data async for event in run.events(types="frame_received")]
    assert frames == [ev.FrameReceived(source="test", number=1, frame={"delta": {"text": "hello!"}})]
    others = [event.type async for event in session.events(types="-frame_received", run=run.id)]
    assert "message_received" in others
    assert "frame_received" not in others


async def test_a_session_lives_its_life(remote: Sessions) -> None:
    session = await remote.create("echo")
    (started,) = await session.start()
    assert (started.type, started.session_id) == ("session_started", session.id)
    await session.pause("lunch")
    await session.resume()
    await session.update(title="New", if_version=(await session.get()).version)
    assert (await session.get()).title == "New"
    await session.complete()
    with pytest.raises(InvalidTransition, match="completed"):
        await session.resume()
    await session.delete()
    with pytest.raises(NotFound):
        await session.get()
    await session.restore()


async def test_approvals_and_steering_go_over_it(remote: Sessions) -> None:
    run = await (await remote.create("asks")).run("x")
    (approval,) = await until(remote.approvals)
    await approval.approve(by="ann", note="ok")
    assert (await run.result(timeout=30)).text == "deleted by ann"
    with pytest.raises(Conflict, match="decided"):
        await approval.deny()
    listener = await (await remote.create("listens")).run("x")

    async def running() -> bool:
        return (await listener.get()).status == "running"

    await until(running)
    await listener.steer("left")
    assert (await listener.result(timeout=30)).text == "left"


async def test_a_stream_is_live(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/r.db"
    async with serving(store, worker=False) as first:
        token = await first.secret()
        async with sessionry.connect(first.url, token=token) as remote:
            session = await remote.create("echo")
            seen: list[str] = []

            async def read() -> None:
                async for event in session.events(follow=True):
                    seen[len(seen) :] = [event.type]

            reading = asyncio.create_task(read())

            async def created() -> bool:
                return bool(seen)

            await until(created)
            await session.start()

            async def two() -> bool:
                return len(seen) == 2

            await until(two)
            reading.cancel()
            assert seen == ["session_created", "session_started"]


async def test_a_stream_that_was_refused_is_asked_for_again() -> None:
    """A refusal is JSON as well, but no event."""
    refusals = [429, 503]
    heard: list[Any] = []

    def answer(_: httpx.Request) -> httpx.Response:
        if refusals:
            return httpx.Response(refusals.pop(), json={"code": "too_many_requests", "detail": "slowly"})
        return httpx.Response(200, content=b'{"session_id": "ses_1"}\n')

    async with httpx.AsyncClient(base_url="http://server", transport=httpx.MockTransport(answer)) as client:
        bus = StreamBus(client)
        bus.watch(heard.append)

        async def of_the_session() -> bool:
            return ["ses_1"] in heard

        await until(of_the_session)
        await bus.close()


async def test_errors_are_those_of_the_library(server: Server, remote: Sessions) -> None:
    with pytest.raises(NotFound) as missing:
        await remote.session("ses_none").get()
    assert missing.value.code == "session_not_found"
    session = await remote.create("echo")
    with pytest.raises(NotFound, match="no agent 'odd'"):
        await session.run("x", agent="odd")
    with pytest.raises(InvalidInput):
        await session.run("x", timeout=-1)
    with pytest.raises(SessionryError, match="unknown, expired or revoked"):
        async with sessionry.connect(server.url, token="sry_no"):
            pass
    with pytest.raises(StoreFailed, match="cannot be reached"):
        async with sessionry.connect("http://127.0.0.1:1", token="sry_no"):
            pass
    with pytest.raises(InvalidInput, match="http"):
        async with sessionry.connect("127.0.0.1"):
            pass


async def test_the_servers_agent_looks_at_the_input(server: Server, remote: Sessions) -> None:
    session = await remote.create("shell")
    with pytest.raises(InvalidInput, match="is a string"):
        await session.run("git status")
    run = await session.run(["echo", "hi"])
    assert (await run.result(timeout=30)).text == "hi"


async def test_the_same_key_of_two_at_once_is_one_session(server: Server, remote: Sessions) -> None:
    """The server tells the second to come again, which the client does by itself."""
    await remote.list()  # makes the key for cursors, which is written too
    with locked(server.sessions.store.url):
        both = [asyncio.create_task(remote.create("echo", idempotency_key="k")) for _ in range(2)]
        done, _ = await asyncio.wait(both, timeout=0.5)
        assert not done
    first, second = [(await each).id for each in both]
    assert first == second


async def test_a_token_does_not_more_than_it_may(server: Server) -> None:
    async with sessionry.connect(server.url, token=await server.secret(Permission.READ)) as reader:
        with pytest.raises(SessionryError, match="needs the permission run"):
            await reader.create("echo")
        assert (await reader.list()).items == []


async def test_the_scope_is_that_of_the_token_whatever_is_asked(server: Server) -> None:
    mine = await server.sessions.create("echo", title="private")
    async with sessionry.connect(server.url, token=await server.secret(scope=Scope("b"))) as stranger:
        assert stranger.scope == Scope("b")
        with pytest.raises(NotFound):
            await stranger.session(mine.id).get()
        assert (await stranger.list()).items == []
    client = await server.client(scope=Scope("b"))
    for arguments in ({"session_id": mine.id}, {"session_id": mine.id, "scope": {"tenant": "local"}}):
        body = {"operation": "sessions.get", "arguments": arguments}
        assert (await client.post("/v1/operations", json=body)).status_code in (404, 422)


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "leases.begin", "arguments": {}},
        {"operation": "sessions.get", "arguments": {}},
        {"operation": "sessions.get", "arguments": {"session_id": 1}},
        {"operation": "sessions.end", "arguments": {"session_id": "x", "data": {"type": "run_completed", "data": {}}}},
        {"operation": "sessions.end", "arguments": {"session_id": "x", "data": 3, "cascade": True}},
        {"operation": "runs.submit", "arguments": {"session_id": "x", "submission": {"options": {"odd": 1}}}},
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused(server: Server, body: dict[str, Any]) -> None:
    answer = await (await server.client()).post("/v1/operations", json=body)
    assert answer.status_code == 422, answer.text


def test_every_operation_that_goes_over_the_wire_is_in_a_scope() -> None:
    """But for what tells nothing of anybody: the newest position, and who works."""
    for name, known in wire.OPERATIONS.items():
        scoped = "scope" in inspect.signature(inspect.unwrap(known.make)).parameters
        assert scoped or name in ("reading.last_position", "leases.workers"), name


def test_without_an_event_loop(tmp_path: Path, serve: Callable[..., tuple[str, str]]) -> None:
    url, token = serve()
    with sessionry.connect_sync(url, token=token) as sessions:
        run = sessions.create("echo").run("hello")
        assert run.result(timeout=20).text == "hello"
        assert [event.type for event in run.events()][-1] == "run_completed"
    assert AGENTS
