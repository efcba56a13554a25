"""The vocabulary and its envelope: every type goes out and comes back, and what cannot come back is refused at the door."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.domain import events as ev
from sessionry.domain import vocabulary
from sessionry.domain.codec import decode_payload, encode_payload
from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.events import EVENT_TYPES, SCHEMA_VERSION, Event, EventData, Unknown, checked
from sessionry.domain.run import AgentFacts, ErrorInfo, RunOptions, Takeover
from sessionry.domain.usage import Usage

from .strategies import events, json_objects, payloads, payloads_of

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

#: The event types of the reference, all of which exist here under their own names.
REFERENCE_TYPES = {
    *("session_created", "session_started", "session_paused", "session_resumed", "session_completed", "session_failed"),
    *("session_cancelled", "run_started", "run_completed", "run_failed", "run_cancelled", "run_timeout"),
    *("message_sent", "message_received", "message_streamed", "token_usage_updated", "turn_completed"),
    *("tool_call_started", "tool_call_completed", "tool_call_failed", "error_occurred", "error_recovered"),
    *("workspace_snapshot_taken", "workspace_diff_computed", "policy_violation"),
    *("tool_approval_requested", "tool_approval_granted", "tool_approval_denied"),
}


def an_event(**changes: Any) -> Event:
    return Event.new(
        **{"type": "custom_recorded", "session_id": "ses_1", "data": {"name": "n", "value": [1]}} | changes
    )


def refused(**changes: Any) -> SessionryError:
    """The error for an event's dict in which `changes` were made."""
    with pytest.raises(SessionryError) as caught:
        Event.from_dict({**an_event().to_dict(), **changes})
    return caught.value


def stored(data: EventData) -> EventData:
    """The payload as a reader of the log gets it."""
    kept = checked(data)
    return decode_payload(kept.type, encode_payload(kept))


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def test_the_vocabulary_has_every_type_of_the_reference() -> None:
    assert len(REFERENCE_TYPES) == 28
    assert set(EVENT_TYPES) >= REFERENCE_TYPES


def test_the_types_are_the_classes_in_snake_case() -> None:
    assert all(
        re.sub("_", "", name) == kind.__name__.lower() and kind.type == name for name, kind in EVENT_TYPES.items()
    )


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_payload_is_frozen_and_takes_keywords_only(kind: type[EventData]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.omit_defaults
    with pytest.raises(TypeError, match="positional"):
        kind("x")


# --- new --------------------------------------------------------------------------------------------------------------


def test_new_takes_a_type_and_its_fields() -> None:
    event = Event.new(type="message_received", session_id="ses_1", data={"text": "hi"})
    assert event.type == "message_received"
    assert event.data == ev.MessageReceived(text="hi")
    assert (event.session_id, event.run_id, event.seq, event.position, event.fence) == ("ses_1", None, 0, 0, 0)
    assert event.schema_version == SCHEMA_VERSION


def test_new_takes_a_payload_which_knows_its_type() -> None:
    assert Event.new(session_id="s", data=ev.SessionStarted()).type == "session_started"


def test_new_refuses_a_payload_of_another_type() -> None:
    with pytest.raises(InvalidInput) as caught:
        Event.new(type="session_paused", session_id="s", data=ev.SessionStarted())
    assert caught.value.code == "invalid_event_type"


def test_ids_are_unique_and_tell_what_they_are() -> None:
    first, second = an_event(), an_event()
    assert first.id != second.id
    assert re.fullmatch(r"evt_[0-9a-f]{32}", first.id)


def test_new_keeps_what_it_is_given() -> None:
    event = an_event(
        id="evt_mine", run_id="run_1", actor="ann", correlation_id="c", causation_id="evt_0", now=NOON + timedelta(0)
    )
    kept = (event.id, event.run_id, event.actor, event.correlation_id, event.causation_id, event.at)
    assert kept == ("evt_mine", "run_1", "ann", "c", "evt_0", NOON)


def test_the_time_is_in_utc() -> None:
    assert an_event(now=NOON.astimezone(timezone(timedelta(hours=-3)))).at.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"type": None}, "validation_error", "type"),
        ({"type": ""}, "validation_error", "type"),
        ({"type": 5}, "validation_error", "type"),
        ({"type": "made_up"}, "invalid_event_type", None),
        ({"type": "unknown"}, "invalid_event_type", None),
        ({"session_id": None}, "validation_error", "session_id"),
        ({"session_id": " "}, "validation_error", "session_id"),
        ({"run_id": ""}, "validation_error", "run_id"),
        ({"actor": 5}, "validation_error", "actor"),
        ({"id": ""}, "validation_error", "id"),
        ({"now": datetime(2030, 1, 1)}, "validation_error", "now"),
        ({"data": []}, "validation_error", "data"),
        ({"data": {}}, "validation_error", "data.name"),
        ({"data": {"name": 5}}, "validation_error", "data.name"),
        ({"data": {"name": "n", "valeu": 5}}, "validation_error", "data.valeu"),
        ({"data": {"name": "n", "value": {"at": NOON}}}, "validation_error", "data.value.at"),
    ],
)
def test_new_refuses_what_is_wrong_and_names_it(changes: dict[str, Any], code: str, path: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        an_event(**changes)
    assert (caught.value.code, caught.value.details.get("path")) == (code, path)


# --- the door for payloads that were built in Python ------------------------------------------------------------------


@given(payloads)
def test_every_payload_of_the_vocabulary_comes_back_from_the_log(data: EventData) -> None:
    assert checked(data) == data
    assert stored(data) == data


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (ev.MessageReceived(text=None), "data.text"),  # type: ignore[arg-type]
        (ev.MessageReceived(text=b"bytes"), "data.text"),  # type: ignore[arg-type]
        (ev.MessageReceived(text="a\ud800"), "data.text"),
        (ev.MessageSent(content={"image": b"png"}), "data.content.image"),
        (ev.RunStalled(seconds=float("nan")), "data.seconds"),
        (ev.RunStalled(seconds=True), "data.seconds"),
        (ev.RunTimeout(limit="timeout", seconds=float("inf")), "data.seconds"),
        (ev.ArtifactAdded(hash="x", size=True), "data.size"),
        (ev.ArtifactAdded(hash="x", size=1.5), "data.size"),  # type: ignore[arg-type]
        (ev.TokenUsageUpdated(usage=Usage(input_tokens=True)), "data.usage.input_tokens"),
        (ev.TokenUsageUpdated(usage=Usage(), cost=Decimal("NaN")), "data.cost"),
        (ev.TokenUsageUpdated(usage={"tokens": 1}), "data.usage.tokens"),  # type: ignore[arg-type]
        (ev.RateLimited(resets_at=datetime(2030, 1, 1)), "data.resets_at"),
        (ev.RunFailed(error=ErrorInfo(code="c", message="\udcff")), "data.error.message"),
        (ev.RunFailed(error="no"), "data.error"),  # type: ignore[arg-type]
        (ev.PlanUpdated(entries=[(1,)]), "data.entries[0]"),  # type: ignore[list-item]
        (ev.PlanUpdated(entries=["a"]), "data.entries[0]"),  # type: ignore[list-item]
        (ev.SessionUpdated(slots="2"), "data.slots"),  # type: ignore[arg-type]
        (ev.SessionCreated(agent_id="a", tags=["x", 1]), "data.tags[1]"),  # type: ignore[list-item]
        (ev.RunStarted(attempt=1, worker_id="w", agent=AgentFacts(type=b"t")), "data.agent.type"),  # type: ignore[arg-type]
        (ev.CustomRecorded(name="n", value={1: 2}), "data.value"),
        (Unknown(name="n", fields={"a": {1}}), "data.fields.a"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_payload_that_could_not_be_read_again_is_refused(data: EventData, path: str) -> None:
    """Whatever the type says, Python builds it; once it was stored, the log could never be read."""
    with pytest.raises(InvalidInput) as caught:
        checked(data)
    assert caught.value.details == {"path": path}
    assert caught.value.code == "validation_error"


def test_harmless_differences_are_straightened() -> None:
    assert checked(ev.SessionCreated(agent_id="a", tags=("x",))) == ev.SessionCreated(agent_id="a", tags=["x"])  # type: ignore[arg-type]
    options = RunOptions(takeover="resume")  # type: ignore[arg-type]
    queued = checked(ev.RunQueued(agent_id="a", options=options))
    assert isinstance(queued, ev.RunQueued)
    assert queued.options.takeover is Takeover.RESUME


def test_a_cost_comes_back_exactly() -> None:
    data = ev.TokenUsageUpdated(usage=Usage(), cost=Decimal("0.1") + Decimal("0.2"))
    assert encode_payload(checked(data)) == '{"usage":{},"cost":"0.3"}'
    assert stored(data) == data


def test_a_float_for_a_cost_is_taken_at_its_digits() -> None:
    data = checked(ev.TokenUsageUpdated(usage=Usage(), cost=0.1))  # type: ignore[arg-type]
    assert isinstance(data, ev.TokenUsageUpdated)
    assert data.cost == Decimal("0.1")


def test_the_door_copies_so_that_nobody_can_change_what_was_said() -> None:
    value, tags = [1], ["a"]
    custom, created = (
        checked(ev.CustomRecorded(name="n", value=value)),
        checked(ev.SessionCreated(agent_id="a", tags=tags)),
    )
    value.append(2)
    tags.append("b")
    assert custom == ev.CustomRecorded(name="n", value=[1])
    assert created == ev.SessionCreated(agent_id="a", tags=["a"])


def test_a_payload_outside_the_vocabulary_is_refused() -> None:
    class MineHappened(EventData):
        text: str

    with pytest.raises(InvalidInput, match="use CustomRecorded") as caught:
        checked(MineHappened(text="x"))
    assert caught.value.code == "invalid_event_type"


# --- to and from a dict -----------------------------------------------------------------------------------------------


@given(events)
def test_any_event_comes_back_from_real_json(event: Event) -> None:
    assert Event.from_dict(json.loads(json.dumps(event.to_dict()))) == event


@given(st.data(), st.sampled_from(sorted(EVENT_TYPES)))
def test_every_type_comes_back_from_real_json(draw: st.DataObject, name: str) -> None:
    event = Event.new(session_id="s", data=draw.draw(payloads_of(EVENT_TYPES[name])), now=NOON)
    back = Event.from_dict(json.loads(json.dumps(event.to_dict())))
    assert back == event
    assert type(back.data) is EVENT_TYPES[name]


def test_to_dict_begins_with_what_readers_look_for() -> None:
    value = msgspec.structs.replace(an_event(now=NOON), seq=7).to_dict()
    assert list(value)[:6] == ["seq", "type", "session_id", "run_id", "at", "data"]
    assert value["at"] == "2030-01-01T12:00:00Z"
    assert value["schema_version"] == SCHEMA_VERSION


def test_to_dict_is_a_copy() -> None:
    for event in (an_event(), Event.from_dict({**an_event().to_dict(), "type": "of_the_future"})):
        event.to_dict()["data"]["value"].append(2)
        assert event.to_dict()["data"]["value"] == [1]


@given(json_objects, st.integers(1, 9))
def test_an_unknown_type_is_kept_as_it_was(fields: dict[str, Any], version: int) -> None:
    value = {**an_event().to_dict(), "type": "of_the_future", "data": fields, "schema_version": version}
    event = Event.from_dict(value)
    assert (event.type, event.data) == ("of_the_future", Unknown(name="of_the_future", fields=fields))
    assert event.to_dict() == value


def test_a_known_type_in_a_schema_of_the_future_is_kept_as_it_was() -> None:
    value = {**an_event().to_dict(), "data": {"name": "n", "new": 1}, "schema_version": SCHEMA_VERSION + 1}
    event = Event.from_dict(value)
    assert isinstance(event.data, Unknown)
    assert (event.type, event.to_dict()) == ("custom_recorded", value)


@pytest.mark.parametrize("version", [None, 0, -1, "1", 1.0, True])
def test_from_dict_needs_the_schema_version(version: Any) -> None:
    error = refused(schema_version=version)
    assert (error.code, error.details) == ("validation_error", {"path": "schema_version"})


def test_from_dict_needs_the_schema_version_to_be_there() -> None:
    value = an_event().to_dict()
    del value["schema_version"]
    with pytest.raises(InvalidInput, match="schema_version"):
        Event.from_dict(value)


@pytest.mark.parametrize("field", ["id", "type", "session_id", "at"])
def test_from_dict_needs_every_required_field(field: str) -> None:
    value = an_event().to_dict()
    del value[field]
    with pytest.raises(InvalidInput, match=f"{field} is required"):
        Event.from_dict(value)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("at", "noon", "at"),
        ("at", "2030-01-01T12:00:00", "at"),
        ("seq", True, "seq"),
        ("seq", -(1 << 53), "seq"),
        ("position", 1.5, "position"),
        ("fence", -1, "fence"),
        ("run_id", "", "run_id"),
        ("run_id", 5, "run_id"),
        ("data", None, "data"),
        ("data", [], "data"),
        ("data", {"name": 5}, "data.name"),
        ("data", {"value": 5}, "data.name"),
        ("data", {"name": "n", "valeu": 1}, "data.valeu"),
        ("data", {"name": "n", "value": (1,)}, "data.value"),
        ("provider", "x", "provider"),
    ],
)
def test_from_dict_names_the_bad_field(field: str, value: Any, path: str) -> None:
    error = refused(**{field: value})
    assert (error.code, error.details) == ("validation_error", {"path": path})


@pytest.mark.parametrize("value", [None, [], "text"])
def test_from_dict_takes_nothing_but_a_dict(value: Any) -> None:
    with pytest.raises(InvalidInput, match="must be an object"):
        Event.from_dict(value)


def test_equal_events_have_equal_hashes() -> None:
    event = an_event()
    assert len({event, Event.from_dict(event.to_dict()), an_event()}) == 2


def test_the_whole_vocabulary_is_imported_from_events() -> None:
    names = [kind.__name__ for kind in ev.EventData.__subclasses__() if kind.__module__ == vocabulary.__name__]
    assert len(names) > 50
    assert [name for name in names if getattr(ev, name, None) is not getattr(vocabulary, name)] == []
