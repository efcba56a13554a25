"""The same script is the same answer, by every protocol, streamed or whole, as clients that are none of ours hear it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessionry.testing.fakellm import ModelServer
from tests.testing.clients import CLIENTS, MODEL, TOOL, Client, Heard, Problem, Question

STOPS = {
    "anthropic": ("end_turn", "tool_use"),
    "responses": ("completed", "completed"),
    "chat": ("stop", "tool_calls"),
    "gemini": ("STOP", "STOP"),
}


class Talk:
    """A conversation with the scripted model by one protocol."""

    def __init__(self, name: str, stream: bool, server: ModelServer) -> None:
        self.name, self.stream, self.server = name, stream, server
        self._client: Client = CLIENTS[name]

    def ask(self, *steps: dict[str, Any], results: tuple[tuple[str, ...], ...] = (), **more: Any) -> Heard:
        return self.say(f"please <<<SCRIPT {json.dumps(steps)} >>>", results=results, **more)

    def say(self, prompt: str, **more: Any) -> Heard:
        return self._client(self.server.url, Question(prompt, **more), self.stream)


@pytest.fixture(params=list(CLIENTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def talk(name: str, request: pytest.FixtureRequest, model_server: ModelServer) -> Talk:
    return Talk(name, request.param, model_server)


def test_text_comes_in_words_after_the_thinking(talk: Talk) -> None:
    heard = talk.ask({"text": "one two  three", "thinking": "hm, well"})
    assert heard.text == "one two  three"
    assert heard.thinking == "hm, well"
    assert heard.model == MODEL
    assert heard.stop == STOPS[talk.name][0]
    assert heard.calls == []
    if talk.stream:
        assert heard.pieces == ["one ", "two  ", "three"]


def test_tools_are_called_side_by_side(talk: Talk) -> None:
    tools = [{"name": "add", "input": {"a": 1, "b": [2]}}, {"name": "now"}]
    heard = talk.ask({"text": "both", "tools": tools, "shell": "ls"})
    assert [name for name, _ in heard.calls] == ["add", "now", TOOL]
    assert heard.calls[0][1] == {"a": 1, "b": [2]}
    assert heard.calls[1][1] == {}
    assert heard.calls[2][1]["command"] == "ls"
    assert heard.stop == STOPS[talk.name][1]


def test_a_step_of_tools_alone_says_nothing(talk: Talk) -> None:
    heard = talk.ask({"tools": [{"name": "now"}]})
    assert (heard.text, len(heard.calls)) == ("", 1)


def test_each_round_of_results_is_followed_by_the_next_step(talk: Talk) -> None:
    steps = ({"shell": "one"}, {"shell": "two"}, {"text": "{turn}: {last_tool}"})
    rounds: list[tuple[str, ...]] = [("a", "b"), ("c",)]
    assert talk.ask(*steps, results=(rounds[0],)).calls[0][1]["command"] == "two"
    assert talk.ask(*steps, results=tuple(rounds)).text == "2: c"
    assert [request.turn for request in talk.server.asked] == [1, 2]


def test_tokens_are_counted_as_the_protocol_counts_them(talk: Talk) -> None:
    tokens = {"input": 10, "cache_read": 200, "cache_write": 3000, "output": 40000, "reasoning": 5000}
    _, _, output, reasoning = usage = talk.ask({"text": "ok", "usage": tokens}).usage
    assert usage[:2] == ((10, 200) if talk.name == "anthropic" else (3210, 200))
    assert (output, reasoning) == (40000, 0 if talk.name == "anthropic" else 5000)


def test_a_refusal_has_its_status_its_words_and_when_to_come_again(talk: Talk) -> None:
    step = {"error": 429, "message": "slow down", "retry_after": 7, "headers": {"x-limit": "3"}}
    with pytest.raises(Problem, match="slow down") as caught:
        talk.ask(step)
    assert caught.value.status == 429
    assert caught.value.headers["retry-after"] == "7"
    assert caught.value.headers["x-limit"] == "3"
    assert [(request.status, request.ended) for request in talk.server.asked] == [(429, "refused")]


def test_the_code_of_a_refusal_is_that_of_the_script(talk: Talk) -> None:
    with pytest.raises(Problem) as caught:
        talk.ask({"error": 400, "code": "context_length_exceeded", "message": "too long"})
    if talk.name != "gemini":  # its client here tells the message alone
        assert "context_length_exceeded" in str(caught.value)


def test_a_connection_is_cut(talk: Talk) -> None:
    with pytest.raises(Problem) as caught:
        talk.ask({"text": "one two three", "drop": True})
    assert caught.value.status is None
    assert talk.server.wait_for(lambda request: request.ended is not None).ended == "dropped"


def test_an_error_comes_in_the_middle_of_a_stream(name: str, model_server: ModelServer) -> None:
    talk = Talk(name, True, model_server)
    with pytest.raises(Problem, match="out of luck") as caught:
        talk.ask({"text": "one two", "sse_error": True, "message": "out of luck"})
    assert caught.value.status in (None, 200)


def test_a_request_fails_a_few_times_and_then_does_not(talk: Talk) -> None:
    step = {"error": 500, "times": 2, "text": "at last"}
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            talk.ask(step)
        assert caught.value.status == 500
    assert talk.ask(step).text == "at last"
    assert [request.tried for request in talk.server.asked] == [1, 2, 3]


def test_pictures_are_seen(talk: Talk) -> None:
    assert talk.ask({"text": "I see {images}"}, picture=True).text == "I see 1"
    assert talk.server.asked[0].images == 1


def test_an_answer_of_a_schema_is_the_one_of_the_script(talk: Talk) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert json.loads(talk.ask({"json": {"n": 3}}, schema=schema).text) == {"n": 3}


def test_without_a_script_the_prompt_comes_back(talk: Talk) -> None:
    assert talk.say("hello there").text == "echo: hello there"
    assert talk.server.asked[0].prompt == "hello there"


def test_a_wrong_script_is_told_to_the_agent(talk: Talk) -> None:
    with pytest.raises(Problem, match=r"unknown field `txet`") as caught:
        talk.ask({"txet": "typo"})
    assert caught.value.status == 400
