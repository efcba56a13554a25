"""The door for what agents say: whatever they yield or emit is looked at here, before it can reach the log.

`events.AGENT_EVENTS` is the table of what may pass. An agent that forges a life-cycle event, approves itself or gives what
no log can hold has misbehaved, and hears so at once: what it said before is not lost with it.
"""

from __future__ import annotations

from collections.abc import Collection

from sessionry.domain import events as ev
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json, json_value


def admitted(data: object) -> EventData:
    """A copy of what an agent said. Raises `agent_misbehaved`."""
    return _checked(data, ev.AGENT_EVENTS)


def admitted_end(data: EventData) -> EventData:
    """A copy of the end that an agent gave its run. Raises `agent_misbehaved`."""
    return _checked(data, ev.AGENT_ENDINGS)


def kept_frame(source: str, number: int, frame: Json) -> ev.FrameReceived:
    """A copy of what a provider sent; of what no log can hold, the reason."""
    try:
        frame = json_value(frame, "frame")
    except InvalidInput as error:
        frame = {"not_kept": error.message}
    return ev.FrameReceived(source=source, number=number, frame=frame)


def _checked(data: object, allowed: Collection[type[EventData]]) -> EventData:
    if not isinstance(data, EventData):
        raise _misbehaved(f"gave a {type(data).__name__}, which is no event; CustomRecorded can hold any JSON value")
    if type(data) not in allowed:
        forged = type(data) in ev.EVENT_TYPES.values()
        problem = "which only Sessionry itself writes" if forged else "a type that is not known; use CustomRecorded"
        raise _misbehaved(f"gave a {data.type} event, {problem}", type=data.type)
    try:
        return ev.checked(data)
    except InvalidInput as error:
        raise _misbehaved(f"gave an event that cannot be kept: {error.message}", **error.details) from None


def _misbehaved(what: str, **details: object) -> AgentFailed:
    return AgentFailed("agent_misbehaved", f"the agent {what}", details=details)
