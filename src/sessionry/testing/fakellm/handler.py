"""The server's side of one HTTP connection."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import msgspec

from sessionry.testing.fakellm.answer import Answer, answer, aside
from sessionry.testing.fakellm.asked import Asked, due
from sessionry.testing.fakellm.body import BadRequest, read_body
from sessionry.testing.fakellm.connection import unread
from sessionry.testing.fakellm.protocol import Failure, Frame, ModelProtocol, new_id
from sessionry.testing.fakellm.received import Received
from sessionry.testing.fakellm.routes import Counted, Listed, Nowhere, is_aside, route
from sessionry.testing.fakellm.script import BadScript, parsed

if TYPE_CHECKING:
    from sessionry.testing.fakellm.server import Backstage


class _Dropped(Exception):
    """The script cuts the connection."""


class _Stopped(Exception):
    """The server is being closed."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "scripted-model"
    disable_nagle_algorithm = True

    @property
    def backstage(self) -> Backstage:
        found: Backstage = self.server.backstage  # type: ignore[attr-defined]  # HttpServer has one
        return found

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came is in `requests`."""

    def do_HEAD(self) -> None:
        self._send(200, b"", "text/plain")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            return self._json(200, {"ok": True})
        if path == "/__log":
            return self._json(200, msgspec.to_builtins(self.backstage.inbox.requests()))
        request = self._received()
        found = route(path)
        if isinstance(found, Listed):
            request.status, request.ended = 200, "answered"
            self._json(200, found.body(self.backstage.models))
        else:
            self._refuse(request, found.protocol.failed(Failure(404, f"no {path} here")), 404)
        return self.backstage.inbox.changed()

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/__"):
            return self._manage(path)
        request = self._received()
        try:
            self._answer(request, path)
        except _Dropped:
            request.ended = "dropped"
            self._cut()
        except _Stopped:
            request.ended = "stopped"
            self._cut()
        except OSError:
            request.ended = "client_gone"
            self.close_connection = True
        finally:
            self.backstage.inbox.changed()

    def _received(self) -> Received:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self.backstage.inbox.add(self.command, self.path, headers)

    def _manage(self, path: str) -> None:
        """What a server that runs as a program of its own is told."""
        try:
            body = json.loads(read_body(self.headers, self.rfile) or b"{}")
            if path == "/__reset":
                self.backstage.inbox.clear()
            elif path == "/__scenarios":
                self.backstage.scenarios.update({name: parsed(steps) for name, steps in body.items()})
            else:
                raise BadRequest(404, f"no {path} here")
        except (BadRequest, ValueError, AttributeError) as error:
            return self._json(getattr(error, "status", 400), {"error": {"message": str(error)}})
        return self._json(200, {})

    def _answer(self, request: Received, path: str) -> None:
        found = route(path)
        try:
            raw = read_body(self.headers, self.rfile)
            request.body = json.loads(raw or b"{}")
            if isinstance(found, Nowhere):
                raise BadRequest(404, f"no {path} here")
            if self.backstage.key is not None and not self._has_key(self.backstage.key):
                raise BadRequest(401, "invalid x-api-key")
            if isinstance(found, Counted):
                request.status, request.ended = 200, "answered"
                return self._json(200, found.body(len(raw)))
            assert not isinstance(found, Listed)
            asked = _understood(found.protocol, path, request)
            said = self._due(request, asked)
        except (BadRequest, BadScript, ValueError) as error:
            self.close_connection = isinstance(error, BadRequest) and error.status == 413
            failure = Failure(getattr(error, "status", 400), str(error))
            return self._refuse(request, found.protocol.failed(failure), failure.status)
        return self._play(request, found.protocol, said)

    def _due(self, request: Received, asked: Asked) -> Answer:
        request.tried = self.backstage.inbox.tried(self.path, request.body)
        request.aside = is_aside(asked, request.headers.get("user-agent", ""))
        self.backstage.inbox.changed()
        if request.aside:
            return aside(asked)
        found = due(asked, self.backstage.scenarios)
        request.script, request.turn = found.script, found.turn
        if found.step.times is not None and request.tried > found.step.times:
            found = found._replace(step=found.step.after_failures())
        return answer(asked, found)

    def _has_key(self, key: str) -> bool:
        given = (self.headers.get(name, "") for name in ("x-api-key", "x-goog-api-key", "authorization"))
        return key in [value.removeprefix("Bearer ") for value in given] or f"key={key}" in self.path

    def _play(self, request: Received, protocol: ModelProtocol, said: Answer) -> None:
        step = said.step
        self._wait(step.hang)
        if step.error is not None:
            failure = Failure(step.error, step.message or f"scripted {step.error}", step.code)
            again = {} if step.retry_after is None else {"retry-after": f"{step.retry_after:g}"}
            return self._refuse(request, protocol.failed(failure), step.error, {**again, **step.headers})
        request.status = 200
        if request.stream:
            self._stream(protocol, said)
        else:
            self._wait(step.stall + step.delay * len(said.pieces))
            if step.drop:
                raise _Dropped
            self._json(200, protocol.whole(said), step.headers)
        request.ended = "answered"
        return None

    def _stream(self, protocol: ModelProtocol, said: Answer) -> None:
        self.send_response(200)
        for name, value in {**_EVENT_STREAM, "request-id": new_id("req"), **said.step.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        step, pieces = said.step, 0
        for sent, frame in enumerate(protocol.stream(said)):
            if frame.piece:
                self._wait(step.delay)
                pieces += 1
            self._frame(frame)
            if (frame.piece and pieces == 1) or (not said.pieces and sent == 0):
                self._wait(step.stall)
                if step.drop:
                    self._wait_until_read()
                    raise _Dropped
            if step.sse_error and pieces == len(said.pieces):
                message = step.message or "scripted error in the middle of the stream"
                self._frame(protocol.broken(said, Failure(500, message, step.code), sent + 1))
                break
        self.wfile.write(b"0\r\n\r\n")

    def _frame(self, frame: Frame) -> None:
        event = f"event: {frame.event}\n" if frame.event else ""
        data = frame.data if isinstance(frame.data, str) else json.dumps(frame.data)
        sent = f"{event}data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent))

    def _refuse(self, request: Received, body: Any, status: int, headers: Mapping[str, str] | None = None) -> None:
        request.status, request.ended = status, "refused"
        self._json(status, body, headers)

    def _json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        own = {"content-type": kind, "content-length": str(len(body)), "request-id": new_id("req")}
        for name, value in {**own, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _wait(self, seconds: float) -> None:
        """Wait, unless the client goes or the server is closed."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as watched:
            watched.register(self.connection, selectors.EVENT_READ)
            watched.register(self.backstage.closing, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0:
                ready = [key.fileobj for key, _ in watched.select(left)]
                if self.backstage.closing in ready:
                    raise _Stopped
                if self.connection in ready:
                    if not self.connection.recv(1, socket.MSG_PEEK):
                        raise ConnectionResetError("the client has gone")
                    watched.unregister(self.connection)  # it sent its next request early

    def _wait_until_read(self) -> None:
        """What the client has not taken yet would be lost with the connection, or not, by chance."""
        until = time.monotonic() + _PATIENCE
        while unread(self.connection) and time.monotonic() < until:
            self._wait(_MOMENT)
        self._wait(10 * _MOMENT)  # and has to be handed on inside of it

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may have been faster
            self.connection.shutdown(socket.SHUT_RDWR)


#: Seconds for a client to take what was sent, and between two looks.
_PATIENCE, _MOMENT = 30.0, 0.01
_EVENT_STREAM = {"content-type": "text/event-stream", "cache-control": "no-cache", "transfer-encoding": "chunked"}


def _understood(protocol: ModelProtocol, path: str, request: Received) -> Asked:
    try:
        asked = protocol.asked(path, request.body)
    except (KeyError, TypeError, AttributeError) as error:
        message = f"this is no request of the protocol {protocol.name}: {error!r}"
        raise BadRequest(400, message) from error
    request.protocol, request.model, request.stream = protocol.name, asked.model, asked.stream
    request.prompts, request.tools, request.images = asked.prompts, asked.tools, asked.images
    return asked
