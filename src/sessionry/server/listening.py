"""The listening side: uvicorn, whose signals are ours, and which cuts the streams before it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sessionry.server.app import Served
from sessionry.server.streams import ABORT

#: Seconds for which requests at work are waited for when the server ends.
_GRACE = 5
#: Bytes that the first line and the headers of a request may have.
_HEAD = 1 << 16
#: Seconds for which what still comes of a request that was answered already, as one that is too big, is thrown away.
LINGER = 5.0


class Bounded(HttpToolsProtocol):
    """Takes no more than `_HEAD` bytes before the body of a request: the parser itself would gather them without end.
    Cuts who goes on sending a body long after the answer to it.
    """

    _in_head = False
    _in_message = False
    _gathered = 0

    def on_message_begin(self) -> None:
        self._in_head, self._in_message, self._gathered = True, True, 0
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message and self.cycle.response_complete:
            self.loop.call_later(LINGER, self._cut, self.cycle)

    def _cut(self, answered: RequestResponseCycle) -> None:
        if self._in_message and self.cycle is answered:
            self.transport.abort()

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
