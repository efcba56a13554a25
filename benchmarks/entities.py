"""What does an entity cost: made, changed, to a dictionary and back? Against pydantic."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic import __version__ as pydantic_version

from benchmarks.answers import Answer, Bars, told
from benchmarks.harness import Effort, Side, Spread, interleaved
from sessionry.domain.session import Session

_READING = (
    "A session is made, gets another status, becomes a dictionary of JSON values and comes back from it, checked."
    " The other side is a frozen pydantic model of the same fields, with the same id and clock. Sessionry's"
    " `update_status` also asks its table whether that change is allowed."
)
_NOTE = (
    "pydantic is faster at all but `to_dict`: its checks are compiled. Sessionry's decoder is too, but what a"
    " session promises beyond types is checked in Python, in `__post_init__`, each time one is made: free fields are"
    " copied down to the last value, so that nobody can change them afterwards, texts are not empty, times are in"
    " UTC. pydantic keeps the caller's dictionaries, and its `model_copy` checks nothing. Beside the commit that a"
    " change waits for, these microseconds are not seen."
)


class Status(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Model(BaseModel):
    """The fields of a session."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=lambda: f"ses_{uuid.uuid4().hex}")
    agent_id: str = Field(min_length=1)
    status: Status = Status.PENDING
    parent_session_id: str | None = None
    title: str | None = None
    cwd: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    slots: int = 1
    queue_limit: int = 100
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    deleted_at: datetime | None = None
    version: int = 1


def measure(effort: Effort) -> Answer:
    times = {name: _compared(works, effort) for name, works in _works().items()}
    figures = [
        told(
            f"`{name}`: times as fast as pydantic",
            f"{found['ours']} us against {found['pydantic']} us",
            found["pydantic"].median / found["ours"].median,
        )
        for name, found in times.items()
    ]
    bars = [
        (f"{'Sessionry' if side == 'ours' else 'pydantic'}, {name}", found[side].median)
        for name, found in times.items()
        for side in ("ours", "pydantic")
    ]
    picture = Bars("entities", "One operation on a session", "microseconds; less is better", bars)
    return Answer("Entities", _READING, figures, [picture], [_NOTE, f"Versions: pydantic {pydantic_version}."])


def _works() -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
    words: dict[str, Any] = {"agent_id": "claude", "title": "Fix auth", "tags": ["pr-42"], "metadata": {"n": 1}}
    session, model = Session.new(**words), Model(**words)
    ours, theirs = session.to_dict(), model.model_dump(mode="json")
    changed: dict[str, Any] = {"status": Status.ACTIVE, "version": 2}

    def update() -> object:
        return model.model_copy(update=changed | {"updated_at": datetime.now(UTC)})

    return {
        "Session.new": (lambda: Session.new(**words), lambda: Model(**words)),
        "update_status": (lambda: session.update_status("active"), update),
        "to_dict": (session.to_dict, lambda: model.model_dump(mode="json")),
        "from_dict": (lambda: Session.from_dict(ours), lambda: Model.model_validate(theirs)),
    }


def _compared(works: tuple[Callable[[], object], Callable[[], object]], effort: Effort) -> dict[str, Spread]:
    """Microseconds of each."""
    times = effort.of(20_000, 2_000)

    def side(name: str, work: Callable[[], object]) -> Side:
        def repeated() -> float:
            begun = time.thread_time()
            for _ in range(times):
                work()
            return (time.thread_time() - begun) / times * 1e6

        return Side(name, repeated)

    return interleaved([side("ours", works[0]), side("pydantic", works[1])], effort.of(7, 3))
