"""What is stored stays readable: golden samples of every event type, and the upcasters that read old ones.

`tests/golden/events_v1.json` is kept for ever. A change that fails here needs a new schema version, an upcaster, and new
samples beside the old ones; never new samples in their place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionry.domain import codec
from sessionry.domain import events as ev
from sessionry.domain.codec import decode_json, decode_payload, encode_json, encode_payload, payload_from_builtins
from sessionry.domain.errors import InvalidInput, StoreFailed
from sessionry.domain.events import EVENT_TYPES, SCHEMA_VERSION, Event, Unknown, checked

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "events_v1.json").read_text())
SAMPLES = [(type, size) for type, samples in GOLDEN["payloads"].items() for size in samples]


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- golden samples ---------------------------------------------------------------------------------------------------


def test_every_type_has_its_samples() -> None:
    assert list(GOLDEN["payloads"]) == list(EVENT_TYPES)
    assert all(list(samples) == ["minimal", "full"] for samples in GOLDEN["payloads"].values())


@pytest.mark.parametrize("type", EVENT_TYPES)
def test_the_full_sample_has_every_field(type: str) -> None:
    assert list(GOLDEN["payloads"][type]["full"]) == list(EVENT_TYPES[type].__struct_fields__)


@pytest.mark.parametrize("type", EVENT_TYPES)
def test_the_minimal_sample_has_the_required_fields(type: str) -> None:
    required = [field.name for field in msgspec.structs.fields(EVENT_TYPES[type]) if field.required]
    assert list(GOLDEN["payloads"][type]["minimal"]) == required


@pytest.mark.parametrize(("type", "size"), SAMPLES)
def test_a_golden_payload_is_read_and_written_as_ever(type: str, size: str) -> None:
    text = compact(GOLDEN["payloads"][type][size])
    payload = decode_payload(type, text, GOLDEN["schema_version"])
    assert payload.type == type
    assert encode_payload(payload) == text
    assert encode_payload(checked(payload)) == text


@pytest.mark.parametrize("value", GOLDEN["events"], ids=lambda value: value["type"])
def test_a_golden_event_is_read_and_written_as_ever(value: dict[str, Any]) -> None:
    event = Event.from_dict(value)
    assert compact(event.to_dict()) == compact(value)


@pytest.mark.parametrize(("type", "size"), SAMPLES)
def test_both_ways_of_reading_agree(type: str, size: str) -> None:
    sample = GOLDEN["payloads"][type][size]
    assert payload_from_builtins(type, sample, SCHEMA_VERSION) == decode_payload(type, compact(sample))


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("message_received", "{"),
        ("message_received", ""),
        ("message_received", "[]"),
        ("message_received", "null"),
        ("message_received", "{}"),
        ("message_received", '{"text":5}'),
        ("run_queued", '{"agent_id":"a","options":{"timeout":-1}}'),
        ("of_the_future", "{"),
    ],
)
def test_a_damaged_payload_is_a_corrupt_store_and_says_what_to_do(type: str, text: str) -> None:
    with pytest.raises(StoreFailed, match=f"a stored {type} event cannot be read: .* run `sessionry doctor`") as caught:
        decode_payload(type, text)
    assert caught.value.code == "store_corrupt"
    assert caught.value.__cause__ is not None


def test_a_stored_field_that_is_not_known_is_passed_over() -> None:
    assert decode_payload("input_received", '{"text":"a","new":1}') == ev.InputReceived(text="a")


def test_an_unknown_type_is_kept_as_it_was_stored() -> None:
    payload = decode_payload("of_the_future", '{"a":[1,null],"b":{"c":18446744073709551615}}')
    assert payload == Unknown(name="of_the_future", fields={"a": [1, None], "b": {"c": 2**64 - 1}})
    assert encode_payload(payload) == '{"a":[1,null],"b":{"c":18446744073709551615}}'


def test_a_lone_surrogate_is_refused_before_it_is_stored() -> None:
    with pytest.raises(InvalidInput, match="lone surrogate"):
        encode_payload(ev.InputReceived(text="\ud800"))


def test_a_bad_field_is_named_with_its_path() -> None:
    with pytest.raises(InvalidInput) as caught:
        payload_from_builtins("run_failed", {"error": {"code": "c", "message": 5}}, SCHEMA_VERSION)
    assert caught.value.details == {"path": "data.error.message"}


# --- upcasters --------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_version_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world two versions on: `input_received` was called `said` at first, and then its text was a list of lines."""

    def renamed(fields: dict[str, Any]) -> dict[str, Any]:
        return {"lines": fields["said"]}

    def joined(fields: dict[str, Any]) -> dict[str, Any]:
        return {"text": "\n".join(fields["lines"])}

    for module in (codec, ev):
        monkeypatch.setattr(module, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(codec, "UPCASTERS", {("input_received", 1): renamed, ("input_received", 2): joined})


@pytest.mark.usefixtures("at_version_three")
@pytest.mark.parametrize(
    ("version", "text"), [(1, '{"said":["a","b"]}'), (2, '{"lines":["a","b"]}'), (3, '{"text":"a\\nb"}')]
)
def test_an_old_payload_is_upgraded_step_by_step(version: int, text: str) -> None:
    assert decode_payload("input_received", text, version) == ev.InputReceived(text="a\nb")


@pytest.mark.usefixtures("at_version_three")
def test_a_type_that_did_not_change_is_read_from_any_version() -> None:
    assert [decode_payload("message_received", '{"text":"a"}', version) for version in (1, 2, 3)] == [
        ev.MessageReceived(text="a")
    ] * 3


@pytest.mark.usefixtures("at_version_three")
def test_an_upgraded_event_is_written_in_todays_schema_and_not_upgraded_twice() -> None:
    old = {**Event.new(session_id="s", data=ev.InputReceived(text="")).to_dict()}
    old |= {"schema_version": 1, "data": {"said": ["a", "b"]}}
    event = Event.from_dict(old)
    assert (event.data, event.schema_version) == (ev.InputReceived(text="a\nb"), 3)
    assert Event.from_dict(event.to_dict()) == event


@pytest.mark.usefixtures("at_version_three")
def test_an_old_event_that_a_store_gave_is_written_in_todays_schema_too() -> None:
    payload = decode_payload("input_received", '{"said":["a"]}', 1)
    event = msgspec.structs.replace(Event.new(session_id="s", data=payload), schema_version=1)
    assert Event.from_dict(event.to_dict()).data == payload


@pytest.mark.usefixtures("at_version_three")
def test_an_unknown_type_keeps_its_version() -> None:
    value = {**Event.new(session_id="s", data=ev.SessionStarted()).to_dict(), "type": "gone", "schema_version": 2}
    assert Event.from_dict(value).to_dict() == value


def test_an_upcaster_that_leaves_a_bad_payload_is_a_corrupt_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (codec, ev):
        monkeypatch.setattr(module, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(codec, "UPCASTERS", {("input_received", 1): lambda fields: {"text": 5}})
    with pytest.raises(StoreFailed, match=r"data\.text"):
        decode_payload("input_received", '{"text":"a"}', 1)


# --- plain JSON -------------------------------------------------------------------------------------------------------


def test_plain_json_is_compact_and_comes_back() -> None:
    text = encode_json({"a": [1, None, "é"], "b": 0.1})
    assert text == '{"a":[1,null,"é"],"b":0.1}'
    assert decode_json(text) == {"a": [1, None, "é"], "b": 0.1}
