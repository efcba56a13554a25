"""The wire between a worker and its database is cut for longer than the lease, and mended: the same promises hold."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.distributed.fleet import Server, WorkerProcess, until
from tests.distributed.network import network
from tests.distributed.work import shut_out, taken_over, work_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PORT = 5432


def at_work(server: Server, worker: WorkerProcess) -> bool:
    return worker.process.pid in server.at_work()


async def test_a_worker_behind_a_cut_wire_is_replaced_and_comes_back(server: Server, tmp_path: Path) -> None:
    with network() as net:
        server.restart(f"-h {net.address} -p {PORT}", before=net.inside(net.database), hosts="10.203.77.0/30")
        database = server.name
        (near := tmp_path / "near").mkdir()
        (far := tmp_path / "far").mkdir()
        async with work_on(server.url) as work:
            began = time.monotonic()
            behind = WorkerProcess(
                f"postgresql://postgres@{net.address}:{PORT}/{database}", far, before=net.inside(net.worker)
            )
            beside = WorkerProcess(server.url, near)
            try:
                await work.submit(sessions=16, runs=6, pause=0.02)
                until(lambda: at_work(server, behind) and at_work(server, beside))
                lost = server.id_of(behind)
                net.cut()
                cut = datetime.now(UTC)
                until(lambda: not at_work(server, behind))
                healed = datetime.now(UTC)
                net.heal()
                until(lambda: at_work(server, behind))
                await work.until_ended()
                assert behind.alive
            finally:
                behind.close()
                beside.close()
            found = await work.check()
    shut_out(behind, found.lost_at(cut, lost))
    assert found.completed_by(lost, healed)
    print(f"\na cut wire: {time.monotonic() - began:.1f} s, {taken_over(found.lost_at(cut, lost), cut)}")
