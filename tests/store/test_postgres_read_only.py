"""A database that takes no writes: it is read, and says plainly and at once what cannot be done, unless it fails over."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry.domain import events as ev
from sessionry.domain.errors import StoreFailed
from sessionry.ports import Store
from sessionry.settings import Settings
from sessionry.store import postgres
from sessionry.store.open import open_store
from sessionry.store.operations import sessions
from sessionry.testing.store_contract import Scenario
from sessionry.testing.store_contract.scenario import LOCAL
from tests.distributed.fleet import Server


@asynccontextmanager
async def at_once() -> AsyncIterator[None]:
    """What is not tried for as long as in a failover."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "PATIENCE", 3600.0)
        async with asyncio.timeout(60):
            yield


async def refused(work: Callable[[], Awaitable[Any]]) -> StoreFailed:
    """How it was refused: for good, and at once."""
    with pytest.raises(StoreFailed) as caught:
        async with at_once():
            await work()
    assert (caught.value.code, caught.value.retryable) == ("store_read_only", False)
    assert "connect to the primary, as a role that may write" in caught.value.message
    return caught.value


# --- a role that may only read ----------------------------------------------------------------------------------------


@pytest.fixture
def read_only_url(postgres_url: str) -> str:
    return f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-cdefault_transaction_read_only%3Don"


@pytest.fixture
async def writing(postgres_url: str) -> AsyncIterator[Scenario]:
    """Somebody who may write."""
    store = await open_store(postgres_url)
    yield Scenario(store)
    await store.close()


async def test_what_is_there_is_read_and_every_write_is_refused_at_once(writing: Scenario, read_only_url: str) -> None:
    claim = await writing.work()
    store = await open_store(read_only_url)
    reading = Scenario(store, made=writing.made)
    assert await reading.types(claim.session_id) == await writing.types(claim.session_id)
    await refused(lambda: reading.submit(claim.session_id))
    await refused(lambda: reading.append(claim, ev.MessageStreamed(text="x")))
    await refused(lambda: reading.finish(claim))
    await store.close()


async def test_it_is_opened_to_look_and_no_worker_begins(writing: Scenario, read_only_url: str) -> None:
    session_id = await writing.create(title="kept")
    settings = Settings(store=read_only_url)
    async with at_once(), sessionry.open(read_only_url, worker=False, settings=settings) as opened:
        assert (await opened.session(session_id).get()).title == "kept"

    async def work() -> None:
        async with sessionry.open(read_only_url, settings=settings):
            raise AssertionError("a worker that can begin nothing")

    await refused(work)


async def test_tables_that_are_missing_cannot_be_made(empty_postgres_url: str) -> None:
    separator = "&" if "?" in empty_postgres_url else "?"
    url = f"{empty_postgres_url}{separator}options=-cdefault_transaction_read_only%3Don"
    await refused(lambda: open_store(url))


# --- a standby --------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="ses-") as name:  # short enough for a socket
        server = Server(Path(name) / "pg")
        try:
            yield server
        finally:
            server.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Store]:
    store = await open_store(server.url)
    yield store
    await store.close()


@pytest.mark.slow
async def test_a_write_waits_for_a_standby_that_is_promoted(server: Server, store: Store) -> None:
    scenario = Scenario(store)
    claim = await scenario.work()
    await asyncio.to_thread(server.become_standby)
    writing = [
        asyncio.create_task(scenario.do(sessions.update(LOCAL, claim.session_id, {"title": "later"}))),
        asyncio.create_task(scenario.append(claim, ev.MessageStreamed(text="later"))),
    ]
    await asyncio.sleep(1)
    assert not any(task.done() for task in writing)
    assert "run_started" in await scenario.types(claim.session_id), "it can be read meanwhile"
    await asyncio.to_thread(server.promote)
    await asyncio.gather(*writing)
    types = await scenario.types(claim.session_id)
    assert (types.count("session_updated"), types.count("message_streamed")) == (1, 1)
    await scenario.check()


@pytest.mark.slow
async def test_a_standby_is_read_until_it_is_promoted(server: Server, store: Store) -> None:
    session_id = await Scenario(store).create()
    await asyncio.to_thread(server.become_standby)
    standby = await open_store(server.url)
    scenario = Scenario(standby, made={session_id: LOCAL})
    assert await scenario.types(session_id) == ["session_created"]
    await refused(lambda: scenario.submit(session_id))
    assert await standby.change_token() == await standby.change_token()
    await asyncio.to_thread(server.promote)
    await scenario.submit(session_id)
    await asyncio.to_thread(server.become_standby)
    submitting = asyncio.create_task(scenario.submit(session_id))
    await asyncio.sleep(1)
    assert not submitting.done(), "now it is known as one that takes writes"
    await asyncio.to_thread(server.promote)
    await submitting
    await scenario.check()
    await standby.close()
