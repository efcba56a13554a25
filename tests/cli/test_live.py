"""What is shown of the less usual events."""

from __future__ import annotations

import re

from .program import Cli

AGENTS = """
from sessionry import events as ev
from sessionry.domain.run import ErrorInfo

PROBLEM = ErrorInfo(code="agent_failed", message="a hiccup\\nof the line")

async def everything(context, message):
    yield ev.PlanUpdated(entries=[{"text": "look", "status": "completed"}, {"text": "mend", "status": "in_progress"}])
    yield ev.RateLimited(retry_after=2.5, message="too many requests")
    yield ev.ErrorOccurred(error=PROBLEM)
    yield ev.PolicyViolation(policy="p", kind="budget", action="warned")
    yield ev.ArtifactAdded(hash="0" * 64, size=12345, name="report.pdf")
    yield ev.MessageStreamed(text="I thi", message_id="m")
    yield ev.MessageReceived(text="We think.", message_id="m")
    yield ev.ReasoningStreamed(text="hm", message_id="r")
    yield ev.ReasoningReceived(text="hm, yes", message_id="r")
    yield ev.ToolCallStarted(tool_call_id="1", tool_name="build", tool_input={"all": True})
    yield ev.ToolCallStarted(tool_call_id="2", tool_name="test")
    yield ev.ToolOutputStreamed(tool_call_id="1", text="not shown")
    yield ev.ToolCallCompleted(tool_call_id="2", tool_name="test")
    yield ev.CustomRecorded(name="n", value=1)
    raise RuntimeError("over")

async def asks_twice(context, message):
    import asyncio
    one, two = await asyncio.gather(context.approve("one"), context.approve("two"))
    yield f"{bool(one)} {bool(two)}"
"""


def with_agents(cli: Cli) -> None:
    (cli.cwd / "my_agents.py").write_text(AGENTS)
    cli.env["PYTHONPATH"] = str(cli.cwd)
    for name in ("everything", "asks_twice"):
        cli.agent(name, type="function", function=f"my_agents:{name}")


def test_every_kind_of_news_is_a_line(cli: Cli) -> None:
    with_agents(cli)
    done = cli("run", "-a", "everything", "go")
    assert done.code == 1
    assert done.out == "I thi\nWe think.\n"
    took = "0.00 s"
    notes = [re.sub(r"\d+\.\d\d s", took, line) for line in done.err.splitlines()]
    assert notes[:-1] == [
        "plan:",
        "  ✓ look",
        "  ▸ mend",
        "rate limited, waits 2.5 s: too many requests",
        "error: a hiccup of the line",
        "policy: budget warned",
        "artifact report.pdf (12,345 bytes)",
        "hm, yes",
        f"test  ok {took}",
        f'build {{"all":true}}  interrupted {took}: run_failed',
        "RuntimeError: over [agent_failed]",
    ]
    assert notes[-1].startswith("failed · ")


def test_two_tools_at_once_keep_their_lines_on_a_terminal(cli: Cli) -> None:
    with_agents(cli)
    terminal = cli.terminal("run", "-a", "everything", "go")
    assert terminal.end() == 1
    shown = terminal.text
    assert 'build {"all":true}\ntest\r' in shown
    assert shown.index("test  ok") < shown.index('build {"all":true}  interrupted')


def test_two_questions_at_once_are_asked_one_after_the_other(cli: Cli) -> None:
    with_agents(cli)
    terminal = cli.terminal("run", "-a", "asks_twice", "go")
    first, second = cli.until(lambda: len(both := cli.ok("--json", "approvals").jsons) == 2 and both)
    ambiguous = cli("approve", first["session_id"])
    assert ambiguous.code == 2
    assert f"waits for 2 answers; name one: {first['id']}, {second['id']} [ambiguous_id]" in ambiguous.err
    terminal.until(f"approve {first['tool_name']}? [y/N/note] ")
    cli.ok("deny", first["id"])
    terminal.until("denied by ")
    terminal.until(f"approve {second['tool_name']}? [y/N/note] ")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert sorted(terminal.text.splitlines()[-2].split()) == ["False", "True"]


def test_both_answers_can_be_typed_ahead(cli: Cli) -> None:
    with_agents(cli)
    terminal = cli.terminal("run", "-a", "asks_twice", "go")
    terminal.until("? [y/N/note] ")
    cli.until(lambda: len(cli.ok("--json", "approvals").jsons) == 2)
    terminal.type("y\ny\n")
    terminal.until("True True")
    assert terminal.end() == 0
