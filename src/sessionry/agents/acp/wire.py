"""The connection with an agent: JSON-RPC by `agent-client-protocol`, in lines over the program that `Program` keeps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from acp.connection import Connection
from acp.exceptions import RequestError
from acp.meta import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION
from acp.schema import CancelNotification
from acp.utils import serialize_params
from pydantic import BaseModel

from sessionry.agents.acp.failing import failed
from sessionry.agents.program import Program
from sessionry.domain.errors import AgentFailed, SessionryError

__all__ = ["AGENT_METHODS", "CLIENT_METHODS", "PROTOCOL_VERSION", "Wire"]

#: Updates that may wait for us; while there are more, nothing is read and the agent waits in its own `write`.
MOST_WAITING = 1000
#: Seconds for the agent to obey `session/cancel`, and to end after its input was closed.
OBEYS, LEAVES = 1.0, 0.7

#: What the protocol is called.
SOURCE = "acp"

#: Answers a request of the agent. Raises `RequestError`.
Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Wire:
    """What is said to the agent, and what it says. `update` hears of each `session/update`, in order.

    `answer` is asked for every request of the agent; it may take as long as it likes. `login` is what helps who is not
    logged in.
    """

    def __init__(self, program: Program, answer: Answer, login: str | None = None) -> None:
        self.program = program
        self.update: Callable[[dict[str, Any]], None] = lambda _: None
        self.waiting: Callable[[], int] = lambda: 0
        self.room = asyncio.Event()
        #: whoever has set `update` keeps what it hears, each when its turn has come
        self.in_turn = False
        self._answer = answer
        self._login = login
        self._messages = program.messages()
        self._broken: SessionryError | None = None
        self._connection = Connection(self._handle, self)

    @classmethod
    @asynccontextmanager
    async def over(cls, program: Program, answer: Answer, login: str | None = None) -> AsyncIterator[Wire]:
        wire = cls(program, answer, login)
        try:
            yield wire
        finally:
            await wire._connection.close()
            await wire._messages.aclose()

    # --- asking ---

    async def request(
        self, method: str, params: BaseModel | dict[str, Any], timeout: float | None = None
    ) -> dict[str, Any]:
        """The agent's answer. Raises what its error means; `crashed` and `protocol` when it is gone; `stalled`."""
        given = params if isinstance(params, dict) else serialize_params(params)
        try:
            async with asyncio.timeout(timeout):
                result = await self._connection.send_request(method, given)
        except RequestError as error:
            raise failed(method, error.code, str(error), error.data, self._login) from None
        except ConnectionError:
            raise await self.gone() from None
        except TimeoutError:
            problem = f"{self.program.name} did not answer {method} within {timeout:g} seconds"
            raise AgentFailed("stalled", problem, details={"stderr": self.program.last_lines}) from None
        return result if isinstance(result, dict) else {}

    async def cancel(self, session_id: str, prompting: asyncio.Task[Any]) -> None:
        """Interrupt the turn, and wait a moment for the agent to obey. Never raises what the agent says to it."""
        params = serialize_params(CancelNotification(session_id=session_id))
        with contextlib.suppress(SessionryError, ConnectionError, TimeoutError):
            async with asyncio.timeout(OBEYS):
                await self._connection.send_notification(AGENT_METHODS["session_cancel"], params)
                await asyncio.wait([prompting])

    async def leave(self) -> None:
        """Close the agent's input, and give it a moment to save what it has and to end."""
        self.program.close_stdin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVES):
                await self.program.process.wait()

    async def gone(self) -> SessionryError:
        """Why nothing comes any more."""
        return self._broken or await self.program.crash()

    # --- the transport of the connection ---

    async def send(self, message: dict[str, Any]) -> None:
        try:
            await self.program.send(message)
        except SessionryError as error:
            self._broken = self._broken or error
            if "method" in message:  # whoever asks is told; an answer has nobody to be told
                raise ConnectionError("the agent is gone") from None

    async def receive(self) -> dict[str, Any] | None:
        while self.waiting() > MOST_WAITING:
            self.room.clear()
            await self.room.wait()
        try:
            message = await anext(self._messages, None)
        except SessionryError as error:
            self._broken = self._broken or error
            return None
        if message is None:
            return None
        if isinstance(message, dict):
            if message.get("method") != CLIENT_METHODS["session_update"]:
                await self.program.heard(SOURCE, message)
            return message
        name = self.program.name
        self._broken = AgentFailed(
            "protocol", f"{name} wrote what is no message of the protocol: {str(message)[:200]!r}"
        )
        return None

    async def heard(self, params: dict[str, Any]) -> None:
        """To be told of each update when its turn has come."""
        update = {"jsonrpc": "2.0", "method": CLIENT_METHODS["session_update"], "params": params}
        await self.program.heard(SOURCE, update)

    async def close(self) -> None:
        """Part of the transport; the program is ended by whoever started it."""

    async def _handle(self, method: str, params: Any, is_notification: bool) -> Any:
        given = params if isinstance(params, dict) else {}
        if method == CLIENT_METHODS["session_update"]:
            # before anything is awaited: so updates stay in order, and before the answer to the prompt
            self.update(given)
            if not self.in_turn:
                await self.heard(given)
            return None
        return None if is_notification else await self._answer(method, given)
