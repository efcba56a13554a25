"""Is everything in the store as it must be? Asked over the operations, so that every store can answer.

What is asked is written once, as generators that yield operations and are sent their answers. `check` and `repair` run them
on an open store; `checking` and `repairing` on whatever runs an operation there and then, as a SQLite connection does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.ports import Operation, Store
from sessionry.store.operations import integrity, recovery
from sessionry.store.operations.integrity import Problem

T = TypeVar("T")

Inquiry: TypeAlias = Generator[Operation[Any], Any, T]
Ask: TypeAlias = Callable[[Operation[Any]], Any]

_PAGE = 500


async def check(store: Store, *, sample: int | None = None) -> list[Problem]:
    """Every problem that is found. `sample`: look only at so many sessions, those that changed last; None: at all."""
    return await _run(store, _check(sample, sqlite=not store.url.startswith("postgres")))


async def repair(store: Store, *, sample: int | None = None) -> tuple[list[Problem], list[Problem]]:
    """Put right what can be put right without losing anything: what was, and what is left."""
    return await _run(store, _repair(sample, sqlite=not store.url.startswith("postgres")))


def checking(ask: Ask, *, sample: int | None = None, sqlite: bool = True) -> list[Problem]:
    """`check`, without an event loop."""
    return _run_now(ask, _check(sample, sqlite=sqlite))


def repairing(ask: Ask, *, sample: int | None = None, sqlite: bool = True) -> tuple[list[Problem], list[Problem]]:
    """`repair`, without an event loop."""
    return _run_now(ask, _repair(sample, sqlite=sqlite))


async def _run(store: Store, inquiry: Inquiry[T]) -> T:
    try:
        operation = next(inquiry)
        while True:
            try:
                answer = await store.execute(operation)
            except SessionryError as error:
                operation = inquiry.throw(error)
            else:
                operation = inquiry.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _run_now(ask: Ask, inquiry: Inquiry[T]) -> T:
    try:
        operation = next(inquiry)
        while True:
            try:
                answer = ask(operation)
            except SessionryError as error:
                operation = inquiry.throw(error)
            else:
                operation = inquiry.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _check(sample: int | None, *, sqlite: bool) -> Inquiry[list[Problem]]:
    problems = []
    if sqlite:
        problems += yield from _asked(integrity.damaged_pages())
    problems += yield from _asked(integrity.broken_references())
    problems += yield from _asked(integrity.without_worker())
    problems += yield from _lost_heads()
    for key in (yield from _keys(sample)):
        problems += yield from _asked(integrity.examine(key))
    return problems


def _repair(sample: int | None, *, sqlite: bool) -> Inquiry[tuple[list[Problem], list[Problem]]]:
    before = yield from _check(sample, sqlite=sqlite)
    if any(problem.repairable for problem in before):
        for key in (yield from _keys(sample)):
            found = yield from _asked(integrity.examine(key))
            if any(problem.repairable for problem in found):
                yield integrity.repair(key)
        for key in (yield recovery.lost_heads()):
            yield recovery.promote_again(key)
    left = yield from _check(sample, sqlite=sqlite)
    return [problem for problem in before if problem not in left], left


def _asked(operation: Operation[list[Problem]]) -> Inquiry[list[Problem]]:
    """What was found, or that it could not be looked for."""
    try:
        found: list[Problem] = yield operation
    except StoreFailed as error:
        return [Problem(kind="damaged_file", message=error.message)]
    return found


def _lost_heads() -> Inquiry[list[Problem]]:
    try:
        keys = yield recovery.lost_heads()
    except StoreFailed as error:
        return [Problem(kind="damaged_file", message=error.message)]
    return (yield from _asked(integrity.without_head(keys))) if keys else []


def _keys(sample: int | None) -> Inquiry[list[int]]:
    if sample is not None:
        newest: list[int] = yield integrity.newest_session_keys(sample)
        return newest
    keys: list[int] = []
    while page := (yield integrity.session_keys(keys[-1] if keys else 0, _PAGE)):
        keys += page
    return keys
