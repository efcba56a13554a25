"""What of an agent is found on this machine. Cheap: nothing but this module is imported for it, and no network is used."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """An agent that is there, as far as looking at it can tell."""

    #: the program that would be started; None for an agent that needs none
    program: str | None
    #: as the program or its package says it; None: not known
    version: str | None
    #: whether it could reach its model as it stands; None: it does not tell
    logged_in: bool | None
    #: how it was found, in a few words: `on PATH`, `in the package claude-agent-sdk`
    how: str
