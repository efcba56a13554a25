"""One session goes from the real Claude Code to the real Codex and back: each goes on where it was and hears the rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from tests.agents.real.claude import claude, data, log_of, said_to_model, script
from tests.agents.real.codex import FREE, codex
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow

PIXEL = {
    "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "media_type": "image/png",
}


async def test_from_claude_to_codex_and_back(hermetic: Hermetic, sessions: OpenSessions, golden: Golden) -> None:
    asked: list[tuple[str, Any]] = [
        ("claude", script({"text": "it is the heron"})),
        (
            "codex",
            {"prompt": script({"shell": "echo herons > birds.txt"}, {"text": "written down"}), "images": [PIXEL]},
        ),
        ("claude", script({"text": "I have read it"})),
        ("codex", script({"text": "so have I"})),
    ]
    runs: list[list[Event]] = []
    told: list[str] = []
    async with sessions({"claude": claude(hermetic), "codex": codex(hermetic, **FREE)}) as opened:
        session = await opened.create("claude", cwd=hermetic.work)
        for agent, input in asked:
            before = len(hermetic.server.asked)
            runs.append(await log_of(await session.run(input, agent=agent)))
            told.append(said_to_model(hermetic.server.asked[before]))
    links = [data(run, ev.AgentSessionLinked)[0] for run in runs]
    assert [link.resumed for link in links] == [False, False, True, True]
    assert links[0].native_session_id == links[2].native_session_id != links[1].native_session_id
    assert links[1].native_session_id == links[3].native_session_id
    held = [data(run, ev.AgentSessionLinked)[-1].items or 0 for run in runs]
    assert held[2] > held[0] > 0
    assert held[3] > held[1] > 0
    reports = [data(run, ev.ContinuityReport) for run in runs]
    assert not reports[0]
    (left_out,) = reports[2][0].left_out
    assert "image" in left_out["what"], "what could not be carried over is told"
    assert [(report.mode, report.previous_agents) for (report,) in reports[1:]] == [
        ("replay", ["claude"]),
        ("both", ["codex"]),
        ("both", ["claude"]),
    ]
    assert "it is the heron" in told[1]
    assert "written down" in told[2]
    assert "birds.txt" in told[2], "what was done as well as what was said"
    assert "I have read it" in told[3]
    assert not [event for run in runs for event in data(run, ev.ResumeDegraded)]
    assert [data(run, ev.RunCompleted)[0].text for run in runs] == [
        "it is the heron",
        "written down",
        "I have read it",
        "so have I",
    ]
    reported = [report for run in runs for report in data(run, ev.ContinuityReport)]
    golden("changing/claude_codex_claude", map(without_chance, reported))


def without_chance(report: ev.ContinuityReport) -> ev.ContinuityReport:
    """How long a text with ids is, and in how many pieces a message came, is chance."""
    left_out = [{**entry, "seq": None} for entry in report.left_out]
    return msgspec.structs.replace(report, tokens=0, left_out=left_out)
