"""Blobs: whole or not at all, once, verified, and nothing left behind, whoever dies or fills the disk."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import sessionry
from sessionry.domain.errors import InvalidInput, NotFound, StoreFailed
from sessionry.ports import BlobRef, Blobs
from sessionry.settings import Settings
from sessionry.store.blobs import PIECE, FileBlobs, MemoryBlobs

HELLO = b"hello"
MISSING = "0" * 64


@pytest.fixture
def files(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture(params=["files", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> FileBlobs | MemoryBlobs:
    return FileBlobs(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()


async def content(blobs: Blobs, hash: str) -> bytes:
    return b"".join([piece async for piece in blobs.open(hash)])


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def kept(blobs: FileBlobs) -> list[Path]:
    """Every file, temporary ones too."""
    return sorted(path for path in blobs.directory.rglob("*") if path.is_file())


def path_of(blobs: FileBlobs, ref: BlobRef) -> Path:
    return blobs.directory / ref.hash[:2] / ref.hash[2:]


# --- both -------------------------------------------------------------------------------------------------------------


async def test_they_are_blobs(blobs: FileBlobs | MemoryBlobs) -> None:
    port: Blobs = blobs
    assert await content(port, (await port.put(HELLO)).hash) == HELLO


async def test_a_blob_is_named_by_the_sha256_of_its_content(blobs: FileBlobs | MemoryBlobs) -> None:
    assert await blobs.put(HELLO) == BlobRef(hash=hashlib.sha256(HELLO).hexdigest(), size=5)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
async def test_what_goes_in_comes_out(blobs: FileBlobs | MemoryBlobs, size: int) -> None:
    whole = os.urandom(size)
    ref = await blobs.put(whole)
    assert ref.size == size
    assert await content(blobs, ref.hash) == whole


@pytest.mark.parametrize("step", [1000, PIECE, 2 * PIECE + 1])
async def test_a_stream_is_the_same_as_the_whole(blobs: FileBlobs | MemoryBlobs, step: int) -> None:
    whole = os.urandom(3 * PIECE)
    ref = await blobs.put(stream(*(whole[start : start + step] for start in range(0, len(whole), step))))
    assert ref == await blobs.put(whole)
    assert await content(blobs, ref.hash) == whole


async def test_a_stream_of_nothing_is_an_empty_blob(blobs: FileBlobs | MemoryBlobs) -> None:
    assert await blobs.put(stream()) == await blobs.put(b"")
    assert await blobs.usage() == (1, 0)


async def test_the_same_content_is_kept_once(blobs: FileBlobs | MemoryBlobs) -> None:
    refs = await asyncio.gather(*(blobs.put(HELLO) for _ in range(20)), *(blobs.put(stream(HELLO)) for _ in range(20)))
    assert len(set(refs)) == 1
    assert await blobs.usage() == (1, 5)


async def test_usage_counts_blobs_and_bytes(blobs: FileBlobs | MemoryBlobs) -> None:
    assert await blobs.usage() == (0, 0)
    for size in (1, 10, 100):
        await blobs.put(os.urandom(size))
    assert await blobs.usage() == (3, 111)


async def test_a_deleted_blob_is_gone(blobs: FileBlobs | MemoryBlobs) -> None:
    ref = await blobs.put(HELLO)
    assert await blobs.delete(ref.hash)
    assert not await blobs.delete(ref.hash)
    assert await blobs.usage() == (0, 0)
    assert await blobs.put(HELLO) == ref


async def test_a_blob_that_is_not_there_is_not_found(blobs: FileBlobs | MemoryBlobs) -> None:
    with pytest.raises(NotFound) as caught:
        await content(blobs, MISSING)
    assert caught.value.code == "blob_not_found"


@pytest.mark.parametrize(
    "hash", ["", "ab", "../../etc/passwd", "/etc/passwd", MISSING + "\n", MISSING[:-1] + "G", "A" * 64, "\0" * 64, None]
)
async def test_what_is_no_hash_is_refused(blobs: FileBlobs | MemoryBlobs, hash: str) -> None:
    for use in (content(blobs, hash), blobs.delete(hash)):
        with pytest.raises(InvalidInput) as caught:
            await use
        assert caught.value.code == "validation_error"


async def test_sweeping_takes_no_blob(blobs: FileBlobs | MemoryBlobs) -> None:
    ref = await blobs.put(HELLO)
    assert await blobs.sweep() == 0
    assert await content(blobs, ref.hash) == HELLO


# --- files ------------------------------------------------------------------------------------------------------------


async def test_only_the_owner_may_read(files: FileBlobs) -> None:
    ref = await files.put(HELLO)
    assert path_of(files, ref).stat().st_mode & 0o777 == 0o600
    directories = [files.directory, *(path for path in files.directory.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in directories} == {0o700}


async def test_another_process_finds_the_blob(files: FileBlobs) -> None:
    ref = await files.put(HELLO)
    assert await content(FileBlobs(files.directory), ref.hash) == HELLO


async def test_nothing_is_made_before_the_first_blob(files: FileBlobs) -> None:
    assert await files.usage() == (0, 0)
    assert await files.sweep() == 0
    assert not await files.delete(MISSING)
    assert not files.directory.exists()


async def test_content_that_is_there_is_not_written_again(files: FileBlobs) -> None:
    ref = await files.put(HELLO)
    before = path_of(files, ref).stat()
    await files.put(HELLO)
    await files.put(stream(HELLO))
    assert path_of(files, ref).stat() == before
    assert kept(files) == [path_of(files, ref)]


async def test_a_blob_cut_short_by_a_broken_disk_is_mended_by_the_next_put(files: FileBlobs) -> None:
    ref = await files.put(HELLO)
    path_of(files, ref).write_bytes(b"he")
    await files.put(HELLO)
    assert await content(files, ref.hash) == HELLO


@pytest.mark.parametrize("size", [5, PIECE, 4 * PIECE])
async def test_a_changed_blob_is_corrupt_and_never_handed_out_whole(files: FileBlobs, size: int) -> None:
    ref = await files.put(os.urandom(size))
    path = path_of(files, ref)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    got = b""
    with pytest.raises(StoreFailed) as caught:  # noqa: PT012  what came before the error counts
        async for piece in files.open(ref.hash):
            got += piece
    assert caught.value.code == "store_corrupt"
    assert len(got) <= size - min(size, PIECE)


async def test_a_reader_may_finish_what_is_deleted_meanwhile(files: FileBlobs) -> None:
    whole = os.urandom(4 * PIECE)
    ref = await files.put(whole)
    pieces = files.open(ref.hash)
    got = await anext(pieces)
    await files.delete(ref.hash)
    assert got + b"".join([piece async for piece in pieces]) == whole


async def test_large_content_is_not_held_in_memory(files: FileBlobs) -> None:
    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(64 * 16):
            yield bytes(64 * 1024)

    tracemalloc.start()
    ref = await files.put(zeros())
    size = 0
    async for piece in files.open(ref.hash):
        size += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == ref.size == 64 << 20
    assert peak < 4 << 20


async def test_a_stream_that_fails_leaves_nothing(files: FileBlobs) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield bytes(2 * PIECE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await files.put(failing())
    assert kept(files) == []


async def test_a_cancelled_put_leaves_nothing(files: FileBlobs) -> None:
    for turns in range(0, 60, 3):
        task = asyncio.create_task(files.put(stream(*[bytes(PIECE)] * 8)))
        for _ in range(turns):
            await asyncio.sleep(0)
        in_time = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is in_time
        assert [path for path in kept(files) if path.parent.name == "tmp"] == []


async def test_a_reader_that_stops_leaves_no_open_file(files: FileBlobs) -> None:
    ref = await files.put(bytes(8 * PIECE))
    pieces = files.open(ref.hash)
    await anext(pieces)
    await pieces.aclose()
    task = asyncio.create_task(content(files, ref.hash))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert not [file for file in psutil.Process().open_files() if file.path.startswith(str(files.directory))]


# --- crashes and other processes --------------------------------------------------------------------------------------

WRITER = """
    import asyncio, os, sys
    from sessionry.store.blobs import FileBlobs, PIECE

    async def endless():
        yield bytes(4 * PIECE)
        print("writing", flush=True)
        await asyncio.sleep(3600)

    asyncio.run(FileBlobs(sys.argv[1]).put(endless()))
"""


@contextmanager
def start(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the script. It is killed if it has not ended."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_sweep_removes_what_a_killed_writer_left_and_nothing_else(files: FileBlobs) -> None:
    with start(WRITER, files.directory) as dies, start(WRITER, files.directory) as lives:
        assert dies.stdout
        assert lives.stdout
        await asyncio.to_thread(dies.stdout.readline)
        await asyncio.to_thread(lives.stdout.readline)
        dies.send_signal(signal.SIGKILL)
        await asyncio.to_thread(dies.wait)
        ref = await files.put(HELLO)
        assert len(kept(files)) == 3
        assert await files.sweep() == 1
        assert await files.sweep() == 0
        assert len(kept(files)) == 2
    assert await files.sweep() == 1
    assert kept(files) == [path_of(files, ref)]


async def test_a_sweep_may_spare_what_was_written_to_a_while_ago(files: FileBlobs) -> None:
    with start(WRITER, files.directory) as dies:
        assert dies.stdout
        await asyncio.to_thread(dies.stdout.readline)
        dies.kill()
    assert await files.sweep(3600) == 0
    (left,) = kept(files)
    os.utime(left, (time.time() - 7200,) * 2)
    assert await files.sweep(3600) == 1
    assert kept(files) == []


async def test_a_store_that_is_worked_on_is_tidied(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    blobs = FileBlobs(tmp_path / "store.db.blobs")
    with start(WRITER, blobs.directory) as dies:
        assert dies.stdout
        await asyncio.to_thread(dies.stdout.readline)
        dies.kill()
    (left,) = kept(blobs)
    os.utime(left, (time.time() - 7200,) * 2)
    async with sessionry.open(url, settings=Settings(store=url, sweep=0.1)), asyncio.timeout(10):
        while kept(blobs):
            await asyncio.sleep(0.01)


async def test_a_sweep_that_locked_a_new_file_before_its_writer_did_takes_no_later_one(
    files: FileBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep stops between its lock and its removal, until the writer has begun again and wants to give the name."""
    seen: list[Path] = []
    lock, sync = fcntl.flock, os.fsync

    def lock_later(file: Any, operation: int) -> None:
        with ExitStack() as swept:
            if not seen:
                seen.extend(kept(files))
                lock(swept.enter_context(seen[0].open("rb")), operation)
            lock(file, operation)

    def sync_later(descriptor: int) -> None:
        if seen and kept(files):
            seen[0].unlink(missing_ok=True)
        sync(descriptor)

    monkeypatch.setattr(fcntl, "flock", lock_later)
    monkeypatch.setattr(os, "fsync", sync_later)
    ref = await files.put(HELLO)
    assert len(seen) == 1
    assert await content(files, ref.hash) == HELLO


async def test_puts_and_sweeps_of_many_at_the_same_time_lose_nothing(files: FileBlobs) -> None:
    async def keep(number: int) -> None:
        for turn in range(10):
            whole = bytes([turn]) * (PIECE + number % 2)
            ref = await files.put(stream(whole[:7], whole[7:]))
            assert await content(files, ref.hash) == whole
            await files.sweep()

    await asyncio.gather(*map(keep, range(8)))
    assert (await files.usage())[0] == 20
    assert len(kept(files)) == 20


async def test_processes_that_put_the_same_content_do_not_disturb_each_other(files: FileBlobs) -> None:
    script = """
        import asyncio, sys
        from sessionry.store.blobs import FileBlobs

        async def main():
            blobs = FileBlobs(sys.argv[1])
            for number in range(40):
                whole = number.to_bytes(2, "big") * 50_000
                ref = await blobs.put(whole)
                assert b"".join([piece async for piece in blobs.open(ref.hash)]) == whole
                await blobs.sweep()

        asyncio.run(main())
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(start(script, files.directory)) for _ in range(4)]
        assert [await asyncio.to_thread(process.wait) for process in processes] == [0] * 4
    assert await files.usage() == (40, 40 * 100_000)
    assert len(kept(files)) == 40


# --- a disk that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["whole", "streamed"])
async def test_a_full_disk_is_an_error_that_leaves_nothing(files: FileBlobs, kind: str) -> None:
    """The limit on the size of a file stands in for the disk: both refuse the write of a byte too many."""
    script = """
        import asyncio, resource, sys
        from sessionry.domain.errors import StoreFailed
        from sessionry.store.blobs import FileBlobs

        async def stream():
            for _ in range(64):
                yield bytes(65536)

        async def main():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
            try:
                await FileBlobs(sys.argv[1]).put(stream() if sys.argv[2] == "streamed" else bytes(4 << 20))
            except StoreFailed as error:
                print(error.code)

        asyncio.run(main())
    """
    with start(script, files.directory, kind) as process:
        assert (await asyncio.to_thread(process.communicate))[0] == "store_full\n"
    assert kept(files) == []
    assert await files.put(HELLO)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "store_full"),
        (errno.EDQUOT, "store_full"),
        (errno.EROFS, "store_read_only"),
        (errno.EIO, "store_failed"),
    ],
)
async def test_an_error_of_the_disk_on_the_last_step_leaves_nothing(
    files: FileBlobs, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    await files.put(b"makes the directories")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreFailed) as caught:
        await files.put(stream(bytes(PIECE), b"rest"))
    assert caught.value.code == code
    assert isinstance(caught.value.__cause__, OSError)
    assert len(kept(files)) == 1


async def test_a_place_that_cannot_be_a_directory_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed) as caught:
        await FileBlobs(tmp_path / "file" / "blobs").put(HELLO)
    assert caught.value.code == "store_failed"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_directory_without_permission_is_read_only(files: FileBlobs) -> None:
    files.directory.mkdir(mode=0o500)
    with pytest.raises(StoreFailed) as caught:
        await files.put(HELLO)
    assert caught.value.code == "store_read_only"
