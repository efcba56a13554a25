"""A folder for the files of one process of Claude Code: what it is given, and its temporary ones, which it may forget."""

from __future__ import annotations

import asyncio
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
    """A folder that nobody else can read. It is gone afterwards, and so are those of attempts whose worker was killed."""
    prefix = f"sessionry-{run.id[-12:]}-"  # short: there will be sockets below it, whose paths have a limit
    if run.attempt > 1:
        await asyncio.to_thread(_remove_earlier, prefix)
    folder = tempfile.mkdtemp(prefix=prefix)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_earlier(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(folder, ignore_errors=True)
