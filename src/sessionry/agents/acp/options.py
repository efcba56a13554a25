"""The options of an agent of the protocol, checked, and as the protocol wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sessionry.agents.acp.presets import PRESETS, Preset
from sessionry.agents.process import GRACE
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json


class McpServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server of tools: a program (`command`, `args`, `env`), or an address (`url`, `headers`, `type` http or sse)."""

    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}
    type: str | None = None

    @property
    def kind(self) -> str:
        """stdio, http or sse."""
        return self.type or ("stdio" if self.command is not None else "http")

    def told(self, name: str) -> dict[str, Any]:
        """As `session/new` wants it."""
        if self.kind == "stdio":
            return {"name": name, "command": self.command, "args": self.args, "env": _pairs(self.env)}
        return {"type": self.kind, "name": name, "url": self.url, "headers": _pairs(self.headers)}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was configured; `model`, `mode` and `config` can be set anew by a run."""

    preset: Preset
    #: what helps who is not logged in
    login: str | None = None
    argv: tuple[str, ...]
    env: Mapping[str, str]
    model: str | None = None
    mode: str | None = None
    config: Mapping[str, str | bool] = {}
    mcp_servers: Mapping[str, McpServer] = {}
    folders: tuple[str, ...] = ()
    auth_method: str | None = None
    remember: bool = False
    approval_timeout: float | None = None
    client_files: bool = False
    client_terminal: bool = False
    start_timeout: float = 60.0
    kill_grace: float = GRACE
    max_tokens: int = 24_000

    def for_run(self, chosen: Mapping[str, Any]) -> Settings:
        return msgspec.structs.replace(self, **chosen)


#: What a run may set.
PER_RUN = ("model", "mode", "config", "approval_timeout")


def preset_of(preset: str | None, command: str | None) -> Preset:
    """The preset of that name; without one, what is assumed of any agent. Raises `invalid_configuration`."""
    if preset is None:
        if not command:
            raise unusable("command", f"is needed, or a preset: {', '.join(PRESETS)}")
        return Preset(command=command)
    if preset not in PRESETS:
        raise unusable("preset", f"must be one of {', '.join(PRESETS)}, not {preset!r}")
    return PRESETS[preset]


def per_run(options: Mapping[str, Json]) -> dict[str, Any]:
    """The options that a run gave. Raises `InvalidInput` naming the one that is wrong."""
    checked: dict[str, Any] = dict(options)
    for name in ("model", "mode"):
        if name in checked and not (isinstance(checked[name], str) and checked[name].strip()):
            raise _wrong(name, "must be a text that is not empty")
    config = checked.get("config", {})
    if not isinstance(config, dict) or not all(isinstance(value, str | bool) for value in config.values()):
        raise _wrong("config", "must be an object of texts, true and false, by the ids of the agent's own settings")
    timeout = checked.get("approval_timeout")
    if timeout is not None and not (type(timeout) in (int, float) and timeout > 0):
        raise _wrong("approval_timeout", "must be a positive number of seconds")
    return checked


def mcp_servers(given: Mapping[str, Any]) -> dict[str, McpServer]:
    servers = {}
    for name, value in given.items():
        try:
            server = msgspec.convert(value, McpServer)
        except msgspec.ValidationError as error:
            raise unusable("mcp_servers", f"{name} is wrong: {error}") from None
        if (server.command is None) == (server.url is None):
            raise unusable("mcp_servers", f"{name} needs a command, or a url")
        if server.kind not in (("stdio",) if server.command is not None else ("http", "sse")):
            raise unusable("mcp_servers", f"{name} has a type that does not fit: {server.type}")
        servers[name] = server
    return servers


def folders(given: Sequence[str]) -> tuple[str, ...]:
    whole = [Path(folder).expanduser() for folder in given]
    for folder in whole:
        if not folder.is_absolute():
            raise unusable("add_dirs", f"must be absolute paths, not {str(folder)!r}")
    return tuple(map(str, whole))


def unusable(option: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"{option} {problem}", details={"option": option})


def _wrong(name: str, problem: str) -> InvalidInput:
    return InvalidInput("validation_error", f"input.{name} {problem}", details={"path": f"input.{name}"})


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]
