"""`/v1/runs` and `/v1/sessions/{id}/runs`: submit, look, wait, cancel, steer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromQuery, JSONBody

from sessionry.domain.errors import Timeout
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.run import Run
from sessionry.domain.token import Permission
from sessionry.runtime.handles import RunHandle
from sessionry.server import bodies
from sessionry.server.access import NEEDS, caller_of
from sessionry.server.paging import answer, happened, idempotency_key, listed, opened, seconds_to_wait
from sessionry.server.sessions import Id, Limit, Req, RunOrder

_RUN = {NEEDS: Permission.RUN}


class RunController(Controller):
    """Runs."""

    path = "/v1"
    tags = ["runs"]  # noqa: RUF012  the framework's own way

    @post("/sessions/{session_id:str}/runs", operation_id="submit_run", opt=_RUN, status_code=202)
    async def submit_run(self, request: Req, session_id: Id, data: JSONBody[bodies.SubmitRun]) -> Response[bytes]:
        """Queue a run; it is durable when this answers. With `Prefer: wait=N` the answer waits for its end."""
        fields = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not None}
        handle = (
            await caller_of(request)
            .sessions.session(session_id)
            .run(fields.pop("input", None), **fields, idempotency_key=idempotency_key(request))
        )
        run, headers = await _waited(request, handle)
        headers["Location"] = f"/v1/runs/{run.id}"
        return answer(run, 200 if run.ended else 202, headers)

    @get("/sessions/{session_id:str}/runs", operation_id="list_runs_of_session")
    async def list_runs_of_session(
        self,
        request: Req,
        session_id: Id,
        status: FromQuery[list[RunStatus] | None] = None,
        order: FromQuery[RunOrder] = "-created",
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """The session's runs, the newest first."""
        handle = caller_of(request).sessions.session(session_id)
        await handle.get(deleted=True)
        page = await handle.runs(status=status or (), order=order, limit=limit, cursor=opened(request, cursor))
        return listed(request, page, page.items)

    @get("/runs", operation_id="list_runs")
    async def list_runs(
        self,
        request: Req,
        status: FromQuery[list[RunStatus] | None] = None,
        agent: FromQuery[str | None] = None,
        order: FromQuery[RunOrder] = "-created",
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """Runs of all sessions, the newest first."""
        sessions = caller_of(request).sessions
        page = await sessions.runs(
            status=status or (), agent=agent, order=order, limit=limit, cursor=opened(request, cursor)
        )
        return listed(request, page, page.items)

    @get("/runs/{run_id:str}", operation_id="read_run")
    async def read_run(self, request: Req, run_id: Id) -> Response[bytes]:
        """A run as it is now; with `Prefer: wait=N` as it is at its end, or after N seconds."""
        run, headers = await _waited(request, caller_of(request).sessions.run(run_id))
        return answer(run, headers=headers)

    @post("/runs/{run_id:str}/cancel", operation_id="cancel_run", opt=_RUN, status_code=202)
    async def cancel_run(
        self, request: Req, run_id: Id, data: JSONBody[bodies.CancelRun | None] = None
    ) -> Response[bytes]:
        """Ask for its end; its worker stops the agent at once, or after the turn."""
        asked = data or bodies.CancelRun()
        handle = caller_of(request).sessions.run(run_id)
        events = await handle.cancel(asked.mode, asked.reason, idempotency_key=idempotency_key(request))
        return happened(request, events, 202)

    @post("/runs/{run_id:str}/steer", operation_id="steer_run", opt=_RUN, status_code=202)
    async def steer_run(self, request: Req, run_id: Id, data: JSONBody[bodies.Steer]) -> Response[bytes]:
        """Say something to the agent while it works."""
        handle = caller_of(request).sessions.run(run_id)
        events = await handle.steer(data.text, idempotency_key=idempotency_key(request))
        return happened(request, events, 202)


async def _waited(request: Any, handle: RunHandle) -> tuple[Run, dict[str, str]]:
    """The run, after as long as the request prefers to wait for its end."""
    seconds = seconds_to_wait(request.headers.get("prefer"))
    if not seconds:
        return await handle.get(), {}
    with suppress(Timeout):
        await handle.result(timeout=seconds)
    return await handle.get(), {"Preference-Applied": f"wait={seconds:g}"}
