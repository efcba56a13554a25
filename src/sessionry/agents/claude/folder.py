"""A folder for the files of one process of Claude Code: what it is given, and its temporary ones, which it may forget."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sessionry.domain.run import Run

#: The variable by which Claude Code is told where to put temporary files.
TEMPORARY = "CLAUDE_CODE_TMPDIR"


@asynccontextmanager
async def own_folder(run: Run) -> AsyncIterator[Path]:
    """A folder that nobody else can read. It is gone afterwards."""
    folder = tempfile.mkdtemp(prefix=_prefix(run))
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_earlier(run: Run) -> None:
    """Those of attempts whose worker was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix(run)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _prefix(run: Run) -> str:
    """Short: there will be sockets below it, and their paths have a limit."""
    return f"sessionry-{run.id[-12:]}-"
