"""What does the server add? Streams, requests and memory of ours against raw ones, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, contextmanager, suppress
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from typing import Any
from urllib.parse import parse_qs

import psutil
import uvicorn
from litestar import Litestar, Response, get

import sessionry
from benchmarks.answers import Answer, Bars, Figure, at_least, at_most, told
from benchmarks.harness import ROOT, TEXT, Effort, Side, folder, interleaved, number
from sessionry.domain import events as ev
from sessionry.domain.token import Permission, new_secret, secret_hash
from sessionry.server.app import create_app
from sessionry.server.listening import Bounded
from sessionry.server.streams import as_sse
from sessionry.store.operations import sessions as operations
from sessionry.store.operations import tokens

TARGET = 0.9
#: Events of one commit, and sessions that share the events whose memory is looked at.
TURN, SESSIONS = 64, 10
#: Seconds that a socket may be silent, and that a server lives at most: nothing waits longer.
SILENCE, LIFE = 20, 90
_DATA = ev.CustomRecorded(name="bench", value={"text": TEXT})
_READING = (
    "Readers are sockets in one process that count what comes out of another, which records events in a store on tmpfs"
    f" ({TURN} a commit) and serves them; a round is over when every reader has every event. The raw side is an ASGI app"
    " on the same uvicorn that has an event of ours as bytes, and sends each reader all it has not had in one chunk:"
    " no store, no log, no token. What a delivery takes of the server's processor tells the two apart where the readers"
    " are the slower side. Requests go over eight connections that are kept open; the bare side is a Litestar route that"
    " gives the same bytes to anybody."
)
_NOTES = (
    "What a stream of ours takes beyond the raw one is, once for all readers, recording, reading, decoding and encoding"
    " each event in the same process, which the raw side is spared: less of it falls on each of 1,000 readers than of 100."
    " The raw app that does the same work is what shows it: it records, follows and encodes as we do, and nothing else."
    " What is left between it and ours is hiding the number of an event from those who could count other tenants' by it,"
    " once for each event, and the layers of the framework, for each chunk and reader.",
    "A page of sessions is a query, fifty rows decoded and encoded, and a token that is looked up; the bare route has its"
    " bytes.",
    "What is bounded fills up at first: the pages that SQLite keeps (with a smaller cache of them the server is smaller by"
    " as much), the newest events of each session, and what was sent of them.",
)


class Served:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = psutil.Process(process.pid)
        self._stdin, self._stdout = process.stdin, process.stdout
        heard = json.loads(self._stdout.readline())
        self.port: int = heard["port"]
        self.headers: str = heard["headers"]
        self.paths: Sequence[str] = heard["paths"]
        self.cursor: int = heard["cursor"]
        self.used = 0.0
        self.delivered = 0

    def publish(self, count: int) -> None:
        """So many events in each session."""
        assert self._stdin is not None
        self._stdin.write(f"{count}\n")
        self._stdin.flush()
        self.cursor += count

    def resident(self) -> int:
        return int(self._process.memory_info().rss)

    def processor(self) -> float:
        """Seconds of it."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def ask(self, path: str, accept: str = "application/json") -> socket.socket:
        """A connection that has asked."""
        connection = socket.create_connection(("127.0.0.1", self.port), SILENCE)
        connection.sendall(self.asking(path, accept))
        return connection

    def asking(self, path: str, accept: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n{self.headers}\r\n".encode()

    def streams(self, readers: int) -> list[socket.socket]:
        """So many readers of each session, who get what comes from now on."""
        kind = "text/event-stream"
        return [self.ask(f"{path}?after={self.cursor}", kind) for path in self.paths for _ in range(readers)]


@contextmanager
def served(kind: str, given: bytes = b"") -> Iterator[Served]:
    """A server that knows those bytes. Its life has an end, which cuts whoever still waits for it."""
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        words = [sys.executable, "-m", "benchmarks.serving", kind, str(stack.enter_context(folder(memory=True)))]
        process = stack.enter_context(subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
        end = threading.Timer(LIFE, process.kill)
        end.start()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(given.decode()) + "\n")
            process.stdin.flush()
            yield Served(process)
        finally:
            end.cancel()
            process.kill()


# --- who asks ---------------------------------------------------------------------------------------------------------


def streamed(server: Served, readers: int, events: int) -> float:
    """Events a second that reach all the readers together."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connection) for connection in server.streams(readers)]
        server.publish(TURN)
        count(connections, TURN)  # now each of them waits for what is new
        used, begun = server.processor(), time.perf_counter()
        server.publish(events)
        count(connections, events)
        seconds = time.perf_counter() - begun
    server.used += server.processor() - used
    server.delivered += readers * events
    return readers * events / seconds


def count(connections: Sequence[socket.socket], events: int) -> None:
    """Read until so many events have come over each of the connections."""
    buffer = bytearray(1 << 18)
    left = dict.fromkeys(connections, events)
    halved: set[socket.socket] = set()  # an event ends with two line feeds, and the first of them was the last byte
    for connection in arriving(connections):
        got = connection.recv_into(buffer)
        assert got, "a stream was cut"
        left[connection] -= buffer.count(b"\n\n", 0, got) + (connection in halved and buffer[0] == 10)
        halved.discard(connection)
        if buffer[got - 1] == 10 and (got == 1 or buffer[got - 2] != 10):
            halved.add(connection)
        if left[connection] <= 0:
            del left[connection]
        if not left:
            return


def arriving(connections: Sequence[socket.socket]) -> Iterator[socket.socket]:
    """Those that have something to read, again and again."""
    with DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, EVENT_READ)
        while ready := selector.select(SILENCE):
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                yield key.fileobj
    raise TimeoutError(f"nothing came for {SILENCE} seconds")


def requested(server: Served, seconds: float, connections: int = 8) -> float:
    """Requests a second."""
    with ExitStack() as stack:
        path = server.paths[0]
        asked = [stack.enter_context(server.ask(path)) for _ in range(connections)]
        size = sum(map(len, answered(stack.enter_context(server.ask(path)))))
        again, left, done = server.asking(path, "application/json"), dict.fromkeys(asked, size), 0
        begun = time.perf_counter()
        for connection in arriving(asked):
            got = len(connection.recv(1 << 18))
            assert got, "the connection was cut"
            left[connection] -= got
            if left[connection] == 0:
                done, left[connection] = done + 1, size
                connection.sendall(again)
            if (taken := time.perf_counter() - begun) > seconds:
                break
    return done / taken


def answered(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of one answer."""
    head, body = b"", b""
    while not body and b"\r\n\r\n" not in head:
        head += _more(connection)
    head, end, body = head.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < size:
        body += _more(connection)
    return head + end, body


def an_event(server: Served) -> bytes:
    """One as it goes over the wire."""
    (connection,) = server.streams(1)
    server.publish(2)
    got = b""
    with connection:
        while got.count(b"\n\n") < 2:
            got += _more(connection)
    return got[got.rindex(b"id: ") :].partition(b"\n\n")[0] + b"\n\n"


def _more(connection: socket.socket) -> bytes:
    got = connection.recv(1 << 18)
    assert got, "the connection was cut"
    return got


# --- what is asked ----------------------------------------------------------------------------------------------------


def measure(effort: Effort) -> Answer:
    figures: list[Figure] = []
    bars: list[tuple[str, float]] = []
    with served("streams") as ours, served("recorded") as recorded, served("raw", an_event(ours)) as raw:
        servers = {"Sessionry": ours, "a raw ASGI app, the same work": recorded, "a raw ASGI app": raw}
        for readers in (1, 100, effort.of(1000, 300)):
            found, more = _streams(servers, readers, effort)
            figures += found
            bars += more
    figures += [_requests(effort), *_memory(effort.of(10_800, 1_600))]
    picture = Bars("serving", "Server-sent events that reach their readers", "events a second; more is better", bars)
    return Answer("Serving", _READING, figures, [picture], _NOTES)


def _streams(
    servers: Mapping[str, Served], readers: int, effort: Effort
) -> tuple[list[Figure], list[tuple[str, float]]]:
    events = min(effort.of(400_000, 50_000) // readers, effort.of(20_000, 5_000))
    for server in servers.values():
        server.used = server.delivered = 0
    sides = [Side(name, partial(streamed, server, readers, events)) for name, server in servers.items()]
    found = interleaved(sides, effort.of(7, 1), 20)
    ours, same, raw = found.values()
    costs = [f"{number(server.used / server.delivered * 1e6)} us" for server in servers.values()]
    question = f"SSE to {readers:,} readers: share of a raw ASGI app"
    text = f"{ours} events/s against {raw}; {costs[0]} of the server's processor for each against {costs[2]}"
    ratio = ours.median / raw.median
    figures = [at_least(question, ratio, TARGET, text) if readers == 100 else told(question, text, ratio)]
    text = f"{same} events/s, {costs[1]} for each: {same.median / raw.median:.2f} of the one that does nothing but send"
    figures.append(told(f"{question} that does the same work", text, ours.median / same.median))
    return figures, [(f"{name}, {readers:,} readers", one.median) for name, one in found.items()]


def _requests(effort: Effort) -> Figure:
    seconds = effort.of(20, 5) / 10
    with served("list") as ours, ours.ask(ours.paths[0]) as connection:
        body = answered(connection)[1]
        with served("bare", body) as bare:
            sides = [Side("ours", lambda: requested(ours, seconds)), Side("bare", lambda: requested(bare, seconds))]
            found = interleaved(sides, effort.of(5, 1))
    text = f"{found['ours']} requests/s of 50 sessions, {len(body):,} bytes, against {found['bare']}"
    question = "GET /v1/sessions: share of a bare Litestar route that gives ready-made bytes"
    return told(question, text, found["ours"].median / found["bare"].median)


def _memory(events: int) -> list[Figure]:
    """What so many events in each of some sessions, each with a reader, leave in the memory of the server."""
    sizes = []
    with served("memory") as server, ExitStack() as stack:
        connections = [stack.enter_context(connection) for connection in server.streams(1)]
        for _ in range(4):
            for _ in range(4):  # no more under way than readers soon take
                server.publish(events // 16)
                count(connections, events // 16)
            sizes.append(server.resident() / 2**20)
    text = "MiB after each quarter: " + ", ".join(f"{size:.1f}" for size in sizes)
    question = f"memory after {events:,} events in each of {SESSIONS} sessions"
    return [
        told(f"{question}: times that after a quarter", text, sizes[3] / sizes[0]),
        at_most(f"{question}: times that after half", sizes[3] / sizes[1], 1.1, text),
    ]


# --- the servers ------------------------------------------------------------------------------------------------------


async def _serve(app: Any, paths: Sequence[str], headers: str = "", cursor: int = 0) -> None:
    config = uvicorn.Config(app, port=0, http=Bounded, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has nothing to wait for
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "paths": paths, "headers": headers, "cursor": cursor}), flush=True)
    await serving


async def _asked() -> AsyncIterator[list[int]]:
    """Numbers of events as they are asked for, in turns."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        whole, rest = divmod(int(line), TURN)
        yield [TURN] * whole + [rest] * (rest > 0)


async def _ours(kind: str, path: str) -> None:
    async with sessionry.open(f"sqlite:///{path}", worker=False) as sessions:
        made = [await sessions.create("echo", title=f"Session {number}") for number in range(50)]
        secret = new_secret()
        await sessions.execute(tokens.create(sessions.scope, "bench", [Permission.ADMIN], secret_hash(secret)))
        followed = [session.id for session in made[: SESSIONS if kind == "memory" else 1]]

        async def publish() -> None:
            async for turns in _asked():
                for turn in turns:
                    for id in followed:
                        await sessions.execute(operations.record(sessions.scope, id, [_DATA] * turn))

        task = asyncio.create_task(publish())
        paths = ["/v1/sessions"] if kind == "list" else [f"/v1/sessions/{id}/events" for id in followed]
        cursor = (await made[0].tail(1))[-1].seq
        app = Recorded(sessions) if kind == "recorded" else create_app(sessions).app
        await _serve(app, paths, f"Authorization: Bearer {secret}\r\n", cursor)
        task.cancel()


class Raw:
    """An ASGI app that sends each reader, in one chunk, all the ready-made events that it has not had yet."""

    def __init__(self, event: bytes) -> None:
        self._event = event
        self._count = 0
        self._grown = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        sending = asyncio.create_task(self._send(int(parse_qs(scope["query_string"])[b"after"][0]), send))
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

    async def _send(self, had: int, send: Any) -> None:
        while True:
            if had == self._count:
                await self._grown.wait()
            body, had = self._event * (self._count - had), self._count
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def publish(self) -> None:
        async for turns in _asked():
            for turn in turns:
                self._count += turn
                grown, self._grown = self._grown, asyncio.Event()
                grown.set()
                await asyncio.sleep(0)


class Recorded:
    """An ASGI app that sends each reader, in one chunk, all the events of our log that it has not had yet.

    The least that gives what we give: the same log, followed in the same way, and each event encoded once for all.
    """

    def __init__(self, sessions: sessionry.Sessions) -> None:
        self._sessions = sessions
        self._encoded = (("", ""), b"")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        after = int(parse_qs(scope["query_string"])[b"after"][0])
        sending = asyncio.create_task(self._send(scope["path"].split("/")[3], after, send))
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

    async def _send(self, session_id: str, after: int, send: Any) -> None:
        async with aclosing(self._sessions.logs.batches(session_id, after)) as batches:
            async for batch in batches:
                await send({"type": "http.response.body", "body": self._body(batch), "more_body": True})

    def _body(self, batch: list[ev.Event]) -> bytes:
        ends = batch[0].id, batch[-1].id
        if self._encoded[0] != ends:
            self._encoded = ends, b"".join(as_sse(event.to_dict(), event.seq) for event in batch)
        return self._encoded[1]


async def _raw(event: bytes) -> None:
    raw = Raw(event)
    task = asyncio.create_task(raw.publish())
    await _serve(raw, ["/"])
    task.cancel()


async def _bare(listed: bytes) -> None:
    @get("/list")
    async def route() -> Response[bytes]:
        return Response(listed, media_type="application/json")

    await _serve(Litestar([route], openapi_config=None, logging_config=None), ["/list"])


def main(kind: str, place: str) -> None:
    given = json.loads(sys.stdin.readline()).encode()
    if kind == "raw":
        asyncio.run(_raw(given))
    elif kind == "bare":
        asyncio.run(_bare(given))
    else:
        asyncio.run(_ours(kind, f"{place}/bench.db"))


if __name__ == "__main__":
    main(*sys.argv[1:])
