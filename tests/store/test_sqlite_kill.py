"""A process that appends is killed, at any moment, again and again: what it was told was kept is there, once."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from sessionry.domain.fold import fold
from sessionry.store.integrity import check
from sessionry.store.operations import runs, sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.processes import append_until_killed, started
from tests.store.work import SCOPE, log_of, said


class Victim(NamedTuple):
    """What a killed process had appended, as far as it got to say so: run -> `seq`s of its messages."""

    session_id: str
    acknowledged: dict[str, list[int]]


def kill_one(file: Path, producers: int) -> Victim:
    """Start a process, let it append for a random while, kill it."""
    with started(append_until_killed, str(file), producers) as (process, pipe):
        assert pipe.poll(60)
        session_id, run_ids = pipe.recv()
        acknowledged: dict[str, list[int]] = {run_id: [] for run_id in run_ids}
        stop = time.monotonic() + random.uniform(0, 0.12)
        killed = False
        while True:
            if not killed and time.monotonic() > stop:
                process.kill()
                killed = True
            try:
                if pipe.poll(0.0005):
                    run_id, seqs = pipe.recv()
                    acknowledged[run_id] += seqs
            except (EOFError, OSError):
                return Victim(session_id, acknowledged)


async def compare(store: SqliteStore, victim: Victim) -> int:
    """Compare the log with what was acknowledged; how many events it has."""
    log = await log_of(store, victim.session_id)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert len({event.id for event in log}) == len(log)
    for run_id, seqs in victim.acknowledged.items():
        texts = said(log, run_id)
        assert texts == [f"{run_id} {number}" for number in range(len(texts))]
        mine = [event.seq for event in log if event.run_id == run_id and event.type == "message_received"]
        assert mine[: len(seqs)] == seqs
        assert len(mine) - len(seqs) <= 3  # at most the one append that was under way
    session, folded = fold(log)
    assert session == await store.execute(sessions.get(SCOPE, victim.session_id))
    for run_id, run in folded.items():
        assert run == await store.execute(runs.get(SCOPE, run_id))
    return len(log)


async def kill_many(file: Path, rounds: int, producers: int) -> None:
    victims: list[Victim] = []
    for _ in range(rounds):
        victims.append(kill_one(file, producers))
        store = await SqliteStore.open(str(file))
        await compare(store, victims[-1])
        await store.close()
    store = await SqliteStore.open(str(file))
    events = [await compare(store, victim) for victim in victims]
    assert {problem.kind for problem in await check(store)} == {"lost_worker"}
    await store.close()
    assert sum(events) > rounds * 5
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("select count(*) from sessionry_event").fetchone()[0] == sum(events)


async def test_what_a_killed_process_was_told_was_kept_is_there_once(file: Path) -> None:
    await kill_many(file, rounds=30, producers=3)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("producers", [1, 20])
async def test_the_same_two_hundred_times(file: Path, producers: int) -> None:
    await kill_many(file, rounds=200, producers=producers)


async def test_others_go_on_when_one_that_holds_the_file_is_killed(file: Path) -> None:
    store = await SqliteStore.open(str(file))
    for _ in range(5):
        victim = kill_one(file, 5)
        await compare(store, victim)
    await store.close()
