"""Deeds: what was done to the store beside its sessions, written in the transaction that does it."""

from __future__ import annotations

from typing import Any

from sessionry.domain.deed import Deed, DeedType
from sessionry.domain.queries import Page
from sessionry.domain.records import from_microseconds
from sessionry.domain.scope import Scope
from sessionry.ports import Now, Steps
from sessionry.store.log import OWNED, scope_values
from sessionry.store.operations.listing import next_cursor, place
from sessionry.store.transaction import reads

_ORDER = "deed"


def did(scope: Scope, type: DeedType, subject: str) -> Steps[None]:
    """A part of the transaction that does it."""
    now = yield Now()
    yield (
        "insert into sessionry_deed (at, tenant, owner, actor, origin, type, subject) values (?, ?, ?, ?, ?, ?, ?)",
        (now, scope.tenant, scope.user, *scope.signature, type.value, subject),
    )


@reads
def of_scope(scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Steps[Page[Deed]]:
    """The deeds of the scope, the newest first. Raises `invalid_cursor`."""
    conditions, values = [OWNED], list[Any](scope_values(scope))
    if cursor is not None:
        conditions.append("key < ?")
        values.append(place(cursor, _ORDER)[-1])
    found = yield (
        f"select at, type, subject, actor, origin, at, key from sessionry_deed where {' and '.join(conditions)}"
        " order by key desc limit ?",
        (*values, limit + 1),
    )
    deeds = [
        Deed(at=from_microseconds(at), type=DeedType(type), subject=subject, actor=actor, origin=origin)
        for at, type, subject, actor, origin, *_ in found[:limit]
    ]
    return Page(deeds, next_cursor(found, limit, _ORDER))
