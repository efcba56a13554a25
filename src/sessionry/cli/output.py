"""Where output goes and how: text for people or JSON for programs, colours or none, how wide."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

import click


class Output:
    """The two streams of a command. `out` is for results and can be piped; `note` is for people and is not."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.out = _usable(sys.stdout)
        self.err = _usable(sys.stderr)
        self._in_progress = False

    def line(self, text: str = "") -> None:
        """A line of the result."""
        self.out.write(text + "\n")

    def object(self, value: Mapping[str, Any]) -> None:
        """A line of JSON, which is UTF-8 whatever the terminal speaks."""
        import msgspec

        self.out.flush()
        self.out.buffer.write(msgspec.json.encode(value) + b"\n")

    def note(self, text: str) -> None:
        """A line beside the result, for people."""
        if not self.quiet and not self.json:
            self.out.flush()
            self.err.write(text + "\n")
            self.err.flush()

    def progress(self, text: str) -> None:
        """How far it is, in place of what was said last; for a person at a terminal only. Empty: it is done."""
        if (text or self._in_progress) and self.err.isatty() and not self.quiet and not self.json:
            self.err.write(f"\r\x1b[K{text}")
            self.err.flush()
            self._in_progress = bool(text)

    def flush(self) -> None:
        self.out.flush()
        self.err.flush()

    def abandon(self) -> None:
        """Nobody reads the result any more: what is still written to it goes nowhere, and the exit is quiet."""
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.close(sink)

    def style(self, text: str, *, on_err: bool = False, **look: Any) -> str:
        """The text with colours, as `click.style` takes them, where they can be seen."""
        return click.style(text, **look) if look and coloured(self.err if on_err else self.out) else text

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None when the result goes elsewhere and need not be cut."""
        return width_of(self.out)


def coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int | None:
    """`COLUMNS` if it is set, else the width of the terminal behind the stream, if there is one."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def _usable(stream: TextIO | None) -> TextIO:
    """The stream, made to show a mark for what it cannot encode; a sink when it was closed before we began."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  open for as long as the process
    if hasattr(stream, "reconfigure"):
        with suppress(BrokenPipeError):  # it flushes first, and the reader may have left
            stream.reconfigure(errors="replace")
    return stream
