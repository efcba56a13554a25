"""What an agent gets to work with: the implementation of `ports.AgentContext` over a lease."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from sessionry.domain import events as ev
from sessionry.domain.approval import Approval, ApprovalStatus
from sessionry.domain.codec import encode_json
from sessionry.domain.continuity import Conversation, going_on, said
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import FIRST, Event, EventData
from sessionry.domain.json_values import Json, json_value
from sessionry.domain.records import utc_now
from sessionry.domain.redaction import Redactor
from sessionry.domain.run import CancelMode, Run
from sessionry.domain.session import Session
from sessionry.domain.transcript import Transcript
from sessionry.ports import Blobs, Decision, Operation, Store
from sessionry.runtime.aside import aside, length_of
from sessionry.runtime.controls import Controls
from sessionry.runtime.emitter import STORE_PATIENCE, Emitter, patiently
from sessionry.store.operations import approvals, reading, runs
from sessionry.store.operations.leases import Lease

T = TypeVar("T")

#: What is read of a log to know a conversation: all but what providers sent.
_SAID = (f"-{ev.FrameReceived.type}",)


class Context:
    """One attempt at one run, as its agent sees it. See `ports.AgentContext` for the promises."""

    def __init__(
        self,
        store: Store,
        lease: Lease,
        cwd: Path,
        emitter: Emitter,
        controls: Controls,
        blobs: Blobs,
        *,
        say: Callable[[EventData], Awaitable[None]],
        asked: Callable[[], None],
        stopping: Callable[[], bool],
        say_rest: Callable[[], Awaitable[None]],
        keep: Callable[[str, Json, bool], Awaitable[None]],
        redactor: Redactor | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._cwd = cwd
        self._emitter = emitter
        self._controls = controls
        self._blobs = blobs
        self._say = say
        self._note_question = asked
        self._stopping = stopping
        self._say_rest = say_rest
        self._keep = keep
        self._redactor = redactor
        self._asked: Counter[str] = Counter()
        self._stepped: Counter[str] = Counter()
        self._steps: dict[str, Json] | None = None
        self._reading_steps = asyncio.Lock()
        #: how many questions the run waits for right now
        self.questions = 0

    @property
    def session(self) -> Session:
        return self._lease.session

    @property
    def run(self) -> Run:
        return self._lease.run

    @property
    def message(self) -> str:
        return message_of(self.run.input)

    @property
    def cwd(self) -> Path:
        return self._cwd

    @property
    def idempotency_key(self) -> str:
        return f"{self.run.id}:{self.run.attempt}:{self._lease.fence}"

    @property
    def cancel_requested(self) -> CancelMode | None:
        return self._controls.cancel_mode

    async def emit(self, *data: EventData) -> None:
        for item in data:
            await self._say(item)
        await self._emitter.flush()

    async def received(self, source: str, frame: Json, *, anew: bool = False) -> None:
        if self.run.options.keep_raw:
            with suppress(SessionryError):  # the emitter has stopped the attempt already
                await self._keep(source, frame, anew)

    async def approve(
        self,
        tool_name: str,
        tool_input: Json = None,
        *,
        tool_call_id: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> Decision:
        tool_input = await self._redacted(json_value(tool_input, "tool_input"))
        await self._say_rest()
        question = approvals.Question(
            key=self._question_key(tool_name, tool_input),
            tool_name=tool_name,
            tool_input=tool_input,
            tool_call_id=tool_call_id,
            reason=reason,
            timeout=timeout,
        )
        self.questions += 1
        self._note_question()
        asking = asyncio.ensure_future(self._ask(question))
        try:
            approval = await self._answered(await asyncio.shield(asking))
        finally:  # also when the agent does not want to wait any more: then the run is at work again
            self.questions -= 1
            self._note_question()
            if self.questions == 0 and not self._stopping():
                await self._go_on(await asking)
        return Decision(
            approved=approval.status is ApprovalStatus.GRANTED,
            by=approval.decided_by,
            note=approval.note,
            expired=approval.status is ApprovalStatus.EXPIRED,
        )

    async def _redacted(self, value: Json) -> Json:
        if self._redactor is None:
            return value
        return await aside(length_of(value), partial(self._redactor.value, value))

    async def _ask(self, question: approvals.Question) -> Approval:
        asking = approvals.ask(self.run.id, self._lease.fence, question)
        approval, _ = await self._emitter.write(asking, lambda answer: answer[1])
        return approval

    async def _go_on(self, approval: Approval) -> None:
        resuming = approvals.go_on(self.run.id, self._lease.fence, approval.id)
        await self._emitter.write(resuming, lambda seqs: seqs)

    def _question_key(self, tool_name: str, tool_input: Json) -> str:
        """The same for the n-th time that an attempt asks exactly this."""
        what = hashlib.sha256(encode_json([tool_name, tool_input]).encode()).hexdigest()
        self._asked[what] += 1
        return f"{what}:{self._asked[what]}"

    async def _answered(self, approval: Approval) -> Approval:
        """Wait until the question has left `pending`, and close it ourselves when its time is over."""
        while approval.status is ApprovalStatus.PENDING:
            left = None if approval.expires_at is None else (approval.expires_at - utc_now()).total_seconds()
            try:
                async with asyncio.timeout(None if left is None else max(left, 0.0)):
                    await self._controls.answer(approval.id).wait()
            except TimeoutError:
                if not await self._patiently(approvals.expire(approval.id)):
                    await asyncio.sleep(0.05)  # the store's clock is a little behind ours
            approval = await self._patiently(approvals.get(self._lease.scope, approval.id))
        return approval

    async def _patiently(self, operation: Operation[T]) -> T:
        return await patiently(partial(self._store.execute, operation), STORE_PATIENCE)

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        name = name if self._redactor is None else self._redactor.text(name)
        self._stepped[name] += 1
        number = self._stepped[name]
        key = name if number == 1 else f"{name} #{number}"
        steps = await self._done_steps()
        if key not in steps:
            try:
                result = await self._redacted(json_value(await work(), f"result of step {name}"))
            except BaseException:
                if self._stepped[name] == number:
                    self._stepped[name] -= 1  # when it is tried again, it is the same step
                raise
            await self.emit(ev.StepCompleted(name=key, result=result))
            steps[key] = result
        return json_value(steps[key], f"result of step {name}")

    async def _done_steps(self) -> dict[str, Json]:
        """Key -> result of the steps that are done, read from the log once."""
        async with self._reading_steps:
            if self._steps is None:
                done = [event.data for event in await self.history([ev.StepCompleted.type])]
                self._steps = {data.name: data.result for data in done if isinstance(data, ev.StepCompleted)}
        return self._steps

    async def history(self, types: Sequence[str] = (), *, of_session: bool = False) -> list[Event]:
        await self._emitter.flush()
        return await self._read_all(types, None if of_session else self.run.id)

    async def transcript(self) -> Transcript:
        await self._emitter.flush()
        return said(await self._read_all(_SAID, None))

    async def _read_all(self, types: Sequence[str], run_id: str | None) -> list[Event]:
        """The events of the run; of the session with what it was forked from, whose `seq`s are up to 0."""
        found: list[Event] = []
        while True:
            page = await self._patiently(
                reading.events(
                    self._lease.scope,
                    self.session.id,
                    after=found[-1].seq if found else 0 if run_id else FIRST,
                    types=types,
                    run_id=run_id,
                    limit=1000,
                )
            )
            found += page
            if len(page) < 1000:
                return found

    async def conversation(self) -> Conversation:
        scope, session_id = self._lease.scope, self.session.id
        previous = await self._patiently(runs.agents_before(scope, session_id, self.run.id))
        linked = await self._patiently(runs.linked(scope, session_id, self.run.agent_id or ""))
        await self._emitter.flush()
        return going_on(self.run, await self._read_all(_SAID, None), linked, previous)

    async def blob(self, hash: str) -> bytes:
        return b"".join([piece async for piece in self._blobs.open(hash)])

    def steering(self) -> list[str]:
        return self._controls.steering()

    async def next_steering(self) -> str:
        return await self._controls.next_steering()

    async def add_artifact(
        self, content: bytes | AsyncIterable[bytes], *, name: str | None = None, media_type: str | None = None
    ) -> ev.ArtifactAdded:
        blob = await self._blobs.put(content)
        added = ev.ArtifactAdded(hash=blob.hash, size=blob.size, name=name, media_type=media_type)
        await self.emit(added)
        return added


def message_of(input: Json) -> str:
    """The input as text: a string, the `prompt` of an object, the text of its last message, or its JSON."""
    if isinstance(input, str):
        return input
    if isinstance(input, dict):
        if isinstance(input.get("prompt"), str):
            return str(input["prompt"])
        messages = input.get("messages")
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
            content = messages[-1].get("content")
            if isinstance(content, str):
                return content
    return "" if input is None else encode_json(input)
