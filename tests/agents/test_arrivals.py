"""Every option of the agents that need no model arrives: with a program that is started, or in what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionry.agents.amp import AmpAgent
from sessionry.agents.cursor import CursorAgent
from sessionry.agents.entries import function_agent
from sessionry.agents.scripted import ScriptedAgent
from sessionry.agents.shell import ShellAgent
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput
from sessionry.domain.run import Takeover
from sessionry.ports import Agent, AgentContext
from sessionry.testing.context import RecordingContext
from tests.agents.arrivals import Arrival, Made, arrives, graces, named, of_runs
from tests.agents.players import Player


class Left(NamedTuple):
    """What came of a run, of an agent that may have started a program."""

    agent: Agent
    context: RecordingContext
    graces: list[float]
    seconds: float
    refused: InvalidInput | None = None
    player: Player | None = None

    @property
    def text(self) -> str | None:
        return self.context.data(ev.RunCompleted)[0].text

    @property
    def error(self) -> str:
        return self.context.data(ev.RunFailed)[0].error.code

    @property
    def call(self) -> Any:
        """The newest call of the program that plays frames."""
        assert self.player is not None
        return self.player.calls[-1]


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def after(word: str) -> Any:
    """The word behind that one, of the command line."""
    return lambda left: left.call["argv"][left.call["argv"].index(word) + 1]


def looks_around(context: AgentContext) -> str:
    return "found me"


def written(folder: Path) -> Path:
    (folder / "script.yaml").write_text("- say: from a file\n")
    return folder / "script.yaml"


ECHOES = {"argv": sh("echo $GREETING"), "env": {"GREETING": "hi"}}
ALLOWS = {"allowed_commands": ["sh"]}
SHELL = [
    Arrival("shell_string", True, lambda left: left.text, "0ne", input="echo one | tr o 0"),
    Arrival("shell", "/bin/bash", lambda left: left.text, "/bin/bash", beside={"shell_string": True}, input="echo $0"),
    Arrival("allowed_commands", ["git"], lambda left: left.error, "policy_violation", input=["echo"]),
    Arrival("denied_commands", ["echo"], lambda left: left.error, "policy_violation", input=["echo"]),
    Arrival("success_exit_codes", [0, 3], lambda left: left.text, "3", input=sh("echo 3; exit 3")),
    Arrival(
        "max_output_bytes",
        1024,
        lambda left: "dropped" in str(left.context.data(ev.ToolCallCompleted)),
        True,
        input=sh("seq 999"),
    ),
    Arrival("env", {"SET": "2"}, lambda left: left.text, "2", input=sh("echo $SET")),
    Arrival("env_allow", ["PATH", "WANTED"], lambda left: left.text, "passed on", input=sh("echo $WANTED")),
    Arrival("input_env", True, lambda left: left.text, "hi", beside=ALLOWS, input=ECHOES),
    Arrival(
        "input_env", False, lambda left: left.refused is not None and "env" in str(left.refused), True, input=ECHOES
    ),
    Arrival("approve", True, lambda left: left.context.questions[0].tool_name, "shell", input=["echo"]),
    Arrival("kill_grace", 2.5, lambda left: left.graces[-1], 2.5, input=["echo"]),
]
SLEEPS = {"script": [{"sleep": 0.05}, {"say": "done"}]}
SCRIPTED = [
    Arrival("script", [{"say": "hello"}], lambda left: left.context.data(ev.MessageReceived)[0].text, "hello"),
    Arrival("file", Made(written), lambda left: left.context.data(ev.MessageReceived)[0].text, "from a file"),
    Arrival("pace", 20, lambda left: left.seconds >= 1, True, beside=SLEEPS),
    Arrival("takeover", Takeover.STOP, lambda left: left.agent.takeover, Takeover.STOP),
    Arrival("takeover_waiting", Takeover.RESTART, lambda left: left.agent.takeover_waiting, Takeover.RESTART),
]
FUNCTION = [
    Arrival("function", f"{__name__}:looks_around", lambda left: left.text, "found me", alone=True),
    Arrival("takeover", Takeover.RESUME, lambda left: left.agent.takeover, Takeover.RESUME),
    Arrival("takeover_waiting", Takeover.STOP, lambda left: left.agent.takeover_waiting, Takeover.STOP),
    Arrival("capabilities", ["steer"], lambda left: left.agent.facts.capabilities, ["steer"]),
]
OF_PROGRAMS = [
    Arrival(
        "program", Made(lambda folder: folder / "another"), lambda left: Path(left.call["program"]).name, "another"
    ),
    Arrival("env", {"GIVEN": "2"}, lambda left: left.call["env"]["GIVEN"], "2"),
    Arrival("env_allow", ["PATH", "WANTED"], lambda left: left.call["env"]["WANTED"], "passed on"),
]
MODE = Arrival("mode", "deep", after("--mode"), "deep")
MODEL = Arrival("model", "some-model", after("--model"), "some-model")
AMP = [
    *(*OF_PROGRAMS, MODE, *of_runs([MODE], "mode")),
    Arrival("allow_all", True, lambda left: "--dangerously-allow-all" in left.call["argv"], True),
]
CURSOR = [
    *(*OF_PROGRAMS, MODEL, *of_runs([MODEL], "model")),
    Arrival("force", True, lambda left: "--force" in left.call["argv"], True),
]
ARRIVALS = {"shell": SHELL, "scripted": SCRIPTED, "function": FUNCTION, "amp": AMP, "cursor": CURSOR}


def made(type: str, options: Mapping[str, Any], folder: Path) -> tuple[Agent, Player | None]:
    match type:
        case "shell":
            return ShellAgent(**options), None
        case "scripted":
            return ScriptedAgent(**{"pace": 0, **options}), None
        case "function":
            return function_agent("x", **{"function": f"{__name__}:looks_around", **options}), None
    name = Path(options.get("program", folder / type)).name
    player = Player(folder, name, f"{type}.jsonl")
    agent = AmpAgent if type == "amp" else CursorAgent
    return agent(**{**options, "program": str(player.program)}), player


@pytest.mark.parametrize(
    ("type", "arrival"),
    [(type, row) for type, table in ARRIVALS.items() for row in table],
    ids=[f"{type}-{named(row)}" for type, table in ARRIVALS.items() for row in table],
)
async def test_every_option_arrives(
    type: str, arrival: Arrival, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANTED", "passed on")

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        agent, player = made(type, options, folder)
        try:
            checked = agent.check(input)
        except InvalidInput as refused:
            return Left(agent, RecordingContext(), [], 0, refused)
        context, began = RecordingContext(checked, cwd=folder, answers=lambda _: True), time.monotonic()
        with graces() as got:
            await context.play(agent)
        return Left(agent, context, got, time.monotonic() - began, None, player)

    await arrives(arrival, tmp_path, play)
