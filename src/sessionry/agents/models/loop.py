"""The agent: the model is asked, its tools are called, it is asked again, until it has nothing to call.

Each answer is put into the log whole before anything is made of it. An attempt after a lost worker goes through the same
loop: answers, words and results that are in the log are taken from there, and told no second time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from sessionry.agents.accounting import Account
from sessionry.agents.failures import failure
from sessionry.agents.models import replaying
from sessionry.agents.models.asking import Asking, Connection, Told, client
from sessionry.agents.models.calling import Rules, call_all
from sessionry.agents.models.failing import ModelFailed
from sessionry.agents.models.resuming import Past, message_id, reasoning_id, record
from sessionry.agents.models.schemas import Mismatch, Output
from sessionry.agents.models.settings import Settings
from sessionry.agents.models.talk import Answer, Assistant, Call, Item, Recorded, Results, User
from sessionry.agents.models.wire import Request, Wire
from sessionry.agents.prompts import Prompt
from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run is made of, besides its context."""

    wire: Wire
    connection: Connection
    official: bool
    provider: str | None
    settings: Settings
    prompt: Prompt
    rules: Rules
    output: Output | None
    output_retries: int
    max_context_tokens: int
    extra_body: dict[str, Json]


class Loop:
    """One attempt at one run."""

    def __init__(self, context: AgentContext, task: Task) -> None:
        self._context = context
        self._task = task
        self._key = context.run.id.removeprefix("run_")
        self._account = Account(model=task.settings.model, provider=task.provider, priced=task.provider is not None)
        self._system = ""
        self._items: list[Item] = []
        self._steering: list[str] = []
        self._heard = 0
        self._turn = 0
        self._native_ids: set[str] = set()
        self._output: Json = None
        self._complaints = 0

    async def events(self) -> AsyncGenerator[EventData, None]:
        self._past = await Past.of(self._context)
        for event in await self._begin():
            yield event
        async with client(self._task.connection) as self._client:
            ending = None
            while ending is None:
                async with aclosing(self._one_turn()) as events:
                    async for event in events:
                        if isinstance(event, ev.RUN_ENDINGS):
                            ending = event
                        else:
                            yield event
        yield ending

    async def _begin(self) -> list[EventData]:
        """Put together what is known: the conversation before the run, and its prompt."""
        before = await replaying.before(self._context, self._task.rules.toolbox.names(), self._task.max_context_tokens)
        prompt = self._prompt()
        pictures, sent = await replaying.prompt_pictures(self._context, prompt)
        system = [self._task.settings.system_prompt or "", *before.system]
        self._system = "\n\n".join(filter(None, system))
        self._items = [*before.items, User(prompt.prompt, pictures)]
        news: list[EventData | None] = [
            None if self._past.reported else before.report,
            None if self._past.given else sent,
        ]
        return [event for event in news if event is not None]

    def _prompt(self) -> Prompt:
        """What was asked; in a later attempt with the images as they were put into the blobs, not as they are now."""
        given = self._past.given
        if not isinstance(given, dict):
            return self._task.prompt
        return msgspec.convert({"prompt": self._task.prompt.prompt, "images": given["images"]}, Prompt)

    async def _one_turn(self) -> AsyncGenerator[EventData, None]:
        """Ask, or take the answer from the log, and do what it says. The last event may be the end of the run."""
        self._turn += 1
        self._listen()
        recorded = self._past.answers.get(self._turn)
        if recorded is None:
            try:
                async with aclosing(self._ask()) as events:
                    async for event in events:
                        yield event
            except ModelFailed as error:
                yield ev.RunFailed(error=error.info)
                return
            recorded = self._recorded
        for event in self._tell(recorded.answer):
            yield event
        ending = self._problem(recorded.answer)
        if ending is None and recorded.answer.calls:
            await self._call(recorded.answer)
        if self._turn > self._past.turns:
            yield ev.TurnCompleted(stop_reason=recorded.answer.stop_reason)
        if ending is None and not recorded.answer.calls:
            ending = self._conclude(recorded.answer)
        if ending is not None:
            yield ending

    def _listen(self) -> None:
        """Take in what people said meanwhile; of a turn that is in the log, what had been said before it."""
        self._steering += self._context.steering()
        recorded = self._past.answers.get(self._turn)
        upto = len(self._steering) if recorded is None else recorded.heard
        self._items += [User(text) for text in self._steering[self._heard : upto]]
        self._heard = max(upto, self._heard)

    # --- asking ---

    async def _ask(self) -> AsyncGenerator[EventData, None]:
        task, pieces = self._task, self._past.pieces
        text, reasoning = (Told(id, pieces.get(id, "")) for id in self._message_ids())
        asking = Asking(
            self._client,
            task.connection,
            task.wire,
            self._body(),
            self._account,
            self._context,
            text=text,
            reasoning=reasoning,
        )
        async with aclosing(asking.events()) as events:
            async for event in events:
                yield event
        answer = self._own_ids(asking.answer(f"call_{self._key[-20:]}_{self._turn}"))
        self._recorded = Recorded(answer=answer, heard=self._heard)
        yield record(self._turn, self._recorded, (text.told, reasoning.told))

    def _message_ids(self) -> tuple[str, str]:
        """Of the text and of the reasoning of this turn."""
        run_id = self._context.run.id
        return message_id(run_id, self._turn), reasoning_id(run_id, self._turn)

    def _body(self) -> dict[str, Any]:
        task = self._task
        request = Request(
            settings=task.settings,
            system=self._system,
            items=self._items,
            tools=task.rules.toolbox.specs(),
            schema=task.output.schema if task.output else None,
        )
        body = task.wire.body(request, task.official) | task.extra_body
        return {name: value for name, value in body.items() if value is not None}

    def _own_ids(self, answer: Answer) -> Answer:
        """Some servers count their calls from 0 in each answer: an id that was there before is not used again."""
        return msgspec.structs.replace(answer, calls=[self._own_id(call) for call in answer.calls])

    def _own_id(self, call: Call) -> Call:
        if call.native_id is None or call.native_id in self._native_ids:
            return msgspec.structs.replace(call, native_id=None)
        self._native_ids.add(call.native_id)
        return call

    # --- an answer ---

    def _tell(self, answer: Answer) -> list[EventData]:
        """What the log does not have yet of an answer."""
        past, (text_id, thought_id) = self._past, self._message_ids()
        news: list[EventData] = []
        if answer.reasoning and thought_id not in past.received:
            news.append(ev.ReasoningReceived(text=answer.reasoning, message_id=thought_id))
        if answer.text and text_id not in past.received:
            news.append(ev.MessageReceived(text=answer.text, message_id=text_id))
        if answer.usage is not None and self._turn not in past.counted:
            used = self._account.add(answer.usage)
            news += [used] if used else []
        self._native_ids |= {call.native_id for call in answer.calls if call.native_id}
        return news

    def _problem(self, answer: Answer) -> EventData | None:
        """Why the run cannot go on after the answer."""
        if answer.stop == "refusal":
            said = answer.text.strip()[:500] or "the model, or a filter before it, declines to answer"
            return _failed("refused", said, stop_reason=answer.stop_reason)
        if answer.stop == "length" and (answer.calls or self._task.output):
            what = "a tool call" if answer.calls else "the output"
            return _failed("limit_reached", f"{what} was cut off at max_tokens; raise it", limit="max_tokens")
        if answer.calls and self._is_last():
            return _failed("limit_reached", f"the model needs more than {self._turn} turns", limit="max_turns")
        return None

    async def _call(self, answer: Answer) -> None:
        results = await call_all(self._context, self._task.rules, answer.calls, self._past)
        self._items += [Assistant(answer.text, tuple(answer.calls), answer.native), Results(results)]

    def _conclude(self, answer: Answer) -> EventData | None:
        """The end of the run; None when the model has to be asked again: its output is wrong, or a person said more."""
        self._items.append(Assistant(answer.text, (), answer.native))
        if self._task.output is not None:
            try:
                self._output = self._task.output.read(answer.text)
            except Mismatch as mismatch:
                return self._complain(str(mismatch))
        self._steering += self._context.steering()
        more = self._turn + 1 in self._past.answers or len(self._steering) > self._heard
        if more and not self._is_last():
            return None
        reason = "length" if answer.stop == "length" else answer.stop_reason
        return ev.RunCompleted(text=answer.text, output=self._output, stop_reason=reason)

    def _complain(self, problem: str) -> EventData | None:
        """Let the model try again, a few times."""
        self._complaints += 1
        if self._complaints > self._task.output_retries or self._is_last():
            return _failed(
                "agent_failed", f"the model's output is not of the schema: {problem}", tries=self._complaints
            )
        self._items.append(
            User(f"Your answer is not of the required form: {problem}. Answer again, with nothing but it.")
        )
        return None

    def _is_last(self) -> bool:
        """No more turns are allowed."""
        limit = self._task.settings.max_turns
        return limit is not None and self._turn >= limit


def _failed(code: str, message: str, **details: Json) -> ev.RunFailed:
    return ev.RunFailed(error=failure(code, message, **details))
