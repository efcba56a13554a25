"""A folder for the temporary files of one process of Claude Code, which forgets some of them when it is ended."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sessionry.domain.run import Run

#: Where Claude Code puts them; whoever sets it looks after them.
VARIABLE = "CLAUDE_CODE_TMPDIR"


@asynccontextmanager
async def own_folder(run: Run, env: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
    """The environment with a folder that is gone afterwards, and so are those of attempts whose worker was killed."""
    if VARIABLE in env:
        yield dict(env)
        return
    prefix = f"sessionry-{run.id}-"
    if run.attempt > 1:
        await asyncio.to_thread(_remove_earlier, prefix)
    folder = tempfile.mkdtemp(prefix=prefix)
    try:
        yield {**env, VARIABLE: folder}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_earlier(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(folder, ignore_errors=True)
