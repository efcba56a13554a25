"""The program for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .program import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    program = Cli(tmp_path)
    yield program
    program.close()
