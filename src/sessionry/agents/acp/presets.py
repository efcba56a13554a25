"""Agents that are known to speak the protocol: how each is started, and what is odd about it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessionry.agents.process import PASSED_ON
from sessionry.ports import Capability

#: What every agent that speaks the protocol can do, as far as its model can.
COMMON = (
    Capability.STREAMING,
    Capability.REASONING,
    Capability.TOOLS,
    Capability.COMMANDS,
    Capability.FILES,
    Capability.APPROVALS,
    Capability.TURNS,
    Capability.RESUME,
    Capability.MCP,
    Capability.IMAGES,
)
#: What is assumed of an agent that no preset describes. What it lacks is told when a run asks for it.
ANY = (*COMMON, Capability.FORK, Capability.USAGE, Capability.COST)


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """One agent. `env` is what it is always given; `passed_on` are those of our variables that it may see.

    `install` is told when the program is missing. `model_flag` and `folder_flag` are options of its command line, for what
    it does not offer in the protocol. `session_totals`: the usage that it tells counts on over the turns of a process.
    `ends_with_stdin`: it saves its session and ends when its input is closed. `titles_are_names`: the first title of a tool
    call is the tool's name. `keeps_broken_words`: its session shows a message that was broken off, which its model
    is not shown.
    `keys` and `logins` are signs of a login: variables, and files below the home folder.
    """

    command: str
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    passed_on: tuple[str, ...] = ()
    capabilities: tuple[Capability, ...] = ANY
    install: str | None = None
    provider: str | None = None
    model_flag: str | None = None
    folder_flag: str | None = None
    client_files: bool = False
    session_totals: bool = False
    ends_with_stdin: bool = True
    titles_are_names: bool = False
    keeps_broken_words: bool = False
    keys: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()

    @property
    def env_allow(self) -> tuple[str, ...]:
        return (*PASSED_ON, *self.passed_on)


#: In addition to what is common to all programs.
_NODE = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")

PRESETS: Mapping[str, Preset] = {
    "claude-agent-acp": Preset(
        command="claude-agent-acp",
        passed_on=(*_NODE, "ANTHROPIC_*", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_EXECUTABLE", "CLAUDE_CODE_OAUTH_TOKEN"),
        capabilities=(*COMMON, Capability.FORK, Capability.USAGE, Capability.COST, Capability.STEER),
        install="npm install -g @agentclientprotocol/claude-agent-acp",
        provider="anthropic",
        keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        logins=(".claude/.credentials.json",),
    ),
    "codex-acp": Preset(
        command="codex-acp",
        # its own default lets a model judge what needs a question
        env={"INITIAL_AGENT_MODE": "read-only"},
        passed_on=(*_NODE, "OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_*"),
        capabilities=(*COMMON, Capability.FORK, Capability.USAGE, Capability.STEER),
        install="npm install -g @agentclientprotocol/codex-acp",
        provider="openai",
        ends_with_stdin=False,
        keys=("OPENAI_API_KEY", "CODEX_API_KEY"),
        logins=(".codex/auth.json",),
    ),
    "gemini": Preset(
        command="gemini",
        arguments=("--acp",),
        # else the program is a mere parent of the real one, and deaf to signals
        env={"GEMINI_CLI_NO_RELAUNCH": "true"},
        passed_on=(*_NODE, "GEMINI_*", "GOOGLE_*"),
        capabilities=(*COMMON, Capability.USAGE),
        install="npm install -g @google/gemini-cli",
        provider="google",
        model_flag="-m",
        folder_flag="--include-directories",
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        logins=(".gemini/oauth_creds.json",),
    ),
    "opencode": Preset(
        command="opencode",
        arguments=("acp",),
        # its own default is never to ask
        env={
            "OPENCODE_CONFIG_CONTENT": '{"permission":{"bash":"ask","edit":"ask","webfetch":"ask"}}',
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
        },
        passed_on=(*_NODE, "OPENCODE_*", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"),
        capabilities=(*COMMON, Capability.FORK, Capability.USAGE, Capability.COST),
        install="npm install -g opencode-ai",
        titles_are_names=True,
        keeps_broken_words=True,
        keys=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"),
        logins=(".local/share/opencode/auth.json",),
    ),
    "qwen": Preset(
        command="qwen",
        arguments=("--acp",),
        passed_on=(*_NODE, "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DASHSCOPE_API_KEY", "QWEN_*"),
        capabilities=(*COMMON, Capability.USAGE),
        install="npm install -g @qwen-code/qwen-code",
        model_flag="-m",
        folder_flag="--include-directories",
        keys=("OPENAI_API_KEY", "DASHSCOPE_API_KEY"),
        logins=(".qwen/oauth_creds.json",),
    ),
    "copilot": Preset(
        command="copilot",
        arguments=("--acp",),
        env={"COPILOT_AUTO_UPDATE": "false"},
        passed_on=(*_NODE, "COPILOT_*", "GH_TOKEN", "GITHUB_TOKEN"),
        capabilities=(*COMMON, Capability.USAGE),
        install="npm install -g @github/copilot",
        model_flag="--model",
        folder_flag="--add-dir",
        session_totals=True,
        keys=("COPILOT_PROVIDER_API_KEY", "COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"),
        logins=(".copilot/config.json",),
    ),
    "goose": Preset(
        command="goose",
        arguments=("acp",),
        passed_on=("GOOSE_*", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY"),
        capabilities=COMMON,
        install="see the pages of goose; it is in no package registry",
        logins=(".config/goose/config.yaml",),
    ),
}
