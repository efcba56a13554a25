"""OpenAI's Codex as an agent."""

from sessionry.agents.codex.agent import CodexAgent
from sessionry.agents.codex.found import found

__all__ = ["CodexAgent", "found"]
