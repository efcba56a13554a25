"""A home of its own for the agents of a test, in which each of them finds nothing but the scripted model.

Every method writes the settings that its agent wants and returns the whole of what the adapter's option `env` needs. What
the test gives on top wins. No agent gets a variable of the developer's own set-up, and none looks anything up elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sessionry.testing.fakellm import ModelServer
from tests.agents.real.npm import installed

#: What an API key is where the scripted model takes any.
KEY = "dummy"
CODEX_MODEL, GEMINI_MODEL, OTHER_MODEL = "gpt-5.5", "gemini-2.5-flash", "scripted-model"
_XDG = {"CONFIG": ".config", "DATA": ".local/share", "STATE": ".local/state", "CACHE": ".cache"}
_QUIET_CODEX: dict[str, Any] = {
    "check_for_update_on_startup": False,
    "features": {"plugins": False, "apps": False, "remote_plugin": False},
    "analytics": {"enabled": False},
}


class Hermetic:
    """`home` holds what the agents write for themselves, `work` is a folder for them to work in."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        self.home, self.work, self.server = folder / "home", folder / "work", server
        for made in (self.home, self.work, self.temporary):
            made.mkdir(parents=True)

    @property
    def temporary(self) -> Path:
        """The agents' folder for temporary files: what is left in it was forgotten by somebody."""
        return self.home / "tmp"

    def env(self, **more: str) -> dict[str, str]:
        """What every agent gets."""
        folders = {f"XDG_{name}_HOME": str(self.home / folder) for name, folder in _XDG.items()}
        own = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "LANG": "C.UTF-8", "NO_COLOR": "1"}
        return {**own, **folders, **more}

    def claude(self, **more: str) -> dict[str, str]:
        """Claude Code, which gives up after one repeated try, and after five seconds without an answer."""
        return self.env(
            **{
                "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
                "ANTHROPIC_BASE_URL": self.server.url,
                "ANTHROPIC_API_KEY": KEY,
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_ERROR_REPORTING": "1",
                "CLAUDE_CODE_MAX_RETRIES": "1",
                "API_TIMEOUT_MS": "5000",
                "IS_SANDBOX": "1",  # without it, root may not have all permissions
                **more,
            }
        )

    def codex(self, *, config: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Codex. `config` is laid over its config.toml, nested tables included."""
        folder = self.home / ".codex"
        folder.mkdir(exist_ok=True)
        provider = {
            "name": "scripted",
            "base_url": f"{self.server.url}/v1",
            "env_key": "SCRIPTED_API_KEY",
            "wire_api": "responses",
            "request_max_retries": 1,
            "stream_max_retries": 1,
            "stream_idle_timeout_ms": 8000,
        }
        settings = {"model": CODEX_MODEL, "model_provider": "scripted", **_QUIET_CODEX}
        settings["model_providers"] = {"scripted": provider}
        (folder / "config.toml").write_text(toml(_laid_over(settings, config or {})), encoding="utf-8")
        return self.env(**{"CODEX_HOME": str(folder), "SCRIPTED_API_KEY": KEY, **(env or {})})

    def gemini(self, **more: str) -> dict[str, str]:
        """Gemini CLI; its model must be named, `-m` with `GEMINI_MODEL`, or it asks another one which to take."""
        settings = {
            "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
            "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
        }
        self._write(".gemini/settings.json", settings)
        return self.env(
            **{
                "GEMINI_API_KEY": KEY,
                "GOOGLE_GEMINI_BASE_URL": self.server.url,
                "GEMINI_CLI_TRUST_WORKSPACE": "true",
                "GEMINI_CLI_NO_RELAUNCH": "true",
                **more,
            }
        )

    def qwen(self, **more: str) -> dict[str, str]:
        """Qwen Code."""
        settings = {
            "security": {"auth": {"selectedType": "openai"}},
            "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
        }
        self._write(".qwen/settings.json", settings)
        url = f"{self.server.url}/v1"
        own = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": OTHER_MODEL}
        return self.env(**{**own, "QWEN_CODE_NO_RELAUNCH": "true", **more})

    def opencode(
        self, *, config: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """opencode. `config` is laid over its opencode.json; by default it asks before commands and changes."""
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "scripted",
            "options": {"baseURL": f"{self.server.url}/v1", "apiKey": KEY},
            "models": {OTHER_MODEL: {"name": OTHER_MODEL, "limit": {"context": 128_000, "output": 8_192}}},
        }
        settings = {
            "$schema": "https://opencode.ai/config.json",
            "model": f"scripted/{OTHER_MODEL}",
            "small_model": f"scripted/{OTHER_MODEL}",
            "enabled_providers": ["scripted"],
            "provider": {"scripted": provider},
            "permission": {"bash": "ask", "edit": "ask"},
            "autoupdate": False,
            "share": "disabled",
        }
        self._write(".config/opencode/opencode.json", _laid_over(settings, config or {}))
        off = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE", "DEFAULT_PLUGINS")
        return self.env(**{**{f"OPENCODE_DISABLE_{name}": "1" for name in off}, **(env or {})})

    def copilot(self, **more: str) -> dict[str, str]:
        """Copilot with a model's server of one's own, which needs no login at GitHub."""
        own = {"BASE_URL": f"{self.server.url}/v1", "API_KEY": KEY}
        provider = {f"COPILOT_PROVIDER_{name}": value for name, value in own.items()}
        return self.env(**provider, **{"COPILOT_MODEL": OTHER_MODEL, "COPILOT_OFFLINE": "true", **more})

    def claude_agent_acp(self, **more: str) -> dict[str, str]:
        """Claude Code behind the Agent Client Protocol."""
        return self.claude(**{"CLAUDE_CODE_EXECUTABLE": str(claude_program()), **more})

    def codex_acp(self, **more: str) -> dict[str, str]:
        """Codex behind the Agent Client Protocol, in the mode in which it asks."""
        return self.codex(env={"CODEX_PATH": str(codex_program()), "INITIAL_AGENT_MODE": "read-only", **more})

    def acp(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The command and the environment of an agent of npm that speaks the Agent Client Protocol."""
        arguments = {
            "gemini": ["--acp", "-m", GEMINI_MODEL],
            "qwen": ["--acp"],
            "opencode": ["acp"],
            "copilot": ["--acp"],
        }
        env: dict[str, str] = getattr(self, name.replace("-", "_"))()
        return [str(installed(name)), *arguments.get(name, [])], env

    def _write(self, path: str, settings: Mapping[str, Any]) -> None:
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings, indent=1), encoding="utf-8")


def claude_program() -> Path:
    """Claude Code, of the package claude-agent-sdk."""
    return _in_package("claude_agent_sdk", "_bundled/claude", "claude-agent-sdk")


def codex_program() -> Path:
    """Codex, of the package openai-codex."""
    return _in_package("codex_cli_bin", "bin/codex", "openai-codex")


def _in_package(module: str, path: str, package: str) -> Path:
    found = find_spec(module)
    if found is None or found.origin is None:
        pytest.skip(f"the real agent of {package} is not tested: the package is missing; run `make setup`")
    program = Path(found.origin).parent / path
    if not program.exists():
        pytest.fail(f"{package} holds no {path}")
    return program


def _laid_over(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(settings)
    for key, value in more.items():
        inner = both.get(key)
        both[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return both


def toml(settings: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """The settings as TOML: plain values first, then the tables. JSON's strings, numbers and lists are TOML's too."""
    lines = [f"[{'.'.join(map(json.dumps, path))}]"] if path else []
    tables = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in settings.items() if key not in tables]
    return "\n".join([*lines, *(toml(value, (*path, key)) for key, value in tables.items())]) + "\n"
