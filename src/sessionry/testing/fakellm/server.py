"""A server that is a language model to those who ask, and says what scripts tell it. Loopback only, nothing but threads.

with ModelServer() as server:
    # OPENAI_BASE_URL=f"{server.url}/v1", ANTHROPIC_BASE_URL=server.url, GOOGLE_GEMINI_BASE_URL=server.url
    ...
    assert server.requests[0].model == "gpt-5"
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import HTTPServer
from socketserver import TCPServer
from typing import Any, Self

from sessionry.testing.fakellm.handler import Handler
from sessionry.testing.fakellm.received import Inbox, Received
from sessionry.testing.fakellm.script import Script, Step, parsed

MODELS = ("scripted-model", "claude-opus-4-5", "claude-sonnet-4-5", "gpt-5", "gpt-5-codex", "gemini-2.5-flash")
#: Seconds between two looks whether the server is to be closed; seconds for its threads to end then.
_LOOK, _PATIENCE = 0.05, 10.0


class Backstage:
    """What the connections of a server share. `closing` becomes readable when it is closed."""

    def __init__(self, scenarios: Mapping[str, Any], key: str | None, models: Sequence[str]) -> None:
        self.inbox = Inbox()
        self.scenarios: dict[str, Script] = {"default": [Step(text="echo: {last_user}")]}
        self.scenarios |= {name: parsed(steps) for name, steps in scenarios.items()}
        self.key = key
        self.models = models
        self.closing, self._close = socket.socketpair()

    def stop(self) -> None:
        self._close.close()

    def close(self) -> None:
        self._close.close()
        self.closing.close()


class HttpServer(HTTPServer):
    """A thread for each connection; all of them end with the server."""

    request_queue_size = 128

    def __init__(self, port: int, backstage: Backstage) -> None:
        self.backstage = backstage
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's looks up a name, which takes its time without a network
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections = {thread: open for thread, open in self._connections.items() if thread.is_alive()}
        thread = threading.Thread(target=self._serve, args=(request, client_address), name="model-server", daemon=True)
        self._connections[thread] = request
        thread.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        # A client that goes away in the middle of a line is none of our errors.
        with contextlib.suppress(OSError):
            self.finish_request(request, client_address)
        self.shutdown_request(request)

    def hang_up(self) -> None:
        for thread, open in self._connections.items():
            with contextlib.suppress(OSError):
                open.shutdown(socket.SHUT_RDWR)
            thread.join(_PATIENCE)


class ModelServer:
    """The server; it serves from `start` to `close`, or as a context manager.

    `scenarios` are scripts by name (as JSON values), for prompts with `#script:NAME`; the one called `default` answers
    prompts that ask for none, and echoes unless it is given. With `key`, any other key of an API is refused with 401.
    """

    def __init__(
        self,
        scenarios: Mapping[str, Any] | None = None,
        *,
        port: int = 0,
        key: str | None = None,
        models: Sequence[str] = MODELS,
    ) -> None:
        self._backstage = Backstage(scenarios or {}, key, models)
        self._port = port
        self._http: HttpServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        self._http = HttpServer(self._port, self._backstage)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_LOOK,), name="model-server", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """End all connections, the hanging ones too, and all threads. Closing twice is fine."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._thread.join(_PATIENCE)
            self._backstage.stop()
            self._http.hang_up()
            self._http.server_close()
            self._http = None
        self._backstage.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Without `/v1`, which the clients of OpenAI's APIs want at its end and the others add themselves."""
        if self._http is None:
            raise RuntimeError("this server does not run")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def requests(self) -> list[Received]:
        """What came so far, oldest first. A request changes while it is being answered."""
        return self._backstage.inbox.requests()

    @property
    def asked(self) -> list[Received]:
        """The requests to the model among them, without the agents' side requests."""
        return [request for request in self.requests if request.protocol is not None and not request.aside]

    def wait_for(self, wanted: Callable[[Received], bool], *, timeout: float = 30) -> Received:
        """The first request for which `wanted` is true, when there is one. Blocks; raises TimeoutError."""
        return self._backstage.inbox.wait_for(wanted, timeout)

    def script(self, name: str, steps: Any) -> None:
        """Add a script, or replace it. Raises `BadScript`."""
        self._backstage.scenarios[name] = parsed(steps)

    def reset(self) -> None:
        """Forget the requests, and how often each was tried."""
        self._backstage.inbox.clear()
