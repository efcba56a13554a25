"""Whether the sweeper has something to do, for those who only look: one question that indexes answer; and whether it could.

What it finds is dealt with by the operations of `recovery` and `approvals`.
"""

from __future__ import annotations

from typing import TypeAlias

from sessionry.ports import Now, Steps
from sessionry.store.transaction import reads, writes

#: host, pid, start of the process, boot id of its machine
AtWork: TypeAlias = tuple[str, int, float, str]


@reads
def leftovers() -> Steps[tuple[bool, list[AtWork]]]:
    """Whether a run has no worker or no time left, or a question none; and the processes that have runs in hand.

    When one of those is gone there is something for the sweeper as well.
    """
    now = yield Now()
    found = yield (
        "select exists (select 1 from sessionry_run r left join sessionry_worker w on w.id = r.worker"
        " where r.worker is not null and (w.id is null or w.expires_at < ?))"
        " or exists (select 1 from sessionry_run"
        " where deadline_at is not null and deadline_at <= ? and worker is null)"
        " or exists (select 1 from sessionry_approval"
        " where status = 'pending' and expires_at is not null and expires_at <= ?)",
        (now, now, now),
    )
    workers = yield (
        "select host, pid, process_start, boot_id from sessionry_worker where id in"
        " (select worker from sessionry_run where worker is not null)",
        (),
    )
    return bool(found[0][0]), workers


@writes
def writable() -> Steps[None]:
    """Change nothing, as only those can who may write. Raises `store_read_only` and what else keeps one from it."""
    yield "delete from sessionry_setting where name = ''", ()
