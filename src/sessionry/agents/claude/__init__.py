"""Claude Code: the real program, spoken to over its control protocol."""

from sessionry.agents.claude.agent import ClaudeAgent

__all__ = ["ClaudeAgent"]
