"""What other processes do to a store in the tests. They start quickly: as copies of one that has loaded everything."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from sessionry.store import migrations, sqlite_connection
from sessionry.store.operations import runs, sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, AtWork, at_work, new_session

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


@contextmanager
def started(function: Any, *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that runs `function(pipe, *arguments)`, and this end of the pipe. It is killed if it has not ended."""
    ours, theirs = _context.Pipe()
    process = _context.Process(target=function, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


class Share(msgspec.Struct):
    """What one process is to append: to a session of its own, and now and then to one that is everybody's."""

    name: str
    session_id: str
    shared_session: str
    shared_run: str
    appends: int
    producers: int = 1


class Account(msgspec.Struct):
    """What it has done, and how long it waited for the slowest append, in seconds."""

    appended: int
    commands: int
    slowest: float


def append_share(pipe: Connection, path: str, share: Share) -> None:
    """Says that it is ready, waits for the word, works, and gives account."""
    pipe.send(asyncio.run(_append_share(pipe, path, share)))


async def _append_share(pipe: Connection, path: str, share: Share) -> Account:
    store = await SqliteStore.open(path)
    works = [await at_work(store, share.session_id, worker=share.name) for _ in range(share.producers)]
    pipe.send("ready")
    pipe.recv()
    accounts = await asyncio.gather(*(_produce(work, share) for work in works))
    for work in works:
        await work.finish()
    await store.close()
    commands = sum(account.commands for account in accounts)
    return Account(share.appends * share.producers, commands, max(account.slowest for account in accounts))


async def _produce(work: AtWork, share: Share) -> Account:
    slowest, commands = 0.0, 0
    for number in range(share.appends):
        began = time.perf_counter()
        await work.say(f"{share.name} {number}")
        slowest = max(slowest, time.perf_counter() - began)
        if number % 10 == 0:
            changes = {"metadata": {"by": share.name, "number": number}}
            await work.store.execute(sessions.update(SCOPE, share.shared_session, changes))
            await work.store.execute(runs.steer(SCOPE, share.shared_run, f"{share.name} {number}"))
            commands += 2
    return Account(share.appends, commands, slowest)


def append_until_killed(pipe: Connection, path: str, producers: int) -> None:
    """Says which runs it works on, then, for each append that was acknowledged, which run's and its `seq`s."""
    asyncio.run(_append_until_killed(pipe, path, producers))


async def _append_until_killed(pipe: Connection, path: str, producers: int) -> None:
    store = await SqliteStore.open(path)
    session_id = await new_session(store, slots=producers)
    works = [await at_work(store, session_id) for _ in range(producers)]
    pipe.send((session_id, [work.run_id for work in works]))

    async def produce(work: AtWork) -> None:
        number = 0
        while True:
            texts = [f"{work.run_id} {number + offset}" for offset in range(1 + number % 3)]
            seqs = await work.say(*texts)
            pipe.send((work.run_id, seqs))
            number += len(texts)

    await asyncio.gather(*(produce(work) for work in works))


def open_and_close(pipe: Connection, path: str, times: int) -> None:
    """Says which sessions it has made, one with each opening."""

    async def one() -> str:
        store = await SqliteStore.open(path)
        session_id = await new_session(store)
        await store.close()
        return session_id

    pipe.send("ready")
    pipe.recv()
    pipe.send([asyncio.run(one()) for _ in range(times)])


def hold_run(pipe: Connection, path: str, run_session: str) -> None:
    """Claims a run of the session and appends once; then, at each word, once more, saying what came of it."""
    asyncio.run(_hold_run(pipe, path, run_session))


async def _hold_run(pipe: Connection, path: str, session_id: str) -> None:
    store = await SqliteStore.open(path)
    work = await at_work(store, session_id, worker="wrk_zombie")
    await work.say("mine")
    pipe.send((work.run_id, work.fence))
    while pipe.recv() is not None:
        try:
            await work.say("still mine")
            pipe.send("appended")
        except Exception as error:
            pipe.send(getattr(error, "code", repr(error)))
    await store.close()


def open_after_migrating(pipe: Connection, path: str, moment: str) -> None:
    """Begins to upgrade the store, and stops for ever at the moment, which it names."""

    def stop() -> None:
        pipe.send(moment)
        time.sleep(60)

    newest = max(migrations.migrations("sqlite"))
    known = {**migrations.migrations("sqlite"), newest + 1: ("test", "create table added (x);\nselect wait();\n")}
    migrations.migrations = lambda dialect: known
    if moment == "before the copy":
        migrations.back_up = lambda connection, version: stop()  # type: ignore[assignment, return-value]
    connection = sqlite_connection.Connection(path)
    connection._raw.create_function("wait", 0, stop if moment == "before a statement" else lambda: None)
    if moment == "before the commit":
        connection._raw.set_trace_callback(lambda statement: stop() if statement == "commit" else None)
    migrations.migrate_sqlite(connection)
