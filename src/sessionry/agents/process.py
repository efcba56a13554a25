"""Programs that work for an agent: started apart, read without growing, ended down to the last descendant.

A program gets a session and a process group of its own, no standard input unless it is given one, and only those variables
of our environment that are on a list. Nothing of its output is read ahead of the caller, so a program that floods waits
in its own `write` and our memory does not grow.

A descendant can leave the group (`setsid`), and its parent can die, so that nothing ties it to us any more but the
environment it was started with. Every program is therefore started with marks in `SESSIONRY_MARKS`: one for the program,
and the ids of its run and of the worker. What carries the mark is ended with the program; `kill_leftovers` ends what a
crashed worker left behind, and `kill_programs` the programs that the log names by pid and start time.
A descendant that leaves the group, outlives its parent *and* wipes its environment is beyond reach.

The order in which a program is ended: whoever speaks its protocol asks it to interrupt its work, and waits a moment; then
`stop` sends SIGINT, SIGTERM and SIGKILL, each to the group and to all who left it, each with its share of the grace; what
is born meanwhile is killed as well, and only when nobody is left the program is reaped.

The program itself is not reaped before its group was signalled: as long as it is a zombie, its pid can be nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import os
import re
import secrets
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from sessionry.agents.descendants import GRACE as GRACE
from sessionry.agents.descendants import LADDER, alive, end_all, marked, processes, settled
from sessionry.agents.descendants import MARKS as MARKS
from sessionry.agents.descendants import kill_leftovers as kill_leftovers
from sessionry.agents.descendants import kill_programs as kill_programs
from sessionry.agents.threads import despite_cancellation, in_thread

#: Variables of our environment that a program is given, besides those that are given explicitly.
PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TERM", "TZ", "TMPDIR", "TMP", "TEMP"),
    "XDG_*",
)

#: Seconds after the program's end in which output from what it left behind is still read.
LINGER = 1.0

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
_READ_SIZE = 65_536


class Chunk(NamedTuple):
    """Some output. Empty `data` says that the stream has ended."""

    stream: str
    data: bytes


def environment(given: Mapping[str, str] | None = None, allow: Sequence[str] = PASSED_ON) -> dict[str, str]:
    """Our environment as far as `allow` lets it through (`*` matches anything), and what is given on top."""
    passes = _pattern(tuple(allow)).match
    return {name: value for name, value in os.environ.items() if passes(name)} | dict(given or {})


@cache
def _pattern(allow: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, allow)) or "(?!)")


class Process:
    """A running program. Whoever starts one calls `finish` or `stop`, whatever happens: both leave nothing behind."""

    def __init__(self, popen: subprocess.Popen[bytes], mark: str) -> None:
        self._popen = popen
        self._mark = mark
        self._loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[None] = self._loop.create_future()
        self._linger_until = float("inf")
        self._pidfd: int | None = None
        self._ending: asyncio.Future[int] | None = None
        self._streams: dict[str, IO[bytes]] = {name: getattr(popen, name) for name in ("stdout", "stderr")}
        for pipe in self._pipes():
            os.set_blocking(pipe.fileno(), False)
        self.pid = popen.pid
        #: seconds since 1970, as psutil tells it: with the pid it names this process for ever
        self.started_at: float = psutil.Process(popen.pid).create_time()
        #: how many processes the program had left running when it ended by itself
        self.left_behind = 0
        self._watch_exit()

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        run_id: str | None = None,
        worker_id: str | None = None,
        executable: str | None = None,
        stdin: bytes | int = DEVNULL,
    ) -> Process:
        """Start `argv`; needs a running event loop. Raises `OSError` when the system cannot.

        `executable` is what is really run, if it is not to be looked up. `stdin` is its content, or PIPE to `write` to.
        """
        mark = secrets.token_hex(8)
        marks = " ".join(filter(None, (os.environ.get(MARKS), worker_id, run_id, mark)))
        with _stdin(stdin) as source:
            popen = subprocess.Popen(  # noqa: S603  running the caller's argv is what this is for
                list(argv),
                executable=executable,
                cwd=cwd,
                env={**env, MARKS: marks},
                stdin=source,
                stdout=PIPE,
                stderr=PIPE,
                bufsize=0,
                start_new_session=True,
            )
        return cls(popen, mark)

    # --- talking to it ---

    async def read(self, timeout: float | None = None) -> list[Chunk] | None:
        """What the program wrote since the last call, at most 64 KiB of each stream.

        Waits until there is something; an empty list says that `timeout` seconds went by or that the program ended.
        None: there is no more, or only from processes that the program left behind more than a second ago.
        """
        chunks = self._read_now()
        if chunks:
            await asyncio.sleep(0)  # a flood must not keep the event loop to itself
            return chunks
        if not self._streams or self._loop.time() >= self._linger_until:
            return None
        await self._wait_for_output(timeout)
        return self._read_now()

    async def write(self, data: bytes) -> None:
        """Give the program `data` to read, at its own pace. Raises `BrokenPipeError` when it reads no more."""
        if self._popen.stdin is None or self._popen.stdin.closed:
            raise BrokenPipeError("the program has no standard input")
        file, rest = self._popen.stdin.fileno(), memoryview(data)
        while rest:
            try:
                rest = rest[os.write(file, rest[:_READ_SIZE]) :]
            except BlockingIOError:
                await self._wait_for_room(file)

    def close_stdin(self) -> None:
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    @property
    def exited(self) -> bool:
        return self._exit.done()

    async def wait(self) -> None:
        """Wait until the program itself has ended."""
        await asyncio.shield(self._exit)

    # --- ending it ---

    async def finish(self, grace: float = GRACE) -> int:
        """Wait for the program's end, then end what it left running. Its exit code; -N when signal N ended it."""
        await self.wait()
        return await self.stop(grace)

    async def stop(self, grace: float = GRACE) -> int:
        """Interrupt, then terminate, then kill the program and all its descendants, within `grace` seconds in all.

        The program is reaped when this returns, also when the caller is cancelled meanwhile. Can be called again.
        """
        if self._ending is None:
            for pipe in self._pipes():
                self._loop.remove_reader(pipe.fileno())
            self._ending = in_thread(lambda: self._end(grace), daemon=False)
        code = await despite_cancellation(self._ending)
        self._note_exit()
        return code

    def _end(self, grace: float) -> int:
        """Everything of `stop` that blocks, in a thread: not even the end of the event loop leaves it half done."""
        if self._running():
            end_all(self._family, self._signal, LADDER, grace, while_waiting=self._read_now)
        elif left := settled(self._family):
            self.left_behind = len(left)
            end_all(self._family, self._signal, LADDER[1:], grace, while_waiting=self._read_now)
        for pipe in self._pipes():
            pipe.close()
        return self._reap()

    def _family(self) -> list[psutil.Process]:
        """Everybody alive who comes from the program, wherever they went, and the program itself."""
        reaped = self._popen.returncode is not None

        def ours(pid: int) -> bool:
            return (not reaped and self.pid in (os.getsid(pid), os.getpgid(pid))) or marked(pid, {self._mark})

        found = processes(ours)
        if not reaped:
            with contextlib.suppress(psutil.Error):
                found += psutil.Process(self.pid).children(recursive=True)
        return list(dict.fromkeys(found))

    def _signal(self, number: signal.Signals, family: Sequence[psutil.Process]) -> None:
        """To the group as one, so that no fork slips through, and to each of those who left it."""
        reaped = self._popen.returncode is not None
        if not reaped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
        for process in family:
            with contextlib.suppress(ProcessLookupError, psutil.Error):
                if reaped or os.getpgid(process.pid) != self.pid:
                    process.send_signal(number)

    def _running(self) -> bool:
        try:
            return self._popen.returncode is None and alive(psutil.Process(self.pid))
        except psutil.NoSuchProcess:  # the thread that waits for it without a pidfd was faster
            return False

    def _reap(self) -> int:
        if not self._running():
            return self._popen.wait()
        # the kernel holds the program (a dead network disk, say) even from SIGKILL: reap it whenever that is over
        threading.Thread(target=self._popen.wait, daemon=True).start()
        return -signal.SIGKILL

    # --- pipes and exit, watched by the event loop ---

    def _read_now(self) -> list[Chunk]:
        chunks = []
        for name, pipe in list(self._streams.items()):
            try:
                data = os.read(pipe.fileno(), _READ_SIZE)
            except BlockingIOError:
                continue
            chunks.append(Chunk(name, data))
            if not data:
                self._streams.pop(name).close()
        return chunks

    def _pipes(self) -> list[IO[bytes]]:
        """Those that are still open."""
        pipes = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        return [pipe for pipe in pipes if pipe is not None and not pipe.closed]

    async def _wait_for_output(self, timeout: float | None) -> None:
        """Until there is something to read, the program ends, or the time is over."""
        woken: asyncio.Future[None] = self._loop.create_future()
        until = min(self._linger_until, float("inf") if timeout is None else self._loop.time() + timeout)
        timer = self._loop.call_at(until, _settle, woken) if until != float("inf") else None
        files = [pipe.fileno() for pipe in self._streams.values()]
        if not self.exited:
            self._exit.add_done_callback(wake := lambda _: _settle(woken))
        for file in files:
            self._loop.add_reader(file, _settle, woken)
        try:
            await woken
        finally:
            for file in files:
                self._loop.remove_reader(file)
            if timer is not None:
                timer.cancel()
            if not self.exited:
                self._exit.remove_done_callback(wake)

    async def _wait_for_room(self, file: int) -> None:
        woken: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(file, _settle, woken)
        try:
            await woken
        finally:
            self._loop.remove_writer(file)

    def _watch_exit(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or an old one
            in_thread(self._popen.wait, daemon=True).add_done_callback(lambda _: self._note_exit())
        else:
            self._loop.add_reader(self._pidfd, self._note_exit)

    def _note_exit(self) -> None:
        if self._exit.done():
            return
        self._linger_until = self._loop.time() + LINGER
        self._exit.set_result(None)
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@contextlib.contextmanager
def _stdin(content: bytes | int) -> Iterator[int | IO[bytes]]:
    """A file with the content: unlike a pipe, it needs nobody to feed it."""
    if isinstance(content, int):
        yield content
        return
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file
