"""The agents that are known to speak the protocol: how they are started, found and configured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.acp import PRESETS, AcpAgent, found
from sessionry.agents.acp.presets import COMMON
from sessionry.agents.catalog import Catalog
from sessionry.domain.errors import InvalidInput
from sessionry.ports import Capability
from sessionry.testing.context import RecordingContext
from tests.agents.acp.player import PROGRAM, spy


async def started(folder: Path, preset: str, prompt: Any = "hello", **options: Any) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment of an agent that was started for a run."""
    agent = AcpAgent(preset=preset, command=str(spy(folder)), **options)
    await RecordingContext(agent.check(prompt), cwd=folder).play(agent)
    lines = (folder / "env").read_text().splitlines()
    return (folder / "argv").read_text().splitlines(), dict(line.split("=", 1) for line in lines if "=" in line)


async def test_gemini_is_one_process_and_has_no_files_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("NODE_OPTIONS", "--inspect")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not for you")
    argv, env = await started(tmp_path, "gemini", {"prompt": "hi", "model": "flash"}, add_dirs=[str(tmp_path / "more")])
    assert argv == ["--acp", "-m", "flash", "--include-directories", str(tmp_path / "more")]
    assert env["GEMINI_CLI_NO_RELAUNCH"] == "true"
    assert env["GEMINI_API_KEY"] == "k"
    assert not {"NODE_OPTIONS", "ANTHROPIC_API_KEY"} & set(env)
    assert not PRESETS["gemini"].client_files


async def test_qwen_takes_its_model_and_folders_on_the_command_line(tmp_path: Path) -> None:
    argv, _ = await started(tmp_path, "qwen", model="m", add_dirs=[str(tmp_path)], arguments=["--debug"])
    assert argv == ["--acp", "--debug", "-m", "m", "--include-directories", str(tmp_path)]


async def test_copilot_takes_its_model_and_folders_on_the_command_line(tmp_path: Path) -> None:
    argv, env = await started(tmp_path, "copilot", model="m", add_dirs=[str(tmp_path)])
    assert argv == ["--acp", "--model", "m", "--add-dir", str(tmp_path)]
    assert env["COPILOT_AUTO_UPDATE"] == "false"


async def test_opencode_asks_before_it_acts(tmp_path: Path) -> None:
    argv, env = await started(tmp_path, "opencode")
    assert argv == ["acp"]
    assert json.loads(env["OPENCODE_CONFIG_CONTENT"])["permission"]["bash"] == "ask"
    _, env = await started(tmp_path, "opencode", env={"OPENCODE_CONFIG_CONTENT": "{}"})
    assert env["OPENCODE_CONFIG_CONTENT"] == "{}", "the user's own goes first"


async def test_codex_is_started_in_the_mode_in_which_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_PATH", "/opt/codex")
    argv, env = await started(tmp_path, "codex-acp")
    assert argv == [""]
    assert (env["INITIAL_AGENT_MODE"], env["CODEX_PATH"]) == ("read-only", "/opt/codex")
    assert not PRESETS["codex-acp"].ends_with_stdin


async def test_goose_is_started_with_its_subcommand(tmp_path: Path) -> None:
    argv, _ = await started(tmp_path, "goose")
    assert argv == ["acp"]


async def test_claude_may_be_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CODE_EXECUTABLE", "/opt/claude")
    _, env = await started(tmp_path, "claude-agent-acp")
    assert env["CLAUDE_CODE_EXECUTABLE"] == "/opt/claude"


async def test_usage_that_counts_on_is_told_as_increments(tmp_path: Path) -> None:
    usage = {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}
    more = {"inputTokens": 250, "outputTokens": 30, "totalTokens": 280}
    agent = AcpAgent(preset="copilot", command=str(spy(tmp_path)))
    prompts = [f"<<<{json.dumps([{'answer': {'usage': told}}])}>>>" for told in (usage, more)]
    context = RecordingContext(prompts[0], cwd=tmp_path, steering=[prompts[1]])
    await context.play(agent)
    used = context.log[-1]
    assert used.type == "run_completed"
    told = [event.data.usage.input_tokens for event in context.log if event.type == "token_usage_updated"]  # type: ignore[attr-defined]
    assert told == [100, 150]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_declares_what_its_agent_can(name: str) -> None:
    facts = AcpAgent(preset=name).facts
    assert facts.type == "acp"
    assert set(COMMON) <= set(facts.capabilities)
    assert (Capability.FORK in facts.capabilities) == (name in ("claude-agent-acp", "codex-acp", "opencode"))
    assert (Capability.STEER in facts.capabilities) == (name in ("claude-agent-acp", "codex-acp"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "command"),
        ({"preset": "emacs"}, "preset"),
        ({"command": "a", "approval_timeout": 0}, "approval_timeout"),
        ({"command": "a", "start_timeout": -1}, "start_timeout"),
        ({"command": "a", "kill_grace": 60}, "kill_grace"),
        ({"command": "a", "add_dirs": ["relative"]}, "add_dirs"),
        ({"command": "a", "mcp_servers": {"x": {}}}, "mcp_servers"),
        ({"command": "a", "mcp_servers": {"x": {"command": "y", "type": "http"}}}, "mcp_servers"),
        ({"command": "a", "mcp_servers": {"x": {"command": "y", "odd": 1}}}, "mcp_servers"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_its_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput) as told:
        AcpAgent(**options)
    assert (told.value.code, told.value.details["option"]) == ("invalid_configuration", named)


@pytest.mark.parametrize(
    "input",
    [
        {"prompt": "hi", "model": ""},
        {"prompt": "hi", "mode": 3},
        {"prompt": "hi", "config": {"a": 1}},
        {"prompt": "hi", "approval_timeout": "soon"},
        {"prompt": "hi", "remember": True},
    ],
)
def test_an_option_of_a_run_that_makes_no_sense_is_refused_by_its_name(input: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as told:
        AcpAgent(preset="qwen").check(input)
    (name,) = set(input) - {"prompt"}
    assert (told.value.code, told.value.details["path"]) == ("validation_error", f"input.{name}")


def test_a_file_configures_an_agent(tmp_path: Path) -> None:
    file = tmp_path / "agents.toml"
    file.write_text(
        '[mine]\ntype = "acp"\npreset = "opencode"\nmodel = "a/b"\nmode = "plan"\nadd_dirs = ["/more"]\n'
        'approval_timeout = 60\nstall_after = 90\non_stall = "fail"\n[mine.mcp_servers.files]\ncommand = "files"\n'
    )
    facts = Catalog.load(file).agent("mine").facts
    assert (facts.model, facts.stall_after, facts.on_stall) == ("a/b", 90, "fail")


def test_an_agent_is_found_with_its_version_and_signs_of_a_login(tmp_path: Path) -> None:
    package = tmp_path / "node_modules" / "@qwen-code" / "qwen-code"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"name": "@qwen-code/qwen-code", "version": "1.2.3"}')
    program = package / "dist" / "cli.js"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "qwen").symlink_to(program)
    environ = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    assert found("qwen", environ) == (str(tmp_path / "bin" / "qwen"), "1.2.3", None, "on PATH")
    assert found("qwen", environ | {"OPENAI_API_KEY": "k"}) == (
        str(tmp_path / "bin" / "qwen"),
        "1.2.3",
        True,
        "on PATH",
    )
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / "oauth_creds.json").write_text("{}")
    assert (told := found("qwen", environ)) is not None
    assert told.logged_in
    assert found("gemini", environ) is None
    with pytest.raises(KeyError):
        found("emacs")


def test_looking_for_agents_imports_nothing_of_the_protocol() -> None:
    code = "import sys; from sessionry.agents.acp import found; found('qwen'); print('acp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_the_package_s_own_side_of_an_agent_is_understood(tmp_path: Path) -> None:
    agent = AcpAgent(command=sys.executable, arguments=[str(PROGRAM.with_name("package_agent.py"))])
    context = RecordingContext(agent.check("hello"), cwd=tmp_path, answers=[True])
    events = await context.play(agent)
    assert [event.type for event in events if not event.type.startswith(("run_", "tool_approval"))] == [
        "agent_process_started",
        "agent_session_linked",
        "reasoning_streamed",
        "reasoning_received",
        "plan_updated",
        "tool_call_started",
        "tool_call_completed",
        "message_streamed",
        "agent_session_linked",
        "message_received",
        "token_usage_updated",
        "turn_completed",
    ]
    assert events[-1].text == "o: hello"  # type: ignore[attr-defined]
