"""Which methods an address has: the answer to OPTIONS, right also where several handlers share an address.

HEAD is answered wherever GET is, with everything but the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send


class Methods:
    """A layer that answers OPTIONS, has HEAD answered as a GET, and hands everything else on."""

    def __init__(self, app: Litestar) -> None:
        self._app: ASGIApp = app
        found: dict[str, set[str]] = {}
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                found.setdefault(route.path, set()).update(route.methods)
        self._routes = [(_pattern(path), shown(methods).encode()) for path, methods in found.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method") if scope["type"] == ScopeType.HTTP else None
        if method == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))  # type: ignore[arg-type]
            return
        if method == "OPTIONS":
            allow = next((allow for pattern, allow in self._routes if pattern.fullmatch(scope["path"])), None)
            if allow is not None:
                await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        await self._app(scope, receive, send)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)) + "/?")


def shown(methods: Iterable[object]) -> str:
    """The value of `Allow` for an address that has handlers of these methods."""
    names = {str(getattr(method, "value", method)) for method in methods} | {"OPTIONS"}
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))


def _without_body(send: Send) -> Send:
    """The answer ends with its head: a stream is told that its reader has left before it has sent anything."""

    async def send_head(message: Any) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_head
