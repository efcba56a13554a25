"""Two processes serve 20 readers of each of 100 sessions, while a third one writes a thousand events a second."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
#: Percent of the time for which the processors of a quiet machine have nothing to do beside this test.
QUIET = 40


class Process:
    """A started role of `fanout.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        assert text, "the process ended early"
        found: dict[str, Any] = json.loads(text)
        return found

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()


@contextmanager
def started(url: str, *arguments: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.runtime.fanout", url, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_servers_lose_and_double_nothing_at_a_thousand_events_a_second(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    psutil.cpu_times_percent()
    with ExitStack() as stack:
        writer = stack.enter_context(started(url, "write", "8", "1000"))
        ids = writer.line()["sessions"]
        servers = [stack.enter_context(started(url, "serve", "10", *ids)) for _ in range(2)]
        for server in servers:
            assert server.line() == {"ready": 1000}
        writer.go()
        wrote = writer.line()
        told = [server.line() for server in servers]
    idle = psutil.cpu_times_percent().idle
    for each in told:
        for seqs in [seqs for readers in each["logs"].values() for seqs in readers]:
            assert seqs == list(range(1, len(seqs) + 1)), "in order, none left out, none twice"
        assert each["deliveries"] == 10 * wrote["written"]
    with capsys.disabled():
        print(
            f"\n  {url.partition(':')[0]}: {wrote['per_second']} events/s, 100 sessions x 20 readers in two processes"
        )
        for each in told:
            print(
                f"    p50 {each['p50'] * 1000:.0f} ms, p99 {each['p99'] * 1000:.0f} ms,"
                f" {each['queries']:.0f} queries/s, {each['cpu'] * 100:.0f} % of a core"
            )
        print(
            f"    the processors were idle for {idle:.0f} % of the time{'' if idle >= QUIET else ': it is not judged'}"
        )
    if idle >= QUIET:
        assert wrote["per_second"] > 900
        assert max(each["p50"] for each in told) < 0.05
