"""Readers of streams in one process: `python -m tests.server.sse_readers PORT TOKEN EACH SESSION...`.

EACH readers of every session, over a connection of their own, until its run has ended. Told in JSON: when all have come to
the start of the run, and at the end what came.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from tests.runtime.program import say

_decode = msgspec.json.Decoder().decode


class Reader:
    """One connection. `ids` are the numbers of the events that came, `ages` how old each was then, in seconds."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.ids: list[int] = []
        self.ages: list[float] = []
        self.begun = asyncio.Event()

    async def read(self, port: int, token: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = f"/v1/sessions/{self.session_id}/events"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n"
        )
        writer.write(f"{head}\r\n".encode())
        while (line := await reader.readline()) and not self._over(line):
            pass
        writer.close()

    def _over(self, line: bytes) -> bool:
        """A chunk of the body begins and ends with whole lines, so nothing has to be put together."""
        if line.startswith(b"id: "):
            self.ids.append(int(line[4:]))
        elif line == b"event: run_started\n":
            self.begun.set()
        elif line.startswith(b"data: ") and b'"custom_recorded"' in line:
            self.ages.append(time.time() - _decode(line[6:])["data"]["value"])
        return line == b"event: run_completed\n"


async def main(port: str, token: str, each: str, *sessions: str) -> None:
    readers = [Reader(id) for id in sessions for _ in range(int(each))]
    async with asyncio.TaskGroup() as tasks:
        for reader in readers:
            tasks.create_task(reader.read(int(port), token))
        for reader in readers:
            await reader.begun.wait()
        say(ready=len(readers))
    ages = sorted(age for reader in readers for age in reader.ages)
    say(
        logs={id: [reader.ids for reader in readers if reader.session_id == id] for id in sessions},
        deliveries=len(ages),
        p50=ages[len(ages) // 2],
        p99=ages[len(ages) * 99 // 100],
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
