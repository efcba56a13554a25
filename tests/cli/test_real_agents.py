"""The real Claude Code and the real Codex from the command line, with a model that is scripted."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.discovery import KNOWN
from sessionry.testing.fakellm import ModelServer
from tests.agents.real.hermetic import GEMINI_MODEL, Hermetic, claude_program, codex_program
from tests.agents.real.npm import installed

from .program import Cli

pytestmark = pytest.mark.slow

#: A picture of one pixel.
PIXEL = b"\x89PNG\r\n\x1a\n" + b"".join(
    len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    for kind, data in (
        (b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    )
)

BY_ITS_OWN_KEY = {"model_providers": {"scripted": {"env_key": "CODEX_API_KEY"}}}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    claude_program(), codex_program()
    with ModelServer({"default": [{"text": "ready"}]}, key="dummy") as server:
        yield server


@pytest.fixture
def able(cli: Cli, server: ModelServer, tmp_path: Path) -> Cli:
    """Somebody who can use both."""
    hermetic = Hermetic(tmp_path / "agents", server)
    codex = hermetic.codex(config=BY_ITS_OWN_KEY)
    own = {name: cli.env[name] for name in cli.env if name.startswith("XDG_")}
    cli.env |= codex | hermetic.claude() | own | {"CODEX_API_KEY": "dummy"}
    return cli


def bodies(server: ModelServer) -> list[dict[str, Any]]:
    return [each.body for each in server.requests if isinstance(each.body, dict)]


def test_the_first_usable_one_is_claude_and_its_options_leave(able: Cli, server: ModelServer) -> None:
    (able.cwd / "pixel.png").write_bytes(PIXEL)
    done = able.ok("run", "-o", "model=claude-sonnet-4-5", "--image", "pixel.png", "What is it?")
    assert "the agent is claude" in done.err
    assert done.out == "ready\n"
    sent = bodies(server)[-1]
    assert sent["model"].startswith("claude-sonnet-4-5")
    assert '"image"' in json.dumps(sent["messages"])


def test_options_of_codex_leave(able: Cli, server: ModelServer) -> None:
    schema = (
        '{"type":"object","properties":{"word":{"type":"string"}},"required":["word"],"additionalProperties":false}'
    )
    asked = '<<<SCRIPT [{"text":"{\\"word\\": \\"heron\\"}"}] >>>'
    done = able.ok("--json", "run", "-a", "codex", "-o", "effort=high", "--output-schema", schema, asked)
    sent = bodies(server)[-1]
    assert sent["reasoning"]["effort"] == "high"
    assert '"word"' in json.dumps(sent["text"])
    assert done.jsons[-1]["data"]["output"] == {"word": "heron"}


@pytest.mark.parametrize("id", ["claude", "codex", "gemini", "opencode"])
def test_an_agent_works_that_is_merely_on_the_path(id: str, cli: Cli, server: ModelServer, tmp_path: Path) -> None:
    """No file, and none of the packages that bring agents along."""
    programs, hidden = tmp_path / "programs", tmp_path / "hidden"
    programs.mkdir()
    hidden.mkdir()
    found = {"claude": claude_program, "codex": codex_program}
    (programs / id).symlink_to(found[id]() if id in found else installed(id))
    packages = [name for known in KNOWN.values() for name in known.packages]
    (hidden / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({packages}))\n")
    hermetic = Hermetic(tmp_path / "agents", server)
    # a worker passes on nothing of Codex's but its own key
    env = (
        {**hermetic.codex(config=BY_ITS_OWN_KEY), "CODEX_API_KEY": "dummy"}
        if id == "codex"
        else getattr(hermetic, id)()
    )
    node = Path(shutil.which("node") or "/usr/bin/node").parent
    path = f"{programs}:{node}:/usr/bin:/bin"
    cli.env |= {**env, "PATH": path, "PYTHONPATH": str(hidden)}
    (listed,) = [agent for agent in cli.ok("--json", "agents", "--installed").jsons if agent["id"] == id]
    assert (listed["status"], listed["found"]["how"]) == ("ready", "on PATH")
    assert listed["found"]["program"] == str(programs / id)
    options = ["-o", f"model={GEMINI_MODEL}"] if id == "gemini" else []
    done = cli("run", "-a", id, *options, "hello")
    assert (done.code, done.out) == (0, "ready\n"), done
    asked = [json.loads(line) for line in cli("--json", "doctor", "--agents").lines]
    (said,) = [each for each in asked if each["check"] == "agent" and each["message"].startswith(id)]
    assert said["status"] == "ok", said


def test_the_doctor_asks_both(able: Cli) -> None:
    found = [json.loads(line) for line in able("--json", "doctor", "--agents").lines]
    said = {each["message"].split()[0]: each for each in found if each["check"] == "agent"}
    assert (said["claude"]["status"], said["codex"]["status"]) == ("ok", "ok"), said


def test_a_key_that_is_refused_is_told_with_the_remedy(able: Cli) -> None:
    able.env |= {"ANTHROPIC_API_KEY": "wrong", "CODEX_API_KEY": "wrong"}
    done = able("--json", "doctor", "--agents")
    assert done.code == 1
    said = [json.loads(line) for line in done.lines]
    for id, remedy in (("claude:", "ANTHROPIC_API_KEY"), ("codex:", "codex login")):
        (finding,) = [each for each in said if each["message"].startswith(id)]
        assert "[auth]" in finding["message"]
        assert remedy in finding["remedy"]
