"""What is hard to store: it comes back as it went in, or is refused and nothing else with it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import Exhausted, InvalidInput
from sessionry.ports import Appending
from sessionry.store.log import MAX_EVENT_BYTES
from sessionry.store.operations import runs, sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, AtWork, at_work, log_of, new_session


def recording(work: AtWork, value: Any) -> Appending:
    return Appending(work.run_id, work.fence, work.after, [ev.CustomRecorded(name="sample", value=value)])


async def last_value(work: AtWork) -> Any:
    data = (await log_of(work.store, work.session_id))[-1].data
    assert isinstance(data, ev.CustomRecorded)
    return data.value


@pytest.mark.parametrize(
    "value",
    [
        "a NUL \0 in the middle",
        "\0",
        "\x1f\x7f\u2028\ufeff\ufffe",
        "\U0010ffff and 🦀 and e\u0301",
        "\\u0000 \\ \" '",
        -(2**63),
        2**63 - 1,
        2**64 - 1,
        1e308,
        5e-324,
        -0.0,
        {"": {"\0": [None, True, {}]}},
        "",
        None,
    ],
    ids=ascii,
)
async def test_every_json_value_comes_back_as_it_went_in(store: SqliteStore, value: Any) -> None:
    work = await at_work(store)
    await work.append(recording(work, value))
    found = await last_value(work)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "value",
    [
        "a lone \ud800",
        "\udfff",
        {"\ud800": 1},
        2**64,
        -(2**63) - 1,
        float("nan"),
        float("inf"),
        b"bytes",
        {1: 2},
        {1, 2},
    ],
    ids=ascii,
)
async def test_what_json_cannot_hold_is_refused_and_its_neighbours_are_kept(store: SqliteStore, value: Any) -> None:
    work, neighbour = await at_work(store), await at_work(store)
    answers = await asyncio.gather(neighbour.say("before"), work.append(recording(work, value)), return_exceptions=True)
    assert isinstance(answers[1], InvalidInput)
    assert answers[1].code == "validation_error"
    assert "data.value" in answers[1].message
    await work.say("after")
    assert [event.type for event in await log_of(store, work.session_id)][-1] == "message_received"
    assert await neighbour.said() == ["before"]


async def test_an_event_that_is_too_large_is_refused_whole(store: SqliteStore) -> None:
    work, neighbour = await at_work(store), await at_work(store)
    answers = await asyncio.gather(
        neighbour.say("before"),
        work.say("small", "x" * 50_000_000, "small"),
        new_session(store),
        return_exceptions=True,
    )
    assert isinstance(answers[1], Exhausted)
    assert (answers[1].code, answers[1].retryable) == ("payload_too_large", False)
    assert answers[1].details == {"limit": MAX_EVENT_BYTES, "type": "message_received"}
    assert await work.said() == []
    await work.say("a small one")
    assert await work.said() == ["a small one"]
    assert await neighbour.said() == ["before"]


async def test_the_limit_counts_bytes_and_not_characters(store: SqliteStore) -> None:
    work = await at_work(store)
    room = MAX_EVENT_BYTES - len('{"text":""}')
    await work.say("x" * room)
    await work.say("é" * (room // 2))
    for text in ("x" * (room + 1), "é" * (room // 2 + 1), "\x01" * (room // 6 + 1)):
        with pytest.raises(Exhausted):
            await work.say(text)
    assert [len(text) for text in await work.said()] == [room, room // 2]


@pytest.mark.parametrize("place", ["metadata", "context"])
async def test_a_session_that_is_too_large_is_refused_whole(store: SqliteStore, place: str) -> None:
    with pytest.raises(Exhausted) as caught:
        await new_session(store, **{place: {"big": "x" * MAX_EVENT_BYTES}})
    assert caught.value.code == "payload_too_large"
    session_id = await new_session(store)
    with pytest.raises(Exhausted):
        await store.execute(sessions.update(SCOPE, session_id, {place: {"big": "x" * MAX_EVENT_BYTES}}))
    assert len(await log_of(store, session_id)) == 1


async def test_an_input_that_is_too_large_is_refused_whole(store: SqliteStore) -> None:
    session_id = await new_session(store)
    with pytest.raises(Exhausted):
        await store.execute(runs.submit(SCOPE, session_id, runs.Submission(input="x" * MAX_EVENT_BYTES)))
    assert [event.type for event in await log_of(store, session_id)] == ["session_created"]


async def test_a_number_that_the_database_cannot_hold_is_refused(store: SqliteStore) -> None:
    with pytest.raises(InvalidInput) as caught:
        await new_session(store, slots=2**70)
    assert caught.value.code == "validation_error"


async def test_a_nul_in_a_title_is_refused_and_one_in_an_input_is_kept(store: SqliteStore, file: Path) -> None:
    with pytest.raises(InvalidInput):
        await new_session(store, title="a\0b")
    session_id = await new_session(store)
    queued = await store.execute(runs.submit(SCOPE, session_id, runs.Submission(input="a\0b")))
    assert queued.run_id is not None
    assert (await store.execute(runs.get(SCOPE, queued.run_id))).input == "a\0b"
    with closing(sqlite3.connect(file)) as connection:  # escaped: no other reader of the file stumbles over it
        assert connection.execute("select count(*) from sessionry_event where instr(data, char(0))").fetchone() == (0,)
