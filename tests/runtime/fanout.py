"""Processes for the test of the fan-out: `python -m tests.runtime.fanout URL ROLE ...`. They tell what they did, in JSON.

write SECONDS PER_SECOND    makes 100 sessions with a run each, and appends to all of them in turn
serve EACH SESSION...       EACH readers of every session, until its run has ended
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

import sessionry
from sessionry import Sessions
from sessionry.domain import events as ev
from sessionry.runtime.processes import this_process
from sessionry.settings import Settings
from sessionry.store.operations import leases
from sessionry.testing.store_contract.scenario import AGENT, WORKER, Claim, Scenario

from .program import say

SESSIONS = 100


async def write(sessions: Sessions, seconds: str, per_second: str) -> None:
    scenario = Scenario(sessions.store)
    process = this_process()
    here = {"host": process.host, "pid": process.pid, "process_start": process.start, "boot_id": process.boot_id}
    registration = leases.Registration(worker_id=WORKER, slots=SESSIONS, agents=[AGENT], **here)  # type: ignore[arg-type]
    await scenario.do(leases.register(registration, 3600.0))
    claims = [await scenario.work() for _ in range(SESSIONS)]
    say(sessions=[claim.session_id for claim in claims])
    await asyncio.to_thread(sys.stdin.readline)  # all readers are there
    begun = time.monotonic()
    until, pause = begun + float(seconds), SESSIONS / float(per_second)
    written = sum(await asyncio.gather(*(_write(scenario, claim, until, pause) for claim in claims)))
    say(written=written, per_second=round(written / (time.monotonic() - begun)))


async def _write(scenario: Scenario, claim: Claim, until: float, pause: float) -> int:
    """An event every `pause` seconds, each durable before the next one; then the end of the run."""
    count = 0
    next_at = time.monotonic() + pause * (hash(claim.run_id) % 100) / 100
    while (now := time.monotonic()) < until:
        await asyncio.sleep(max(next_at - now, 0))
        next_at = max(next_at + pause, now)
        await scenario.append(claim, ev.CustomRecorded(name="sent", value=time.time()))
        count += 1
    await scenario.finish(claim)
    return count


async def serve(sessions: Sessions, each: str, *ids: str) -> None:
    asked: list[Any] = []
    execute = sessions.store.execute

    async def counted(operation: Any) -> Any:
        asked.append(operation.function.__name__)
        return await execute(operation)

    sessions.store.execute = counted  # type: ignore[method-assign]
    followers = [(id, asyncio.create_task(_follow(sessions, id))) for id in ids for _ in range(int(each))]
    tails = sessions.logs.feed._tails
    while len(tails) < len(ids) or not all(len(tail._waiting) == int(each) for tail in tails.values()):
        await asyncio.sleep(0.05)  # until everybody has come to the end of the log, and waits there
    asked.clear()
    say(ready=len(followers))
    used, begun = time.process_time(), time.monotonic()
    told = [(id, *(await follower)) for id, follower in followers]
    took = time.monotonic() - begun
    latencies = sorted(latency for _, _, found in told for latency in found)
    say(
        logs={id: [seqs for other, seqs, _ in told if other == id] for id in ids},
        deliveries=len(latencies),
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        cpu=(time.process_time() - used) / took,
        queries=asked.count("pages") / took,
    )


async def _follow(sessions: Sessions, id: str) -> tuple[list[int], list[float]]:
    """The numbers of the events that came, and how old each was then, in seconds."""
    seqs, latencies = [], []
    async for event in sessions.session(id).events(follow=True):
        seqs.append(event.seq)
        if isinstance(event.data, ev.CustomRecorded):
            latencies.append(time.time() - event.data.value)
        if isinstance(event.data, ev.RunCompleted):
            break
    return seqs, latencies


async def main(url: str, role: str, arguments: Sequence[str]) -> None:
    async with sessionry.open(url, worker=False, settings=Settings(store=url)) as sessions:
        await (write if role == "write" else serve)(sessions, *arguments)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
