"""Every option of the agents that ask models arrives: in the request that left, or in what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from sessionry.agents.anthropic import AnthropicAgent
from sessionry.agents.models.chat import Chat
from sessionry.agents.models.messages import Messages
from sessionry.agents.models.responses import Responses
from sessionry.agents.models.wire import Wire
from sessionry.agents.openai import OpenAIAgent
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation
from sessionry.domain.errors import InvalidInput
from sessionry.domain.transcript import Message, Transcript
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer, Received
from tests.agents.arrivals import Arrival, arrives, named, of_runs
from tests.agents.models.conftest import script
from tests.agents.models.host_tools import add
from tests.agents.models.test_requests import CLOSED, OPTIONS

WIRES: dict[str, Wire] = {"chat": Chat(), "responses": Responses(), "anthropic": Messages()}
ADDS = script({"tools": [{"name": "add", "input": {"a": 1}}]}, {"text": "{last_tool}"})


class Left(NamedTuple):
    """The requests that left, with the seconds that each was given, and what came of them."""

    asked: list[Received]
    timeouts: list[dict[str, float]]
    context: RecordingContext

    @property
    def error(self) -> str:
        return self.context.data(ev.RunFailed)[0].error.code

    @property
    def outputs(self) -> list[Any]:
        """What the tools gave."""
        return [call.tool_output for call in self.context.data(ev.ToolCallCompleted)]


class Crowd:
    """A tool that says how many of its calls worked at the same time."""

    def __init__(self) -> None:
        self._now, self._met = 0, asyncio.Event()

    async def together(self) -> int:
        """Wait a moment for another call."""
        self._now += 1
        if self._now > 1:
            self._met.set()
        try:
            await asyncio.wait_for(self._met.wait(), 0.3)
        except TimeoutError:
            return self._now
        finally:
            self._now -= 1
        return 2


def in_body(expected: dict[str, Any]) -> Callable[[Left], Any]:
    return lambda left: {name: left.asked[0].body[name] for name in expected}


def key_of(left: Left) -> str:
    headers = left.asked[0].headers
    return headers["x-api-key"] if "x-api-key" in headers else headers["authorization"].removeprefix("Bearer ")


def rows(kind: str) -> list[Arrival]:
    """The options that all protocols have, and those that this one has."""
    beside: dict[str, Any] = {} if kind == "anthropic" else {"api": kind}
    adds = {**beside, "tools": [add]}
    asks = {**adds, "approve": "always"}
    twice = script({"tools": [{"name": "together"}] * 2}, {"text": "done"})
    fits_later = script({"text": "no"}, {"text": '{"n": 1}'})
    of_protocol = [
        Arrival(name, value, in_body(where[kind]), where[kind], beside=beside, input=script({"text": '{"n": 1}'}))
        for name, value, where in OPTIONS
        if kind in where
    ]
    of_both = [
        *of_protocol,
        Arrival("system_prompt", "Be brief.", lambda left: "Be brief." in str(left.asked[0].body), True, beside=beside),
        Arrival("max_turns", 1, lambda left: left.error, "limit_reached", beside=adds, input=ADDS),
    ]
    return [
        *of_both,
        *of_runs(of_both, *WIRES[kind].options),
        Arrival("top_p", 0.75, in_body({"top_p": 0}), {"top_p": 0.75}, of_run=True, beside={**beside, "top_p": 0.5}),
        Arrival(
            "base_url",
            "http://localhost:PORT",
            lambda left: left.asked[0].headers["host"][:9],
            "localhost",
            beside=beside,
        ),
        Arrival("api_key", "k-1", key_of, "k-1", beside=beside),
        Arrival("tools", [add], lambda left: left.asked[0].tools, ["add"], beside=beside),
        Arrival("approve", ["add"], lambda left: left.context.questions[0].tool_name, "add", beside=adds, input=ADDS),
        Arrival("approval_timeout", 9, lambda left: left.context.questions[0].timeout, 9, beside=asks, input=ADDS),
        Arrival("parallel_tools", 1, lambda left: left.outputs, [1, 1], beside=beside, input=twice),
        Arrival(
            "output_retries",
            0,
            lambda left: len(left.asked),
            1,
            beside={**beside, "output_schema": CLOSED},
            input=fits_later,
        ),
        Arrival("max_context_tokens", 50, lambda left: "old old" in str(left.asked[0].body), False, beside=beside),
        Arrival("max_retries", 1, lambda left: len(left.asked), 2, beside=beside, input=script({"error": 500})),
        Arrival("connect_timeout", 3.5, lambda left: left.timeouts[0]["connect"], 3.5, beside=beside),
        Arrival("read_timeout", 44.5, lambda left: left.timeouts[0]["read"], 44.5, beside=beside),
        Arrival("headers", {"X-Team": "blue"}, lambda left: left.asked[0].headers["x-team"], "blue", beside=beside),
        Arrival("extra_body", {"seed": 7}, lambda left: left.asked[0].body["seed"], 7, beside=beside),
        Arrival(
            "provider",
            "anthropic" if kind == "anthropic" else "openai",
            lambda left: left.context.data(ev.TokenUsageUpdated)[0].cost is not None,
            True,
            beside=beside,
        ),
    ]


ARRIVALS = {
    "openai": [
        *rows("chat"),
        *rows("responses"),
        Arrival("api", "responses", lambda left: left.asked[0].path, "/v1/responses"),
    ],
    "anthropic": rows("anthropic"),
}


@pytest.mark.parametrize(
    ("type", "arrival"),
    [(type, row) for type, table in ARRIVALS.items() for row in table],
    ids=[f"{row.beside.get('api', type)}-{named(row)}" for type, table in ARRIVALS.items() for row in table],
)
async def test_every_option_arrives(
    type: str, arrival: Arrival, model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts: list[dict[str, float]] = []
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def noting(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        return await send(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", noting)
    earlier = Transcript(
        messages=[Message(role="user", text=text, seq=seq) for seq, text in enumerate(("old " * 400, "newest"), 1)],
        last_seq=2,
    )

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        port, before = urlsplit(model_server.url).port, len(model_server.asked)
        given: dict[str, Any] = {
            "model": "claude-sonnet-4-5" if type == "anthropic" else "gpt-5",
            "base_url": "http://127.0.0.1:PORT",
            "api_key": "dummy",
            "tools": [Crowd().together],
            **options,
        }
        given["base_url"] = given["base_url"].replace("PORT", str(port)) + ("" if type == "anthropic" else "/v1")
        agent = (AnthropicAgent if type == "anthropic" else OpenAIAgent)(**given)
        timeouts.clear()
        context = RecordingContext(
            agent.check(input), cwd=folder, answers=lambda _: True, previous=Conversation(missed=earlier)
        )
        await context.play(agent)
        return Left(model_server.asked[before:], list(timeouts), context)

    await arrives(arrival, tmp_path, play)


@pytest.mark.parametrize(
    ("api", "option", "value"), [("responses", "stop", ["END"]), ("chat", "reasoning_summary", "auto")]
)
def test_what_a_protocol_has_no_word_for_is_refused_by_its_name(api: Any, option: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        OpenAIAgent(**{"model": "m", "api": api, option: value})
    assert told.value.details["option"] == option
    assert "take api = " in told.value.message
    with pytest.raises(InvalidInput) as told:
        OpenAIAgent(model="m", api=api).check({"prompt": "x", option: value})
    assert told.value.details["path"] == f"input.{option}"
