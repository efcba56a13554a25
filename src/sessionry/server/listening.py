"""The listening side: uvicorn, whose signals are ours, and which cuts the streams before it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sessionry.server.app import Served
from sessionry.server.streams import ABORT

#: Seconds for which requests at work are waited for when the server ends.
_GRACE = 5
#: Bytes that the first line and the headers of a request may have.
_HEAD = 1 << 16


class Bounded(HttpToolsProtocol):
    """Takes no more than `_HEAD` bytes before the body of a request: the parser itself would gather them without end."""

    _in_head = False
    _gathered = 0

    def on_message_begin(self) -> None:
        self._in_head, self._gathered = True, 0
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._gathered += len(data)
        if self._in_head and self._gathered > _HEAD and not self.transport.is_closing():
            self.send_400_response("The headers of the request are too large.")


class Listener(uvicorn.Server):
    """Serves until `should_exit` is set. `began` is told the port once it listens."""

    def __init__(self, served: Served, *, began: Callable[[int], None] = lambda _: None, **config: Any) -> None:
        super().__init__(
            uvicorn.Config(
                served.app,
                http=Bounded,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(config.get("forwarded_allow_ips")),
                timeout_graceful_shutdown=_GRACE,
                **config,
            )
        )
        self._began = began
        self._close: Callable[[], Awaitable[None]] = served.close

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._began(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: Any = None) -> None:
        await self._close()
        await super().shutdown(sockets)
