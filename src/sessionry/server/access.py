"""Who asks, and what they may do: from the token of a request to the sessions in its scope.

Everything but the health checks and the exchange of a token for a cookie needs a token: `Authorization: Bearer`, or the
cookie of a browser. A request that names another host than ours is refused before anything else (a page of a stranger that
has its name point at this machine could talk with us otherwise), and so is one that a page of another origin has sent.
"""

from __future__ import annotations

import hmac
import math
import re
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp, Receive, Scope, Send

from sessionry.domain.errors import SessionryError
from sessionry.domain.scope import Scope as Whose
from sessionry.domain.token import Permission, Token, secret_hash
from sessionry.runtime.sessions import Sessions
from sessionry.server.cursors import Cursors
from sessionry.server.in_flight import OneAtATime
from sessionry.server.limits import Left, Limits
from sessionry.server.problems import MEDIA_TYPE, problem
from sessionry.server.streams import LOOK, Encode, Pieces
from sessionry.store.operations import tokens
from sessionry.store.operations.secrets import secret

#: The browser's.
COOKIE = "sessionry"
#: `opt` of a handler that anybody may call, and of one that needs more than to read.
PUBLIC, NEEDS = "public", "needs"
#: Where a request's scope has what is left to its token.
_LIMITS = "sessionry.limits"
#: The name of the secret that cursors are hidden with.
_CURSORS = "cursors"
#: Looks at tokens of streams that are remembered; older ones are forgotten when there are more.
_MOST = 10_000
#: Methods that change nothing.
_SAFE = ("GET", "HEAD", "OPTIONS")


class Doorkeeper:
    """Knows tokens, and has the sessions of each scope at hand."""

    def __init__(self, sessions: Sessions, quota: int | None = None) -> None:
        self.sessions = sessions
        self.limits = Limits(quota)
        self._scopes: dict[Whose, Sessions] = {}
        self._looked: dict[str, float] = {}
        self._cursors: dict[Whose, Cursors] = {}
        #: for as long as anybody reads them: each may be as large as `streams.KEPT`, and there may be many scopes
        self._pieces: WeakValueDictionary[tuple[Whose, str], Pieces] = WeakValueDictionary()
        #: the server ends: streams are cut, so that their readers come again elsewhere
        self.closing = False

    async def token(self, secret: str) -> Token:
        """The good token of that secret. Raises `unauthenticated`."""
        token = await self._good(secret_hash(secret))
        if token is None:
            raise _unauthenticated("the token is unknown, expired or revoked; make one with `sessionry tokens create`")
        return token

    async def still_good(self, hash: str) -> bool:
        """Whether the token of an open stream is good; looked up once for all its streams, every few seconds."""
        now = time.monotonic()
        if now - self._looked.get(hash, -math.inf) < LOOK:
            return True
        if len(self._looked) >= _MOST:
            self._looked = {hash: at for hash, at in self._looked.items() if now - at < LOOK}
        self._looked[hash] = now
        with suppress(SessionryError):  # a store that cannot answer now says nothing about the token
            if await self._good(hash) is None:
                self._looked.pop(hash, None)  # another stream, whose look took long, may have done so
                return False
        return True

    async def _good(self, hash: str) -> Token | None:
        return await self.sessions.execute(tokens.of_hash(hash))

    def pieces(self, caller: Caller, kind: str, encode: Encode) -> Pieces:
        """The newest events as readers of that kind get them, in the caller's scope."""
        return self._pieces.setdefault((caller.token.scope, kind), Pieces(encode))

    async def cursors(self, scope: Whose) -> Cursors:
        """The cursors of that scope."""
        if scope not in self._cursors:
            key = await self.sessions.execute(secret(_CURSORS))
            self._cursors[scope] = Cursors(key, scope)
        return self._cursors[scope]

    def within(self, scope: Whose) -> Sessions:
        """The store as that scope sees it."""
        if scope not in self._scopes:
            self._scopes[scope] = self.sessions.of(scope)
            self._scopes[scope].store = OneAtATime(self.sessions.store)
        return self._scopes[scope]

    async def close(self) -> None:
        """Cut every stream."""
        self.closing = True
        for sessions in self._scopes.values():
            await sessions.logs.feed.close()


class Caller:
    """Whoever sent the request."""

    def __init__(self, token: Token, hash: str, sessions: Sessions, cursors: Cursors) -> None:
        self.token = token
        self.cursors = cursors
        #: what is kept of the token's secret
        self.hash = hash
        #: the store in the caller's scope: no handler has any other
        self.sessions = sessions

    @property
    def name(self) -> str:
        """What the log says of who did it."""
        return self.token.scope.user or self.token.name


class Authentication(AbstractAuthenticationMiddleware):
    """Puts the `Caller` into `request.user`."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        doorkeeper: Doorkeeper = connection.app.state.doorkeeper
        shown = _secret(connection)
        token = await doorkeeper.token(shown)
        connection.scope[_LIMITS] = doorkeeper.limits.left(token.id)  # type: ignore[literal-required]
        connection.scope[_LIMITS] = doorkeeper.limits.take(token.id)  # type: ignore[literal-required]
        where = connection.client.host if connection.client else "nowhere"
        sessions = doorkeeper.within(token.scope).acting(token.name, f"http {where} {token.id}")
        caller = Caller(token, secret_hash(shown), sessions, await doorkeeper.cursors(token.scope))
        return AuthenticationResult(user=caller, auth=token)


def _secret(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    header = connection.headers.get("authorization")
    if header is not None:
        kind, _, secret = header.partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise _unauthenticated("the Authorization header must be: Bearer TOKEN")
        return secret.strip()
    cookie = connection.cookies.get(COOKIE)
    if cookie is None:
        raise _unauthenticated("a token is needed, as the header Authorization: Bearer TOKEN")
    return cookie


def _unauthenticated(problem: str) -> SessionryError:
    return SessionryError("unauthenticated", problem)


def allowed(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: the caller's token must be enough for what the handler needs. Raises `forbidden`."""
    if handler.opt.get(PUBLIC) or "user" not in connection.scope:  # OPTIONS tells what there is, to anybody
        return
    needed: Permission = handler.opt.get(NEEDS, Permission.READ)
    caller: Caller = connection.user
    if not caller.token.allows(needed):
        has = ", ".join(caller.token.permissions)
        raise SessionryError(
            "forbidden",
            f"this needs the permission {needed}; the token {caller.token.name!r} has {has}",
            details={"needs": needed.value},
        )


def refuse_all_but_the_operator(request: Request[Any, Any, Any]) -> None:
    """What works for everybody is for whoever runs the server: tokens as wide as its own scope. Raises `forbidden`."""
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    own, asking = doorkeeper.sessions.scope, caller_of(request).token.scope
    if asking.tenant != own.tenant or asking.user not in (None, own.user):
        raise SessionryError("forbidden", "workers work for everybody, and are not yours to send away")


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """The caller of an authenticated request."""
    caller: Caller = request.user
    return caller


class Gate:
    """The outermost layer: refuses hosts and origins that are not ours, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:  # the start and the end of the server; there are no websockets here
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if not self._ours(host):
            await _refuse(send, f"the host {host!r} is not this server's; allow it with --allow-host")
            return
        if sum(name.lower() == b"host" for name, _ in scope["headers"]) > 1:
            await _refuse(send, "a request has one Host header")
            return
        if refusal := _foreign(str(scope.get("method")), headers, host):
            await _refuse(send, refusal)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                left: Left | None = scope.get(_LIMITS)  # type: ignore[assignment]
                message["headers"] = [*message["headers"], *(left.headers() if left else ())]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in _HEADERS if name not in present),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        name = (found["six"] or found["name"]).lower() if found else ""
        return any(hmac.compare_digest(name.encode(), known.encode()) for known in self._hosts) or "*" in self._hosts


#: A name or an address, and perhaps a port: nothing else that a URL may hold.
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@/?#\s]+))(?::[0-9]*)?")
#: Nothing of ours is framed, sniffed or told to others; pages load from here alone.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none';"
        b" base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    ),
)


def _foreign(method: str, headers: dict[bytes, str], host: str) -> str | None:
    """Why the request is of a page of another origin; None when it is not. A program sends neither header."""
    site = headers.get(b"sec-fetch-site")
    origin = headers.get(b"origin")
    if method in _SAFE:
        return None
    if site is not None and site not in ("same-origin", "none"):
        return "a page of another site may not change anything here"
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        return f"the origin {origin!r} is not this server's"
    return None


async def _refuse(send: Send, detail: str) -> None:
    body = msgspec.json.encode(problem(403, "forbidden", detail))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
