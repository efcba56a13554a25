"""`sessionry worker`: takes what waits, and leaves in order."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from contextlib import closing
from typing import Any

import httpx
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


def test_a_grace_gives_back_what_does_not_end_in_it(cli: Cli) -> None:
    cli.script("slow", {"say": "x"}, {"sleep": 100})
    cli.script("short", {"say": "x"}, {"sleep": 0.5}, {"exit": "done"})
    slow, short = cli.queued("slow", "x"), cli.queued("short", "x")
    worker = cli.start("worker", "--grace", "5")
    works_on(worker, slow)
    works_on(worker, short)
    worker.signal(signal.SIGTERM)
    done = worker.wait()
    assert done.code == 0
    assert "gives back what has not ended in 5 s: 1 runs" in done.err
    assert (status(cli, slow), status(cli, short)) == ("pending", "completed")
    assert cli.ok("--json", "workers").out == ""


def test_a_grace_leaves_a_question_to_wait_without_a_worker(cli: Cli) -> None:
    cli.script("asks", {"approve": {"tool": "deploy"}}, {"exit": "done"})
    run = cli.queued("asks", "x")
    worker = cli.start("worker", "--grace", "0.1")
    approval = json.loads(cli.until(lambda: cli.ok("--json", "approvals").out))
    worker.signal(signal.SIGTERM)
    assert worker.wait().code == 0
    assert status(cli, run) == "waiting"
    cli.ok("approve", approval["id"])
    cli.ok("worker", "--once")
    assert status(cli, run) == "completed"


# --- from afar --------------------------------------------------------------------------------------------------------


def the_worker(cli: Cli) -> dict[str, Any]:
    """What is told of the one worker, as soon as it is there."""
    found: dict[str, Any] = json.loads(cli.until(lambda: cli.ok("--json", "workers").out))
    return found


def test_the_list_tells_leases_and_load(cli: Cli) -> None:
    cli.script("slow", {"say": "x"}, {"sleep": 100})
    run = cli.queued("slow", "x")
    worker = cli.start("worker", "--slots", "3", env={"SESSIONRY_LEASE": "3000"})
    works_on(worker, run)
    titles, row = cli.ok("workers").lines
    assert titles.split() == ["WORKER", "STATUS", "HOST", "PID", "RUNS", "LEASE", "STARTED", "QUEUES", "AGENTS"]
    assert row.split()[:2] == [the_worker(cli)["id"], "active"]
    assert " 1/3 " in row
    assert re.search(r" (49|50) min( \d+ s)? left ", row)
    worker.signal(signal.SIGTERM)
    cli.until(lambda: " draining " in cli.ok("workers").out)


def asked(cli: Cli) -> str:
    """The question that the agent at work waits with; its id."""
    found: str = json.loads(cli.until(lambda: cli.ok("--json", "approvals").out))["id"]
    return found


def test_a_worker_that_is_told_to_drain_leaves_when_its_work_is_done(cli: Cli) -> None:
    cli.script("asks", {"approve": {"tool": "deploy"}}, {"exit": "done"})
    run = cli.queued("asks", "x")
    worker = cli.start("worker", env={"SESSIONRY_HEARTBEAT": "0.2"})
    question, id = asked(cli), the_worker(cli)["id"]
    drained = cli.ok("--json", "workers", "drain", id[:-1]).json
    assert drained == {"id": id, "draining": True, "runs": 1}
    assert worker.process.stderr is not None
    while "was told to drain" not in worker.process.stderr.readline():
        pass
    late = cli.queued("echo", "x")
    assert worker.process.poll() is None
    cli.ok("approve", question)
    assert worker.wait().code == 0
    assert (status(cli, run), status(cli, late)) == ("completed", "pending")


def test_who_drains_a_worker_can_wait_until_it_is_gone(cli: Cli) -> None:
    worker = cli.start("worker", env={"SESSIONRY_HEARTBEAT": "0.2"})
    id = the_worker(cli)["id"]
    cli.ok("workers", "drain", id, "--wait")
    assert cli.ok("--json", "workers").out == ""
    assert worker.wait().code == 0


def test_a_signal_still_counts_as_the_first_after_that(cli: Cli) -> None:
    """An orchestrator that drains and then sends SIGTERM does not mean to have the work thrown down."""
    cli.script("asks", {"approve": {"tool": "deploy"}}, {"exit": "done"})
    run = cli.queued("asks", "x")
    worker = cli.start("worker", env={"SESSIONRY_HEARTBEAT": "0.2"})
    question = asked(cli)
    cli.ok("workers", "drain", the_worker(cli)["id"])
    assert worker.process.stderr is not None
    for told in ("was told to drain", "takes no more runs; once more"):
        while told not in worker.process.stderr.readline():
            pass
        if told == "was told to drain":
            worker.signal(signal.SIGTERM)
    cli.ok("approve", question)
    assert worker.wait().code == 0
    assert status(cli, run) == "completed"


def test_a_worker_that_is_not_there_cannot_be_drained(cli: Cli) -> None:
    done = cli("--json", "workers", "drain", "wrk_nope")
    assert (done.code, done.error["code"]) == (5, "worker_not_found")
    assert cli("workers", "drain").code == 2
    assert cli("workers", "list", "wrk_x").code == 2


# --- how it is --------------------------------------------------------------------------------------------------------


def health(worker: Started) -> str:
    """The address at which it tells how it is."""
    assert worker.process.stderr is not None
    while not (found := re.search(r"http://\S+(?=/readyz)", worker.process.stderr.readline())):
        pass
    return found[0]


def ask(url: str) -> tuple[int, str]:
    answer = httpx.get(url, trust_env=False, timeout=30)
    return answer.status_code, answer.text


def test_a_worker_tells_how_it_is(cli: Cli) -> None:
    cli.script("slow", {"say": "x"}, {"sleep": 100})
    run = cli.queued("slow", "x")
    worker = cli.start("worker", "--slots", "3", "--health", "127.0.0.1:0")
    base = health(worker)
    works_on(worker, run)
    id = the_worker(cli)["id"]
    assert ask(f"{base}/healthz") == (200, f'{{"status":"ok","worker":"{id}"}}')
    assert ask(f"{base}/readyz") == (200, f'{{"status":"ok","worker":"{id}"}}')
    # its claim is seen in the store before its answer is back
    metrics = cli.until(lambda: " 1\n" in (text := ask(f"{base}/metrics")[1]).partition("_worker_runs{")[2] and text)
    for name, value in {"slots": 3, "runs": 1, "attempts_total": 1, "draining": 0}.items():
        assert f'sessionry_worker_{name}{{worker="{id}"}} {value}\n' in metrics
    assert ask(f"{base}/")[0] == 404
    refused = httpx.post(f"{base}/healthz", trust_env=False)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    worker.signal(signal.SIGTERM)
    cli.until(lambda: ask(f"{base}/readyz") == (503, f'{{"status":"draining","worker":"{id}"}}'))
    assert ask(f"{base}/healthz")[0] == 200


def test_a_worker_that_cannot_renew_its_lease_is_alive_and_not_ready(cli: Cli) -> None:
    env = {"SESSIONRY_LEASE": "1.5", "SESSIONRY_HEARTBEAT": "0.3"}
    worker = cli.start("worker", "--health", "127.0.0.1:0", env=env)
    base = health(worker)
    cli.until(lambda: ask(f"{base}/readyz")[0] == 200)
    with closing(sqlite3.connect(cli.store, isolation_level=None)) as somebody:
        somebody.execute("begin immediate")
        told = cli.until(lambda: (answer := ask(f"{base}/readyz"))[0] == 503 and answer[1])
        assert "the lease was not renewed" in told
        assert ask(f"{base}/healthz")[0] == 200
    cli.until(lambda: ask(f"{base}/readyz")[0] == 200)


def test_an_address_that_is_taken_is_told_so(cli: Cli) -> None:
    first = cli.start("worker", "--health", "0")
    port = health(first).rpartition(":")[2]
    second = cli("--json", "worker", "--health", port)
    assert (second.code, second.error["code"]) == (2, "invalid_configuration")
    assert cli("worker", "--health", "somewhere").code == 2


def test_two_workers_share_the_work_and_do_nothing_twice(cli: Cli) -> None:
    runs = {cli.queued("echo", "x") for _ in range(4)}
    workers = [cli.start("--json", "worker", "--once") for _ in range(2)]
    ended = [event["run_id"] for worker in workers for event in worker.wait().jsons if event["type"] == "run_completed"]
    assert sorted(ended) == sorted(runs)


# --- whose runs -------------------------------------------------------------------------------------------------------


def test_a_run_that_is_sent_to_a_named_queue_is_for_the_workers_that_serve_it(cli: Cli) -> None:
    session = cli.echo("hello")
    named = cli.ok("send", session, "x", "--queue", "gpu").out.strip()
    anywhere = cli.queued("echo", "x")
    cli.ok("worker", "--once")
    assert (status(cli, named), status(cli, anywhere)) == ("pending", "completed")
    cli.ok("worker", "--once", "--queue", "eu", "--queue", "gpu")
    assert status(cli, named) == "completed"


def test_a_worker_takes_runs_of_the_agents_that_it_is_told(cli: Cli) -> None:
    cli.script("other", {"exit": "done"})
    runs = [cli.queued(agent, ["true"] if agent == "shell" else "x") for agent in ("echo", "other", "shell")]
    cli.ok("worker", "--once", "--agents", "other, shell")
    assert [status(cli, run) for run in runs] == ["pending", "completed", "completed"]


def test_the_workers_show_what_they_take(cli: Cli) -> None:
    worker = cli.start("worker", "--agents", "echo", "--queue", "gpu", "--queue", "eu", "--queue", "gpu")
    shown = cli.until(lambda: cli.ok("--json", "workers").jsons)[0]
    assert (shown["agents"], shown["queues"]) == (["echo"], ["gpu", "eu"])
    worker.signal(signal.SIGTERM)
    assert "takes echo in gpu, eu" in worker.wait().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--agents", "nobody"], 5, "there is no agent 'nobody'"),
        (["--agents", "echo,,shell"], 2, "must be names with commas between them"),
        (["--queue", "two words"], 2, "queue must be a name of up to 64 letters"),
        (["--queue", ""], 2, "queue must be a name of up to 64 letters"),
    ],
)
def test_a_worker_that_would_never_have_anything_to_do_is_refused(
    cli: Cli, words: list[str], code: int, said: str
) -> None:
    refused = cli("worker", "--once", *words)
    assert refused.code == code
    assert said in refused.err


def test_who_sends_a_run_where_nobody_is_is_told(cli: Cli) -> None:
    session = cli.echo("hello")
    sent = cli.ok("send", session, "x", "--queue", "gpu")
    assert "nobody with echo serves the queue 'gpu' yet: `sessionry worker --queue gpu` does" in sent.err
    detached = cli.ok("run", "-a", "echo", "--detach", "--queue", "gpu", "x")
    assert "goes on where the queue 'gpu' is served" in detached.err
    assert "`sessionry worker --queue gpu` does" in detached.err
    assert cli.ok("--json", "workers").out == ""
    assert "2 runs for echo wait in gpu, and nobody takes them" in cli("doctor").out
    cli.ok("worker", "--once", "--queue", "gpu")
    assert status(cli, detached.out.strip()) == "completed"


def test_whoever_waits_for_a_run_in_a_named_queue_sees_it_worked_on_elsewhere(cli: Cli) -> None:
    waiting = cli.start("run", "-a", "shell", "--queue", "gpu", "--", "pwd")
    assert waiting.process.stderr is not None
    while "nobody with shell serves the queue 'gpu' yet" not in waiting.process.stderr.readline():
        pass
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    cli.cwd = elsewhere
    cli.ok("worker", "--once", "--queue", "gpu")
    done = waiting.wait()
    assert done.code == 0
    assert done.out.strip() == str(elsewhere)
