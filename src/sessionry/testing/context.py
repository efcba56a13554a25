"""An `AgentContext` in memory, for the tests of agents: it plays an agent as a worker does and keeps what comes of it.

context = RecordingContext("hello", cwd=tmp_path, answers=[True])
events = await context.play(MyAgent())
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from sessionry.domain import events as ev
from sessionry.domain import ids, records
from sessionry.domain.codec import decode_payload, encode_payload
from sessionry.domain.continuity import Conversation, going_on
from sessionry.domain.errors import NotFound
from sessionry.domain.events import Event, EventData, checked
from sessionry.domain.fold import fold_run, fold_session
from sessionry.domain.json_values import Json
from sessionry.domain.run import CancelMode, Run, RunOptions
from sessionry.domain.session import Session
from sessionry.domain.transcript import Transcript, text_of, transcript
from sessionry.ports import Agent, Decision

E = TypeVar("E", bound=EventData)
_WORKER = "wrk_test"


class Question(NamedTuple):
    """What an agent asked a person."""

    tool_name: str
    tool_input: Json
    tool_call_id: str | None
    reason: str | None
    timeout: float | None


#: What people answer, in this order; or who is asked.
Answers = Sequence[bool | Decision] | Callable[[Question], bool | Decision]


class _Stopped(asyncio.CancelledError):
    """The test wants the attempt to end here."""


class Record:
    """The log of one session with one run. What is appended must fold, and is what comes back from its JSON."""

    def __init__(self) -> None:
        self.log: list[Event] = []
        self.session_id, self.run_id = ids.new_id(ids.SESSION), ids.new_id(ids.RUN)
        self.session: Session | None = None
        self.run: Run | None = None

    def append(self, data: EventData, *, of_run: bool = True) -> None:
        if not isinstance(data, EventData):
            raise TypeError(f"an agent yields EventData, not {type(data).__name__}: {data!r}")
        if self.run is not None and self.run.ended:
            raise AssertionError(f"the run has ended, and then came {data!r}")
        event = Event(
            id=ids.new_id(ids.EVENT),
            session_id=self.session_id,
            at=records.utc_now(),
            data=decode_payload(data.type, encode_payload(checked(data))),
            seq=len(self.log) + 1,
            run_id=self.run_id if of_run else None,
            fence=1 if of_run else 0,
        )
        self.session = fold_session(self.session, event)
        self.run = fold_run(self.run, event) if of_run else self.run
        self.log.append(event)


class RecordingContext:
    """The context of one attempt at one run. Nothing is kept anywhere but here.

    `answers` are the decisions on the agent's questions; a question too many is an `AssertionError`. `steering` is what
    people say to the run from the start on. `previous` is the conversation before the run. `questions` is what was asked,
    `blobs` the content of artifacts by hash. `keep_raw`: the run wants what providers send.
    Like a real one, a later attempt gets the decision on the n-th question of the same words that an earlier one asked,
    and hears from the start what people said to the run.
    """

    def __init__(
        self,
        input: Json = None,
        *,
        cwd: Path | None = None,
        answers: Answers = (),
        steering: Iterable[str] = (),
        session_context: dict[str, Json] | None = None,
        previous: Conversation | None = None,
        keep_raw: bool = False,
        record: Record | None = None,
    ) -> None:
        self.blobs: dict[str, bytes] = {}
        self.previous = previous
        self.questions: list[Question] = []
        self.cancel_requested: CancelMode | None = None
        self._answer = answers if callable(answers) else _one_by_one(answers)
        self._steering: asyncio.Queue[str] = asyncio.Queue()
        self._record = record or _queued(input, cwd, session_context or {}, keep_raw=keep_raw)
        self._until: Callable[[EventData], bool] | None = None
        self._earlier = list(self._record.log)
        self._frames = 0
        attempt = 1 + len(self.data(ev.RunStarted))
        self._record.append(ev.RunStarted(attempt=attempt, worker_id=_WORKER))
        assert self._record.session is not None
        assert self._record.run is not None
        self.session, self.run = self._record.session, self._record.run
        for said in self.data(ev.InputReceived):
            self._steering.put_nowait(said.text)
        for text in steering:
            self.say(text)

    # --- what the agent sees ---

    @property
    def message(self) -> str:
        return text_of(self.run.input)

    @property
    def cwd(self) -> Path:
        return Path(self.session.cwd) if self.session.cwd else Path.cwd()

    @property
    def idempotency_key(self) -> str:
        return f"{self.run.id}-{self.run.attempt}"

    async def emit(self, *data: EventData) -> None:
        for one in data:
            self._append(one)

    async def received(self, source: str, frame: Json, *, anew: bool = False) -> None:  # noqa: ARG002  it redacts nothing
        if self.run.options.keep_raw:
            self._frames += 1
            self._record.append(ev.FrameReceived(source=source, number=self._frames, frame=frame))

    async def approve(
        self,
        tool_name: str,
        tool_input: Json = None,
        *,
        tool_call_id: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> Decision:
        question = Question(tool_name, tool_input, tool_call_id, reason, timeout)
        self.questions.append(question)
        approval_id, earlier = self._asked_earlier(tool_name, tool_input)
        if earlier is not None:
            return earlier
        if approval_id is None:
            requested = _requested(question)
            approval_id = requested.approval_id
            self._append(requested)
        self._append(ev.RunWaiting(approval_id=approval_id))
        answer = self._answer(question)
        decision = answer if isinstance(answer, Decision) else Decision(approved=answer, by="tester")
        self._append(_decided(approval_id, tool_name, decision))
        self._append(ev.RunResumed(approval_id=approval_id))
        return decision

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        for done in self.data(ev.StepCompleted):
            if done.name == name:
                return done.result
        result = await work()
        self._append(ev.StepCompleted(name=name, result=result))
        return result

    async def history(self, types: Sequence[str] = (), *, of_session: bool = False) -> list[Event]:
        return [event for event in (self.log if of_session else self.events()) if not types or event.type in types]

    async def transcript(self) -> Transcript:
        return transcript(self.log)

    async def conversation(self) -> Conversation:
        if self.previous is not None:
            return self.previous
        return going_on(self.run, self.log, [self.run], [])

    async def blob(self, hash: str) -> bytes:
        if hash not in self.blobs:
            raise NotFound("blob_not_found", f"there is no blob {hash}", details={"hash": hash})
        return self.blobs[hash]

    def steering(self) -> list[str]:
        said = []
        while not self._steering.empty():
            said.append(self._steering.get_nowait())
        return said

    async def next_steering(self) -> str:
        return await self._steering.get()

    async def add_artifact(
        self, content: bytes | AsyncIterable[bytes], *, name: str | None = None, media_type: str | None = None
    ) -> ev.ArtifactAdded:
        whole = content if isinstance(content, bytes) else b"".join([piece async for piece in content])
        hash = hashlib.sha256(whole).hexdigest()
        self.blobs[hash] = whole
        added = ev.ArtifactAdded(hash=hash, size=len(whole), name=name, media_type=media_type)
        self._append(added)
        return added

    # --- what the test does ---

    async def play(self, agent: Agent, *, until: Callable[[EventData], bool] | None = None) -> list[EventData]:
        """Run the agent; what the log got in this attempt. What the agent raises is raised here.

        After the first event for which `until` is true, the agent is cancelled, or closed if it just yielded that event.
        """
        begin = len(self.log)
        self._until = until
        events = agent.run(self)
        try:
            async for data in events:
                self._append(data)
        except _Stopped:
            pass
        finally:
            self._until = None
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        return [event.data for event in self.log[begin:]]

    def say(self, text: str) -> None:
        """Steer the run, as a person does."""
        self._record.append(ev.InputReceived(text=text))
        self._steering.put_nowait(text)

    @property
    def log(self) -> list[Event]:
        """The whole log of the session."""
        return self._record.log

    def events(self) -> list[Event]:
        """The run's events so far, of all attempts."""
        return [event for event in self.log if event.run_id is not None]

    def data(self, kind: type[E]) -> list[E]:
        """What the run's events of that type say, of all attempts."""
        return [event.data for event in self.events() if isinstance(event.data, kind)]

    def after_a_crash(self, *, answers: Answers = ()) -> RecordingContext:
        """The context of the next attempt, as if the worker of this one was killed: open tool calls are interrupted."""
        open_calls = {call.tool_call_id: call.tool_name for call in self.data(ev.ToolCallStarted)}
        for ended in self.events():
            if isinstance(ended.data, ev.TOOL_ENDINGS):
                open_calls.pop(ended.data.tool_call_id, None)  # type: ignore[attr-defined]  # each of them has one
        for call, name in open_calls.items():
            self._record.append(ev.ToolCallInterrupted(tool_call_id=call, tool_name=name, reason="worker_lost"))
        self._record.append(ev.WorkerLost(worker_id=_WORKER, action="requeued"))
        self._record.append(ev.RunRequeued(reason="worker_lost"))
        following = RecordingContext(answers=answers, record=self._record)
        following.blobs = self.blobs
        return following

    def _append(self, data: EventData) -> None:
        self._record.append(data)
        if self._until is not None and self._until(self.log[-1].data):
            raise _Stopped

    def _asked_earlier(self, tool_name: str, tool_input: Json) -> tuple[str | None, Decision | None]:
        """The approval of an earlier attempt's question that is the newest one's double, and what was decided."""
        earlier = [event.data for event in self._earlier]
        asked = [data for data in earlier if isinstance(data, ev.ToolApprovalRequested)]
        same = [data for data in asked if (data.tool_name, data.tool_input) == (tool_name, tool_input)]
        number = sum((each.tool_name, each.tool_input) == (tool_name, tool_input) for each in self.questions)
        if number > len(same):
            return None, None
        approval_id = same[number - 1].approval_id
        for data in earlier:
            if isinstance(data, ev.ToolApprovalGranted | ev.ToolApprovalDenied) and data.approval_id == approval_id:
                granted = isinstance(data, ev.ToolApprovalGranted)
                return approval_id, Decision(approved=granted, by=data.by, note=data.note)
            if isinstance(data, ev.ApprovalExpired) and data.approval_id == approval_id:
                return approval_id, Decision(approved=False, expired=True)
        return approval_id, None


def _queued(input: Json, cwd: Path | None, session_context: dict[str, Json], *, keep_raw: bool) -> Record:
    """A new session with one run in its queue."""
    record = Record()
    created = ev.SessionCreated(agent_id="tested", cwd=None if cwd is None else str(cwd), context=session_context)
    record.append(created, of_run=False)
    record.append(ev.SessionStarted(), of_run=False)
    queued = ev.RunQueued(agent_id="tested", input=input)
    record.append(msgspec.structs.replace(queued, options=RunOptions(keep_raw=True)) if keep_raw else queued)
    return record


def _one_by_one(answers: Sequence[bool | Decision]) -> Callable[[Question], bool | Decision]:
    left = list(answers)

    def answer(question: Question) -> bool | Decision:
        assert left, f"nobody expected the question {question}"
        return left.pop(0)

    return answer


def _requested(question: Question) -> ev.ToolApprovalRequested:
    expires_at = None if question.timeout is None else records.utc_now() + timedelta(seconds=question.timeout)
    return ev.ToolApprovalRequested(
        approval_id=ids.new_id(ids.APPROVAL),
        tool_name=question.tool_name,
        tool_input=question.tool_input,
        tool_call_id=question.tool_call_id,
        reason=question.reason,
        expires_at=expires_at,
    )


def _decided(approval_id: str, tool_name: str, decision: Decision) -> EventData:
    if decision.expired:
        return ev.ApprovalExpired(approval_id=approval_id, tool_name=tool_name)
    kind = ev.ToolApprovalGranted if decision.approved else ev.ToolApprovalDenied
    return kind(approval_id=approval_id, tool_name=tool_name, by=decision.by, note=decision.note)
