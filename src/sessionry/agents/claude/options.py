"""The options of a Claude Code agent, and what becomes of each: a word of the command line, a variable, a request.

Every option of `Options` is in one of `argv`, `environment` and `initialize`; there is no fourth place and none is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from sessionry.agents.claude.hooks import Hooks, unusable
from sessionry.agents.process import PASSED_ON, environment
from sessionry.agents.prompts import Prompt
from sessionry.domain import records
from sessionry.domain.codec import encode_json
from sessionry.domain.json_values import Json

Mode = Literal["default", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
Source = Literal["user", "project", "local"]

#: What a run may set. Nothing that would let it do what the agent's own options do not.
RUN_OPTIONS = (
    *("model", "fallback_model", "effort", "max_turns", "max_budget_usd", "permission_mode", "disallowed_tools"),
    *("append_system_prompt", "output_schema"),
)
#: Permission modes by how much they let through without asking.
_FREEDOM = {"plan": 0, "dontAsk": 0, "default": 1, "acceptEdits": 2, "auto": 3, "bypassPermissions": 4}

#: What is passed on of the worker's environment. Not CLAUDECODE and CLAUDE_CODE_ENTRYPOINT: they would make the program
#: believe that it was started by another Claude Code.
ENV_ALLOW = (
    *PASSED_ON,
    *("ANTHROPIC_*", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_*", "CLAUDE_CODE_SKIP_*_AUTH"),
    *("CLAUDE_CODE_DISABLE_*", "CLAUDE_CODE_MAX_*", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS", "API_TIMEOUT_MS", "DISABLE_*"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_*"),
    *("NODE_EXTRA_CA_CERTS", "MCP_TIMEOUT", "MCP_TOOL_TIMEOUT", "MAX_MCP_OUTPUT_TOKENS", "MAX_THINKING_TOKENS"),
    *("BASH_DEFAULT_TIMEOUT_MS", "BASH_MAX_TIMEOUT_MS", "BASH_MAX_OUTPUT_LENGTH", "IS_SANDBOX"),
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Checked options; see `ClaudeAgent` for what they mean."""

    model: str | None = None
    fallback_model: str | None = None
    effort: Effort | None = None
    thinking: Literal["adaptive", "disabled"] | int | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    permission_mode: Mode | None = None
    permissions: Literal["ask", "deny"] = "ask"
    tools: Sequence[str] | None = None
    allowed_tools: Sequence[str] = ()
    disallowed_tools: Sequence[str] = ()
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    setting_sources: Sequence[Source] | None = None
    settings: Mapping[str, Json] = {}
    add_dirs: Sequence[str] = ()
    mcp_servers: Mapping[str, Mapping[str, Json]] = {}
    strict_mcp_config: bool = False
    agents: Mapping[str, Mapping[str, Json]] = {}
    output_schema: Mapping[str, Json] | None = None
    env: Mapping[str, str] = {}
    env_allow: Sequence[str] = ENV_ALLOW
    api_timeout: float | None = None
    max_retries: int | None = None

    def for_run(self, prompt: Prompt) -> Options:
        """With the run's own options. Raises `validation_error` for one that is wrong or would widen what is allowed."""
        if not prompt.options:
            return self
        given = {name: _converted(name, value) for name, value in prompt.options.items()}
        for name in ("max_turns", "max_budget_usd"):
            bound = getattr(self, name)
            if bound is not None and given.get(name) is not None and given[name] > bound:
                raise records.invalid(f"input.{name}", f"may be at most {bound}, as the agent is configured")
        if _freedom(given.get("permission_mode")) > max(_freedom(self.permission_mode), 1):
            raise records.invalid("input.permission_mode", "would allow more than the agent is configured to")
        if "disallowed_tools" in given:
            given["disallowed_tools"] = [*self.disallowed_tools, *given["disallowed_tools"]]
        chosen = msgspec.structs.replace(self, **{name: value for name, value in given.items() if value is not None})
        problem = chosen.problem()
        if problem:
            raise records.invalid(f"input.{problem[0]}", problem[1])
        return chosen

    def check(self) -> None:
        """Raises `invalid_configuration` naming the option that cannot be honoured."""
        if problem := self.problem():
            raise unusable(*problem)

    def problem(self) -> tuple[str, str] | None:
        """The first option that cannot be honoured, and why."""
        for name, least in (("max_turns", 1), ("max_retries", 0), ("thinking", 1024)):
            value = getattr(self, name)
            if isinstance(value, int) and value < least:
                return name, f"must be at least {least}, not {value}"
        for name in ("max_budget_usd", "api_timeout"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e9:
                return name, f"must be a positive number, not {value}"
        for name in ("tools", "allowed_tools", "disallowed_tools", "add_dirs"):
            if any(not word.strip() or word.startswith("-") for word in getattr(self, name) or ()):
                return name, "has an entry that is empty or starts with a dash"
        if any("," in word for word in self.tools or ()):
            return "tools", "takes the names of tools, one an entry"
        for name, server in self.mcp_servers.items():
            if server.get("type") == "sdk":
                return "mcp_servers", f"cannot run {name!r} of type sdk inside the worker; give a command or a url"
            if not {"command", "url"} & set(server):
                return "mcp_servers", f"needs a command or a url for {name!r}"
        if "hooks" in self.settings:
            return "settings", "must not have hooks; use the option hooks"
        if self.output_schema is not None and not self.output_schema:
            return "output_schema", "must be a JSON Schema, not an empty object"
        return None

    def argv(
        self, program: str, hooks: Hooks, folder: Path, *, resume: str | None = None, fork: bool = False
    ) -> list[str]:
        """The command line. Values that could look like an option are bound with `=`; what may hold a secret goes into
        files of `folder`, for everybody on the machine sees the command lines of its programs.
        """
        words = [program, "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
        words += ["--include-partial-messages"]
        words += (
            ["--permission-prompt-tool", "stdio"] if self.permissions == "ask" else ["--permission-prompts", "none"]
        )
        words += self._model_words() + self._tool_words(folder) + self._prompt_words()
        if self.setting_sources is not None:
            words.append(f"--setting-sources={','.join(self.setting_sources)}")
        commands = hooks.settings()
        if self.settings or commands:
            settings = {**self.settings, **({"hooks": commands} if commands else {})}
            words.append(f"--settings={_written(folder / 'settings.json', settings)}")
        if hooks:
            words.append("--include-hook-events")
        if self.output_schema is not None:
            words.append(f"--json-schema={encode_json(dict(self.output_schema))}")
        if resume is not None:
            words.append(f"--resume={resume}")
        if fork:
            words.append("--fork-session")
        return words

    def _model_words(self) -> list[str]:
        words = []
        for name in ("model", "fallback_model", "effort", "permission_mode", "max_turns", "max_budget_usd"):
            value = getattr(self, name)
            if value is not None:
                words.append(f"--{name.replace('_', '-')}={value}")
        if isinstance(self.thinking, int):
            words.append(f"--max-thinking-tokens={self.thinking}")
        elif self.thinking is not None:
            words.append(f"--thinking={self.thinking}")
        return words

    def _tool_words(self, folder: Path) -> list[str]:
        words = []
        if self.tools is not None:
            words.append(f"--tools={','.join(self.tools)}")
        if self.allowed_tools:
            words.append(f"--allowedTools={','.join(self.allowed_tools)}")
        if self.disallowed_tools:
            words.append(f"--disallowedTools={','.join(self.disallowed_tools)}")
        words += [f"--add-dir={folder}" for folder in self.add_dirs]
        if self.mcp_servers:
            servers: Json = {name: dict(server) for name, server in self.mcp_servers.items()}
            words.append(f"--mcp-config={_written(folder / 'mcp.json', {'mcpServers': servers})}")
        if self.strict_mcp_config:
            words.append("--strict-mcp-config")
        return words

    def _prompt_words(self) -> list[str]:
        """A session records the prompt that it began with and would use that ever after: hence the snapshot is off."""
        words = []
        if self.system_prompt is not None:
            words.append(f"--system-prompt={self.system_prompt}")
        if self.append_system_prompt is not None:
            words.append(f"--append-system-prompt={self.append_system_prompt}")
        return [*words, "--system-prompt-snapshot=off"] if words else []

    def environment(self) -> dict[str, str]:
        """The variables of the program. What is given in `env` counts most."""
        ours = {"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1"}
        if self.api_timeout is not None:
            ours["API_TIMEOUT_MS"] = str(round(self.api_timeout * 1000))
        if self.max_retries is not None:
            ours["CLAUDE_CODE_MAX_RETRIES"] = str(self.max_retries)
        return environment({**ours, **self.env}, self.env_allow)

    def initialize(self, hooks: Hooks) -> dict[str, Json]:
        """The first request of the control protocol."""
        request: dict[str, Json] = {"subtype": "initialize", "hooks": hooks.registration(), "forwardSubagentText": True}
        if self.agents:
            request["agents"] = {name: dict(agent) for name, agent in self.agents.items()}
        return request


def _freedom(mode: str | None) -> int:
    return _FREEDOM[mode or "default"]


def _written(file: Path, content: Json) -> Path:
    file.write_text(encode_json(content), encoding="utf-8")
    return file


def _converted(name: str, value: Json) -> Any:
    try:
        return msgspec.convert(value, _HINTS[name])
    except msgspec.ValidationError as error:
        raise records.invalid(f"input.{name}", f"is wrong: {error}") from None


_HINTS = {field.name: field.type for field in msgspec.structs.fields(Options)}
