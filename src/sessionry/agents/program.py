"""An agent's own program that is talked to in lines of JSON, for one attempt at one run.

    async with Program.start(context, argv, cwd=context.cwd, env=environment(given)) as program:
        await program.send({"type": "user", ...})
        async for message in program.messages():
            ...

Whatever happens in the block, the program and all its descendants are gone after it. What an earlier attempt may have left
is ended before it starts. Where the worker has a limit of programs, it waits in line for its place.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from sessionry.agents.output import Kept
from sessionry.agents.places import place
from sessionry.agents.process import GRACE, PIPE, Process, kill_leftovers, kill_programs
from sessionry.domain.codec import NO_JSON, encode_json
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import AgentProcessStarted
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext

#: Bytes of one line. Agents put whole files and images into one.
LONGEST_LINE = 32 << 20
#: Bytes that are kept of stderr.
STDERR_KEPT = 16_384
#: And bytes of its end that an error tells.
STDERR_TOLD = 4096
#: Seconds for which a program that reads no more is heard to its end.
LAST_WORDS = 1.0


class Program:
    """A running program. `messages` is read by one reader; anybody may `send`."""

    def __init__(self, context: AgentContext, process: Process, name: str, longest_line: int) -> None:
        self.process = process
        self.name = name
        self._context = context
        self._longest_line = longest_line
        self._stderr = Kept(STDERR_KEPT)
        self._sending = asyncio.Lock()
        self._said_all = asyncio.Event()
        self.exit_code: int | None = None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        context: AgentContext,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        version: str | None = None,
        grace: float = GRACE,
        longest_line: int = LONGEST_LINE,
    ) -> AsyncIterator[Program]:
        """Start it, and tell the log that it was. Raises `command_not_found` and `agent_unavailable`."""
        await _end_earlier(context)
        async with place():
            process = _started(context, argv, cwd, env)
            program = cls(context, process, Path(argv[0]).name, longest_line)
            try:
                await context.emit(
                    AgentProcessStarted(
                        program=program.name,
                        pid=process.pid,
                        started_at=process.started_at,
                        host=socket.gethostname(),
                        version=version,
                    )
                )
                yield program
            finally:
                program.exit_code = await process.stop(grace)

    @property
    def stderr(self) -> str:
        """The beginning and the end of what it wrote there."""
        return self._stderr.text().strip()

    @property
    def last_lines(self) -> str:
        """Of that the end, from the start of a line: of half a line nobody knows whether a secret ends in it."""
        return self._stderr.end(STDERR_TOLD).strip()

    async def send(self, message: Json) -> None:
        """One line. Raises `crashed` when nobody reads it."""
        async with self._sending:
            try:
                await self.process.write(encode_json(message).encode() + b"\n")
            except OSError:  # a broken pipe, or one that was closed meanwhile
                with suppress(TimeoutError):  # what it says before it leaves tells more than that it reads no more
                    async with asyncio.timeout(LAST_WORDS):
                        await self._said_all.wait()
                raise await self.crash("reads no more") from None

    def close_stdin(self) -> None:
        self.process.close_stdin()

    async def messages(self) -> AsyncGenerator[Any, None]:
        """What it says, an object a line, until it says no more. Raises `protocol` for what is no JSON or has no end."""
        try:
            async with aclosing(self._lines()) as lines:
                async for line in lines:
                    if message := line.strip():
                        yield self._decoded(message)
        finally:
            self._said_all.set()

    async def heard(self, source: str, message: Json) -> None:
        """To be told of each message when its turn has come, before what is made of it: the run may want to keep it."""
        await self._context.received(source, message)

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        rest = bytearray()
        while (chunks := await self.process.read()) is not None:
            for chunk in chunks:
                if chunk.stream == "stderr":
                    self._stderr.add(chunk.data)
                    continue
                *lines, tail = chunk.data.split(b"\n")
                for line in lines:
                    rest += line
                    yield bytes(rest)
                    rest.clear()
                rest += tail
                if len(rest) > self._longest_line:
                    raise self._confused(f"wrote a line of more than {self._longest_line >> 20} MiB")
        yield bytes(rest)

    async def crash(self, what: str = "ended") -> AgentFailed:
        """The error of a program that ended, or closed its mouth, before its work was done."""
        code = await self.process.stop()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        last = self.stderr.rpartition("\n")[2][:500]
        message = f"{self.name} {what} before its work was done ({how})" + (f": {last}" if last else "")
        return AgentFailed("crashed", message, details={"exit_code": code, "stderr": self.last_lines})

    def _decoded(self, line: bytes) -> Any:
        try:
            return msgspec.json.decode(line)
        except NO_JSON:
            raise self._confused(f"wrote what is no JSON: {line[:200].decode(errors='replace')!r}") from None

    def _confused(self, what: str) -> AgentFailed:
        return AgentFailed("protocol", f"{self.name} {what}", details={"stderr": self.last_lines})


async def _end_earlier(context: AgentContext) -> None:
    """End what earlier attempts left: by its marks, and by pid and start time for what has lost its environment."""
    if context.run.attempt == 1:
        return
    started = [event.data for event in await context.history([AgentProcessStarted.type])]
    here = [
        (data.pid, data.started_at)
        for data in started
        if isinstance(data, AgentProcessStarted) and data.host == socket.gethostname()
    ]
    await asyncio.to_thread(kill_programs, here)  # first, while their pids still lead to their groups
    await asyncio.to_thread(kill_leftovers, [context.run.id])


def _started(context: AgentContext, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Process:
    run = context.run
    try:
        return Process.start(argv, cwd=cwd, env=env, run_id=run.id, worker_id=run.worker_id, stdin=PIPE)
    except OSError as error:
        if not cwd.is_dir():
            problem = f"the folder {cwd} to start {argv[0]} in is not there"
        elif isinstance(error, FileNotFoundError):
            problem = f"{argv[0]} was not found; install it, or set its path in the agent's options"
            raise AgentFailed("command_not_found", problem) from error
        else:
            problem = f"{argv[0]} cannot be started: {error.strerror}"
        raise AgentFailed("agent_unavailable", problem) from error
