"""Durable sessions for AI agents: run, watch, approve, resume, recover.

    async with sessionry.open() as sessions:
        session = await sessions.create("shell", title="Look around")
        run = await session.run({"argv": ["git", "status"]})
        async for event in run.events():
            print(event.seq, event.type)
        result = await run.result()

Everything here is loaded when it is first used, so that importing `sessionry` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessionry.agents.function import agent as agent
    from sessionry.agents.models.tools import tool as tool
    from sessionry.client import connect as connect
    from sessionry.compose import open_sessions as open  # noqa: A004  the public name is the verb
    from sessionry.domain.approval import Approval as Approval
    from sessionry.domain.approval import ApprovalStatus as ApprovalStatus
    from sessionry.domain.errors import AgentFailed as AgentFailed
    from sessionry.domain.errors import Conflict as Conflict
    from sessionry.domain.errors import Exhausted as Exhausted
    from sessionry.domain.errors import Fenced as Fenced
    from sessionry.domain.errors import InvalidInput as InvalidInput
    from sessionry.domain.errors import InvalidTransition as InvalidTransition
    from sessionry.domain.errors import NotFound as NotFound
    from sessionry.domain.errors import SessionryError as SessionryError
    from sessionry.domain.errors import StoreFailed as StoreFailed
    from sessionry.domain.errors import Timeout as Timeout
    from sessionry.domain.events import Event as Event
    from sessionry.domain.events import EventData as EventData
    from sessionry.domain.lifecycle import RunStatus as RunStatus
    from sessionry.domain.lifecycle import SessionStatus as SessionStatus
    from sessionry.domain.run import Continuation as Continuation
    from sessionry.domain.run import OnStall as OnStall
    from sessionry.domain.run import Run as Run
    from sessionry.domain.run import Takeover as Takeover
    from sessionry.domain.scope import Scope as Scope
    from sessionry.domain.session import Session as Session
    from sessionry.domain.transcript import Transcript as Transcript
    from sessionry.domain.usage import Usage as Usage
    from sessionry.domain.webhook import Webhook as Webhook
    from sessionry.ports import Agent as Agent
    from sessionry.ports import AgentContext as AgentContext
    from sessionry.ports import Capability as Capability
    from sessionry.ports import Decision as Decision
    from sessionry.runtime.handles import ApprovalHandle as ApprovalHandle
    from sessionry.runtime.handles import RunHandle as RunHandle
    from sessionry.runtime.handles import SessionHandle as SessionHandle
    from sessionry.runtime.results import RunResult as RunResult
    from sessionry.runtime.sessions import Sessions as Sessions
    from sessionry.runtime.webhook_handles import WebhookHandle as WebhookHandle
    from sessionry.sync import connect_sync as connect_sync
    from sessionry.sync import open_sync as open_sync

__version__ = "0.1.0"

_HOMES = {
    "agents.function": "agent",
    "agents.models.tools": "tool",
    "client": "connect",
    "compose": "open_sessions",
    "domain.approval": "Approval ApprovalStatus",
    "domain.errors": "AgentFailed Conflict Exhausted Fenced InvalidInput InvalidTransition NotFound SessionryError"
    " StoreFailed Timeout",
    "domain.events": "Event EventData",
    "domain.lifecycle": "RunStatus SessionStatus",
    "domain.run": "Continuation OnStall Run Takeover",
    "domain.scope": "Scope",
    "domain.session": "Session",
    "domain.transcript": "Transcript",
    "domain.usage": "Usage",
    "domain.webhook": "Webhook",
    "ports": "Agent AgentContext Capability Decision",
    "runtime.handles": "ApprovalHandle RunHandle SessionHandle",
    "runtime.results": "RunResult",
    "runtime.sessions": "Sessions",
    "runtime.webhook_handles": "WebhookHandle",
    "sync": "connect_sync open_sync",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}
_HOME_OF["open"] = "compose"

__all__ = [
    "Agent",
    "AgentContext",
    "AgentFailed",
    "Approval",
    "ApprovalHandle",
    "ApprovalStatus",
    "Capability",
    "Conflict",
    "Continuation",
    "Decision",
    "Event",
    "EventData",
    "Exhausted",
    "Fenced",
    "InvalidInput",
    "InvalidTransition",
    "NotFound",
    "OnStall",
    "Run",
    "RunHandle",
    "RunResult",
    "RunStatus",
    "Scope",
    "Session",
    "SessionHandle",
    "SessionStatus",
    "SessionryError",
    "Sessions",
    "StoreFailed",
    "Takeover",
    "Timeout",
    "Transcript",
    "Usage",
    "Webhook",
    "WebhookHandle",
    "__version__",
    "agent",
    "connect",
    "connect_sync",
    "open",
    "open_sync",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name == "events":
        return import_module("sessionry.domain.events")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sessionry' has no attribute {name!r}")
    found = getattr(import_module(f"sessionry.{_HOME_OF[name]}"), "open_sessions" if name == "open" else name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
