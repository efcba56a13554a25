"""Which run this is, and in whose scope."""

from __future__ import annotations

from typing import NamedTuple

from sessionry.domain.scope import Scope


class Identity(NamedTuple):
    scope: Scope
    session_id: str
    run_id: str
