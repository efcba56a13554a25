"""A thread is Codex's own session. It is begun, or resumed or forked with a proof that it is the one that was meant.

Proof: the id that comes back, and that it has no fewer items than when it was last linked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from sessionry.agents.codex.options import Options
from sessionry.agents.handover import hand_over
from sessionry.agents.jsonrpc import Peer, Refused
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import EventData
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Transcript
from sessionry.ports import AgentContext

#: Items that are asked for at once.
PAGE = 200


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """An open thread. `degraded`, `link` and `events` are what the log is told of it, in this order; `before` is to be said
    to it before the prompt.

    `baseline` says that its totals of tokens began before the run, and that Codex tells how high they were.
    `taken_over` says that an earlier attempt at the same run may have worked in it.
    """

    link: ev.AgentSessionLinked
    provider: str | None
    degraded: list[EventData] = []
    events: list[EventData] = []
    before: list[str] = []
    native: NativeSession | None = None
    baseline: bool = False
    taken_over: bool = False

    @property
    def id(self) -> str:
        return self.link.native_session_id


async def open_thread(peer: Peer, context: AgentContext, options: Options) -> Thread:
    """The thread for a run, by the run's way to go on with its conversation. Raises `resume_failed`."""
    conversation = await context.conversation()
    native, mode = conversation.native, conversation.mode
    if native is None:
        if mode is Continuation.FORK or (mode is Continuation.NATIVE and conversation.missed.messages):
            raise _impossible(mode, "there is no session of Codex's own in this session yet")
        return await _begun(peer, context, options, conversation)
    try:
        return await _gone_on(peer, context, options, conversation, native)
    except _Unproven as problem:
        if mode in (Continuation.NATIVE, Continuation.FORK):
            raise _impossible(mode, str(problem), native.id) from problem
        degraded = ev.ResumeDegraded(reason=str(problem), native_session_id=native.id)
    begun = await _begun(peer, context, options, await _replayed(context, conversation))
    return msgspec.structs.replace(begun, degraded=[degraded])


async def count_items(peer: Peer, thread_id: str) -> int:
    """The length of the thread. Raises `Refused`."""
    count, cursor = 0, None
    while True:
        asked = {"threadId": thread_id, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
        page = await peer.call("thread/items/list", asked)
        count += len(page.get("data") or [])
        cursor = page.get("nextCursor")
        if not cursor:
            return count


async def _begun(peer: Peer, context: AgentContext, options: Options, conversation: Conversation) -> Thread:
    answer = await peer.call("thread/start", options.thread(context.cwd))
    options.check_kept(answer)
    thread = answer["thread"]
    link = ev.AgentSessionLinked(native_session_id=thread["id"], model=answer.get("model"))
    events: list[EventData] = []
    before = []
    if conversation.missed.messages or conversation.previous_agents:
        handover = hand_over(conversation, context.session, native=False)
        events.append(handover.report)
        before = [handover.text()]
    return Thread(link=link, provider=answer.get("modelProvider"), events=events, before=before)


async def _gone_on(
    peer: Peer, context: AgentContext, options: Options, conversation: Conversation, native: NativeSession
) -> Thread:
    """The native session resumed, or its fork. Raises `_Unproven`."""
    own = native.run_id == context.run.id
    forks = conversation.mode is Continuation.FORK and not own  # a fork that an earlier attempt made is resumed
    answer = await _answer(peer, "fork" if forks else "resume", native.id, options, context.cwd)
    thread = answer["thread"]
    items = await _proven(peer, native, thread, forks)
    options.check_kept(answer)
    link = ev.AgentSessionLinked(
        native_session_id=thread["id"],
        model=answer.get("model"),
        items=items,
        resumed=not forks,
        forked_from=native.id if forks else None,
    )
    events: list[EventData] = []
    before = []
    if conversation.missed.messages or conversation.previous_agents:
        handover = hand_over(conversation, context.session, native=True)
        events.append(handover.report)
        before = [handover.text()]
    return Thread(
        link=link,
        provider=answer.get("modelProvider"),
        events=events,
        before=before,
        native=native,
        baseline=not own or thread.get("forkedFromId") is not None,
        taken_over=own,
    )


async def _answer(peer: Peer, how: str, id: str, options: Options, cwd: Path) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await peer.call(
            f"thread/{how}", {"threadId": id, "excludeTurns": True, **options.thread(cwd)}
        )
    except Refused as refused:
        raise _Unproven(f"Codex cannot {how} it: {refused.message}") from refused
    return answer


async def _proven(peer: Peer, native: NativeSession, thread: dict[str, Any], forks: bool) -> int:
    """The number of its items."""
    id = thread["id"]
    if forks and id == native.id:
        raise _Unproven(f"the fork has the id of what it was forked from, {id}")
    if not forks and id != native.id:
        raise _Unproven(f"Codex resumed another one, {id}")
    try:
        items = await count_items(peer, id)
    except Refused as refused:
        raise _Unproven(f"Codex does not tell its items: {refused.message}") from refused
    if items < (native.items or 0):
        raise _Unproven(f"it has {items} items, fewer than the {native.items} it had")
    return items


async def _replayed(context: AgentContext, conversation: Conversation) -> Conversation:
    """The conversation as one for an agent that knows nothing of it."""
    whole = await context.transcript()
    missed = [message for message in whole.messages if message.run_id != context.run.id]
    return msgspec.structs.replace(
        conversation, native=None, missed=Transcript(messages=missed, last_seq=whole.last_seq)
    )


class _Unproven(Exception):
    """It is not certain that this is the session that was meant."""


def _impossible(mode: Continuation, reason: str, native_session_id: str | None = None) -> AgentFailed:
    return AgentFailed(
        "resume_failed",
        f"the run was to go on by {mode.value}, which is not possible: {reason}",
        details={"native_session_id": native_session_id},
    )
