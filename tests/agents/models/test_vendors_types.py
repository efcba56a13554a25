"""What leaves is what the vendors' own clients would send: their types take every request."""

from __future__ import annotations

import base64
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.models.conftest import Making, script
from tests.agents.models.host_tools import add
from tests.agents.models.test_answers import PIXEL, completed
from tests.agents.models.test_requests import CLOSED

TYPES = {
    "anthropic": "anthropic.types.message_create_params:MessageCreateParamsStreaming",
    "chat": "openai.types.chat.completion_create_params:CompletionCreateParamsStreaming",
    "responses": "openai.types.responses.response_create_params:ResponseCreateParamsStreaming",
}
OWN: dict[str, dict[str, Any]] = {
    "anthropic": {"thinking_budget": 2000, "reasoning_effort": "low", "stop": ["END"]},
    "chat": {"reasoning_effort": "low", "temperature": 0.5, "stop": ["END"]},
    "responses": {"reasoning_effort": "low", "reasoning_summary": "auto", "temperature": 0.5},
}


async def test_every_request_is_of_the_vendors_types(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    pydantic = pytest.importorskip("pydantic")
    module, _, name = TYPES[making.kind].partition(":")
    pytest.importorskip(module.partition(".")[0])
    adapter = pydantic.TypeAdapter(getattr(import_module(module), name))
    agent = making(tools=[add], system_prompt="x", max_tokens=4000, output_schema=CLOSED, **OWN[making.kind])
    first = {"text": "I add.", "thinking": "hm", "tools": [{"name": "add", "input": {"a": 1}}]}
    image = {"data": base64.b64encode(PIXEL).decode(), "media_type": "image/png"}
    input = {"prompt": script(first, {"json": {"n": 1}}), "images": [image]}
    completed(await RecordingContext(agent.check(input), cwd=tmp_path).play(agent))
    assert len(model_server.requests) == 2
    for request in model_server.requests:
        known = adapter.validate_python(request.body)
        assert set(known) == set(request.body), "no field that the vendor does not know"
