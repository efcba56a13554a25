"""The suite and the plugin work in somebody else's project, as the documentation says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing-a-store.md"


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = ["-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function", "-W", "error"]
    command = [sys.executable, "-m", "pytest", "-q", *settings, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=110)


def test_the_documented_example_runs_the_suite_over_a_store_of_ones_own(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for name, code in blocks:
        (tmp_path / name).write_text(code, encoding="utf-8")
    done = run_pytest(tmp_path, "-k", "Sessions and tree or Queue and limit or mine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[5-9] passed|^\d\d passed", done.stdout, re.MULTILINE), done.stdout


def test_a_store_that_breaks_the_contract_is_told_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "test_bad_store.py").write_text(
        "import pytest_asyncio\n"
        "from sessionry.store.operations import leases\n"
        "from sessionry.store.open import open_store\n"
        "from sessionry.testing import store_contract\n"
        "class Forgetful:\n"
        "    def __init__(self, store): self.store = store\n"
        "    async def execute(self, operation): return await self.store.execute(operation)\n"
        "    async def append(self, appending): return [appending.after + 1]\n"
        "@pytest_asyncio.fixture\n"
        "async def store(sessionry_store): return Forgetful(sessionry_store)\n"
        "class TestAppend(store_contract.AppendContract): pass\n"
    )
    done = run_pytest(tmp_path, "-k", "in_order_and_told")
    assert done.returncode == 1
    assert "assert [5] == [5, 6]" in done.stdout, done.stdout


def test_the_fixture_takes_the_store_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "test_url.py").write_text(
        "import pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_url(sessionry_store, request):\n"
        "    assert sessionry_store.url == request.config.getoption('--sessionry-store')\n"
    )
    for url in ("memory://", f"sqlite:///{tmp_path}/store.db"):
        assert run_pytest(tmp_path, "--sessionry-store", url).returncode == 0


def test_the_plugin_costs_nothing_until_it_is_used() -> None:
    code = "import sys, sessionry.testing.plugin; print(*(m for m in sys.modules if m.startswith('sessionry.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) == {"sessionry.testing", "sessionry.testing.plugin"}
