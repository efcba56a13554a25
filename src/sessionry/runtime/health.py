"""How a worker is, over HTTP, for whoever watches over processes: `/healthz`, `/readyz`, `/metrics`, and nothing else.

    GET /healthz   200 as long as the event loop turns
    GET /readyz    200 while it takes runs: its lease is renewed, the store answers, nobody has told it to leave; else 503
    GET /metrics   its load, in Prometheus' text format

It is a few lines on a socket: no framework is loaded, and nothing is read but the first line of a request and its headers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from sessionry.domain.codec import encode_json
from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.ports import Store
from sessionry.runtime.worker import LAST_MOMENT, Worker
from sessionry.store.operations import reading

#: Seconds that a client may take for its request, and the store for its answer.
PATIENCE = 3.0
_METHODS = ("GET", "HEAD")
_JSON, _METRICS = "application/json", "text/plain; version=0.0.4; charset=utf-8"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Health:
    """What is told of one worker."""

    def __init__(self, worker: Worker, store: Store) -> None:
        self._worker = worker
        self._store = store

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Answer at that address; the port, which 0 leaves to the system. Raises `invalid_configuration`."""
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=16_384)
        except OSError as error:
            problem = f"the worker's health cannot be told at {host}:{port}: {error.strerror or error}"
            raise InvalidInput("invalid_configuration", problem, details={"option": "--health"}) from None
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(PATIENCE * 2):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.decode("latin-1").split("\r\n")[0].split(" ")
                status, media, body = await self._answer(method, path.partition("?")[0])
                writer.write(_response(status, media, body, with_body=method != "HEAD"))
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answer(self, method: str, path: str) -> tuple[HTTPStatus, str, str]:
        if method not in _METHODS:
            return HTTPStatus.METHOD_NOT_ALLOWED, _JSON, encode_json({"status": "only GET is answered"})
        match path:
            case "/healthz":
                return HTTPStatus.OK, _JSON, encode_json({"status": "ok", "worker": self._worker.id})
            case "/readyz":
                why = await self.unready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
                return status, _JSON, encode_json({"status": why or "ok", "worker": self._worker.id})
            case "/metrics":
                return HTTPStatus.OK, _METRICS, self.metrics()
        return HTTPStatus.NOT_FOUND, _JSON, encode_json({"status": "there are /healthz, /readyz and /metrics"})

    async def unready(self) -> str | None:
        """Why it takes no runs, or could not say what comes of them; None when all is well."""
        if self._worker.draining:
            return "draining"
        if self._worker.since_renewal > self._worker.options.lease * LAST_MOMENT:
            return "the lease was not renewed"
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store.execute(reading.last_position())
        except (SessionryError, TimeoutError):
            return "the store does not answer"
        return None

    def metrics(self) -> str:
        """Gauges, and a counter of the attempts that were begun."""
        worker, name = self._worker, "sessionry_worker"
        samples = (
            (f"{name}_slots", "gauge", "Runs that it works on at once, at most.", worker.options.slots),
            (f"{name}_runs", "gauge", "Runs that it works on.", worker.at_work),
            (f"{name}_attempts_total", "counter", "Attempts at runs that it has begun.", worker.begun),
            (f"{name}_draining", "gauge", "1 when it takes no more runs.", int(worker.draining)),
            (f"{name}_lease_seconds", "gauge", "The length of its lease.", worker.options.lease),
            (f"{name}_since_renewal_seconds", "gauge", "Since its lease was renewed.", round(worker.since_renewal, 3)),
            ("process_resident_memory_bytes", "gauge", "Memory, without that of agents' programs.", _memory()),
        )
        lines = []
        for metric, kind, help, value in samples:
            lines += [f"# HELP {metric} {help}", f"# TYPE {metric} {kind}", f'{metric}{{worker="{worker.id}"}} {value}']
        return "\n".join([*lines, ""])


def _response(status: HTTPStatus, media: str, body: str, *, with_body: bool) -> bytes:
    content = body.encode()
    allow = f"Allow: {', '.join(_METHODS)}\r\n" if status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {media}\r\nContent-Length: {len(content)}\r\n{allow}"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (content if with_body else b"")


def _memory() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return 0
