"""Logs of conversations, in few words."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from sessionry.domain import events as ev
from sessionry.domain.events import Event, EventData
from sessionry.domain.run import ErrorInfo
from sessionry.domain.transcript import Message, transcript

from .strategies import payloads

ERROR = ErrorInfo(code="command_failed", message="exit code 1")


def log(*data: EventData | tuple[str, EventData]) -> list[Event]:
    """Events with seq 1, 2 ... of run r1, or of the run that stands before the payload; the session's have no run."""
    events = []
    for seq, each in enumerate(data, 1):
        run, payload = each if isinstance(each, tuple) else ("r1", each)
        run_id = None if payload.type.startswith("session_") else run
        events.append(msgspec.structs.replace(Event.new(session_id="s", run_id=run_id, data=payload), seq=seq))
    return events


def said(*data: EventData | tuple[str, EventData]) -> list[tuple[str, str | None]]:
    return [(message.role, message.text) for message in transcript(log(*data)).messages]


def messages(*data: EventData | tuple[str, EventData]) -> list[Message]:
    return transcript(log(*data)).messages


def piece(text: str, id: str | None = None) -> EventData:
    return ev.MessageStreamed(text=text, message_id=id)


def whole(text: str, id: str | None = None) -> EventData:
    return ev.MessageReceived(text=text, message_id=id)


def call(id: str, input: Any = None) -> EventData:
    return ev.ToolCallStarted(tool_call_id=id, tool_name="bash", tool_input=input)


def result(id: str, output: Any = None) -> EventData:
    return ev.ToolCallCompleted(tool_call_id=id, tool_name="bash", tool_output=output)


QUEUED = ev.RunQueued(agent_id="a", input="fix it")
STARTED = ev.RunStarted(attempt=1, worker_id="w")
DONE = ev.RunCompleted()


def created(prompt: Any) -> EventData:
    return ev.SessionCreated(agent_id="a", context={"system_prompt": prompt})


small = st.sampled_from(["a", "b", ""])
ids = st.sampled_from([None, "m1", "m2"])
words = st.one_of(
    st.sampled_from([QUEUED, STARTED, DONE, ev.RunFailed(error=ERROR), ev.RunRequeued(reason="r")]),
    st.just(ev.WordsSuperseded()),
    st.builds(piece, small, ids),
    st.builds(whole, small, ids),
    st.builds(call, st.sampled_from(["c1", "c2"])),
    st.builds(result, st.sampled_from(["c1", "c2"]), small),
    st.builds(ev.MessageSent, content=small, role=st.sampled_from(["user", "system", "assistant"])),
    st.builds(ev.InputReceived, text=small),
    st.builds(created, small),
    payloads,
)
logs = st.lists(st.tuples(st.sampled_from(["r1", "r2"]), words), max_size=30).map(lambda data: log(*data))
