"""What an agent can go on with: its own session, and what was said without it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Transcript
from sessionry.domain.usage import Usage


class NativeSession(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's own session, as the runs that were linked to it tell of it.

    `items` is its length by the agent's own count when it was last linked: one that is shorter now has lost something.
    `usage` and `cost` are the sums over its runs, to be taken from totals that an agent counts on over runs. `run_id` is
    of the newest of these runs; that is the present run itself when an earlier attempt of it was linked.
    """

    id: str
    run_id: str
    model: str | None = None
    items: int | None = None
    usage: Usage = Usage()
    cost: Decimal | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation of a session before a run, as the run's agent finds it.

    `missed` is what `native` has not heard: everything where there is none. The run's own input is not in it.
    `previous_agents` are the others that worked on the session before.
    """

    mode: Continuation = Continuation.AUTO
    native: NativeSession | None = None
    missed: Transcript = Transcript()
    previous_agents: list[str] = []
