"""What the tests of the real agents share: a home of their own, programs from npm, a store that can be opened again, and
what a log has to look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

import sessionry
from sessionry import Sessions
from sessionry.domain.events import Event, EventData
from sessionry.settings import Settings
from sessionry.testing.fakellm import ModelServer
from tests.agents.real.golden import FOLDER, check_golden
from tests.agents.real.hermetic import Hermetic
from tests.agents.real.npm import installed


class Golden(Protocol):
    def __call__(
        self, name: str, events: Iterable[Event | EventData], names: Mapping[str, str] | None = None
    ) -> None: ...


class OpenSessions(Protocol):
    def __call__(self, agents: Mapping[str, Any], **options: Any) -> AbstractAsyncContextManager[Sessions]: ...


@pytest.fixture
def hermetic(tmp_path: Path, model_server: ModelServer) -> Hermetic:
    """A home and a folder to work in, both empty, and settings of the agents with the scripted model of this test."""
    return Hermetic(tmp_path / "hermetic", model_server)


@pytest.fixture
def npm_agent() -> Callable[[str], Path]:
    """The program of an agent from npm by its name in `npm.PACKAGES`; skips the test where there is no npm."""
    return installed


@pytest.fixture
def sessions(tmp_path: Path) -> OpenSessions:
    """Opens a store in a file, always the same one: `async with sessions({"claude": agent}) as opened`.

    To open it again is nearly a new process: nothing of the agents is in memory any more. The developer's own settings
    and agents are not read; `options` are those of `sessionry.open`.
    """
    url = f"sqlite:///{tmp_path / 'store.db'}"

    def open_sessions(agents: Mapping[str, Any], **options: Any) -> AbstractAsyncContextManager[Sessions]:
        return sessionry.open(url, agents=agents, settings=Settings(store=url), **options)

    return open_sessions


@pytest.fixture
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    """`golden("claude/hello", events)` compares with that file of tests/golden/agents, or writes it anew."""

    def check(name: str, events: Iterable[Event | EventData], names: Mapping[str, str] | None = None) -> None:
        folder = tmp_path / "hermetic"
        words = {
            str(folder / "work"): "<work>",
            str(folder / "home"): "<home>",
            str(tmp_path): "<tmp>",
            **(names or {}),
        }
        check_golden(FOLDER / f"{name}.jsonl", events, words, renew=request.config.getoption("--renew-golden"))

    return check
