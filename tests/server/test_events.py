"""The log over HTTP: pages, waiting, lines, and live streams that go on after a cut without a gap or a double."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

import sessionry
from sessionry.domain.scope import Scope
from sessionry.store.operations import pruning

from .conftest import Server, until


async def ended(client: httpx.AsyncClient, run: dict[str, Any]) -> None:
    await client.get(f"/v1/runs/{run['id']}", headers={"Prefer": "wait=30"})


async def test_a_page_has_a_cursor_for_the_next_one(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    session, run = await started("echo")
    await ended(client, run)
    url, seqs = f"/v1/sessions/{session['id']}/events?limit=2", []
    while url:
        page = await client.get(url)
        seqs += [event["seq"] for event in page.json()["items"]]
        url = page.links.get("next", {}).get("url", "")
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 4


async def test_types_and_runs_are_filtered(client: httpx.AsyncClient, started: Callable[..., Any]) -> None:
    session, run = await started("echo")
    await ended(client, run)
    url = f"/v1/sessions/{session['id']}/events"
    page = await client.get(url, params={"types": ["run_completed", "session_created"]})
    assert [event["type"] for event in page.json()["items"]] == ["session_created", "run_completed"]
    page = await client.get(url, params={"types": ["-run_completed", "-session_created"]})
    others = [event["type"] for event in page.json()["items"]]
    assert "run_started" in others
    assert not {"run_completed", "session_created"} & set(others)
    page = await client.get(url, params={"types": ["run_started", "-run_completed"]})
    assert [event["type"] for event in page.json()["items"]] == ["run_started"]
    refused = await client.get(url, params={"types": "-nothing"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_event_type")
    page = await client.get(url, params={"run": run["id"]})
    assert {event["run_id"] for event in page.json()["items"]} == {run["id"]}


async def test_a_page_can_wait_for_its_first_event(server: Server, client: httpx.AsyncClient) -> None:
    session = await server.sessions.create("echo")
    url = f"/v1/sessions/{session.id}/events"
    nothing = await client.get(url, params={"after": 1, "wait": 0.1})
    assert nothing.json() == {"items": [], "cursor": 1}
    waiting = asyncio.create_task(client.get(url, params={"after": 1, "wait": 10}))
    await asyncio.sleep(0.1)
    await session.start()
    assert [event["type"] for event in (await waiting).json()["items"]] == ["session_started"]


async def test_lines_of_json_go_on_to_the_end_of_the_session(server: Server, client: httpx.AsyncClient) -> None:
    session = await server.sessions.create("echo")
    headers = {"Accept": "application/x-ndjson"}
    async with client.stream("GET", f"/v1/sessions/{session.id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        await session.cancel()
        events = [json.loads(line) async for line in answer.aiter_lines() if line]
    assert [event["type"] for event in events] == ["session_created", "session_cancelled"]


async def test_a_stream_says_what_it_is_and_that_it_has_ended(
    server: Server, client: httpx.AsyncClient, started: Callable[..., Any]
) -> None:
    session, run = await started("echo")
    await ended(client, run)
    await server.sessions.session(session["id"]).complete()
    async with aconnect_sse(client, "GET", f"/v1/sessions/{session['id']}/events") as source:
        got = [event async for event in source.aiter_sse()]
    assert got[-1].event == "end"
    assert [int(event.id) for event in got[:-1]] == list(range(1, len(got)))
    for event in got[:-1]:
        assert json.loads(event.data)["type"] == event.event
        assert json.loads(event.data)["seq"] == int(event.id)


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_cut_stream_goes_on_without_a_gap_or_a_double(
    server: Server, client: httpx.AsyncClient, by: str
) -> None:
    """Cut after every few events while the agent talks; what a foreign parser got is the log."""
    session = await server.sessions.create("slow")
    run = await session.run("x")
    seqs: list[int] = []
    url = f"/v1/sessions/{session.id}/events"
    while len(seqs) < 25:
        last = str(seqs[-1]) if seqs else "0"
        options: dict[str, Any] = {"params": {"after": last}} if by == "query" else {"headers": {"Last-Event-ID": last}}
        async with aconnect_sse(client, "GET", url, **options) as source, aclosing(source.aiter_sse()) as events:
            seqs += [int((await anext(events)).id) for _ in range(4)]
    await run.cancel()
    assert seqs == list(range(1, len(seqs) + 1))


async def test_the_stream_of_all_sessions(server: Server, client: httpx.AsyncClient) -> None:
    first, second = await server.sessions.create("echo"), await server.sessions.create("echo")
    async with aconnect_sse(client, "GET", "/v1/events") as source, aclosing(source.aiter_sse()) as events:
        got = [await anext(events), await anext(events)]
        assert [json.loads(event.data)["session_id"] for event in got] == [first.id, second.id]
        await second.start()
        started = await anext(events)
    assert started.event == "session_started"
    assert len({started.id, *(event.id for event in got)}) == 3


async def test_a_server_that_ends_cuts_its_streams_and_does_not_say_that_they_ended(tmp_path: Any) -> None:
    from .conftest import serving

    store = f"sqlite:///{tmp_path}/cut.db"
    async with serving(store, worker=False) as server:
        session = await server.sessions.create("echo")
        client = httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {await server.secret()}"}, trust_env=False
        )
        opened = asyncio.Event()

        async def read() -> list[str]:
            names = []
            async with aconnect_sse(client, "GET", f"/v1/sessions/{session.id}/events") as source:
                async for event in source.aiter_sse():
                    names.append(event.event)
                    opened.set()
            return names

        reading = asyncio.create_task(read())
        await opened.wait()
    assert await reading == ["session_created"]
    await client.aclose()


async def test_a_reader_that_left_leaves_nothing(server: Server, client: httpx.AsyncClient) -> None:
    session = await server.sessions.create("echo")
    url = f"/v1/sessions/{session.id}/events"
    async with aconnect_sse(client, "GET", url) as source, aclosing(source.aiter_sse()) as events:
        await anext(events)

    async def nobody() -> bool:
        return not any(task.get_name().startswith("feed") for task in asyncio.all_tasks())

    await until(nobody)


async def test_every_event_type_has_a_schema(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/v1/schemas/events")).json()
    assert schemas["run_completed"]["$schema"].endswith("2020-12/schema")
    one = await client.get("/v1/schemas/events/run_completed")
    assert one.json() == schemas["run_completed"]
    assert (await client.get("/v1/schemas/events/odd")).status_code == 404


# --- what was removed -------------------------------------------------------------------------------------------------


async def pruned(server: Server) -> tuple[str, int]:
    """A session with a run whose pieces have gone; its id, and the `seq` of the last piece."""
    session = await server.sessions.create("echo")
    run = await session.run("x")
    await run.result(timeout=30)
    pieces = [event.seq async for event in session.events(types=["message_streamed"])]
    assert await server.sessions.execute(pruning.prune(run.id)) == len(pieces) > 0
    return session.id, pieces[-1]


async def test_a_reader_who_needs_every_event_is_told_that_some_are_gone(
    server: Server, client: httpx.AsyncClient
) -> None:
    id, last = await pruned(server)
    url = f"/v1/sessions/{id}/events"
    assert (await client.get(url)).status_code == 200, "what was said is there as a whole"
    asking: list[dict[str, Any]] = [{"exact": True}, {"exact": True, "types": "message_streamed"}]
    for asked in asking:
        for accept in ("application/json", "text/event-stream", "application/x-ndjson"):
            answer = await client.get(url, params={"after": 0, **asked}, headers={"Accept": accept})
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["details"]) == (410, "gone", {"cursor": last})
            assert answer.headers["content-type"] == "application/problem+json"
    on = await client.get(url, params={"after": last, "exact": True})
    assert on.status_code == 200
    assert on.json()["items"][0]["seq"] == last + 1
    resumed = await client.get(url, params={"exact": True}, headers={"Last-Event-ID": str(last)})
    assert resumed.json()["items"] == on.json()["items"]


async def test_the_stream_of_all_sessions_tells_it_too(server: Server, client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/events", params={"exact": True})).status_code == 200
    await pruned(server)
    refused = await client.get("/v1/events", params={"exact": True})
    assert refused.status_code == 410
    cursor = refused.json()["details"]["cursor"]
    on = await client.get("/v1/events", params={"after": cursor, "exact": True})
    assert on.status_code == 200
    assert on.json()["items"]
    stranger = await server.client(scope=Scope("b"))
    assert (await stranger.get("/v1/events", params={"exact": True})).status_code == 200


async def test_a_purged_session_is_gone_for_its_owner_and_was_never_there_for_others(
    server: Server, client: httpx.AsyncClient
) -> None:
    session = await server.sessions.create("echo")
    await session.delete()
    await client.post(f"/v1/sessions/{session.id}/purge")
    gone = await client.get(f"/v1/sessions/{session.id}/events", params={"after": 1})
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    stranger = await server.client(scope=Scope("b"))
    assert (await stranger.get(f"/v1/sessions/{session.id}/events")).status_code == 404
    assert (await client.get("/v1/events", params={"exact": True})).status_code == 410


async def test_a_reader_can_begin_with_what_comes(server: Server, client: httpx.AsyncClient) -> None:
    await server.sessions.create("echo")
    waiting = asyncio.create_task(client.get("/v1/events", params={"after": -1, "wait": 30}))
    logs = server.doorkeeper.within(server.sessions.scope).logs

    async def looks() -> bool:
        return bool(logs.feed._tails)

    await until(looks)
    session = await server.sessions.create("echo")
    assert [event["session_id"] for event in (await waiting).json()["items"]] == [session.id]


# --- forks ------------------------------------------------------------------------------------------------------------


async def forked(server: Server) -> tuple[str, str, list[str]]:
    """A session with a run, and a fork of it with another one; the ids, and those of all events of both in order."""
    source = await server.sessions.create("echo")
    await (await source.run("one")).result(timeout=30)
    told = [event.id async for event in source.events()]
    fork = await source.fork()
    await source.run("elsewhere")
    await (await fork.run("two")).result(timeout=30)
    return source.id, fork.id, told + [event.id async for event in fork.events()]


def url_of(session: str) -> str:
    return f"/v1/sessions/{session}/events"


async def test_a_fork_is_read_with_what_it_goes_on_from(server: Server, client: httpx.AsyncClient) -> None:
    source, fork, ids = await forked(server)
    own = (await client.get(f"/v1/sessions/{fork}/events")).json()["items"]
    inherited = len(ids) - len(own)
    url, found = f"/v1/sessions/{fork}/events?after=-1000&limit=3", []
    while url:
        page = await client.get(url)
        found += page.json()["items"]
        url = page.links.get("next", {}).get("url", "")
    assert [event["id"] for event in found] == ids
    assert [event["seq"] for event in found] == list(range(1 - inherited, len(own) + 1))
    assert {event["session_id"] for event in found[:inherited]} == {source}
    middle = await client.get(f"/v1/sessions/{fork}/events?after=-2&types=run_completed")
    assert [event["seq"] for event in middle.json()["items"]] == [0, len(own)]
    backwards: list[Any] = []
    while not backwards or backwards[0]["seq"] > 1 - inherited:
        before = {"before": backwards[0]["seq"]} if backwards else {}
        last = await client.get(url_of(fork), params={"newest": True, "after": -1000, "limit": 3, **before})
        backwards = last.json()["items"] + backwards
    assert [event["id"] for event in backwards] == ids
    last = await client.get(url_of(fork), params={"newest": True, "after": len(own) - 2})
    assert [event["id"] for event in last.json()["items"]] == ids[-2:]
    async with sessionry.connect(server.url, token=await server.secret()) as remote:
        assert [event.id async for event in remote.session(fork).events(after=-1000)] == ids
        assert [event.seq async for event in remote.session(fork).events(after=-1, before=2)] == [0, 1]


async def test_a_stream_that_is_cut_before_the_fork_goes_on_there(server: Server, client: httpx.AsyncClient) -> None:
    """Others follow the source meanwhile, where the same events have other numbers."""
    source, fork, ids = await forked(server)
    await server.sessions.session(fork).complete()
    ids.append((await server.sessions.session(fork).tail(1))[0].id)
    got: list[Any] = []
    last = {"Last-Event-ID": "-1000"}
    while not got or got[-1].event != "end":
        async with aconnect_sse(client, "GET", f"/v1/sessions/{source}/events") as other:
            assert (await anext(aiter(other.aiter_sse()))).id == "1"
        async with aconnect_sse(client, "GET", f"/v1/sessions/{fork}/events", headers=last) as stream:
            events = stream.aiter_sse()
            async with aclosing(events):
                got += [event async for _, event in azip(range(3), events)]
        last = {"Last-Event-ID": [event.id for event in got if event.event != "end"][-1]}
    assert [json.loads(event.data)["id"] for event in got[:-1]] == ids
    numbers = [int(event.id) for event in got[:-1]]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[0] < 0 < numbers[-1]


async def azip(numbers: range, events: Any) -> Any:
    for number in numbers:
        try:
            yield number, await anext(events)
        except StopAsyncIteration:
            return


async def test_a_follower_comes_from_before_the_fork_to_what_happens_now(
    server: Server, client: httpx.AsyncClient
) -> None:
    _, fork, ids = await forked(server)
    async with aconnect_sse(client, "GET", f"/v1/sessions/{fork}/events?after=-1000") as stream:
        events = stream.aiter_sse()
        async with aclosing(events):
            assert [json.loads((await anext(events)).data)["id"] for _ in ids] == ids
            await server.sessions.session(fork).pause()
            assert (await anext(events)).event == "session_paused"


async def test_what_is_gone_before_the_fork_is_told_to_those_who_need_every_event(
    server: Server, client: httpx.AsyncClient
) -> None:
    source, last = await pruned(server)
    fork = (await server.sessions.session(source).fork()).id
    point = (await server.sessions.session(source).tail(1))[0].seq
    url = f"/v1/sessions/{fork}/events"
    for accept in ("application/json", "text/event-stream"):
        refused = await client.get(url, params={"after": -point, "exact": True}, headers={"Accept": accept})
        assert (refused.status_code, refused.json()["details"]) == (410, {"cursor": last - point})
    on = await client.get(url, params={"after": last - point, "exact": True})
    assert [event["seq"] for event in on.json()["items"]] == list(range(last - point + 1, 3))
    assert (await client.get(url, params={"exact": True})).status_code == 200, "its own log is whole"
    second = (await server.sessions.session(fork).fork()).id
    refused = await client.get(f"/v1/sessions/{second}/events", params={"after": -1000, "exact": True})
    assert refused.json()["details"] == {"cursor": last - point - 2}


async def test_a_fork_of_what_was_purged_or_forked_at_what_was_pruned_says_so(
    server: Server, client: httpx.AsyncClient
) -> None:
    session = await server.sessions.create("echo")
    run = await session.run("x")
    await run.result(timeout=30)
    pieces = [event.seq async for event in session.events(types=["message_streamed"])]
    fork = (await session.fork(pieces[-1])).id
    await server.sessions.execute(pruning.prune(run.id))
    url = f"/v1/sessions/{fork}/events"
    assert (await client.get(url, params={"after": -1, "exact": True})).json()["details"] == {"cursor": 0}
    await session.cancel(cascade=False)
    await session.delete()
    assert (await client.get(url, params={"after": -1000})).json()["items"][0]["seq"] < 0, "hidden, and still there"
    await session.purge()
    gone = await client.get(url, params={"after": -1000, "exact": True})
    assert (gone.status_code, gone.json()["details"]) == (410, {"cursor": 0})
    assert [event["seq"] for event in (await client.get(url, params={"after": -1000})).json()["items"]] == [1, 2]
