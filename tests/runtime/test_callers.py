"""Callers that are wrong, late, in the wrong process or in the wrong loop: a clear error at once."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry import Conflict, RunStatus, SessionryError, Sessions

from .conftest import types_of, until


async def _waits() -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    async with sessionry.open("memory://", agents={"waits": _waits}, grace=0, cancel_grace=1.0) as opened:
        yield opened


async def collect(events: AsyncIterator[sessionry.Event]) -> list[int]:
    return [event.seq async for event in events]


# --- wrong ------------------------------------------------------------------------------------------------------------

Call = Callable[[Sessions, sessionry.SessionHandle], Awaitable[Any]]
NAN = math.nan

WRONG: dict[str, tuple[str, Call]] = {
    "a cursor before all beginnings": ("invalid_cursor", lambda _, session: collect(session.events(after=-1 << 70))),
    "a cursor that is no number": ("invalid_cursor", lambda _, session: collect(session.events(after="7"))),  # type: ignore[arg-type]
    "an end that is no number": ("invalid_cursor", lambda _, session: collect(session.events(before=7.5))),  # type: ignore[arg-type]
    "a cursor of no log": ("invalid_cursor", lambda sessions, _: collect(sessions.events(after=1 << 70))),
    "no limit": ("validation_error", lambda _, session: collect(session.events(limit=0))),
    "no time": ("validation_error", lambda _, session: session.run("x", timeout=0)),
    "less than no time": ("validation_error", lambda _, session: session.run("x", idle_timeout=-1)),
    "no number of seconds": ("validation_error", lambda _, session: session.run("x", timeout=NAN)),
    "for ever": ("validation_error", lambda _, session: session.run("x", timeout=math.inf)),
    "a time without a zone": ("validation_error", lambda _, session: session.run("x", deadline=datetime(2020, 1, 1))),
    "metadata that are text": ("validation_error", lambda _, session: session.run("x", metadata="ab")),  # type: ignore[arg-type]
    "capabilities that are text": ("validation_error", lambda _, session: session.run("x", require="tools")),
    "capabilities that are numbers": ("validation_error", lambda _, session: session.run("x", prefer=[5])),  # type: ignore[list-item]
    "an agent without a name": ("validation_error", lambda _, session: session.run("x", agent="")),
    "a folder that is a number": ("validation_error", lambda sessions, _: sessions.create("waits", cwd=5)),  # type: ignore[arg-type]
    "nothing to find": ("validation_error", lambda sessions, _: sessions.find("")),
    "a last approval that is not there": ("approval_not_found", lambda sessions, _: sessions.approvals(cursor="apr_0")),
    "waiting no number": ("validation_error", lambda sessions, _: sessions.drain(NAN)),
}


@pytest.mark.parametrize(("code", "call"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_at_once(sessions: Sessions, code: str, call: Call) -> None:
    session = await sessions.create("waits")
    async with asyncio.timeout(30):
        with pytest.raises(SessionryError) as refused:
            await call(sessions, session)
    assert refused.value.code == code


@pytest.mark.parametrize("timeout", [NAN, "5", True])
async def test_waiting_for_a_result_takes_a_number(sessions: Sessions, timeout: Any) -> None:
    run = await (await sessions.create("waits")).run("x")
    with pytest.raises(SessionryError, match="number of seconds"):
        await run.result(timeout=timeout)


async def test_approvals_are_paged_by_the_last_one_seen(sessions: Sessions) -> None:
    async def asks(context: sessionry.AgentContext) -> None:
        await asyncio.gather(*(context.approve("delete", number) for number in range(5)))

    sessions.catalog.add("asks", asks)
    run = await (await sessions.create("asks")).run("x")
    await until(lambda: _asked(run, 5))
    seen: list[sessionry.ApprovalHandle] = []
    while page := await sessions.approvals(limit=2, cursor=seen[-1].id if seen else None):
        seen += page
    assert seen == await run.approvals()
    assert [(await handle.get()).tool_input for handle in seen] == [0, 1, 2, 3, 4]


async def _asked(run: sessionry.RunHandle, count: int) -> bool:
    return (await types_of(run)).count("tool_approval_requested") == count


async def test_one_key_is_one_session_and_not_another_one_too(sessions: Sessions) -> None:
    first = await sessions.create("echo", idempotency_key="k")
    assert await sessions.create("echo", idempotency_key="k") == first
    assert await sessions.create("echo", id=first.id, idempotency_key="k") == first
    with pytest.raises(Conflict, match="used for another"):
        await sessions.create("echo", id="mine", idempotency_key="k")


# --- late -------------------------------------------------------------------------------------------------------------


async def test_following_an_ended_run_from_its_end_ends_at_once(sessions: Sessions) -> None:
    run = await (await sessions.create("echo")).run("x")
    await run.result(timeout=60)
    last = (await collect(run.events()))[-1]
    async with asyncio.timeout(30):
        assert await collect(run.events(after=last)) == []
        assert await collect(run.events(after=last - 1)) == [last]


async def test_a_run_whose_deadline_is_over_does_not_begin(sessions: Sessions) -> None:
    began = asyncio.Event()

    async def begins() -> None:
        began.set()

    sessions.catalog.add("begins", begins)
    run = await (await sessions.create("begins")).run("x", deadline=datetime(2020, 1, 1, tzinfo=UTC))
    assert (await run.result(timeout=60)).status is RunStatus.TIMEOUT
    assert not began.is_set()


async def test_closing_the_store_ends_whoever_waits(tmp_path: Path) -> None:
    async with sessionry.open(f"sqlite:///{tmp_path / 'store.db'}", agents={"waits": _waits}, grace=0) as sessions:
        session = await sessions.create("waits")
        run = await session.run("x")
        waiting = [
            asyncio.create_task(run.result()),
            asyncio.create_task(collect(run.events())),
            asyncio.create_task(collect(session.events(follow=True))),
            asyncio.create_task(collect(sessions.events(follow=True))),
        ]
        await asyncio.sleep(0.1)
    _, pending = await asyncio.wait(waiting, timeout=30)
    assert not pending
    errors = [task.exception() for task in waiting]
    assert all(error is None or isinstance(error, SessionryError) for error in errors)
    assert errors[0] is None or "closed" in str(errors[0])


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with sessionry.open(f"sqlite:///{tmp_path / 'store.db'}") as sessions:
        session = await sessions.create("echo")
    for use in (session.get, lambda: session.run("x"), lambda: collect(session.events(follow=True)), sessions.list):
        with pytest.raises(SessionryError, match="closed"):
            await use()


# --- elsewhere --------------------------------------------------------------------------------------------------------


def test_another_event_loop_is_refused() -> None:
    async def opens() -> Any:
        manager = sessionry.open("memory://")
        return manager, await manager.__aenter__()

    async def uses(sessions: Sessions) -> None:
        with pytest.raises(Conflict, match="event loop"):
            await sessions.create("echo")

    with asyncio.Runner() as first:
        manager, sessions = first.run(opens())
        asyncio.run(uses(sessions))
        first.run(manager.__aexit__(None, None, None))


_FORKING = """
import asyncio, os, pickle, sys, sessionry

async def main(url):
    async with sessionry.open(url) as sessions:
        session = await sessions.create("echo")
        child = os.fork()
        if child == 0:
            refused(session.get().send, None)
            refused(pickle.loads, pickle.dumps(session))
            os._exit(0)  # anything else would take the parent's event loop apart
        assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
        run = await session.run("still here")
        assert (await run.result(timeout=60)).text == "still here"

def refused(use, argument):
    try:
        use(argument)
    except sessionry.Conflict as error:
        assert "open" in str(error)
    else:
        os._exit(3)

asyncio.run(main(sys.argv[1]))
"""

_FORKING_WITHOUT_A_LOOP = """
import os, sys, sessionry

with sessionry.open_sync(sys.argv[1]) as sessions:
    session = sessions.create("echo")
    child = os.fork()
    if child == 0:
        try:
            session.get()
        except sessionry.Conflict as error:
            assert "open" in str(error)
            with sessionry.open_sync(sys.argv[1]) as mine:
                assert mine.session(session.id).get().agent_id == "echo"
            os._exit(0)
        os._exit(3)
    assert os.waitpid(child, 0)[1] == 0
    assert session.run("still here").result(timeout=60).text == "still here"
"""


@pytest.mark.parametrize("program", [_FORKING, _FORKING_WITHOUT_A_LOOP], ids=["async", "sync"])
def test_a_forked_child_is_told_to_open_the_store_itself(tmp_path: Path, program: str) -> None:
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path / 'store.db'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _in_child(url: str, pickled: bytes) -> None:
    async def work() -> None:
        async with sessionry.open(url, worker=False) as sessions:
            run = pickle.loads(pickled)
            assert (await sessions.run(run.id).get()).id == run.id
            await run.cancel(reason="the child says so")

    asyncio.run(work())


async def test_the_worker_asks_for_capabilities_where_the_caller_does_not_know_the_agent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with (
        sessionry.open(url, agents={"waits": _waits}, grace=0),
        sessionry.open(url, agents={}, worker=False) as elsewhere,
    ):
        session = await elsewhere.create("waits")
        refused = await (await session.run("x", require=["fork"])).result(timeout=60)
        assert (refused.status, refused.error and refused.error.code) == (
            RunStatus.FAILED,
            "missing_required_capability",
        )
        run = await session.run("x", prefer=["fork"])
        async with asyncio.timeout(60):
            while not (await run.get()).live:
                await asyncio.sleep(0.01)
        assert (await run.get()).lacking == ["fork"]


async def test_a_pickled_handle_works_in_another_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with sessionry.open(url, agents={"waits": _waits}, grace=0) as sessions:
        run = await (await sessions.create("waits")).run("x")
        child = multiprocessing.get_context("spawn").Process(target=_in_child, args=(url, pickle.dumps(run)))
        child.start()
        result = await run.result(timeout=60)
        await asyncio.to_thread(child.join)
        assert (result.status, child.exitcode) == (RunStatus.CANCELLED, 0)


async def test_a_pickled_handle_finds_the_store_that_is_still_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with sessionry.open(url, worker=False) as first:
        session = await first.create("echo")
        async with sessionry.open(url, worker=False):
            pass
        assert (await pickle.loads(pickle.dumps(session)).get()).id == session.id
    with pytest.raises(Conflict, match="not open"):
        pickle.loads(pickle.dumps(session))


async def test_the_same_file_can_be_opened_twice_in_one_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with sessionry.open(url) as first, sessionry.open(url) as second:
        runs = [await (await store.create("echo")).run("x") for store in (first, second) * 10]
        for run in runs:
            assert (await second.run(run.id).result(timeout=60)).text == "x"


async def test_a_working_directory_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    async with sessionry.open(f"sqlite:///{tmp_path / 'store.db'}") as sessions:
        named = await sessions.create("echo", cwd=gone)
        unnamed = await sessions.create("echo")
        monkeypatch.chdir(gone)
        gone.rmdir()
        try:
            with pytest.raises(SessionryError, match="full path"):
                await sessions.create("echo", cwd="here")
            for session in (named, unnamed):
                result = await (await session.run("x")).result(timeout=60)
                assert result.error is not None
                assert result.error.code == "validation_error"
        finally:
            os.chdir(tmp_path)
