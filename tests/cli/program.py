"""The real program in real processes: to its end, in the background, or on a terminal of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import sessionry
from sessionry.settings import Settings
from sessionry.sync import SyncSessions

#: The script that is installed beside this Python.
SESSIONRY = str(Path(sys.executable).parent / "sessionry")
#: Seconds after which a test gives up, on a machine that has much else to do.
PATIENCE = 45.0


class Finished:
    """How a process ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        (line,) = self.lines
        return json.loads(line)

    @property
    def jsons(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]

    @property
    def error(self) -> dict[str, Any]:
        """The error on stderr, which must be all that is there."""
        (line,) = self.err.splitlines()
        found: dict[str, Any] = json.loads(line)["error"]
        return found


class Started:
    """A process in the background."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen = ""

    def until(self, text: str, seconds: float = PATIENCE) -> str:
        """Read stdout until the text has come; all that was read so far."""
        assert self.process.stdout is not None
        file = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([file], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(file, 65_536) if ready else b""
            assert piece, f"{text!r} never came, only: {self.seen!r}\n{self.wait() if ready else ''}"
            self.seen += piece.decode()
        return self.seen

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> Finished:
        out, err = self.process.communicate(timeout=seconds)
        return Finished(self.process.returncode, self.seen + out, err)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Terminal:
    """A process on a terminal. What it shows comes as a terminal would be sent it."""

    def __init__(self, words: list[str], cwd: Path, env: Mapping[str, str], columns: int) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(words[0], words, dict(env))
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.shown = ""
        self._from = 0
        self._code: int | None = None

    def until(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait until the text is shown, after what was waited for before."""
        deadline = time.monotonic() + seconds
        while (at := self.shown.find(text, self._from)) < 0:
            assert self._read(deadline), f"{text!r} was never shown, only: {self.shown!r}"
        self._from = at + len(text)
        return self.shown

    def type(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def end(self, seconds: float = PATIENCE) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self._reap(deadline)

    @property
    def text(self) -> str:
        """What a person could have read, without colours."""
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.shown).replace("\r\n", "\n")

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.file], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"nothing more was shown, only: {self.shown!r}"
        try:
            piece = os.read(self.file, 65_536)
        except OSError:  # the terminal has no user any more
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)

    def _reap(self, deadline: float) -> int:
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                os.close(self.file)
            else:
                assert time.monotonic() < deadline, "it does not end"
                time.sleep(0.01)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(time.monotonic() + PATIENCE)


class Cli:
    """The program with a store, a home and a working directory that are the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder / "work"
        self.cwd.mkdir()
        self.store = folder / "store.db"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SESSIONRY_", "XDG_"))}
        self.env = kept | {
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "SESSIONRY_STORE": f"sqlite:///{self.store}",
            "SESSIONRY_USER": "",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
        }
        for name in ("NO_COLOR", "COLUMNS", "PYTHONDONTWRITEBYTECODE"):
            self.env.pop(name, None)
        self._running: list[Started | Terminal] = []

    def __call__(self, *words: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Finished:
        """Run it to its end."""
        done = subprocess.run(
            [SESSIONRY, *map(str, words)],
            cwd=self.cwd,
            env=self.env | dict(env or {}),
            input=stdin.encode(),
            capture_output=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str | Path, stdin: str = "") -> Finished:
        done = self(*words, stdin=stdin)
        assert done.code == 0, done
        return done

    def start(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Started:
        """Run it in the background, with no stdin."""
        process = subprocess.Popen(
            [SESSIONRY, *map(str, words)],
            cwd=self.cwd,
            env=self.env | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started = Started(process)
        self._running.append(started)
        return started

    def terminal(
        self, *words: str | Path, columns: int = 100, env: Mapping[str, str] | None = None, program: str = SESSIONRY
    ) -> Terminal:
        """Run it on a terminal."""
        terminal = Terminal([program, *map(str, words)], self.cwd, self.env | dict(env or {}), columns)
        self._running.append(terminal)
        return terminal

    def close(self) -> None:
        for running in self._running:
            running.kill()

    # --- what most tests begin with -----------------------------------------------------------------------------------

    def agent(self, id: str, **options: Any) -> None:
        """Add an agent to the catalog of this home."""
        path = self.folder / "config" / "sessionry" / "agents.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{name} = {_toml(value)}" for name, value in options.items()]
        with path.open("a") as file:
            file.write("\n".join([f"[{id}]", *lines, ""]))

    def script(self, id: str, *steps: Any) -> None:
        """Add a scripted agent that does these steps."""
        self.agent(id, type="scripted", script=json.dumps(list(steps)))

    def echo(self, *words: str) -> str:
        """A session in which the echo agent has said something; its id. Made here, since a process takes longer."""
        text = " ".join(words)
        with self.library(worker=True) as sessions:
            session = sessions.create("echo", title=text[:80], cwd=self.cwd)
            assert session.run(text).result(timeout=PATIENCE)
        return session.id

    def queued(self, agent: str, input: Any, session: str | None = None) -> str:
        """A run that waits in the queue of the session, or of one of its own; its id."""
        with self.library(worker=False) as sessions:
            handle = sessions.create("echo", cwd=self.cwd) if session is None else sessions.session(session)
            return handle.run(input, agent=agent).id

    def library(self, *, worker: bool) -> AbstractContextManager[SyncSessions]:
        """The same store, in this process."""
        catalog = self.folder / "config" / "sessionry" / "agents.toml"
        settings = Settings(store=self.env["SESSIONRY_STORE"], agents=catalog if catalog.exists() else None)
        return sessionry.open_sync(settings=settings, worker=worker)

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """The first true answer."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.02)
        return answer


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)
