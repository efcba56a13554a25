"""What does the command line cost before it does anything? CPU time against `python -c pass`."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from pathlib import Path

import sessionry
from benchmarks.answers import Answer, Bars, at_most
from benchmarks.harness import Effort, Side, folder, interleaved

SCRIPT = Path(sys.executable).parent / "sessionry"

_READING = (
    "CPU of a command from its start to its end, of all threads, user and system; each is started five"
    " times in each round. All modules are compiled before, as an installer does it."
)


def measure(effort: Effort) -> Answer:
    compileall.compile_dir(str(Path(sessionry.__file__).parent), quiet=2)
    with folder() as path:
        environment = os.environ | {"SESSIONRY_STORE": f"sqlite:///{path / 'store.db'}"}
        words = [str(SCRIPT), "run", "--agent", "echo", "hello"]
        subprocess.run(words, env=environment, capture_output=True, check=True)

        def side(name: str, *command: str) -> Side:
            return Side(name, lambda: sum(_cpu(command, environment) for _ in range(5)) / 5 * 1000)

        found = interleaved(
            [
                side("pass", sys.executable, "-c", "pass"),
                side("help", str(SCRIPT), "--help"),
                side("ls", str(SCRIPT), "ls"),
            ],
            effort.of(7, 3),
        )
    figures = [
        at_most(
            f"CPU of `sessionry {command}`: times that of `python -c pass`",
            found[name].median / found["pass"].median,
            bound,
            f"{found[name]} ms against {found['pass']} ms",
        )
        for name, command, bound in (("help", "--help", 4), ("ls", "ls", 8))
    ]
    labels = {"pass": "python -c pass", "help": "Sessionry --help", "ls": "Sessionry ls"}
    bars = [(labels[name], one.median) for name, one in found.items()]
    return Answer(
        "Starting the command line",
        _READING,
        figures,
        [Bars("startup", "CPU of a command", "milliseconds; less is better", bars)],
    )


def _cpu(command: tuple[str, ...], environment: dict[str, str]) -> float:
    before = os.times()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
