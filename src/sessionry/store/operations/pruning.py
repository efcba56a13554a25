"""Transactions that make the log smaller: pieces of messages go once the whole message is there and nobody streams it.

Readers rely on the order of the log and on seeing each event once, not on contiguous numbers. The newest event of a session
is never a piece of an ended run, so the numbers that the log counts by stay.
"""

from __future__ import annotations

from sessionry.ports import Now, Steps
from sessionry.store.log import open_log_of_run, remember_gone
from sessionry.store.transaction import reads, writes

#: Runs that one sweep takes.
BATCH = 100

_WHOLE = {"message_streamed": "message_received", "reasoning_streamed": "reasoning_received"}


@reads
def unpruned(after: float) -> Steps[list[str]]:
    """Runs that ended more than `after` seconds ago and still have their pieces, the oldest first, a batch of them."""
    now = yield Now()
    found = yield (
        "select id from sessionry_run where pruned = 0 and ended_at is not null and ended_at < ? order by ended_at limit ?",
        (now - int(after * 1_000_000), BATCH),
    )
    return [row[0] for row in found]


@writes
def prune(run_id: str) -> Steps[int]:
    """Remove the pieces of the run's whole messages; how many. A message that was never completed keeps its pieces."""
    log = yield from open_log_of_run(run_id)
    key, removed, highest = log.run_keys[run_id], 0, 0
    for piece, whole in _WHOLE.items():
        gone = yield (
            "delete from sessionry_event where session = ? and run = ? and type = ?"
            " and seq >= (select first_seq from sessionry_run where key = ?)"
            " and seq < (select max(seq) from sessionry_event where session = ? and run = ? and type = ?"
            " and seq >= (select first_seq from sessionry_run where key = ?)) returning position",
            (log.key, key, piece, key, log.key, key, whole, key),
        )
        removed += len(gone)
        highest = max([highest, *(row[0] for row in gone)])
    yield from remember_gone(log.key, highest or None)
    yield "update sessionry_run set pruned = 1 where key = ?", (key,)
    return removed
