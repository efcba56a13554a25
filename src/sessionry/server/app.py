"""The application: every route, who may call it, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.params import FromQuery
from litestar.response import Redirect
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

from sessionry.domain.errors import SessionryError
from sessionry.runtime.sessions import Sessions
from sessionry.server import problems
from sessionry.server.access import COOKIE, PUBLIC, Authentication, Doorkeeper, Gate, allowed
from sessionry.server.approvals import ApprovalController
from sessionry.server.events import EventController
from sessionry.server.methods import Methods
from sessionry.server.openapi import described
from sessionry.server.operations import OperationController
from sessionry.server.queries import known
from sessionry.server.runs import RunController
from sessionry.server.service import ServiceController
from sessionry.server.sessions import SessionController
from sessionry.server.webhooks import WebhookController

#: Names under which a server on this machine is asked.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Bytes of a request's body.
LARGEST_BODY = 16 << 20
#: The dashboard's files.
WEB = Path(__file__).parent / "web"
_OPEN = {PUBLIC: True, "exclude_from_auth": True}


class Served:
    """The application, and what is to be closed with it."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper, api: Litestar) -> None:
        self.app = app
        self.api = api
        self._doorkeeper = doorkeeper

    async def close(self) -> None:
        await self._doorkeeper.close()


def create_app(sessions: Sessions, *, hosts: Collection[str] = LOOPBACK, quota: int | None = None) -> Served:
    """The ASGI application over an open store, which stays the caller's to close.

    `quota`: requests that each token may make in a minute.
    """
    doorkeeper = Doorkeeper(sessions, quota)
    api = Litestar(
        route_handlers=[
            SessionController,
            RunController,
            EventController,
            ApprovalController,
            ServiceController,
            OperationController,
            WebhookController,
            exchange,
            read_openapi,
            dashboard,
            create_static_files_router("/static", [WEB], opt=_OPEN, include_in_schema=False, guards=[_a_file]),
        ],
        middleware=[DefineMiddleware(Authentication, exclude_from_auth_key="exclude_from_auth")],
        guards=[allowed, known],
        exception_handlers={
            SessionryError: problems.of_ours,
            HTTPException: problems.of_framework,
            Exception: problems.of_anything,
        },
        openapi_config=OpenAPIConfig(title="Sessionry", version="1", path=None, create_examples=False),
        request_class=Asked,
        request_max_body_size=LARGEST_BODY,
        state=State({"doorkeeper": doorkeeper}),
        logging_config=None,
    )
    return Served(Gate(Methods(api), hosts), doorkeeper, api)


class Asked(Request[Any, Any, Any]):
    """A request whose body is JSON, or refused as what it is."""

    async def json(self) -> Any:
        kind = self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise HTTPException(f"the body must be application/json, not {kind}", status_code=415)
        try:
            return await super().json()
        except (RecursionError, UnicodeDecodeError) as error:
            raise HTTPException(f"the body is no JSON that can be read: {error}", status_code=400) from None


def _a_file(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard against names that no file has, over which the system would stumble."""
    path = connection.scope["path"]
    if "\0" in path or len(path) > 200:
        raise NotFoundException


@get("/login", operation_id="exchange_token", opt=_OPEN, include_in_schema=False)
async def exchange(request: Request[Any, Any, Any], token: FromQuery[str]) -> Response[Any]:
    """Put the token of a printed address into a cookie, so that it is in no address after this one."""
    await request.app.state.doorkeeper.token(token)
    cookie = Cookie(
        key=COOKIE,
        value=token,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        max_age=30 * 86_400,
        path="/",
    )
    return Redirect("/", cookies=[cookie], headers={"Cache-Control": "no-store"})


@get("/", operation_id="dashboard", opt=_OPEN, include_in_schema=False, media_type="text/html")
async def dashboard() -> Response[bytes]:
    """The page that everything else of the dashboard is loaded from. There is nothing of anybody in it."""
    return Response(_page(), media_type="text/html", headers={"Cache-Control": "no-cache"})


@cache
def _page() -> bytes:
    return (WEB / "index.html").read_bytes()


@get("/openapi.json", operation_id="read_openapi", opt=_OPEN, include_in_schema=False)
async def read_openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The description of this interface (OpenAPI 3.1)."""
    return Response(msgspec.json.encode(described(request.app)), media_type="application/json")
