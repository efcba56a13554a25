"""What an agent can go on with: its own session, and what was said without it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.run import Continuation, Run
from sessionry.domain.transcript import Transcript, transcript
from sessionry.domain.usage import Usage


class NativeSession(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's own session, as the runs that were linked to it tell of it.

    `items` is its length by the agent's own count when it was last linked: one that is shorter now has lost something.
    `usage` and `cost` are the sums over its runs, and over those of the sessions that it is a copy of, to be taken from
    totals that an agent counts on over runs. `run_id` is of the newest of these runs; that is the present run itself when
    an earlier attempt of it was linked.
    """

    id: str
    run_id: str
    model: str | None = None
    items: int | None = None
    usage: Usage = Usage()
    cost: Decimal | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation of a session before a run, as the run's agent finds it.

    `missed` is what `native` has not heard: everything where there is none. The run's own words are not in it, nor is an
    input whose run has not begun.
    `previous_agents` are the others that worked on the session before.
    """

    mode: Continuation = Continuation.AUTO
    native: NativeSession | None = None
    missed: Transcript = Transcript()
    previous_agents: list[str] = []


def said(log: Sequence[Event]) -> Transcript:
    """The transcript without the inputs of runs that have not begun: these wait in the queue and nobody has heard them."""
    begun = {event.run_id for event in log if isinstance(event.data, ev.RunStarted)}
    heard = transcript(event for event in log if not isinstance(event.data, ev.RunQueued) or event.run_id in begun)
    return msgspec.structs.replace(heard, last_seq=log[-1].seq) if log else heard


def going_on(run: Run, log: Sequence[Event], linked: Sequence[Run], previous: list[str]) -> Conversation:
    """The conversation before the attempt at `run` that the session's log ends with.

    `linked` are the runs of its agent that have a native session, newest first; `previous` the other agents. Whatever the
    mode, what an earlier attempt at this very run began is gone on with.
    """
    mode = run.options.continuation
    asked = [run if each.id == run.id else each for each in linked]  # as the attempt found it
    own = [each for each in asked if _native_id(each) and _type(each) == _type(run)]
    if mode in (Continuation.REPLAY, Continuation.FRESH):
        own = [each for each in own if each.id == run.id]
    native = _native_session(own, log) if own else None
    whole = said(log)
    heard = _began(log, own[0], run) if own else -sys.maxsize  # what a fork began with counts up to 0
    members = {each.id for each in own if native and _native_id(each) == native.id}
    missed = [message for message in whole.messages if message.seq > heard and message.run_id != run.id]
    if native is not None:
        missed = [message for message in missed if message.role != "system" and message.run_id not in members]
    if mode is Continuation.FRESH:
        missed = []
    return Conversation(
        mode=mode,
        native=native,
        missed=Transcript(messages=missed, last_seq=whole.last_seq),
        previous_agents=previous,
    )


def _began(log: Sequence[Event], newest: Run, run: Run) -> int:
    """The `seq` at which the newest linked run began, or this one before: what there was then, its agent was told."""
    starts = [event.seq for event in log if event.run_id == newest.id and isinstance(event.data, ev.RunStarted)]
    if newest.id == run.id:
        starts = starts[:-1]  # the last one is the attempt that asks
    return starts[-1] if starts else 0


def _native_session(linked: Sequence[Run], log: Sequence[Event]) -> NativeSession:
    newest = linked[0]
    assert newest.agent is not None
    lineage = _lineage(str(newest.agent.native_session_id), log)
    same = [each for each in linked if _native_id(each) in lineage]
    costs = [each.cost for each in same if each.cost is not None]
    return NativeSession(
        id=lineage[0],
        run_id=newest.id,
        model=newest.agent.model,
        items=newest.agent.native_items,
        usage=sum((each.usage for each in same), Usage()),
        cost=sum(costs, Decimal()) if costs else None,
    )


def _lineage(native_id: str, log: Sequence[Event]) -> list[str]:
    """The native session, the one that it is a copy of, and so on."""
    links = [event.data for event in log if isinstance(event.data, ev.AgentSessionLinked)]
    origins = {link.native_session_id: link.forked_from for link in links if link.forked_from}
    lineage = [native_id]
    while (origin := origins.get(lineage[-1])) and origin not in lineage:
        lineage.append(origin)
    return lineage


def _native_id(run: Run) -> str | None:
    return run.agent.native_session_id if run.agent else None


def _type(run: Run) -> str | None:
    return run.agent.type if run.agent else None
