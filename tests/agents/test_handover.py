"""Handing a conversation over: what fits is carried whole and in order, and what is left out is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.agents.handover import (
    BEGUN_BEFORE,
    GO_ON,
    MAX_TOKENS,
    MOST_LEFT_OUT,
    Handover,
    begin_again,
    go_on,
    hand_over,
    own_work,
    was_interrupted,
)
from sessionry.domain import events as ev
from sessionry.domain import records
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.events import Event
from sessionry.domain.session import Session
from sessionry.domain.transcript import Message, Transcript

NATIVE = NativeSession(id="n-1", run_id="run_1")


def said(seq: int, role: str, text: str, **fields: Any) -> Message:
    return Message(seq=seq, role=role, text=text, **fields)


def tool(seq: int, input: Any, output: Any, **fields: Any) -> Message:
    call = {"tool_call_id": f"t{seq}", "tool_name": "bash", "tool_input": input, "tool_output": output}
    return Message(seq=seq, role="tool", **(call | fields))


TALK = [
    said(1, "system", "Be brief."),
    said(2, "user", "List the files."),
    tool(3, {"command": "ls"}, "a.py\nb.py"),
    said(4, "assistant", "There are two."),
    said(5, "user", "Delete one."),
    said(6, "assistant", "Done."),
]


def handed(
    messages: list[Message], *, pinned: Any = None, native: NativeSession | None = None, **options: Any
) -> Handover:
    conversation = Conversation(native=native, missed=Transcript(messages=messages), previous_agents=["codex"])
    context = {} if pinned is None else {"pinned": pinned}
    return hand_over(conversation, Session.new(agent_id="a", context=context), **options)


def test_what_fits_is_carried_whole() -> None:
    handover = handed(TALK)
    assert handover.messages == TALK
    assert handover.report.mode == "replay"
    assert (handover.report.carried, handover.report.left_out) == (5, [])
    assert handover.report.previous_agents == ["codex"]


def test_the_text_tells_who_said_and_did_what() -> None:
    assert handed(TALK).text() == "\n\n".join(
        [
            "<instructions>",
            "Be brief.",
            "</instructions>",
            "<earlier_conversation>",
            "This conversation began without you. What was said and done in it:",
            "[user]\nList the files.",
            '[tool bash {"command":"ls"}]\na.py\nb.py',
            "[assistant]\nThere are two.",
            "[user]\nDelete one.",
            "[assistant]\nDone.",
            "</earlier_conversation>",
        ]
    )


def test_a_failed_tool_says_so_and_a_result_may_be_any_json() -> None:
    failed = tool(1, None, None, failed=True, text="exit code 1")
    listed = tool(2, "ls", {"files": 2})
    text = handed([failed, listed]).text()
    assert "[tool bash]\nfailed: exit code 1" in text
    assert '[tool bash ls]\n{"files":2}' in text


def test_nothing_to_say_is_an_empty_text() -> None:
    handover = handed([])
    assert (handover.text(), handover.report.carried, handover.report.tokens) == ("", 0, 0)


def test_a_system_prompt_is_handed_over_before_anything_was_said() -> None:
    assert handed(TALK[:1]).text() == "<instructions>\n\nBe brief.\n\n</instructions>"


def test_the_oldest_go_first_and_the_report_names_them() -> None:
    handover = handed(TALK, max_tokens=12)
    assert [message.seq for message in handover.messages] == [1, 4, 5, 6]
    assert handover.report.left_out == [
        {"what": "user message", "seq": 2, "reason": "too long"},
        {"what": "call of bash", "seq": 3, "reason": "too long"},
    ]
    assert handover.report.carried == 3


def test_the_system_prompt_and_the_pinned_messages_stay() -> None:
    handover = handed(TALK, pinned=[2, "nonsense", 99], max_tokens=10)
    assert [message.seq for message in handover.messages] == [1, 2, 5, 6]
    assert [entry["seq"] for entry in handover.report.left_out] == [3, 4]


@pytest.mark.parametrize("pinned", ["2", 2, None, {"seq": 2}])
def test_pinned_is_a_list_or_nothing(pinned: Any) -> None:
    assert handed(TALK, pinned=pinned).messages == TALK


def test_the_newest_message_is_cut_rather_than_lost_and_that_is_told() -> None:
    handover = handed([said(1, "user", "old"), said(2, "assistant", "x" * 1000)], max_tokens=50)
    (message,) = handover.messages
    assert message.seq == 2
    assert 0 < len(message.text or "") <= 200
    assert handover.report.left_out == [
        {"what": "user message", "seq": 1, "reason": "too long"},
        {"what": "a part of assistant message", "seq": 2, "reason": "too long"},
    ]
    assert handover.report.tokens <= 50


def test_a_tool_call_and_its_result_go_together() -> None:
    handover = handed([tool(1, "ls", "x" * 400), said(2, "user", "And now?")], max_tokens=50)
    assert [message.seq for message in handover.messages] == [2]
    assert handover.report.left_out == [{"what": "call of bash", "seq": 1, "reason": "too long"}]


def test_images_are_not_carried_as_text_and_that_is_told() -> None:
    asked = said(1, "user", "What is on it?", content={"prompt": "What is on it?", "images": [{"path": "a.png"}]})
    assert handed([asked]).report.left_out == [
        {"what": "images of user message", "seq": 1, "reason": "only text is carried"}
    ]


def test_a_long_list_of_what_was_left_out_is_counted_at_its_end() -> None:
    many = [said(number, "user", "x" * 100) for number in range(1, 201)]
    report = handed(many, max_tokens=30).report
    assert len(report.left_out) == MOST_LEFT_OUT
    assert report.left_out[-1] == {"what": f"{199 - MOST_LEFT_OUT + 1} more", "seq": None, "reason": "too long"}


def test_the_tokens_are_estimated_by_the_characters() -> None:
    assert handed([said(1, "user", "x" * 400)]).report.tokens == 100
    assert handed([said(1, "user", "x" * 400)], characters_per_token=2).report.tokens == 200


def test_the_mode_tells_what_the_agent_knows() -> None:
    assert handed([], native=NATIVE).report.mode == "native"
    assert handed(TALK[1:], native=NATIVE).report.mode == "both"
    resumed = Conversation(native=NATIVE, missed=Transcript(messages=TALK))
    assert hand_over(resumed, Session.new(agent_id="a"), native=False).report.mode == "replay"
    assert handed(TALK).report.mode == "replay"


MESSAGES = st.lists(
    st.builds(
        lambda role, size, output: (role, "x" * size, "y" * output),
        st.sampled_from(["system", "user", "assistant", "tool"]),
        st.integers(0, 60),
        st.integers(0, 60),
    ),
    max_size=12,
)


@given(MESSAGES, st.integers(1, 100), st.sets(st.integers(1, 12)))
def test_every_message_is_carried_or_told_and_the_order_stays(
    parts: list[tuple[str, str, str]], max_tokens: int, pinned: set[int]
) -> None:
    messages = [
        tool(seq, text, output) if role == "tool" else said(seq, role, text)
        for seq, (role, text, output) in enumerate(parts, 1)
    ]
    handover = handed(messages, pinned=sorted(pinned), max_tokens=max_tokens, characters_per_token=1)
    kept = [message.seq for message in handover.messages]
    assert kept == sorted(set(kept))
    gone = [entry["seq"] for entry in handover.report.left_out if not str(entry["what"]).startswith("a part")]
    assert sorted([*kept, *gone]) == [message.seq for message in messages]
    staying = {message.seq for message in messages if message.role == "system" or message.seq in pinned}
    assert staying <= set(kept)
    if messages:
        assert messages[-1].seq in kept


# --- interrupted work ---


def test_who_goes_on_is_told_what_is_missing() -> None:
    assert go_on() == GO_ON
    told = go_on(TALK[2:4])
    assert told.startswith(GO_ON)
    assert "besides what you see above:" in told
    assert '[tool bash {"command":"ls"}]\na.py\nb.py\n\n[assistant]\nThere are two.' in told


def test_who_begins_again_is_told_what_was_done_and_then_asked() -> None:
    assert begin_again() == f"{BEGUN_BEFORE}\n\nWhat you were asked:"
    assert "[assistant]\nThere are two." in begin_again(TALK[2:4])


def test_what_is_missing_may_be_too_long_as_well() -> None:
    long = [tool(number, {"n": number}, "x" * 4000) for number in range(100)]
    assert len(go_on(long)) < 4 * MAX_TOKENS + 2000
    assert '{"n":99}' in go_on(long)
    assert '{"n":1}' not in go_on(long)


def test_own_work_is_what_was_whole() -> None:
    events = [
        ev.RunQueued(agent_id="a", input="go"),
        ev.RunStarted(attempt=1, worker_id="w"),
        ev.MessageStreamed(text="I wi", message_id="m1"),
        ev.MessageReceived(text="I will.", message_id="m1"),
        ev.ToolCallStarted(tool_call_id="t1", tool_name="bash", tool_input="ls"),
        ev.ToolCallInterrupted(tool_call_id="t1", tool_name="bash", reason="worker_lost"),
        ev.MessageStreamed(text="hal", message_id="m2"),
        ev.RunRequeued(reason="worker_lost"),
    ]
    words, call = own_work(
        Event(id=f"evt_{seq}", session_id="ses_1", run_id="run_1", at=records.utc_now(), data=data, seq=seq)
        for seq, data in enumerate(events, 1)
    )
    assert (words.text, call.tool_name) == ("I will.", "bash")
    assert was_interrupted(call)
    assert not was_interrupted(words)
