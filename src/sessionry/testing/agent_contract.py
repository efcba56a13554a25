"""The promises of an agent as tests. A third party's adapter runs them by subclassing:

    class TestMyAgent(AgentContract):
        @pytest.fixture
        def well(self) -> Case:
            return Case(MyAgent(model="tiny"), "say hello")

The other cases are optional; the tests that need a missing one are skipped.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from copy import deepcopy
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest

from sessionry.agents.process import kill_leftovers
from sessionry.domain import events as ev
from sessionry.domain.errors import CODES, InvalidInput
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json, json_value
from sessionry.domain.run import Takeover
from sessionry.domain.transcript import transcript
from sessionry.domain.usage import Usage
from sessionry.ports import Agent, Capability
from sessionry.testing.context import Answers, RecordingContext

#: Seconds that an agent may take to obey a cancellation.
OBEYS = 15.0


class Case(NamedTuple):
    """An agent, what it is asked, and what people answer to its questions."""

    agent: Agent
    input: Json = "hello"
    answers: Answers = ()

    def context(self, cwd: Path) -> RecordingContext:
        return RecordingContext(self.agent.check(self.input), cwd=cwd, answers=self.answers)


class AgentContract:
    """What `sessionry.ports.Agent` promises. All tests run in the event loop of pytest-asyncio, in auto mode or not."""

    pytestmark = pytest.mark.asyncio

    # --- the cases ---

    @pytest.fixture
    def well(self) -> Case:
        """A run that ends well."""
        raise NotImplementedError("give the contract a fixture named `well`")

    @pytest.fixture
    def badly(self) -> Case:
        """A run that fails."""
        pytest.skip("no case of a run that fails")

    @pytest.fixture
    def endless(self) -> Case:
        """A run that emits something, besides the start of a tool, and works until it is stopped."""
        pytest.skip("no case of an endless run")

    @pytest.fixture
    def refused(self) -> Case:
        """An input that is refused."""
        pytest.skip("no case of an input that is refused")

    # --- what it says about itself ---

    async def test_it_is_an_agent(self, well: Case) -> None:
        assert isinstance(well.agent, Agent)

    async def test_its_facts_are_plain_and_do_not_change(self, well: Case) -> None:
        facts = well.agent.facts
        assert facts.type.strip()
        assert all(isinstance(name, str) and name.strip() for name in facts.capabilities)
        assert len(set(facts.capabilities)) == len(facts.capabilities)
        assert msgspec.json.encode(facts) == msgspec.json.encode(well.agent.facts)

    async def test_it_says_what_becomes_of_a_run_whose_worker_is_lost(self, well: Case) -> None:
        assert isinstance(well.agent.takeover, Takeover)
        assert isinstance(well.agent.takeover_waiting, Takeover)

    # --- its input ---

    async def test_checking_gives_json_and_changes_nothing(self, well: Case) -> None:
        given = deepcopy(well.input)
        checked = well.agent.check(well.input)
        assert well.input == given
        assert json_value(checked, "input") == checked
        assert well.agent.check(checked) == checked, "a stored input is checked again before it runs"

    async def test_a_bad_input_is_refused_before_anything_is_queued(self, refused: Case) -> None:
        with pytest.raises(InvalidInput) as told:
            refused.agent.check(refused.input)
        assert told.value.code == "validation_error"
        assert told.value.details.get("path"), "name what is wrong: details={'path': ...}"

    # --- a run ---

    async def test_a_run_ends_well(self, well: Case, tmp_path: Path) -> None:
        events = await well.context(tmp_path).play(well.agent)
        assert not [event for event in events if isinstance(event, ev.RunFailed)]
        assert not [event for event in events if isinstance(event, ev.RunCancelled | ev.RunTimeout)], "not its to say"

    async def test_every_tool_call_is_started_once_and_ended_once(self, well: Case, tmp_path: Path) -> None:
        events = await well.context(tmp_path).play(well.agent)
        started = [event.tool_call_id for event in events if isinstance(event, ev.ToolCallStarted)]
        ended = [_call_id(event) for event in events if isinstance(event, ev.TOOL_ENDINGS)]
        assert len(set(started)) == len(started)
        assert sorted(started) == sorted(ended)
        assert {event.tool_call_id for event in events if isinstance(event, ev.ToolOutputStreamed)} <= set(started)

    async def test_a_whole_message_is_its_pieces(self, well: Case, tmp_path: Path) -> None:
        events = await well.context(tmp_path).play(well.agent)
        pieces: dict[str | None, str] = {}
        for event in events:
            if isinstance(event, ev.MessageStreamed):
                pieces[event.message_id] = pieces.get(event.message_id, "") + event.text
        wholes = {event.message_id: event.text for event in events if isinstance(event, ev.MessageReceived)}
        assert pieces == {id: text for id, text in wholes.items() if id in pieces}, "no piece without its message"

    async def test_it_does_only_what_it_declares(self, well: Case, tmp_path: Path) -> None:
        context = well.context(tmp_path)
        events = await context.play(well.agent)
        shown = {
            capability for capability, kinds in _SHOWS.items() if any(isinstance(event, kinds) for event in events)
        }
        assert shown <= set(well.agent.facts.capabilities)

    async def test_runs_at_the_same_time_do_not_mix(self, well: Case, tmp_path: Path) -> None:
        contexts = [well.context(tmp_path), well.context(tmp_path)]
        one, other = await asyncio.gather(*(context.play(well.agent) for context in contexts))
        assert _order(one) == _order(other)
        assert _spent(one) == _spent(other), "the same work takes the same, told in the same order"
        assert not _ids(one) & _ids(other), "ids of messages and tool calls are unique in a session"

    async def test_a_failure_is_told_with_a_code(self, badly: Case, tmp_path: Path) -> None:
        try:
            events = await badly.context(tmp_path).play(badly.agent)
        except Exception:
            return  # a SessionryError has a code, and anything else that is raised is told as agent_failed
        assert isinstance(events[-1], ev.RunFailed)
        assert events[-1].error.code in CODES
        assert events[-1].error.message.strip()

    # --- being stopped ---

    async def test_a_cancelled_run_stops_soon_and_leaves_nothing_behind(self, endless: Case, tmp_path: Path) -> None:
        before, context, begun = _living(), endless.context(tmp_path), asyncio.Event()

        def note(event: EventData) -> bool:
            if _at_work(event):
                begun.set()
            return False

        playing = asyncio.create_task(context.play(endless.agent, until=note))
        async with asyncio.timeout(60):
            await begun.wait()
        assert not playing.done(), "it ended by itself"
        playing.cancel()
        await asyncio.wait([playing], timeout=OBEYS)
        assert playing.cancelled()
        await _all_gone(before, context)

    async def test_a_closed_run_stops_soon_and_leaves_nothing_behind(self, endless: Case, tmp_path: Path) -> None:
        before, context = _living(), endless.context(tmp_path)
        async with asyncio.timeout(60 + OBEYS):
            await context.play(endless.agent, until=_at_work)
        await _all_gone(before, context)

    async def test_a_run_that_is_never_begun_leaves_nothing_behind(self, well: Case, tmp_path: Path) -> None:
        before, context = _living(), well.context(tmp_path)
        events = well.agent.run(context)
        if isinstance(events, AsyncGenerator):
            await events.aclose()
        await _all_gone(before, context)

    # --- another attempt ---

    async def test_another_attempt_comes_to_the_same_end(self, well: Case, tmp_path: Path) -> None:
        if well.agent.takeover is Takeover.STOP:
            pytest.skip("it is not attempted again")
        whole = well.context(tmp_path)
        number = len(await whole.play(well.agent))
        for killed_after in range(1, number):
            seen = count(1)
            first = well.context(tmp_path)
            await first.play(well.agent, until=lambda _, seen=seen, last=killed_after: next(seen) == last)  # type: ignore[misc]
            second = first.after_a_crash(answers=well.answers)
            await second.play(well.agent)
            calls = [call.tool_call_id for call in second.data(ev.ToolCallStarted)]
            assert len(set(calls)) == len(calls), "a tool call of another attempt has another id"
            if well.agent.takeover is Takeover.RESUME:
                texts = [_conversation(context) for context in (whole, second)]
                assert texts[0] == texts[1], f"killed after event {killed_after}, it repeated or left out something"


_SHOWS: dict[Capability, tuple[type[EventData], ...]] = {
    Capability.STREAMING: (ev.MessageStreamed, ev.ToolOutputStreamed),
    Capability.REASONING: (ev.ReasoningStreamed, ev.ReasoningReceived),
    Capability.TOOLS: (ev.ToolCallStarted,),
    Capability.APPROVALS: (ev.ToolApprovalRequested,),
    Capability.USAGE: (ev.TokenUsageUpdated,),
    Capability.TURNS: (ev.TurnCompleted,),
}


def _call_id(event: EventData) -> str:
    id: str = event.tool_call_id  # type: ignore[attr-defined]  # every event of a tool call has it
    return id


def _conversation(context: RecordingContext) -> list[str | None]:
    """The words of the agent that count in the end."""
    return [message.text for message in transcript(context.log).messages if message.role == "assistant"]


def _order(events: list[EventData]) -> list[str]:
    """What was told one after the other, but for usage: that is told when it is known, a moment earlier or later."""
    return [event.type for event in events if not isinstance(event, ev.TokenUsageUpdated)]


def _spent(events: list[EventData]) -> list[tuple[Usage, Decimal | None, str | None]]:
    """What was used each time that it was told, to the token and to the cent."""
    return [(event.usage, event.cost, event.model) for event in events if isinstance(event, ev.TokenUsageUpdated)]


def _ids(events: list[EventData]) -> set[str]:
    words = (ev.MessageStreamed, ev.MessageReceived, ev.ReasoningStreamed, ev.ReasoningReceived)
    found = {event.message_id for event in events if isinstance(event, words)}
    found |= {event.tool_call_id for event in events if isinstance(event, ev.ToolCallStarted)}
    return {id for id in found if id is not None}


class _Living(NamedTuple):
    processes: set[psutil.Process]
    tasks: set[asyncio.Task[object]]
    threads: set[threading.Thread]


def _living() -> _Living:
    children = psutil.Process().children(recursive=True)
    processes = {child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE}
    return _Living(processes, asyncio.all_tasks(), set(threading.enumerate()))


def _at_work(event: EventData) -> bool:
    return not isinstance(event, ev.ToolCallStarted)  # which may come before the tool is really started


async def _all_gone(before: _Living, context: RecordingContext) -> None:
    """Nothing is there that was not there before, or it goes within a moment."""
    left = await asyncio.to_thread(kill_leftovers, [context.run.id])
    assert left == 0, f"{left} processes of the run were left behind"
    end = time.monotonic() + OBEYS
    while True:
        now = _living()
        new = (now.processes - before.processes, now.tasks - before.tasks, _working(now.threads - before.threads))
        if not any(new):
            return
        if time.monotonic() > end:
            pytest.fail(f"left behind: processes {new[0]}, tasks {new[1]}, threads {new[2]}")
        await asyncio.sleep(0.02)


def _working(threads: set[threading.Thread]) -> set[threading.Thread]:
    """Those that are not the shared ones of the event loop, which wait for more work."""
    return {thread for thread in threads if thread.is_alive() and not thread.name.startswith("asyncio_")}
