"""Everything that can be set from outside: `SETTINGS` is the one table that the code and the documentation read.

A value comes from the caller, else from the environment, else from `config.toml` in `$XDG_CONFIG_HOME/sessionry`, else it
is the default. Empty variables count as not set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sessionry.domain.errors import InvalidInput

#: Of whatever is counted.
MOST = 100_000

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force. `load_settings` makes them; `SETTINGS` says what each is."""

    store: str
    listen: str | None = None
    agents: Path | None = None
    blobs: Path | None = None
    default_agent: str | None = None
    tenant: str = "local"
    user: str | None = None
    slots: int = 8
    max_processes: int | None = None
    lease: float = 15.0
    heartbeat: float = 5.0
    sweep: float = 5.0
    prune_after: float = 3600.0
    redact: bool = True
    quota: int | None = 12_000
    webhook_private: bool = False
    log_level: str = "warning"


class Setting(NamedTuple):
    """One setting. `read` makes its value of a string, or of what TOML holds; it raises `ValueError` saying what it wants.

    `default` is what the documentation says.
    """

    name: str
    env: str
    read: Callable[[Any], Any]
    default: str
    doc: str


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("some text")
    return value.strip()


def _url(value: Any) -> str:
    scheme, separator, _ = _text(value).partition("://")
    if not separator or not scheme.isalnum():
        raise ValueError("a URL: sqlite:///PATH, postgresql://... or memory://")
    return _text(value)


def _file(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _whole(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.strip().isdigit() else value
    if type(number) is not int or not 1 <= number <= MOST:
        raise ValueError(f"a whole number from 1 to {MOST}")
    return number


def _whole_or_off(value: Any) -> int | None:
    try:
        return None if str(value).strip().lower() in _NO else _whole(value)
    except ValueError:
        raise ValueError(f"a whole number from 1 to {MOST}, or off") from None


def _seconds(value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else 0.0
    except (TypeError, ValueError):
        number = 0.0
    if not 0.01 <= number <= 86_400:
        raise ValueError("a number of seconds from 0.01 to 86400")
    return number


def _level(value: Any) -> str:
    if not isinstance(value, str) or value.strip().lower() not in LOG_LEVELS:
        raise ValueError(f"one of {', '.join(LOG_LEVELS)}")
    return value.strip().lower()


def _yes_or_no(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError("on or off")
    return word in _YES


_YES, _NO = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
_DATABASE, _AGENTS, _CONFIG = "sessionry.db", "agents.toml", "config.toml"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "store",
        "SESSIONRY_STORE",
        _url,
        f"sqlite:///$XDG_DATA_HOME/sessionry/{_DATABASE}",
        "Where everything is kept: `sqlite:///path`, `postgresql://...` or `memory://`.",
    ),
    Setting(
        "listen",
        "SESSIONRY_LISTEN",
        _url,
        "the store's URL",
        "The same PostgreSQL database for LISTEN: needed where the store's URL leads to a pooler in transaction mode.",
    ),
    Setting(
        "agents",
        "SESSIONRY_AGENTS",
        _file,
        f"$XDG_CONFIG_HOME/sessionry/{_AGENTS}, if there is one",
        "The file of the agent catalog.",
    ),
    Setting(
        "blobs",
        "SESSIONRY_BLOBS",
        _file,
        "beside the SQLite file; $XDG_DATA_HOME/sessionry/blobs for PostgreSQL",
        "The folder for what is too big for the log.",
    ),
    Setting(
        "default_agent",
        "SESSIONRY_AGENT",
        _text,
        "the catalog's own default",
        "The agent of a session that names none.",
    ),
    Setting("tenant", "SESSIONRY_TENANT", _text, "local", "The tenant whose sessions are seen and made."),
    Setting(
        "user",
        "SESSIONRY_USER",
        _text,
        "nobody in particular",
        "The user whose sessions are seen and made; none: the whole tenant's.",
    ),
    Setting("slots", "SESSIONRY_SLOTS", _whole, "8", "How many runs a worker works on at once."),
    Setting(
        "max_processes",
        "SESSIONRY_MAX_PROCESSES",
        _whole,
        "as many as there are runs",
        "How many agents' programs a worker lets run at once; further ones wait in line.",
    ),
    Setting(
        "lease",
        "SESSIONRY_LEASE",
        _seconds,
        "15",
        "Seconds after its last sign of life until a worker counts as lost, and its runs are taken over.",
    ),
    Setting(
        "heartbeat",
        "SESSIONRY_HEARTBEAT",
        _seconds,
        "5",
        "Seconds between a worker's signs of life; at most half of the lease.",
    ),
    Setting(
        "sweep",
        "SESSIONRY_SWEEP",
        _seconds,
        "5",
        "Seconds between two searches for runs that should be worked on and are not.",
    ),
    Setting(
        "prune_after",
        "SESSIONRY_PRUNE_AFTER",
        _seconds,
        "3600",
        "Seconds after the end of a run until the pieces of its streamed messages go; the whole messages stay.",
    ),
    Setting(
        "redact",
        "SESSIONRY_REDACT",
        _yes_or_no,
        "on",
        "Whether secrets are taken out of what people and agents say, before it is kept.",
    ),
    Setting(
        "quota",
        "SESSIONRY_QUOTA",
        _whole_or_off,
        "12000",
        "How many requests each token may make in a minute at a server; `off`: as many as it likes.",
    ),
    Setting(
        "webhook_private",
        "SESSIONRY_WEBHOOK_PRIVATE",
        _yes_or_no,
        "off",
        "Whether webhooks may lead to addresses of this machine and of private networks.",
    ),
    Setting(
        "log_level", "SESSIONRY_LOG", _level, "warning", f"What is logged to stderr: {', '.join(LOG_LEVELS)} and above."
    ),
)
_BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


def load_settings(env: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """The settings in force. `given` are the caller's own values, by the names of `SETTINGS`; None counts as not given.

    Raises `invalid_configuration` naming the variable, or the file and the key, of the first bad value.
    """
    env = os.environ if env is None else env
    file = config_home(env) / _CONFIG
    values: dict[str, Any] = {}
    for source, name, value in (*_from_file(file), *_from_env(env), *_from_caller(given)):
        values[name] = _read(source, _BY_NAME[name], value)
    values.setdefault("store", f"sqlite:///{data_home(env) / _DATABASE}")
    if "agents" not in values and (catalog := config_home(env) / _AGENTS).is_file():
        values["agents"] = catalog
    settings = Settings(**values)
    if settings.heartbeat > settings.lease / 2:
        raise _wrong(
            "SESSIONRY_HEARTBEAT",
            f"is {settings.heartbeat:g} s, which is more than half of the lease of {settings.lease:g} s: "
            "one lost heartbeat would cost every run; make SESSIONRY_LEASE longer or this shorter",
        )
    return settings


def config_home(env: Mapping[str, str]) -> Path:
    """The folder of `config.toml` and `agents.toml`."""
    return _home(env, "XDG_CONFIG_HOME", ".config")


def data_home(env: Mapping[str, str]) -> Path:
    """The folder of the store."""
    return _home(env, "XDG_DATA_HOME", ".local/share")


def _home(env: Mapping[str, str], variable: str, below_home: str) -> Path:
    """A relative path in the variable does not count, as the XDG specification wants it."""
    if (given := Path(env.get(variable, ""))).is_absolute():
        return given / "sessionry"
    home = env.get("HOME")
    return (Path(home) if home else Path.home()) / below_home / "sessionry"


def _from_env(env: Mapping[str, str]) -> list[tuple[str, str, Any]]:
    return [(setting.env, setting.name, env[setting.env]) for setting in SETTINGS if env.get(setting.env, "").strip()]


def _from_caller(given: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    for name in given:
        _check_name("load_settings", name)
    return [(name, name, value) for name, value in given.items() if value is not None]


def _from_file(file: Path) -> list[tuple[str, str, Any]]:
    if not file.is_file():
        return []
    import tomllib  # only who has such a file pays for it

    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(str(file), f"cannot be read: {error}; mend it or move it away") from error
    for name in content:
        _check_name(str(file), name)
    return [(f"{name} in {file}", name, value) for name, value in content.items()]


def _check_name(source: str, name: str) -> None:
    if name in _BY_NAME:
        return
    from difflib import get_close_matches  # only a mistake pays for it

    close = get_close_matches(name, _BY_NAME, n=1)
    meant = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(_BY_NAME)}"
    raise _wrong(source, f"has {name!r}, which is no setting; {meant}")


def _read(source: str, setting: Setting, value: Any) -> Any:
    if isinstance(value, Path):
        value = str(value)
    try:
        return setting.read(value)
    except ValueError as error:
        shown = "what it is" if setting.name in ("store", "listen") else repr(value)  # it may hold a password
        raise _wrong(source, f"must be {error}, not {shown}; unset it for {setting.default}") from None


def _wrong(source: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"{source} {problem}", details={"source": source})
