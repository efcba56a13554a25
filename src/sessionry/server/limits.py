"""How many requests a token may make: a bucket for each, told with the RateLimit fields of every answer.

The fields are those of the IETF draft "RateLimit header fields for HTTP": `RateLimit-Policy` says what holds, `RateLimit`
what is left (`r`) and in how many seconds all of it will be there again (`t`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from sessionry.domain.errors import Exhausted

#: Seconds that a bucket takes to fill.
WINDOW = 60
#: Buckets that are full are forgotten when there are more than so many.
_MOST = 10_000


class Left(NamedTuple):
    """What is left of a bucket, and the seconds until it is full."""

    quota: int
    requests: int
    full_in: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"ratelimit-policy", b'"token";q=%d;w=%d' % (self.quota, WINDOW)),
            (b"ratelimit", b'"token";r=%d;t=%d' % (self.requests, self.full_in)),
        ]


class Limits:
    """`quota` requests a minute for each token; None: as many as it likes."""

    def __init__(self, quota: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota
        self._clock = clock
        #: token -> what was left, and when
        self._buckets: dict[str, tuple[float, float]] = {}

    def left(self, token_id: str) -> Left | None:
        """What is left to that token."""
        if self._quota is None:
            return None
        return self._left(self._level(token_id, self._clock()), self._quota / WINDOW)

    def take(self, token_id: str) -> Left | None:
        """One request of that token; what is left. Raises `too_many_requests`."""
        if self._quota is None:
            return None
        now, rate = self._clock(), self._quota / WINDOW
        level = self._level(token_id, now)
        if len(self._buckets) >= _MOST:
            self._forget(now, rate)
        if level < 1:
            self._buckets[token_id] = (level, now)
            raise Exhausted(
                "too_many_requests",
                f"the token may make {self._quota} requests in {WINDOW} seconds",
                details={"retry_after": max((1 - level) / rate, 0.001)},
            )
        self._buckets[token_id] = (level - 1, now)
        return self._left(level - 1, rate)

    def _level(self, token_id: str, now: float) -> float:
        quota = float(self._quota or 0)
        level, at = self._buckets.get(token_id, (quota, now))
        return min(level + (now - at) * quota / WINDOW, quota)

    def _left(self, level: float, rate: float) -> Left:
        assert self._quota is not None
        return Left(self._quota, int(level), math.ceil((self._quota - level) / rate))

    def _forget(self, now: float, rate: float) -> None:
        full = float(self._quota or 0)
        self._buckets = {
            id: (level, at) for id, (level, at) in self._buckets.items() if level + (now - at) * rate < full
        }
