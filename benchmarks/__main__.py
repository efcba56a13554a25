"""Ask the questions, print the answers, and write `RESULTS.md` and `plots/`: `python -m benchmarks [NAME ...]`.

In the environment: `QUICK=1` measures less of everything, without the other libraries, and writes nothing. `PEERS=1`
measures them all the same, `PEERS=0` leaves them out.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module

from benchmarks.answers import Answer
from benchmarks.harness import Effort
from benchmarks.report import line, write

#: Each is a module with `measure(effort) -> Answer`, in the order of the page.
QUESTIONS = (
    "append",
    "turns",
    "growth",
    "storage",
    "reading",
    "listing",
    "processes",
    "postgres",
    "fanout",
    "latency",
    "entities",
    "startup",
    "memory",
    "recovery",
    "cancelling",
    "takeover",
    "serving",
)


def main(names: list[str]) -> None:
    quick = os.environ.get("QUICK", "") not in ("", "0")
    effort = Effort(quick, (os.environ.get("PEERS") or ("0" if quick else "1")) != "0")
    answers = [asked(name, effort) for name in names or QUESTIONS]
    if not quick and not names:
        write(answers)


def asked(name: str, effort: Effort) -> Answer:
    begun = time.monotonic()
    answer: Answer = import_module(f"benchmarks.{name}").measure(effort)
    print(f"\n{answer.title} [{name}, {time.monotonic() - begun:.0f} s]", flush=True)
    for figure in answer.figures:
        print(line(figure), flush=True)
    return answer


if __name__ == "__main__":
    main(sys.argv[1:])
