"""Terminals for agents that leave their commands to the client: kept, bounded and ended like every other program."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any, NamedTuple

from acp.exceptions import RequestError

from sessionry.agents.output import Kept
from sessionry.agents.process import Process, environment
from sessionry.ports import AgentContext

#: Bytes of output that are kept, where the agent does not say.
OUTPUT_KEPT = 1 << 20


class Seen(NamedTuple):
    """What a command wrote into its terminal, and its exit code once it has ended."""

    text: str
    exit_code: int | None


class Terminals:
    """The terminals of one attempt. `close` ends them all."""

    def __init__(self, context: AgentContext, env: dict[str, str]) -> None:
        self._context = context
        self._env = env
        self._terminals: dict[str, _Terminal] = {}
        self._released: dict[str, _Terminal] = {}

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        what = method.removeprefix("terminal/")
        if what == "create":
            return {"terminalId": self._create(params)}
        terminal = self._terminals.get(str(params.get("terminalId")))
        if terminal is None:
            raise RequestError.resource_not_found(str(params.get("terminalId")))
        match what:
            case "output":
                return terminal.output()
            case "wait_for_exit":
                return await terminal.wait()
            case "kill":
                await terminal.end()
                return {}
            case "release":
                await terminal.end()
                id = str(params["terminalId"])
                self._released[id] = self._terminals.pop(id)
                return {}
        raise RequestError.method_not_found(method)

    def seen(self, id: str) -> Seen | None:
        """None for a terminal that is none of these."""
        terminal = self._terminals.get(id) or self._released.get(id)
        return None if terminal is None else Seen(terminal.text, terminal.exit_code)

    async def close(self) -> None:
        for terminal in list(self._terminals.values()):
            await terminal.end()

    def _create(self, params: dict[str, Any]) -> str:
        given = {str(pair["name"]): str(pair["value"]) for pair in params.get("env") or []}
        argv = [str(params.get("command")), *map(str, params.get("args") or [])]
        try:
            process = Process.start(
                argv if params.get("args") else ["/bin/sh", "-c", argv[0]],
                cwd=Path(params.get("cwd") or self._context.cwd),
                env=environment({**self._env, **given}),
                run_id=self._context.run.id,
                worker_id=self._context.run.worker_id,
            )
        except OSError as error:
            raise RequestError.internal_error({"details": f"{argv[0]} cannot be started: {error.strerror}"}) from None
        id = f"terminal-{len(self._terminals) + len(self._released) + 1}"
        self._terminals[id] = _Terminal(process, int(params.get("outputByteLimit") or OUTPUT_KEPT))
        return id


class _Terminal:
    def __init__(self, process: Process, limit: int) -> None:
        self._process = process
        self._kept = Kept(max(limit, 2))
        self._code: int | None = None
        self._reading = asyncio.create_task(self._read())

    @property
    def text(self) -> str:
        return self._kept.text()

    @property
    def exit_code(self) -> int | None:
        return self._code

    def output(self) -> dict[str, Any]:
        told: dict[str, Any] = {"output": self.text, "truncated": bool(self._kept.dropped)}
        return told | ({} if self._code is None else {"exitStatus": self._status()})

    async def wait(self) -> dict[str, Any]:
        await asyncio.shield(self._reading)
        return self._status()

    async def end(self) -> None:
        """Kill it; what it wrote stays."""
        self._code = await self._process.stop()
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        while (chunks := await self._process.read()) is not None:
            for chunk in chunks:
                self._kept.add(chunk.data)
        self._code = await self._process.finish()

    def _status(self) -> dict[str, Any]:
        if self._code is not None and self._code < 0:
            return {"exitCode": None, "signal": signal.Signals(-self._code).name}
        return {"exitCode": self._code, "signal": None}
