"""Transactions on tokens. Finding one by its hash is what gives a request its scope; everything else is in a scope."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sessionry.domain import ids
from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.deed import DeedType
from sessionry.domain.errors import NotFound
from sessionry.domain.records import from_microseconds, to_microseconds
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission, Token
from sessionry.ports import Now, Steps
from sessionry.store.log import OWNED, scope_values
from sessionry.store.operations.deeds import did
from sessionry.store.transaction import reads, writes

_COLUMNS = "id, name, tenant, owner, scopes, created_at, expires_at, revoked_at"


@writes
def create(
    scope: Scope,
    name: str,
    permissions: list[Permission],
    hash: str,
    *,
    expires_at: datetime | None = None,
    by: Scope | None = None,
) -> Steps[Token]:
    """Keep a token of that scope by the hash of its secret; `by`: whoever makes it. Raises `validation_error`."""
    now = yield Now()
    token = Token(
        id=ids.new_id(ids.TOKEN),
        name=name,
        scope=scope,
        permissions=permissions,
        created_at=from_microseconds(now),
        expires_at=expires_at,
    )
    yield (
        "insert into sessionry_token (id, hash, name, tenant, owner, scopes, created_at, expires_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token.id,
            hash,
            name,
            scope.tenant,
            scope.user,
            encode_json(permissions),
            now,
            None if expires_at is None else to_microseconds(expires_at),
        ),
    )
    yield from did(by or scope, DeedType.TOKEN_CREATED, token.id)
    return token


@reads
def of_hash(hash: str) -> Steps[Token | None]:
    """The token whose secret has that hash, if it is good now."""
    now = yield Now()
    found = yield f"select {_COLUMNS} from sessionry_token where hash = ?", (hash,)
    token = _token(found[0]) if found else None
    return token if token is not None and token.good_at(from_microseconds(now)) else None


@reads
def of_scope(scope: Scope) -> Steps[list[Token]]:
    """The tokens that act in the scope, revoked ones included, oldest first."""
    found = yield (
        f"select {_COLUMNS} from sessionry_token where {OWNED} order by key",
        scope_values(scope),
    )
    return [_token(row) for row in found]


@writes
def revoke(scope: Scope, token_id: str) -> Steps[Token]:
    """From now on the token is worth nothing. Doing it again changes nothing. Raises `token_not_found`."""
    now = yield Now()
    found = yield (
        "update sessionry_token set revoked_at = coalesce(revoked_at, ?)"
        f" where id = ? and {OWNED} returning {_COLUMNS}",
        (now, token_id, *scope_values(scope)),
    )
    if not found:
        raise NotFound("token_not_found", f"there is no token {token_id}", details={"token_id": token_id})
    yield from did(scope, DeedType.TOKEN_REVOKED, token_id)
    return _token(found[0])


def _token(row: tuple[Any, ...]) -> Token:
    id, name, tenant, owner, scopes, created_at, expires_at, revoked_at = row
    return Token(
        id=id,
        name=name,
        scope=Scope(tenant, owner),
        permissions=[Permission(each) for each in decode_json(scopes)],
        created_at=from_microseconds(created_at),
        expires_at=None if expires_at is None else from_microseconds(expires_at),
        revoked_at=None if revoked_at is None else from_microseconds(revoked_at),
    )
