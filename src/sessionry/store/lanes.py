"""What SQLite's writer remembers about the runs at work, so that an append of theirs needs no read.

A lane is a cached answer to "which lease does this run carry, and which `seq` comes next?". It is valid as long as nobody
else has written: the writer drops the lanes of every session that an operation touched, and all of them when
`PRAGMA data_version` says that another process has committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sessionry.domain import ids
from sessionry.domain.events import SCHEMA_VERSION
from sessionry.ports import Appending
from sessionry.store.operations.leases import fenced, stale_sequence
from sessionry.store.rows import STAGED_WIDTH

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_LANE = (
    "select r.session, s.id, r.key, r.fence, r.status from sessionry_run r join sessionry_session s on s.key = r.session"
    " where r.id = ?"
)


class Lane:
    """One run at work. `own` is the `seq` of the newest event under its fence."""

    __slots__ = ("fence", "live", "own", "run_key", "session_id", "session_key", "status")

    def __init__(self, row: tuple[Any, ...], own: int) -> None:
        self.session_key: int = row[0]
        self.session_id: str = row[1]
        self.run_key: int = row[2]
        self.fence: int = row[3]
        self.status: str = row[4]
        self.live = row[4] in ("running", "waiting")
        self.own = own


class Lanes:
    """All lanes of one writer, and the rows that they have staged for the next statement."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._lanes: dict[str, Lane] = {}
        self._runs_of: dict[int, set[str]] = {}
        self._last_seq: dict[int, int] = {}
        self._entropy = ids.Entropy()
        #: The values of `rows.insert_staged`, one event after the other.
        self.staged: list[Any] = []

    def clear(self) -> None:
        self._lanes.clear()
        self._runs_of.clear()
        self._last_seq.clear()

    def forget(self, session_key: int) -> None:
        """An operation wrote to this session."""
        self._last_seq.pop(session_key, None)
        for run_id in self._runs_of.pop(session_key, ()):
            self._lanes.pop(run_id, None)

    def stage(self, appending: Appending, payloads: Sequence[tuple[str, str]], at: int) -> tuple[list[int], str | None]:
        """The `seq`s of the events, whose rows are now staged, and the session that they touch.

        Raises `Fenced` and `stale_sequence`. A repeat stages nothing and touches nothing.
        """
        lane = self._lanes.get(appending.run_id) or self._load(appending.run_id)
        if lane is None or lane.fence != appending.fence or not lane.live:
            newest, status = (lane.fence, lane.status) if lane else (0, "gone")
            raise fenced(appending.run_id, appending.fence, newest, status)
        if lane.own != appending.after:
            return self._repeated(lane, appending, payloads), None
        first = self._last_seq[lane.session_key] + 1
        for seq, (type, payload) in enumerate(payloads, first):
            id = ids.uuid7_bytes(at // 1000, self._entropy.draw(10))
            self.staged += (lane.session_key, seq, lane.run_key, lane.fence, type, at, id, SCHEMA_VERSION, payload)
        lane.own = self._last_seq[lane.session_key] = first + len(payloads) - 1
        return list(range(first, first + len(payloads))), lane.session_id

    def _load(self, run_id: str) -> Lane | None:
        found = self._query(_LANE, (run_id,))
        if not found:
            return None
        key, fence = found[0][0], found[0][3]
        if key not in self._last_seq:
            newest = self._query("select max(seq) from sessionry_event where session = ?", (key,))
            self._last_seq[key] = newest[0][0] or 0
        own = self._query(
            "select seq from sessionry_event where session = ? and fence = ? order by seq desc limit 1", (key, fence)
        )
        lane = self._lanes[run_id] = Lane(found[0], own[0][0] if own else 0)
        self._runs_of.setdefault(key, set()).add(run_id)
        return lane

    def _repeated(self, lane: Lane, appending: Appending, payloads: Sequence[tuple[str, str]]) -> list[int]:
        """As `operations.leases.repeated`: the first try had been committed, or the caller is out of step."""
        found = self._query(
            "select seq, type from sessionry_event where session = ? and fence = ? and seq > ? order by seq",
            (lane.session_key, lane.fence, appending.after),
        )
        found += [  # the first try may be in the same commit
            (seq, type)
            for key, seq, fence, type in self._staged_columns(0, 1, 3, 4)
            if (key, fence) == (lane.session_key, lane.fence) and seq > appending.after
        ]
        if [row[1] for row in found] != [type for type, _ in payloads]:
            raise stale_sequence(appending)
        return [row[0] for row in found]

    def _staged_columns(self, *columns: int) -> Iterator[tuple[Any, ...]]:
        return zip(*(self.staged[column::STAGED_WIDTH] for column in columns), strict=True)
