"""Agents that come from npm: each is installed once, in a folder outside the project, for the next test run too."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

#: The folder of the installed agents; `~/.cache/sessionry-tests/npm` unless it is set.
FOLDER = "SESSIONRY_TEST_NPM"
_SECONDS = 300
#: After an installation that failed, the next ones are not tried for so many seconds: the network will be the same.
_DISCOURAGED = 900


class Package(NamedTuple):
    """A pinned package. `optional`: it is useless without its optional dependencies, which hold the program itself."""

    name: str
    version: str
    program: str
    optional: bool = False


PACKAGES = {
    "qwen": Package("@qwen-code/qwen-code", "0.15.10", "node_modules/.bin/qwen"),
    "gemini": Package("@google/gemini-cli", "0.61.0", "node_modules/.bin/gemini"),
    # Its launcher is one more process between us and the agent; the program that it would start is taken directly.
    "opencode": Package("opencode-ai", "1.18.33", "node_modules/opencode-{system}-{machine}/bin/opencode", True),
    # As opencode's; what its launcher starts is in a package for each machine.
    "copilot": Package("@github/copilot", "1.0.102", "node_modules/@github/copilot-{system}-{machine}/copilot", True),
    # The programs of these two come from the packages that the adapters `claude` and `codex` use.
    "claude-agent-acp": Package(
        "@agentclientprotocol/claude-agent-acp", "0.49.0", "node_modules/.bin/claude-agent-acp"
    ),
    # No agent, but what looks at the dashboard for whom it shuts out.
    "axe": Package("axe-core", "4.14.1", "node_modules/axe-core/axe.min.js"),
    "codex-acp": Package("@agentclientprotocol/codex-acp", "2.6.0", "node_modules/.bin/codex-acp"),
}


def installed(name: str) -> Path:
    """The program of the agent, installed if need be. The test is skipped where that cannot be."""
    package = PACKAGES[name]
    root = Path(os.environ.get(FOLDER) or Path.home() / ".cache" / "sessionry-tests" / "npm")
    folder = root / f"{name}-{package.version}"
    program = folder / package.program.format(system=_system(), machine=_machine())
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"the real agent {name} is not tested: npm is missing; install Node.js 20 or newer")
    root.mkdir(parents=True, exist_ok=True)
    failed = root / "failed"
    if failed.exists() and time.time() - failed.stat().st_mtime < _DISCOURAGED:
        pytest.skip(f"the real agent {name} is not tested: npm has just failed: {failed.read_text()}")
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():  # another process may have been first
            _install(npm, package, folder)
    return program


def _install(npm: str, package: Package, folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.mkdir()
    (unfinished / "package.json").write_text("{}")
    options = [
        "--fetch-retries=1",
        "--fetch-timeout=60000",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ]
    if not package.optional:
        options.append("--omit=optional")
    command = [npm, "install", "--prefix", str(unfinished), *options, f"{package.name}@{package.version}"]
    try:
        done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, check=False, timeout=_SECONDS)
        problem = done.stderr[-500:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"npm took more than {_SECONDS} s"
    if problem:
        shutil.rmtree(unfinished, ignore_errors=True)
        (folder.parent / "failed").write_text(problem)
        pytest.skip(f"the real agent {package.name} is not tested: npm could not install it: {problem}")
    unfinished.rename(folder)


def _system() -> str:
    return "darwin" if sys.platform == "darwin" else "linux"


def _machine() -> str:
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x64"
