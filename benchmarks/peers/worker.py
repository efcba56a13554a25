"""What the scripts of all peers share: lines of JSON in, lines of JSON out. Needs nothing but Python.

A peer is a class with `open`, `append`, `fill`, `load` and `close`; sessions and items have numbers. Each script is
run by the Python of its peer's environment, as a program, with a folder to keep its files in.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from abc import ABC, abstractmethod
from typing import Any

TEXT = "x" * 297


class Peer(ABC):
    """One library, and the sessions that it keeps in a folder (or, for some, in the database of a URL)."""

    def __init__(self, place: str) -> None:
        self.place = place

    @abstractmethod
    async def open(self, sessions: int) -> None:
        """Make so many sessions, numbered from 0."""

    @abstractmethod
    async def append(self, session: int, number: int) -> None:
        """Keep item `number` of a session, as durably as the library keeps things. Sessions append at the same time."""

    async def fill(self, session: int, begin: int, count: int) -> None:
        """Keep many items, in the quickest way that leaves the session as `append` would."""
        for number in range(begin, begin + count):
            await self.append(session, number)

    @abstractmethod
    async def load(self, session: int) -> int:
        """Read a whole session, as an agent that goes on with it would; how many items it has."""

    async def sessions(self) -> int:
        """List all sessions, as the library does; how many there are."""
        raise NotImplementedError("it has no list of sessions")

    async def close(self) -> None:
        """Let go of everything."""
        return


def role(number: int) -> str:
    """A turn has four items: asked, a tool called, its result, the answer."""
    return ("user", "assistant", "tool", "assistant")[number % 4]


class _Work:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._items: dict[int, int] = {}

    async def open(self, sessions: int) -> dict[str, Any]:
        await self._peer.open(sessions)
        return {}

    async def turns(self, sessions: int, turns: int) -> dict[str, Any]:
        """So many sessions at once, each item awaited before the next one of its session."""
        latencies: list[float] = []
        errors: list[str] = []

        async def one(session: int) -> None:
            for _ in range(turns * 4):
                number = self._items.get(session, 0)
                begun = time.perf_counter()
                try:
                    await self._peer.append(session, number)
                except Exception as error:  # what a peer raises is what is reported of it
                    errors.append(repr(error)[:200])
                    continue
                latencies.append(time.perf_counter() - begun)
                self._items[session] = number + 1

        begun = time.perf_counter()
        await asyncio.gather(*(one(session) for session in range(sessions)))
        seconds = time.perf_counter() - begun
        latencies.sort()
        return {
            "seconds": seconds,
            "events": len(latencies),
            "p99": latencies[int(len(latencies) * 0.99)],
            "errors": errors,
        }

    async def lost(self) -> dict[str, Any]:
        """How many items that were acknowledged are not there."""
        found = {session: await self._peer.load(session) for session in self._items}
        return {"lost": sum(max(kept - found[session], 0) for session, kept in self._items.items())}

    async def grow(self, session: int, to: int, sample: int) -> dict[str, Any]:
        """Bring a session to so many items; then the median of some more, one at a time, in seconds."""
        begin = self._items.get(session, 0)
        await self._peer.fill(session, begin, to - begin)
        self._items[session] = to
        taken = []
        for number in range(to, to + sample):
            begun = time.perf_counter()
            await self._peer.append(session, number)
            taken.append(time.perf_counter() - begun)
        self._items[session] = to + sample
        return {"seconds": sorted(taken)[len(taken) // 2]}

    async def load(self, session: int) -> dict[str, Any]:
        begun = time.perf_counter()
        count = await self._peer.load(session)
        return {"seconds": time.perf_counter() - begun, "items": count}

    async def begin(self, sessions: int) -> dict[str, Any]:
        """An item in each of so many sessions, one after the other."""
        for session in range(sessions):
            await self._peer.append(session, 0)
        return {}

    async def sessions(self) -> dict[str, Any]:
        begun = time.perf_counter()
        count = await self._peer.sessions()
        return {"seconds": time.perf_counter() - begun, "sessions": count}


async def _serve(kind: type[Peer], place: str) -> None:
    peer = kind(place)
    work = _Work(peer)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = await getattr(work, asked.pop("do"))(**asked)
        except Exception as error:  # told, and the benchmark goes on without it
            answer = {"failed": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), flush=True)
    await peer.close()


def main(kind: type[Peer]) -> None:
    asyncio.run(_serve(kind, sys.argv[1]))
