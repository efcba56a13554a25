"""Asks the person at the terminal what an agent wants to know, while the run goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from sessionry.cli.errors import sentence
from sessionry.domain.errors import SessionryError

if TYPE_CHECKING:
    from sessionry.cli.live import Screen
    from sessionry.runtime.sessions import Sessions

_YES, _NO = ("y", "yes"), ("n", "no", "")


class Answer(NamedTuple):
    """What a line that was typed means: the first word decides, the rest is a note; any other text is a no with a note."""

    approved: bool
    note: str | None

    @classmethod
    def of(cls, line: str) -> Answer:
        first, _, rest = line.strip().partition(" ")
        word = first.rstrip(":,.;").lower()
        if word in _YES or word in _NO:
            return cls(word in _YES, rest.strip() or None)
        return cls(False, line.strip())


class Asker:
    """Asks one question after another, and forgets those that somebody else has answered meanwhile."""

    def __init__(self, sessions: Sessions, screen: Screen, by: str | None) -> None:
        self._sessions = sessions
        self._screen = screen
        self._by = by
        self._waiting: list[str] = []
        self._typed = b""
        self._listening = False
        self._deciding: set[asyncio.Task[None]] = set()

    @classmethod
    def possible(cls) -> bool:
        """Whether there is a person: who types on a terminal, and sees what is asked on one."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() and _in_foreground()

    def ask(self, approval_id: str) -> None:
        self._waiting.append(approval_id)
        if len(self._waiting) == 1:
            self._prompt()

    def answered(self, approval_id: str) -> None:
        """It is decided, here or elsewhere."""
        if approval_id not in self._waiting:
            return
        first = self._waiting[0] == approval_id
        self._waiting.remove(approval_id)
        if not self._waiting:
            self._listen(False)
        elif first:
            self._prompt()

    def close(self) -> None:
        self._listen(False)

    def _prompt(self) -> None:
        self._screen.aside("approve? [y/N/note] ", always=True, bold=True, fg="yellow")
        self._listen(True)

    def _listen(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        if on and not self._listening:
            loop.add_reader(sys.stdin.fileno(), self._read)
        elif self._listening and not on:
            loop.remove_reader(sys.stdin.fileno())
        self._listening = on

    def _read(self) -> None:
        try:
            data = os.read(sys.stdin.fileno(), 4096) if _in_foreground() else b""
        except OSError:
            data = b""  # the terminal is gone
        if not data:
            self._listen(False)
            for approval_id in self._waiting:
                self._screen.note(how_to_answer(approval_id), always=True)
            return
        self._typed += data
        while b"\n" in self._typed and self._waiting:
            line, _, self._typed = self._typed.partition(b"\n")
            self._decide(self._waiting[0], Answer.of(line.decode(errors="replace")))

    def _decide(self, approval_id: str, answer: Answer) -> None:
        task = asyncio.create_task(self._write(approval_id, answer))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)
        self._screen.typed()
        self._waiting.pop(0)
        if self._waiting:
            self._prompt()
        else:
            self._listen(False)

    async def _write(self, approval_id: str, answer: Answer) -> None:
        handle = self._sessions.approval(approval_id)
        try:
            await (handle.approve if answer.approved else handle.deny)(by=self._by, note=answer.note)
        except SessionryError as error:
            self._screen.note(f"not decided: {sentence(error)}", always=True, fg="red")
            if error.code != "already_decided":
                self._screen.note(how_to_answer(approval_id), always=True)


def _in_foreground() -> bool:
    """Whether the keyboard is ours. A job in the background that reads from it is stopped."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


def how_to_answer(approval_id: str) -> str:
    """For a person at another terminal."""
    return f"answer with `sessionry approve {approval_id}` or `sessionry deny {approval_id}`"
