"""The feed: whatever happens in whatever order, each reader gets each event once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionry.domain.events import Event

from .following import SMALL, A, B, Log, Reader, other_tasks, quiet, until

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from([A, B]), st.integers(1, 9)),
        st.tuples(st.just("lose"), st.sampled_from([A, B]), st.integers(1, 9)),
        st.tuples(st.just("poke"), st.sampled_from([A, B]), st.just(0)),
        st.tuples(st.just("hole"), st.sampled_from([A, B]), st.integers(1, 9)),
        st.tuples(st.just("prune"), st.sampled_from([A, B]), st.integers(2, 4)),
        st.tuples(st.just("join"), st.sampled_from([A, B, None]), st.integers(0, 30)),
        st.tuples(st.just("join slow"), st.sampled_from([A, B, None]), st.integers(0, 30)),
        st.tuples(st.just("allow"), st.just(A), st.integers(0, 9)),
        st.tuples(st.just("stop"), st.just(A), st.integers(0, 9)),
        st.tuples(st.just("run"), st.just(A), st.integers(1, 8)),
    ),
    max_size=40,
)


class Interleaving:
    """Plays steps in the order given; afterwards every reader must have got what it was owed."""

    def __init__(self, *, together: bool) -> None:
        self.log = Log(together=together)
        self.feed = self.log.feed(poll=0.002, bounds=SMALL)
        self.readers: list[tuple[str | None, Reader]] = []
        self.written: list[Event] = []

    async def play(self, steps: list[tuple[str, Any, int]]) -> None:
        for what, session_id, number in steps:
            await self.step(what, session_id, number)
        for _, reader in self.readers:
            reader.let_go()
        await until(lambda: all(self.is_served(session_id, reader) for session_id, reader in self.readers))
        await quiet()
        for session_id, reader in self.readers:
            self.check(session_id, reader)
        await self.feed.close()
        await until(lambda: not other_tasks())

    async def step(self, what: str, session_id: str | None, number: int) -> None:
        if what in ("commit", "lose", "hole"):
            before = len(self.log.events)
            self.log.append(session_id or A, number, skip=number if what == "hole" else 0)
            self.written += self.log.events[before:]
        elif what == "prune":
            self.log.events = [e for e in self.log.events if e.session_id != session_id or e.seq % number == 0]
        elif what.startswith("join"):
            self.readers.append((session_id, Reader(self.feed, session_id, number, 0 if "slow" in what else None)))
        elif what == "allow" and self.readers:
            self.readers[number % len(self.readers)][1].allow()
        elif what == "stop" and self.readers:
            await self.readers[number % len(self.readers)][1].stop()
        if what in ("commit", "poke", "hole"):
            self.log.bus.poke([session_id or A])
        await quiet(number if what == "run" else 0)

    def is_served(self, session_id: str | None, reader: Reader) -> bool:
        return reader.task.done() or set(self.cursors(self.log.events, session_id, reader)) <= set(reader.seqs)

    def cursors(self, events: list[Event], session_id: str | None, reader: Reader) -> list[int]:
        if session_id is None:
            return [event.position for event in events if event.position > reader.after]
        return [event.seq for event in events if event.session_id == session_id and event.seq > reader.after]

    def check(self, session_id: str | None, reader: Reader) -> None:
        assert reader.error is None
        assert reader.seqs == sorted(set(reader.seqs)), "in order, each once"
        assert set(reader.seqs) <= set(self.cursors(self.written, session_id, reader)), "nothing else"


@pytest.mark.parametrize("together", [False, True])
@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
def test_any_order_of_commits_pokes_joins_and_stops_gives_each_reader_each_event_once(
    steps: list[tuple[str, Any, int]], together: bool
) -> None:
    async def play() -> None:
        await Interleaving(together=together).play(steps)

    asyncio.run(play())
