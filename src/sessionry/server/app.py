"""The application: every route, who may call it, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.datastructures import Cookie, State
from litestar.exceptions import HTTPException
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
from sessionry.server.runs import RunController
from sessionry.server.service import ServiceController
from sessionry.server.sessions import SessionController

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


def create_app(sessions: Sessions, *, hosts: Collection[str] = LOOPBACK, secure: bool = False) -> Served:
    """The ASGI application over an open store, which stays the caller's to close. `secure`: it is behind TLS."""
    doorkeeper = Doorkeeper(sessions)
    api = Litestar(
        route_handlers=[
            SessionController,
            RunController,
            EventController,
            ApprovalController,
            ServiceController,
            OperationController,
            exchange,
            read_openapi,
            dashboard,
            create_static_files_router("/static", [WEB], opt=_OPEN, include_in_schema=False),
        ],
        middleware=[DefineMiddleware(Authentication, exclude_from_auth_key="exclude_from_auth")],
        guards=[allowed],
        exception_handlers={
            SessionryError: problems.of_ours,
            HTTPException: problems.of_framework,
            Exception: problems.of_anything,
        },
        openapi_config=OpenAPIConfig(title="Sessionry", version="1", path=None, create_examples=False),
        request_max_body_size=LARGEST_BODY,
        state=State({"doorkeeper": doorkeeper, "secure": secure}),
        logging_config=None,
    )
    return Served(Gate(Methods(api), hosts), doorkeeper, api)


@get("/login", operation_id="exchange_token", opt=_OPEN, include_in_schema=False)
async def exchange(request: Request[Any, Any, Any], token: FromQuery[str]) -> Response[Any]:
    """Put the token of a printed address into a cookie, so that it is in no address after this one."""
    await request.app.state.doorkeeper.token(token)
    cookie = Cookie(
        key=COOKIE,
        value=token,
        httponly=True,
        samesite="strict",
        secure=request.app.state.secure,
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
