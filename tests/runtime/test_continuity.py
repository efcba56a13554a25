"""What a run finds of the conversation before it: its agent's own session, and what was said without that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext, Continuation, Sessions
from sessionry.agents.function import FunctionAgent
from sessionry.agents.handover import hand_over
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation
from sessionry.domain.run import AgentFacts, Takeover
from sessionry.domain.usage import Usage
from sessionry.settings import load_settings
from sessionry.store.operations import recovery


class Talker:
    """An agent that keeps sessions of its own, as the real ones do: `knows` is what is in each of them.

    It resumes what it finds, tells what it was given, and counts its tokens on over runs.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.knows: dict[str, list[str]] = {}
        self.found: list[Conversation] = []

    async def __call__(self, context: AgentContext, message: str) -> AsyncIterator[ev.EventData]:
        conversation = await context.conversation()
        self.found.append(conversation)
        native, forked_from = conversation.native, None
        if native is None or conversation.mode is Continuation.FORK:
            own, forked_from = f"{self.id}-{len(self.knows) + 1}", native.id if native else None
            self.knows[own] = list(self.knows[native.id]) if native else []
        else:
            own = native.id
        handed = hand_over(conversation, context.session)
        self.knows[own] += [each.text or "" for each in handed.messages if each.role != "system"]
        yield ev.AgentSessionLinked(
            native_session_id=own, model=f"{self.id}-large", resumed=native is not None, forked_from=forked_from
        )
        self.knows[own] += [message, f"{self.id}: {message}"]
        yield ev.TokenUsageUpdated(usage=Usage(input_tokens=10, output_tokens=1), cost=Decimal("0.5"))
        yield ev.MessageReceived(text=f"{self.id}: {message}")
        yield ev.AgentSessionLinked(native_session_id=own, items=len(self.knows[own]))

    @property
    def last(self) -> Conversation:
        return self.found[-1]

    @property
    def missed(self) -> list[str]:
        return [message.text or "" for message in self.last.missed.messages]


@pytest.fixture
async def claude() -> Talker:
    return Talker("claude")


@pytest.fixture
async def codex() -> Talker:
    return Talker("codex")


@pytest.fixture
async def sessions(url: str, claude: Talker, codex: Talker) -> AsyncIterator[Sessions]:
    agents: dict[str, Any] = {talker.id: FunctionAgent(talker.id, talker.__call__) for talker in (claude, codex)}
    async with sessionry.open(url, agents=agents) as opened:
        yield opened


async def say(session: sessionry.SessionHandle, agent: Talker, text: str, **options: Any) -> sessionry.RunResult:
    result = await (await session.run(text, agent=agent.id, **options)).result(timeout=60)
    assert result.error is None
    return result


async def test_the_first_run_finds_nothing(sessions: Sessions, claude: Talker) -> None:
    session = await sessions.create("claude", context={"system_prompt": "Be brief."})
    await say(session, claude, "one")
    assert claude.last.native is None
    assert [message.role for message in claude.last.missed.messages] == ["system"]
    assert claude.last.previous_agents == []


async def test_the_next_run_finds_the_agents_own_session_and_misses_nothing(sessions: Sessions, claude: Talker) -> None:
    session = await sessions.create("claude", context={"system_prompt": "Be brief."})
    await say(session, claude, "one")
    second = await say(session, claude, "two")
    native = claude.last.native
    assert native is not None
    assert (native.id, native.model, native.items) == ("claude-1", "claude-large", 2)
    assert native.run_id != second.run_id
    assert (native.usage, native.cost) == (Usage(input_tokens=10, output_tokens=1), Decimal("0.5"))
    assert claude.missed == []
    await say(session, claude, "three")
    assert claude.last.native is not None
    assert claude.last.native.usage == Usage(input_tokens=20, output_tokens=2)
    assert (claude.last.native.cost, claude.last.native.items) == (Decimal("1.0"), 4)


async def test_one_session_goes_from_claude_to_codex_and_back(
    sessions: Sessions, claude: Talker, codex: Talker
) -> None:
    session = await sessions.create("claude")
    await say(session, claude, "one")
    await say(session, codex, "two")
    assert codex.last.native is None
    assert codex.missed == ["one", "claude: one"]
    assert codex.last.previous_agents == ["claude"]
    await say(session, claude, "three")
    assert claude.last.native is not None
    assert claude.last.native.id == "claude-1"
    assert claude.missed == ["two", "codex: two"]
    assert claude.last.previous_agents == ["codex"]
    await say(session, claude, "four")
    assert claude.missed == []
    await say(session, codex, "five")
    assert codex.missed == ["three", "claude: three", "four", "claude: four"]
    whole = [message.text for message in (await session.transcript()).messages]
    assert claude.knows["claude-1"] == whole[:8]
    assert codex.knows["codex-1"] == whole


async def test_other_sessions_and_other_agents_are_not_found(sessions: Sessions, claude: Talker, codex: Talker) -> None:
    await say(await sessions.create("claude"), claude, "elsewhere")
    session = await sessions.create("codex")
    await say(session, codex, "one")
    await say(session, claude, "two")
    assert claude.last.native is None
    assert claude.missed == ["one", "codex: one"]


async def test_an_agent_of_another_type_under_the_same_name_finds_no_session(
    sessions: Sessions, claude: Talker
) -> None:
    session = await sessions.create("claude")
    await say(session, claude, "one")

    class Other(FunctionAgent):
        @property
        def facts(self) -> AgentFacts:
            return AgentFacts(type="other")

    other = Talker("claude")
    sessions.catalog.add("claude", Other("claude", other.__call__))
    await say(session, other, "two")
    assert other.last.native is None
    assert other.missed == ["one", "claude: one"]


async def test_replay_gives_the_whole_transcript_and_no_session(sessions: Sessions, claude: Talker) -> None:
    session = await sessions.create("claude")
    await say(session, claude, "one")
    await say(session, claude, "two", continuation="replay")
    assert (claude.last.mode, claude.last.native) == (Continuation.REPLAY, None)
    assert claude.missed == ["one", "claude: one"]
    await say(session, claude, "three")
    assert claude.last.native is not None
    assert claude.last.native.id == "claude-2"
    assert claude.missed == []


async def test_fresh_gives_nothing_at_all(sessions: Sessions, claude: Talker, codex: Talker) -> None:
    session = await sessions.create("claude")
    await say(session, claude, "one")
    await say(session, codex, "two")
    await say(session, claude, "three", continuation="fresh")
    assert (claude.last.mode, claude.last.native, claude.missed) == (Continuation.FRESH, None, [])
    assert claude.last.previous_agents == ["codex"]


async def test_a_fork_is_gone_on_with_and_counts_what_it_was_copied_with(sessions: Sessions, claude: Talker) -> None:
    session = await sessions.create("claude")
    await say(session, claude, "one")
    await say(session, claude, "two", continuation="fork")
    assert claude.last.native is not None
    assert (claude.last.mode, claude.last.native.id) == (Continuation.FORK, "claude-1")
    await say(session, claude, "three")
    assert claude.last.native is not None
    assert claude.last.native.id == "claude-2"
    assert claude.last.native.usage == Usage(input_tokens=20, output_tokens=2)
    assert claude.last.native.cost == Decimal("1.0")
    assert claude.missed == []
    assert claude.knows["claude-1"] == ["one", "claude: one"]


async def test_an_input_that_waits_in_the_queue_was_not_said_yet(
    sessions: Sessions, claude: Talker, codex: Talker
) -> None:
    session = await sessions.create("claude")
    await session.start()
    await session.pause()
    runs = [
        await session.run("one", agent="claude"),
        await session.run("two", agent="codex"),
        await session.run("three", agent="claude"),
        await session.run("four", agent="codex"),
    ]
    await session.resume()
    for run in runs:
        await run.result(timeout=60)
    told = [[message.text for message in each.missed.messages] for each in (*codex.found, *claude.found)]
    assert told == [
        ["one", "claude: one"],
        ["three", "claude: three"],
        [],
        ["two", "codex: two"],
    ]


async def test_the_transcript_of_an_agent_has_none_of_what_waits_in_the_queue(sessions: Sessions) -> None:
    seen: list[list[str | None]] = []
    go_on = asyncio.Event()

    async def reads(context: AgentContext, message: str) -> None:
        await go_on.wait()
        seen.append([each.text for each in (await context.transcript()).messages])

    sessions.catalog.add("reads", reads)
    session = await sessions.create("reads")
    runs = [await session.run(text) for text in ("one", "two", "never")]
    await runs[2].cancel()
    go_on.set()
    await runs[1].result(timeout=60)
    assert seen == [["one"], ["one", "two"]]


async def test_what_others_said_meanwhile_is_missed_even_when_it_was_said_at_the_same_time(
    sessions: Sessions, claude: Talker
) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def talks_all_the_time() -> AsyncIterator[str]:
        begun.set()
        await over.wait()
        yield "late news"

    sessions.catalog.add("other", talks_all_the_time)
    session = await sessions.create("claude", slots=2)
    other = await session.run("go", agent="other")
    await begun.wait()
    await say(session, claude, "one")
    assert claude.missed == ["go"]
    over.set()
    await other.result(timeout=60)
    await say(session, claude, "two")
    assert claude.missed == ["late news"]


async def test_a_run_that_failed_before_it_had_a_session_changes_nothing(sessions: Sessions, claude: Talker) -> None:
    session = await sessions.create("claude")
    await say(session, claude, "one")

    async def fails() -> None:
        raise ValueError("no")

    agent = sessions.catalog.agent("claude")
    sessions.catalog.add("claude", fails)
    await (await session.run("two")).result(timeout=60)
    sessions.catalog.add("claude", agent)
    await say(session, claude, "three")
    assert claude.last.native is not None
    assert claude.last.native.id == "claude-1"
    assert claude.missed == ["two"]


@pytest.mark.parametrize("mode", [mode for mode in Continuation if mode is not Continuation.FORK])
async def test_another_attempt_goes_on_with_what_the_first_one_began(url: str, mode: Continuation) -> None:
    found: list[Conversation] = []
    linked = asyncio.Event()

    async def is_lost_once(context: AgentContext) -> AsyncIterator[Any]:
        found.append(await context.conversation())
        if context.run.attempt == 1:
            yield ev.AgentSessionLinked(native_session_id="new-1", items=1)
            yield ev.TokenUsageUpdated(usage=Usage(input_tokens=3))
            await context.emit()
            linked.set()
            await asyncio.Event().wait()
        yield "done"

    agents = {"lost": FunctionAgent("lost", is_lost_once, takeover=Takeover.RESUME)}
    async with sessionry.open(url, agents=agents, settings=load_settings(sweep=0.1)) as sessions:
        run = await (await sessions.create("lost")).run("two", continuation=mode)
        await linked.wait()
        record = await run.get()
        assert record.worker_id is not None
        assert sessions.worker is not None
        await sessions.execute(recovery.take_over(run.id, record.worker_id, "lease_expired"))
        await sessions.worker.renew()
        assert (await run.result(timeout=60)).text == "done"
    native = found[-1].native
    assert found[0].native is None
    assert native is not None
    assert (native.id, native.run_id, native.items, native.usage.input_tokens) == ("new-1", run.id, 1, 3)
    assert found[-1].missed.messages == []


async def test_what_is_linked_now_is_not_what_was_before(sessions: Sessions) -> None:
    found: list[Conversation] = []

    async def looks_twice(context: AgentContext) -> None:
        await context.emit(ev.AgentSessionLinked(native_session_id="n-1"))
        found.append(await context.conversation())

    sessions.catalog.add("looks", looks_twice)
    await (await (await sessions.create("looks")).run("x")).result(timeout=60)
    assert found[0].native is None
