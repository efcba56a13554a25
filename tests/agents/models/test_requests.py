"""Every option is seen in the request that left, or refused by its name."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents import anthropic, openai
from sessionry.agents.anthropic import AnthropicAgent
from sessionry.agents.catalog import Catalog
from sessionry.agents.discovery import Found
from sessionry.agents.models.chat import Chat
from sessionry.agents.models.messages import Messages
from sessionry.agents.models.responses import Responses
from sessionry.agents.models.settings import Settings
from sessionry.agents.models.wire import Request
from sessionry.agents.openai import OpenAIAgent
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from sessionry.testing.fakellm.received import Received
from tests.agents.models.conftest import KINDS, Making
from tests.agents.models.host_tools import add

CLOSED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


async def request_of(agent: Any, server: ModelServer, tmp_path: Path, input: Json = "hello") -> Received:
    await RecordingContext(agent.check(input), cwd=tmp_path).play(agent)
    return server.requests[0]


#: option, its value, and where it has to be in the body of each protocol
OPTIONS: list[tuple[str, Any, dict[str, dict[str, Any]]]] = [
    ("model", "other", {kind: {"model": "other"} for kind in KINDS}),
    (
        "max_tokens",
        2000,
        {
            "chat": {"max_tokens": 2000},
            "responses": {"max_output_tokens": 2000},
            "anthropic": {"max_tokens": 2000},
        },
    ),
    ("temperature", 0.5, {kind: {"temperature": 0.5} for kind in KINDS}),
    ("top_p", 0.9, {kind: {"top_p": 0.9} for kind in KINDS}),
    ("stop", ["END"], {"chat": {"stop": ["END"]}, "anthropic": {"stop_sequences": ["END"]}}),
    (
        "reasoning_effort",
        "high",
        {
            "chat": {"reasoning_effort": "high"},
            "responses": {"reasoning": {"effort": "high"}},
            "anthropic": {"output_config": {"effort": "high"}},
        },
    ),
    ("reasoning_summary", "auto", {"responses": {"reasoning": {"summary": "auto"}}}),
    ("thinking", "adaptive", {"anthropic": {"thinking": {"type": "adaptive"}}}),
    ("thinking_budget", 1024, {"anthropic": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}),
    (
        "system_prompt",
        "Be brief.",
        {"responses": {"instructions": "Be brief."}, "anthropic": {"system": "Be brief."}},
    ),
    (
        "output_schema",
        CLOSED,
        {
            "chat": {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": CLOSED, "strict": True},
                }
            },
            "responses": {
                "text": {"format": {"type": "json_schema", "name": "output", "schema": CLOSED, "strict": True}}
            },
            "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
        },
    ),
]


@pytest.mark.parametrize(("name", "value", "where"), OPTIONS, ids=[option[0] for option in OPTIONS])
async def test_an_option_of_the_run_goes_before_that_of_the_agent_or_is_refused(
    making: Making, model_server: ModelServer, tmp_path: Path, name: str, value: Any, where: dict[str, dict[str, Any]]
) -> None:
    agent, input = making(output_retries=0), {"prompt": "hello", name: value}
    if making.kind not in where and name != "system_prompt":
        with pytest.raises(InvalidInput, match=f"input.{name}") as told:
            agent.check(input)
        assert told.value.code == "validation_error"
        return
    request = await request_of(agent, model_server, tmp_path, input)
    expected = where.get(making.kind, {})
    assert request.body | expected == request.body


async def test_system_prompts_of_agent_and_session_are_both_told(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    agent = making(system_prompt="Be brief.")
    context = RecordingContext("hello", cwd=tmp_path, session_context={"system_prompt": "Speak Latin."})
    await context.play(agent)
    body = model_server.requests[0].body
    told = {
        "chat": lambda: body["messages"][0]["content"],
        "responses": lambda: body["instructions"],
        "anthropic": lambda: body["system"],
    }
    assert told[making.kind]() == "Be brief.\n\nSpeak Latin."


async def test_headers_and_fields_can_be_added_and_fields_taken_away(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    extra = {"seed": 7, "temperature": None}
    agent = making(headers={"X-Team": "blue"}, extra_body=extra, temperature=0.1)
    request = await request_of(agent, model_server, tmp_path)
    assert request.headers["x-team"] == "blue"
    assert request.body["seed"] == 7
    assert "temperature" not in request.body


async def test_keys_go_where_the_protocol_has_them(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    request = await request_of(making(api_key="k-1"), model_server, tmp_path)
    name, value = ("x-api-key", "k-1") if making.kind == "anthropic" else ("authorization", "Bearer k-1")
    assert request.headers[name] == value
    assert request.headers["accept"] == "text/event-stream"
    assert ("anthropic-version" in request.headers) == (making.kind == "anthropic")


async def test_key_and_address_come_from_the_environment_of_the_run(
    making: Making, model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = making(api_key=None, base_url=None)
    name = "ANTHROPIC" if making.kind == "anthropic" else "OPENAI"
    monkeypatch.setenv(f"{name}_BASE_URL", model_server.url + ("" if name == "ANTHROPIC" else "/v1/"))
    monkeypatch.setenv(f"{name}_API_KEY", " from-environment\n")
    request = await request_of(agent, model_server, tmp_path)
    assert "from-environment" in (request.headers.get("x-api-key"), request.headers.get("authorization", "")[7:])
    paths = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"}
    assert request.path == paths[making.kind]


async def test_anthropic_takes_a_base_url_with_and_without_a_version(
    each: Callable[[str], Making], model_server: ModelServer, tmp_path: Path
) -> None:
    agent = each("anthropic")(base_url=f"{model_server.url}/v1/")
    assert (await request_of(agent, model_server, tmp_path)).path == "/v1/messages"


async def test_tools_are_told_with_their_schemas(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    request = await request_of(making(tools=[add]), model_server, tmp_path)
    (told,) = request.body["tools"]
    told = told.get("function", told)
    assert (told["name"], told["description"]) == ("add", "Add two numbers.")
    assert told.get("parameters") or told["input_schema"] == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }


async def test_nothing_is_kept_on_the_server_of_the_responses_api(
    each: Callable[[str], Making], model_server: ModelServer, tmp_path: Path
) -> None:
    body = (await request_of(each("responses")(), model_server, tmp_path)).body
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])


def test_openai_itself_is_told_the_limit_by_its_new_name() -> None:
    body = Chat().body(Request(Settings(model="gpt-5", max_tokens=5), "", [], [], None), True)
    assert (body["max_completion_tokens"], "max_tokens" in body) == (5, False)


# --- refused ---


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_tokens", 0),
        ("max_turns", 0),
        ("temperature", 2.5),
        ("top_p", 1.5),
        ("parallel_tools", 0),
        ("max_retries", -1),
        ("output_retries", -1),
        ("max_context_tokens", 0),
        ("read_timeout", 0),
        ("connect_timeout", -1),
        ("approval_timeout", 0),
        ("model", " "),
        ("reasoning_effort", "enormous"),
        ("output_schema", {"type": "object", "patternProperties": {}}),
        ("output_schema", {"type": "thing"}),
        ("output_schema", "no_such_module:Type"),
        ("extra_body", {"stream": False}),
        ("extra_body", {"tools": [{"type": "web_search"}]}),
        ("headers", {"X-Name": "Zoë"}),
        ("headers", {"X Name": "x"}),
        ("headers", {"X-Name": "a\nb"}),
        ("approve", "sometimes"),
        ("approve", ["no_such_tool"]),
        ("tools", ["no_such_module:tool"]),
        ("tools", [add, add]),
        ("tools", [3]),
    ],
)
def test_a_bad_option_is_refused_by_its_name(making: Making, option: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        making(**{option: value})
    assert told.value.code == "invalid_configuration"
    assert option in told.value.message or "cannot be imported" in told.value.message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"thinking_budget": 1000}, "thinking_budget"),
        ({"thinking_budget": 9000}, "thinking_budget"),
        ({"thinking_budget": 2000, "thinking": "adaptive"}, "thinking_budget"),
        ({"thinking": "enabled"}, "thinking_budget"),
        ({"thinking": "adaptive", "temperature": 0.2}, "temperature"),
        ({"temperature": 1.5}, "temperature"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort"),
    ],
)
def test_options_that_claude_cannot_have_together_are_refused(
    each: Callable[[str], Making], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInput) as told:
        each("anthropic")(**options)
    assert told.value.details["option"] == named
    with pytest.raises(InvalidInput) as told:
        each("anthropic")().check({"prompt": "hi", **options})
    assert told.value.details["path"] == f"input.{named}"


def test_stop_is_nothing_for_the_responses_api(each: Callable[[str], Making]) -> None:
    with pytest.raises(InvalidInput) as told:
        each("responses")(stop=["END"])
    assert told.value.details["option"] == "stop"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", "many"),
        ("temperature", 3),
        ("output_schema", {"$ref": "#/nowhere"}),
        ("model", ""),
        ("api_key", "k"),
    ],
)
def test_a_bad_option_of_a_run_is_refused_before_it_is_queued(making: Making, name: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        making().check({"prompt": "hello", name: value})
    assert (told.value.code, told.value.details["path"]) == ("validation_error", f"input.{name}")


@pytest.mark.parametrize("input", ["", "  ", None, {"prompt": ""}, {"prompt": "x", "images": [{"path": "a.txt"}]}])
def test_an_input_without_a_prompt_is_refused(making: Making, input: Json) -> None:
    with pytest.raises(InvalidInput) as told:
        making().check(input)
    assert told.value.code == "validation_error"


async def test_agents_are_made_from_a_file(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "k-2")
    file = tmp_path / "agents.toml"
    file.write_text(f"""
        [local]
        type = "openai"
        model = "qwen3:8b"
        base_url = "{model_server.url}/v1"
        api_key = "${{env:THE_KEY}}"
        tools = ["tests.agents.models.host_tools:add", "tests.agents.models.host_tools:deploy"]
        approve = ["add"]
        read_timeout = 20
        extra_body = {{ top_k = 5 }}

        [claude]
        type = "anthropic"
        model = "claude-sonnet-4-5"
        base_url = "{model_server.url}"
        thinking_budget = 2048
    """)
    catalog = Catalog.load(file)
    local = catalog.agent("local")
    assert json.loads(json.dumps(local.facts.capabilities)) == [
        "streaming", "reasoning", "steer", "turns", "images", "structured_output", "usage", "cost", "tools", "approvals"
    ]  # fmt: skip
    request = await request_of(local, model_server, tmp_path)
    assert (request.headers["authorization"], request.body["top_k"]) == ("Bearer k-2", 5)
    assert catalog.agent("claude").facts.model == "claude-sonnet-4-5"


@pytest.mark.parametrize(("page", "agent"), [("openai", OpenAIAgent), ("anthropic", AnthropicAgent)])
def test_every_option_is_on_its_page(page: str, agent: type[Any]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "agents" / f"{page}.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|) ?\|", text, re.MULTILINE))
    assert set(rows) == set(inspect.signature(agent).parameters) - {"id"}
    per_run = {name for name, said in rows.items() if said}
    wires = [Messages()] if page == "anthropic" else [Chat(), Responses()]
    assert per_run == {name for wire in wires for name in wire.options}


def test_what_is_configured_is_found() -> None:
    assert openai.found({}) is None
    assert openai.found({"OPENAI_API_KEY": "k"}) == Found(None, None, True, "OPENAI_API_KEY is set")
    assert anthropic.found({"ANTHROPIC_BASE_URL": "http://x"}) == Found(None, None, None, "ANTHROPIC_BASE_URL is set")
