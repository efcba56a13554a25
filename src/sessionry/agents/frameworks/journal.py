"""What a framework remembers, kept in our log: each entry is an event `custom_recorded`, written before anything of it is
shown. From these a later run, or the next attempt of this one, gets exactly what the framework had.

An entry belongs to an agent and to a thread, which is the framework's session as the log knows it: the id of our session,
with the id of the run added where the conversation began anew. Entries that are too big for the log are blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sessionry.agents.handover import hand_over
from sessionry.domain import events as ev
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.continuity import Conversation
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import Event, EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Message, Transcript
from sessionry.ports import AgentContext

#: Characters of JSON up to which an entry is in the log itself.
LARGEST = 128 * 1024


class Entry(NamedTuple):
    run_id: str
    kind: str
    value: Json


class Journal:
    """The entries of one thread, oldest first."""

    def __init__(self, context: AgentContext, framework: str, thread: str, entries: Sequence[Entry] = ()) -> None:
        self._context = context
        self._framework = framework
        self.thread = thread
        self.entries = list(entries)

    def __len__(self) -> int:
        return len(self.entries)

    def of_run(self, *kinds: str) -> list[Entry]:
        """This run's entries, of all attempts."""
        mine = [entry for entry in self.entries if entry.run_id == self._context.run.id]
        return [entry for entry in mine if not kinds or entry.kind in kinds]

    def of_kind(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]

    async def entry(self, kind: str, value: Json) -> EventData:
        """The event of a new entry, for the caller to say. A big one leaves an artifact in the log before."""
        self.entries.append(Entry(self._context.run.id, kind, value))
        text = encode_json(value)
        kept: dict[str, Json] = {"value": value}
        if len(text) > LARGEST:
            name = f"{self._framework}.{kind}.json"
            added = await self._context.add_artifact(text.encode(), name=name, media_type="application/json")
            kept = {"artifact": added.hash}
        head: dict[str, Json] = {"agent": self._context.run.agent_id or "", "thread": self.thread}
        return ev.CustomRecorded(name=f"{self._framework}.{kind}", value={**head, **kept})

    def link(self, model: str | None, *, resumed: bool = False) -> ev.AgentSessionLinked:
        return ev.AgentSessionLinked(
            native_session_id=self.thread, model=model, items=len(self.entries), resumed=resumed
        )


class Opening(NamedTuple):
    """How a run begins: with what the framework remembers, and what of the conversation it has to be told.

    `again` says that an earlier attempt at this run has begun: then nothing has to be told.
    """

    journal: Journal
    again: bool = False
    carried: Sequence[Message] = ()
    events: Sequence[EventData] = ()


async def opened(context: AgentContext, framework: str) -> Opening:
    """Raises `capability_not_supported` for a fork, and `resume_failed` where `native` cannot be honoured."""
    conversation = await context.conversation()
    if conversation.mode is Continuation.FORK:
        raise InvalidInput(
            "capability_not_supported",
            f"a {framework} agent cannot fork its conversation; fork the session, or use replay",
            details={"option": "continuation"},
        )
    threads = await _threads(context, framework)
    for thread, entries in threads.items():
        if any(entry.run_id == context.run.id for entry in entries):
            return Opening(Journal(context, framework, thread, entries), again=True)
    problem = _problem(conversation, threads)
    if problem is not None and conversation.mode is Continuation.NATIVE:
        raise AgentFailed("resume_failed", f"the agent's own conversation cannot be resumed: {problem}")
    if conversation.native is not None and problem is None:
        return _gone_on(context, framework, conversation, threads[conversation.native.id])
    return await _begun(context, framework, conversation, threads, problem)


def _gone_on(context: AgentContext, framework: str, conversation: Conversation, entries: Sequence[Entry]) -> Opening:
    assert conversation.native is not None
    journal = Journal(context, framework, conversation.native.id, entries)
    if not conversation.missed.messages and not conversation.previous_agents:
        return Opening(journal)
    over = hand_over(conversation, context.session)
    return Opening(journal, carried=over.messages, events=[over.report])


async def _begun(
    context: AgentContext,
    framework: str,
    conversation: Conversation,
    threads: dict[str, list[Entry]],
    problem: str | None,
) -> Opening:
    """A new thread, with the transcript where there is one."""
    base = context.session.id
    if context.run.agent_id != context.session.agent_id:
        base = f"{base}:{context.run.agent_id}"
    journal = Journal(context, framework, f"{base}:{context.run.id}" if base in threads else base)
    events: list[EventData] = []
    if problem is not None and conversation.native is not None:
        events.append(ev.ResumeDegraded(reason=problem, native_session_id=conversation.native.id))
        whole = await context.transcript()
        before = [message for message in whole.messages if message.run_id != context.run.id]
        conversation = Conversation(
            mode=conversation.mode,
            missed=Transcript(messages=before, last_seq=whole.last_seq),
            previous_agents=conversation.previous_agents,
        )
    if not any(message.role != "system" for message in conversation.missed.messages):
        return Opening(journal, events=events)
    over = hand_over(conversation, context.session, native=False)
    return Opening(journal, carried=over.messages, events=[*events, over.report])


def _problem(conversation: Conversation, threads: dict[str, list[Entry]]) -> str | None:
    """Why the agent's own conversation cannot be gone on with."""
    native = conversation.native
    if native is None:
        said = any(message.role != "system" for message in conversation.missed.messages)
        return "it has none yet" if said and conversation.mode is Continuation.NATIVE else None
    found = len(threads.get(native.id, ()))
    if found < (native.items or 0) or not found:
        return f"the log has {found} of its {native.items or 0} entries"
    return None


async def _threads(context: AgentContext, framework: str) -> dict[str, list[Entry]]:
    """The entries of this agent by thread."""
    threads: dict[str, list[Entry]] = {}
    for event in await context.history([ev.CustomRecorded.type], of_session=True):
        head = _head(event, framework)
        if head is not None and head.get("agent") == (context.run.agent_id or ""):
            entry = await _entry(context, event, framework, head)
            threads.setdefault(str(head["thread"]), []).append(entry)
    return threads


def _head(event: Event, framework: str) -> dict[str, Json] | None:
    data = event.data
    if not isinstance(data, ev.CustomRecorded) or not data.name.startswith(f"{framework}."):
        return None
    return data.value if isinstance(data.value, dict) and "thread" in data.value else None


async def _entry(context: AgentContext, event: Event, framework: str, head: dict[str, Json]) -> Entry:
    assert isinstance(event.data, ev.CustomRecorded)
    kind = event.data.name.removeprefix(f"{framework}.")
    value = head.get("value")
    if "artifact" in head:
        value = decode_json((await context.blob(str(head["artifact"]))).decode())
    return Entry(event.run_id or "", kind, value)
