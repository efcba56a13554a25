"""The control protocol: JSON lines both ways, with requests of either side among the frames that tell of the work.

Frames are read only as fast as they are asked for. What Claude Code asks (permissions, hooks) is answered meanwhile by
tasks of their own, for an answer may take hours; it can take a question back, and then its task is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from sessionry.agents.program import Program
from sessionry.domain.errors import AgentFailed, SessionryError
from sessionry.domain.json_values import Json

#: Seconds that Claude Code may take for an answer; MCP servers are started before its first one.
PATIENCE = 120.0

Frame = dict[str, Any]
Answerer = Callable[[Frame], Awaitable[dict[str, Json]]]


class Talk:
    """A conversation with one process. `answer` is given each question and returns what to say."""

    def __init__(self, program: Program, answer: Answerer) -> None:
        self._program = program
        self._answer = answer
        self._messages: AsyncGenerator[Any, None] = program.messages()
        self._reading: asyncio.Future[Any] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number = 0

    async def frame(self) -> Frame | None:
        """The next frame that is no question; None when there are no more. Raises what went wrong in a task.

        A caller that is cancelled meanwhile loses nothing: the next call goes on where this one was.
        """
        while True:
            if self._reading is None:
                self._reading = asyncio.ensure_future(self._next())
            await asyncio.wait({self._reading, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                self._broken.result()
            reading, self._reading = self._reading, None
            message: Frame | None = reading.result()
            if message is None or not self._took(message):
                return message

    async def _next(self) -> Frame | None:
        async for message in self._messages:
            if not isinstance(message, dict):
                raise AgentFailed("protocol", f"{self._program.name} said {message!r:.200}, which is no frame")
            await self._program.heard("claude", message)
            return message
        return None

    async def request(self, **request: Json) -> Frame:
        """Ask, and return the answer; frames that come before it are dropped, so use it while nothing is told.

        Raises `protocol` when it is refused, and `crashed` when nobody answers any more.
        """
        id = await self.post(**request)
        try:
            async with asyncio.timeout(PATIENCE):
                while (frame := await self.frame()) is not None:
                    response = frame.get("response", {}) if frame.get("type") == "control_response" else {}
                    if response.get("request_id") == id:
                        break
                else:
                    raise await self.refusal()
        except TimeoutError:
            raise AgentFailed("protocol", f"{self._program.name} does not answer {request.get('subtype')}") from None
        if response.get("subtype") == "error":
            said = str(response.get("error"))
            raise AgentFailed("protocol", f"{self._program.name} refuses {request.get('subtype')}: {said}")
        answer: Frame = response.get("response") or {}
        return answer

    async def refusal(self) -> SessionryError:
        """The error of a program that ended before it did anything: what it says of that on stderr counts."""
        crash = await self._program.crash("did not start its work: it ended")
        said = self._program.stderr
        if said and crash.details["exit_code"] > 0:
            return AgentFailed("agent_failed", f"Claude Code refuses to start: {said[-1000:]}", details=crash.details)
        return crash

    async def post(self, **request: Json) -> str:
        """Ask, and leave the answer among the frames; the id that it will have."""
        self._number += 1
        id = f"sessionry-{self._number}"
        await self._program.send({"type": "control_request", "request_id": id, "request": dict(request)})
        return id

    async def say(self, content: Json, uuid: str) -> None:
        """A message of the user. Under `uuid` it is in the session, and its way is told."""
        message: Json = {"role": "user", "content": content}
        await self._program.send({"type": "user", "message": message, "uuid": uuid, "parent_tool_use_id": None})

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do this meanwhile; what it raises is raised by `frame`."""
        self._tasks[name] = asyncio.ensure_future(self._done(name, work))

    async def _done(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except BaseException as error:  # a cancellation, too, that comes from inside
            if name not in self._cancelled and not self._broken.done():
                self._broken.set_exception(error)
        finally:
            self._cancelled.discard(name)
            self._tasks.pop(name, None)

    def _cancel(self, name: str) -> None:
        if task := self._tasks.get(name):
            self._cancelled.add(name)
            task.cancel()

    def _took(self, message: Frame) -> bool:
        """Whether it was a question, or one that is taken back."""
        kind, id = message.get("type"), str(message.get("request_id"))
        if kind == "control_request":
            self.spawn(id, partial(self._answered, id, message.get("request") or {}))
        elif kind == "control_cancel_request":
            self._cancel(id)
        else:
            return False
        return True

    async def _answered(self, id: str, question: Frame) -> None:
        try:
            answer: dict[str, Json] = {"subtype": "success", "request_id": id, "response": await self._answer(question)}
        except Unanswerable as error:
            answer = {"subtype": "error", "request_id": id, "error": str(error)}
        await self._program.send({"type": "control_response", "response": answer})

    async def quiet(self) -> None:
        """Answer no more."""
        tasks = list(self._tasks.values())
        for name in list(self._tasks):
            self._cancel(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Leave no task behind."""
        await self.quiet()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._messages.aclose()
        if self._broken.done():
            self._broken.exception()
        else:
            self._broken.cancel()


class Unanswerable(Exception):
    """A question that nobody here can answer: told to Claude Code, and the work goes on."""
