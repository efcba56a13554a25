"""What the tests of the frameworks' agents share with those of the real ones."""

from __future__ import annotations

from tests.agents.real.conftest import OpenSessions, golden, sessions

__all__ = ["OpenSessions", "golden", "sessions"]
