"""What is found on the machine is in the catalog; what is not says how to get it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionry.agents.acp.presets import PRESETS
from sessionry.agents.catalog import Catalog
from sessionry.agents.claude.found import bundled
from sessionry.agents.discovery import (
    KNOWN,
    Found,
    examine,
    find,
    first_usable,
    how_to_get,
    is_there,
    preferred,
    version_of,
)
from sessionry.agents.entries import TYPES
from sessionry.domain.errors import NotFound

#: Packages that bring agents.
PACKAGES = {name for known in KNOWN.values() for name in known.packages}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without any agent: its PATH is the folder, its home is another one, and no package is installed."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    for name in list(os.environ):
        if name.endswith(("_KEY", "_TOKEN")) or name.startswith(("ANTHROPIC_", "OPENAI_", "CLAUDE", "CODEX")):
            monkeypatch.delenv(name)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    bundled.cache_clear()
    yield folder
    bundled.cache_clear()


def install(folder: Path, name: str, says: str = "", language: str = f"{sys.executable} -S") -> Path:
    program = folder / name
    program.write_text(f"#!{language}\n{says}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_every_known_agent_is_of_a_type_that_is_there() -> None:
    assert {known.type for known in KNOWN.values()} <= set(TYPES)
    assert list(KNOWN)[:4] == ["claude", "codex", "gemini", "opencode"]


@pytest.mark.parametrize("id", sorted(KNOWN))
def test_every_known_agent_says_how_to_get_it_and_how_to_log_in(id: str, bare: Path) -> None:
    assert KNOWN[id].install in str(how_to_get(id))
    assert KNOWN[id].login
    assert find(KNOWN[id]) is None
    with pytest.raises(NotFound, match="install it") as told:
        Catalog.load(None).agent(id)
    assert told.value.code == "agent_not_found"


@pytest.mark.parametrize("id", sorted(id for id, known in KNOWN.items() if known.programs))
def test_a_program_on_path_is_enough_to_be_in_the_catalog(id: str, bare: Path) -> None:
    assert id not in Catalog.load(None).ids()
    program = install(bare, KNOWN[id].programs[0], "print('9.8.7')")
    catalog = Catalog.load(None)
    assert id in catalog.ids()
    assert catalog.is_found(id)
    assert catalog.known(id) == id
    assert catalog.agent(id).facts.type == KNOWN[id].type
    found = find(KNOWN[id])
    assert found is not None
    assert found.program == str(program)
    assert found.how == "on PATH"


def test_a_program_without_what_talks_to_it_says_what_is_missing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(bare, "gemini")
    monkeypatch.setitem(sys.modules, "acp", None)
    assert not is_there(KNOWN["gemini"])
    assert "pip install 'sessionry[acp]'" in str(how_to_get("gemini"))


@pytest.mark.parametrize("id", sorted(id for id, known in KNOWN.items() if known.type == "acp"))
def test_what_is_known_of_a_preset_is_what_the_preset_says(id: str) -> None:
    preset, known = PRESETS[id], KNOWN[id]
    assert known.programs == (preset.command,)
    assert known.install == preset.install


def test_every_preset_is_known() -> None:
    assert set(PRESETS) <= set(KNOWN)


def test_the_file_goes_before_what_is_found(bare: Path, tmp_path: Path) -> None:
    install(bare, "gemini")
    file = tmp_path / "agents.toml"
    file.write_text('[gemini]\ntype = "shell"\n[other]\ntype = "acp"\npreset = "gemini"\n')
    catalog = Catalog.load(file)
    assert catalog.entry("gemini").type == "shell"
    assert not catalog.is_found("gemini")
    assert catalog.known("gemini") is None
    assert catalog.known("other") == "gemini", "of the configured one it is known as well what is found of it"


def test_all_are_looked_at_at_once_with_their_versions_and_not_for_long(bare: Path) -> None:
    install(bare, "gemini", "echo 'gemini v1.2.3-beta (linux)'", "/bin/sh")  # it starts at once, on any machine
    install(bare, "qwen", "echo 0.4.0 >&2; exit 1", "/bin/sh")
    install(bare, "goose", "import time; time.sleep(60)")
    found = examine([KNOWN[id] for id in ("gemini", "qwen", "goose", "copilot")], patience=2.5)
    assert {id: there.version for id, there in found.items()} == {
        "gemini": "1.2.3-beta",
        "qwen": "0.4.0",
        "goose": None,
    }


def test_a_program_that_says_no_version_has_none(bare: Path) -> None:
    assert version_of(str(install(bare, "mute"))) is None
    assert version_of(str(bare / "nowhere")) is None
    assert version_of(str(install(bare, "slow", "import time; time.sleep(60)")), patience=0.2) is None


def found(logged_in: bool | None) -> Found:
    return Found("/bin/x", "1", logged_in, "on PATH")


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({}, None),
        ({"claude": True, "codex": True}, "claude"),
        ({"claude": None, "codex": True}, "codex"),
        ({"claude": None, "codex": None}, "claude"),
        ({"claude": False, "gemini": None}, "gemini"),
        ({"claude": False}, None),
        ({"local": True, "qwen": None}, "qwen"),
        ({"local": True, "claude": False}, "local"),
    ],
)
def test_the_first_that_is_logged_in_is_taken_else_the_first_that_may_be(
    there: dict[str, bool | None], taken: str | None
) -> None:
    assert preferred({id: found(logged_in) for id, logged_in in there.items()}) == taken


def test_a_key_is_a_sign_of_a_login(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("qwen", "gemini"):
        install(bare, name)
    ids = Catalog.load(None).ids()
    assert first_usable(ids) == "gemini"
    monkeypatch.setenv("DASHSCOPE_API_KEY", "dummy")
    assert first_usable(ids) == "qwen"
    monkeypatch.setenv("GEMINI_API_KEY", "dummy")
    assert first_usable(ids) == "gemini"
    assert first_usable(["shell", "echo"]) is None
