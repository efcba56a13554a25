"""Asks the person at the terminal what an agent wants to know, while the run goes on."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sessionry.cli.errors import sentence
from sessionry.cli.render import one_line
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
        self._waiting: dict[str, str] = {}  # approval -> tool, the oldest question first
        self._typed = b""
        self._listening = False
        self._deciding: set[asyncio.Task[None]] = set()

    @classmethod
    def possible(cls) -> bool:
        """Whether there is a person: who types on a terminal, and sees what is asked on one."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() and _in_foreground()

    def ask(self, approval_id: str, tool_name: str) -> None:
        self._waiting[approval_id] = tool_name
        self._prompt()

    def answered(self, approval_id: str) -> None:
        """It is decided, here or elsewhere."""
        if approval_id == next(iter(self._waiting), None):
            self._forget_what_was_typed()
        self._waiting.pop(approval_id, None)
        self._prompt()

    def _prompt(self) -> None:
        """Ask the oldest question, anew if something was written since."""
        self._listen(bool(self._waiting))
        if self._waiting:
            tool_name = next(iter(self._waiting.values()))
            self._screen.aside(f"approve {one_line(tool_name)}? [y/N/note] ", always=True, bold=True, fg="yellow")

    def _listen(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        if on and not self._listening:
            self._forget_what_was_typed()
            loop.add_reader(sys.stdin.fileno(), self._read)
        elif self._listening and not on:
            loop.remove_reader(sys.stdin.fileno())
        self._listening = on

    def _forget_what_was_typed(self) -> None:
        """What was typed before a question was asked is no answer to it."""
        self._typed = b""
        with suppress(termios.error):  # the terminal is gone
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)

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
            self._decide(next(iter(self._waiting)), Answer.of(line.decode(errors="replace")))

    def _decide(self, approval_id: str, answer: Answer) -> None:
        task = asyncio.create_task(self._write(approval_id, answer))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)
        self._screen.typed()
        del self._waiting[approval_id]  # the next one is asked when this one is told to be decided
        self._listen(bool(self._waiting))

    async def _write(self, approval_id: str, answer: Answer) -> None:
        handle = self._sessions.approval(approval_id)
        try:
            await (handle.approve if answer.approved else handle.deny)(by=self._by, note=answer.note)
        except SessionryError as error:
            self._screen.note(f"not decided: {sentence(error)}", always=True, fg="red")
            if error.code != "already_decided":
                self._screen.note(how_to_answer(approval_id), always=True)
            self._prompt()


def _in_foreground() -> bool:
    """Whether the keyboard is ours. A job in the background that reads from it is stopped."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


def how_to_answer(approval_id: str) -> str:
    """For a person at another terminal."""
    return f"answer with `sessionry approve {approval_id}` or `sessionry deny {approval_id}`"
