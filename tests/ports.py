"""Ports for servers that go, and come back at the same address."""

from __future__ import annotations

import random
import socket


def lasting_port() -> int:
    """A port that nobody is given by chance while its server is gone: it lies below those that the kernel hands out.

    Not even to who asks for it: one who connects to a handed out port again and again is at last given it for himself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
