"""`sessionry migrate`: everything of one store into another one, seen on its way, and proven to be there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessionry.cli.invocation import Invocation, command
from sessionry.cli.render import duration

if TYPE_CHECKING:
    from sessionry.domain.errors import StoreFailed
    from sessionry.ports import Store
    from sessionry.store.blobs import FileBlobs
    from sessionry.store.moving import Moved, Mover, Progress
    from sessionry.store.operations.moving import Moving

#: What a step is called, before what it is done with.
_STEPS: Mapping[str, str] = {"blobs": "copied", "copy": "copied", "compare": "compared", "check": "checked"}
#: So many differences are told one by one.
_MANY = 20
#: Seconds between two lines about the same thing, for those who see lines; and between two looks of the bar.
_LINE, _LOOK = 10.0, 0.1
_BAR = 24


@command()
@click.option("--from", "source", metavar="URL", help="The store to move; else the --store.")
@click.option(
    "--to", "target", metavar="URL", required=True, help="The empty store that all goes to; it may not exist."
)
@click.option("--from-blobs", metavar="DIR", help="The source's folder of blobs, if it is not the usual one.")
@click.option("--to-blobs", metavar="DIR", help="The target's folder of blobs, if it is not the usual one.")
@click.option("--restart", is_flag=True, help="Empty a target that was not finished, and begin again.")
def migrate(
    invocation: Invocation,
    source: str | None,
    target: str,
    from_blobs: str | None,
    to_blobs: str | None,
    restart: bool,
) -> int:
    """Move everything into another store.

    \b
    sessionry migrate --from sqlite:////var/lib/sessionry.db --to postgresql://sessionry@db/sessionry

    Moves the sessions of all tenants with their runs, logs, questions, tags, tokens, webhooks and blobs. Ids, numbers and
    cursors stay as they are. Stopped or killed, the same command goes on where it was. In the end all rows of both are
    compared, and the target is checked; until then no run begins there. The source is only read, and nobody can write to
    it meanwhile: stop servers and workers before. Exit code 1 when the two are not the same.
    """
    invocation.stay_local()
    from sessionry.cli.asynchronous import run_async

    given = invocation.settings.store if source is None else source
    move = _Move(invocation, given, target, restart=restart)
    return run_async(invocation, move.work(from_blobs, to_blobs))


class _Move:
    """One move and what is seen of it."""

    def __init__(self, invocation: Invocation, source: str, target: str, *, restart: bool) -> None:
        self._invocation = invocation
        self._output = invocation.output
        self._source = source
        self._target = target
        self._restart = restart
        self._began = time.monotonic()
        self._step: tuple[str, str] | None = None
        self._shown_at = 0.0

    async def work(self, from_blobs: str | None, to_blobs: str | None) -> int:
        from sessionry.store.freezing import frozen
        from sessionry.store.moving import Mover, copy_blobs
        from sessionry.store.open import open_store

        blobs, copies = self._blobs(self._source, from_blobs), self._blobs(self._target, to_blobs)
        await _must_be_there(self._source)
        async with AsyncExitStack() as stack:
            source, target = await open_store(self._source), await open_store(self._target)
            for store in (source, target):
                stack.push_async_callback(store.close)
            mover = Mover(source, target, self._tell)
            await mover.apart()
            await self._put_right(source, target)
            await stack.enter_async_context(frozen(self._source))
            state = await mover.begin(anew=self._restart)
            self._say_where_it_goes_on(state)
            damaged = await copy_blobs(blobs, copies, self._tell)
            if damaged:
                raise _damaged(blobs, damaged)
            return await self._move(mover, state)

    async def _move(self, mover: Mover, state: Moving) -> int:
        from sessionry.store.moving import Moved

        state = await mover.copy(state)
        differences = await mover.compare(state)
        problems = () if differences else await mover.check()
        rows = {noun: count for noun, count in state.source.items() if noun in self._nouns()}
        moved = Moved(rows=rows, differences=differences, problems=problems)
        if moved.good:
            await mover.finish(state)
        self._report(moved)
        return 0 if moved.good else 1

    def _blobs(self, url: str, given: str | None) -> FileBlobs:
        from sessionry.compose import blobs_of
        from sessionry.domain.errors import InvalidInput
        from sessionry.store.blobs import FileBlobs

        blobs = FileBlobs(Path(given).expanduser()) if given else blobs_of(url, self._invocation.settings)
        if url.startswith("memory:") or not isinstance(blobs, FileBlobs):
            raise InvalidInput("invalid_configuration", f"{url} is gone with this process; nothing can be moved there")
        return blobs

    async def _put_right(self, source: Store, target: Store) -> None:
        """Take over what workers that are gone left in the source; not in the middle of a move, as it is no change."""
        from sessionry.runtime.sweeper import Sweeper
        from sessionry.store.operations import moving

        if self._restart or await target.execute(moving.state()) is None:
            await Sweeper(source, float("inf"), float("inf"), patience=self._invocation.settings.lease).open()

    # --- what is seen -------------------------------------------------------------------------------------------------

    def _say_where_it_goes_on(self, state: Moving) -> None:
        from sessionry.store.operations.moving import TABLES

        if state.table or state.after:
            what = TABLES[state.table].noun if state.table < len(TABLES) else "the comparison"
            self._output.note(f"goes on where it was stopped: {what}")

    def _tell(self, progress: Progress) -> None:
        """A bar at a terminal, lines elsewhere, objects for programs; not more often than is of use."""
        if progress.total == 0 or not self._is_news(progress):
            return
        if self._output.json:
            self._show_object(progress)
        elif not self._output.err.isatty():
            self._output.note(_line(progress))
        elif progress.complete:
            self._output.progress("")
            self._output.note(_line(progress))
        else:
            self._output.progress(_bar(progress))

    def _is_news(self, progress: Progress) -> bool:
        now = time.monotonic()
        bar = self._output.err.isatty() and not self._output.json
        if (progress.step, progress.what) != self._step:
            self._step, self._shown_at = (progress.step, progress.what), now - (_LOOK if bar else 0)
        if not progress.complete and progress.total and now - self._shown_at < (_LOOK if bar else _LINE):
            return False
        self._shown_at = now
        return True

    def _show_object(self, progress: Progress) -> None:
        import msgspec

        self._output.object(msgspec.to_builtins(progress))
        self._output.flush()

    def _report(self, moved: Moved) -> None:
        wrong = [str(difference) for difference in moved.differences]
        wrong += [problem.message for problem in moved.problems]
        if self._output.json:
            self._output.object({"moved": moved.good, "rows": moved.rows, "problems": wrong})
            return
        for text in wrong[:_MANY]:
            self._output.line(f"{self._output.style('problem', fg='red')}  {text}")
        if len(wrong) > _MANY:
            self._output.line(f"and {len(wrong) - _MANY} more")
        from sessionry.store.address import without_password

        if wrong:
            self._output.note(
                "the target is not to be used like this: begin again with --restart; where the source is damaged itself,"
                f" `sessionry doctor --store {without_password(self._source)}` tells"
            )
            return
        told = ", ".join(f"{count:,} {noun}" for noun, count in moved.rows.items() if count)
        took = duration(time.monotonic() - self._began)
        self._output.line(f"moved in {took}, and the same in both: {told or 'nothing was there'}")
        self._output.note(
            f"now set SESSIONRY_STORE to {without_password(self._target)}, and work on the old one no more"
        )

    @staticmethod
    def _nouns() -> list[str]:
        from sessionry.store.operations.moving import TABLES

        return [table.noun for table in TABLES]


async def _must_be_there(url: str) -> None:
    """Opening makes a store where there is none: of a source that would hide a slip of the pen.

    Raises `invalid_configuration`.
    """
    from sessionry.domain.errors import InvalidInput
    from sessionry.store.address import without_password
    from sessionry.store.open import is_made, sqlite_location

    if await is_made(url):
        return
    where = sqlite_location(url)[0] if url.startswith("sqlite:") else without_password(url)
    raise InvalidInput("invalid_configuration", f"there is no store at {where}; name one with --from")


def _damaged(blobs: FileBlobs, hashes: list[str]) -> StoreFailed:
    from sessionry.domain.errors import StoreFailed

    problem = f"{len(hashes)} blobs in {blobs.directory} are not what was stored: {', '.join(hashes[:_MANY])}"
    return StoreFailed(
        "store_corrupt", f"{problem}; delete them or restore them, then go on", details={"hashes": hashes}
    )


def _line(progress: Progress) -> str:
    if progress.total is None:
        return f"{progress.what} are being {_STEPS[progress.step]}"
    many = f"{progress.done:,}" if progress.complete else f"{progress.done:,} of {progress.total:,}"
    if progress.step == "check":
        return f"all {progress.what} {_STEPS[progress.step]}"
    return f"{many} {progress.what} {_STEPS[progress.step]}"


def _bar(progress: Progress) -> str:
    if not progress.total:
        return _line(progress)
    part = min(progress.done / progress.total, 1.0)
    bar = "#" * int(part * _BAR)
    return f"{_STEPS[progress.step]:<8} {progress.what:<16} [{bar:.<{_BAR}}] {part:4.0%}  {progress.done:,}"
