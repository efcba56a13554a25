"""The conversation that a log holds."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.domain import events as ev
from sessionry.domain.events import EVENT_TYPES, Event
from sessionry.domain.transcript import TRANSCRIPT_TYPES, Transcript, extend, text_of, transcript

from .conversations import DONE, ERROR, QUEUED, STARTED, call, created, log, logs, messages, piece, result, said, whole

# --- what people say --------------------------------------------------------------------------------------------------


def test_the_input_of_a_run_is_what_the_user_says() -> None:
    assert said(QUEUED, STARTED, whole("done"), DONE) == [("user", "fix it"), ("assistant", "done")]


def test_an_input_is_there_as_soon_as_it_is_queued() -> None:
    (message,) = messages(QUEUED)
    assert (message.role, message.text, message.open, message.run_id) == ("user", "fix it", True, "r1")


def test_an_input_is_said_when_its_run_begins() -> None:
    second = ev.RunQueued(agent_id="a", input="and now this")
    spoken = said(QUEUED, STARTED, ("r2", second), whole("done"), DONE, ("r2", STARTED), ("r2", whole("did that")))
    assert spoken == [("user", "fix it"), ("assistant", "done"), ("user", "and now this"), ("assistant", "did that")]


def test_message_sent_takes_the_place_of_the_queued_input() -> None:
    for sent in (
        (QUEUED, ev.MessageSent(content="fix it, please"), STARTED),
        (QUEUED, STARTED, ev.MessageSent(content="fix it, please")),
    ):
        assert said(*sent, whole("done")) == [("user", "fix it, please"), ("assistant", "done")]


def test_a_later_message_sent_takes_the_place_of_nothing() -> None:
    assert said(QUEUED, STARTED, whole("half"), ev.MessageSent(content="go on")) == [
        ("user", "fix it"),
        ("assistant", "half"),
        ("user", "go on"),
    ]


def test_several_messages_sent_are_all_kept_with_their_roles() -> None:
    earlier = [ev.MessageSent(content="hi"), ev.MessageSent(content="hello", role="assistant")]
    assert said(QUEUED, *earlier, ev.MessageSent(content="fix it")) == [
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "fix it"),
    ]


def test_a_run_has_one_input_even_where_a_broken_log_queues_it_twice() -> None:
    assert said(QUEUED, QUEUED, call("c1")) == [("user", "fix it"), ("tool", None)]


def test_a_run_without_input_says_nothing() -> None:
    assert said(ev.RunQueued(agent_id="a"), STARTED, DONE) == []


def test_steering_is_what_the_user_says_and_does_not_break_a_stream() -> None:
    spoken = said(QUEUED, STARTED, piece("one "), ev.InputReceived(text="use pytest"), piece("two"), whole("one two"))
    assert spoken == [("user", "fix it"), ("assistant", "one two"), ("user", "use pytest")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ({"prompt": "fix it", "images": []}, "fix it"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "b"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ({"content": [{"type": "text", "text": "a"}]}, "a"),
        ({"other": 1}, '{"other":1}'),
        (["ls", "-l"], "ls-l"),
        ([1, 2], "[1,2]"),
        ([], "[]"),
        (5, "5"),
    ],
)
def test_an_input_that_is_more_than_text_keeps_both(content: Any, text: str) -> None:
    assert text_of(content) == text
    (message,) = messages(ev.MessageSent(content=content))
    assert (message.text, message.content) == (text, None if isinstance(content, str) else content)


# --- what the agent says ----------------------------------------------------------------------------------------------


def test_pieces_become_one_message_which_the_whole_replaces() -> None:
    (message,) = messages(piece("hel"), piece("lo"), whole("hello!"))
    assert (message.text, message.open, message.seq) == ("hello!", False, 1)


def test_pruning_the_pieces_of_a_message_changes_nothing_that_was_said() -> None:
    words = [piece("he"), piece("y"), whole("hey"), call("c1"), result("c1"), piece("b"), whole("bye")]
    data = [QUEUED, STARTED, *words, DONE]
    pruned = [each for each in data if not isinstance(each, ev.MessageStreamed)]
    assert said(*data) == said(*pruned)


def test_what_an_unfinished_run_streamed_is_kept() -> None:
    (message,) = messages(piece("hel"), piece("lo"))
    assert (message.text, message.open) == ("hello", True)
    assert said(piece("hel"), ev.RunCancelled()) == [("assistant", "hel")]
    assert not messages(piece("hel"), ev.RunCancelled())[0].open


def test_pieces_find_their_message_by_its_id() -> None:
    assert said(piece("a", "m1"), piece("x", "m2"), piece("b", "m1"), whole("xy", "m2"), whole("ab", "m1")) == [
        ("assistant", "ab"),
        ("assistant", "xy"),
    ]


def test_a_whole_message_without_an_id_ends_the_stream_that_is_open() -> None:
    assert said(piece("a", "m1"), whole("ab")) == [("assistant", "ab")]
    assert said(piece("a"), whole("ab", "m1")) == [("assistant", "ab")]


def test_a_whole_message_with_another_id_is_another_message() -> None:
    assert said(piece("a", "m1"), whole("b", "m2")) == [("assistant", "a"), ("assistant", "b")]


def test_a_second_message_of_the_same_id_is_another_message() -> None:
    assert said(whole("a", "m1"), call("c1"), result("c1"), piece("b", "m1"), whole("b", "m1")) == [
        ("assistant", "a"),
        ("tool", None),
        ("assistant", "b"),
    ]


def test_a_tool_call_ends_a_stream_without_an_id() -> None:
    assert said(piece("a"), call("c1"), piece("b")) == [("assistant", "a"), ("tool", None), ("assistant", "b")]


def test_runs_side_by_side_do_not_mix() -> None:
    spoken = said(("r1", piece("a")), ("r2", piece("x")), ("r1", piece("b")), ("r2", whole("xy")), ("r1", whole("ab")))
    assert spoken == [("assistant", "ab"), ("assistant", "xy")]


AGAIN = [ev.RunRequeued(reason="worker_lost"), ev.RunStarted(attempt=2, worker_id="w2")]


def test_another_attempt_says_anew_what_the_first_broke_off() -> None:
    spoken = said(QUEUED, STARTED, whole("I look."), piece("hal"), *AGAIN, piece("who"), whole("whole"))
    assert spoken == [("user", "fix it"), ("assistant", "I look."), ("assistant", "whole")]
    assert said(QUEUED, STARTED, piece("hal"), ev.RunFailed(error=ERROR))[-1] == ("assistant", "hal"), "nobody will"


def test_words_that_are_superseded_are_left_out_and_what_tools_did_stays() -> None:
    first = [QUEUED, STARTED, whole("I run it."), call("c1"), result("c1", "out"), piece("Don")]
    before = [("r0", whole("earlier"))]
    spoken = said(*before, *first, *AGAIN, ev.WordsSuperseded(), whole("I ran it."), ev.RunCompleted(text="I ran it."))
    expected = [("assistant", "earlier"), ("user", "fix it"), ("tool", None), ("assistant", "I ran it.")]
    assert spoken == expected
    assert said(*first, *AGAIN, ev.WordsSuperseded(), ev.RunCompleted(text="end"))[-1] == ("assistant", "end")


def test_the_final_words_of_a_run_count_when_it_said_nothing_else() -> None:
    assert said(QUEUED, STARTED, ev.RunCompleted(text="done")) == [("user", "fix it"), ("assistant", "done")]
    assert said(whole("done"), ev.RunCompleted(text="done ")) == [("assistant", "done")]


def test_reasoning_is_left_out() -> None:
    assert said(ev.ReasoningStreamed(text="hm"), ev.ReasoningReceived(text="hm"), whole("yes")) == [
        ("assistant", "yes")
    ]


# --- tools ------------------------------------------------------------------------------------------------------------


def test_a_call_and_its_result_are_one_message() -> None:
    (message,) = messages(call("c1", {"command": "ls"}), result("c1", "a b"))
    assert (message.role, message.tool_call_id, message.tool_name) == ("tool", "c1", "bash")
    assert (message.tool_input, message.tool_output) == ({"command": "ls"}, "a b")
    assert (message.failed, message.open, message.seq) == (False, False, 1)


def test_parallel_calls_find_their_results_by_id() -> None:
    done = messages(call("c1", 1), call("c2", 2), result("c2", "two"), result("c1", "one"))
    assert [(each.tool_input, each.tool_output) for each in done] == [(1, "one"), (2, "two")]


def test_the_same_id_in_another_run_is_another_call() -> None:
    done = messages(("r1", call("c", 1)), ("r2", call("c", 2)), ("r1", result("c", "one")), ("r2", result("c", "two")))
    assert [(each.run_id, each.tool_output) for each in done] == [("r1", "one"), ("r2", "two")]


def test_an_id_that_is_used_again_is_another_call() -> None:
    done = messages(call("c", 1), result("c", "one"), call("c", 2), result("c", "two"))
    assert [(each.tool_input, each.tool_output) for each in done] == [(1, "one"), (2, "two")]


def test_a_failed_call_says_why() -> None:
    (message,) = messages(call("c"), ev.ToolCallFailed(tool_call_id="c", tool_name="b", error=ERROR, tool_output="out"))
    assert (message.failed, message.text, message.tool_output) == (True, "exit code 1", "out")


def test_an_interrupted_call_says_so() -> None:
    (message,) = messages(call("c"), ev.ToolCallInterrupted(tool_call_id="c", tool_name="b", reason="worker_lost"))
    assert (message.failed, message.text, message.open) == (True, "interrupted: worker_lost", False)


def test_a_call_at_work_is_open_and_one_that_its_run_left_behind_has_failed() -> None:
    assert messages(call("c"))[0].open
    (left,) = messages(call("c"), ev.RunFailed(error=ERROR))
    assert (left.open, left.failed) == (False, True)


def test_a_result_without_a_call_is_a_message_too_and_of_two_results_the_last_counts() -> None:
    assert [message.tool_output for message in messages(result("c", 1))] == [1]
    assert [message.tool_output for message in messages(call("c"), result("c", 1), result("c", 2))] == [2]


# --- the system prompt ------------------------------------------------------------------------------------------------


def test_the_system_prompt_comes_first() -> None:
    assert said(created("be kind"), QUEUED) == [("system", "be kind"), ("user", "fix it")]
    assert said(created(None), QUEUED) == said(created(""), QUEUED) == [("user", "fix it")]


def test_a_new_system_prompt_takes_its_place() -> None:
    updated = [ev.SessionUpdated(context={"system_prompt": "be brief"}), ev.SessionUpdated(title="t")]
    assert said(created("be kind"), QUEUED, *updated) == [("system", "be brief"), ("user", "fix it")]
    assert said(ev.SessionCreated(agent_id="a"), QUEUED, *updated) == [("system", "be brief"), ("user", "fix it")]
    assert said(created("be kind"), QUEUED, ev.SessionUpdated(context={})) == [("user", "fix it")]


def test_a_system_message_in_the_middle_stays_there() -> None:
    events = [
        Event.new(session_id="s", data=ev.MessageSent(content="hi")),
        Event.new(session_id="s", data=ev.MessageSent(content="be brief", role="system")),
        Event.new(session_id="s", data=created("be kind")),
    ]
    for made in (transcript(events), extend(transcript(events[:2]), events[2:])):
        assert [message.text for message in made.messages] == ["be kind", "hi", "be brief"]


# --- any log ----------------------------------------------------------------------------------------------------------


@given(logs, st.data())
def test_piece_by_piece_gives_the_same_as_all_at_once(events: list[Event], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(events)))
    first = transcript(events[:at])
    before = msgspec.json.encode(first)
    assert extend(first, events[at:]) == transcript(events)
    assert extend(first, events) == transcript(events)  # what it accounts for already is passed over
    assert msgspec.json.encode(first) == before


@given(logs)
def test_messages_are_in_the_order_of_the_log_and_survive_json(events: list[Event]) -> None:
    made = transcript(events)
    seqs = [message.seq for message in made.messages if message.role != "system"]
    assert seqs == sorted(set(seqs))
    assert made.last_seq == len(events)
    assert msgspec.convert(json.loads(msgspec.json.encode(made)), Transcript) == made


@given(logs)
def test_the_other_event_types_may_be_left_out(events: list[Event]) -> None:
    read = [event for event in events if event.type in TRANSCRIPT_TYPES]
    assert transcript(read).messages == transcript(events).messages
    assert set(TRANSCRIPT_TYPES) <= set(EVENT_TYPES)


def test_a_long_stream_is_cheap() -> None:
    made = transcript(log(*[piece("word ")] * 50_000))
    assert len(made.messages[0].text or "") == 250_000


def test_events_that_no_store_has_seen_are_taken_in_their_order() -> None:
    unstored = [Event.new(session_id="s", run_id="r", data=each) for each in (piece("a"), piece("b"))]
    assert transcript(unstored).messages[0].text == "ab"
