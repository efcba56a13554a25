"""A turn: a prompt, what the agent does with it, the questions that it asks, and what people say to it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from acp.schema import PromptRequest

from sessionry.agents.acp.client import Client, Question
from sessionry.agents.acp.failing import info_of_words, with_remedy
from sessionry.agents.acp.opening import Offer
from sessionry.agents.acp.options import Settings
from sessionry.agents.acp.telling import Teller
from sessionry.agents.acp.tools import ToolCall
from sessionry.agents.acp.wire import AGENT_METHODS, Wire
from sessionry.agents.failures import failure
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import ErrorOccurred, EventData, RunFailed
from sessionry.domain.run import ErrorInfo
from sessionry.ports import AgentContext, Decision

#: Seconds without a word after which a call that was announced counts as begun.
A_MOMENT = 0.5
#: A method beside the protocol, of the agents that offer `_meta.steering`.
STEERING = "_session/steering"
#: Of the reasons to stop that the protocol names, these are failures.
_FAILURES = {
    "max_tokens": ("limit_reached", "the answer was cut at the model's limit of tokens"),
    "max_turn_requests": ("limit_reached", "the agent reached its limit of requests in a turn"),
    "refusal": ("refused", "the model declines to answer"),
}


class _Over:
    """The prompt was answered, or the agent is gone."""


class Turn:
    """The turns of one attempt, one after the other. What comes of one: `failed`, or `stop_reason`, and the `last_words`,
    which are known to be the last ones, and are not told yet.
    """

    def __init__(
        self,
        context: AgentContext,
        settings: Settings,
        wire: Wire,
        client: Client,
        teller: Teller,
        offer: Offer,
        session_id: str,
    ) -> None:
        self.failed: RunFailed | None = None
        self.stop_reason: str | None = None
        self.last_words: list[EventData] = []
        self._context = context
        self._settings = settings
        self._wire = wire
        self._teller = teller
        self._offer = offer
        self._session_id = session_id
        self._inbox: asyncio.Queue[dict[str, Any] | Question | _Over] = asyncio.Queue()
        self._questions: list[Question] = []
        self._prompting: set[asyncio.Task[dict[str, Any]]] = set()
        self._unheard: list[str] = []
        self._denied = False
        self._begun = False
        client.ask = self._inbox.put_nowait
        wire.update = self._inbox.put_nowait
        wire.waiting = self._inbox.qsize
        wire.in_turn = True

    def unheard(self) -> list[str]:
        """What people said, and the agent could not take before its turn was over."""
        said, self._unheard = [*self._unheard, *self._context.steering()], []
        return said

    async def play(self, blocks: list[dict[str, Any]]) -> AsyncGenerator[EventData, None]:
        steering = asyncio.create_task(self._hear()) if self._offer.steers or self._offer.queues else None
        first = self._prompt(blocks)
        try:
            while self._prompting or not self._inbox.empty():
                item = await self._next()
                if isinstance(item, Question):
                    for event in await self._ask(item):
                        yield event
                elif isinstance(item, dict):
                    await self._wire.heard(item)
                    for event in self._told(item):
                        yield event
                elif item is None:
                    for event in self._teller.quiet():
                        yield event
            if steering is not None:
                await _stopped(steering)
            self.last_words = self._end(first)
        finally:
            if steering is not None:
                await _stopped(steering)
            await self._interrupt()

    # --- prompting ---

    def _prompt(self, blocks: list[dict[str, Any]]) -> asyncio.Task[dict[str, Any]]:
        request = PromptRequest.model_validate({"sessionId": self._session_id, "prompt": blocks})
        task = asyncio.create_task(self._wire.request(AGENT_METHODS["session_prompt"], request))
        self._prompting.add(task)
        task.add_done_callback(self._answered)
        return task

    def _answered(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._prompting.discard(task)
        if not task.cancelled():
            task.exception()  # of the first one it is told; of others, which were queued behind it, it is the same
        self._inbox.put_nowait(_Over())

    async def _next(self) -> dict[str, Any] | Question | _Over | None:
        """The next thing that the agent says; None when it says nothing for a moment and calls were announced."""
        self._wire.room.set()
        waits = bool(self._teller.calls.unstarted())
        try:
            async with asyncio.timeout(A_MOMENT if waits else None):
                return await self._inbox.get()
        except TimeoutError:
            return None

    def _told(self, params: dict[str, Any]) -> list[EventData]:
        update = params.get("update")
        if params.get("sessionId") not in (None, self._session_id) or not isinstance(update, dict):
            return []
        return self._teller.tell(update)

    def _end(self, first: asyncio.Task[dict[str, Any]]) -> list[EventData]:
        events = self._teller.end()
        error = first.exception()
        if isinstance(error, SessionryError):
            self.failed = RunFailed(error=_info(error))
            return events
        result = first.result()
        events += self._teller.spending.answer(result)
        self.stop_reason = str(result.get("stopReason") or "end_turn")
        if (problem := self._problem()) is not None:
            self.failed = RunFailed(error=problem)
        return events

    def _problem(self) -> ErrorInfo | None:
        """Why a turn that was answered is a failure all the same."""
        if self.stop_reason in _FAILURES:
            return failure(*_FAILURES[self.stop_reason])
        if self.stop_reason == "cancelled" and not self._denied:
            return failure("cancelled", "the agent stopped the turn by itself")
        if self._teller.broken is None:
            return None
        return with_remedy(info_of_words(self._teller.broken), self._settings.login)

    async def _interrupt(self) -> None:
        """Whatever ends us before the agent has answered: tell it to stop, and give it a moment."""
        for question in self._questions:
            question.cancel()
        if not self._prompting:
            return
        while not self._inbox.empty():
            if isinstance(item := self._inbox.get_nowait(), Question):
                item.cancel()
        prompting = list(self._prompting)
        await self._wire.cancel(self._session_id, prompting[0])
        for task in prompting:
            await _stopped(task)

    # --- questions ---

    async def _ask(self, question: Question) -> list[EventData]:
        """Ask a person. What is told before is in the log before the question is."""
        self._questions = [asked for asked in self._questions if not asked.answer.done()] + [question]
        call, events = self._teller.asked(question.call)
        await self._context.emit(*events)
        decision = await self._decision(call)
        if decision is None:
            question.cancel()
            return []
        approved = bool(decision)
        told: list[EventData] = []
        if approved:
            call.granted()
        else:
            self._denied = True
            told = call.deny(_why(decision))
        if question.decide(approved, remember=self._settings.remember):
            return told
        kind = "allow_once" if approved else "reject_once"
        problem = f"the agent offered no option of the kind {kind}; its question was cancelled"
        return [*told, ErrorOccurred(error=failure("protocol", problem))]

    async def _decision(self, call: ToolCall) -> Decision | None:
        """What a person says; None when the agent is gone, or has given up, before anybody did."""
        asking = asyncio.create_task(
            self._context.approve(
                call.tool_name,
                call.tool_input,
                tool_call_id=call.id,
                reason=call.title,
                timeout=self._settings.approval_timeout,
            )
        )
        try:
            await asyncio.wait({asking, *self._prompting}, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            await _stopped(asking)

    # --- what people say meanwhile ---

    async def _hear(self) -> None:
        while True:
            text = await self._context.next_steering()
            block = {"type": "text", "text": text}
            if not self._offer.steers:
                self._prompt([block])
                continue
            params = {
                "sessionId": self._session_id,
                "prompt": [block],
                "_meta": {"steering": {"idleBehavior": "promptRequired"}},
            }
            try:
                answer = await self._wire.request(STEERING, params)
            except (SessionryError, asyncio.CancelledError):
                self._unheard.append(text)
                raise
            if answer.get("outcome") != "injected":
                self._unheard.append(text)


async def _stopped(task: asyncio.Task[Any]) -> None:
    """Cancel it, and see it end. What it raises is of no interest any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _info(error: SessionryError) -> ErrorInfo:
    retry_after = error.details.get("retry_after")
    return ErrorInfo(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        retry_after=retry_after,
        details=error.details,
    )


def _why(decision: Decision) -> str:
    who = "nobody decided in time" if decision.expired else f"denied by {decision.by or 'a person'}"
    return f"{who}: {decision.note}" if decision.note else who
