"""One attempt at a run: start the agent, open its session, hand over what it does not know, and let it work."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from sessionry.agents.acp.client import Client
from sessionry.agents.acp.found import version_of
from sessionry.agents.acp.opening import CannotResume, Offer, Opened, Opening
from sessionry.agents.acp.options import Settings
from sessionry.agents.acp.spending import Spending
from sessionry.agents.acp.telling import Teller
from sessionry.agents.acp.terminals import Terminals
from sessionry.agents.acp.turn import Turn
from sessionry.agents.acp.wire import Wire
from sessionry.agents.commands import find_executable
from sessionry.agents.handover import hand_over
from sessionry.agents.process import environment
from sessionry.agents.program import Program
from sessionry.agents.prompts import Prompt, image_bytes
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import (
    AgentSessionLinked,
    EventData,
    MessageReceived,
    ResumeDegraded,
    RunCompleted,
    TurnCompleted,
)
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Transcript
from sessionry.ports import AgentContext, Capability

#: Said before the prompt when an earlier attempt was lost in the middle of its work.
INTERRUPTED = "Your work on the following was interrupted. Look at what is done already, then finish it:"


class Attempt:
    """Everything of one attempt."""

    def __init__(self, context: AgentContext, settings: Settings, prompt: Prompt, env_allow: Sequence[str]) -> None:
        self._context = context
        self._settings = settings
        self._prompt = prompt
        self._env = environment(settings.env, env_allow)
        self._before: list[EventData] = []
        self._handed_over = ""
        self._interrupted = False

    async def play(self) -> AsyncGenerator[EventData, None]:
        if (ended := await self._ended_before()) is not None:
            yield ended
            return
        argv, cwd = self._argv(), self._context.cwd
        executable = find_executable(argv[0], cwd=cwd, env=self._env)
        version = None if executable is None else version_of(str(executable))
        terminals = Terminals(self._context, self._env)
        client = Client(self._settings, cwd, terminals)
        try:
            async with (
                Program.start(
                    self._context, argv, cwd=cwd, env=self._env, version=version, grace=self._settings.kill_grace
                ) as program,
                Wire.over(program, client.answer) as wire,
                aclosing(self._work(wire, client)) as events,
            ):
                async for event in events:
                    yield event
        finally:
            await terminals.close()

    async def _work(self, wire: Wire, client: Client) -> AsyncGenerator[EventData, None]:
        opening = Opening(wire, self._settings, self._context.cwd)
        offer = await opening.initialize()
        self._require(offer)
        native = await self._native()
        opened = await self._open(opening, offer, native)
        for event in self._before:
            yield event
        await opening.set_up(opened)
        yield _linked(opened, resumed=opened.resumed)
        cost = native.cost if native is not None and (opened.resumed or opened.forked_from) else None
        spending = Spending(self._settings.preset, model=opened.model, cost_so_far=cost)
        teller = Teller(self._prefix(), self._settings.preset, spending)
        turn = Turn(self._context, self._settings, wire, client, teller, offer, opened.id)
        blocks = await self._blocks()
        while blocks:
            async with aclosing(turn.play(blocks)) as events:
                async for event in events:
                    yield event
            if turn.failed is not None:
                yield turn.failed
                return
            if opened.items is not None:
                opened.items += 1
            yield _linked(opened, resumed=True)
            yield TurnCompleted(stop_reason=turn.stop_reason)
            # what came too late for the turn is the next one
            blocks = [] if self._context.cancel_requested else [text_block(text) for text in turn.unheard()]
        if self._settings.preset.ends_with_stdin:
            await wire.leave()
        yield RunCompleted(text=teller.text or None, stop_reason=turn.stop_reason)

    # --- before the first prompt ---

    async def _ended_before(self) -> RunCompleted | None:
        """The end, if an earlier attempt lost its worker after the last turn, when there was nothing left to do."""
        if self._context.run.attempt == 1:
            return None
        events = [event.data for event in await self._context.history()]
        begun = [index for index, event in enumerate(events) if isinstance(event, TurnCompleted)]
        if not begun or any(event.type == "input_received" for event in events[begun[-1] :]):
            return None
        texts = [event.text for event in events if isinstance(event, MessageReceived) and not event.parent_tool_call_id]
        turn = events[begun[-1]]
        assert isinstance(turn, TurnCompleted)
        return RunCompleted(text=texts[-1] if texts else None, stop_reason=turn.stop_reason)

    def _argv(self) -> list[str]:
        settings, preset = self._settings, self._settings.preset
        model = [preset.model_flag, settings.model] if preset.model_flag and settings.model else []
        folders = [word for folder in settings.folders for word in (preset.folder_flag, folder) if preset.folder_flag]
        return [*settings.argv, *filter(None, model), *filter(None, folders)]

    def _require(self, offer: Offer) -> None:
        """Refuse the run when the agent lacks what the run needs."""
        if missing := [name for name in self._context.run.options.required_capabilities if offer.lacks(name)]:
            problem = f"the agent does not offer {', '.join(missing)}, which the run requires"
            raise InvalidInput("missing_required_capability", problem, details={"missing": list(missing)})
        if self._prompt.images and not offer.images:
            raise InvalidInput(
                "capability_not_supported", "the agent takes no images", details={"option": Capability.IMAGES.value}
            )

    async def _native(self) -> NativeSession | None:
        self._conversation = await self._context.conversation()
        native = self._conversation.native
        self._interrupted = (
            self._context.run.attempt > 1 and native is not None and native.run_id == self._context.run.id
        )
        return native

    async def _open(self, opening: Opening, offer: Offer, native: NativeSession | None) -> Opened:
        """The session to work in. What the log is to hear of it is in `_before`."""
        conversation = self._conversation
        strict = conversation.mode in (Continuation.NATIVE, Continuation.FORK)
        if native is None:
            if strict and conversation.missed.messages:
                raise AgentFailed("resume_failed", "there is no session of this agent to go on with")
            self._hand_over(conversation, native=False)
            return await opening.new()
        # a fork that was begun by an earlier attempt of this run is the session to go on with
        forks = conversation.mode is Continuation.FORK and not self._interrupted
        if forks and not offer.fork:
            problem = "the agent does not offer to fork a session"
            raise InvalidInput("capability_not_supported", problem, details={"option": "continuation"})
        try:
            opened = await (opening.fork(native) if forks else opening.go_on(native, offer))
        except CannotResume as reason:
            if strict:
                raise AgentFailed("resume_failed", str(reason), details={"native_session_id": native.id}) from None
            self._before.append(ResumeDegraded(reason=str(reason), native_session_id=native.id))
            self._hand_over(await self._all_missed(), native=False)
            return await opening.new()
        if conversation.missed.messages or conversation.previous_agents:
            self._hand_over(conversation, native=True)
        return opened

    async def _all_missed(self) -> Conversation:
        """Everything that was said before this run, and in its earlier attempts by the agent."""
        whole = await self._context.transcript()
        run_id = self._context.run.id
        before = [message for message in whole.messages if message.run_id != run_id or message.role != "user"]
        missed = Transcript(messages=before, last_seq=whole.last_seq)
        return msgspec.structs.replace(self._conversation, native=None, missed=missed)

    def _hand_over(self, conversation: Conversation, *, native: bool) -> None:
        if not native and not conversation.missed.messages and not conversation.previous_agents:
            return
        handover = hand_over(conversation, self._context.session, max_tokens=self._settings.max_tokens, native=native)
        self._handed_over = handover.text()
        self._before.append(handover.report)

    async def _blocks(self) -> list[dict[str, Any]]:
        """The prompt as the protocol wants it."""
        interrupted = INTERRUPTED if self._interrupted else ""
        blocks = [text_block("\n\n".join(filter(None, (self._handed_over, interrupted, self._prompt.prompt))))]
        for image in self._prompt.images:
            content, media_type = await image_bytes(self._context, image)
            blocks.append({"type": "image", "data": base64.b64encode(content).decode(), "mimeType": media_type})
        return blocks

    def _prefix(self) -> str:
        """Of ids that no other attempt has."""
        return f"{self._context.run.id.removeprefix('run_')}-{self._context.run.attempt}"


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _linked(opened: Opened, *, resumed: bool) -> AgentSessionLinked:
    return AgentSessionLinked(
        native_session_id=opened.id,
        model=opened.model,
        items=opened.items,
        resumed=resumed and opened.forked_from is None,
        forked_from=opened.forked_from,
    )
