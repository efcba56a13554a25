"""What the agent may ask of us: a person's permission, files, and terminals, as far as these were offered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acp.exceptions import RequestError

from sessionry.agents.acp.options import Settings
from sessionry.agents.acp.terminals import Terminals
from sessionry.agents.acp.wire import CLIENT_METHODS

#: The answer to a question when the turn was interrupted, or when no option says what was decided.
CANCELLED: dict[str, Any] = {"outcome": {"outcome": "cancelled"}}


class Question:
    """The agent waits until it is answered."""

    def __init__(self, params: dict[str, Any]) -> None:
        call = params.get("toolCall")
        self.call: dict[str, Any] = call if isinstance(call, dict) else {}
        options = params.get("options")
        self.options = [option for option in options if isinstance(option, dict)] if isinstance(options, list) else []
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def decide(self, approved: bool, *, remember: bool) -> bool:
        """Choose the option of exactly that kind; false when the agent offers none, and the question is then cancelled.

        An option that allows for ever is never chosen, unless the user of this agent wants that.
        """
        kinds = (("allow_always", "allow_once") if remember else ("allow_once",)) if approved else ("reject_once",)
        offered = {option.get("kind"): option.get("optionId") for option in reversed(self.options)}
        chosen = next((offered[kind] for kind in kinds if kind in offered), None)
        if chosen is None:
            self.cancel()
            return False
        self._settle({"outcome": {"outcome": "selected", "optionId": chosen}})
        return True

    def cancel(self) -> None:
        self._settle(CANCELLED)

    def _settle(self, answer: dict[str, Any]) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class Client:
    """Answers the agent's requests. Questions to people go to `ask`; while that is None they are cancelled."""

    def __init__(self, settings: Settings, cwd: Path, terminals: Terminals) -> None:
        self.ask: Callable[[Question], None] | None = None
        self._settings = settings
        self._roots = [Path(root).resolve() for root in [str(cwd), *settings.folders]]
        self._cwd = cwd
        self.terminals = terminals

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == CLIENT_METHODS["session_request_permission"]:
            question = Question(params)
            if self.ask is None:
                return CANCELLED
            self.ask(question)
            return await question.answer
        if self._settings.client_files and method == CLIENT_METHODS["fs_read_text_file"]:
            return await asyncio.to_thread(self._read, params)
        if self._settings.client_files and method == CLIENT_METHODS["fs_write_text_file"]:
            return await asyncio.to_thread(self._write, params)
        if self._settings.client_terminal and method.startswith("terminal/"):
            return await self.terminals.answer(method, params)
        raise RequestError.method_not_found(method)

    def _read(self, params: dict[str, Any]) -> dict[str, Any]:
        path = self._path(params)
        try:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            raise RequestError.resource_not_found(str(path)) from None  # agents take exactly this for "no such file"
        except (OSError, ValueError) as error:
            raise RequestError.internal_error({"details": str(error)}) from None
        begin = max(int(params.get("line") or 1), 1) - 1
        end = None if params.get("limit") is None else begin + int(params["limit"])
        return {"content": "".join(lines[begin:end])}

    def _write(self, params: dict[str, Any]) -> dict[str, Any]:
        path = self._path(params)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(params.get("content", "")), encoding="utf-8")
        except OSError as error:
            raise RequestError.internal_error({"details": str(error)}) from None
        return {}

    def _path(self, params: dict[str, Any]) -> Path:
        """Inside of the folders that the agent works in."""
        path = (self._cwd / str(params.get("path", ""))).resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            raise RequestError.invalid_params({"details": f"{path} is outside of the folders of this session"})
        return path
