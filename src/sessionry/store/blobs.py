"""Blobs: big things, kept beside the log under the SHA-256 of their content.

A file is written under a temporary name, made durable, then renamed, so a blob is there whole or not at all, and two
who put the same content at the same time cannot harm each other:

    <directory>/ab/cdef...   a blob (the hash has 64 hexadecimal digits)
    <directory>/tmp/...      being written: locked by its writer, so that what a crash left behind can be told apart

All work on files is done in threads, and each file has a lock, because a cancelled task does not stop its thread.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sessionry.domain import records
from sessionry.domain.errors import NotFound, SessionryError, StoreFailed
from sessionry.ports import BlobRef

#: Seconds without a word from its writer after which a file that was never finished is taken for forgotten.
FORGOTTEN_AFTER = 3600.0
#: bytes in one piece, read or written by one thread at one go
PIECE = 256 * 1024

_HASH = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = "tmp"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class FileBlobs:
    """Blobs as files below a directory, which is made with the first one. Any number of processes may share it.

    Directories are 0700, files 0600. A blob is durable when `put` returns. Failures of the disk are `StoreFailed`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)

    async def put(self, content: bytes | AsyncIterable[bytes]) -> BlobRef:
        """Keep the content. What is there already is not written twice. Nothing is left behind when it fails."""
        upload = _Upload(self.directory)
        try:
            if isinstance(content, bytes):
                return await asyncio.to_thread(upload.keep_whole, content)
            async for piece in _pieces(content):
                await asyncio.to_thread(upload.write, piece)
            return await asyncio.to_thread(upload.keep)
        finally:
            await asyncio.to_thread(upload.end)

    async def open(self, hash: str) -> AsyncGenerator[bytes, None]:
        """The content in pieces. The last piece is held back until the hash of the whole was found to be right."""
        download = _Download(_path(self.directory, hash), hash)
        try:
            piece = await asyncio.to_thread(download.read)
            while following := await asyncio.to_thread(download.read):
                yield piece
                piece = following
            download.verify()
            if piece:
                yield piece
        finally:
            await asyncio.to_thread(download.end)

    async def delete(self, hash: str) -> bool:
        """True when it was there. Whoever reads it at that moment may finish."""
        return await asyncio.to_thread(_delete, _path(self.directory, hash))

    async def sweep(self, quiet: float = 0.0) -> int:
        """Remove what writers that died left behind, and nothing that anybody is writing. How many files that were.

        Where locks do not reach from machine to machine, only the time tells: what was written to in the last `quiet`
        seconds stays.
        """
        return await asyncio.to_thread(_sweep, self.directory / _TEMPORARY, time.time() - quiet)

    async def usage(self) -> tuple[int, int]:
        """How many blobs there are, and their bytes."""
        return await asyncio.to_thread(_usage, self.directory)

    async def size(self, hash: str) -> int | None:
        """How many bytes it has; None when it is not there."""
        return await asyncio.to_thread(_size, _path(self.directory, hash))

    async def all(self) -> AsyncGenerator[BlobRef, None]:
        """Every blob, in the order of the hashes. One that comes or goes meanwhile may be among them or not."""
        for first in range(256):
            for ref in await asyncio.to_thread(_refs, self.directory / f"{first:02x}"):
                yield ref


class MemoryBlobs:
    """Blobs in this process, gone with it."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, content: bytes | AsyncIterable[bytes]) -> BlobRef:
        whole = content if isinstance(content, bytes) else b"".join([piece async for piece in content])
        digest = hashlib.sha256(whole).hexdigest()
        self._blobs.setdefault(digest, whole)
        return BlobRef(hash=digest, size=len(whole))

    async def open(self, hash: str) -> AsyncGenerator[bytes, None]:
        whole = self._blobs.get(_checked(hash))
        if whole is None:
            raise _not_found(hash)
        for start in range(0, len(whole), PIECE):
            yield whole[start : start + PIECE]

    async def delete(self, hash: str) -> bool:
        return self._blobs.pop(_checked(hash), None) is not None

    async def sweep(self, quiet: float = 0.0) -> int:  # noqa: ARG002  like that of files
        return 0

    async def usage(self) -> tuple[int, int]:
        return len(self._blobs), sum(map(len, self._blobs.values()))


async def _pieces(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The content in pieces of at least `PIECE` bytes, but for the last, whatever sizes it comes in."""
    collected = bytearray()
    async for piece in content:
        collected += piece
        if len(collected) >= PIECE:
            yield bytes(collected)
            collected.clear()
    if collected:
        yield bytes(collected)


# --- in threads -------------------------------------------------------------------------------------------------------


class _Upload:
    """A temporary file on its way to becoming a blob. Every method may be called from any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._temporary = directory / _TEMPORARY
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._ended = False
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, piece: bytes) -> None:
        with self._lock, _translated("write a blob"):
            self._open().write(piece)
            self._count(piece)

    def keep(self) -> BlobRef:
        """Give it its name. Durable when it returns."""
        with self._lock, _translated("keep a blob"):
            return self._keep(b"")

    def keep_whole(self, content: bytes) -> BlobRef:
        """`write` and `keep` in one, without writing what is there already."""
        with self._lock, _translated("keep a blob"):
            self._count(content)
            return self._keep(content)

    def end(self) -> None:
        """Close it, and remove what did not become a blob. Afterwards nothing can be written."""
        with self._lock:
            self._ended = True
            if self._file is not None:
                with suppress(OSError):  # a sweep will
                    Path(self._file.name).unlink()
                with suppress(OSError):  # what is left in its buffer is not wanted
                    self._file.close()

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)

    def _keep(self, rest: bytes) -> BlobRef:
        ref = BlobRef(hash=self._hash.hexdigest(), size=self._size)
        path = _path(self._directory, ref.hash)
        if not _is_there(path, ref.size):
            self._open().write(rest)
            self._rename(path)
        _sync_directory(path.parent)  # also when another process made it: it may not have come to that yet
        _sync_directory(self._directory)
        return ref

    def _open(self) -> BinaryIO:
        if self._ended:
            raise StoreFailed("store_failed", "the blob was given up while it was written")
        if self._file is None:
            _make_directory(self._temporary)
            self._file = _create_locked(self._temporary)
        return self._file

    def _rename(self, path: Path) -> None:
        file = self._open()
        file.flush()
        os.fsync(file.fileno())
        _make_directory(path.parent)
        Path(file.name).replace(path)  # while the file is open, hence locked: no sweep can take it away before


class _Download:
    """A blob on its way out. Every method may be called from any thread."""

    def __init__(self, path: Path, hash: str) -> None:
        self._path = path
        self._expected = hash
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._ended = False
        self._hash = hashlib.sha256()

    def read(self) -> bytes:
        with self._lock, _translated(f"read the blob {self._expected}"):
            if self._ended:
                return b""
            if self._file is None:
                self._file = self._open()
            piece = self._file.read(PIECE)
            self._hash.update(piece)
            return piece

    def verify(self) -> None:
        if self._hash.hexdigest() != self._expected:
            raise StoreFailed(
                "store_corrupt",
                f"the blob {self._expected} is not what was stored; delete it or restore it from a backup",
                details={"hash": self._expected},
            )

    def end(self) -> None:
        with self._lock:
            self._ended = True
            if self._file is not None:
                self._file.close()

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            raise _not_found(self._expected) from None


def _create_locked(directory: Path) -> BinaryIO:
    """A new file in the directory that only this process may read, and that no sweep takes for a forgotten one."""
    while True:
        path = directory / secrets.token_hex(16)  # no name twice: a sweep that has locked one may remove it any time
        file = open(path, "xb", opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink:
                return file
        file.close()  # a sweep came between the two calls: it removes the file, or has done so


def _sweep(directory: Path, before: float) -> int:
    with _translated("sweep temporary files"):
        found = list(directory.iterdir()) if directory.is_dir() else []
        return sum(_remove_forgotten(path, before) for path in found)


def _remove_forgotten(path: Path, before: float) -> bool:
    """Remove the file unless its writer lives, which holds a lock on it, or may do so, by the time it was written."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime > before:
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def _delete(path: Path) -> bool:
    with _translated("delete a blob"):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _sync_directory(path.parent)
        return True


def _usage(directory: Path) -> tuple[int, int]:
    with _translated("look through the blobs"):
        sizes = list(_sizes(directory))
    return len(sizes), sum(sizes)


def _sizes(directory: Path) -> Iterator[int]:
    for path in directory.glob("[0-9a-f][0-9a-f]/*"):
        with suppress(FileNotFoundError):
            yield path.stat().st_size


def _is_there(path: Path, size: int) -> bool:
    """Whether the blob needs no writing. One that was cut short by a broken disk is written again."""
    return _size(path) == size


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _refs(folder: Path) -> list[BlobRef]:
    with _translated("look through the blobs"):
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        sizes = [(folder.name + path.name, _size(path)) for path in paths]
    return [BlobRef(hash=hash, size=size) for hash, size in sizes if size is not None and _HASH.fullmatch(hash)]


def _make_directory(path: Path) -> None:
    """Make it, and what is missing above it, durably."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- names and errors -------------------------------------------------------------------------------------------------


def _checked(hash: str) -> str:
    """The hash, which is going to be part of a path. Raises `validation_error`."""
    if not isinstance(hash, str) or not _HASH.fullmatch(hash):
        raise records.invalid("hash", "must be 64 hexadecimal digits, in lower case")
    return hash


def _path(directory: Path, hash: str) -> Path:
    return directory / _checked(hash)[:2] / hash[2:]


def _not_found(hash: str) -> SessionryError:
    return NotFound("blob_not_found", f"there is no blob {hash}", details={"hash": hash})


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """The one place where errors of the disk become errors of the store."""
    try:
        yield
    except OSError as error:
        code, remedy = _meaning(error)
        details = {"path": error.filename and str(error.filename)}
        raise StoreFailed(code, f"cannot {doing}: {error.strerror or error}; {remedy}", details=details) from error


def _meaning(error: OSError) -> tuple[str, str]:
    if error.errno in _FULL:
        return "store_full", "free some space"
    if error.errno in _READ_ONLY:
        return "store_read_only", "check who may write there"
    return "store_failed", "check the disk"
