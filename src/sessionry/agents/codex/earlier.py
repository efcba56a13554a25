"""What earlier attempts at a run left in Codex's thread, next to what the log has of them.

The log may lack the newest of it: a worker dies before it tells. Codex keeps what is complete; what was at work when it
died is not in the thread, and its model is told that it was aborted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sessionry.agents.codex.items import Items
from sessionry.agents.codex.thread import PAGE, Thread, count_items
from sessionry.agents.handover import is_told, own_id, own_work
from sessionry.agents.jsonrpc import Peer
from sessionry.domain import events as ev
from sessionry.domain.events import Event, EventData
from sessionry.domain.transcript import Message
from sessionry.ports import AgentContext

Turn = dict[str, Any]

#: What has an id in the log as soon as it is complete, and for tools from the start.
_NAMED = (ev.MessageReceived, ev.ReasoningReceived, ev.ToolCallStarted)


class Earlier(NamedTuple):
    """`prompted`: the thread has the run's prompt. `untold` is what only the thread has of the work, `lost` what only the
    log has, `heard` what people said to it. `ended` is the turn that came to its end: there is nothing left to do.
    """

    prompted: bool = False
    untold: Sequence[EventData] = ()
    lost: Sequence[Message] = ()
    heard: str = ""
    ended: Turn | None = None


async def earlier_attempts(peer: Peer, context: AgentContext, thread: Thread, items: Items, prompt: str) -> Earlier:
    """`items` learns what was said."""
    if context.run.attempt == 1:
        return Earlier()
    log = await context.history()
    turns = await _turns_of_run(peer, thread.id, log) if thread.taken_over else []
    heard = list(map(_heard, turns))
    if not any(prompt in text for text in heard):
        return Earlier(lost=own_work(log))
    told = [list(items.completed(item, turn["id"])) for turn in turns for item in turn["items"]]
    known = {own_id(event.data) for event in log if isinstance(event.data, _NAMED)}
    newest = turns[-1]
    return Earlier(
        prompted=True,
        untold=[event for events in told if events and own_id(events[0]) not in known for event in events],
        lost=[message for message in own_work(log) if not is_told(_certain(told), message)],
        heard="\n\n".join(heard),
        ended=newest if newest.get("status") == "completed" else None,
    )


def _certain(told: Sequence[list[EventData]]) -> list[EventData]:
    """What the model knows. Of the tools that came last it may be told that they were aborted, though they were not."""
    while told and any(isinstance(event, ev.TOOL_ENDINGS) for event in told[-1]):
        told = told[:-1]
    return [event for events in told for event in events]


async def _turns_of_run(peer: Peer, thread_id: str, log: Sequence[Event]) -> list[Turn]:
    """The turns since the run was first linked to the thread, oldest first."""
    links = [event.data for event in log if isinstance(event.data, ev.AgentSessionLinked)]
    before = next((link.items or 0 for link in links if link.native_session_id == thread_id), 0)
    missing = await count_items(peer, thread_id) - before
    turns: list[Turn] = []
    cursor = None
    while missing > 0:
        asked = {"threadId": thread_id, "limit": PAGE, "sortDirection": "desc", "itemsView": "full"}
        page = await peer.call("thread/turns/list", asked | ({"cursor": cursor} if cursor else {}))
        for turn in page.get("data") or []:
            if missing > 0:
                turns.insert(0, turn)
                missing -= len(turn["items"])
        cursor = page.get("nextCursor")
        if not cursor:
            break
    return turns


def _heard(turn: Turn) -> str:
    """What people said to Codex in the turn."""
    said = [item for item in turn["items"] if item["type"] == "userMessage"]
    return "\n\n".join(str(part.get("text") or "") for item in said for part in item.get("content") or [])
