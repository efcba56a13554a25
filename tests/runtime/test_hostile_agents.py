"""Agents that lie, shout, sulk and break things: their run says so and ends, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext, RunResult, RunStatus
from sessionry.domain import events as ev
from sessionry.domain.codec import decode_payload
from sessionry.domain.run import AgentFacts, ErrorInfo
from sessionry.runtime.emitter import MOST_MERGED
from sessionry.store.log import MAX_EVENT_BYTES

from .conftest import types_of, until

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "events_v1.json").read_text())["payloads"]
FORGED = sorted(set(ev.EVENT_TYPES) - {kind.type for kind in ev.AGENT_EVENTS})


def sample(type: str) -> ev.EventData:
    return decode_payload(type, json.dumps(GOLDEN[type]["minimal"]))


async def play(agent: Any, **options: Any) -> tuple[RunResult, list[sessionry.Event]]:
    """The result of one run of `agent`, and the events that came after its start."""
    async with sessionry.open("memory://", agents={"agent": agent}, cancel_grace=1.0) as sessions:
        run = await (await sessions.create("agent")).run("x", **options)
        result = await run.result(timeout=60)
        events = [event async for event in run.events()]
        assert events[-1].type in {kind.type for kind in ev.RUN_ENDINGS}
        return result, events[2:]


# --- forgery ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", [name for name in FORGED if name not in ("run_completed", "run_failed")])
async def test_what_only_sessionry_writes_cannot_be_yielded(type: str) -> None:
    async def forges() -> AsyncIterator[Any]:
        yield "said before"
        yield sample(type)
        yield "said after"

    result, events = await play(forges)
    assert result.error is not None
    assert result.error.code == "agent_misbehaved"
    assert [event.type for event in events] == ["message_streamed", "run_failed"]


@pytest.mark.parametrize("type", FORGED)
async def test_what_only_sessionry_writes_cannot_be_emitted_either(type: str) -> None:
    async def forges(context: AgentContext) -> None:
        await context.emit(ev.MessageReceived(text="said before"), sample(type), ev.MessageReceived(text="said after"))

    result, events = await play(forges)
    assert result.error is not None
    assert result.error.code == "agent_misbehaved"
    assert [event.type for event in events] == ["message_received", "run_failed"]


@pytest.mark.parametrize("type", sorted(kind.type for kind in ev.AGENT_EVENTS))
async def test_everything_else_may_be_said(type: str) -> None:
    async def says(context: AgentContext) -> AsyncIterator[Any]:
        yield sample(type)
        await context.emit(sample(type))

    result, events = await play(says)
    assert result.status is RunStatus.COMPLETED
    assert type in {event.type for event in events}


async def test_an_agent_cannot_answer_its_own_question() -> None:
    async def approves_itself(context: AgentContext) -> str:
        asking = asyncio.create_task(context.approve("delete"))
        (asked,) = await until(lambda: context.history(["tool_approval_requested"]))
        try:
            await context.emit(ev.ToolApprovalGranted(approval_id=asked.data.approval_id, tool_name="delete"))
        finally:
            asking.cancel()
        return "deleted"

    result, events = await play(approves_itself)
    assert result.error is not None
    assert result.error.code == "agent_misbehaved"
    assert "tool_approval_granted" not in {event.type for event in events}
    assert "approval_expired" in {event.type for event in events}


class _Unregistered(ev.EventData):
    x: int = 1


BAD = {
    "a number": 42,
    "a lone surrogate": ev.MessageStreamed(text="\ud800"),
    "a wrong type": ev.MessageStreamed(text=42),  # type: ignore[arg-type]
    "no json": ev.CustomRecorded(name="n", value={1, 2}),
    "a type of its own": _Unregistered(),
    "the future": ev.Unknown(name="run_completed"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_what_no_log_can_hold_fails_the_run_and_loses_nothing_before_it(bad: Any) -> None:
    async def says() -> AsyncIterator[Any]:
        yield ev.MessageStreamed(text="said before")
        yield bad

    result, events = await play(says)
    assert result.error is not None
    assert result.error.code == "agent_misbehaved"
    assert [event.type for event in events] == ["message_streamed", "run_failed"]


# --- exceptions -------------------------------------------------------------------------------------------------------


class _Odd(BaseException):
    pass


class _Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


RAISED = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    _Odd("odd"),
    _Mute(),
    asyncio.CancelledError(),
    sessionry.Fenced("I am not"),
    sessionry.StoreFailed("store_failed", "it is not"),
    sessionry.AgentFailed("agent_failed", "x" * (MAX_EVENT_BYTES + 1), details={"\ud800": {1: object()}}),
    ValueError("\ud800"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("how", ["async", "thread"])
async def test_whatever_an_agent_raises_fails_its_run_and_no_other(error: BaseException, how: str) -> None:
    def raises() -> None:
        raise error

    async def raises_in_the_loop() -> None:
        raise error

    async with sessionry.open(
        "memory://", agents={"raises": raises if how == "thread" else raises_in_the_loop}
    ) as sessions:
        other = await (await sessions.create("echo")).run("hello")
        run = await (await sessions.create("raises")).run("x")
        assert (await run.result(timeout=60)).status is RunStatus.FAILED
        assert (await other.result(timeout=60)).text == "hello"


class _Turncoat:
    """An agent that is right until its first run is queued, and cannot say what it is from then on."""

    takeover = takeover_waiting = sessionry.Takeover.STOP

    def __init__(self, broken: Callable[[], Any]) -> None:
        self._broken = broken
        self._answers: int | None = None

    @property
    def facts(self) -> Any:
        if self._answers is not None:
            self._answers -= 1
        return AgentFacts(type="odd") if self._answers is None or self._answers >= 0 else self._broken()

    def check(self, input: Any) -> Any:
        self._answers = 1  # for the negotiation that follows
        return input

    async def run(self, context: AgentContext) -> AsyncIterator[ev.EventData]:
        yield ev.RunCompleted()


def _raise() -> Any:
    raise RuntimeError("what am I?")


@pytest.mark.parametrize("broken", [_raise, lambda: 42, lambda: AgentFacts(type=7)])  # type: ignore[arg-type]
async def test_an_agent_that_cannot_say_what_it_is_fails_its_run(broken: Callable[[], Any]) -> None:
    result, events = await play(_Turncoat(broken))
    assert result.status is RunStatus.FAILED
    assert [event.type for event in events] == ["run_failed"]


# --- too much ---------------------------------------------------------------------------------------------------------


async def _text_of(sessions: sessionry.Sessions, hash: str) -> bytes:
    return b"".join([piece async for piece in sessions.blobs.open(hash)])


async def test_a_message_of_50_mb_is_kept_whole() -> None:
    text = "0123456789abcdef" * (50 * 65_536)

    async def shouts() -> AsyncIterator[Any]:
        yield text

    async with sessionry.open("memory://", agents={"shouts": shouts}) as sessions:
        run = await (await sessions.create("shouts")).run("x")
        result = await run.result(timeout=60)
        assert result.text is not None
        assert result.text.startswith("0123456789abcdef")
        added = [event.data async for event in run.events() if isinstance(event.data, ev.ArtifactAdded)]
        assert {data.size for data in added} == {len(text)}
        assert await _text_of(sessions, added[0].hash) == text.encode()


BIG: dict[str, Callable[[], Any]] = {
    "a list": lambda: ev.CustomRecorded(name="n", value=list(range(300_000)) * 3),
    "an object": lambda: ev.CustomRecorded(name="n", value={f"key {n}": "x" * 100 for n in range(50_000)}),
    "many texts": lambda: ev.CustomRecorded(name="n", value=["x" * 500_000] * 12),
    "nothing but NUL": lambda: ev.MessageReceived(text="\0" * 900_000),
    "an error": lambda: ev.ErrorOccurred(error=ErrorInfo(code="agent_failed", message="m" * 5_000_000)),
    "its details": lambda: ev.ErrorOccurred(
        error=ErrorInfo(code="agent_failed", message="m", details={"stderr": "x" * 5_000_000})
    ),
    "a plan": lambda: ev.PlanUpdated(entries=[{"text": "x" * 100, "status": "pending"}] * 50_000),
}


@pytest.mark.parametrize("big", BIG.values(), ids=BIG)
async def test_what_is_too_big_for_the_log_is_kept_beside_it(big: Callable[[], Any]) -> None:
    async def says() -> AsyncIterator[Any]:
        yield big()

    result, events = await play(says)
    assert result.status is RunStatus.COMPLETED
    types = [event.type for event in events]
    assert types[types.index(big().type) - 1] == "artifact_added"


async def test_a_big_output_is_kept_beside_the_log_too() -> None:
    async def returns() -> Any:
        return list(range(1_000_000))

    result, _ = await play(returns)
    assert result.status is RunStatus.COMPLETED
    assert set(result.output) == {"preview", "artifact", "size"}


async def test_a_question_that_is_too_big_fails_the_run() -> None:
    async def asks(context: AgentContext) -> None:
        await context.approve("delete", ["x" * 1000] * 5000)

    result, events = await play(asks)
    assert result.error is not None
    assert result.error.code == "payload_too_large"
    assert [event.type for event in events] == ["run_failed"]


async def test_pieces_are_merged_but_not_beyond_measure() -> None:
    async def floods() -> AsyncIterator[Any]:
        for _ in range(12):
            yield "y" * 500_000
        for _ in range(20_000):
            yield "z" * 10

    result, events = await play(floods)
    assert result.status is RunStatus.COMPLETED
    texts = [event.data.text for event in events if isinstance(event.data, ev.MessageStreamed)]
    assert sum(map(len, texts)) == 12 * 500_000 + 20_000 * 10
    assert max(len(text) for text in texts if text[0] == "z") <= MOST_MERGED
    assert len(texts) < 1000


# --- an agent that only emits -----------------------------------------------------------------------------------------


async def test_an_emitted_message_is_the_last_word_as_a_yielded_one_is() -> None:
    async def emits(context: AgentContext) -> None:
        await context.emit(ev.MessageReceived(text="first"), ev.MessageReceived(text="last"))

    result, _ = await play(emits)
    assert result.text == "last"


async def test_cancel_after_the_turn_reaches_an_agent_that_emits_its_turns() -> None:
    async def turns(context: AgentContext) -> None:
        while True:
            await asyncio.sleep(0.02)
            await context.emit(ev.TurnCompleted())

    async with sessionry.open("memory://", agents={"turns": turns}) as sessions:
        run = await (await sessions.create("turns")).run("x")
        await until(lambda: _has(run, "turn_completed"))
        await run.cancel(mode="after_turn", reason="enough")
        assert (await run.result(timeout=60)).status is RunStatus.CANCELLED
        assert (await types_of(run))[-1] == "run_cancelled"


async def _has(run: sessionry.RunHandle, type: str) -> bool:
    return type in await types_of(run)
