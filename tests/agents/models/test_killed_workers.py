"""kill -9 of a real worker process, in the middle of an answer, of a tool, and of a question."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry import RunHandle, Sessions
from sessionry.domain import events as ev
from sessionry.settings import Settings
from sessionry.testing.fakellm import ModelServer
from tests.agents.models.conftest import KINDS, script
from tests.agents.models.host_tools import traces

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


class Workers:
    """Worker processes on one store."""

    def __init__(self, url: str, server: str) -> None:
        self._command = [sys.executable, "-m", "tests.agents.models.program", url, server]
        self.started: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"

    def kill(self) -> None:
        process = self.started[-1]
        process.kill()
        process.communicate()


@pytest.fixture
def workers(tmp_path: Path, model_server: ModelServer) -> Iterator[Workers]:
    made = Workers(f"sqlite:///{tmp_path / 'store.db'}", model_server.url)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(tmp_path: Path) -> Any:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    return sessionry.open(url, worker=False, settings=Settings(store=url))


async def begun(sessions: Sessions, kind: str, tmp_path: Path, *steps: dict[str, Any]) -> RunHandle:
    session = await sessions.create(kind, cwd=str(tmp_path))
    return await session.run(script(*steps))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(40):
        while not await condition():
            await asyncio.sleep(0.02)


async def seen(run: RunHandle, kind: type[ev.EventData]) -> list[Any]:
    return [event.data async for event in run.events(follow=False) if isinstance(event.data, kind)]


async def test_in_the_middle_of_an_answer(kind: str, workers: Workers, tmp_path: Path) -> None:
    workers.start()
    async with opened(tmp_path) as sessions:
        run = await begun(sessions, kind, tmp_path, {"text": ["one ", "two"], "stall": 60, "times": 1})
        await until(lambda: _any(run, ev.MessageStreamed))
        workers.kill()
        workers.start()
        result = await run.result(timeout=60)
        assert result.text == "one two"
        assert [whole.text for whole in await seen(run, ev.MessageReceived)] == ["one two"]
        assert "".join(piece.text for piece in await seen(run, ev.MessageStreamed)) == "one two"


async def test_in_the_middle_of_a_tool(kind: str, workers: Workers, tmp_path: Path) -> None:
    calls = [{"name": "count", "input": {"name": "once"}}, {"name": "hang"}]
    workers.start()
    async with opened(tmp_path) as sessions:
        run = await begun(sessions, kind, tmp_path, {"tools": calls}, {"text": "{last_tool}"})
        await until(lambda: _any(run, ev.ToolCallCompleted))
        await until(lambda: _traced(tmp_path, "hang"))
        workers.kill()
        workers.start()
        result = await run.result(timeout=60)
    assert str(result.text).startswith("interrupted: the process")
    assert (traces(tmp_path, "once"), traces(tmp_path, "hang")) == (1, 1)


async def test_in_the_middle_of_a_tool_that_does_no_harm(kind: str, workers: Workers, tmp_path: Path) -> None:
    workers.start()
    async with opened(tmp_path) as sessions:
        run = await begun(sessions, kind, tmp_path, {"tools": [{"name": "lookup"}]}, {"text": "{last_tool}"})
        await until(lambda: _traced(tmp_path, "lookup"))
        workers.kill()
        workers.start()
        assert (await run.result(timeout=60)).text == "found"


@pytest.mark.parametrize("answer", ["allow", "deny"])
async def test_a_question_is_answered_after_its_worker_was_killed(
    kind: str, workers: Workers, tmp_path: Path, answer: str
) -> None:
    call = {"name": "deploy", "input": {"to": "staging"}}
    workers.start()
    async with opened(tmp_path) as sessions:
        run = await begun(sessions, kind, tmp_path, {"tools": [call]}, {"text": "{last_tool}"})
        await until(lambda: _any(run, ev.ToolApprovalRequested))
        workers.kill()
        (approval,) = await sessions.approvals()
        await (approval.approve(by="ann") if answer == "allow" else approval.deny(by="ann", note="not today"))
        workers.start()
        result = await run.result(timeout=60)
        assert len(await seen(run, ev.ToolApprovalRequested)) == 1
    expected = {"allow": "deployed to staging", "deny": "not allowed: denied by ann: not today"}
    assert result.text == expected[answer]
    assert traces(tmp_path, "deploy") == (1 if answer == "allow" else 0)


async def _any(run: RunHandle, kind: type[ev.EventData]) -> bool:
    return bool(await seen(run, kind))


async def _traced(folder: Path, name: str) -> bool:
    return traces(folder, name) > 0
