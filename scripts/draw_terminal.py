"""Draw docs/pictures/terminal.svg: what `sessionry demo` really shows, on a terminal of its own.

python scripts/draw_terminal.py

Of the steps of the demo the picture shows those from the first kill to the answer and what it led to, and the last line.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "terminal.svg"
WIDTH = 100
FIRST, LAST = 2, 5

#: The frame of rich, without the fonts that it would load from elsewhere.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>sessionry demo, in a terminal</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />\
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    lines = list(AnsiDecoder().decode(on_terminal([sys.executable, "-m", "sessionry", "demo"])))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ sessionry demo", "bold"))
    for line in chosen(lines):
        console.print(line, soft_wrap=True, highlight=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    svg = console.export_svg(title="sessionry demo", theme=SVG_EXPORT_THEME, code_format=FRAME, unique_id="terminal")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def on_terminal(command: Sequence[str]) -> str:
    """What the command writes to a terminal, colours and all. Raises when it fails."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        while piece := _read(ours):
            said += piece
    os.close(ours)
    if process.returncode != 0:
        raise SystemExit(said.decode())
    return said.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how a terminal says that nobody is there any more
        return b""


def chosen(lines: Sequence[Text]) -> list[Text]:
    """The head of the first step, the steps from FIRST to LAST, and the last line that says something."""
    heads = {int(match[1]): index for index, line in enumerate(lines) if (match := re.match(r"(\d)  ", line.plain))}
    last = next(line for line in reversed(lines) if line.plain.strip())
    dots = Text("   ...", "dim")
    return [Text(), lines[heads[1]], dots, Text(), *lines[heads[FIRST] : heads[LAST + 1]], dots, last]


if __name__ == "__main__":
    main()
