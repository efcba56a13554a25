"""What answers look like: one story, of a session whose agent asks before it deletes something."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.approval import Approval
from sessionry.domain.deed import Deed, DeedType
from sessionry.domain.events import Event
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.queries import Counts, SessionSummary, Worker
from sessionry.domain.run import Run
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.domain.token import Permission, Token
from sessionry.domain.transcript import Message, Transcript
from sessionry.domain.usage import Usage, UsageBy, UsageReport
from sessionry.domain.webhook import PERSON_NEEDED, Notice, NoticeStatus, Webhook
from sessionry.server.problems import problem

_TAIL = "01a203d524dd7586b260fb4636fc1d8c"
SESSION, RUN, APPROVAL, TOKEN, WEBHOOK, NOTICE, WORKER = (
    f"{kind}_{_TAIL}" for kind in ("ses", "run", "apr", "tok", "whk", "ntc", "wrk")
)
_AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
_OURS = Scope("local")

_session = Session.new(agent_id="echo", id=SESSION, title="Fix auth", tags=["pr-42"], now=_AT)
_run = msgspec.structs.replace(
    Run.new(session_id=SESSION, id=RUN, agent_id="echo", input="Fix the failing test", now=_AT),
    status=RunStatus.WAITING,
    attempt=1,
    fence=1,
    usage=Usage(input_tokens=1200, output_tokens=80),
    cost=Decimal("0.0042"),
    started_at=_AT,
)
_event = msgspec.structs.replace(
    Event.new(
        session_id=SESSION,
        id=f"evt_{_TAIL}",
        run_id=RUN,
        data=ev.ToolApprovalRequested(approval_id=APPROVAL, tool_name="delete", tool_input={"path": "notes.txt"}),
        now=_AT,
    ),
    seq=7,
    position=3909078380143988,
    fence=1,
)
_approval = Approval(
    id=APPROVAL, session_id=SESSION, run_id=RUN, tool_name="delete", tool_input={"path": "notes.txt"}, requested_at=_AT
)
_token = Token(id=TOKEN, name="ci", scope=_OURS, permissions=[Permission.RUN], created_at=_AT)
_webhook = Webhook(
    id=WEBHOOK,
    url="https://agents.example/hook",
    scope=_OURS,
    types=[PERSON_NEEDED],
    cursor=3909078380143988,
    created_at=_AT,
    updated_at=_AT,
)
_notice = Notice(
    id=NOTICE,
    webhook_id=WEBHOOK,
    session_id=SESSION,
    type=PERSON_NEEDED,
    status=NoticeStatus.DEAD,
    created_at=_AT,
    due_at=_AT,
    tries=10,
    problem="it answered 500",
    http_status=500,
)
_worker = Worker(
    id=WORKER,
    host="box",
    pid=4711,
    process_start=1769860800.0,
    started_at=_AT,
    expires_at=_AT,
    slots=8,
    agents=["echo"],
)
_deed = Deed(at=_AT, type=DeedType.TOKEN_CREATED, subject=TOKEN, actor="ann", origin=f"http 192.0.2.7 {TOKEN}")

#: Component -> what one looks like.
EXAMPLES: Mapping[str, Any] = {
    "Session": _session.to_dict(),
    "SessionSummary": SessionSummary(
        session=_session, last_seq=7, runs=1, waiting_runs=1, pending_approvals=1
    ).to_dict(),
    "Run": msgspec.to_builtins(_run),
    "Event": _event.to_dict(),
    "Approval": msgspec.to_builtins(_approval),
    "Token": _token.to_dict(),
    "Webhook": _webhook.to_dict(),
    "Notice": _notice.to_dict(),
    "Worker": _worker.to_dict(),
    "Deed": _deed.to_dict(),
    "Counts": Counts(sessions={"active": 1}, runs={"waiting": 1}, pending_approvals=1).to_dict(),
    "Transcript": msgspec.to_builtins(
        Transcript(messages=[Message(role="user", text="Fix the failing test", seq=3)], last_seq=7)
    ),
    "UsageReport": UsageReport(by=UsageBy.DAY).to_dict(),
    "Problem": msgspec.to_builtins(
        problem(404, "session_not_found", f"there is no session {SESSION}", instance=f"/v1/sessions/{SESSION}")
    ),
}
