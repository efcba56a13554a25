"""What is kept and what is shown of a program's output, both bounded, whatever the program writes."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator
from itertools import islice

from sessionry.agents.process import Chunk
from sessionry.domain.events import ToolOutputStreamed

#: A streamed piece is at most this many characters long ...
PIECE = 8192
#: ... and no sooner than so many seconds after the last one, unless it is full.
GAP = 0.05


class Kept:
    """The beginning and the end of a stream, at most `limit` bytes of it; what is between them is counted."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._head_limit = limit - limit // 2
        self._tail_limit = limit // 2
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = self._head_limit - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._tail_limit + PIECE:
            self._trim()

    @property
    def dropped(self) -> int:
        """How many bytes are not kept."""
        return max(0, self.total - self._head_limit - self._tail_limit)

    def text(self) -> str:
        """What is kept, with a mark where something is missing. What is no UTF-8 is shown as U+FFFD."""
        self._trim()
        if not self.dropped:
            return (self._head + self._tail).decode(errors="replace")
        head = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._head))
        return f"{head}\n[... {self.dropped} bytes dropped ...]\n{_from_character(self._tail)}"

    def end(self, limit: int) -> str:
        """The last `limit` bytes, from the start of a line where there is one."""
        self._trim()
        kept = self._tail if self.dropped else self._head + self._tail
        if len(kept) <= limit and not self.dropped:
            return kept.decode(errors="replace")
        cut = kept[-limit:]
        return _from_character(cut[cut.find(b"\n", 0, -1) + 1 :])

    def _trim(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._tail_limit)]


class Streamer:
    """Turns output into events: merged for a moment, each stream apart, and no more of them past `limit` bytes."""

    def __init__(self, tool_call_id: str, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._tool_call_id = tool_call_id
        self._limit = limit
        self._clock = clock
        self._next = clock()
        self._streams: dict[str, _Stream] = {}

    def add(self, chunk: Chunk) -> None:
        if chunk.stream not in self._streams:
            self._streams[chunk.stream] = _Stream(self._limit)
        self._streams[chunk.stream].add(chunk.data)

    def wait(self) -> float | None:
        """Seconds until something is due; None while there is nothing to show."""
        if not any(stream.text for stream in self._streams.values()):
            return None
        return max(0.0, self._next - self._clock())

    def due(self) -> Iterator[ToolOutputStreamed]:
        """The pieces to show now: everything when it is time, else the full ones."""
        if self.wait() == 0.0:
            yield from self.rest()
        else:
            yield from self._pieces(PIECE)

    def rest(self) -> Iterator[ToolOutputStreamed]:
        """Everything that was not shown yet."""
        self._next = self._clock() + GAP
        yield from self._pieces(1)

    def _pieces(self, smallest: int) -> Iterator[ToolOutputStreamed]:
        for name, stream in self._streams.items():
            while len(stream.text) >= smallest:
                text, stream.text = stream.text[:PIECE], stream.text[PIECE:]
                yield ToolOutputStreamed(tool_call_id=self._tool_call_id, text=text, stream=name)


class _Stream:
    """The text of one stream that is not shown yet."""

    def __init__(self, limit: int) -> None:
        self.text = ""
        self._limit = limit
        self._room = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, data: bytes) -> None:
        if self._room < 0:
            return
        self.text += self._decoder.decode(data[: self._room], final=not data or len(data) > self._room)
        self._room -= len(data)
        if self._room < 0:
            self.text += f"\n[the output goes on past {self._limit} bytes; no more of it is streamed]\n"


def _from_character(data: bytes | bytearray) -> str:
    """Decoded from the first byte on that begins a character: a cut may have gone through one."""
    skip = sum(1 for _ in islice(_continuations(data), 3))
    return data[skip:].decode(errors="replace")


def _continuations(data: bytes | bytearray) -> Iterator[int]:
    for byte in data:
        if byte & 0xC0 != 0x80:
            return
        yield byte
