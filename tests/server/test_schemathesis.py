"""A foreign attacker reads the description and tries everything that it promises, and everything that it forbids."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.program import SESSIONRY

#: What is well formed and means nothing that exists is refused with 422, with 412 for a version, with 428 for want of one.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "412", "422", "428", "429"]

[checks.missing_required_header]
expected-statuses = ["400", "401", "403", "404", "406", "415", "422", "428"]
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2])
def test_nothing_is_found_that_the_description_does_not_say(tmp_path: Path, seed: int) -> None:
    """All its phases, the stateful one too, which walks along the links from a session to its runs and events."""
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    words = [SESSIONRY, "--store", f"sqlite:///{tmp_path}/st.db", "--json", "serve", "--port", "0"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=tmp_path, env=env, text=True) as server:
        assert server.stdout is not None
        try:
            told = json.loads(server.stdout.readline())
            st = Path(sys.executable).parent / "st"
            attack = [str(st), "run", f"{told['url']}/openapi.json", "-H", f"Authorization: Bearer {told['token']}"]
            attack += [
                "--max-examples",
                "8",
                "--seed",
                str(seed),
                "--request-timeout",
                "65",
                "--no-color",
            ]
            found = subprocess.run(attack, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert found.returncode == 0, found.stdout[-8000:]
            headers = {"Authorization": f"Bearer {told['token']}"}
            assert httpx.get(f"{told['url']}/readyz", headers=headers, trust_env=False).status_code == 200
        finally:
            server.kill()
