"""The page about the scripted model is true, in somebody else's project too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from sessionry.testing.fakellm.received import Received
from sessionry.testing.fakellm.script import Call, Step, Usage, Written

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "testing-with-models.md").read_text(encoding="utf-8")


def test_its_tests_pass(tmp_path: Path) -> None:
    [(name, code)] = re.findall(r"^```python\n# (test_\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / name).write_text(code, encoding="utf-8")
    settings = ["-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-W", "error"]
    settings += ["-o", "asyncio_default_fixture_loop_scope=function"]
    command = [sys.executable, "-m", "pytest", "-q", *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_its_program_runs(tmp_path: Path) -> None:
    [code] = re.findall(r"^```python\n(import urllib.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_it_tells_every_key_of_a_step_and_of_what_came() -> None:
    rows = re.findall(r"^\| (`[^|]*) \| ", PAGE, re.MULTILINE)
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert set(keys) == {field.encode_name for field in msgspec.structs.fields(Step)}
    for struct in (Call, Usage, Written):
        for field in msgspec.structs.fields(struct):
            assert f'"{field.encode_name}"' in PAGE
    for field in msgspec.structs.fields(Received):
        assert field.encode_name == "number" or f"`{field.encode_name}`" in PAGE
