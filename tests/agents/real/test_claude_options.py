"""Every option of Claude Code is in what really left: the command line, the environment, the request to the model."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from sessionry.agents.claude.found import found
from sessionry.agents.claude.hooks import Hook
from sessionry.agents.claude.options import ENV_ALLOW
from sessionry.domain import events as ev
from sessionry.testing.context import RecordingContext
from tests.agents.real.claude import asks, claude, data, left_with, played, processes, said_to_model, script, wrapped
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic, claude_program

MCP = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    match asked["method"]:
        case "initialize":
            version = asked["params"]["protocolVersion"]
            info = {"name": "calc", "version": "1"}
            answer = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
            answer = {"tools": [{"name": "add", "description": "adds", "inputSchema": schema}]}
        case "tools/call":
            given = asked["params"]["arguments"]
            answer = {"content": [{"type": "text", "text": str(given["a"] + given["b"])}]}
        case _:
            answer = {}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""
#: Not every model can think adaptively, and not every one can leave it.
MODELS = {"adaptive": "opus", "disabled": "claude-opus-4-5"}
HAPPENED: list[dict[str, Any]] = []


def guard(happened: dict[str, Any]) -> dict[str, Any] | None:
    """A hook: no command may have the word secret."""
    HAPPENED.append(happened)
    if "secret" not in str(happened.get("tool_input")):
        return None
    said = {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": "that is secret"}
    return {"hookSpecificOutput": said}


async def failing(happened: dict[str, Any]) -> None:
    raise LookupError("the hook is broken")


def everything(hermetic: Hermetic, program: Path) -> dict[str, Any]:
    """All options that can be together."""
    more = hermetic.home / "more"
    more.mkdir()
    return {
        "program": str(program),
        "model": "claude-opus-4-5",
        "fallback_model": "claude-haiku-4-5",
        "effort": "low",
        "thinking": 4096,
        "max_turns": 7,
        "max_budget_usd": 2.5,
        "permission_mode": "acceptEdits",
        "tools": ["Bash", "Read", "Write"],
        "allowed_tools": ["Bash(echo *)", "Read"],
        "disallowed_tools": ["WebFetch"],
        "system_prompt": "You are a --careful reviewer.",
        "append_system_prompt": "Be brief.",
        "setting_sources": ["project"],
        "settings": {"includeCoAuthoredBy": False},
        "add_dirs": [str(more)],
        "mcp_servers": {"calc": {"command": sys.executable, "args": ["-c", MCP]}},
        "strict_mcp_config": True,
        "agents": {"critic": {"description": "criticizes", "prompt": "Criticize."}},
        "hooks": {"PreToolUse": [Hook(matcher="Bash", command="cat > /dev/null", timeout=9)]},
        "output_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "env": {**hermetic.claude(), "EXTRA": "given"},
        "env_allow": [*ENV_ALLOW, "WANTED"],
        "api_timeout": 77.5,
        "max_retries": 3,
    }


@pytest.mark.slow
async def test_every_option_left(hermetic: Hermetic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "x")
    monkeypatch.setenv("WANTED", "passed on")
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", "cli")
    options = everything(hermetic, wrapped(hermetic.home))
    env = {name: value for name, value in options.pop("env").items() if name not in _OURS}
    context = RecordingContext(script({"json": {"n": 1}}), cwd=hermetic.work)
    await context.play(claude(hermetic, **options, env=env))
    argv, environ = left_with(hermetic.home)
    for word in (
        *("--input-format", "--output-format", "--verbose", "--include-partial-messages", "--include-hook-events"),
        *("--model=claude-opus-4-5", "--fallback-model=claude-haiku-4-5", "--effort=low", "--max-thinking-tokens=4096"),
        *("--max-turns=7", "--max-budget-usd=2.5", "--permission-mode=acceptEdits", "--tools=Bash,Read,Write"),
        *("--allowedTools=Bash(echo *),Read", "--disallowedTools=WebFetch", "--setting-sources=project"),
        *("--system-prompt=You are a --careful reviewer.", "--append-system-prompt=Be brief."),
        *("--system-prompt-snapshot=off", f"--add-dir={options['add_dirs'][0]}", "--strict-mcp-config"),
    ):
        assert word in argv
    assert argv[argv.index("--permission-prompt-tool") + 1] == "stdio"
    assert value_of(argv, "--json-schema") == options["output_schema"]
    assert in_file(argv, "mcpServers") == {"mcpServers": options["mcp_servers"]}
    hook = {"type": "command", "command": "cat > /dev/null", "timeout": 9}
    commands = {"PreToolUse": [{"matcher": "Bash", "hooks": [hook]}]}
    assert in_file(argv, "hooks") == {"includeCoAuthoredBy": False, "hooks": commands}
    assert environ["API_TIMEOUT_MS"] == "77500"
    assert environ["CLAUDE_CODE_MAX_RETRIES"] == "3"
    assert (environ["EXTRA"], environ["WANTED"]) == ("given", "passed on")
    assert not {"SECRET_OF_THE_WORKER", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"} & set(environ)
    asked = hermetic.server.asked[0]
    told = said_to_model(asked)
    assert asked.model == "claude-opus-4-5"
    assert asked.body["output_config"]["effort"] == "low"
    assert {"Bash", "Read", "Write", "StructuredOutput", "mcp__calc__add"} <= set(asked.tools)
    assert not {"WebFetch", "Task", "Edit"} & set(asked.tools)
    assert all(words in told for words in ("You are a --careful reviewer.", "Be brief.", str(hermetic.work)))
    assert context.data(ev.RunCompleted)[0].output == {"n": 1}


#: What the options of the test set themselves.
_OURS = ("API_TIMEOUT_MS", "CLAUDE_CODE_MAX_RETRIES")


def in_file(argv: list[str], key: str) -> Any:
    (content,) = (word for word in argv if word.startswith("{") and key in json.loads(word))
    return json.loads(content)


def value_of(argv: list[str], option: str) -> Any:
    (word,) = (word for word in argv if word.startswith(f"{option}="))
    return json.loads(word.partition("=")[2])


@pytest.mark.slow
async def test_the_options_of_a_run_left(hermetic: Hermetic, sessions: OpenSessions) -> None:
    agent = claude(
        hermetic, program=str(wrapped(hermetic.home)), model="claude-opus-4-5", disallowed_tools=["WebFetch"]
    )
    input = {
        "prompt": script({"json": {"n": 2}}),
        "model": "claude-haiku-4-5",
        "fallback_model": "claude-opus-4-5",
        "effort": "high",
        "max_turns": 3,
        "max_budget_usd": 1.5,
        "permission_mode": "plan",
        "disallowed_tools": ["WebSearch"],
        "append_system_prompt": "For this run alone.",
        "output_schema": {"type": "object"},
    }
    result, _ = await played(sessions, agent, hermetic, input)
    argv, _ = left_with(hermetic.home)
    for word in (
        *("--model=claude-haiku-4-5", "--fallback-model=claude-opus-4-5", "--effort=high", "--max-turns=3"),
        *("--max-budget-usd=1.5", "--permission-mode=plan", "--disallowedTools=WebFetch,WebSearch"),
        *("--append-system-prompt=For this run alone.", '--json-schema={"type":"object"}'),
    ):
        assert word in argv
    assert result.output == {"n": 2}
    assert hermetic.server.asked[0].model == "claude-haiku-4-5"


@pytest.mark.slow
async def test_thinking_can_be_told_in_words(hermetic: Hermetic) -> None:
    for thinking in ("adaptive", "disabled"):
        agent = claude(hermetic, program=str(wrapped(hermetic.home)), thinking=thinking, model=MODELS[thinking])
        await RecordingContext(script({"text": "x"}), cwd=hermetic.work).play(agent)
        assert f"--thinking={thinking}" in left_with(hermetic.home)[0]
        assert hermetic.server.asked[-1].body["thinking"]["type"] == thinking


@pytest.mark.slow
async def test_output_is_what_the_schema_says_or_the_run_fails(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    agent = claude(hermetic, output_schema=schema)
    result, events = await played(sessions, agent, hermetic, script({"json": {"n": "three"}}, {"json": {"n": 3}}))
    assert result.output == {"n": 3}
    assert len(data(events, ev.ToolCallFailed)) == 1, "the first try does not fit"
    golden("claude/structured_output", events)
    result, _ = await played(sessions, agent, hermetic, script({"text": "no"}))
    assert result.error.code == "agent_failed"
    assert "output_schema" in result.error.message


@pytest.mark.slow
async def test_the_tools_of_an_mcp_server_are_asked_for_and_run(hermetic: Hermetic) -> None:
    agent = asks(hermetic, mcp_servers={"calc": {"command": sys.executable, "args": ["-c", MCP]}})
    call = {"name": "mcp__calc__add", "input": {"a": 2, "b": 40}}
    steps = script({"tools": [call]}, {"text": "{last_tool}"})
    context = RecordingContext(steps, cwd=hermetic.work, answers=[True])
    await context.play(agent)
    assert context.questions[0].tool_name == "mcp__calc__add"
    assert context.data(ev.RunCompleted)[0].text == "42"


@pytest.mark.slow
async def test_hooks_run_and_are_told(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    hooks = {
        "PreToolUse": [Hook(matcher="Bash", function=f"{__name__}:guard")],
        "PostToolUse": [Hook(command="cat > posted.json; echo noted")],
        "Stop": [Hook(function=f"{__name__}:failing")],
    }
    HAPPENED.clear()
    steps = script({"shell": "echo fine"}, {"shell": "echo secret"}, {"text": "{last_tool}"})
    result, events = await played(sessions, claude(hermetic, hooks=hooks), hermetic, steps)
    assert "that is secret" in result.text
    assert [happened["tool_name"] for happened in HAPPENED] == ["Bash", "Bash"]
    assert json.loads((hermetic.work / "posted.json").read_text())["tool_name"] == "Bash"
    told = [event.value for event in data(events, ev.CustomRecorded) if event.name == "hook"]
    assert [(hook["event"], hook["outcome"]) for hook in told if isinstance(hook, dict)] == [
        ("PreToolUse", "success"),
        ("PostToolUse", "success"),
        ("PreToolUse", "success"),
        ("Stop", "error"),
    ]
    golden("claude/hooks", events)


async def test_it_is_found_in_its_package(hermetic: Hermetic) -> None:
    there = found(hermetic.claude())
    assert there is not None
    assert there.program == str(claude_program())
    assert there.version is not None
    assert there.version.startswith("2.")
    assert there.logged_in
    assert there.how == "in the package claude-agent-sdk"


@pytest.mark.slow
async def test_twenty_in_a_row_and_four_at_once_leave_nothing_behind(hermetic: Hermetic) -> None:
    agent, before = claude(hermetic), processes()
    runs: list[str] = []

    async def one(number: int) -> None:
        context = RecordingContext(script({"shell": f"echo {number}"}, {"text": str(number)}), cwd=hermetic.work)
        runs.append(context.run.id)
        await context.play(agent)
        assert context.data(ev.RunCompleted)[0].text == str(number)

    for number in range(20):
        await one(number)
    await asyncio.gather(*map(one, range(4)))
    assert processes() <= before
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
    assert list(hermetic.temporary.iterdir()) == []
    left = [path.name for path in Path(tempfile.gettempdir()).iterdir()]
    assert not [name for name in left if any(run[-12:] in name for run in runs)]
