"""One attempt at a run: start the agent, open its session, hand over what it does not know, and let it work."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from sessionry.agents.acp.client import Client
from sessionry.agents.acp.found import version_of
from sessionry.agents.acp.lost import ANEW, GO_ON, Lost, lost, unheard, untold
from sessionry.agents.acp.opening import CannotResume, Offer, Opened, Opening
from sessionry.agents.acp.options import Settings
from sessionry.agents.acp.spending import Spending
from sessionry.agents.acp.telling import Teller
from sessionry.agents.acp.terminals import Terminals
from sessionry.agents.acp.turn import Turn
from sessionry.agents.acp.wire import Wire
from sessionry.agents.commands import find_executable
from sessionry.agents.handover import FINISHED, hand_over
from sessionry.agents.process import environment
from sessionry.agents.program import Program
from sessionry.agents.prompts import Prompt, image_bytes
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import (
    AgentSessionLinked,
    EventData,
    ResumeDegraded,
    RunCompleted,
    TurnCompleted,
    WordsSuperseded,
)
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Transcript
from sessionry.ports import AgentContext, Capability


class Attempt:
    """Everything of one attempt."""

    def __init__(self, context: AgentContext, settings: Settings, prompt: Prompt, env_allow: Sequence[str]) -> None:
        self._context = context
        self._settings = settings
        self._prompt = prompt
        self._env = environment(settings.env, env_allow)
        self._lost = Lost()
        self._before: list[EventData] = []
        self._handed_over = ""
        self._anew = self._goes_on = False
        self._caught_up: list[str] = []
        self._broken_off: str | None = None

    async def play(self) -> AsyncGenerator[EventData, None]:
        if self._context.run.attempt > 1:
            self._lost = lost([event.data for event in await self._context.history()])
        if self._lost.over and self._lost.heard:
            for event in self._ended_before():
                yield event
            return
        argv, cwd = self._argv(), self._context.cwd
        executable = find_executable(argv[0], cwd=cwd, env=self._env)
        if executable is None and (install := self._settings.preset.install) is not None:
            problem = f"{argv[0]} was not found; install it ({install}), or set command to its path"
            raise AgentFailed("command_not_found", problem)
        version = None if executable is None else version_of(str(executable))
        terminals = Terminals(self._context, self._env)
        client = Client(self._settings, cwd, terminals)
        try:
            async with (
                Program.start(
                    self._context, argv, cwd=cwd, env=self._env, version=version, grace=self._settings.kill_grace
                ) as program,
                Wire.over(program, client.answer, self._settings.login) as wire,
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
        blocks = await self._first(opened, native)
        for event in self._before:
            yield event
        await opening.set_up(opened)
        yield _linked(opened, resumed=opened.resumed)
        cost = native.cost if native is not None and (opened.resumed or opened.forked_from) else None
        spending = Spending(self._settings.preset, model=opened.model, cost_so_far=cost)
        unsaid = FINISHED if self._goes_on else None
        teller = Teller(self._prefix(), self._settings.preset, spending, client.terminals, unsaid=unsaid)
        for text in self._caught_up:
            yield teller.whole(text)
        turn = Turn(self._context, self._settings, wire, client, teller, offer, opened.id)
        said = teller.text
        while blocks:
            async with aclosing(turn.play(blocks)) as events:
                async for event in events:
                    yield event
            if turn.failed is None:  # before the last words are told: whoever has these knows that the turn is over
                opened.items = None if opened.items is None else opened.items + 1
                yield _linked(opened, resumed=True)
            for event in turn.last_words:
                yield event
            if turn.failed is not None:
                yield turn.failed
                return
            if self._broken_off is not None and teller.text == said:
                yield teller.whole(self._broken_off)
            self._broken_off = None
            yield TurnCompleted(stop_reason=turn.stop_reason)
            # what came too late for the turn is the next one
            blocks = [] if self._context.cancel_requested else [text_block(text) for text in turn.unheard()]
        if self._settings.preset.ends_with_stdin:
            await wire.leave()
        yield RunCompleted(text=teller.text or self._last_word(), stop_reason=turn.stop_reason)

    # --- before the first prompt ---

    def _ended_before(self) -> list[EventData]:
        """The end, if an earlier attempt lost its worker after the last turn, when there was nothing left to do."""
        completed = self._lost.completed or TurnCompleted()
        told = [] if self._lost.completed else [*self._lost.rest, completed]
        return [*told, RunCompleted(text=self._last_word(), stop_reason=completed.stop_reason)]

    def _last_word(self) -> str | None:
        """Of the agent in earlier attempts."""
        return self._lost.words[-1] if self._lost.words and not self._anew else None

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
        return self._conversation.native

    def _ours(self, native: NativeSession | None) -> bool:
        """An earlier attempt at this run worked in it."""
        return self._context.run.attempt > 1 and native is not None and native.run_id == self._context.run.id

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
        forks = conversation.mode is Continuation.FORK and not self._ours(native)
        if forks and not offer.fork:
            problem = "the agent does not offer to fork a session"
            raise InvalidInput("capability_not_supported", problem, details={"option": "continuation"})
        try:
            opened = await (opening.fork(native) if forks else opening.go_on(native, offer))
        except CannotResume as reason:
            if strict:
                raise AgentFailed("resume_failed", str(reason), details={"native_session_id": native.id}) from None
            self._say_anew(str(reason), native)
            self._hand_over(await self._missed(everything=True), native=False)
            return await opening.new()
        if conversation.missed.messages or conversation.previous_agents:
            self._hand_over(conversation, native=True)
        return opened

    async def _first(self, opened: Opened, native: NativeSession | None) -> list[dict[str, Any]]:
        """What the agent is prompted with first; nothing when all was said and done before."""
        if native is None or not self._ours(native) or not opened.resumed:
            return await self._blocks()
        if opened.replay is None:
            if self._lost.begun:
                await self._do_over("the agent does not show what its session holds of the work that was lost", native)
            return await self._blocks()
        held = opened.replay.held(self._prompt.prompt, self._lost.before)
        if held is None:
            if self._lost.begun:
                await self._do_over("the agent's session does not hold the prompt whose work was lost", native)
            return await self._blocks()
        missing = untold(self._lost.words, held)
        if missing is None:
            self._say_anew("the agent's session does not hold what it said before its work was lost", native)
            missing = held.agent
        if missing and self._lost.broken_off and self._settings.preset.keeps_broken_words:
            *missing, self._broken_off = missing  # it is told only if the agent has nothing to say instead
        self._caught_up = missing
        self._goes_on = not self._lost.over
        going_on = [GO_ON] if self._goes_on else []
        return [text_block(text) for text in (*going_on, *unheard(self._context.steering(), held))]

    async def _do_over(self, reason: str, native: NativeSession) -> None:
        """The session goes on, but the work on this prompt has to be told to the agent."""
        self._say_anew(reason, native)
        self._hand_over(await self._missed(everything=False), native=True)

    def _say_anew(self, reason: str, native: NativeSession) -> None:
        self._before.append(ResumeDegraded(reason=reason, native_session_id=native.id))
        if self._ours(native):
            self._anew = True
            self._before.append(WordsSuperseded())

    async def _missed(self, *, everything: bool) -> Conversation:
        """What was said and done in earlier attempts at this run, and if wanted everything that was said before it."""
        whole = await self._context.transcript()
        run_id = self._context.run.id
        before = [
            message
            for message in whole.messages
            if (message.role != "user" if message.run_id == run_id else everything)
        ]
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
        again = ANEW if self._anew else ""
        blocks = [text_block("\n\n".join(filter(None, (self._handed_over, again, self._prompt.prompt))))]
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
