"""Transactions that let go of what nobody needs any more.

Pieces of messages go once the whole message is there and nobody streams it. Readers rely on the order of the log and on
seeing each event once, not on contiguous numbers. The newest event of a session is never a piece of an ended run, so the
numbers that the log counts by stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from sessionry.ports import Now, Steps
from sessionry.store.log import open_log_of_run, remember_gone
from sessionry.store.transaction import marks, reads, writes

#: Runs that one sweep takes, and notices.
BATCH, NOTICES = 100, 1000

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


@reads
def given_up(after: float) -> Steps[list[int]]:
    """Notices that were given up more than `after` seconds ago, by their keys, a batch of them."""
    now = yield Now()
    found = yield (
        "select d.key from sessionry_webhook w join sessionry_notice d"
        " on d.webhook = w.key and d.status = 'dead' and d.due_at < ? limit ?",
        (now - int(after * 1_000_000), NOTICES),
    )
    return [row[0] for row in found]


@writes
def forget_notices(keys: Sequence[int]) -> Steps[int]:
    """Remove these notices, but for those that are to be tried again after all; how many."""
    gone = yield (
        f"delete from sessionry_notice where key in ({marks(keys)}) and status = 'dead' returning 1",
        tuple(keys),
    )
    return len(gone)
