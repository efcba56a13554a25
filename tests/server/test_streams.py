"""Chunks of a stream: made once for all readers who keep up, and never another reader's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest

from sessionry.domain.events import CustomRecorded, Event
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission, Token
from sessionry.server import access, streams
from sessionry.server.access import Caller, Doorkeeper
from sessionry.server.streams import PIECE, Pieces

from .conftest import Server


def event(number: int, size: int = 1) -> Event:
    data = CustomRecorded(name="n", value="x" * size)
    return Event(id=f"evt_{number}", session_id="ses_1", at=datetime.now(UTC), data=data, seq=number, position=number)


def pieces() -> Pieces:
    return Pieces(lambda event: f"{event.seq}:{event.to_dict()['data']};".encode())


def sent(pieces: Pieces, events: Sequence[Event]) -> list[int]:
    content = b"".join(pieces.chunks(list(events)))
    return [int(piece.partition(b":")[0]) for piece in content.split(b";")[:-1]]


def test_readers_who_keep_up_get_the_very_same_chunks() -> None:
    shared, events = pieces(), [event(number, PIECE // 3) for number in range(1, 11)]
    first, second = list(shared.chunks(events)), list(shared.chunks(list(events)))
    assert len(first) > 1
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert max(map(len, first)) < 2 * PIECE


def test_a_reader_gets_its_own_events_whatever_was_sent_to_others() -> None:
    shared, events = pieces(), [event(number) for number in range(1, 7)]
    for chosen in ([1, 2, 4], [1, 3, 4], [1], [1, 2, 3, 4, 5, 6], [1, 2], [2, 4], [1, 3, 4]):
        assert sent(shared, [events[number - 1] for number in chosen]) == chosen


def test_an_event_that_has_another_number_in_a_fork_is_another_piece() -> None:
    shared, one = pieces(), event(7)
    assert sent(shared, [one]) == [7]
    assert sent(shared, [msgspec.structs.replace(one, seq=-2)]) == [-2]
    assert sent(shared, [one]) == [7]


async def test_what_is_kept_for_the_readers_of_a_scope_goes_with_the_last_of_them(server: Server) -> None:
    doorkeeper = Doorkeeper(server.sessions)
    readers = []
    for name in ("ann", "bob", "ann"):
        scope = Scope("local", name)
        token = Token(
            id=f"tok_{name}", name=name, scope=scope, permissions=[Permission.READ], created_at=datetime.now(UTC)
        )
        caller = Caller(token, name, doorkeeper.within(scope), await doorkeeper.cursors(scope))
        readers.append(doorkeeper.pieces(caller, "session", lambda event: event.id.encode()))
    assert readers[0] is readers[2], "two readers of a scope are given the same ones"
    assert len(doorkeeper._pieces) == 2
    del readers[1]
    gc.collect()
    assert [scope.user for scope, _ in doorkeeper._pieces] == ["ann"]
    readers.clear()
    gc.collect()
    assert len(doorkeeper._pieces) == 0


async def test_streams_that_look_at_a_bad_token_at_the_same_time_all_hear_of_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "LOOK", 0.0)  # a store that takes longer than that to answer
    doorkeeper = Doorkeeper(server.sessions)
    assert await asyncio.gather(*(doorkeeper.still_good("revoked") for _ in range(3))) == [False] * 3


def test_chunks_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEPT_CHUNKS", 1000)
    shared, old, new = pieces(), [event(1, 300), event(2, 300)], [event(3, 300), event(4, 300)]
    (first,), (second,) = shared.chunks(old), shared.chunks(new)
    assert next(shared.chunks(new)) is second
    again = next(shared.chunks(old))
    assert again == first
    assert again is not first
