"""How a run begins: in which session of Claude Code, and with what before the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sessionry.agents.claude.native import Kept, Said, kept, message_uuid
from sessionry.agents.handover import hand_over
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import ContinuityReport, EventData, ResumeDegraded, ToolCallCompleted, ToolCallFailed
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Transcript
from sessionry.ports import AgentContext

INTERRUPTED = (
    "Your work on the following was interrupted, and nobody knows how much of it is done. Look at what is there already, "
    "then go on with it:"
)
#: Messages that a run may have sent in one attempt and that are looked for after a crash.
MOST_MESSAGES = 64


class Beginning(NamedTuple):
    """`resume` is the session to go on with, or to copy with `fork`. `finished` is the end of a turn that nobody told of:
    then there is nothing left to do.
    """

    resume: NativeSession | None = None
    fork: bool = False
    before: str = ""
    degraded: ResumeDegraded | None = None
    report: ContinuityReport | None = None
    finished: Said | None = None

    def told_first(self) -> list[EventData]:
        return [self.degraded] if self.degraded else []


async def beginning(context: AgentContext, conversation: Conversation, env: Mapping[str, str]) -> Beginning:
    """What is proven to be possible. Raises `resume_failed` where the run does not want anything else."""
    native = conversation.native
    if native is None:
        if _strict(conversation) and conversation.missed.messages:
            raise AgentFailed("resume_failed", "Claude Code has no session of this conversation to go on with")
        return _replayed(context, conversation)
    session = await kept(native.id, env)
    if problem := _problem(native, session):
        return await degraded(context, conversation, problem)
    ours = native.run_id == context.run.id  # an earlier attempt of this very run began it
    handover = hand_over(conversation, context.session)
    told = bool(conversation.missed.messages or conversation.previous_agents)
    parts = [handover.text(), INTERRUPTED if ours else ""]
    return Beginning(
        resume=native,
        fork=conversation.mode is Continuation.FORK and not ours,
        before="\n\n".join(filter(None, parts)),
        report=handover.report if told else None,
        finished=await _finished(context, session) if session and ours else None,
    )


async def degraded(context: AgentContext, conversation: Conversation, reason: str) -> Beginning:
    """A new session with the transcript from our log, if the run may go on like that."""
    native = conversation.native
    id = native.id if native else None
    if _strict(conversation):
        raise AgentFailed(
            "resume_failed", f"Claude Code's session {id} cannot be resumed: {reason}", details={"id": id}
        )
    whole = await context.transcript()
    before = [message for message in whole.messages if message.run_id != context.run.id]
    alone = msgspec.structs.replace(
        conversation, native=None, missed=Transcript(messages=before, last_seq=whole.last_seq)
    )
    event = ResumeDegraded(reason=reason, native_session_id=id)
    return _replayed(context, alone)._replace(degraded=event)


def _replayed(context: AgentContext, conversation: Conversation) -> Beginning:
    if not conversation.missed.messages:
        return Beginning()
    handover = hand_over(conversation, context.session)
    return Beginning(before=handover.text(), report=handover.report)


def _strict(conversation: Conversation) -> bool:
    return conversation.mode in (Continuation.NATIVE, Continuation.FORK)


def _problem(native: NativeSession, session: Kept | None) -> str | None:
    if session is None:
        return "it is not there any more"
    if native.items is not None and session.items is not None and session.items < native.items:
        return f"it has {session.items} messages, and had {native.items}"
    return None


async def _finished(context: AgentContext, session: Kept) -> Said | None:
    """The end of the turn that an earlier attempt began, if nothing but its last word is missing in the log.

    Tools that went unnoticed are another matter: whatever Claude Code had to ask, it denied itself once nobody answered.
    """
    said = session.finished(_sent(context))
    if said is None:
        return None
    history = await context.history([ToolCallCompleted.type, ToolCallFailed.type])
    ended = {event.data.tool_call_id for event in history if isinstance(event.data, ToolCallCompleted | ToolCallFailed)}
    return said if said.calls <= ended else None


def _sent(context: AgentContext) -> set[str]:
    """The ids of everything that earlier attempts may have said."""
    attempts = range(1, context.run.attempt)
    return {message_uuid(context.run.id, attempt, number) for attempt in attempts for number in range(MOST_MESSAGES)}
