"""JSON-RPC in lines of JSON with a program: both sides may ask, and both may tell.

    async with Peer.over(program, "codex") as peer:
        await peer.call("initialize", {...})
        message = await peer.receive()

What the program says is read no further ahead than a few hundred messages, so that one who is slow to `receive` makes the
program wait and not our memory grow. Answers to calls do not wait in that line, as long as it is not full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from sessionry.agents.program import Program
from sessionry.domain.errors import AgentFailed

#: Messages that are read ahead.
READ_AHEAD = 512
#: Seconds that an answer may take.
PATIENCE = 60.0

METHOD_NOT_FOUND = -32601


class Refused(Exception):
    """The program answered a call with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(message)
        self.method = method
        self.code = code
        self.message = message


class Message(NamedTuple):
    """What the program said by itself: a notification, or with an id a request that wants an answer."""

    method: str
    params: dict[str, Any]
    id: int | str | None = None
    #: as it came
    raw: Any = None


class Peer:
    """One end of the line. One task receives; any task may call and answer. `source` is what the protocol is called."""

    def __init__(self, program: Program, source: str) -> None:
        self._program = program
        self._source = source
        self._calls: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        self._number = 0
        self._inbox: asyncio.Queue[Message | asyncio.Task[Any] | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(READ_AHEAD)
        self._deaf = False
        self._failure: AgentFailed | None = None

    @classmethod
    @asynccontextmanager
    async def over(cls, program: Program, source: str) -> AsyncIterator[Peer]:
        """A peer for as long as the block lasts."""
        peer = cls(program, source)
        reading = asyncio.create_task(peer._read(), name=f"reads {program.name}")
        try:
            yield peer
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def call(self, method: str, params: dict[str, Any] | None = None, *, timeout: float = PATIENCE) -> Any:
        """The answer. Raises `Refused`, `stalled` when none comes in time, and what ended the program."""
        if self._failure is not None:
            raise self._failure
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._calls[number] = (method, answer)
        try:
            await self._ask({"id": number, "method": method, "params": params or {}}, answer)
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            message = f"{self._program.name} did not answer {method} for {timeout:g} seconds"
            raise AgentFailed("stalled", message, details={"method": method}) from None
        finally:
            del self._calls[number]

    async def _ask(self, question: dict[str, Any], answer: asyncio.Future[Any]) -> None:
        try:
            await self._program.send(question)
        except AgentFailed:
            if answer.done():  # with what it said before it left, which tells more than that it left
                answer.result()
            raise

    async def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        await self._program.send({"method": method} | ({"params": params} if params is not None else {}))

    async def answer(self, id: int | str, result: Any) -> None:
        await self._program.send({"id": id, "result": result})

    async def refuse(self, id: int | str, message: str, code: int = METHOD_NOT_FOUND) -> None:
        await self._program.send({"id": id, "error": {"code": code, "message": message}})

    async def receive(self) -> Message | asyncio.Task[Any]:
        """What was said next, or a noted task that is done.

        Raises `crashed` when the program says no more, `protocol` when what it said could not be understood.
        """
        item = await self._inbox.get()
        if item is None:
            self._inbox.put_nowait(None)
            assert self._failure is not None
            raise self._failure
        if isinstance(item, Message):
            self._room.release()
            await self._program.heard(self._source, item.raw)
        return item

    def note(self, task: asyncio.Task[Any]) -> None:
        """Have the task received when it is done."""
        task.add_done_callback(self._inbox.put_nowait)

    def listen_no_more(self) -> None:
        """From now on only answers to calls are heard."""
        self._deaf = True
        for _ in range(READ_AHEAD):
            self._room.release()

    async def _read(self) -> None:
        try:
            async for message in self._program.messages():
                await self._take(message)
            self._end(await self._program.crash())
        except AgentFailed as error:
            self._end(error)
        except Exception as error:  # whatever it is, those who wait must hear of it
            failure = AgentFailed("protocol", f"what {self._program.name} said was not understood: {error!r}")
            failure.__cause__ = error
            self._end(failure)

    async def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise AgentFailed("protocol", f"{self._program.name} said {str(message)[:200]!r}, which is no message")
        method, id, params = message.get("method"), message.get("id"), message.get("params")
        if isinstance(method, str):
            if not self._deaf:
                await self._room.acquire()
                self._inbox.put_nowait(Message(method, params if isinstance(params, dict) else {}, id, message))
            return
        await self._program.heard(self._source, message)
        if not isinstance(id, int) or id not in self._calls:
            return  # the answer to a call that nobody waits for any more
        asked, answer = self._calls[id]
        if answer.done():
            return
        if isinstance(error := message.get("error"), dict):
            code = error.get("code")
            said = str(error.get("message") or error)
            answer.set_exception(Refused(asked, code if isinstance(code, int) else 0, said))
        else:
            answer.set_result(message.get("result"))

    def _end(self, failure: AgentFailed) -> None:
        """Whoever waits for an answer learns why there will be none."""
        self._failure = failure
        for _, answer in self._calls.values():
            if not answer.done():
                answer.set_exception(failure)
        self._inbox.put_nowait(None)
