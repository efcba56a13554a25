"""Which methods an address has: the answer to OPTIONS, right also where several handlers share an address."""

from __future__ import annotations

import re
from collections.abc import Iterable

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send


class Methods:
    """A layer that answers OPTIONS and hands everything else on."""

    def __init__(self, app: Litestar) -> None:
        self._app: ASGIApp = app
        found: dict[str, set[str]] = {}
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                found.setdefault(route.path, set()).update(route.methods)
        self._routes = [(_pattern(path), _shown(methods)) for path, methods in found.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope.get("method") == "OPTIONS":
            allow = next((allow for pattern, allow in self._routes if pattern.fullmatch(scope["path"])), None)
            if allow is not None:
                await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        await self._app(scope, receive, send)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)) + "/?")


def _shown(methods: Iterable[object]) -> bytes:
    names = {str(getattr(method, "value", method)) for method in methods} | {"OPTIONS"}
    return ", ".join(sorted(names)).encode()
