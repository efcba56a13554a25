"""What is released installs into an empty environment and works there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "sessionry"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the source archive, as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert names == {path.relative_to(PACKAGE.parent).as_posix() for path in files}
    assert "sessionry/py.typed" in names
    assert any(name.startswith("sessionry/store/schema/sqlite/") for name in names)
    assert any(name.startswith("sessionry/store/schema/postgres/") for name in names)


def test_the_wheel_carries_the_license_and_the_entry_points(wheel: Path) -> None:
    info = {name.split("/", 1)[1] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= info


def test_a_fresh_environment_runs_it(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    run(sys.executable, "-m", "venv", home)
    run(home / "bin/python", "-m", "pip", "install", "-qq", "-c", ROOT / "constraints.txt", wheel)
    assert "0.1.0" in run(home / "bin/sessionry", "--version", cwd=tmp_path)
    store = f"sqlite:///{tmp_path}/store.db"
    said = run(home / "bin/sessionry", "--store", store, "run", "--agent", "shell", "--", "echo", "hello", cwd=tmp_path)
    assert "hello" in said
