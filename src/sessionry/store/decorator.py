"""A store in front of another one. Whoever changes what it is asked, or when, needs to write only that down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sessionry.ports import Appending, Operation, Store, Wake

T = TypeVar("T")


class StoreDecorator:
    """Hands everything on to `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def shared_machine(self) -> bool:
        return self._store.shared_machine

    async def execute(self, operation: Operation[T]) -> T:
        return await self._store.execute(operation)

    async def append(self, appending: Appending) -> list[int]:
        return await self._store.append(appending)

    async def change_token(self) -> int:
        return await self._store.change_token()

    def on_commit(self, listener: Callable[[Sequence[str], Sequence[Wake]], None]) -> None:
        self._store.on_commit(listener)

    async def close(self) -> None:
        await self._store.close()
