"""Agents of all three protocols, asked over real HTTP of the scripted model server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from sessionry.agents.anthropic import AnthropicAgent
from sessionry.agents.models import asking
from sessionry.agents.models.agent import ModelAgent
from sessionry.agents.openai import OpenAIAgent
from sessionry.testing.fakellm import ModelServer
from tests.agents.real.conftest import Golden as Golden
from tests.agents.real.conftest import OpenSessions as OpenSessions
from tests.agents.real.conftest import golden as golden
from tests.agents.real.conftest import sessions as sessions

KINDS = ("chat", "responses", "anthropic")


class Making(Protocol):
    #: chat, responses or anthropic
    kind: str

    def __call__(self, **options: Any) -> ModelAgent: ...


def script(*steps: dict[str, Any]) -> str:
    """A prompt that is answered by these steps."""
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def made(kind: str, server: str, **options: Any) -> ModelAgent:
    """An agent of that protocol with a server as base URL (without `/v1`)."""
    if kind == "anthropic":
        defaults = {"model": "claude-sonnet-4-5", "base_url": server, "provider": "anthropic", "api_key": "dummy"}
        return AnthropicAgent(**(defaults | options))
    defaults = {"model": "gpt-5", "base_url": f"{server}/v1", "provider": "openai", "api_key": "dummy", "api": kind}
    return OpenAIAgent(**(defaults | options))


class _Maker:
    def __init__(self, kind: str, server: ModelServer) -> None:
        self.kind = kind
        self._server = server

    def __call__(self, **options: Any) -> ModelAgent:
        return made(self.kind, self._server.url, **options)


@pytest.fixture(params=KINDS)
def making(request: pytest.FixtureRequest, model_server: ModelServer) -> Making:
    """Makes agents of one protocol; a test that asks for it runs with all three."""
    return _Maker(request.param, model_server)


@pytest.fixture
def each(model_server: ModelServer) -> Callable[[str], Making]:
    """The maker of that protocol."""
    return lambda kind: _Maker(kind, model_server)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Short pauses, and nothing of the developer's own environment."""
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
