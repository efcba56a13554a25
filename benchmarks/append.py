"""How fast is an event durable? Against raw sqlite3 committing groups of the same size."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.answers import Answer, Bars, Figure, at_least, at_most, told
from benchmarks.harness import Effort, Side, Spread, folder, interleaved, number, percentile
from benchmarks.work import BareLog, Claimed, RawLog, claim, fill, produce_all
from sessionry.ports import Store
from sessionry.store.open import open_store

#: Producers -> what each appends in one round.
_CASES = {1: 400, 10: 100, 100: 40, 1000: 8}
_WARM = 15_000

_READING = (
    "Each producer is a task that appends one event of 308 bytes to a session of its own and waits until it is"
    " durable. Raw sqlite3 commits groups as large as Sessionry's came out, in the same round. A *bare writer"
    " thread* is the least that a durable log for asyncio can be: no session, no lease, no check and no reader, only"
    " a queue, a thread and a future for each event. All files have been through a checkpoint: while a write-ahead"
    " log still grows for the first time, the file system has to record its length with each commit, whoever writes"
    " it."
)
_SINGLE = (
    "One producer pays for the way there and back: its event crosses to the writer's thread and the answer comes"
    " back through the loop's self-pipe, two wake-ups by the kernel that raw sqlite3, which blocks its caller, does"
    " not have. On tmpfs, where the disk costs nothing, that is {cross:.0f} us for the bare writer thread and"
    " {ours:.0f} us for Sessionry, against {raw:.0f} us raw; the rest of Sessionry's is the check that the file is"
    " still the one of that name, the check that no other process has written, and a third page for each commit, the"
    " one that keeps positions from being used twice."
)
_MANY = (
    "CPU for each event with 100 producers on tmpfs: {ours:.1f} us in Sessionry, {bare:.1f} us with the bare writer"
    " thread, {raw:.1f} us raw. Two cores are shared by the loop, the writer and the disk's own work, and Python"
    " runs one of the first two at a time; what a slower disk adds is the same for all."
)


def measure(effort: Effort) -> Answer:
    cases = [1, 100] if effort.quick else list(_CASES)
    compared = {
        (producers, mode): _compare(producers, mode, effort) for mode in ("full", "normal") for producers in cases
    }
    memory = {producers: _compare(producers, "full", effort, memory=True) for producers in (1, 100)}
    figures = [figure for (producers, mode), found in compared.items() for figure in _figures(producers, mode, found)]
    shares = [
        (f"{'Sessionry' if side == 'ours' else 'bare thread'}, {producers}, {mode.upper()}", found.share(side))
        for (producers, mode), found in compared.items()
        for side in ("ours", "bare")
    ]
    one, many = memory[1], memory[100]
    return Answer(
        "Durable append",
        _READING,
        [*figures, _fresh(effort)],
        [
            Bars(
                "append",
                "Share of raw sqlite3 at the same group size",
                "producers and mode; more is better",
                shares,
                bound=0.6,
            )
        ],
        [
            _SINGLE.format(cross=one.micros("bare"), ours=one.micros("ours"), raw=one.micros("raw")),
            _MANY.format(**{side: many.cpu[side] for side in ("ours", "bare", "raw")}),
        ],
    )


class Compared:
    """One case: events a second of each side, and what else was seen."""

    def __init__(self) -> None:
        self.speeds: dict[str, Spread] = {}
        self.latencies: list[float] = []
        self.groups: list[float] = []
        self.cpu: dict[str, float] = {}

    def share(self, side: str) -> float:
        return self.speeds[side].median / self.speeds["raw"].median

    def micros(self, side: str) -> float:
        return 1e6 / self.speeds[side].median

    @property
    def group(self) -> float:
        return percentile(self.groups, 0.5)


class Logs:
    """The three sides, open and warm, and the runs of ours that append."""

    def __init__(self, path: Path, producers: int, mode: str, runner: asyncio.Runner) -> None:
        self._runner, self._producers = runner, producers
        self.store: Store = runner.run(open_store(f"sqlite:///{path / 'ours.db'}?synchronous={mode}"))
        self.raw = RawLog(path / "raw.db", mode)
        self.bare = runner.run(_bare(path / "bare.db", mode))
        self.commits: list[int] = []
        self.store.on_commit(lambda touched, _: self.commits.append(len(touched)))
        self.claimed = runner.run(self._claimed())
        self.raw.append(_WARM // 500, 500)
        self.bare.warm(_WARM)

    async def _claimed(self) -> list[Claimed]:
        claimed = [await claim(self.store) for _ in range(self._producers)]
        await fill(self.store, await claim(self.store), _WARM)
        return claimed

    def ours(self, each: int, latencies: list[float]) -> None:
        self.commits.clear()
        self.claimed, found = self._runner.run(produce_all(self.store, self.claimed, each))
        latencies.extend(found)

    def through_thread(self, each: int) -> None:
        self._runner.run(_append_bare(self.bare, self._producers, each))

    def close(self) -> None:
        self._runner.run(self.store.close())
        self.raw.close()
        self.bare.close()


@contextmanager
def _logs(producers: int, mode: str, memory: bool) -> Iterator[Logs]:
    with folder(memory=memory) as path, asyncio.Runner() as runner:
        logs = Logs(path, producers, mode, runner)
        try:
            yield logs
        finally:
            logs.close()


def _compare(producers: int, mode: str, effort: Effort, *, memory: bool = False) -> Compared:
    each = _CASES[producers] // effort.of(1, 4)
    events, found = producers * each, Compared()
    with _logs(producers, mode, memory) as logs:
        times: dict[str, list[float]] = {"ours": [], "raw": [], "bare": []}

        def ours() -> None:
            logs.ours(each, found.latencies)
            found.groups.append(events / len(logs.commits))

        def raw() -> None:
            size = max(round(found.groups[-1]), 1)
            logs.raw.append(events // size, size, producers)

        works: dict[str, Callable[[], None]] = {"ours": ours, "raw": raw, "bare": lambda: logs.through_thread(each)}

        def side(name: str) -> Side:
            def work() -> float:
                begun, used = time.perf_counter(), time.process_time()
                works[name]()
                times[name].append((time.process_time() - used) / events * 1e6)
                return events / (time.perf_counter() - begun)

            return Side(name, work)

        found.speeds = interleaved([side(name) for name in works], effort.of(9, 3), seconds=20)
    found.cpu = {name: percentile(values, 0.5) for name, values in times.items()}
    return found


def _figures(producers: int, mode: str, found: Compared) -> list[Figure]:
    ours, raw = found.speeds["ours"], found.speeds["raw"]
    p99 = percentile(found.latencies, 0.99) * 1000
    text = f"{ours}/s against {raw}/s raw; bare writer thread {found.share('bare'):.2f} of raw; p99 {number(p99)} ms"
    if producers == 1:
        question, times = f"{mode.upper()}, 1 producer: times the raw commit", 1 / found.share("ours")
        return [at_most(question, times, 1.5, text) if mode == "full" else told(question, text, times)]
    question = f"{mode.upper()}, {producers} producers: share of raw in groups of {found.group:.0f}"
    if (producers, mode) != (100, "full"):
        return [told(question, text, found.share("ours"))]
    return [
        at_least(question, found.share("ours"), 0.6, text),
        at_most("FULL, 100 producers: p99 in milliseconds", p99, 10, f"worst {max(found.latencies) * 1000:.1f} ms"),
    ]


def _fresh(effort: Effort) -> Figure:
    """Both from their first commit on."""
    events = effort.of(200, 50)
    with folder() as path, asyncio.Runner() as runner:
        rounds = iter(range(99))

        def ours() -> float:
            return runner.run(_fresh_ours(path / f"ours{next(rounds)}.db", events))

        def raw() -> float:
            log = RawLog(path / f"raw{next(rounds)}.db")
            seconds = log.append(events, 1)
            log.close()
            return events / seconds

        speeds = interleaved([Side("ours", ours), Side("raw", raw)], effort.of(5, 2), seconds=20)
    text = f"{speeds['ours']}/s against {speeds['raw']}/s raw"
    ratio = speeds["raw"].median / speeds["ours"].median
    return told("FULL, 1 producer, a new file: times the raw commit", text, ratio)


async def _fresh_ours(path: Path, events: int) -> float:
    store = await open_store(f"sqlite:///{path}")
    claimed = [await claim(store)]
    begun = time.perf_counter()
    await produce_all(store, claimed, events)
    seconds = time.perf_counter() - begun
    await store.close()
    return events / seconds


async def _bare(path: Path, mode: str) -> BareLog:
    return BareLog(path, mode)


async def _append_bare(log: BareLog, producers: int, each: int) -> None:
    async def produce(session: int) -> None:
        for _ in range(each):
            await log.append(session)

    await asyncio.gather(*(produce(session) for session in range(producers)))
