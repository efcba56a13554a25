"""How fast is an event durable in PostgreSQL: alone, in groups, twenty at once? Against COPY and single inserts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import psycopg

from benchmarks.answers import Answer, Bars, Figure, at_least, told
from benchmarks.harness import TEXT, Effort, Side, Spread, interleaved, number, percentile
from benchmarks.peers import OPENAI_SQLALCHEMY, PeerFailed, measured, script
from benchmarks.servers import postgres
from benchmarks.work import Claimed, claim, produce_all
from sessionry.ports import Store
from sessionry.store.open import open_store

#: Producers -> what each appends in one round.
_CASES = {1: 200, 20: 50, 100: 40}

_READING = (
    "The server is PostgreSQL from a wheel, on the same machine, with `fsync` and `synchronous_commit` on. Each"
    " producer appends to a session of its own and awaits each event; what gathers while a statement is under way"
    " goes out with the next one. COPY by 1,000 rows, one commit each, into a table of the same columns and index,"
    " is the most that a single connection can do; a single insert with a commit of its own is what it costs without"
    " groups."
)
_NOTE = (
    "The server, the loop and its clients share two cores, so CPU is what limits it: Sessionry's statement locks"
    " the runs it appends to, checks fence and place of each, counts `seq` and positions up and reports what it"
    " wrote; COPY only writes rows, and of rows that are committed by the hundred a plain insert, too, is slower than"
    " COPY by the thousand: that is the last row."
)


def measure(effort: Effort) -> Answer:
    with postgres() as url, asyncio.Runner() as runner:
        figures, bars = _measure(runner, url, effort)
        figures += _openai(url, effort, bars)
    picture = Bars("postgres", "Events a second in PostgreSQL", "events a second; more is better", bars, log=True)
    return Answer("PostgreSQL", _READING, figures, [picture], [_NOTE])


def _measure(runner: asyncio.Runner, url: str, effort: Effort) -> tuple[list[Figure], list[tuple[str, float]]]:
    store = runner.run(open_store(url))
    claimed = runner.run(_claimed(store, max(_CASES)))
    plain = Plain(url)
    waits: dict[int, list[float]] = {producers: [] for producers in _CASES}

    def ours(producers: int) -> Side:
        each = _CASES[producers] // effort.of(1, 4)

        def work() -> float:
            nonlocal claimed
            begun = time.perf_counter()
            moved, found = runner.run(produce_all(store, claimed[:producers], each))
            claimed = [*moved, *claimed[producers:]]
            waits[producers] += found
            return producers * each / (time.perf_counter() - begun)

        return Side(str(producers), work)

    rows = effort.of(20_000, 4_000)
    sides = [
        *(ours(producers) for producers in _CASES),
        Side("copy", lambda: plain.copy(rows)),
        Side("hundred", lambda: plain.hundreds(rows // 4)),
        Side("single", lambda: plain.single(200)),
    ]
    speeds = interleaved(sides, effort.of(7, 2), seconds=60)
    plain.close()
    runner.run(store.close())
    return _figures(speeds, waits), _bars(speeds)


def _figures(speeds: dict[str, Spread], waits: dict[int, list[float]]) -> list[Figure]:
    def text(producers: int) -> str:
        against = f"{speeds['copy']}/s by COPY, {speeds['single']}/s single"
        return (
            f"{speeds[str(producers)]}/s against {against}; p99 {number(percentile(waits[producers], 0.99) * 1000)} ms"
        )

    def share(side: int | str, of: str) -> float:
        return speeds[str(side)].median / speeds[of].median

    return [
        told("1 producer: share of a single insert and commit", text(1), share(1, "single")),
        told("20 sessions at once: share of COPY by 1,000 rows", text(20), share(20, "copy")),
        at_least("100 producers: share of COPY by 1,000 rows", share(100, "copy"), 0.4, text(100)),
        told(
            "what groups cost by themselves: plain inserts of 100 rows, share of COPY by 1,000",
            f"{speeds['hundred']}/s, of which 100 producers reach {number(share(100, 'hundred'))}",
            share("hundred", "copy"),
        ),
    ]


def _bars(speeds: dict[str, Spread]) -> list[tuple[str, float]]:
    names = {"copy": "COPY by 1,000", "hundred": "plain inserts of 100", "single": "single inserts"}
    return [(names.get(name, f"Sessionry, {name} at once"), found.median) for name, found in speeds.items()]


def _openai(url: str, effort: Effort, bars: list[tuple[str, float]]) -> Sequence[Figure]:
    """The same by openai-agents' `SQLAlchemySession`, over asyncpg."""
    kinds, missing = measured(effort)
    label = f"100 producers: times {OPENAI_SQLALCHEMY.label}"
    if OPENAI_SQLALCHEMY not in kinds:
        return [told(label, f"not measured: {missing[OPENAI_SQLALCHEMY]}")] if missing else []
    ours = next(value for name, value in bars if name == "Sessionry, 100 at once")
    try:
        with script(OPENAI_SQLALCHEMY, url.replace("postgresql://", "postgresql+asyncpg://"), 100) as opened:
            rates = [
                found["events"] / found["seconds"]
                for found in (opened.ask("turns", sessions=100, turns=1) for _ in range(3))
            ]
    except PeerFailed as error:
        return [told(label, f"not measured: {error}")]
    theirs = percentile(rates, 0.5)
    bars.append((OPENAI_SQLALCHEMY.label, theirs))
    return [at_least(label, ours / theirs, 30, f"{number(ours)}/s against {number(theirs)}/s")]


async def _claimed(store: Store, count: int) -> list[Claimed]:
    return [await claim(store) for _ in range(count)]


class Plain:
    """A table with the columns and the index of the log, and nothing that looks after it."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(
            "create table plain (position bigserial primary key, session bigint, seq bigint, run bigint, fence"
            " bigint, type text, at bigint, id uuid, actor text, correlation text, causation text, schema integer,"
            " data text)"
        )
        self._connection.execute("create unique index plain_seq on plain (session, seq)")
        self._next = 0

    def _rows(self, count: int) -> list[tuple[object, ...]]:
        places = range(self._next, self._next + count)
        self._next += count
        id = "01900000-0000-7000-8000-000000000000"
        return [
            (n % 100, n, n % 100, 1, "message_received", 1_700_000_000_000_000, id, 1, f'{{"text":"{TEXT}"}}')
            for n in places
        ]

    def copy(self, rows: int) -> float:
        begun = time.perf_counter()
        for _ in range(rows // 1000):
            with self._connection.cursor() as cursor, cursor.copy(f"copy plain ({_COLUMNS}) from stdin") as copy:
                for row in self._rows(1000):
                    copy.write_row(row)
        return rows / (time.perf_counter() - begun)

    def hundreds(self, rows: int) -> float:
        """One statement and one commit for 100 rows: as many as 100 producers can share one of."""
        begun = time.perf_counter()
        for _ in range(rows // 100):
            columns = [list(column) for column in zip(*self._rows(100), strict=True)]
            self._connection.execute(_INSERT_MANY, columns)
        return rows // 100 * 100 / (time.perf_counter() - begun)

    def single(self, rows: int) -> float:
        values = self._rows(rows)
        begun = time.perf_counter()
        for row in values:
            self._connection.execute(_INSERT, row)
        return rows / (time.perf_counter() - begun)

    def close(self) -> None:
        self._connection.close()


_COLUMNS = "session, seq, run, fence, type, at, id, schema, data"
_INSERT = f"insert into plain ({_COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_INSERT_MANY = (
    f"insert into plain ({_COLUMNS}) select * from unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
    " %s::text[], %s::bigint[], %s::uuid[], %s::integer[], %s::text[])"
)
