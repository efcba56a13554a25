"""`sessionry worker`: takes what waits, and leaves in order."""

from __future__ import annotations

import signal

import pytest

from .program import Cli, Started


def status(cli: Cli, run: str) -> str:
    return str(cli.ok("--json", "show", run).json["status"])


def works_on(worker: Started, run: str) -> None:
    worker.until(f"started    {run}")


def test_once_works_until_nothing_waits(cli: Cli) -> None:
    runs = [cli.queued("echo", "x") for _ in range(3)]
    failing = cli.queued("shell", ["false"])
    done = cli.ok("worker", "--once", "--slots", "2")
    assert [status(cli, run) for run in runs] == ["completed"] * 3
    assert f"failed     {failing}" in done.out
    assert " works on sqlite:" in done.err
    assert cli.ok("--json", "workers").out == ""


def test_once_on_an_empty_store_ends_at_once(cli: Cli) -> None:
    assert cli.ok("worker", "--once").out == ""


def test_a_worker_tells_what_it_does_as_events(cli: Cli) -> None:
    run = cli.queued("echo", "x")
    events = cli.ok("--json", "worker", "--once").jsons
    assert [(event["type"], event["run_id"]) for event in events] == [("run_started", run), ("run_completed", run)]


def test_a_worker_can_be_bound_to_a_session(cli: Cli) -> None:
    mine, other = cli.queued("echo", "x"), cli.queued("echo", "x")
    session = cli.ok("--json", "show", mine).json["session_id"]
    cli.ok("worker", "--once", "--session", session[:25])
    assert (status(cli, mine), status(cli, other)) == ("completed", "pending")


def test_a_worker_takes_what_comes_later(cli: Cli) -> None:
    worker = cli.start("worker")
    cli.until(lambda: cli.ok("--json", "workers").out)
    run = cli.queued("echo", "x")
    works_on(worker, run)
    worker.until(f"completed  {run}")
    worker.signal(signal.SIGTERM)
    assert worker.wait().code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_it_finish_what_it_has_begun(cli: Cli, number: int, code: int) -> None:
    cli.script("slow", {"sleep": 0.8}, {"exit": "done"})
    run = cli.queued("slow", "x")
    worker = cli.start("worker", "--slots", "1")
    works_on(worker, run)
    worker.signal(number)
    late = cli.queued("echo", "x")
    done = worker.wait()
    assert done.code == code
    assert "takes no more runs" in done.err
    assert (status(cli, run), status(cli, late)) == ("completed", "pending")


def test_a_second_signal_gives_back_what_it_has_begun(cli: Cli) -> None:
    cli.script("slow", {"say": "x"}, {"sleep": 100})
    run = cli.queued("slow", "x")
    worker = cli.start("worker")
    works_on(worker, run)
    worker.signal(signal.SIGTERM)
    assert worker.process.stderr is not None
    while "takes no more" not in worker.process.stderr.readline():
        pass
    worker.signal(signal.SIGTERM)
    assert worker.wait().code in (0, 143)
    assert status(cli, run) == "pending"
    assert cli.ok("--json", "workers").out == ""


def test_two_workers_share_the_work_and_do_nothing_twice(cli: Cli) -> None:
    runs = {cli.queued("echo", "x") for _ in range(4)}
    workers = [cli.start("--json", "worker", "--once") for _ in range(2)]
    ended = [event["run_id"] for worker in workers for event in worker.wait().jsons if event["type"] == "run_completed"]
    assert sorted(ended) == sorted(runs)
