"""A database server and workers for each test that breaks them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.fleet import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="ses-") as name:  # short enough for a socket
        server = Server(Path(name) / "pg")
        try:
            yield server
        finally:
            server.close()
