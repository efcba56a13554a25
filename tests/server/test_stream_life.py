"""The life of one stream: quiet, cut, too slow, left by its reader, failed, and over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sessionry.domain.events import CustomRecorded, Event
from sessionry.server import streams
from sessionry.server.streams import Pieces, Streaming, as_sse

QUIET = b": nothing new\n\n"
END = b"event: end\ndata: {}\n\n"


class Reader:
    """The other side of a stream, which takes what it is sent for as long as it reads."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.over = False
        self.dropped = False
        self.reads = asyncio.Event()
        self.reads.set()
        self.left = asyncio.Event()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.got += [message["body"]] if message["body"] else []
            self.over = not message["more_body"]
            await self.reads.wait()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    def _drop(self) -> None:
        self.dropped = True

    async def take(self, stream: Streaming) -> None:
        await asyncio.wait_for(stream({streams.ABORT: self._drop}, self.receive, self.send), 30)  # type: ignore[arg-type]

    def ids(self) -> list[int]:
        lines = b"".join(self.got).splitlines()
        return [int(line.removeprefix(b"id: ")) for line in lines if line.startswith(b"id: ")]

    async def has(self, piece: bytes, times: int = 1) -> None:
        async with asyncio.timeout(30):
            while self.got.count(piece) < times:
                await asyncio.sleep(0.005)


class Log:
    """Batches that are given when they are there; `ended` is set once nobody reads them any more."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[list[Event] | Exception | None] = asyncio.Queue()
        self.ended = False

    def put(self, *numbers: int) -> None:
        self.batches.put_nowait([_event(number) for number in numbers])

    async def __call__(self) -> AsyncGenerator[list[Event], None]:
        try:
            while batch := await self.batches.get():
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self.ended = True

    def stream(self, **options: Any) -> Streaming:
        pieces = Pieces(lambda event: as_sse(event.to_dict(), event.seq))
        return Streaming(self(), pieces, **{"sse": True, **options})


def _event(number: int) -> Event:
    data = CustomRecorded(name="n")
    return Event(id=f"evt_{number}", session_id="ses_1", at=datetime.now(UTC), data=data, seq=number, position=number)


async def test_it_ends_when_its_events_do() -> None:
    reader, log = Reader(), Log()
    log.put(1, 2)
    log.put(3)
    log.batches.put_nowait(None)
    await reader.take(log.stream())
    assert (reader.ids(), reader.got[-1], reader.over, reader.dropped, log.ended) == ([1, 2, 3], END, True, False, True)


async def test_one_that_is_cut_does_not_say_that_it_ended() -> None:
    reader, log = Reader(), Log()
    log.put(1)
    log.batches.put_nowait(None)
    await reader.take(log.stream(cut=lambda: True))
    assert (reader.ids(), END in reader.got, reader.over) == ([1], False, True)


@pytest.mark.parametrize(("sse", "sign"), [(True, QUIET), (False, b"\n")])
async def test_a_quiet_one_is_kept_alive(*, sse: bool, sign: bytes) -> None:
    reader, log = Reader(), Log()
    taking = asyncio.create_task(reader.take(log.stream(sse=sse, heartbeat=0.02)))
    await reader.has(sign, 3)
    log.put(1)
    log.batches.put_nowait(None)
    await taking
    assert reader.over


async def test_what_is_sent_is_sign_of_life_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(streams, "LOOK", 0.002)
    reader, log = Reader(), Log()
    taking = asyncio.create_task(reader.take(log.stream(heartbeat=15)))
    for number in range(50):
        now[0] += 14
        log.put(number)
        while number not in reader.ids():
            await asyncio.sleep(0.005)
    log.batches.put_nowait(None)
    await taking
    assert QUIET not in reader.got


async def test_a_reader_who_leaves_ends_it() -> None:
    reader, log = Reader(), Log()
    log.put(1)
    taking = asyncio.create_task(reader.take(log.stream()))
    while not reader.got:
        await asyncio.sleep(0.005)
    reader.left.set()
    await taking
    assert (reader.over, log.ended) == (False, True)


async def test_one_who_takes_nothing_is_dropped() -> None:
    reader, log = Reader(), Log()
    reader.reads.clear()
    log.put(1)
    log.put(2)
    await reader.take(log.stream(slowest=0.05))
    assert (reader.ids(), reader.dropped, log.ended) == ([1], True, True)


async def test_one_who_takes_nothing_does_not_hold_up_a_server_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK", 0.02)
    monkeypatch.setattr(streams, "LAST", 0.05)
    reader, log = Reader(), Log()
    reader.reads.clear()
    log.put(1)
    log.put(2)
    await reader.take(log.stream(cut=lambda: True))
    assert (reader.ids(), reader.dropped, log.ended) == ([1], True, True)


async def test_one_who_takes_no_sign_of_life_is_dropped() -> None:
    reader, log = Reader(), Log()
    reader.reads.clear()
    await reader.take(log.stream(heartbeat=0.02, slowest=0.05))
    assert (reader.got, reader.dropped, log.ended) == ([QUIET], True, True)


async def test_one_who_may_read_no_more_is_told_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK", 0.01)
    reader, log, looks = Reader(), Log(), iter([True, True, False])

    async def allowed() -> bool:
        return next(looks)

    log.put(1)
    await reader.take(log.stream(allowed=allowed))
    assert (reader.ids(), END in reader.got, reader.over, log.ended) == ([1], False, True, True)


async def test_a_log_that_fails_fails_it() -> None:
    reader, log = Reader(), Log()
    log.put(1)
    log.batches.put_nowait(OSError("the disk is gone"))
    with pytest.raises(OSError, match="the disk is gone"):
        await reader.take(log.stream())
    assert (reader.ids(), reader.over, log.ended) == ([1], False, True)
