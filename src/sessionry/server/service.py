"""What an operator asks: health, metrics, statistics, agents, workers, and who has tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromQuery, JSONBody

from sessionry.domain.errors import NotFound, SessionryError
from sessionry.domain.records import utc_now
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission, new_secret, secret_hash
from sessionry.domain.usage import UsageBy
from sessionry.server import bodies
from sessionry.server.access import NEEDS, PUBLIC, caller_of, refuse_all_but_the_operator
from sessionry.server.paging import answer, listed, opened
from sessionry.server.sessions import Id, Limit, Moment, Req, moment
from sessionry.store.operations import deeds, leases, reading, tokens

_ADMIN = {NEEDS: Permission.ADMIN}
#: Prometheus' text format, version 0.0.4. The framework adds the charset.
_METRICS = "text/plain; version=0.0.4"


class ServiceController(Controller):
    """The service itself."""

    tags = ["service"]  # noqa: RUF012  the framework's own way

    @get("/healthz", operation_id="healthz", opt={PUBLIC: True, "exclude_from_auth": True})
    async def healthz(self) -> Response[bytes]:
        """Whether the process answers."""
        return answer({"status": "ok"})

    @get("/readyz", operation_id="readyz", opt={PUBLIC: True, "exclude_from_auth": True})
    async def readyz(self, request: Req) -> Response[bytes]:
        """Whether it can do its work: the store answers."""
        try:
            await request.app.state.doorkeeper.sessions.execute(reading.last_position())
        except SessionryError as error:
            return answer({"status": "unavailable", "code": error.code}, 503)
        return answer({"status": "ok"})

    @get("/metrics", operation_id="metrics")
    async def metrics(self, request: Req) -> Response[bytes]:
        """What there is, in Prometheus' text format, as far as the token's scope reaches."""
        counts = await caller_of(request).sessions.counts()
        workers = await caller_of(request).sessions.workers()
        lines = [
            *_gauge("sessionry_sessions", "Sessions by status.", "status", counts.sessions),
            *_gauge("sessionry_runs", "Runs by status.", "status", counts.runs),
            *_gauge("sessionry_pending_approvals", "Questions that wait for a person.", None, counts.pending_approvals),
            *_gauge("sessionry_workers", "Workers that are alive.", None, sum(worker.alive for worker in workers)),
        ]
        return Response("\n".join([*lines, ""]).encode(), media_type=_METRICS)

    @get("/v1/stats", operation_id="read_stats")
    async def read_stats(self, request: Req) -> Response[bytes]:
        """How many sessions and runs there are by status, and how many questions wait."""
        return answer(await caller_of(request).sessions.counts())

    @get("/v1/usage", operation_id="read_usage")
    async def read_usage(
        self,
        request: Req,
        by: FromQuery[UsageBy] = UsageBy.DAY,
        after: Moment = None,
        before: Moment = None,
        agent: FromQuery[str | None] = None,
        model: FromQuery[str | None] = None,
        session: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Response[bytes]:
        """Tokens and money, added up by day, agent, model or session, of the runs that started in that time."""
        report = await caller_of(request).sessions.usage(
            by,
            after=moment(after, "after"),
            before=moment(before, "before"),
            agent=agent,
            model=model,
            session=session,
            limit=limit,
        )
        return answer(report)

    @get("/v1/deeds", operation_id="list_deeds", opt=_ADMIN)
    async def list_deeds(
        self, request: Req, limit: Limit = 50, cursor: FromQuery[str | None] = None
    ) -> Response[bytes]:
        """What was done beside the sessions, by whom and from where, the newest first."""
        sessions = caller_of(request).sessions
        asking = deeds.of_scope(sessions.scope, limit=limit, cursor=opened(request, cursor))
        return listed(request, await sessions.execute(asking))

    @get("/v1/agents", operation_id="list_agents")
    async def list_agents(self, request: Req) -> Response[bytes]:
        """The agents of the server's catalog. One that cannot be made says why."""
        catalog = caller_of(request).sessions.catalog
        return answer({"items": [_agent(catalog, id) for id in catalog.ids()], "default": catalog.default})

    @get("/v1/workers", operation_id="list_workers")
    async def list_workers(self, request: Req) -> Response[bytes]:
        """The processes that work on runs."""
        return answer({"items": [worker.to_dict() for worker in await caller_of(request).sessions.workers()]})

    @post("/v1/workers/{worker_id:str}/drain", operation_id="drain_worker", opt=_ADMIN, status_code=202)
    async def drain_worker(self, request: Req, worker_id: Id) -> Response[bytes]:
        """Let a worker take no more runs; its process leaves when those at work have ended."""
        refuse_all_but_the_operator(request)
        sessions = caller_of(request).sessions
        if not await sessions.execute(leases.ask_to_drain(sessions.scope, worker_id)):
            raise NotFound("worker_not_found", f"there is no worker {worker_id}", details={"id": worker_id})
        found = [worker.to_dict() for worker in await sessions.workers() if worker.id == worker_id]
        return answer(found[0] if found else {"id": worker_id, "draining": True}, 202)

    @get("/v1/me", operation_id="read_me")
    async def read_me(self, request: Req) -> Response[bytes]:
        """Who the token is, and what it may do."""
        return answer(caller_of(request).token.to_dict())

    @get("/v1/tokens", operation_id="list_tokens", opt=_ADMIN)
    async def list_tokens(self, request: Req) -> Response[bytes]:
        """The tokens of the caller's scope, revoked ones included."""
        sessions = caller_of(request).sessions
        return answer({"items": [each.to_dict() for each in await sessions.execute(tokens.of_scope(sessions.scope))]})

    @post("/v1/tokens", operation_id="create_token", opt=_ADMIN)
    async def create_token(self, request: Req, data: JSONBody[bodies.CreateToken]) -> Response[bytes]:
        """A new token of the caller's tenant. Its secret is in this answer and nowhere else."""
        sessions, secret = caller_of(request).sessions, new_secret()
        scope = Scope(sessions.scope.tenant, sessions.scope.user or data.user)
        if sessions.scope.user is not None and data.user not in (None, sessions.scope.user):
            raise SessionryError("forbidden", "a user's token makes tokens of that user only")
        until = None if data.expires_in is None else utc_now() + timedelta(seconds=data.expires_in)
        creating = tokens.create(
            scope, data.name, sorted(set(data.permissions)), secret_hash(secret), expires_at=until, by=sessions.scope
        )
        token = await sessions.execute(creating)
        headers = {"Location": f"/v1/tokens/{token.id}", "Cache-Control": "no-store"}
        return answer(token.to_dict() | {"secret": secret}, 201, headers)

    @delete("/v1/tokens/{token_id:str}", operation_id="revoke_token", opt=_ADMIN, status_code=200)
    async def revoke_token(self, request: Req, token_id: Id) -> Response[bytes]:
        """From now on it is worth nothing."""
        sessions = caller_of(request).sessions
        return answer((await sessions.execute(tokens.revoke(sessions.scope, token_id))).to_dict())


def _agent(catalog: Any, id: str) -> dict[str, Any]:
    try:
        facts = catalog.agent(id).facts
    except SessionryError as error:
        return {"id": id, "error": error.to_dict()}
    shown: dict[str, Any] = msgspec.to_builtins(facts)
    return {"id": id} | shown


def _gauge(name: str, help: str, label: str | None, values: dict[str, int] | int) -> list[str]:
    """One metric with all its samples."""
    head = [f"# HELP {name} {help}", f"# TYPE {name} gauge"]
    if isinstance(values, int):
        return [*head, f"{name} {values}"]
    return [*head, *(f'{name}{{{label}="{value}"}} {count}' for value, count in sorted(values.items()))]
