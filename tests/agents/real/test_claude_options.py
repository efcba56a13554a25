"""Every option of Claude Code is in what really left: the command line, the environment, the request to the model."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from sessionry.agents.claude.found import found
from sessionry.agents.claude.hooks import Hook
from sessionry.agents.claude.options import ENV_ALLOW, RUN_OPTIONS
from sessionry.domain import events as ev
from sessionry.domain.run import AgentFacts
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import Received
from tests.agents.arrivals import Arrival, Made, arrives, graces, named, of_runs
from tests.agents.real.claude import (
    asks,
    claude,
    data,
    left_with,
    played,
    processes,
    said_to_model,
    script,
    usage_last,
    wrapped,
)
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


class Left(NamedTuple):
    """What left for Claude Code and for the model, and what came of it."""

    program: str
    argv: list[str]
    environ: dict[str, str]
    asked: list[Received]
    context: RecordingContext
    facts: AgentFacts
    graces: list[float]
    work: Path

    @property
    def told(self) -> str:
        """The first request to the model, as text."""
        return said_to_model(self.asked[0])


def flag(name: str) -> Callable[[Left], str]:
    """The value that is bound to an option of the command line."""
    return lambda left: next(word for word in left.argv if word.startswith(f"--{name}=")).partition("=")[2]


def in_file(key: str) -> Callable[[Left], Any]:
    """The content of the file that is named on the command line and has the key."""
    return lambda left: next(
        content for content in (json.loads(word) for word in left.argv if word.startswith("{")) if key in content
    )


def another(folder: Path) -> str:
    (folder / "another").mkdir()
    return str(wrapped(folder / "another"))


def made(folder: Path) -> str:
    (folder / "more").mkdir()
    return str(folder / "more")


ADDS = script({"tools": [{"name": "mcp__calc__add", "input": {"a": 2, "b": 40}}]}, {"text": "{last_tool}"})
SHELL = script({"shell": "touch made"}, {"text": "done"})
ASKS = {"permission_mode": "default"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
OLDER = {"model": "claude-opus-4-5"}
SERVERS = {"calc": {"command": sys.executable, "args": ["-c", MCP]}}
HOOK = {"PreToolUse": [Hook(matcher="Bash", command="cat > /dev/null; touch hooked", timeout=9)]}

OF_BOTH = [
    Arrival("model", "claude-haiku-4-5", lambda left: left.asked[0].model, "claude-haiku-4-5"),
    Arrival("fallback_model", "claude-haiku-4-5", flag("fallback-model"), "claude-haiku-4-5"),
    Arrival("effort", "low", lambda left: left.asked[0].body["output_config"]["effort"], "low", beside=OLDER),
    Arrival("max_turns", 7, flag("max-turns"), "7"),
    Arrival("max_budget_usd", 2.5, flag("max-budget-usd"), "2.5"),
    Arrival("permission_mode", "plan", flag("permission-mode"), "plan"),
    Arrival("disallowed_tools", ["Write"], lambda left: "Write" in left.asked[0].tools, seen=False),
    Arrival("append_system_prompt", "Be --brief.", lambda left: "Be --brief." in left.told, seen=True),
    Arrival("output_schema", SCHEMA, lambda left: json.loads(flag("json-schema")(left)), SCHEMA),
    Arrival("output_schema", SCHEMA, lambda left: "StructuredOutput" in left.asked[0].tools, seen=True),
]
ARRIVALS = [
    *OF_BOTH,
    *of_runs(OF_BOTH, *RUN_OPTIONS),
    Arrival(
        "model", "claude-haiku-4-5", lambda left: left.asked[0].model, "claude-haiku-4-5", of_run=True, beside=OLDER
    ),
    Arrival("program", Made(another), lambda left: Path(left.program).parent.name, "another"),
    Arrival("thinking", 4096, flag("max-thinking-tokens"), "4096"),
    Arrival("thinking", "adaptive", flag("thinking"), "adaptive"),
    Arrival("thinking", "disabled", lambda left: left.asked[0].body["thinking"]["type"], "disabled", beside=OLDER),
    Arrival("permissions", "deny", lambda left: left.argv[left.argv.index("--permission-prompts") + 1], "none"),
    Arrival("permissions", "deny", lambda left: len(left.context.questions), 0, beside=ASKS, input=SHELL),
    Arrival("approval_timeout", 77.0, lambda left: left.context.questions[0].timeout, 77.0, beside=ASKS, input=SHELL),
    Arrival(
        "tools", ["Bash", "Read"], lambda left: {"Bash", "Edit", "Read"} & set(left.asked[0].tools), {"Bash", "Read"}
    ),
    Arrival(
        "allowed_tools", ["Bash(touch *)", "Read"], lambda left: left.context.questions, [], beside=ASKS, input=SHELL
    ),
    Arrival("allowed_tools", ["Bash(touch *)", "Read"], flag("allowedTools"), "Bash(touch *),Read"),
    Arrival(
        "disallowed_tools",
        ["WebSearch"],
        flag("disallowedTools"),
        "WebFetch,WebSearch",
        of_run=True,
        beside={"disallowed_tools": ["WebFetch"]},
    ),
    Arrival("system_prompt", "You are --terse.", lambda left: "You are --terse." in left.told, seen=True),
    Arrival("setting_sources", ["project", "local"], flag("setting-sources"), "project,local"),
    Arrival("setting_sources", [], flag("setting-sources"), ""),
    Arrival("settings", {"includeCoAuthoredBy": False}, in_file("includeCoAuthoredBy"), {"includeCoAuthoredBy": False}),
    Arrival("add_dirs", Made(lambda folder: [made(folder)]), lambda left: Path(flag("add-dir")(left)).name, "more"),
    Arrival("mcp_servers", SERVERS, in_file("mcpServers"), {"mcpServers": SERVERS}),
    Arrival("mcp_servers", SERVERS, lambda left: left.context.data(ev.RunCompleted)[0].text, "42", input=ADDS),
    Arrival("strict_mcp_config", True, lambda left: "--strict-mcp-config" in left.argv, seen=True),
    Arrival(
        "agents",
        {"critic": {"description": "criticizes plays", "prompt": "Criticize."}},
        lambda left: "criticizes plays" in left.told,
        seen=True,
    ),
    Arrival("hooks", HOOK, lambda left: (left.work / "hooked").exists(), seen=True, input=SHELL),
    Arrival("hooks", HOOK, lambda left: in_file("hooks")(left)["hooks"]["PreToolUse"][0]["hooks"][0]["timeout"], 9),
    Arrival("env", {"EXTRA": "given"}, lambda left: left.environ["EXTRA"], "given"),
    Arrival("env_allow", [*ENV_ALLOW, "WANTED"], lambda left: left.environ["WANTED"], "passed on"),
    Arrival("api_timeout", 77.5, lambda left: left.environ["API_TIMEOUT_MS"], "77500"),
    Arrival("max_retries", 3, lambda left: left.environ["CLAUDE_CODE_MAX_RETRIES"], "3"),
    Arrival("kill_grace", 2.5, lambda left: left.graces[-1], 2.5),
    Arrival("stall_after", 9.0, lambda left: left.facts.stall_after, 9.0),
    Arrival("on_stall", "fail", lambda left: left.facts.on_stall, "fail"),
]


@pytest.mark.slow
@pytest.mark.parametrize("arrival", ARRIVALS, ids=named)
async def test_every_option_arrives(
    arrival: Arrival, hermetic: Hermetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANTED", "passed on")
    # what two of the options set themselves
    env = {name: value for name, value in hermetic.claude().items() if name not in _OURS}

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        work = folder / "work"
        work.mkdir()
        before = len(hermetic.server.asked)
        given = {"program": str(wrapped(folder)), **options, "env": {**env, **options.get("env", {})}}
        agent = claude(hermetic, **given)
        context = RecordingContext(agent.check(input), cwd=work, answers=lambda _: True)
        with graces() as got:
            await context.play(agent)
        program = given["program"]
        argv, environ = left_with(Path(program).parent)
        return Left(program, argv, environ, hermetic.server.asked[before:], context, agent.facts, got, work)

    await arrives(arrival, tmp_path, play)


_OURS = ("API_TIMEOUT_MS", "CLAUDE_CODE_MAX_RETRIES")


@pytest.mark.slow
async def test_what_is_not_on_the_list_is_not_passed_on(hermetic: Hermetic, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"SECRET_OF_THE_WORKER", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"}
    for name in kept:
        monkeypatch.setenv(name, "1")
    agent = claude(hermetic, program=str(wrapped(hermetic.home)))
    await RecordingContext(script({"text": "x"}), cwd=hermetic.work).play(agent)
    argv, environ = left_with(hermetic.home)
    assert not kept & set(environ)
    assert argv[argv.index("--permission-prompt-tool") + 1] == "stdio"
    assert {"--verbose", "--include-partial-messages"} < set(argv)


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
    golden("claude/hooks", usage_last(events))


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
