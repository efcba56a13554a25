"""An answer is read the same however its bytes come, and whatever servers make of the protocols."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionry.agents.models.chat import Chat, ChatReader
from sessionry.agents.models.failing import ModelFailed
from sessionry.agents.models.messages import Messages, MessagesReader
from sessionry.agents.models.responses import Responses, ResponsesReader
from sessionry.agents.models.resuming import record
from sessionry.agents.models.talk import Recorded
from sessionry.agents.models.wire import Reader, Wire, answered, fed
from sessionry.agents.openai import OpenAIAgent
from sessionry.domain import events as ev
from sessionry.domain.usage import Usage
from sessionry.testing.context import RecordingContext
from tests.agents.models.host_tools import add
from tests.agents.models.streams import chunk, raw_server, read, sse

ODD = "Zwölf 你好 🙂\u2028 next\x85line"


def anthropic_stream() -> list[Any]:
    def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[Any]:
        return [
            {"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    arguments = json.dumps({"a": 1, "s": ODD}, ensure_ascii=False)
    events = [
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "ping"},
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": ODD},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "eA=="}),
        *block(2, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in (ODD, " end"))),
        *block(
            3,
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}},
            {"type": "input_json_delta", "partial_json": arguments[:9]},
            {"type": "input_json_delta", "partial_json": arguments[9:]},
        ),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {
                "output_tokens": 40,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 11},
            },
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def chat_stream() -> list[Any]:
    arguments = json.dumps({"a": 1, "s": ODD}, ensure_ascii=False)
    call = {"index": 0, "id": "c1", "function": {"name": "add", "arguments": ""}}
    return [
        chunk({"role": "assistant", "content": ""}, model="m"),
        chunk({"reasoning_content": ODD}),
        chunk({"content": ODD}),
        chunk({"content": " end"}),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[:9]}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[9:]}}]}),
        chunk(finish="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}},
        "[DONE]",
    ]


def responses_stream() -> list[Any]:
    arguments = json.dumps({"a": 1, "s": ODD}, ensure_ascii=False)
    items = [
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "zz"},
        {
            "type": "message",
            "id": "m1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": f"{ODD} end"}],
        },
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "add", "arguments": arguments},
    ]
    usage = {
        "input_tokens": 15,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 5},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 11},
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"model": "m"}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": ODD},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": ODD},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": " end"},
        *({"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(items)),
        {"type": "response.completed", "response": {"model": "m", "status": "completed", "usage": usage}},
    ]
    return [(event["type"], event) for event in events]


STREAMS: dict[str, tuple[Callable[[], Reader], Callable[[], list[Any]], Usage]] = {
    "chat": (ChatReader, chat_stream, Usage(input_tokens=9, output_tokens=4)),
    "responses": (
        ResponsesReader,
        responses_stream,
        Usage(input_tokens=7, output_tokens=40, cache_read_tokens=3, cache_write_tokens=5, reasoning_tokens=11),
    ),
    "anthropic": (
        MessagesReader,
        anthropic_stream,
        Usage(input_tokens=7, output_tokens=40, cache_read_tokens=3, cache_write_tokens=5, reasoning_tokens=11),
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_chunking_of_the_bytes_gives_the_same(kind: str, data: st.DataObject) -> None:
    make, stream, usage = STREAMS[kind]
    body = sse(*stream(), end=data.draw(st.sampled_from(["\n", "\r\n", "\r"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=40)))
    chunks = [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True) if begin < end]
    pieces, answer = asyncio.run(read(make(), *chunks))
    assert [piece.text for piece in pieces if piece.kind == "text"] == [ODD, " end"]
    assert [piece.text for piece in pieces if piece.kind == "reasoning"] == [ODD]
    assert (answer.text, answer.reasoning, answer.stop, answer.usage) == (f"{ODD} end", ODD, "tool_use", usage)
    assert [(call.name, call.input, call.problem) for call in answer.calls] == [("add", {"a": 1, "s": ODD}, None)]


async def test_every_single_byte_may_come_alone() -> None:
    for make, stream, _ in STREAMS.values():
        body = sse(*stream())
        whole = await read(make(), body)
        assert await read(make(), *(body[at : at + 1] for at in range(len(body)))) == whole


def test_what_goes_back_of_an_answer_is_as_it_came() -> None:
    make, stream, _ = STREAMS["anthropic"]
    _, answer = asyncio.run(read(make(), sse(*stream())))
    thinking, redacted, text, call = answer.native
    assert thinking == {"type": "thinking", "thinking": ODD, "signature": "c2ln"}
    assert redacted == {"type": "redacted_thinking", "data": "eA=="}
    assert (text["text"], call) == (f"{ODD} end", {"type": "tool_use"})
    make, stream, _ = STREAMS["responses"]
    _, answer = asyncio.run(read(make(), sse(*stream())))
    assert [item["type"] for item in answer.native] == ["reasoning", "message", "function_call"]


# --- what servers make of the chat protocol ---


async def test_calls_without_ids_and_indexes_are_told_apart() -> None:
    one = {"function": {"name": "add", "arguments": {"a": 1}}}
    other = {"function": {"name": "add", "arguments": '{"a": 2}'}}
    _, answer = await read(ChatReader(), sse(chunk({"tool_calls": [one]}), chunk({"tool_calls": [other]}, "stop")))
    assert [(call.id, call.native_id, call.input) for call in answer.calls] == [
        ("call_1", None, {"a": 1}),
        ("call_2", None, {"a": 2}),
    ]
    assert answer.stop == "tool_use"


async def test_pieces_of_a_call_without_an_index_belong_to_the_newest() -> None:
    begun = {"id": "x", "function": {"name": "add", "arguments": '{"a"'}}
    stream = sse(
        chunk({"tool_calls": [begun]}),
        chunk({"tool_calls": [{"function": {"arguments": ": 5}"}}]}),
        chunk(finish="stop"),
    )
    _, answer = await read(ChatReader(), stream)
    assert [call.input for call in answer.calls] == [{"a": 5}]


async def test_two_calls_under_one_index_are_two() -> None:
    calls = [{"index": 0, "id": id, "function": {"name": "add", "arguments": "{}"}} for id in ("x", "y")]
    _, answer = await read(ChatReader(), sse(chunk({"tool_calls": calls}, "tool_calls")))
    assert [call.native_id for call in answer.calls] == ["x", "y"]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_has_two_names_and_goes_back_under_its_own(name: str) -> None:
    call = {"index": 0, "function": {"name": "add", "arguments": "{}"}}
    _, answer = await read(ChatReader(), sse(chunk({name: "hm"}), chunk({"tool_calls": [call]}, "stop")))
    assert (answer.reasoning, answer.native) == ("hm", {name: "hm"})


@pytest.mark.parametrize("arguments", ["{bad", "[1]", "3"])
async def test_arguments_that_are_no_object_are_a_problem_of_the_call(arguments: str) -> None:
    call = {"index": 0, "function": {"name": "add", "arguments": arguments}}
    _, answer = await read(ChatReader(), sse(chunk({"tool_calls": [call]}, "stop")))
    assert answer.calls[0].problem is not None


async def test_no_arguments_are_none() -> None:
    call = {"index": 0, "function": {"name": "add"}}
    _, answer = await read(ChatReader(), sse(chunk({"tool_calls": [call]}, "stop")))
    assert (answer.calls[0].input, answer.calls[0].problem) == ({}, None)


async def test_unknown_usage_is_unknown() -> None:
    _, answer = await read(ChatReader(), sse(chunk({"content": "hi"}, "stop")))
    assert answer.usage is None


async def test_usage_may_be_null_and_come_with_the_last_words() -> None:
    stream = sse(chunk({"content": "hi"}, usage=None), chunk(finish="stop", usage={"prompt_tokens": 2}))
    _, answer = await read(ChatReader(), stream)
    assert answer.usage == Usage(input_tokens=2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input_tokens=30, output_tokens=50, cache_read_tokens=60, cache_write_tokens=10, reasoning_tokens=20),
        ),
        (  # reasoning beside the completion
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 170,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input_tokens=100, output_tokens=70, reasoning_tokens=20),
        ),
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 40}, Usage(input_tokens=60, cache_read_tokens=40)),
        ({"prompt_tokens": None, "completion_tokens": 3}, Usage(output_tokens=3)),
    ],
)
async def test_buckets_do_not_overlap(given: dict[str, Any], expected: Usage) -> None:
    _, answer = await read(ChatReader(), sse(chunk({"content": "hi"}, "stop"), {"choices": [], "usage": given}))
    assert answer.usage == expected


@pytest.mark.parametrize("body", ["nonsense", "[1]", '"text"'])
@pytest.mark.parametrize("wire", [Chat(), Responses(), Messages()])
async def test_what_is_no_json_object_cannot_be_understood(wire: Wire, body: str) -> None:
    with pytest.raises(ModelFailed) as told:
        await read(wire.reader(), sse(body))
    assert told.value.info.code == "protocol"


JUNK = st.sampled_from(
    ["null", "true", "-1", "1.5", '"x"', '""', "[]", "[1]", '["x"]', "{}", '{"x": 1}', "[[]]", "[{}]"]
)


@pytest.mark.parametrize("kind", STREAMS)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_whatever_comes_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    """Junk in any place of a stream makes no reader stumble, and what is read can be kept."""
    make, stream, _ = STREAMS[kind]
    events = [event[1] if isinstance(event, tuple) else event for event in stream()]
    for _ in range(data.draw(st.integers(1, 3))):
        event = data.draw(st.sampled_from([event for event in events if isinstance(event, dict)]))
        while True:
            keys = list(event) if isinstance(event, dict) else list(range(len(event)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(event[key], dict | list) or not event[key] or data.draw(st.booleans()):
                event[key] = json.loads(data.draw(JUNK))
                break
            event = event[key]
    reader = make()
    try:
        for event in events:
            list(fed(reader, "", event if isinstance(event, str) else json.dumps(event)))
        record(1, Recorded(answer=answered(reader, "call")))
    except ModelFailed as error:
        assert error.info.code in ("protocol", "overloaded", "agent_failed")  # noqa: PT017


# --- over a connection ---


def local(url: str, **options: Any) -> OpenAIAgent:
    return OpenAIAgent(model="qwen3:8b", base_url=f"{url}/v1", **options)


async def test_a_local_server_needs_no_key_and_no_done(tmp_path: Path) -> None:
    call = {"function": {"name": "add", "arguments": {"a": 3}}}
    answers = [sse(chunk({"tool_calls": [call]}, "stop")), sse(chunk({"content": "four"}), chunk(finish="stop"))]
    async with raw_server(*answers) as server:
        context = RecordingContext("3 + 1?", cwd=tmp_path)
        events = await context.play(local(server.url, tools=[add]))
    assert isinstance(events[-1], ev.RunCompleted)
    assert events[-1].text == "four"
    assert not context.data(ev.TokenUsageUpdated)
    assert "authorization" not in server.headers[0].lower()
    call_message, result = server.bodies[1]["messages"][1:]
    assert call_message["tool_calls"][0]["id"] == result["tool_call_id"]
    assert (result["role"], result["content"]) == ("tool", "4")


async def test_ids_that_come_again_are_not_used_again(tmp_path: Path) -> None:
    call = {"index": 0, "id": "call_0", "function": {"name": "add", "arguments": '{"a": 3}'}}
    answer = sse(chunk({"tool_calls": [call]}, "tool_calls"))
    async with raw_server(answer, answer, sse(chunk({"content": "done"}, "stop"))) as server:
        context = RecordingContext("go", cwd=tmp_path)
        await context.play(local(server.url, tools=[add]))
    ids = [message["tool_call_id"] for message in server.bodies[2]["messages"] if message["role"] == "tool"]
    assert len(set(ids)) == 2
    assert len({call.tool_call_id for call in context.data(ev.ToolCallStarted)}) == 2


async def test_a_server_that_does_not_stream_is_told_of(tmp_path: Path) -> None:
    async with raw_server(b'{"hello": 1}', content_type="application/json") as server:
        events = await RecordingContext("hi", cwd=tmp_path).play(local(server.url))
    assert isinstance(events[-1], ev.RunFailed)
    assert (events[-1].error.code, "does not stream" in events[-1].error.message) == ("protocol", True)


async def test_a_message_that_begins_differently_the_second_time_is_told_whole(tmp_path: Path) -> None:
    answers = [sse(chunk({"content": "Hello"})), sse(chunk({"content": "Good"}), chunk({"content": " day"}, "stop"))]
    async with raw_server(*answers) as server:
        context = RecordingContext("hi", cwd=tmp_path)
        await context.play(local(server.url))
    assert [message.text for message in context.data(ev.MessageStreamed)] == ["Hello"]
    assert [message.text for message in context.data(ev.MessageReceived)] == ["Good day"]
    assert [message.text for message in (await context.transcript()).messages if message.role == "assistant"] == [
        "Good day"
    ]
