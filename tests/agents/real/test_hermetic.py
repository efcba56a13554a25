"""The real programs, by their own command lines, work in the home that the tests give them; nothing else is involved."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.process import environment
from tests.agents.real.hermetic import GEMINI_MODEL, KEY, Hermetic, claude_program, codex_program, toml

WORKS = '<<<SCRIPT [{"text": "working", "thinking": "how?", "shell": "echo hi > out.txt"}, {"text": "all done"}] >>>'


def run(command: list[str], env: Mapping[str, str], cwd: Path) -> list[dict[str, Any]]:
    """What the program writes, a JSON object a line."""
    null = subprocess.DEVNULL
    done = subprocess.run(
        command, cwd=cwd, env=environment(env), stdin=null, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def check_work(hermetic: Hermetic) -> None:
    assert (hermetic.work / "out.txt").read_text() == "hi\n"
    assert [request.turn for request in hermetic.server.asked] == [0, 1]
    assert all("<<<SCRIPT" in request.prompt for request in hermetic.server.asked)
    assert {request.ended for request in hermetic.server.asked} == {"answered"}


def test_claude_code_works(hermetic: Hermetic) -> None:
    options = ["--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits"]
    frames = run([str(claude_program()), "-p", WORKS, *options], hermetic.claude(), hermetic.work)
    assert frames[-1]["result"] == "all done"
    assert hermetic.server.asked[0].headers["x-api-key"] == KEY
    check_work(hermetic)


def test_codex_works(hermetic: Hermetic) -> None:
    command = [str(codex_program()), "exec", "--json", "--skip-git-repo-check", "-s", "workspace-write", WORKS]
    frames = run(command, hermetic.codex(), hermetic.work)
    items = [frame["item"] for frame in frames if frame["type"] == "item.completed"]
    assert [item["type"] for item in items] == ["reasoning", "agent_message", "command_execution", "agent_message"]
    assert items[-1]["text"] == "all done"
    check_work(hermetic)


def test_the_settings_of_codex_can_be_changed(hermetic: Hermetic) -> None:
    env = hermetic.codex(config={"model": "other", "features": {"apps": True}}, env={"MORE": "1"})
    written = tomllib.loads(Path(env["CODEX_HOME"], "config.toml").read_text())
    assert written["model"] == "other"
    assert written["features"] == {"plugins": False, "apps": True, "remote_plugin": False}
    assert written["model_providers"]["scripted"]["base_url"] == f"{hermetic.server.url}/v1"
    assert env["MORE"] == "1"


def test_toml_keeps_what_settings_say() -> None:
    settings = {"a.b": 'q"\\', "n": [1, 2.5, True], "table": {"x y": {"deep": "ä"}, "z": False}}
    assert tomllib.loads(toml(settings)) == settings


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen", "gemini"])
def test_agents_of_npm_work(name: str, hermetic: Hermetic, npm_agent: Callable[[str], Path]) -> None:
    model = ["-m", GEMINI_MODEL] if name == "gemini" else []
    command = [str(npm_agent(name)), *model, "-p", WORKS, "-o", "stream-json", "-y"]
    run(command, getattr(hermetic, name)(), hermetic.work)
    check_work(hermetic)


@pytest.mark.slow
def test_opencode_works(hermetic: Hermetic, npm_agent: Callable[[str], Path]) -> None:
    env = hermetic.opencode(config={"permission": {"bash": "allow"}})
    run([str(npm_agent("opencode")), "run", "--format", "json", WORKS], env, hermetic.work)
    check_work(hermetic)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["claude-agent-acp", "codex-acp", "qwen", "gemini", "opencode"])
def test_agents_of_npm_speak_the_agent_client_protocol(name: str, hermetic: Hermetic) -> None:
    command, env = hermetic.acp(name)
    asked = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": 1, "clientCapabilities": {}},
    }
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=hermetic.work, env=environment(env), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    ) as agent:
        assert agent.stdin is not None
        assert agent.stdout is not None
        try:
            agent.stdin.write(json.dumps(asked).encode() + b"\n")
            agent.stdin.flush()
            answer = json.loads(agent.stdout.readline())
        finally:
            agent.kill()
    assert answer["result"]["protocolVersion"] == 1
