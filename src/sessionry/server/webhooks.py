"""`/v1/webhooks`: addresses that are told of events, and what they have not taken."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from sessionry.domain.token import Permission
from sessionry.domain.webhook import NoticeStatus, Webhook
from sessionry.runtime.webhook_handles import WebhookHandle
from sessionry.server import bodies
from sessionry.server.access import NEEDS, caller_of
from sessionry.server.paging import answer, listed, opened
from sessionry.server.sessions import Id, Limit, Req

Status = Annotated[NoticeStatus | None, QueryParameter(description="Only those in this status.")]


class WebhookController(Controller):
    """Webhooks."""

    path = "/v1/webhooks"
    tags = ["webhooks"]  # noqa: RUF012  the framework's own way
    opt = {NEEDS: Permission.ADMIN}  # noqa: RUF012

    @get(operation_id="list_webhooks")
    async def list_webhooks(self, request: Req) -> Response[bytes]:
        """The webhooks of the caller's scope, oldest first."""
        return answer({"items": [_shown(request, each) for each in await caller_of(request).sessions.webhooks()]})

    @post(operation_id="create_webhook")
    async def create_webhook(self, request: Req, data: JSONBody[bodies.CreateWebhook]) -> Response[bytes]:
        """A webhook for what happens from now on. Its secret is in this answer and nowhere else."""
        sessions = caller_of(request).sessions
        made, secret = await sessions.create_webhook(data.url, types=data.types, description=data.description)
        headers = {"Location": f"/v1/webhooks/{quote(made.id, safe='')}", "Cache-Control": "no-store"}
        return answer(_shown(request, made) | {"secret": secret}, 201, headers)

    @get("/{webhook_id:str}", operation_id="read_webhook")
    async def read_webhook(self, request: Req, webhook_id: Id) -> Response[bytes]:
        """A webhook as it is now: whether it works, and how much it has not taken."""
        return answer(_shown(request, await _handle(request, webhook_id).get()))

    @patch("/{webhook_id:str}", operation_id="update_webhook")
    async def update_webhook(
        self, request: Req, webhook_id: Id, data: JSONBody[bodies.UpdateWebhook]
    ) -> Response[bytes]:
        """Replace some of its fields. One that is enabled again goes on where it stopped."""
        return answer(_shown(request, await _handle(request, webhook_id).update(**data.changes())))

    @delete("/{webhook_id:str}", operation_id="delete_webhook", status_code=200)
    async def delete_webhook(self, request: Req, webhook_id: Id) -> Response[bytes]:
        """Remove it, with what it has not taken."""
        return answer(_shown(request, await _handle(request, webhook_id).delete()))

    @get("/{webhook_id:str}/notices", operation_id="list_notices")
    async def list_notices(
        self,
        request: Req,
        webhook_id: Id,
        status: Status = None,
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """What it has not taken, oldest first: `pending` will be tried again, `dead` was given up."""
        page = await _handle(request, webhook_id).notices(status=status, limit=limit, cursor=opened(request, cursor))
        return listed(request, page)

    @post("/{webhook_id:str}/retry", operation_id="retry_notices", status_code=200)
    async def retry_notices(self, request: Req, webhook_id: Id) -> Response[bytes]:
        """Let everything that was given up be tried again."""
        return answer({"notices": await _handle(request, webhook_id).retry()})

    @post("/{webhook_id:str}/notices/{notice_id:str}/retry", operation_id="retry_notice", status_code=200)
    async def retry_notice(self, request: Req, webhook_id: Id, notice_id: Id) -> Response[bytes]:
        """Let one notice be tried again, now and from the beginning."""
        return answer({"notices": await _handle(request, webhook_id).retry(notice_id)})

    @post("/{webhook_id:str}/replay", operation_id="replay_webhook", status_code=200)
    async def replay_webhook(self, request: Req, webhook_id: Id, data: JSONBody[bodies.Replay]) -> Response[bytes]:
        """Tell it again of all that came after a cursor of `/v1/events`; a later one than its own skips what is between."""
        after = caller_of(request).cursors.place(data.after, "body.after")
        return answer(_shown(request, await _handle(request, webhook_id).replay(after)))


def _handle(request: Req, webhook_id: str) -> WebhookHandle:
    return caller_of(request).sessions.webhook(webhook_id)


def _shown(request: Req, webhook: Webhook) -> dict[str, Any]:
    return caller_of(request).cursors.webhook(webhook)
