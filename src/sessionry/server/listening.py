"""The listening side: uvicorn, whose signals are ours, and which cuts the streams before it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from sessionry.server.app import Served

#: Seconds for which requests at work are waited for when the server ends.
_GRACE = 5


class Listener(uvicorn.Server):
    """Serves until `should_exit` is set. `began` is told the port once it listens."""

    def __init__(self, served: Served, *, began: Callable[[int], None] = lambda _: None, **config: Any) -> None:
        super().__init__(
            uvicorn.Config(
                served.app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
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
