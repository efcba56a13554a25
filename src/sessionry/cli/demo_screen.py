"""What the demo shows: text for people, or an object for each step for machines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sessionry.cli.demo_proof import Proof
from sessionry.cli.details import compact
from sessionry.cli.output import Output
from sessionry.cli.render import one_line, printable
from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json


class Screen:
    """Shows the steps of the demo as they happen."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._began = time.monotonic()
        self._number = 0
        self._speaking = False

    # --- steps ---

    def begin(self, folder: Path) -> None:
        self._line("The main job of Sessionry, with real processes and real kills. No key, no network.", bold=True)
        self._line(f"Everything is in {folder} and is removed afterwards.", dim=True)
        self._record("begin", folder=str(folder))

    def step(self, name: str, title: str, *, worker: int | None = None) -> None:
        self._number += 1
        self._line()
        self._line(f"{self._number}  {title}", bold=True, fg="cyan")
        if worker is not None:
            self._line(f"   $ sessionry worker &    # process {worker}", dim=True)
        self._record(name, title=title, worker=worker)

    def asks(self, prompt: str) -> None:
        self._line(f"   > {prompt}", fg="yellow")

    def advice(self, command: str) -> None:
        self._line(f"   {command}", dim=True)
        self._record("advice", command=command)

    def killed(self, worker: int, when: str, events: int) -> None:
        self._line(f"   $ kill -9 {worker}", fg="red", bold=True)
        self._line(f"   {when}; {events} events are in the log", fg="red")
        self._record("killed", worker=worker, when=when, events=events)

    def command(self, words: str, said: Sequence[str]) -> None:
        self._line(f"   $ {words}", dim=True)
        for line in said:
            self._line(f"   {line}")
        self._record("command", command=words, output=list(said))

    def proof(self, proof: Proof) -> None:
        self._line()
        for check in proof.checks:
            mark = (
                self._output.style("ok  ", fg="green")
                if check.holds
                else self._output.style("NO  ", fg="red", bold=True)
            )
            self._line(f"   {mark}{check.says}", styled=True)
        seconds = time.monotonic() - self._began
        failed = sum(not check.holds for check in proof.checks)
        told = (
            f"{failed} of {len(proof.checks)} checks do not hold" if failed else f"all {len(proof.checks)} checks hold"
        )
        self._line()
        self._line(f"   {told}, in {seconds:.0f} seconds", bold=True, fg="red" if failed else "green")
        checks = [{"says": check.says, "holds": check.holds} for check in proof.checks]
        self._record("proof", ok=proof.holds, checks=checks)

    # --- events ---

    def event(self, event: Event) -> None:
        """What people want to see of an event; words go on where the last ones ended."""
        match event.data:
            case ev.MessageStreamed(text=text):
                self._say(text)
            case ev.ReasoningStreamed(text=text):
                self._say(text, dim=True)
            case ev.MessageReceived() | ev.ReasoningReceived():
                self._end_words()
            case ev.ToolOutputStreamed(text=text):
                for line in filter(None, text.splitlines()):
                    self._line(f"   | {line}")
            case ev.ToolCallStarted(tool_name=name, tool_input=given):
                self._line(f"   {_call(name, given)}", fg="yellow")
            case ev.ToolCallFailed(error=error):
                self._line(f"     failed: {error.message}", fg="red")
            case ev.ToolCallCompleted(tool_output=output) if not _of_program(output):
                self._line(f"     {one_line(compact(output))}", dim=True)
            case ev.WorkerLost() | ev.RunStarted(attempt=2 | 3):
                self._line(f"   {_takeover(event.data)}", dim=True)
            case ev.ToolApprovalRequested(tool_name=name, tool_input=given):
                self._line(f"   may I? {_call(name, given)}", fg="magenta", bold=True)
            case ev.ToolApprovalGranted(by=by, note=note):
                self._line(f"   {by} said yes: {note}", fg="magenta")
            case ev.RunCompleted() | ev.RunFailed() | ev.RunCancelled() | ev.RunTimeout():
                done = isinstance(event.data, ev.RunCompleted)
                self._line(f"   {event.type.replace('_', ' ')}, event {event.seq}", fg="green" if done else "red")

    def _say(self, text: str, **look: Any) -> None:
        if self._output.json or self._output.quiet:
            return
        start = "" if self._speaking else "   "
        self._output.out.write(start + self._output.style(printable(text), **look))
        self._output.flush()
        self._speaking = True

    def _end_words(self) -> None:
        if self._speaking:
            self._output.line()
        self._speaking = False

    def _line(self, text: str = "", *, styled: bool = False, **look: Any) -> None:
        if self._output.json or self._output.quiet:
            return
        self._end_words()
        self._output.line(text if styled else self._output.style(printable(text), **look))
        self._output.flush()

    def _record(self, step: str, **fields: Any) -> None:
        if self._output.json:
            seconds = round(time.monotonic() - self._began, 3)
            self._output.object({"step": step, "seconds": seconds, **fields})
            self._output.flush()


def _call(name: str, given: Json) -> str:
    """A tool call on one line; a program by its name, wherever it is."""
    argv = given.get("argv") if isinstance(given, dict) else None
    if isinstance(argv, list):
        return " ".join(["$", Path(str(argv[0])).name, *map(str, argv[1:])])
    return one_line(f"{name} {compact(given)}")


def _of_program(output: Json) -> bool:
    return isinstance(output, dict) and "exit_code" in output


def _takeover(data: ev.EventData) -> str:
    return f"attempt {data.attempt}" if isinstance(data, ev.RunStarted) else "the log says: the worker was lost"
