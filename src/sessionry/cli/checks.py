"""What `sessionry doctor` looks at. Nothing here changes anything unless it is told to repair."""

from __future__ import annotations

import platform
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sessionry.cli.errors import REMEDIES
from sessionry.domain.errors import SessionryError, StoreFailed
from sessionry.domain.queries import RunFilter
from sessionry.domain.run import DEFAULT_QUEUE
from sessionry.ports import Operation
from sessionry.store import integrity
from sessionry.store.migrations import migrations, sqlite_version
from sessionry.store.open import sqlite_location
from sessionry.store.operations import leases, listing, recovery
from sessionry.store.operations.leftovers import leftovers, writable
from sessionry.store.sqlite_connection import Connection, translated

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation
    from sessionry.cli.reading import Ask
    from sessionry.store.operations.integrity import Problem

T = TypeVar("T")

#: Problems of the integrity check that the look at the runs tells better, and puts right.
_STUCK = ("lost_worker", "lost_head")
#: So many problems are told one by one.
_MANY = 20
#: Bytes of free disk below which it is time to say so.
_LITTLE = 100 << 20


class Finding(NamedTuple):
    """`status`: ok, repaired, warning or problem."""

    check: str
    status: str
    message: str
    remedy: str | None = None


Findings = Iterator[Finding]


def findings(invocation: Invocation, *, repair: bool, sample: int | None) -> Findings:
    """Everything, in an order in which the later ones make sense; what cannot be read ends it."""
    yield from _versions()
    try:
        url = invocation.settings.store
        yield Finding("settings", "ok", "they can be read")
        yield from _agents(invocation)
        if url.startswith("sqlite:"):
            yield from _sqlite(invocation, Path(sqlite_location(url)[0]), repair, sample)
        else:
            yield from _other_store(invocation, repair, sample)
    except SessionryError as error:
        check = "settings" if error.code == "invalid_configuration" else "store"
        yield Finding(check, "problem", error.message, REMEDIES.get(error.code) if ";" not in error.message else None)


def _versions() -> Findings:
    from importlib.metadata import version

    names = ("sessionry", "msgspec", "click")
    told = [f"{name} {version(name)}" for name in names]
    system = f"{platform.system()} {platform.release()}"
    versions = [*told, f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", system]
    yield Finding("versions", "ok", ", ".join(versions))


def _agents(invocation: Invocation) -> Findings:
    from sessionry.agents.catalog import Catalog

    settings = invocation.settings
    catalog = Catalog.load(settings.agents, default=settings.default_agent)
    usable = []
    for id in catalog.ids():
        try:
            catalog.agent(id)
            usable.append(id)
        except SessionryError as error:
            yield Finding("agents", "warning", f"{id} cannot be used: {error.message}")
    yield Finding("agents", "ok", f"{', '.join(usable)} can be used")


# --- a SQLite file ----------------------------------------------------------------------------------------------------


def _sqlite(invocation: Invocation, path: Path, repair: bool, sample: int | None) -> Findings:
    if not path.exists():
        yield Finding("store", "ok", f"{path} is not there yet; the first command that needs it makes it")
        return
    yield Finding("store", "ok", f"{path}, {path.stat().st_size:,} bytes")
    yield from _permissions(path, repair)
    yield from _room(path)
    connection = Connection(str(path), read_only=True)
    try:
        version = sqlite_version(connection)
        yield from _schema(version)
        if version == max(migrations("sqlite")):
            yield from _stuck(invocation, connection, repair)
            yield from _queue(invocation, connection.run)
            if repair:
                with invocation.open() as sessions:
                    yield from _repaired(invocation, sessions.execute, sample, sqlite=True)
            else:
                yield from _integrity(invocation, connection.run, sample, sqlite=True)
    except sqlite3.Error as error:
        raise translated(error, str(path)) from error
    finally:
        connection.close()


def _permissions(path: Path, repair: bool) -> Findings:
    """Who else may read what agents were told."""
    files = [each for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if each.exists()]
    open_ones = [each for each in files if each.stat().st_mode & 0o077]
    if not open_ones:
        yield Finding("permissions", "ok", "nobody else may read the store")
    elif repair:
        for each in open_ones:
            each.chmod(0o600)
        yield Finding("permissions", "repaired", "nobody else may read the store any more")
    else:
        names = " ".join(str(each) for each in open_ones)
        yield Finding("permissions", "warning", f"others may read {names}", f"chmod 600 {names}, or --repair")


def _room(path: Path) -> Findings:
    free = shutil.disk_usage(path.parent).free
    if free < _LITTLE:
        yield Finding("disk", "warning", f"only {free >> 20} MB are free", "make room before it is full")
    else:
        yield Finding("disk", "ok", f"{free >> 30} GB are free" if free >> 30 else f"{free >> 20} MB are free")


def _schema(version: int) -> Findings:
    newest = max(migrations("sqlite"))
    if version > newest:
        message = f"the store has schema version {version}, and this program knows {newest}"
        yield Finding("schema", "problem", message, "upgrade Sessionry")
    elif version < newest:
        message = f"version {version}; the next command brings it to {newest}, and keeps a back-up"
        yield Finding("schema", "ok", message)
    else:
        yield Finding("schema", "ok", f"version {version}, the newest")


def _stuck(invocation: Invocation, connection: Connection, repair: bool) -> Findings:
    """Runs that nobody works on and nobody ends."""
    from sessionry.runtime.processes import Process, is_gone

    found, at_work = connection.run(leftovers())
    gone = [process for process in at_work if is_gone(Process(*process))]
    heads = connection.run(recovery.lost_heads())
    if not (found or gone or heads):
        yield Finding("runs", "ok", "none is stuck")
    elif repair:
        with invocation.open() as sessions:  # opening sweeps already
            sessions.recover()
        yield Finding("runs", "repaired", "what lost its worker or its time was taken over or ended")
    else:
        message = (
            f"work was left behind by {len(gone)} processes that are gone" if gone else "some lost their worker or time"
        )
        yield Finding("runs", "problem", message, "--repair puts it right; so does any other command")


def _queue(invocation: Invocation, ask: Ask) -> Findings:
    """Runs that could begin if only somebody worked on them."""
    pending = ask(listing.list_runs(invocation.scope, RunFilter(status=["pending"]), limit=1000)).items
    working = [worker for worker, _ in ask(leases.workers()) if worker.alive]
    alone = [run for run in pending if not any(worker.takes(run) for worker in working)]
    if not alone:
        yield Finding("queue", "ok", f"{len(pending)} runs wait, {len(working)} workers are there")
        return
    agents = ", ".join(sorted({str(run.agent_id) for run in alone}))
    queues = sorted({run.options.queue for run in alone})
    where = "" if queues == [DEFAULT_QUEUE] else f" in {', '.join(queues)}"
    serving = "" if not where else "".join(f" --queue {queue}" for queue in queues)
    yield Finding(
        "queue",
        "warning",
        f"{len(alone)} runs for {agents} wait{where}, and nobody takes them",
        f"`sessionry worker{serving}` does",
    )


# --- the content, of any store ----------------------------------------------------------------------------------------


def _integrity(invocation: Invocation, ask: Ask, sample: int | None, *, sqlite: bool) -> Findings:
    found = integrity.checking(_showing_progress(invocation, ask), sample=sample, sqlite=sqlite)
    problems = [problem for problem in found if problem.kind not in _STUCK]
    yield from _told(problems)
    if not problems:
        yield Finding("integrity", "ok", "the rows say what the log says")


def _repaired(invocation: Invocation, ask: Ask, sample: int | None, *, sqlite: bool) -> Findings:
    repaired, left = integrity.repairing(_showing_progress(invocation, ask), sample=sample, sqlite=sqlite)
    for problem in repaired:
        yield Finding("integrity", "repaired", problem.message)
    yield from _told(left)
    if not left:
        yield Finding("integrity", "ok", "the rows say what the log says")


def _told(problems: Sequence[Problem]) -> Findings:
    for problem in problems[:_MANY]:
        remedy = "--repair puts it right" if problem.repairable else "restore a back-up, or keep what can be read"
        yield Finding("integrity", "problem", problem.message, remedy)
    if len(problems) > _MANY:
        yield Finding("integrity", "problem", f"and {len(problems) - _MANY} more of the kind")


def _showing_progress(invocation: Invocation, ask: Ask) -> Ask:
    """`ask`, which tells a person at a terminal how far it is."""
    asked = 0

    def counting(operation: Operation[T]) -> T:
        nonlocal asked
        asked += 1
        if asked % 50 == 0:
            invocation.output.progress(f"looked at {asked} sessions")
        return ask(operation)

    return counting


def _other_store(invocation: Invocation, repair: bool, sample: int | None) -> Findings:
    """Opening a store checks its version and puts right what was left behind, if it can be written."""
    with invocation.open() as sessions:
        counts = sessions.counts()
        known = f"{sum(counts.sessions.values())} sessions, {sum(counts.runs.values())} runs"
        yield Finding("store", "ok", f"it can be reached: {known}")
        problem = _no_writes(sessions.execute)
        if problem is not None:
            yield problem
        else:
            yield Finding("runs", "ok", "none is stuck")
        yield from _queue(invocation, sessions.execute)
        look = _repaired if repair and problem is None else _integrity
        yield from look(invocation, sessions.execute, sample, sqlite=False)


def _no_writes(ask: Ask) -> Finding | None:
    """What keeps everybody from writing; None when nothing does."""
    try:
        ask(writable())
    except StoreFailed as error:
        return Finding("writing", "problem", error.message)
    return None
