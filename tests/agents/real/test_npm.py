"""Agents from npm are installed once; where that cannot be, their tests say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.real.npm import FOLDER, PACKAGES, installed


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "npm"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "npm"


def npm_that(does: str, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{does}\n')
    program.chmod(0o755)


def test_without_npm_the_tests_are_skipped_and_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=r"qwen is not tested: npm is missing; install Node\.js"):
        installed("qwen")


def test_an_installation_that_fails_leaves_nothing_and_says_why(folder: Path, tmp_path: Path) -> None:
    npm_that("echo no such version >&2; exit 1", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="could not install it: no such version"):
        installed("qwen")
    assert {path.name for path in folder.iterdir()} == {"qwen.lock", "failed"}


def test_after_a_failure_the_next_ones_do_not_wait_for_the_same(folder: Path, tmp_path: Path) -> None:
    npm_that("echo no network >&2; exit 1", tmp_path)
    for name in ("qwen", "gemini"):
        with pytest.raises(pytest.skip.Exception, match="no network"):
            installed(name)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_an_agent_is_installed_once_at_its_pinned_version(folder: Path, tmp_path: Path) -> None:
    npm_that("mkdir -p node_modules/.bin && touch node_modules/.bin/qwen", tmp_path)
    program = installed("qwen")
    assert program == folder / f"qwen-{PACKAGES['qwen'].version}" / "node_modules/.bin/qwen"
    assert installed("qwen") == program
    [call] = (tmp_path / "calls").read_text().splitlines()
    assert call.endswith(f"--omit=optional @qwen-code/qwen-code@{PACKAGES['qwen'].version}")
    assert "--no-package-lock" in call
    assert "--ignore-scripts" in call
