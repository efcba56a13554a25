"""Two servers on PostgreSQL stream 20 readers of each of 100 sessions, while a thousand events a second are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.cli.program import SESSIONRY
from tests.runtime.test_fanout import QUIET, ROOT, Process, started


@contextmanager
def served(store: str, home: Path) -> Iterator[tuple[str, str]]:
    """A server in a process of its own: its port and its token."""
    home.mkdir()
    words = [SESSIONRY, "--store", store, "--json", "serve", "--port", "0"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=env, cwd=home, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield str(urlsplit(told["url"]).port), told["token"]
        finally:
            process.kill()


@contextmanager
def reading(port: str, token: str, each: int, sessions: list[str]) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.server.sse_readers", port, token, str(each), *sessions]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_streams_of_two_servers_lose_and_double_nothing_at_a_thousand_events_a_second(
    postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    psutil.cpu_times_percent()
    with ExitStack() as stack:
        writer = stack.enter_context(started(postgres_url, "write", "8", "1000"))
        ids = writer.line()["sessions"]
        servers = [stack.enter_context(served(postgres_url, tmp_path / name)) for name in ("one", "two")]
        readers = [stack.enter_context(reading(*server, 10, ids)) for server in servers]
        for each in readers:
            assert each.line() == {"ready": 1000}
        writer.go()
        wrote = writer.line()
        told = [each.line() for each in readers]
    idle = psutil.cpu_times_percent().idle
    for found in told:
        for seqs in [seqs for streams in found["logs"].values() for seqs in streams]:
            assert seqs == list(range(1, len(seqs) + 1)), "in order, none left out, none twice"
        assert found["deliveries"] == 10 * wrote["written"]
    with capsys.disabled():
        print(f"\n  {wrote['per_second']} events/s, 100 sessions x 20 streams of two servers")
        for found in told:
            print(f"    p50 {found['p50'] * 1000:.0f} ms, p99 {found['p99'] * 1000:.0f} ms")
        judged = "" if idle >= QUIET else ": it is not judged"
        print(f"    the processors were idle for {idle:.0f} % of the time{judged}")
    if idle >= QUIET:
        assert wrote["per_second"] > 900
        assert max(found["p50"] for found in told) < 0.05
