"""The options of a Codex agent, and what of them is said where: on the command line, to the thread, to the turn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from sessionry.agents.models.schemas import Output, output_of
from sessionry.domain import records
from sessionry.domain.codec import encode_json
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json

Sandbox = Literal["read-only", "workspace-write", "danger-full-access"]
ApprovalPolicy = Literal["untrusted", "on-request", "never"]
Summary = Literal["auto", "concise", "detailed", "none"]

#: What a run may set for itself.
OF_A_RUN = ("model", "effort", "summary", "sandbox", "approval_policy", "output_schema")

#: How a thread's answer names the sandboxes.
_SANDBOXES = {"read-only": "readOnly", "workspace-write": "workspaceWrite", "danger-full-access": "dangerFullAccess"}
_WORDS: Mapping[str, tuple[str, ...]] = {
    "sandbox": get_args(Sandbox),
    "approval_policy": get_args(ApprovalPolicy),
    "summary": get_args(Summary),
}
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DELETE = "\x7f"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What counts for a run: the agent's own, with those of the run in their place. None: as Codex is configured."""

    model: str | None = None
    model_provider: str | None = None
    effort: str | None = None
    summary: str | None = None
    sandbox: str | None = None
    approval_policy: str | None = None
    writable_dirs: Sequence[str] = ()
    network_access: bool | None = None
    base_instructions: str | None = None
    developer_instructions: str | None = None
    output_schema: dict[str, Json] | str | None = None
    mcp_servers: Mapping[str, Mapping[str, Json]] = {}
    config: Mapping[str, Json] = {}

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if (value := getattr(self, name)) is not None and value not in words:
                raise unusable(name, f"must be one of {', '.join(words)}, not {value!r}")
        for name in ("model", "effort", "model_provider"):
            if (value := getattr(self, name)) is not None and not (isinstance(value, str) and value.strip()):
                raise unusable(name, f"must be a text that is not empty, not {value!r}")
        for name in ("writable_dirs", "network_access"):
            if getattr(self, name) and self.sandbox != "workspace-write":
                raise unusable(name, f'can be kept in the sandbox "workspace-write" only, not in {self.sandbox!r}')
        for folder in self.writable_dirs:
            if not Path(folder).is_absolute():
                raise unusable("writable_dirs", f"must be full paths, unlike {folder!r}")
        if self.output_schema is not None and not isinstance(self.output_schema, dict | str):
            raise unusable("output_schema", "must be a JSON Schema, an object, or a type as module:Type")
        try:
            _ = self.output
        except ValueError as error:
            raise unusable("output_schema", str(error)) from None
        if clash := sorted(_clashes(self)):
            raise unusable("config", f"sets {clash[0]!r}, for which there is an option of its own")
        self.arguments()

    def with_run(self, given: Mapping[str, Json]) -> Options:
        """These, with the options of a run in their place. Raises `validation_error` naming the field."""
        try:
            return msgspec.structs.replace(self, **given)
        except InvalidInput as error:
            field = str(error.details.get("option"))
            raise records.invalid(f"input.{field}", error.message.removeprefix(f"{field} ")) from None

    @property
    def output(self) -> Output | None:
        """The form of the output that is asked for."""
        return None if self.output_schema is None else output_of(self.output_schema)

    def arguments(self) -> list[str]:
        """The overrides of its configuration, as arguments of the program."""
        config: dict[str, Json] = {}
        if self.writable_dirs:
            config["sandbox_workspace_write.writable_roots"] = list(self.writable_dirs)
        if self.network_access is not None:
            config["sandbox_workspace_write.network_access"] = self.network_access
        servers: dict[str, Json] = {name: dict(server) for name, server in self.mcp_servers.items()}
        pairs = [*_flat(config, "config"), *_flat(self.config, "config")]
        pairs += _flat({"mcp_servers": servers} if servers else {}, "mcp_servers")
        return [word for pair in pairs for word in ("-c", pair)]

    def thread(self, cwd: Path) -> dict[str, Any]:
        """What is asked of a thread, whether it is begun, resumed or forked."""
        asked = {
            "cwd": str(cwd),
            "model": self.model,
            "modelProvider": self.model_provider,
            "sandbox": self.sandbox,
            "approvalPolicy": self.approval_policy,
            "baseInstructions": self.base_instructions,
            "developerInstructions": self.developer_instructions,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def turn(self) -> dict[str, Any]:
        schema = self.output.schema if self.output is not None else None
        asked = {"effort": self.effort, "summary": self.summary, "outputSchema": schema}
        return {name: value for name, value in asked.items() if value is not None}

    def check_kept(self, answer: Mapping[str, Any]) -> None:
        """Raises `invalid_configuration` naming the option that a thread's answer shows was not kept.

        An administrator's requirements, or a profile, can overrule what is asked for.
        """
        sandbox = answer.get("sandbox") or {}
        for option, asked, got in (
            ("model", self.model, answer.get("model")),
            ("model_provider", self.model_provider, answer.get("modelProvider")),
            ("approval_policy", self.approval_policy, answer.get("approvalPolicy")),
            ("sandbox", self.sandbox and _SANDBOXES[self.sandbox], sandbox.get("type")),
            ("network_access", self.network_access, sandbox.get("networkAccess")),
        ):
            if asked is not None and asked != got:
                raise unusable(option, f"is {asked!r}, but Codex answers that it is {got!r}; see its configuration")
        roots = sandbox.get("writableRoots") or []
        if missing := [folder for folder in self.writable_dirs if folder not in roots]:
            raise unusable("writable_dirs", f"has {missing[0]!r}, which Codex does not make writable")


def _clashes(options: Options) -> set[str]:
    """Keys of `config` that another option decides too, so that one of the two would be dropped in silence."""
    keys = {
        "model": options.model,
        "model_provider": options.model_provider,
        "model_reasoning_effort": options.effort,
        "model_reasoning_summary": options.summary,
        "sandbox_mode": options.sandbox,
        "approval_policy": options.approval_policy,
        "developer_instructions": options.developer_instructions,
        "sandbox_workspace_write.writable_roots": options.writable_dirs or None,
        "sandbox_workspace_write.network_access": options.network_access,
    }
    set_here = {key for key, value in keys.items() if value is not None}
    return set_here & {pair.partition("=")[0] for pair in _flat(options.config, "config")}


def _flat(table: Mapping[str, Json], option: str, before: str = "") -> list[str]:
    """`key=value` pairs, as deep as keys are plain words: so that the rest of a table in the file stays."""
    pairs = []
    for name, value in table.items():
        key = f"{before}{name}"
        if isinstance(value, dict) and value and all(map(_BARE.fullmatch, value)):
            pairs += _flat(value, option, f"{key}.")
        else:
            pairs.append(f"{key}={_toml(value, option, key)}")
    return pairs


def _toml(value: Json, option: str, key: str) -> str:
    """A value in TOML's words, on one line. Raises `invalid_configuration` for null, which TOML does not have."""
    match value:
        case None:
            raise unusable(option, f"sets {key!r} to null, which Codex's configuration cannot; leave it out")
        case str():
            return encode_json(value).replace(_DELETE, "\\u007f")
        case dict():
            return "{" + ", ".join(f"{encode_json(k)} = {_toml(v, option, key)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(_toml(item, option, key) for item in value) + "]"
        case _:
            return encode_json(value)


def unusable(option: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"{option} {problem}", details={"option": option})
