"""The two state machines, as tables.

The fold, the property tests and the diagram in the documentation all read `SESSION_TRANSITIONS` and `RUN_TRANSITIONS`;
nothing else knows which status may follow which. A missing pair is refused and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sessionry.domain.errors import InvalidTransition


class SessionStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


_S, _R = SessionStatus, RunStatus

SESSION_TRANSITIONS: Mapping[SessionStatus, frozenset[SessionStatus]] = {
    _S.PENDING: frozenset({_S.ACTIVE, _S.CANCELLED, _S.FAILED}),
    _S.ACTIVE: frozenset({_S.PAUSED, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.ACTIVE, _S.FAILED, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}

RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    _R.PENDING: frozenset({_R.RUNNING, _R.CANCELLED, _R.TIMEOUT, _R.FAILED}),
    _R.RUNNING: frozenset({_R.WAITING, _R.PENDING, _R.COMPLETED, _R.FAILED, _R.CANCELLED, _R.TIMEOUT}),
    _R.WAITING: frozenset({_R.RUNNING, _R.PENDING, _R.FAILED, _R.CANCELLED, _R.TIMEOUT}),
    _R.COMPLETED: frozenset(),
    _R.FAILED: frozenset(),
    _R.CANCELLED: frozenset(),
    _R.TIMEOUT: frozenset(),
}

SESSION_ENDED = frozenset(status for status, ways in SESSION_TRANSITIONS.items() if not ways)
RUN_ENDED = frozenset(status for status, ways in RUN_TRANSITIONS.items() if not ways)
#: A live run holds a slot of its session.
RUN_LIVE = frozenset({_R.RUNNING, _R.WAITING})


def check_session_transition(old: SessionStatus, new: SessionStatus) -> None:
    """Raise `InvalidTransition` unless `old -> new` is in the table. Staying in a status is not a transition."""
    if new not in SESSION_TRANSITIONS[old]:
        raise InvalidTransition("session", old, new, sorted(SESSION_TRANSITIONS[old]))


def check_run_transition(old: RunStatus, new: RunStatus) -> None:
    """Raise `InvalidTransition` unless `old -> new` is in the table. Staying in a status is not a transition."""
    if new not in RUN_TRANSITIONS[old]:
        raise InvalidTransition("run", old, new, sorted(RUN_TRANSITIONS[old]))
