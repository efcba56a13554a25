"""What a real agent may do in each of its modes: what it is asked for, and what is on the disk afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.testing.context import RecordingContext
from tests.agents.real.claude import claude
from tests.agents.real.codex import Spy, codex, first, log_of, pid_in, script, session_in
from tests.agents.real.conftest import OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("mode", "questions", "written", "run"),
    [
        ("default", 2, False, False),
        ("acceptEdits", 0, True, True),
        ("plan", 1, False, False),
        ("dontAsk", 0, False, False),
        ("auto", 0, True, True),
        ("bypassPermissions", 0, True, True),
    ],
)
async def test_the_permission_modes_of_claude(
    hermetic: Hermetic, mode: str, questions: int, written: bool, run: bool
) -> None:
    """Whatever is asked is denied."""
    write = {"write": {"path": str(hermetic.work / "written"), "content": "x"}}
    prompt = script(write, {"shell": "echo x > ran"}, {"text": "done"})
    context = RecordingContext(prompt, cwd=hermetic.work, answers=lambda _: False)
    await context.play(claude(hermetic, permission_mode=mode))
    assert len(context.questions) == questions
    assert (hermetic.work / "written").exists() is written
    assert (hermetic.work / "ran").exists() is run
    assert context.data(ev.RunCompleted)[0].text == "done"


@pytest.mark.parametrize(
    ("sandbox", "inside", "outside"),
    [("read-only", False, False), ("workspace-write", True, False), ("danger-full-access", True, True)],
)
async def test_the_sandboxes_of_codex(hermetic: Hermetic, sandbox: Any, inside: bool, outside: bool) -> None:
    of_the_sandbox: dict[str, Any] = {"exclude_slash_tmp": True, "exclude_tmpdir_env_var": True}
    agent = codex(
        hermetic, sandbox=sandbox, approval_policy="never", config={"sandbox_workspace_write": of_the_sandbox}
    )
    prompt = script({"shell": f"touch inside; touch {hermetic.home}/outside; true"}, {"text": "done"})
    context = RecordingContext(prompt, cwd=hermetic.work)
    await context.play(agent)
    assert (hermetic.work / "inside").exists() is inside
    assert (hermetic.home / "outside").exists() is outside
    assert context.data(ev.RunCompleted)[0].text == "done"


async def test_what_codex_forgets_when_it_is_interrupted_is_cleaned_up(
    hermetic: Hermetic, sessions: OpenSessions
) -> None:
    """It would let the command run on, and never tell of its end."""
    folder = hermetic.home.parent / "spy"
    folder.mkdir()
    spy = Spy(folder)
    prompt = script({"shell": "echo $$ > pid; exec sleep 60"}, {"text": "never"})
    agent = codex(hermetic, program=str(spy.program), sandbox="danger-full-access", approval_policy="never")
    async with sessions({"codex": agent}) as opened:
        run = await (await session_in(opened, hermetic)).run(prompt)
        await pid_in(hermetic.work / "pid")
        await first(run, ev.ToolCallStarted)
        await run.cancel()
        await log_of(run)
    (started,) = spy.sent("turn/interrupt")
    assert spy.sent("thread/backgroundTerminals/clean") == [{"threadId": started["threadId"]}]
