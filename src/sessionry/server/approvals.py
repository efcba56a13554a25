"""`/v1/approvals`: the questions of agents, over all sessions, and the one answer to each."""

from __future__ import annotations

from typing import Literal

from litestar import Controller, Response, get, post
from litestar.params import FromQuery, JSONBody

from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.token import Permission
from sessionry.server import bodies
from sessionry.server.access import NEEDS, caller_of
from sessionry.server.paging import answer, idempotency_key, listed, opened
from sessionry.server.sessions import Id, Limit, Req
from sessionry.store.operations import approvals

ApprovalOrder = Literal["requested", "-requested"]
_APPROVE = {NEEDS: Permission.APPROVE}


class ApprovalController(Controller):
    """Approvals."""

    path = "/v1/approvals"
    tags = ["approvals"]  # noqa: RUF012  the framework's own way

    @get(operation_id="list_approvals")
    async def list_approvals(
        self,
        request: Req,
        status: FromQuery[list[ApprovalStatus] | None] = None,
        session: FromQuery[str | None] = None,
        order: FromQuery[ApprovalOrder] = "requested",
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """Questions, the oldest first, or as `order` says; those that wait, unless another status is asked for."""
        sessions = caller_of(request).sessions
        page = await sessions.execute(
            approvals.list_approvals(
                sessions.scope,
                status=[ApprovalStatus.PENDING] if status is None else status,
                session_id=session,
                order=order,
                limit=limit,
                cursor=opened(request, cursor),
            )
        )
        return listed(request, page)

    @get("/{approval_id:str}", operation_id="read_approval")
    async def read_approval(self, request: Req, approval_id: Id) -> Response[bytes]:
        """A question as it is now."""
        return answer(await caller_of(request).sessions.approval(approval_id).get())

    @post("/{approval_id:str}/approve", operation_id="approve", opt=_APPROVE, status_code=200)
    async def approve(
        self, request: Req, approval_id: Id, data: JSONBody[bodies.Decide | None] = None
    ) -> Response[bytes]:
        """Say yes."""
        return await _decided(request, approval_id, data, yes=True)

    @post("/{approval_id:str}/deny", operation_id="deny", opt=_APPROVE, status_code=200)
    async def deny(self, request: Req, approval_id: Id, data: JSONBody[bodies.Decide | None] = None) -> Response[bytes]:
        """Say no."""
        return await _decided(request, approval_id, data, yes=False)


async def _decided(request: Req, approval_id: str, data: bodies.Decide | None, *, yes: bool) -> Response[bytes]:
    caller = caller_of(request)
    handle = caller.sessions.approval(approval_id)
    decide = handle.approve if yes else handle.deny
    await decide(by=caller.name, note=data.note if data else None, idempotency_key=idempotency_key(request))
    return answer(await handle.get())
