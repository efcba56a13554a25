"""Secrets that belong to the store itself, and that all its servers share."""

from __future__ import annotations

import secrets

from sessionry.ports import Steps
from sessionry.store.transaction import writes


@writes
def secret(name: str) -> Steps[bytes]:
    """The store's secret of that name, 32 random bytes; it is drawn when it is first asked for."""
    row = f"secret_{name}"
    yield (
        "insert into sessionry_setting (name, value) values (?, ?) on conflict (name) do nothing",
        (row, secrets.token_hex(32)),
    )
    found = yield "select value from sessionry_setting where name = ?", (row,)
    return bytes.fromhex(found[0][0])
