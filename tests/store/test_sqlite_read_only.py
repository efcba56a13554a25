"""A store that cannot be written: it is read where that is possible, and says plainly what cannot be done."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionry.domain.errors import StoreFailed
from sessionry.store.operations import sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, log_of, new_session

Disk = Callable[[str], Path]

#: Opens, reads and writes as somebody without rights; says what each of them came to.
UNPRIVILEGED = """
import asyncio, json, os, random, sys
from sessionry.domain.errors import SessionryError
from sessionry.store.operations import sessions
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, new_session

async def tell(work, come_to):
    try:
        come_to.append("ok" if await work is not None else None)
    except SessionryError as error:
        come_to.append(error.code)

async def main(path, session_id):
    come_to = []
    try:
        store = await SqliteStore.open(path)
    except SessionryError as error:
        return [error.code]
    await tell(store.execute(sessions.get(SCOPE, session_id)), come_to)
    await tell(new_session(store), come_to)
    await store.close()
    return come_to

asyncio.run(main(sys.argv[1], "ses_0"))  # loads what is loaded late, while it can still be read
if os.getuid() == 0:
    os.setuid(65534)
print(json.dumps(asyncio.run(main(sys.argv[2], sys.argv[3]))))
"""


async def made(path: Path) -> str:
    """A store with a session in it, closed; the session's id."""
    store = await SqliteStore.open(str(path))
    session_id = await new_session(store, title="kept")
    await store.close()
    return session_id


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


async def test_a_store_on_a_read_only_disk_is_read(disk: Disk) -> None:
    folder = disk("8m")
    session_id = await made(folder / "sessions.db")
    remount(folder, "ro")
    store = await SqliteStore.open(str(folder / "sessions.db"))
    assert (await store.execute(sessions.get(SCOPE, session_id))).title == "kept"
    assert len(await log_of(store, session_id)) == 1
    with pytest.raises(StoreFailed) as caught:
        await new_session(store)
    assert (caught.value.code, caught.value.retryable) == ("store_read_only", False)
    assert "check its permissions" in caught.value.message
    assert await store.change_token() == await store.change_token()
    await store.close()


async def test_a_log_that_cannot_be_recovered_on_a_read_only_disk_is_not_passed_over(disk: Disk) -> None:
    folder = disk("8m")
    store = await SqliteStore.open(str(folder / "sessions.db"))
    await new_session(store)
    shutil.copy(folder / "sessions.db", folder / "crashed.db")
    shutil.copy(folder / "sessions.db-wal", folder / "crashed.db-wal")
    await store.close()
    remount(folder, "ro")
    with pytest.raises(StoreFailed) as caught:
        await SqliteStore.open(str(folder / "crashed.db"))
    assert caught.value.code == "store_read_only"


async def test_a_store_cannot_be_made_on_a_read_only_disk(disk: Disk) -> None:
    folder = disk("1m")
    remount(folder, "ro")
    for path in (folder / "sessions.db", folder / "deeper" / "sessions.db"):
        with pytest.raises(StoreFailed, match="check the permissions of its folder") as caught:
            await SqliteStore.open(str(path))
        assert caught.value.code == "store_read_only"


async def test_a_file_that_is_immutable_is_read_and_never_written(file: Path) -> None:
    session_id = await made(file)
    if subprocess.run(["chattr", "+i", str(file)], capture_output=True, check=False).returncode:
        pytest.skip("this file system, or this user, makes no immutable files")
    try:
        store = await SqliteStore.open(str(file))
        assert (await store.execute(sessions.get(SCOPE, session_id))).title == "kept"
        with pytest.raises(StoreFailed) as caught:
            await new_session(store)
        assert caught.value.code == "store_read_only"
        await store.close()
    finally:
        subprocess.run(["chattr", "-i", str(file)], check=True)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "expected"),
    [
        (0o666, 0o777, ["ok", "ok"]),
        (0o444, 0o777, ["ok", "store_read_only"]),
        (0o444, 0o555, ["store_read_only"]),  # SQLite needs to make files beside it, even to read
        (0o666, 0o555, ["store_read_only"]),
        (0o000, 0o777, ["store_read_only"]),
    ],
)
async def test_somebody_without_rights_is_told_so(
    tmp_path_factory: pytest.TempPathFactory, file_mode: int, folder_mode: int, expected: list[str]
) -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    folder.chmod(0o755)
    try:
        session_id = await made(folder / "sessions.db")
        (folder / "sessions.db").chmod(file_mode)
        folder.chmod(folder_mode)
        warmed = tmp_path_factory.mktemp("warm") / "sessions.db"
        command = [sys.executable, "-c", UNPRIVILEGED, str(warmed), str(folder / "sessions.db"), session_id]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
