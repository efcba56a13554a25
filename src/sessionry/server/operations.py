"""`/v1/operations`: what the Python client asks for. Other languages have the resources, which do the same."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Controller, Response, post
from litestar.params import JSONBody

from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.ids import SESSION, new_id
from sessionry.domain.records import invalid
from sessionry.domain.session import Session
from sessionry.server import bodies
from sessionry.server.access import caller_of, refuse_all_but_the_operator
from sessionry.server.paging import answer
from sessionry.server.sessions import Req
from sessionry.store import wire
from sessionry.store.operations import runs

#: An id that nobody has chosen.
_DRAWN = re.compile(r"ses_[0-9a-f]{32}")


class OperationController(Controller):
    """Operations."""

    path = "/v1/operations"
    tags = ["operations"]  # noqa: RUF012  the framework's own way

    @post(operation_id="execute_operation", status_code=200)
    async def execute_operation(self, request: Req, data: JSONBody[bodies.Ask]) -> Response[bytes]:
        """Do one operation in the caller's scope."""
        caller = caller_of(request)
        operation = wire.understood(data.operation, data.arguments, caller.sessions.scope, caller.cursors)
        needed = wire.OPERATIONS[data.operation].needs
        if not caller.token.allows(needed):
            raise SessionryError(
                "forbidden",
                f"{data.operation} needs the permission {needed}; the token {caller.token.name!r} does not have it",
                details={"needs": needed.value},
            )
        keywords = operation.keywords
        match data.operation:
            case "leases.ask_to_drain":
                refuse_all_but_the_operator(request)
            case "approvals.decide":  # who decides is who asks, as far as the token says it
                keywords["by"] = caller.token.scope.user or keywords.get("by") or caller.name
            case "runs.submit":
                operation = await _checked(caller.sessions, data.arguments, operation)
            case "sessions.create":
                keywords["session"] = _with_an_id_of_ours(keywords["session"])
            case "sessions.fork" if keywords.get("id") is not None:
                raise _chosen()
        return answer({"result": wire.answered(await caller.sessions.execute(operation), caller.cursors)})


def _with_an_id_of_ours(session: Session) -> Session:
    """Ids are the same for all tenants: whoever could choose one would learn which are taken. Raises `validation_error`."""
    if not _DRAWN.fullmatch(session.id):
        raise _chosen()
    return msgspec.structs.replace(session, id=new_id(SESSION))


def _chosen() -> InvalidInput:
    return invalid("id", "cannot be chosen over HTTP; a key (`idempotency_key`) creates a session once")


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
