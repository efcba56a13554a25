"""What a clumsy operator does with `sessionry serve`, and what the program says to that."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

import sessionry
from sessionry.cli.serve import local_token
from sessionry.domain.errors import InvalidInput, StoreFailed
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


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """One for 127.0.0.1 that nobody vouches for but itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not here")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    made = subprocess.run(
        [*request.split(), "-keyout", str(key), "-out", str(cert)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return str(cert), str(key)


@pytest.mark.slow
async def test_it_speaks_tls_with_browsers_programs_and_the_command_line(
    tmp_path: Path, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    words = [SESSIONRY, "--store", f"sqlite:///{tmp_path}/o.db", "serve", "--port", "0"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*words, "--tls-cert", cert, "--tls-key", key], stdout=subprocess.PIPE, env=env, cwd=tmp_path, text=True
    )
    try:
        assert process.stdout is not None
        url = (await asyncio.to_thread(process.stdout.readline)).strip()
        base, _, token = url.partition("/login?token=")
        assert base.startswith("https://")
        trusting = httpx.AsyncClient(verify=ssl.create_default_context(cafile=cert), trust_env=False)
        async with trusting:
            answer = await trusting.get(url)
        assert (answer.status_code, "Secure" in answer.headers["set-cookie"]) == (302, True)
        with pytest.raises(StoreFailed, match="CERTIFICATE_VERIFY_FAILED"):
            async with sessionry.connect(base, token=token):
                pass
        monkeypatch.setenv("SSL_CERT_FILE", cert)
        async with sessionry.connect(base, token=token) as remote:
            run = await (await remote.create("echo")).run("hello")
            assert [event.type async for event in run.events()][-1] == "run_completed"
        there = env | {"SESSIONRY_SERVER": base, "SESSIONRY_TOKEN": token, "SSL_CERT_FILE": cert}
        listed = await asyncio.to_thread(
            subprocess.run, [SESSIONRY, "--json", "runs"], env=there, capture_output=True, text=True, check=False
        )
        assert json.loads(listed.stdout)["id"] == run.id, listed.stderr
        with pytest.raises(httpx.RemoteProtocolError):  # no word of it is told to who does not speak TLS
            httpx.get(f"http{base.removeprefix('https')}/healthz", trust_env=False)
    finally:
        process.kill()
        process.communicate()
