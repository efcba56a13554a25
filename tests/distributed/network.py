"""Two hosts on this machine, as network namespaces with a wire between them that can be cut.

The database listens on one, a worker runs on the other. It takes root and `ip` (Debian: iproute2).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest


class Network(NamedTuple):
    """Names of the two namespaces, and the address of the first one's end of the wire."""

    database: str
    worker: str
    address: str

    def inside(self, namespace: str) -> list[str]:
        """What a command has to be preceded by to run in there."""
        return ["ip", "netns", "exec", namespace]

    def cut(self) -> None:
        """Whatever is sent is lost, and nobody is told: the end of the database goes down."""
        _ip("-n", self.database, "link", "set", "wire", "down")

    def heal(self) -> None:
        _ip("-n", self.database, "link", "set", "wire", "up")


@contextmanager
def network() -> Iterator[Network]:
    """Two namespaces with a wire; the test is skipped, loudly, where that is not allowed."""
    if shutil.which("ip") is None:
        pytest.skip("a partition is not tested: `ip` is missing; install iproute2")
    here = Network(f"ses-db-{os.getpid()}", f"ses-wk-{os.getpid()}", "10.203.77.1")
    with ExitStack() as stack:
        for name in (here.database, here.worker):
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"a partition is not tested: no network namespaces here: {made.stderr.strip()}")
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", here.database, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", here.worker)
        for name, last in ((here.database, 1), (here.worker, 2)):
            _ip("-n", name, "addr", "add", f"10.203.77.{last}/30", "dev", "wire")
            _ip("-n", name, "link", "set", "wire", "up")
        yield here


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
