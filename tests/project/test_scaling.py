"""The simulation behind docs/scaling.md runs, and what it says of a small store is true of a large one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import scaling

ROOT = Path(__file__).resolve().parents[2]


def test_the_arithmetic_of_the_page_is_right() -> None:
    """Events a second, bytes of each, seconds of an attempt: the page names them, and its table follows from them."""
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    a_second = int(re.findall(r"One active run writes (\d+) events a second on average", text)[0])
    of_bytes = int(re.findall(r"An event takes (\d+) bytes in PostgreSQL", text)[0])
    minutes = int(re.findall(r"attempts begun/s, at (\d+) minutes each", text)[0])
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d.]+ .B) \| ([\d.]+ .B) \| ([\d.,]+) \|$", text, re.MULTILINE)
    assert len(rows) == 4
    for runs, events, each_second, each_day, begun in rows:
        active, grows = number(runs), number(runs) * a_second * of_bytes
        assert number(events) == active * a_second
        assert number(each_second) == pytest.approx(grows, rel=0.02)
        assert number(each_day) == pytest.approx(grows * 86_400, rel=0.02)
        assert number(begun) == pytest.approx(active / (minutes * 60), rel=0.12)


def number(text: str) -> float:
    digits, _, unit = text.replace(",", "").partition(" ")
    return float(digits) * {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]


def test_the_simulation_is_as_large_as_the_page_says() -> None:
    assert (scaling.WAITING, scaling.RUNNING, scaling.FEW) == (100_000, 20_000, 100)


@pytest.mark.slow
def test_a_long_queue_is_looked_at_as_fast_as_a_short_one_and_no_reader_misses_anything(postgres_server: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", "20000", "2000"],
        cwd=ROOT,
        env=os.environ | {"QUICK": "1", "SESSIONRY_TEST_POSTGRES": postgres_server},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    for what in ("a worker looks for 8 runs", "a worker fetches a job"):
        (ratio,) = re.findall(rf"{what} .*: ratio ([\d.]+)$", done.stdout, re.MULTILINE)
        assert float(ratio) < 5, done.stdout  # 200 times as many wait; the machine may be busy
    assert re.search(r"([\d,]+) of \1 deliveries, .*; out of order or missing: 0$", done.stdout, re.MULTILINE)
