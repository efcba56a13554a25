"""`sessionry backup`: a copy of the store while it is in use."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessionry.cli.invocation import Invocation, command

if TYPE_CHECKING:
    from sessionry.store.blobs import FileBlobs
    from sessionry.store.moving import Progress


@command()
@click.argument("target")
@click.option("--blobs", metavar="DIR", help="The folder for copies of blobs; many back-ups can share one.")
def backup(invocation: Invocation, target: str, blobs: str | None) -> int:
    """Copy the store while it is in use.

    \b
    sessionry backup /backups/monday.db
    sessionry backup /backups/ --blobs /backups/blobs

    The copy is whole or not there, only you can read it, and it is a store like any other: name it with --store. In a
    folder it is named for the moment. Blobs go into a folder beside it, or into that of --blobs, which gets only what it
    does not have yet. For a store in PostgreSQL use pg_dump. Exit code 1 when a blob is damaged.
    """
    invocation.stay_local()
    source = _file_of(invocation.settings.store)
    path = Path(target)
    if target.endswith("/") or path.is_dir():
        path /= f"sessionry-{datetime.now():%Y%m%d-%H%M%S}.db"
    return asyncio.run(_back_up(invocation, source, path.absolute(), blobs))


def _file_of(url: str) -> Path:
    from sessionry.domain.errors import Conflict, InvalidInput
    from sessionry.store.open import sqlite_location

    if url.startswith("memory:"):
        raise Conflict("invalid_operation", "a store in memory is gone with this process; there is nothing to back up")
    if not url.startswith("sqlite:"):
        raise Conflict("invalid_operation", "PostgreSQL has back-ups of its own; use pg_dump, as docs/backup.md shows")
    path = Path(sqlite_location(url)[0])
    if not path.is_file():
        raise InvalidInput("invalid_configuration", f"there is no store at {path}; name one with --store")
    return path


async def _back_up(invocation: Invocation, source: Path, target: Path, blobs: str | None) -> int:
    from sessionry.compose import blobs_of
    from sessionry.store.backup import backing_up
    from sessionry.store.blobs import FileBlobs
    from sessionry.store.moving import copy_blobs

    output = invocation.output

    def of_pages(done: int, total: int) -> None:
        output.progress(f"copied {done / max(total, 1):.0%}")

    def of_blobs(progress: Progress) -> None:
        output.progress(f"copied {progress.done:,} of {progress.total:,} blobs")

    kept, copies = blobs_of(invocation.settings.store, invocation.settings), _copies(target, blobs)
    assert isinstance(kept, FileBlobs), "a store in a file has its blobs in files"
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, backing_up(source, target, of_pages))
        damaged = await copy_blobs(kept, copies, of_blobs)  # after the rows, so that all that those name are there
    output.progress("")
    if output.json:
        output.object({"path": str(target), "blobs": str(copies.directory), "damaged": damaged})
    else:
        output.line(str(target))
    for hash in damaged:
        output.note(f"the blob {hash} is damaged, and is not in the back-up")
    return 1 if damaged else 0


def _copies(target: Path, blobs: str | None) -> FileBlobs:
    from sessionry.store.blobs import FileBlobs

    return FileBlobs(Path(blobs).expanduser() if blobs else Path(f"{target}.blobs"))
