"""What providers send is kept without secrets, however they cut them into frames, and else as it was sent."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.domain import frames
from sessionry.domain.events import FrameReceived
from sessionry.domain.frames import Frames
from sessionry.domain.json_values import Json
from sessionry.domain.redaction import Redactor
from tests.domain.test_redaction import _PARTS, KNOWN, ORDINARY, REDACTOR, SECRETS

KEY = "sk-ant-api03-abcdefghijklmnop_-qrst"
_texts = st.lists(st.sampled_from(_PARTS) | st.text(max_size=8), min_size=1, max_size=4).map("".join)
_cuts = st.lists(st.integers(0, 150), max_size=12)

#: how providers send a piece of a text
SHAPES: dict[str, Any] = {
    "openai chat": lambda text: {"id": "c1", "choices": [{"index": 0, "delta": {"content": text}}]},
    "openai responses": lambda text: {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "delta": text,
    },
    "anthropic": lambda text: {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    },
    "codex": lambda text: {"method": "item/agentMessage/delta", "params": {"itemId": "i1", "delta": text}},
    "acp": lambda text: {
        "method": "session/update",
        "params": {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}},
    },
}


def numbered(sent: list[Json]) -> list[FrameReceived]:
    return [FrameReceived(source="test", number=number, frame=frame) for number, frame in enumerate(sent, 1)]


def kept(sent: list[Json], redactor: Redactor = REDACTOR) -> list[Json]:
    """What a reader finds of them in the end, in the order in which they came."""
    keeper = Frames(redactor)
    told = [event for frame in numbered(sent) for event in keeper.received(frame)] + keeper.rest()
    places = [event.number for event in told if not event.late]
    assert places == list(range(1, len(sent) + 1)), "each has its place at once"
    whole = {event.number: event.frame for event in told if event.frame is not None}
    assert len([event for event in told if event.frame is not None]) == len(whole), "none is told twice"
    return [whole[number] for number in places]


def cut(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(each for each in cuts if each < len(text)), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


def joined(shape: str, found: list[Json]) -> str:
    """The text that was sent in frames of that shape."""
    probe = json.dumps(SHAPES[shape]("\0"))
    before, after = probe.split("\\u0000")
    return "".join(json.loads(f'"{json.dumps(frame)[len(before) : -len(after)]}"') for frame in found)


@pytest.mark.parametrize("shape", SHAPES)
@given(_texts, _cuts)
def test_a_text_in_frames_is_redacted_as_the_whole_is(shape: str, text: str, cuts: list[int]) -> None:
    if text.lstrip(" \t\r\n")[:1] in ("{", "["):
        text = f"See: {text}"  # JSON has a test of its own
    found = kept([SHAPES[shape](piece) for piece in cut(text, cuts)])
    assert joined(shape, found) == REDACTOR.text(text)


@pytest.mark.parametrize(("text", "redacted"), [secret for secret in SECRETS if secret[0][0] != "{"])
def test_a_secret_that_comes_character_by_character_goes_whole(text: str, redacted: str) -> None:
    assert joined("anthropic", kept([SHAPES["anthropic"](character) for character in text])) == redacted


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_frames_are_kept_as_they_were_sent(text: str) -> None:
    sent = [SHAPES["openai chat"](text[at : at + 3]) for at in range(0, len(text), 3)]
    assert kept(sent) == sent


def test_what_is_shown_stands_where_the_secret_began() -> None:
    found = kept([SHAPES["acp"](piece) for piece in ("the key ", "is sk-", KEY[3:10], KEY[10:], " and on")])
    pieces = [frame["params"]["update"]["content"]["text"] for frame in found]
    assert pieces == ["the key ", "is [redacted:anthropic_key]", "", "", " and on"]


# --- the arguments of tool calls -----------------------------------------------------------------------------------------

_values = st.recursive(
    st.none()
    | st.integers()
    | st.sampled_from(["", "plain", "hunter2", "${TOKEN}", "$5", "[a]", 'a"b\\c', "é\n", *KNOWN]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "password", "api_key", "headers", "Authorization", "note"]), inner)
    ),
    max_leaves=8,
)


def arguments(text: str, index: int = 0) -> Json:
    return {"choices": [{"delta": {"tool_calls": [{"index": index, "function": {"arguments": text}}]}}]}


def sent_arguments(found: list[Json], index: int = 0) -> str:
    calls = [frame["choices"][0]["delta"]["tool_calls"][0] for frame in found]
    return "".join(call["function"]["arguments"] for call in calls if call["index"] == index)


@given(st.dictionaries(st.sampled_from(["password", "text", "token", "env"]), _values), _cuts, st.booleans())
def test_the_arguments_of_a_call_are_redacted_as_its_input_is(
    value: dict[str, Json], cuts: list[int], ascii: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    found = sent_arguments(kept([arguments(piece) for piece in cut(text, cuts)]))
    assert json.loads(found) == REDACTOR.value(value)


def test_calls_at_the_same_time_do_not_mix() -> None:
    texts = ['{"password": "hunter2", "n": 1}', f'{{"text": "{KEY}"}}']
    sent = [arguments(texts[index][at], index) for at in range(25) for index in (0, 1)]
    sent += [arguments(texts[index][25:], index) for index in (1, 0)]
    found = kept(sent)
    assert sent_arguments(found, 0) == '{"password": "[redacted:secret]", "n": 1}'
    assert sent_arguments(found, 1) == '{"text": "[redacted:anthropic_key]"}'


def test_a_first_piece_that_says_more_of_itself_is_of_the_same_text() -> None:
    first = {"id": "call_1", "type": "function", "function": {"name": "write", "arguments": '{"pass'}}
    then = {"function": {"arguments": 'word": "short"}'}}
    for index in ({}, {"index": 0}):
        sent = [{"choices": [{"delta": {"tool_calls": [call | index]}}]} for call in (first, then)]
        calls = [frame["choices"][0]["delta"]["tool_calls"][0] for frame in kept(sent)]
        assert "".join(call["function"]["arguments"] for call in calls) == '{"password": "[redacted:secret]"}'


@pytest.mark.parametrize(
    "text", ['{"password": "a\nb"} x', "{ not json", '[link](http://a) "password": "hunter2"', "{}{}[]", '{"a":]']
)
@given(cuts=_cuts)
def test_a_text_that_only_begins_like_json_is_kept(text: str, cuts: list[int]) -> None:
    found = sent_arguments(kept([arguments(piece) for piece in cut(text, cuts)]))
    assert found == sent_arguments(kept([arguments(text)]))
    assert "hunter2" in found or "hunter2" not in text


# --- whole frames --------------------------------------------------------------------------------------------------------


def test_what_is_under_a_telling_name_goes_and_names_stay() -> None:
    frame = {"type": "token", "id": "sk", "api_key": "short", "auth": [{"password": ["x", "${HOME}"]}], "n": 1.5}
    (found,) = kept([frame])
    assert found == frame | {"api_key": "[redacted:secret]", "auth": [{"password": ["[redacted:secret]", "${HOME}"]}]}


def test_names_are_texts_of_their_own() -> None:
    sent = [{"type": "sk-", "role": "assistant", "item_id": f"item_{number}"} for number in range(3)]
    keeper = Frames(REDACTOR)
    assert [keeper.received(frame) for frame in numbered(sent)] == [[frame] for frame in numbered(sent)]


# --- what waits ----------------------------------------------------------------------------------------------------------


def test_a_frame_that_waits_has_its_place_and_follows_when_it_is_decided() -> None:
    keeper = Frames(REDACTOR)
    first, second, third = numbered([SHAPES["anthropic"](text) for text in ("the s", "o-", "end")])
    assert [(event.number, event.frame, event.late) for event in keeper.received(first)] == [(1, None, False)]
    assert [(event.number, event.frame, event.late) for event in keeper.received(second)] == [
        (1, first.frame, True),
        (2, None, False),
    ]
    assert [event.number for event in keeper.received(third)] == [2, 3]
    assert keeper.rest() == []


@given(st.integers(1, len(KEY) - 1), st.integers(1, len(KEY) - 1))
def test_what_follows_a_frame_that_could_not_wait_still_goes(one: int, other: int) -> None:
    first, second = sorted((one, other))
    keeper = Frames(REDACTOR)
    told = []
    for frame in numbered([SHAPES["anthropic"](f"a {KEY[:first]}"), SHAPES["anthropic"](KEY[first:second])]):
        told += keeper.received(frame) + keeper.rest()
    told += keeper.received(numbered([SHAPES["anthropic"](f"{KEY[second:]} and on")])[0]) + keeper.rest()
    assert KEY not in joined("anthropic", [event.frame for event in told if event.frame is not None])
    assert told[-1].frame["delta"]["text"].removeprefix("[redacted:anthropic_key]") == " and on"


def test_a_new_answer_goes_on_with_no_text_of_the_one_before() -> None:
    keeper = Frames(REDACTOR)
    first, second = numbered([SHAPES["openai chat"](f"the key {KEY}"), SHAPES["openai chat"]("Hello.")])
    (told,) = keeper.received(first, anew=True)
    assert joined("openai chat", [told.frame]) == "the key [redacted:anthropic_key]"
    assert keeper.received(second, anew=True) == [second]


@pytest.mark.parametrize("index", [[1], {"a": 1}, None, 1.5, "one"])
def test_an_index_may_be_anything(index: Json) -> None:
    sent = [{"index": index, "text": text} for text in ("hello ", "password: hunter2hunter2 ", "bye")]
    assert [frame["text"] for frame in kept(sent)] == ["hello ", "password: [redacted:secret] ", "bye"]


def test_of_many_texts_that_all_wait_few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    class Counted(frames._Text):
        @property
        def waits(self) -> bool:
            nonlocal looks
            looks += 1
            return super().waits

    monkeypatch.setattr(frames, "MOST_TEXTS", 100)
    monkeypatch.setattr(frames, "_Text", Counted)
    sent = {f"field {number}": "sk-" for number in range(300)}
    assert kept([sent]) == [sent]
    assert looks <= 200 * frames.MOST_LOOKED_AT


def test_only_so_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_HELD", 5)
    monkeypatch.setattr(frames, "MOST_TEXTS", 20)
    keeper = Frames(REDACTOR)
    told = []
    sent = [{"item_id": f"{number}", "text": "sk-"} for number in range(100)]
    for frame in numbered(sent):
        told += keeper.received(frame)
        waiting = {event.number for event in told if not event.late} - {e.number for e in told if e.frame is not None}
        assert len(waiting) <= 5
    told += keeper.rest()
    assert sorted(event.number for event in told if event.frame is not None) == list(range(1, 101))


def test_many_characters_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_CHARACTERS", 1000)
    placed, late = Frames(REDACTOR).received(
        FrameReceived(source="test", number=1, frame={"text": "x" * 1000 + " sk-"})
    )
    assert late.late
    assert late.frame["text"].endswith(" sk-")
    assert placed.frame is None
