"""`/v1/operations`: what the Python client asks for. Other languages have the resources, which do the same."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, post
from litestar.params import JSONBody

from sessionry.domain.errors import SessionryError
from sessionry.server import bodies
from sessionry.server.access import caller_of
from sessionry.server.paging import answer
from sessionry.server.sessions import Req
from sessionry.store import wire
from sessionry.store.operations import runs


class OperationController(Controller):
    """Operations."""

    path = "/v1/operations"
    tags = ["operations"]  # noqa: RUF012  the framework's own way

    @post(operation_id="execute_operation", status_code=200)
    async def execute_operation(self, request: Req, data: JSONBody[bodies.Ask]) -> Response[bytes]:
        """Do one operation in the caller's scope."""
        caller = caller_of(request)
        operation = wire.understood(data.operation, data.arguments, caller.sessions.scope)
        needed = wire.OPERATIONS[data.operation].needs
        if not caller.token.allows(needed):
            raise SessionryError(
                "forbidden",
                f"{data.operation} needs the permission {needed}; the token {caller.token.name!r} does not have it",
                details={"needs": needed.value},
            )
        if data.operation == "approvals.decide":  # who decides is who asks, as far as the token says it
            operation.keywords["by"] = caller.token.scope.user or operation.keywords.get("by") or caller.name
        if data.operation == "runs.submit":
            operation = await _checked(caller.sessions, data.arguments, operation)
        return answer({"result": wire.answered(await caller.sessions.execute(operation))})


async def _checked(sessions: Any, arguments: dict[str, Any], operation: Any) -> Any:
    """A run as the server's own agents take it: its input looked at, its capabilities negotiated."""
    session_id = str(arguments.get("session_id"))
    submission: runs.Submission = operation.keywords["submission"]
    options = {name: getattr(submission.options, name) for name in submission.options.__struct_fields__}
    checked = await sessions.submission(
        session_id,
        submission.input,
        agent=submission.agent_id,
        options=options,
        priority=submission.priority,
        metadata=submission.metadata,
    )
    key = operation.keywords.get("idempotency_key")
    return runs.submit(sessions.scope, session_id, checked, idempotency_key=key)
