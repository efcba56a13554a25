"""The simulation behind docs/scaling.md runs, and what it says of a small store is true of a large one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
