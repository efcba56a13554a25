"""Identifiers: a prefix and the 32 hexadecimal digits of a version 7 UUID (RFC 9562), so that they sort by birth."""

from __future__ import annotations

import os
import time

SESSION, RUN, EVENT, APPROVAL, WORKER, TOKEN = "ses_", "run_", "evt_", "apr_", "wrk_", "tok_"
WEBHOOK, NOTICE = "whk_", "ntc_"


def uuid7_bytes(milliseconds: int | None = None, random: bytes | None = None) -> bytes:
    """16 bytes: 48 bits of Unix time in milliseconds, the version, 74 random bits. Default: now, and of the system."""
    stamp = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    value = bytearray(stamp.to_bytes(6, "big") + (random or os.urandom(10)))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return bytes(value)


class Entropy:
    """Random bytes, drawn from the system in large pieces. Not for two threads at once."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def draw(self, count: int) -> bytes:
        if self._used + count > len(self._pool):
            self._pool, self._used = os.urandom(4096), 0
        self._used += count
        return self._pool[self._used - count : self._used]


def new_id(prefix: str) -> str:
    """A fresh identifier, e.g. `new_id("ses_")`."""
    return prefix + uuid7_bytes().hex()
