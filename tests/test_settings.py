"""Settings come from the caller, the environment, a file, or are the default; a bad one names itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionry.domain.errors import InvalidInput
from sessionry.settings import SETTINGS, Settings, load_settings


def env(tmp_path: Path, **given: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), **given}


def write_config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / ".config" / "sessionry" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_defaults_are_enough(tmp_path: Path) -> None:
    settings = load_settings(env(tmp_path))
    assert settings == Settings(store=f"sqlite:///{tmp_path}/.local/share/sessionry/sessionry.db")
    assert (settings.slots, settings.lease, settings.heartbeat, settings.log_level) == (8, 15.0, 5.0, "warning")


def test_the_folders_follow_xdg_and_ignore_relative_ones(tmp_path: Path) -> None:
    assert load_settings(env(tmp_path, XDG_DATA_HOME="/data")).store == "sqlite:////data/sessionry/sessionry.db"
    assert load_settings(env(tmp_path, XDG_DATA_HOME="data")) == load_settings(env(tmp_path))


def test_the_caller_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    write_config(tmp_path, 'slots = 2\nlease = 20\nuser = "file"\n')
    settings = load_settings(env(tmp_path, SESSIONRY_LEASE="30", SESSIONRY_USER="env"), user="caller", tenant=None)
    assert (settings.slots, settings.lease, settings.user, settings.tenant) == (2, 30.0, "caller", "local")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert load_settings(env(tmp_path, SESSIONRY_SLOTS=" ", SESSIONRY_STORE="")) == load_settings(env(tmp_path))


def test_the_agents_file_beside_the_config_is_found(tmp_path: Path) -> None:
    assert load_settings(env(tmp_path)).agents is None
    file = write_config(tmp_path, "").with_name("agents.toml")
    file.write_text("")
    assert load_settings(env(tmp_path)).agents == file
    assert load_settings(env(tmp_path, SESSIONRY_AGENTS="/other.toml")).agents == Path("/other.toml")
    assert load_settings(env(tmp_path), agents=Path("/third.toml")).agents == Path("/third.toml")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("SESSIONRY_SLOTS", "many", "must be a whole number from 1 to 100000, not 'many'; unset it for 8"),
        ("SESSIONRY_SLOTS", "0", "must be a whole number"),
        ("SESSIONRY_SLOTS", "1.5", "must be a whole number"),
        ("SESSIONRY_LEASE", "soon", "must be a number of seconds from 0.01 to 86400, not 'soon'; unset it for 15"),
        ("SESSIONRY_LEASE", "nan", "must be a number of seconds"),
        ("SESSIONRY_SWEEP", "-1", "must be a number of seconds"),
        ("SESSIONRY_LOG", "loud", "must be one of debug, info, warning, error, critical, not 'loud'"),
        ("SESSIONRY_STORE", "my.db", "must be a URL: sqlite:///PATH"),
        ("SESSIONRY_HEARTBEAT", "10", "is 10 s, which is more than half of the lease of 15 s"),
    ],
)
def test_a_bad_variable_is_named_with_what_it_should_be(
    tmp_path: Path, variable: str, value: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_settings(env(tmp_path, **{variable: value}))
    assert refused.value.code == "invalid_configuration"
    assert refused.value.message.startswith(f"{variable} {problem}")
    assert refused.value.details == {"source": variable}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("slots = 'many'", "slots in {file} must be a whole number"),
        ("slots = true", "slots in {file} must be a whole number"),
        ("lease = true", "lease in {file} must be a number of seconds"),
        ("slot = 2", "{file} has 'slot', which is no setting; did you mean slots?"),
        ("xyz = 2", "{file} has 'xyz', which is no setting; the settings are store,"),
        ("[section]\nslots = 2", "{file} has 'section', which is no setting"),
        ("slots = ", "{file} cannot be read: Invalid value (at end of document)"),
    ],
)
def test_a_bad_file_is_named_with_the_key(tmp_path: Path, text: str, problem: str) -> None:
    file = write_config(tmp_path, text)
    with pytest.raises(InvalidInput) as refused:
        load_settings(env(tmp_path))
    assert refused.value.message.startswith(problem.format(file=file))


def test_an_unknown_setting_of_the_caller_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="did you mean lease"):
        load_settings(env(tmp_path), leases=3)


@pytest.mark.parametrize("variable", ["SESSIONRY_STORE", "SESSIONRY_LISTEN"])
def test_a_password_in_the_store_is_not_shown(tmp_path: Path, variable: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_settings(env(tmp_path, **{variable: "postgresql:/u:hush@host/db"}))
    assert "hush" not in str(refused.value)


def test_every_setting_is_in_the_table_with_its_default(tmp_path: Path) -> None:
    fields: dict[str, Any] = {field.name: field for field in msgspec.structs.fields(Settings)}
    assert [setting.name for setting in SETTINGS] == list(fields)
    defaults = load_settings(env(tmp_path))
    for setting in SETTINGS:
        assert setting.env.startswith("SESSIONRY_")
        assert setting.doc.endswith(".")
        if setting.name not in ("store", "listen", "agents", "blobs", "default_agent", "user", "max_processes"):
            assert setting.read(setting.default) == getattr(defaults, setting.name)


def test_reading_the_settings_imports_nothing_slow() -> None:
    code = "import sys, sessionry.settings as s; s.load_settings({'HOME': '/'}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"tomllib", "psutil", "yaml", "asyncio", "importlib.metadata"} & set(done.stdout.split())
