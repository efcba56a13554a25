"""What does the command line cost before it does anything? CPU time against `python -c pass`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Figure, Side, at_most, folder, interleaved

SCRIPT = Path(sys.executable).parent / "sessionry"


def measure(quick: bool) -> list[Figure]:
    with folder() as path:
        environment = os.environ | {"SESSIONRY_STORE": f"sqlite:///{path / 'store.db'}"}

        def cpu(*command: str) -> float:
            before = os.times()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            after = os.times()
            return after.children_user + after.children_system - before.children_user - before.children_system

        subprocess.run(
            [str(SCRIPT), "run", "--agent", "echo", "hello"], env=environment, capture_output=True, check=True
        )
        sides = [
            Side("pass", lambda: sum(cpu(sys.executable, "-c", "pass") for _ in range(5)) / 5),
            Side("help", lambda: sum(cpu(str(SCRIPT), "--help") for _ in range(5)) / 5),
            Side("ls", lambda: sum(cpu(str(SCRIPT), "ls") for _ in range(5)) / 5),
        ]
        found = interleaved(sides, 3 if quick else 7)
    figures = []
    for name, bound in (("help", 4), ("ls", 8)):
        text = f"{found[name] * 1000:.0f} ms against {found['pass'] * 1000:.0f} ms"
        command = "--help" if name == "help" else name
        figures.append(
            at_most(
                f"CPU of `sessionry {command}`: times that of `python -c pass`",
                text,
                found[name] / found["pass"],
                bound,
            )
        )
    return figures
