"""The turns of a run: what Codex says of them goes to the log, what people say goes to Codex.

A turn is all that Codex does for one prompt. There is a second one only where a person said something that came too late
for the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from sessionry.agents.accounting import Account
from sessionry.agents.codex import questions
from sessionry.agents.codex.faults import survived
from sessionry.agents.codex.items import Items, plan
from sessionry.agents.codex.options import Options
from sessionry.agents.codex.thread import Thread
from sessionry.agents.failures import failure
from sessionry.agents.jsonrpc import Message, Peer, Refused
from sessionry.domain import events as ev
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.records import from_microseconds
from sessionry.domain.usage import Usage
from sessionry.ports import AgentContext

#: Seconds for asking Codex to stop, and for what is at work to be told as ended.
INTERRUPTION = 1.0
#: Providers whose models run on the user's own machine: nobody asks money for them.
_LOCAL = ("ollama", "lmstudio", "oss")

#: What is said at any time, and says nothing of how a turn goes on.
_ASIDE = (
    *("thread/tokenUsage/updated", "account/rateLimits/updated", "thread/status/changed", "thread/readState/changed"),
    *("warning", "configWarning", "deprecationNotice", "mcpServer/startupStatus/updated", "turn/diff/updated"),
)

Input = list[dict[str, Json]]


class Turns:
    """The turns that a run makes in its thread. Leaving the block stops the turn that is at work, and its commands."""

    def __init__(
        self, context: AgentContext, peer: Peer, thread: Thread, options: Options, approval_timeout: float | None
    ) -> None:
        self._context = context
        self._peer = peer
        self._thread = thread
        self._options = options
        self._approval_timeout = approval_timeout
        self.items = Items()
        #: the turn that ended last, as Codex tells it
        self.ended: dict[str, Any] = {}
        self._turn: str | None = None
        self._threads = {thread.id: self.items}
        self._accounts = {thread.id: _account(thread)}
        self._unheard: list[str] = []
        self._listening: asyncio.Task[None] | None = None
        self._asking: dict[int | str, asyncio.Task[None]] = {}
        self._trouble: EventData | None = None
        self._held: list[EventData] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop(*filter(None, (self._listening, *self._asking.values())))
        if self._turn is not None:
            self._peer.listen_no_more()
            with suppress(Refused, AgentFailed, TimeoutError):
                async with asyncio.timeout(INTERRUPTION):
                    await self._interrupt(self._turn)

    async def play(self, input: Input) -> AsyncIterator[EventData]:
        """One turn, to its end."""
        asked = {"threadId": self._thread.id, "input": input, **self._options.turn()}
        self._turn = (await self._peer.call("turn/start", asked))["turn"]["id"]
        self._listening = asyncio.create_task(self._listen(), name=f"steers {self._context.run.id}")
        self._peer.note(self._listening)
        while self._turn is not None:
            try:
                message = await self._peer.receive()
            except AgentFailed:
                for event in self._held:
                    yield event
                raise
            for event in self._taken(message):
                yield event
        await self._stop(self._listening, *self._asking.values())
        self._asking.clear()
        if self.items.open_calls:
            async for event in self._cleaned():
                yield event

    def unheard(self) -> list[str]:
        """What people said since the turn has ended."""
        said, self._unheard = [*self._unheard, *self._context.steering()], []
        return said

    # --- stopping ---

    async def _interrupt(self, turn: str) -> None:
        """The commands as well: `turn/interrupt` lets them live."""
        with suppress(Refused):
            await self._peer.call("turn/interrupt", {"threadId": self._thread.id, "turnId": turn})
        await self._peer.call("thread/backgroundTerminals/clean", {"threadId": self._thread.id})

    async def _cleaned(self) -> AsyncIterator[EventData]:
        """A turn can end before its commands do: end these, and tell how."""
        try:
            async with asyncio.timeout(INTERRUPTION):
                await self._peer.call("thread/backgroundTerminals/clean", {"threadId": self._thread.id})
                while self.items.open_calls:
                    for event in self._taken(await self._peer.receive()):
                        yield event
        except (Refused, TimeoutError):
            for event in self.items.interrupted("the turn ended without it"):
                yield event

    async def _stop(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- what comes ---

    def _taken(self, message: Message | asyncio.Task[Any]) -> Iterator[EventData]:
        if isinstance(message, asyncio.Task):
            if message.cancelled() and message not in self._asking.values():  # by ourselves
                return
            message.result()  # what went wrong with asking or steering goes wrong here
            return
        if message.id is not None:
            self._ask(message)
            return
        events = list(self._told(message.method, message.params))
        if message.method not in _ASIDE:
            events = self._kept_back(message, events)
        yield from events

    def _kept_back(self, message: Message, events: list[EventData]) -> list[EventData]:
        """A whole message waits for what follows it, which is a matter of milliseconds: then Codex goes on or the turn is
        over, and Codex knows that too. So whoever takes the run over just after a message does not have it said again.
        """
        told, self._held = [*self._held, *events], []
        if message.method == "item/completed" and events and isinstance(told[-1], ev.MessageReceived):
            self._held = [told.pop()]
        return told

    def _told(self, method: str, params: dict[str, Any]) -> Iterator[EventData]:
        match method:
            case "turn/completed":
                if params["threadId"] == self._thread.id and params["turn"]["id"] == self._turn:
                    self.ended, self._turn = params["turn"], None
            case "error" if params.get("willRetry") and params.get("threadId") == self._thread.id:
                yield from self._survived(params.get("error"))
            case "thread/tokenUsage/updated":
                yield from self._used(params)
            case "turn/plan/updated" if params.get("threadId") == self._thread.id:
                yield plan(params.get("plan"))
            case "model/rerouted":
                self._accounts[self._thread.id].model = params.get("toModel")
                told = {name: params.get(name) for name in ("fromModel", "toModel", "reason")}
                yield ev.CustomRecorded(name="codex.model_rerouted", value=told)
            case "mcpServer/startupStatus/updated" if params.get("status") == "failed":
                message = f"the MCP server {params.get('name')} did not start: {params.get('error')}"
                yield ev.ErrorOccurred(error=failure("agent_failed", message))
            case "account/rateLimits/updated":
                yield from _limits(params.get("rateLimits") or {})
            case "serverRequest/resolved":
                if (asking := self._asking.pop(params["requestId"], None)) is not None:
                    asking.cancel()
            case _ if method.startswith("item/") and (items := self._threads.get(params.get("threadId", ""))):
                yield from self._item(method, params, items)

    def _item(self, method: str, params: dict[str, Any], items: Items) -> Iterator[EventData]:
        turn = params.get("turnId")
        match method:
            case "item/started":
                item = params["item"]
                if item["type"] == "userMessage":
                    yield from items.broken_off()
                    return
                yield from self._recovered()
                yield from items.started(item, turn)
            case "item/completed":
                item = params["item"]
                for child in item.get("receiverThreadIds") or []:
                    self._threads.setdefault(child, Items(items.id_of(item["id"], turn)))
                yield from items.completed(item, turn)
            case "item/agentMessage/delta":
                yield from items.piece(params["itemId"], turn, params["delta"])
            case "item/reasoning/summaryTextDelta":
                yield from items.thought(params["itemId"], turn, params["delta"], params["summaryIndex"])
            case "item/reasoning/textDelta":
                yield from items.thought(params["itemId"], turn, params["delta"], -1 - params["contentIndex"])
            case "item/commandExecution/outputDelta" | "item/fileChange/outputDelta":
                yield from items.output(params["itemId"], turn, params["delta"])
            case "item/mcpToolCall/progress":
                yield from items.output(params["itemId"], turn, f"{params['message']}\n")

    def _survived(self, error: Any) -> Iterator[EventData]:
        """What Codex tries again by itself, once however often it says so."""
        self.items.forget()
        trouble = survived(error)
        if trouble != self._trouble:
            self._trouble = trouble
            yield trouble

    def _recovered(self) -> Iterator[EventData]:
        if isinstance(self._trouble, ev.ErrorOccurred):
            yield ev.ErrorRecovered(error=self._trouble.error)
        self._trouble = None

    def _used(self, params: dict[str, Any]) -> Iterator[EventData]:
        """Totals of a thread. What is told of another turn than ours is what it had before."""
        id, total = params["threadId"], _usage(params["tokenUsage"]["total"])
        if id == self._thread.id and self._thread.baseline and params.get("turnId") != self._turn:
            self._accounts[id] = _account(self._thread, so_far=total)
            return
        if id not in self._accounts:
            if id not in self._threads:
                return
            self._accounts[id] = _account(self._thread, so_far=Usage())
        if (event := self._accounts[id].total(total)) is not None:
            yield event

    # --- what people say ---

    def _ask(self, message: Message) -> None:
        assert message.id is not None
        items = self._threads.get(message.params.get("threadId", ""), self.items)
        asking = asyncio.create_task(self._decide(message, items), name=f"asks for {self._context.run.id}")
        self._asking[message.id] = asking
        self._peer.note(asking)

    async def _decide(self, message: Message, items: Items) -> None:
        question = questions.question_of(message, items)
        if question is None:
            return await questions.decline(self._peer, message)
        decision = await questions.ask(
            self._context, question, items, message.params.get("turnId"), self._approval_timeout
        )
        if not decision and decision.note:
            with suppress(Refused):  # Codex takes no reason with a no, so it is said along with it
                await self._steer(f"A person declined {question.tool_name}: {decision.note}")
        assert message.id is not None
        self._asking.pop(message.id, None)
        return await questions.answer(self._peer, message, decision)

    async def _listen(self) -> None:
        while True:
            said = await self._context.next_steering()
            self._unheard.append(said)
            with suppress(Refused):  # the turn is over
                await self._steer(said)
                self._unheard.remove(said)

    async def _steer(self, text: str) -> None:
        """Raises `Refused` when there is no turn to steer."""
        asked = {"threadId": self._thread.id, "expectedTurnId": self._turn or "", "input": text_input(text)}
        await self._peer.call("turn/steer", asked)


def text_input(text: str) -> Input:
    return [{"type": "text", "text": text}]


def _account(thread: Thread, so_far: Usage | None = None) -> Account:
    if so_far is None:
        so_far = thread.native.usage if thread.native is not None else Usage()
    provider = "openai" if thread.provider == "openai" else None
    local = any(name in (thread.provider or "") for name in _LOCAL)
    return Account(model=thread.link.model, provider=provider, so_far=so_far, priced=not local)


def _usage(total: dict[str, Any]) -> Usage:
    """Codex counts what was read from and written to a cache as input, too."""
    read, written = int(total.get("cachedInputTokens") or 0), int(total.get("cacheWriteInputTokens") or 0)
    return Usage(
        input_tokens=max(int(total.get("inputTokens") or 0) - read - written, 0),
        output_tokens=int(total.get("outputTokens") or 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=int(total.get("reasoningOutputTokens") or 0),
    )


def _limits(limits: dict[str, Any]) -> Iterator[EventData]:
    """A plan's limits are told with every answer; only one that is reached is worth a word."""
    if reached := limits.get("rateLimitReachedType"):
        resets = (limits.get("primary") or {}).get("resetsAt")
        at = from_microseconds(int(resets) * 1_000_000) if resets else None
        yield ev.RateLimited(resets_at=at, message=str(reached).replace("_", " "))
