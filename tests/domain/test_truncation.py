"""Transcripts that must fit: the newest stays, whole if it can, and nothing is torn apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import Event
from sessionry.domain.transcript import Message, Transcript, characters, transcript, truncated

from .conversations import QUEUED, call, log, logs, result, whole
from .strategies import json_values


def talk(*texts: str, system: str | None = None) -> Transcript:
    prompt = [] if system is None else [Message(role="system", text=system)]
    return Transcript(messages=[*prompt, *(Message(role="user", text=text) for text in texts)], last_seq=9)


def left(made: Transcript) -> list[str | None]:
    return [message.text for message in made.messages]


def test_without_limits_everything_stays() -> None:
    made = talk("a", "b", system="s")
    assert truncated(made) == made


def test_the_newest_messages_stay() -> None:
    assert left(truncated(talk("a", "b", "c"), max_messages=2)) == ["b", "c"]
    assert left(truncated(talk("aaaa", "bbb", "cc"), max_characters=5)) == ["bbb", "cc"]
    assert left(truncated(talk("a", "bbbbb", "c"), max_characters=3)) == ["c"]  # no holes in the middle
    assert truncated(talk("a", "b"), max_messages=1).last_seq == 9


def test_system_messages_stay_and_count() -> None:
    made = talk("aaaa", "bbbb", "cccc", system="ssss")
    assert left(truncated(made, max_messages=2)) == ["ssss", "cccc"]
    assert left(truncated(made, max_characters=12)) == ["ssss", "bbbb", "cccc"]


def test_the_strictest_limit_counts() -> None:
    made = talk("aaaa", "bbbb", "cccc")
    assert left(truncated(made, max_messages=3, max_characters=100, max_tokens=2)) == ["bbbb", "cccc"]
    assert left(truncated(made, max_tokens=2, characters_per_token=2.5)) == ["cccc"]


def test_tool_payloads_count_and_a_tool_message_is_never_split() -> None:
    made = transcript(log(QUEUED, call("c1", {"command": "x" * 50}), result("c1", "y" * 50), whole("done")))
    assert [characters(message) for message in made.messages] == [6, 114, 4]
    assert [message.role for message in truncated(made, max_characters=117).messages] == ["assistant"]
    tool, words = truncated(made, max_characters=118).messages
    assert (tool, words.text) == (made.messages[1], "done")


def test_a_newest_message_that_is_too_big_is_cut_and_says_so() -> None:
    (message,) = truncated(talk("a", "begin" + "x" * 1000 + "end"), max_characters=100).messages
    assert message.text is not None
    assert len(message.text) <= 100
    assert message.text.startswith("begin")
    assert message.text.endswith("end")
    assert "characters left out" in message.text


def test_a_newest_tool_message_that_is_too_big_is_cut_where_it_is_biggest() -> None:
    made = transcript(log(call("c1", {"command": "ls"}), result("c1", {"lines": ["y" * 99] * 99})))
    (message,) = truncated(made, max_characters=200).messages
    assert message.tool_input == {"command": "ls"}
    assert "characters left out" in message.tool_output
    assert characters(message) <= 200


def test_a_system_prompt_that_fills_everything_still_leaves_a_word_of_the_newest() -> None:
    system, newest = truncated(talk("b" * 100, system="s" * 50), max_characters=20).messages
    assert system.text == "s" * 50
    assert newest.text
    assert newest.text.strip() == "[... 100 characters left out ...]"


@given(logs, st.integers(1, 9), st.integers(1, 400))
def test_any_transcript_fits_and_keeps_its_newest(events: list[Event], most: int, room: int) -> None:
    made = transcript(events)
    fitted = truncated(made, max_messages=most, max_characters=room)
    pinned = [message for message in made.messages if message.role == "system"]
    others = [message for message in made.messages if message.role != "system"]
    kept = [message for message in fitted.messages if message.role != "system"]
    assert [message for message in fitted.messages if message.role == "system"] == pinned
    assert len(kept) <= max(most - len(pinned), 1)
    assert [message.seq for message in kept] == [message.seq for message in others[len(others) - len(kept) :]]
    if others:
        assert kept
        assert kept[1:] == others[len(others) - len(kept) + 1 :]
    if len(kept) > 1:
        assert sum(map(characters, fitted.messages)) <= room


@given(json_values, st.integers(60, 300))
def test_a_cut_message_fits(output: Any, room: int) -> None:
    message = Message(role="tool", tool_call_id="c", tool_name="t", tool_input=output, tool_output=[output] * 9)
    (cut,) = truncated(Transcript(messages=[message]), max_characters=room).messages
    assert characters(cut) <= max(room, 2 * len("\n[... 100000 characters left out ...]\n"))


@pytest.mark.parametrize("limit", ["max_messages", "max_characters", "max_tokens"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5"])
def test_a_limit_is_a_whole_number(limit: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=limit):
        truncated(talk("a"), **{limit: value})


def test_characters_per_token_are_positive() -> None:
    with pytest.raises(InvalidInput, match="characters_per_token"):
        truncated(talk("a"), max_tokens=1, characters_per_token=0)
