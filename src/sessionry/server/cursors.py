"""Cursors as callers see them: numbers and texts that say nothing of what others do.

Inside, the cursor of the log of all sessions is a position that counts the events of every tenant, and the cursor of a list
holds a key that counts everybody's rows. Whoever sees two of them knows how much happened in between. So over HTTP both are
put through a permutation, and a cipher, that only this store can undo, another one for each scope: a cursor of somebody
else means nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sessionry.domain.errors import InvalidInput
from sessionry.domain.events import Event
from sessionry.domain.scope import Scope
from sessionry.domain.webhook import Webhook

#: Positions lie below; what JavaScript can count to.
_BOUND = 1 << 53
_BITS, _LOW, _HIGH = 27, (1 << 27) - 1, (1 << 26) - 1
_STEPS, _BACK = (0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0)
_SEAL = 12


class Cursors:
    """Those of one scope."""

    def __init__(self, key: bytes, scope: Scope) -> None:
        whose = f"{scope.tenant}\0{scope.user or ''}\0{scope.user is None}".encode()
        self._key = hashlib.blake2b(whose, key=key, digest_size=32).digest()

    def shown(self, position: int) -> int:
        """A position as its reader sees it. 0 is the beginning for everybody."""
        return _shown(self, position) if position else 0

    def place(self, shown: int, path: str = "after") -> int:
        """The position that was shown as that. Raises `invalid_cursor` for what cannot be one."""
        if not 0 <= shown < _BOUND:
            raise InvalidInput(
                "invalid_cursor", f"{path} must be a cursor that was given here, not {shown}", details={"path": path}
            )
        return self._walk(shown, _BACK) if shown else 0

    def _walk(self, number: int, steps: Sequence[int]) -> int:
        """A permutation of the numbers below 2^53 (a Feistel network), made again when it leads to 0."""
        assert 0 < number < _BOUND, "a position that no cursor can show"
        number = self._permuted(number, steps)
        return number or self._permuted(number, steps)

    def _permuted(self, number: int, steps: Sequence[int]) -> int:
        high, low = number >> _BITS, number & _LOW
        for step in steps:
            if step % 2:
                low ^= self._mixed(step, high) & _LOW
            else:
                high ^= self._mixed(step, low) & _HIGH
        return high << _BITS | low

    def _mixed(self, step: int, half: int) -> int:
        digest = hashlib.blake2s(self._key + bytes((step,)) + half.to_bytes(4, "big"), digest_size=4).digest()
        return int.from_bytes(digest, "big")

    def sealed(self, cursor: str | None) -> str | None:
        """The cursor of a list as its reader sees it."""
        if cursor is None:
            return None
        plain = cursor.encode()
        seal = self._seal(plain)
        return base64.urlsafe_b64encode(seal + self._mask(seal, plain)).decode().rstrip("=")

    def opened(self, shown: str | None) -> str | None:
        """The cursor that was shown as that. Raises `invalid_cursor`."""
        if shown is None:
            return None
        try:
            text = base64.urlsafe_b64decode(shown + "=" * (-len(shown) % 4))
            seal, plain = text[:_SEAL], self._mask(text[:_SEAL], text[_SEAL:])
            if hmac.compare_digest(seal, self._seal(plain)):
                return plain.decode()
        except (binascii.Error, ValueError):
            pass
        raise InvalidInput("invalid_cursor", f"{shown!r} is no cursor; take it from the last page")

    def _seal(self, plain: bytes) -> bytes:
        return hashlib.blake2b(plain, key=self._key, person=b"seal", digest_size=_SEAL).digest()

    def _mask(self, seal: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_256(self._key + seal).digest(len(text))
        return bytes(one ^ other for one, other in zip(text, stream, strict=True))

    def event(self, event: Event) -> dict[str, Any]:
        """An event as its reader sees it."""
        shown = event.to_dict()
        shown["position"] = self.shown(event.position)
        return shown

    def webhook(self, webhook: Webhook) -> dict[str, Any]:
        """A webhook as its owner sees it."""
        shown = webhook.to_dict()
        shown["cursor"] = self.shown(webhook.cursor)
        return shown


@lru_cache(maxsize=1 << 14)
def _shown(cursors: Cursors, position: int) -> int:
    """Once for all who are shown it; the newest of all scopes together, of which there may be many."""
    return cursors._walk(position, _STEPS)
