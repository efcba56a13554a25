"""How a run begins: in which session of Claude Code, and with what before the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sessionry.agents.claude.earlier import Earlier, earlier_attempts
from sessionry.agents.claude.native import Kept, kept
from sessionry.agents.handover import begin_again, go_on, hand_over
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import ContinuityReport, EventData, ResumeDegraded
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Transcript
from sessionry.ports import AgentContext


class Beginning(NamedTuple):
    """`resume` is the session to go on with, or to copy with `fork`. `before` is said before the prompt, or in its place
    where earlier attempts at the run have said that.
    """

    resume: NativeSession | None = None
    fork: bool = False
    before: str = ""
    degraded: ResumeDegraded | None = None
    report: ContinuityReport | None = None
    earlier: Earlier = Earlier()

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
    begin = Beginning(
        resume=native,
        fork=conversation.mode is Continuation.FORK and not ours,
        before=handover.text(),
        report=handover.report if told else None,
    )
    return await _after_earlier(context, begin, session) if ours else begin


async def _after_earlier(context: AgentContext, begin: Beginning, session: Kept | None = None) -> Beginning:
    earlier = await earlier_attempts(context, session)
    words = go_on(earlier.lost) if earlier.prompted else begin_again(earlier.lost)
    return begin._replace(before="\n\n".join(filter(None, [begin.before, words])), earlier=earlier)


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
    begin = _replayed(context, alone)._replace(degraded=event)
    return await _after_earlier(context, begin) if context.run.attempt > 1 else begin


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
