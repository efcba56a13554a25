"""What is under way with an idempotency key: who sends the same key meanwhile is told at once, and comes again.

The key itself, and what came of it, are in the store, where they are good for every process. This only spares a server
from queueing the retries of an impatient client behind the request that they repeat.
"""

from __future__ import annotations

from typing import TypeVar

from sessionry.domain.errors import Conflict
from sessionry.ports import Operation, Store
from sessionry.store.decorator import StoreDecorator

T = TypeVar("T")


class OneAtATime(StoreDecorator):
    """The store of one scope, which does one operation at a time with each idempotency key.

    Raises `idempotency_in_flight` for the others.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._keys: set[str] = set()

    async def execute(self, operation: Operation[T]) -> T:
        key = operation.keywords.get("idempotency_key")
        if key is None:
            return await super().execute(operation)
        if key in self._keys:
            raise Conflict(
                "idempotency_in_flight",
                f"a request with the idempotency key {key!r} is under way; send this one again in a moment",
                details={"idempotency_key": key, "retry_after": 1},
            )
        self._keys.add(key)
        try:
            return await super().execute(operation)
        finally:
            self._keys.discard(key)
