"""Claude Code: the real program, spoken to over its control protocol. What finds it is loaded without what runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessionry.agents.claude.agent import ClaudeAgent

__all__ = ["ClaudeAgent"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sessionry.agents.claude.agent import ClaudeAgent

    return ClaudeAgent
