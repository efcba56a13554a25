"""`/v1/sessions`: their life, as people and programs drive it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from sessionry.domain import records
from sessionry.domain.lifecycle import SessionStatus
from sessionry.domain.queries import Activity
from sessionry.domain.token import Permission
from sessionry.runtime.handles import SessionHandle
from sessionry.server import bodies
from sessionry.server.access import NEEDS, caller_of
from sessionry.server.paging import answer, happened, idempotency_key, listed, opened, tag_of, wanted_version

_RUN = {NEEDS: Permission.RUN}
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")]
Req = Request[Any, Any, Any]
Moment = Annotated[str | None, QueryParameter(description="A moment (RFC 3339).", schema_extra={"format": "date-time"})]
SessionOrder = Literal["created", "-created", "updated", "-updated"]
RunOrder = Literal["created", "-created"]
Id = FromPath[str]


class SessionController(Controller):
    """Sessions."""

    path = "/v1/sessions"
    tags = ["sessions"]  # noqa: RUF012  the framework's own way

    @get(operation_id="list_sessions")
    async def list_sessions(
        self,
        request: Req,
        status: FromQuery[list[SessionStatus] | None] = None,
        activity: FromQuery[list[Activity] | None] = None,
        agent: FromQuery[str | None] = None,
        tag: FromQuery[list[str] | None] = None,
        parent: FromQuery[str | None] = None,
        text: FromQuery[str | None] = None,
        created_after: Moment = None,
        created_before: Moment = None,
        updated_after: Moment = None,
        updated_before: Moment = None,
        include_deleted: FromQuery[bool] = False,
        order: FromQuery[SessionOrder] = "-updated",
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """A page of sessions, the latest first."""
        page = await caller_of(request).sessions.list(
            status=status or (),
            activity=activity or (),
            agent=agent,
            tags=tag or (),
            parent=parent,
            text=text,
            created_after=moment(created_after, "created_after"),
            created_before=moment(created_before, "created_before"),
            updated_after=moment(updated_after, "updated_after"),
            updated_before=moment(updated_before, "updated_before"),
            include_deleted=include_deleted,
            order=order,
            limit=limit,
            cursor=opened(request, cursor),
        )
        return listed(request, page)

    @post(operation_id="create_session", opt=_RUN)
    async def create_session(self, request: Req, data: JSONBody[bodies.CreateSession]) -> Response[bytes]:
        """A new session."""
        sessions = caller_of(request).sessions
        fields = msgspec.structs.asdict(data)
        parent = fields.pop("parent_session_id")
        handle = await sessions.create(
            fields.pop("agent_id"), **fields, parent=parent, idempotency_key=idempotency_key(request)
        )
        session = await handle.get()
        headers = {"Location": f"/v1/sessions/{quote(session.id, safe='')}", "ETag": tag_of(session)}
        return answer(session.to_dict(), 201, headers)

    @get("/{session_id:str}", operation_id="read_session")
    async def read_session(
        self, request: Req, session_id: Id, include_deleted: FromQuery[bool] = False
    ) -> Response[bytes]:
        """A session as it is now."""
        session = await _handle(request, session_id).get(deleted=include_deleted)
        return answer(session.to_dict(), headers={"ETag": tag_of(session)})

    @patch("/{session_id:str}", operation_id="update_session", opt=_RUN)
    async def update_session(
        self, request: Req, session_id: Id, data: JSONBody[bodies.UpdateSession]
    ) -> Response[bytes]:
        """Replace some of its fields. Needs If-Match."""
        version = wanted_version(request.headers.get("if-match"))
        handle = _handle(request, session_id)
        await handle.update(if_version=version, idempotency_key=idempotency_key(request), **data.changes())
        session = await handle.get()
        return answer(session.to_dict(), headers={"ETag": tag_of(session)})

    @delete("/{session_id:str}", operation_id="delete_session", opt=_RUN, status_code=200)
    async def delete_session(
        self, request: Req, session_id: Id, reason: FromQuery[str | None] = None
    ) -> Response[bytes]:
        """Hide it, until it is restored or purged."""
        return happened(
            request, await _handle(request, session_id).delete(reason, idempotency_key=idempotency_key(request))
        )

    @post("/{session_id:str}/restore", operation_id="restore_session", opt=_RUN, status_code=200)
    async def restore_session(self, request: Req, session_id: Id) -> Response[bytes]:
        """Bring a hidden one back."""
        return happened(request, await _handle(request, session_id).restore(idempotency_key=idempotency_key(request)))

    @post("/{session_id:str}/purge", operation_id="purge_session", opt={NEEDS: Permission.ADMIN}, status_code=200)
    async def purge_session(self, request: Req, session_id: Id) -> Response[bytes]:
        """Remove a hidden one for ever."""
        return answer({"events": await _handle(request, session_id).purge()})

    @post("/{session_id:str}/start", operation_id="start_session", opt=_RUN, status_code=200)
    async def start_session(self, request: Req, session_id: Id) -> Response[bytes]:
        """From pending to active."""
        return happened(request, await _handle(request, session_id).start(idempotency_key=idempotency_key(request)))

    @post("/{session_id:str}/pause", operation_id="pause_session", opt=_RUN, status_code=200)
    async def pause_session(
        self, request: Req, session_id: Id, data: JSONBody[bodies.Reason | None] = None
    ) -> Response[bytes]:
        """Begin no more runs for now."""
        reason = data.reason if data else None
        return happened(
            request, await _handle(request, session_id).pause(reason, idempotency_key=idempotency_key(request))
        )

    @post("/{session_id:str}/resume", operation_id="resume_session", opt=_RUN, status_code=200)
    async def resume_session(self, request: Req, session_id: Id) -> Response[bytes]:
        """Go on with its runs."""
        return happened(request, await _handle(request, session_id).resume(idempotency_key=idempotency_key(request)))

    @post("/{session_id:str}/complete", operation_id="complete_session", opt=_RUN, status_code=200)
    async def complete_session(self, request: Req, session_id: Id) -> Response[bytes]:
        """End it well."""
        return happened(request, await _handle(request, session_id).complete(idempotency_key=idempotency_key(request)))

    @post("/{session_id:str}/cancel", operation_id="cancel_session", opt=_RUN, status_code=200)
    async def cancel_session(
        self, request: Req, session_id: Id, data: JSONBody[bodies.CancelSession | None] = None
    ) -> Response[bytes]:
        """End it, and cancel its runs."""
        asked = data or bodies.CancelSession()
        key = idempotency_key(request)
        cancelling = _handle(request, session_id).cancel(asked.reason, cascade=asked.cascade, idempotency_key=key)
        return happened(request, await cancelling)

    @post("/{session_id:str}/fail", operation_id="fail_session", opt=_RUN, status_code=200)
    async def fail_session(self, request: Req, session_id: Id, data: JSONBody[bodies.FailSession]) -> Response[bytes]:
        """End it as failed, and cancel its runs."""
        handle, key = _handle(request, session_id), idempotency_key(request)
        failing = handle.fail(data.message, code=data.code, cascade=data.cascade, idempotency_key=key)
        return happened(request, await failing)

    @post("/{session_id:str}/fork", operation_id="fork_session", opt=_RUN, status_code=201)
    async def fork_session(
        self, request: Req, session_id: Id, data: JSONBody[bodies.Fork | None] = None
    ) -> Response[bytes]:
        """A new session that goes on from this one."""
        asked = data or bodies.Fork()
        forking = _handle(request, session_id).fork(
            asked.seq, title=asked.title, idempotency_key=idempotency_key(request)
        )
        session = await (await forking).get()
        headers = {"Location": f"/v1/sessions/{quote(session.id, safe='')}", "ETag": tag_of(session)}
        return answer(session.to_dict(), 201, headers)

    @get("/{session_id:str}/children", operation_id="list_children")
    async def list_children(
        self, request: Req, session_id: Id, limit: Limit = 50, cursor: FromQuery[str | None] = None
    ) -> Response[bytes]:
        """The sessions whose parent it is."""
        await _handle(request, session_id).get(deleted=True)
        page = await caller_of(request).sessions.list(parent=session_id, limit=limit, cursor=opened(request, cursor))
        return listed(request, page)

    @get("/{session_id:str}/tree", operation_id="read_tree")
    async def read_tree(self, request: Req, session_id: Id) -> Response[bytes]:
        """It and its descendants, parents before children."""
        return answer({"items": [each.to_dict() for each in await _handle(request, session_id).tree()]})

    @get("/{session_id:str}/transcript", operation_id="read_transcript")
    async def read_transcript(self, request: Req, session_id: Id) -> Response[bytes]:
        """The conversation so far."""
        await _handle(request, session_id).get(deleted=True)
        return answer(await _handle(request, session_id).transcript())


def moment(value: str | None, name: str) -> datetime | None:
    """Strictly a moment with its zone: a mere number is none."""
    try:
        return None if value is None else msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        raise records.invalid(
            f"query.{name}", f"must be a moment such as 2026-01-31T12:00:00Z, not {value!r}"
        ) from None


def _handle(request: Req, session_id: str) -> SessionHandle:
    return caller_of(request).sessions.session(session_id)
