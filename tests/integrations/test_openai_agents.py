"""The session for the OpenAI Agents SDK: its protocol over our log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents")

from agents.memory import Session as SessionProtocol
from agents.memory import SessionSettings
from openai import AsyncOpenAI

import sessionry
from agents import Agent, OpenAIResponsesModel, RunConfig, Runner
from sessionry import Sessions
from sessionry.domain import events as ev
from sessionry.domain.errors import Conflict, InvalidInput
from sessionry.integrations.openai_agents import SessionrySession
from sessionry.settings import Settings
from sessionry.testing.fakellm import ModelServer


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def session(url: str) -> Iterator[SessionrySession]:
    made = SessionrySession("talk", url=url)
    yield made
    made.close()


@pytest.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as opened:
        yield opened


def word(text: object) -> dict[str, Any]:
    return {"role": "user", "content": str(text)}


async def test_it_is_a_session_of_the_sdk(session: SessionrySession) -> None:
    assert isinstance(session, SessionProtocol)


async def test_items_come_back_in_order_and_go_from_the_end(session: SessionrySession) -> None:
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.add_items([word(1), word(2)])
    await session.add_items([word(3)])
    assert await session.get_items() == [word(1), word(2), word(3)]
    assert await session.get_items(2) == [word(2), word(3)]
    assert await session.get_items(0) == []
    assert await session.pop_item() == word(3)
    assert await session.get_items() == [word(1), word(2)]


async def test_a_limit_may_be_its_setting(url: str) -> None:
    session = SessionrySession("talk", url=url, session_settings=SessionSettings(limit=1))
    await session.add_items([word(1), word(2)])
    assert await session.get_items() == [word(2)]
    assert await session.get_items(5) == [word(1), word(2)]
    session.close()


async def test_what_was_taken_away_stays_in_the_log(sessions: Sessions) -> None:
    session = SessionrySession("talk", sessions=sessions)
    await session.add_items([word(1), word(2)])
    await session.pop_item()
    await session.clear_session()
    await session.add_items([word(3)])
    assert await session.get_items() == [word(3)]
    log = [event.data async for event in sessions.session("talk").events(types=["custom_recorded"])]
    assert [data.name.partition(".")[2] for data in log if isinstance(data, ev.CustomRecorded)] == [
        "item",
        "item",
        "popped",
        "cleared",
        "item",
    ]


async def test_another_process_would_read_the_same(session: SessionrySession, url: str) -> None:
    await session.add_items([word(1), word(2)])
    await session.pop_item()
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as opened:
        assert await SessionrySession("talk", sessions=opened).get_items() == [word(1)]


async def test_two_writers_lose_nothing_and_share_nothing(session: SessionrySession, sessions: Sessions) -> None:
    other = SessionrySession("talk", sessions=sessions)
    await asyncio.gather(*(one.add_items([word(n), word(-n)]) for n in range(1, 21) for one in (session, other)))
    items = await session.get_items()
    assert items == await other.get_items()
    assert len(items) == 80
    pairs = list(zip(items[::2], items[1::2], strict=True))
    assert all(first["content"] == second["content"].lstrip("-") for first, second in pairs), "pairs stay together"
    taken = await asyncio.gather(*(one.pop_item() for _ in range(40) for one in (session, other)))
    assert sorted(item["content"] for item in taken if item) == sorted(item["content"] for item in items)
    assert await session.get_items() == []


async def test_a_big_item_is_a_blob(session: SessionrySession, sessions: Sessions) -> None:
    big = word("x" * 2_000_000)
    await session.add_items([big])
    assert await session.get_items() == [big]
    events = [event.data async for event in sessions.session("talk").events()]
    assert len([data for data in events if isinstance(data, ev.ArtifactAdded)]) == 1


async def test_what_is_no_json_is_refused_and_nothing_of_it_is_kept(session: SessionrySession) -> None:
    with pytest.raises(InvalidInput):
        await session.add_items([word(1), {"content": object()}])
    assert await session.get_items() == []


async def test_a_closed_one_says_so(session: SessionrySession) -> None:
    session.close()
    with pytest.raises(Conflict, match="closed"):
        await session.get_items()


def test_it_needs_one_place() -> None:
    with pytest.raises(InvalidInput, match="either"):
        SessionrySession("talk")


def test_any_event_loop_may_use_it(session: SessionrySession) -> None:
    asyncio.run(session.add_items([word(1)]))
    assert asyncio.run(session.get_items()) == [word(1)]


async def test_the_runner_uses_it(session: SessionrySession, model_server: ModelServer) -> None:
    async with AsyncOpenAI(base_url=f"{model_server.url}/v1", api_key="dummy") as client:
        agent = Agent(name="helper", model=OpenAIResponsesModel("gpt-5-mini", client))
        quiet = RunConfig(tracing_disabled=True)
        await Runner.run(agent, "first", session=session, run_config=quiet)
        result = await Runner.run(agent, "second", session=session, run_config=quiet)
    assert result.final_output == "echo: second"
    assert model_server.requests[-1].prompts == ["first", "second"]
    assert len(await session.get_items()) == 4


_PLUGIN = """
import agents
import agents.memory
from sessionry.integrations.openai_agents import SessionrySession


def ours(session_id, db_path=":memory:", session_settings=None):
    url = "memory://" if str(db_path) == ":memory:" else f"sqlite:///{db_path}"
    return SessionrySession(session_id, url=url, session_settings=session_settings)


agents.SQLiteSession = agents.memory.SQLiteSession = ours
"""
#: Tests of how SQLiteSession does it: its connections, threads, locks and rows, and the words of its errors.
_INNER = "corrupt or connection or thread or file_lock or failed_ or await_mutation or closed_rejects or post_commit"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_passes_the_tests_of_the_sdks_own_session(tmp_path: Path) -> None:
    folder = _sources(tmp_path)
    (tmp_path / "sessionry_as_sqlite.py").write_text(_PLUGIN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "sessionry_as_sqlite", "-p", "no:cacheprovider"]
    command += ["-o", "addopts=", "-o", "filterwarnings=default", "-k", f"not ({_INNER})"]
    command += ["tests/memory/test_session.py", "tests/memory/test_session_limit.py"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), "."])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


def _sources(folder: Path) -> Path:
    """The source distribution of the installed version, with its tests; skips where it cannot be had."""
    wanted = f"openai-agents=={version('openai-agents')}"
    command = [sys.executable, "-m", "pip", "download", "--no-binary", ":all:", "--no-deps", "--no-build-isolation"]
    got = subprocess.run([*command, "-d", str(folder), wanted], capture_output=True, text=True, timeout=300)
    archives = list(folder.glob("*.tar.gz"))
    if got.returncode != 0 or not archives:
        pytest.skip(f"THE SDK'S OWN TESTS DID NOT RUN: pip cannot download the sources of {wanted}")
    with tarfile.open(archives[0]) as archive:
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
        archive.extractall(folder, **safe)
    (unpacked,) = [path for path in folder.iterdir() if (path / "tests" / "memory").is_dir()]
    return unpacked
