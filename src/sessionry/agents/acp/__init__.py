"""Any agent that speaks the Agent Client Protocol, version 1 (https://agentclientprotocol.com): extra `acp`.

    [gemini]
    type = "acp"
    preset = "gemini"

    [mine]
    type = "acp"
    command = "my-agent"
    arguments = ["--acp"]

Nothing of the package `agent-client-protocol` is imported before a run begins.
"""

from sessionry.agents.acp.agent import AcpAgent
from sessionry.agents.acp.found import found
from sessionry.agents.acp.presets import PRESETS, Preset

__all__ = ["PRESETS", "AcpAgent", "Preset", "found"]
