"""The shell agent: runs one command and tells what it wrote, how it ended, and why."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec

from sessionry.agents.commands import CommandRules, find_executable
from sessionry.agents.output import Kept, Streamer
from sessionry.agents.places import place
from sessionry.agents.process import GRACE, PASSED_ON, Process, environment, kill_leftovers
from sessionry.domain import records
from sessionry.domain.errors import CODES, InvalidInput
from sessionry.domain.events import (
    EventData,
    PolicyViolation,
    RunCompleted,
    RunFailed,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
)
from sessionry.domain.json_values import Json, json_object, text_value
from sessionry.domain.run import AgentFacts, ErrorInfo, Takeover
from sessionry.ports import AgentContext, Capability

TOOL = "shell"
#: Bytes of the end of stdout that become the run's text, and of stderr that are told with a failure.
TEXT_TAIL, ERROR_TAIL = 16_384, 4096

_HOW = 'give a list of words, e.g. {"argv": ["git", "status"]}, or on the command line `-- git status`'


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the shell agent is asked to run."""

    argv: list[str]
    env: dict[str, str] = {}
    cwd: str | None = None


class ShellAgent:
    """Runs a command: `{"argv": [...], "env": {...}, "cwd": "..."}`, or just the list of words.

    A plain string is refused unless `shell_string` is set; then `shell -c` runs it. `allowed_commands` and
    `denied_commands` are about the executable that is really meant (see `CommandRules`); with allowed commands the input
    may set no environment, which can turn one program into another, unless `input_env` says so. `env_allow` names what is
    passed on of the worker's environment, `env` adds to it. `max_output_bytes` bounds what is streamed and kept of stdout
    and of stderr each. With `approve` a person is asked before each command. `kill_grace` is in seconds.
    """

    def __init__(
        self,
        id: str = "shell",
        *,
        shell_string: bool = False,
        shell: str = "/bin/sh",
        allowed_commands: Sequence[str] | None = None,
        denied_commands: Sequence[str] = (),
        success_exit_codes: Sequence[int] = (0,),
        max_output_bytes: int = 1 << 20,
        env_allow: Sequence[str] = PASSED_ON,
        env: Mapping[str, str] | None = None,
        input_env: bool | None = None,
        approve: bool = False,
        kill_grace: float = GRACE,
    ) -> None:
        if shell_string and denied_commands:
            raise _unusable("denied_commands", "cannot be kept together with shell_string, which runs anything")
        if max_output_bytes < 1024:
            raise _unusable("max_output_bytes", f"must be at least 1024, not {max_output_bytes}")
        if not 0 < kill_grace <= 9:  # a worker gives up on a cancelled agent after 10
            raise _unusable("kill_grace", f"must be from 0 to 9 seconds, not {kill_grace}")
        self.id = id
        self._shell = [shell, "-c"] if shell_string else None
        self._rules = CommandRules(allowed_commands, denied_commands)
        self._success = frozenset(success_exit_codes)
        self._limit = max_output_bytes
        self._env_allow = tuple(env_allow)
        self._env = dict(env or {})
        self._input_env = allowed_commands is None if input_env is None else input_env
        self._approve = approve
        self._grace = kill_grace

    @property
    def facts(self) -> AgentFacts:
        able = [Capability.STREAMING, Capability.TOOLS, Capability.COMMANDS, Capability.FILES]
        return AgentFacts(type="shell", capabilities=[*able, Capability.APPROVALS] if self._approve else list(able))

    @property
    def takeover(self) -> Takeover:
        """Nobody knows what half of a command has done to the world."""
        return Takeover.STOP

    @property
    def takeover_waiting(self) -> Takeover:
        """It waits before the command, never in it."""
        return Takeover.RESTART

    def check(self, input: Json) -> Json:
        """The command as an object."""
        return msgspec.to_builtins(self._command(input))

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        if context.run.attempt > 1:
            await asyncio.to_thread(kill_leftovers, [context.run.id])
        call = self._prepare(context)
        refusal = await self._refusal(context, call)
        if refusal is not None:
            yield PolicyViolation(policy=self.id, kind="command", action="refused", details={"argv": call.argv})
            yield RunFailed(error=refusal)
            return
        async with place(), aclosing(self._execute(context, call)) as events:
            async for event in events:
                yield event

    async def _execute(self, context: AgentContext, call: _Call) -> AsyncGenerator[EventData, None]:
        # kept before the world is touched: should we die now, it is known that the command may have run
        await context.emit(ToolCallStarted(tool_call_id=call.id, tool_name=TOOL, tool_input=call.told()))
        begin = time.monotonic()
        try:
            process = call.start()
        except _NotStarted as failure:
            yield ToolCallFailed(tool_call_id=call.id, tool_name=TOOL, error=failure.error)
            yield RunFailed(error=failure.error)
            return
        try:
            kept = {"stdout": Kept(self._limit), "stderr": Kept(self._limit)}
            streamer = Streamer(call.id, self._limit)
            while (chunks := await process.read(streamer.wait())) is not None:
                for chunk in chunks:
                    kept[chunk.stream].add(chunk.data)
                    streamer.add(chunk)
                for piece in streamer.due():
                    yield piece
            for piece in streamer.rest():
                yield piece
            code = await process.finish(self._grace)
        finally:
            await process.stop(self._grace)
        facts: dict[str, Json] = {"duration": round(time.monotonic() - begin, 3)}
        if process.left_behind:
            facts["left_behind"] = process.left_behind
        for event in self._ending(call, code, facts, kept):
            yield event

    def _prepare(self, context: AgentContext) -> _Call:
        command = self._command(context.run.input)
        cwd = context.cwd / (command.cwd or "")
        env = environment({**self._env, **command.env}, self._env_allow)
        return _Call(
            id=f"shell-{context.run.id.removeprefix('run_')}-{context.run.attempt}",
            run_id=context.run.id,
            worker_id=context.run.worker_id,
            argv=command.argv,
            executable=find_executable(command.argv[0], cwd=cwd, env=env),
            cwd=cwd,
            env=env,
            given_env=command.env,
        )

    async def _refusal(self, context: AgentContext, call: _Call) -> ErrorInfo | None:
        """Why this must not be run: the rules first, then a person, if one is to be asked."""
        if call.executable is None:
            return None  # it cannot be run anyway, and that is said better there
        problem = self._rules.refusal(call.executable)
        if problem is None and self._approve:
            decision = await context.approve(TOOL, call.told())
            if not decision:
                who = "nobody decided in time" if decision.expired else f"denied by {decision.by or 'a person'}"
                problem = f"{who}: {decision.note}" if decision.note else who
        return None if problem is None else _error("policy_violation", problem, argv=call.argv)

    def _ending(self, call: _Call, code: int, facts: dict[str, Json], kept: Mapping[str, Kept]) -> list[EventData]:
        how: dict[str, Json] = {"exit_code": code}
        if code < 0:
            how = {"exit_code": None, "signal": _signal_name(-code)}
        truncated = any(stream.dropped for stream in kept.values())
        result = how | {name: stream.text() for name, stream in kept.items()} | {"truncated": truncated}
        output = how | facts
        if code in self._success:
            text = kept["stdout"].end(TEXT_TAIL).rstrip("\n")
            return [
                ToolCallCompleted(tool_call_id=call.id, tool_name=TOOL, tool_output=result),
                RunCompleted(text=text, output=output, stop_reason=f"exit_code_{code}"),
            ]
        error = _failure(Path(call.argv[0]).name, how, kept["stderr"].end(ERROR_TAIL))
        return [
            ToolCallFailed(tool_call_id=call.id, tool_name=TOOL, error=error, tool_output=result),
            RunFailed(error=error, output=output),
        ]

    def _command(self, input: Json) -> Command:
        if isinstance(input, str):
            if self._shell is None:
                raise _refused("input", f"is a string, which is not split into words; {_HOW}; or set shell_string")
            return Command([*self._shell, _word(input, "input")])
        if isinstance(input, list):
            return Command(_argv(input, "input"))
        if not isinstance(input, dict) or "argv" not in input:
            raise _refused("input", f"is no command; {_HOW}")
        fields = json_object(input, "input")
        if unknown := sorted(fields.keys() - {"argv", "env", "cwd"}):
            raise _refused(f"input.{unknown[0]}", "is not known; a command has argv, env and cwd")
        cwd = fields.get("cwd")
        return Command(
            _argv(fields["argv"], "input.argv"),
            self._given_env(fields.get("env") or {}),
            None if cwd is None else _word(cwd, "input.cwd"),
        )

    def _given_env(self, env: Json) -> dict[str, str]:
        if env and not self._input_env:
            raise _refused("input.env", "is not allowed together with allowed commands; set input_env for the agent")
        for name, value in json_object(env, "input.env").items():
            if not name or "=" in name or "\0" in name:
                raise _refused("input.env", f"has {name!r}, which cannot be the name of a variable")
            _word(value, f"input.env.{name}")
        return dict(env)


class _NotStarted(Exception):
    def __init__(self, error: ErrorInfo) -> None:
        super().__init__(error.message)
        self.error = error


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """A command with everything settled that running it needs."""

    id: str
    run_id: str
    worker_id: str | None
    argv: list[str]
    executable: Path | None
    cwd: Path
    env: dict[str, str]
    given_env: dict[str, str]

    def told(self) -> dict[str, Json]:
        """What the log and whoever has to approve get to see."""
        told: dict[str, Json] = {"argv": self.argv, "cwd": str(self.cwd)}
        return told | ({"env": self.given_env} if self.given_env else {})

    def start(self) -> Process:
        name = self.argv[0]
        if not self.cwd.is_dir():
            raise _NotStarted(_error("command_failed", f"the directory {self.cwd} does not exist; create it first"))
        if self.executable is None:
            where = "is not an executable file" if os.sep in name else "was not found on the PATH"
            problem = f"{name} {where}; install it, or give its full path"
            raise _NotStarted(_error("command_not_found", problem, command=name))
        env = self.env | {"SESSIONRY_RUN_ID": self.run_id}
        try:
            return Process.start(
                self.argv,
                executable=str(self.executable),
                cwd=self.cwd,
                env=env,
                run_id=self.run_id,
                worker_id=self.worker_id,
            )
        except OSError as error:
            raise _NotStarted(_error("command_failed", f"{name} cannot be started: {error.strerror}")) from error


def _failure(name: str, how: Mapping[str, Json], stderr: str) -> ErrorInfo:
    last = stderr.rstrip().rpartition("\n")[2].strip()
    if killer := how.get("signal"):
        told = f"{name} was ended by {killer}" + (" (out of memory, perhaps)" if killer == "SIGKILL" else "")
    else:
        told = f"{name} exited with code {how['exit_code']}"
    return _error("command_failed", f"{told}: {last[:500]}" if last else told, **how, stderr=stderr)


def _error(code: str, message: str, **details: Json) -> ErrorInfo:
    return ErrorInfo(code=code, message=message, retryable=CODES[code].retryable, details=details)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _argv(words: Json, path: str) -> list[str]:
    if not isinstance(words, list) or not words:
        raise _refused(path, f"must be a list with at least one word; {_HOW}")
    argv = [_word(word, f"{path}[{index}]") for index, word in enumerate(words)]
    if not argv[0]:
        raise _refused(f"{path}[0]", "is empty, but names the program to run")
    return argv


def _word(value: Json, path: str) -> str:
    text = text_value(value, path)
    if "\0" in text:
        raise _refused(path, "has a NUL character, which no program can be given")
    return text


def _refused(path: str, problem: str) -> InvalidInput:
    return records.invalid(path, problem)


def _unusable(option: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"{option} {problem}", details={"option": option})
