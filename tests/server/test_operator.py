"""What a clumsy operator does with `sessionry serve`, and what the program says to that."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

import sessionry
from sessionry.cli.serve import local_token
from sessionry.domain.errors import InvalidInput
from tests.cli.program import SESSIONRY


def serve(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [SESSIONRY, "--store", f"sqlite:///{folder}/o.db", "serve", "--port", "0", *words]
    given = {"PATH": os.environ["PATH"], "HOME": str(folder)} | env
    return subprocess.run(command, env=given, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_a_certificate_that_is_none_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "none.pem"
    file.write_text("nothing")
    ended = serve(tmp_path, "--tls-cert", str(file), "--tls-key", str(file))
    assert ended.returncode == 2
    assert "no certificate" in ended.stderr
    assert "[invalid_configuration]" in ended.stderr


async def test_a_folder_that_cannot_be_written_is_told_so_and_leaves_no_token(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with sessionry.open(f"sqlite:///{tmp_path}/o.db", worker=False) as sessions:
        with pytest.raises(InvalidInput, match="cannot be kept"):
            await local_token(sessions, tmp_path / "file" / "below" / "t.token")
        from sessionry.store.operations import tokens

        assert await sessions.execute(tokens.of_scope(sessions.scope)) == []


def test_each_user_has_a_token_file_of_their_own(tmp_path: Path) -> None:
    from sessionry.cli.invocation import Invocation
    from sessionry.cli.serve import token_file

    files = set()
    for user in (None, "ann", "bob"):
        invocation = Invocation()
        invocation.store, invocation.user = f"sqlite:///{tmp_path}/o.db", user
        files.add(token_file(invocation))
    assert len(files) == 3


@pytest.mark.slow
def test_it_speaks_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    words = [*request.split(), "-keyout", str(key), "-out", str(cert)]
    made = subprocess.run(words, capture_output=True, check=False)
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    words = [SESSIONRY, "--store", f"sqlite:///{tmp_path}/o.db", "serve", "--port", "0", "--tls-cert", str(cert)]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*words, "--tls-key", str(key)], stdout=subprocess.PIPE, env=env, cwd=tmp_path, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("https://")
        answer = httpx.get(url, verify=ssl.create_default_context(cafile=str(cert)), trust_env=False)
        assert (answer.status_code, "Secure" in answer.headers["set-cookie"]) == (302, True)
    finally:
        process.kill()
        process.communicate()
